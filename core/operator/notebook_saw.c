/* notebook_saw.c - records of passes of plugins: what their names are, and what was seen, in few words. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "operator/notebook_in.h"

#define NAME_MAX_LEN 253
#define LINES_MAX 16
#define LINE_MAX_LEN 200

char *
mh_notebook_object(struct mh_arena *a, const struct mh_event_ref *about)
{
    const char *slash = about->api_version ? strchr(about->api_version, '/') : NULL;
    char *name =
        slash && about->kind && about->name
            ? mh_arena_printf(a, MH_OBJECT_PREFIX "%s.%.*s.%s", about->kind,
                              (int)(slash - about->api_version), about->api_version, about->name)
            : NULL;
    for (char *p = name; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return name && strlen(name) <= NAME_MAX_LEN ? name : NULL;
}

/* "Cluster first at 1234", "12", "a list of 3", "a text of 20 bytes" */
static void
describe(char *out, size_t size, yyjson_val *v)
{
    const char *kind = mh_json_str(v, "kind", NULL);
    const char *name = mh_json_str(v, "metadata", "name", NULL);
    const char *rv = mh_json_str(v, "metadata", "resourceVersion", NULL);
    if (kind && name)
        (void)snprintf(out, size, "%.60s %.80s%s%.30s", kind, name, rv ? " at " : "", rv ? rv : "");
    else if (yyjson_is_obj(v))
        (void)snprintf(out, size, "a table of %zu", yyjson_obj_size(v));
    else if (yyjson_is_arr(v))
        (void)snprintf(out, size, "a list of %zu", yyjson_arr_size(v));
    else if (yyjson_is_str(v))
        (void)snprintf(out, size, "a text of %zu bytes", yyjson_get_len(v));
    else if (yyjson_is_bool(v))
        mh_str_copy(out, size, yyjson_get_bool(v) ? "true" : "false");
    else if (yyjson_is_num(v))
        (void)snprintf(out, size, "%.17g", yyjson_get_num(v));
    else
        mh_str_copy(out, size, "nothing");
}

void
mh_notebook_saw(struct mh_arena *a, struct mh_buf *b, const char *seen)
{
    yyjson_val *v = NULL, *key;
    char what[LINE_MAX_LEN], line[LINE_MAX_LEN + 64];
    size_t n = 0;
    if (seen)
        (void)mh_json_parse(a, seen, strlen(seen), &v, NULL);
    (void)mh_buf_str(b, ",\"saw\":[");
    yyjson_obj_iter i = yyjson_obj_iter_with(v);
    while ((key = yyjson_obj_iter_next(&i)) && n < LINES_MAX) {
        describe(what, sizeof(what), yyjson_obj_iter_get_val(key));
        (void)snprintf(line, sizeof(line), "%.60s: %s", yyjson_get_str(key), what);
        (void)mh_buf_str(b, n++ ? "," : "");
        (void)mh_json_quote(b, line, strlen(line));
    }
    (void)mh_buf_char(b, ']');
}
