#include "kube/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/str.h"

#define NODES_MAX 2000000
#define DEPTH_MAX 100
#define NUMBER_MAX 64

struct reader {
    yaml_document_t doc;
    yyjson_mut_doc *out;
    long budget;
    struct mh_err *err;
    enum mh_code code;
};

static yyjson_mut_val *
refuse(struct reader *r, enum mh_code code, const yaml_node_t *at, const char *why)
{
    if (r->code == MH_OK)
        r->code = mh_fail(r->err, code, "line %zu: %s", at ? at->start_mark.line + 1 : 0, why);
    return NULL;
}

/* --- scalars --------------------------------------------------------------------------------------- */

static bool
one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

/* The digits without underscores and prefix; the base, 0: it is no integer. */
static int
digits(const char *s, char out[NUMBER_MAX])
{
    size_t n = 0;
    bool minus = *s == '-';
    s += *s == '-' || *s == '+';
    int base = 10;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
        base = 16, s += 2;
    else if (s[0] == '0' && (s[1] == 'b' || s[1] == 'B'))
        base = 2, s += 2;
    else if (s[0] == '0' && (s[1] == 'o' || s[1] == 'O'))
        base = 8, s += 2;
    else if (s[0] == '0' && s[1])
        base = 8, s += 1;
    if (minus)
        out[n++] = '-';
    static const char all[] = "0123456789abcdef";
    size_t start = n;
    for (; *s && n < NUMBER_MAX - 1; s++) {
        char c = *s >= 'A' && *s <= 'F' ? (char)(*s + 32) : *s;
        if (c == '_')
            continue;
        const char *at = strchr(all, c);
        if (!at || at - all >= base)
            return 0;
        out[n++] = c;
    }
    out[n] = '\0';
    return *s || n == start ? 0 : base;
}

static bool
looks_like_float(const char *s)
{
    s += *s == '-' || *s == '+';
    bool digit = false;
    for (const char *p = s; *p; p++) {
        digit = digit || (*p >= '0' && *p <= '9');
        if (!strchr("0123456789.eE+-_", *p))
            return false;
    }
    return digit && (s[0] == '.' || (s[0] >= '0' && s[0] <= '9'));
}

static yyjson_mut_val *
number(struct reader *r, const char *s)
{
    char text[NUMBER_MAX];
    char *end;
    int base = digits(s, text);
    if (base) {
        errno = 0;
        long long i = strtoll(text, &end, base);
        if (errno == 0)
            return yyjson_mut_sint(r->out, i);
        errno = 0;
        unsigned long long u = strtoull(text, &end, base);
        if (errno == 0 && text[0] != '-')
            return yyjson_mut_uint(r->out, u);
    }
    if (!looks_like_float(s) || strlen(s) >= NUMBER_MAX)
        return NULL;
    size_t n = 0;
    for (; *s; s++)
        if (*s != '_')
            text[n++] = *s;
    text[n] = '\0';
    double d = strtod(text, &end);
    if (*end)
        return NULL;
    if (d >= -9e15 && d <= 9e15 && d == (double)(long long)d)
        return yyjson_mut_sint(r->out, (long long)d);
    return yyjson_mut_real(r->out, d);
}

static yyjson_mut_val *
plain(struct reader *r, const char *s)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const yes[] = { "true", "True", "TRUE", "yes", "Yes", "YES",
                                       "y",    "Y",    "on",   "On",  "ON",  NULL };
    static const char *const no[] = { "false", "False", "FALSE", "no",  "No",  "NO",
                                      "n",     "N",     "off",   "Off", "OFF", NULL };
    if (one_of(s, nulls))
        return yyjson_mut_null(r->out);
    if (one_of(s, yes))
        return yyjson_mut_true(r->out);
    if (one_of(s, no))
        return yyjson_mut_false(r->out);
    if (strchr("0123456789.+-", *s)) {
        yyjson_mut_val *v = number(r, s);
        if (v)
            return v;
    }
    return yyjson_mut_strcpy(r->out, s);
}

/* --- collections --------------------------------------------------------------------------------- */

static yyjson_mut_val *value(struct reader *r, int id, int depth);

static yyjson_mut_val *
sequence(struct reader *r, const yaml_node_t *n, int depth)
{
    yyjson_mut_val *list = yyjson_mut_arr(r->out);
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        yyjson_mut_val *v = value(r, *i, depth + 1);
        if (!v || !yyjson_mut_arr_append(list, v))
            return v ? refuse(r, MH_E_NOMEM, n, "no memory") : NULL;
    }
    return list;
}

/* Keys of another mapping that are not there yet. */
static bool
merge(struct reader *r, yyjson_mut_val *map, int id, int depth)
{
    yyjson_mut_val *other = value(r, id, depth + 1);
    size_t i, n;
    yyjson_mut_val *k, *v;
    if (!yyjson_mut_is_obj(other))
        return other == NULL;
    yyjson_mut_obj_foreach(other, i, n, k, v)
    {
        const char *key = yyjson_mut_get_str(k);
        if (!yyjson_mut_obj_get(map, key))
            (void)yyjson_mut_obj_add_val(r->out, map, key, yyjson_mut_val_mut_copy(r->out, v));
    }
    return true;
}

