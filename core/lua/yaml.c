#include "lua/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/str.h"

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; owned */
    bool has_event;
    struct mh_arena *arena;
    yyjson_mut_doc *doc;
    int line;
    struct mh_err *err;
};

static enum mh_code
refuse(struct reader *r, const char *why)
{
    return mh_fail(r->err, MH_E_INVALID, "%s", why);
}

static enum mh_code
next_event(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR)
            return mh_fail(r->err, MH_E_NOMEM, "no memory for YAML");
        r->line = (int)r->parser.problem_mark.line + 1;
        return refuse(r, r->parser.problem ? r->parser.problem : "no valid YAML");
    }
    r->has_event = true;
    r->line = (int)r->event.start_mark.line + 1;
    return MH_OK;
}

static bool
looks_like_number(const char *s)
{
    const char *p = s + (*s == '-' || *s == '+');
    if (*p < '0' || *p > '9')
        return false;
    return p[strspn(p, "0123456789.eE+-")] == 0;
}

/* Plain scalars by what they look like (YAML's core schema, without octal and hexadecimal). */
static yyjson_mut_val *
plain(struct reader *r, const char *s)
{
    int64_t i;
    if (!*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0)
        return yyjson_mut_null(r->doc);
    if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0)
        return yyjson_mut_bool(r->doc, *s == 't');
    if (mh_str_int(s, INT64_MIN, INT64_MAX, &i))
        return yyjson_mut_sint(r->doc, i);
    if (looks_like_number(s)) {
        char *end;
        double d = strtod(s, &end);
        if (!*end)
            return yyjson_mut_real(r->doc, d);
    }
    return yyjson_mut_strcpy(r->doc, s);
}

static enum mh_code
read_scalar(struct reader *r, yyjson_mut_val **out)
{
    const char *s = (const char *)r->event.data.scalar.value;
    size_t n = r->event.data.scalar.length;
    if (memchr(s, 0, n))
        return refuse(r, "a text has a zero byte");
    *out = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain(r, s)
                                                                 : yyjson_mut_strncpy(r->doc, s, n);
    return *out ? MH_OK : mh_fail(r->err, MH_E_NOMEM, "no memory for YAML");
}

static const void *
anchor_or_tag(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor ? e->data.scalar.anchor : e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor ? e->data.sequence_start.anchor
                                             : e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor ? e->data.mapping_start.anchor
                                            : e->data.mapping_start.tag;
    default:
        return NULL;
    }
}

static enum mh_code read_value(struct reader *r, int depth, yyjson_mut_val **out);

static enum mh_code
read_sequence(struct reader *r, int depth, yyjson_mut_val **out)
{
    *out = yyjson_mut_arr(r->doc);
    for (;;) {
        yyjson_mut_val *item;
        enum mh_code code = next_event(r);
        if (code != MH_OK || r->event.type == YAML_SEQUENCE_END_EVENT)
            return code;
        code = read_value(r, depth + 1, &item);
        if (code != MH_OK)
            return code;
        if (!yyjson_mut_arr_append(*out, item))
            return mh_fail(r->err, MH_E_NOMEM, "no memory for YAML");
    }
}

static enum mh_code
read_mapping(struct reader *r, int depth, yyjson_mut_val **out)
{
    *out = yyjson_mut_obj(r->doc);
    for (;;) {
        yyjson_mut_val *item;
        enum mh_code code = next_event(r);
        if (code != MH_OK || r->event.type == YAML_MAPPING_END_EVENT)
            return code;
        if (r->event.type != YAML_SCALAR_EVENT || anchor_or_tag(&r->event))
            return refuse(r, "a key must be a plain text");
        const char *name = (const char *)r->event.data.scalar.value;
        if (memchr(name, 0, r->event.data.scalar.length))
            return refuse(r, "a key has a zero byte");
        yyjson_mut_val *key = yyjson_mut_strcpy(r->doc, name);
        if (!key)
            return mh_fail(r->err, MH_E_NOMEM, "no memory for YAML");
        if (yyjson_mut_obj_get(*out, yyjson_mut_get_str(key)))
            return mh_fail(r->err, MH_E_INVALID, "key '%.60s' is there twice", name);
        code = next_event(r);
        if (code == MH_OK)
            code = read_value(r, depth + 1, &item);
        if (code != MH_OK)
            return code;
        if (!yyjson_mut_obj_add(*out, key, item))
            return mh_fail(r->err, MH_E_NOMEM, "no memory for YAML");
    }
}

/* The value that begins with the current event. */
static enum mh_code
read_value(struct reader *r, int depth, yyjson_mut_val **out)
{
    if (depth > MH_YAML_DEPTH_MAX)
        return refuse(r, "nested too deeply");
    if (r->event.type == YAML_ALIAS_EVENT || anchor_or_tag(&r->event))
        return refuse(r, "anchors, aliases and tags are not allowed");
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, out);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(r, depth, out);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(r, depth, out);
    default:
        return refuse(r, "not what can stand here");
    }
}

static enum mh_code
read_document(struct reader *r, yyjson_mut_val **out)
{
    enum mh_code code = next_event(r);
    if (code == MH_OK) /* after STREAM-START */
        code = next_event(r);
    if (code != MH_OK)
        return code;
    if (r->event.type == YAML_STREAM_END_EVENT) {
        *out = yyjson_mut_obj(r->doc);
        return MH_OK;
    }
    if (r->event.data.document_start.version_directive ||
        r->event.data.document_start.tag_directives.start !=
            r->event.data.document_start.tag_directives.end)
        return refuse(r, "directives are not allowed");
    code = next_event(r);
    if (code == MH_OK)
        code = read_value(r, 1, out);
    if (code == MH_OK)
        code = next_event(r); /* DOCUMENT-END */
    if (code == MH_OK)
        code = next_event(r);
    if (code == MH_OK && r->event.type != YAML_STREAM_END_EVENT)
        return refuse(r, "only one document is allowed");
    return code;
}

enum mh_code
mh_yaml_parse(struct mh_arena *a, const char *text, size_t len, yyjson_val **out, int *line,
              struct mh_err *err)
{
    struct reader r = { .arena = a, .doc = mh_json_doc(a), .err = err, .line = 1 };
    yyjson_mut_val *root = NULL;
    if (!r.doc || !yaml_parser_initialize(&r.parser))
        return mh_fail(err, MH_E_NOMEM, "no memory for YAML");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    enum mh_code code = read_document(&r, &root);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    *line = r.line;
    if (code != MH_OK)
        return code;
    size_t n;
    char *json = root ? mh_json_mut_text(a, root, &n) : NULL;
    if (!json)
        return mh_fail(err, MH_E_INVALID, "no value that can be a parameter");
    return mh_json_parse(a, json, n, out, err);
}
