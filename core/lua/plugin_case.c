#include "lua/plugin_case.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

yyjson_val *
mh_plugin_case(yyjson_val *declaration, size_t at)
{
    return yyjson_arr_get(yyjson_obj_get(declaration, "cases"), at);
}

const char *
mh_plugin_case_name(struct mh_arena *a, yyjson_val *one, size_t at)
{
    const char *name = mh_json_str(one, "name", NULL);
    if (!name)
        name = mh_arena_printf(a, "%zu", at + 1);
    return name ? name : "?";
}

yyjson_val *
mh_plugin_case_arg(struct mh_arena *a, yyjson_val *declaration, yyjson_val *one, yyjson_val *plan)
{
    static const char *const kept[] = { "api", "kind", "spec" };
    yyjson_alc alc = mh_json_alc(a);
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    if (!root)
        return NULL;
    yyjson_mut_obj_add_val(doc, root, "case", yyjson_val_mut_copy(doc, one));
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        yyjson_val *v = yyjson_obj_get(declaration, kept[i]);
        if (v)
            yyjson_mut_obj_add_val(doc, root, kept[i], yyjson_val_mut_copy(doc, v));
    }
    if (plan)
        yyjson_mut_obj_add_val(doc, root, "plan", yyjson_val_mut_copy(doc, plan));
    return yyjson_doc_get_root(yyjson_mut_val_imut_copy(root, &alc));
}

/* The line of the first place where the name stands in quotes; 0: nowhere. */
static int
line_of(const char *script, const char *name)
{
    size_t n = strlen(name);
    int line = 1;
    for (const char *p = script; *p; p++) {
        line += *p == '\n';
        if ((*p == '"' || *p == '\'') && strncmp(p + 1, name, n) == 0 && p[n + 1] == *p)
            return line;
    }
    return 0;
}

void
mh_plugin_case_failed(struct mh_err *err, const char *key, const char *script,
                      yyjson_val *declaration, const char *name)
{
    int line = line_of(script, name);
    char why[sizeof(err->msg)];
    mh_str_copy(why, sizeof(why), err->msg);
    if (line == 0)
        line = (int)mh_json_int(declaration, 1, "line", NULL);
    if (mh_str_starts(why, key))
        mh_fail(err, err->code, "%.300s (in case '%.60s')", why, name);
    else
        mh_fail(err, err->code, "%.60s:%d: %.240s (in case '%.60s')", key, line, why, name);
}