static yyjson_mut_val *
mapping(struct reader *r, const yaml_node_t *n, int depth)
{
    yyjson_mut_val *map = yyjson_mut_obj(r->out);
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        yaml_node_t *k = yaml_document_get_node(&r->doc, p->key);
        if (!k || k->type != YAML_SCALAR_NODE ||
            memchr(k->data.scalar.value, 0, k->data.scalar.length))
            return refuse(r, MH_E_INVALID, k ? k : n, "a key must be a text");
        const char *key = (const char *)k->data.scalar.value;
        if (strcmp(key, "<<") == 0 && k->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
            if (!merge(r, map, p->value, depth))
                return refuse(r, MH_E_INVALID, k, "only a map can be merged");
            continue;
        }
        if (yyjson_mut_obj_get(map, key))
            return refuse(r, MH_E_INVALID, k, "the same key is there twice");
        yyjson_mut_val *name = yyjson_mut_strcpy(r->out, key);
        yyjson_mut_val *v = value(r, p->value, depth + 1);
        if (!v)
            return NULL;
        if (!name || !yyjson_mut_obj_add(map, name, v))
            return refuse(r, MH_E_NOMEM, n, "no memory");
    }
    return map;
}

static yyjson_mut_val *
value(struct reader *r, int id, int depth)
{
    yaml_node_t *n = yaml_document_get_node(&r->doc, id);
    yyjson_mut_val *v = NULL;
    if (!n || depth > DEPTH_MAX || --r->budget < 0)
        return refuse(r, MH_E_LIMIT, n, depth > DEPTH_MAX ? "nested too deeply" : "too large");
    switch (n->type) {
    case YAML_SCALAR_NODE:
        if (memchr(n->data.scalar.value, 0, n->data.scalar.length))
            return refuse(r, MH_E_INVALID, n, "a text has a zero byte");
        v = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE
                ? plain(r, (const char *)n->data.scalar.value)
                : yyjson_mut_strncpy(r->out, (const char *)n->data.scalar.value,
                                     n->data.scalar.length);
        break;
    case YAML_SEQUENCE_NODE:
        v = sequence(r, n, depth);
        break;
    case YAML_MAPPING_NODE:
        v = mapping(r, n, depth);
        break;
    default:
        return refuse(r, MH_E_INVALID, n, "not what can stand here");
    }
    return v ? v : refuse(r, MH_E_NOMEM, n, "no memory");
}

/* --- documents ------------------------------------------------------------------------------------- */

/* One document; NULL without an error: it is empty, or the stream is at its end. */
static yyjson_val *
document(struct reader *r, struct mh_arena *a, yaml_parser_t *parser, bool *end)
{
    yyjson_val *out = NULL;
    if (!yaml_parser_load(parser, &r->doc)) {
        r->code = mh_fail(r->err, MH_E_INVALID, "line %zu: %s", parser->problem_mark.line + 1,
                          parser->problem ? parser->problem : "no valid YAML");
        return NULL;
    }
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    *end = root == NULL;
    yyjson_mut_val *v = root ? value(r, 1, 1) : NULL;
    if (v && !yyjson_mut_is_null(v)) {
        size_t n;
        char *text = mh_json_mut_text(a, v, &n);
        if (!text)
            r->code = mh_fail(r->err, MH_E_NOMEM, "no memory for YAML");
        else
            r->code = mh_json_parse(a, text, n, &out, r->err);
    }
    yaml_document_delete(&r->doc);
    return out;
}

enum mh_code
mh_kube_yaml(struct mh_arena *a, const char *text, size_t len, yyjson_val ***out, size_t *n,
             struct mh_err *err)
{
    struct reader r = { .budget = NODES_MAX, .err = err };
    yaml_parser_t parser;
    size_t size = 0;
    bool end = false;
    *n = 0;
    *out = NULL;
    if (!yaml_parser_initialize(&parser))
        return mh_fail(err, MH_E_NOMEM, "no memory for YAML");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    while (!end && r.code == MH_OK) {
        r.out = mh_json_doc(a);
        if (*n == size) {
            size = size ? 2 * size : 16;
            yyjson_val **more = mh_arena_alloc(a, size * sizeof(*more));
            if (more && *n)
                memcpy(more, *out, *n * sizeof(*more));
            *out = more;
        }
        if (!r.out || !*out)
            r.code = mh_fail(err, MH_E_NOMEM, "no memory for YAML");
        else if (*n == MH_YAML_DOCUMENTS_MAX)
            r.code = mh_fail(err, MH_E_LIMIT, "too many documents");
        yyjson_val *v = r.code == MH_OK ? document(&r, a, &parser, &end) : NULL;
        if (v)
            (*out)[(*n)++] = v;
    }
    yaml_parser_delete(&parser);
    return r.code;
}
