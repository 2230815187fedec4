/* cel_value.c - values: making, wrapping JSON, comparing, turning into JSON and text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "net/crypto.h"
#include "sandbox/cel_in.h"

typedef struct mh_sb_cel_value value;

value
mh_sb_cel_of_text(const char *s, size_t n)
{
    value v = { .type = MH_SB_CEL_STRING };
    v.s = s;
    v.n = n;
    return v;
}

value
mh_sb_cel_of_bool(bool b)
{
    return (value){ .type = MH_SB_CEL_BOOL, .b = b };
}

value
mh_sb_cel_of_int(int64_t i)
{
    return (value){ .type = MH_SB_CEL_INT, .i = i };
}

bool
mh_sb_cel_printf(struct mh_sb_cel_eval *e, value *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mh_arena_vprintf(e->arena, fmt, ap);
    va_end(ap);
    if (!text)
        return mh_sb_cel_no_memory(e);
    *out = mh_sb_cel_of_text(text, strlen(text));
    return true;
}

bool
mh_sb_cel_new_list(struct mh_sb_cel_eval *e, size_t n, value *out)
{
    struct mh_sb_cel_list *l = mh_arena_alloc(e->arena, sizeof(*l));
    if (!l || !mh_sb_cel_charge(e, n / 16))
        return e->code ? false : mh_sb_cel_no_memory(e);
    l->items = mh_arena_alloc(e->arena, (n + 1) * sizeof(*l->items));
    l->n = n;
    if (!l->items)
        return mh_sb_cel_no_memory(e);
    *out = (value){ .type = MH_SB_CEL_LIST, .list = l };
    return true;
}

bool
mh_sb_cel_new_map(struct mh_sb_cel_eval *e, size_t size, value *out)
{
    struct mh_sb_cel_map *m = mh_arena_alloc(e->arena, sizeof(*m));
    if (!m || !mh_sb_cel_charge(e, size / 16))
        return e->code ? false : mh_sb_cel_no_memory(e);
    m->keys = mh_arena_alloc(e->arena, (size + 1) * sizeof(*m->keys));
    m->values = mh_arena_alloc(e->arena, (size + 1) * sizeof(*m->values));
    m->size = size;
    if (!m->keys || !m->values)
        return mh_sb_cel_no_memory(e);
    *out = (value){ .type = MH_SB_CEL_MAP, .map = m };
    return true;
}

bool
mh_sb_cel_optional(struct mh_sb_cel_eval *e, const value *v, value *out)
{
    value *some = v ? mh_arena_alloc(e->arena, sizeof(*some)) : NULL;
    if (v && !some)
        return mh_sb_cel_no_memory(e);
    if (some)
        *some = *v;
    *out = (value){ .type = MH_SB_CEL_OPTIONAL, .some = some };
    return true;
}

/* A text that its schema says more about. */
static bool
of_string(struct mh_sb_cel_eval *e, yyjson_val *v, const struct mh_sb_schema *s, value *out)
{
    const char *text = yyjson_get_str(v);
    const char *format = s && s->format && !s->int_or_string ? s->format : "";
    int64_t n = 0;
    *out = mh_sb_cel_of_text(text, yyjson_get_len(v));
    if (mh_str_eq(format, "duration") && mh_sb_duration_parse(text, &n)) {
        *out = (value){ .type = MH_SB_CEL_DURATION, .i = n };
    } else if ((mh_str_eq(format, "date-time") || mh_str_eq(format, "datetime")) &&
               mh_time_parse(text, &n)) {
        *out = (value){ .type = MH_SB_CEL_TIMESTAMP, .i = n };
    } else if (mh_str_eq(format, "date") && strlen(text) == 10) {
        char full[32];
        snprintf(full, sizeof(full), "%sT00:00:00Z", text);
        if (mh_time_parse(full, &n))
            *out = (value){ .type = MH_SB_CEL_TIMESTAMP, .i = n };
    } else if (mh_str_eq(format, "byte")) {
        size_t len = 0;
        const char *bytes = mh_base64_decode(e->arena, text, strlen(text), &len);
        if (bytes) {
            *out = mh_sb_cel_of_text(bytes, len);
            out->type = MH_SB_CEL_BYTES;
        }
    }
    return true;
}

bool
mh_sb_cel_of_json(struct mh_sb_cel_eval *e, yyjson_val *v, const struct mh_sb_schema *schema,
                  value *out)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    *out = (value){ .type = MH_SB_CEL_NULL };
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_BOOL:
        *out = mh_sb_cel_of_bool(yyjson_get_bool(v));
        return true;
    case YYJSON_TYPE_STR:
        return of_string(e, v, s, out);
    case YYJSON_TYPE_NUM:
        if (yyjson_is_real(v) || (s && s->types == MH_SB_T_NUMBER)) {
            double d = yyjson_get_num(v);
            if (s && s->types == MH_SB_T_INTEGER && floor(d) >= d && fabs(d) < 9e18)
                *out = mh_sb_cel_of_int((int64_t)d);
            else
                *out = (value){ .type = MH_SB_CEL_DOUBLE, .d = d };
        } else {
            *out = mh_sb_cel_of_int(yyjson_get_sint(v));
        }
        return true;
    case YYJSON_TYPE_ARR:
        out->type = MH_SB_CEL_LIST;
        out->list = mh_arena_alloc(e->arena, sizeof(*out->list));
        if (!out->list)
            return mh_sb_cel_no_memory(e);
        *out->list =
            (struct mh_sb_cel_list){ .n = yyjson_arr_size(v), .json = v, .schema = schema };
        return true;
    case YYJSON_TYPE_OBJ:
        out->type = MH_SB_CEL_MAP;
        out->map = mh_arena_alloc(e->arena, sizeof(*out->map));
        if (!out->map)
            return mh_sb_cel_no_memory(e);
        *out->map = (struct mh_sb_cel_map){ .n = yyjson_obj_size(v), .json = v, .schema = schema };
        return true;
    default:
        return true;
    }
}

static bool
fill_list(struct mh_sb_cel_eval *e, struct mh_sb_cel_list *l)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    if (l->items || !l->json)
        return true;
    l->items = mh_arena_alloc(e->arena, (l->n + 1) * sizeof(*l->items));
    if (!l->items)
        return mh_sb_cel_no_memory(e);
    yyjson_arr_foreach(l->json, i, max, item)
    {
        if (!mh_sb_cel_of_json(e, item, mh_sb_schema_items(l->schema), &l->items[i]))
            return false;
    }
    return true;
}

/* The name of a field as expressions write it: what is no identifier is escaped. */
static bool
escaped_name(struct mh_sb_cel_eval *e, const struct mh_sb_cel_map *m, const char *key, value *out)
{
    static const char *const words[] = { "true",     "false",     "null",     "in",   "as",
                                         "break",    "const",     "continue", "else", "for",
                                         "function", "if",        "import",   "let",  "loop",
                                         "package",  "namespace", "return",   "var",  "void",
                                         "while" };
    const struct mh_sb_schema *s = mh_sb_shape(m->schema);
    struct mh_buf b;
    *out = mh_sb_cel_of_text(key, strlen(key));
    if (!s || !mh_sb_schema_prop(s, key))
        return true; /* keys of maps stay as they are */
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], key) == 0)
            return mh_sb_cel_printf(e, out, "__%s__", key);
    }
    if (!strpbrk(key, "-./") && !strstr(key, "__"))
        return true;
    mh_buf_init(&b, 65536);
    for (const char *c = key; *c; c++) {
        bool two = c[0] == '_' && c[1] == '_';
        if (two)
            mh_buf_str(&b, "__underscores__");
        else if (*c == '-' || *c == '.' || *c == '/')
            mh_buf_str(&b, *c == '-' ? "__dash__" : *c == '.' ? "__dot__" : "__slash__");
        else
            mh_buf_char(&b, *c);
        c += two;
    }
    bool ok = mh_sb_cel_printf(e, out, "%s", mh_buf_text(&b));
    mh_buf_release(&b);
    return ok;
}

static bool
fill_map(struct mh_sb_cel_eval *e, struct mh_sb_cel_map *m)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (m->keys || !m->json)
        return true;
    m->keys = mh_arena_alloc(e->arena, (m->n + 1) * sizeof(*m->keys));
    m->values = mh_arena_alloc(e->arena, (m->n + 1) * sizeof(*m->values));
    if (!m->keys || !m->values)
        return mh_sb_cel_no_memory(e);
    yyjson_obj_foreach(mh_sb_obj_or_none(m->json), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        if (!escaped_name(e, m, name, &m->keys[i]) ||
            !mh_sb_cel_of_json(e, item, mh_sb_schema_field(m->schema, name), &m->values[i]))
            return false;
    }
    return true;
}

bool
mh_sb_cel_fill(struct mh_sb_cel_eval *e, value v)
{
    if (v.type == MH_SB_CEL_LIST)
        return fill_list(e, v.list);
    if (v.type == MH_SB_CEL_MAP)
        return fill_map(e, v.map);
    return true;
}

size_t
mh_sb_cel_size(value v)
{
    if (v.type == MH_SB_CEL_STRING) {
        size_t n = 0;
        for (size_t i = 0; i < v.n; i++)
            n += ((unsigned char)v.s[i] & 0xc0) != 0x80;
        return n;
    }
    return v.type == MH_SB_CEL_LIST ? v.list->n : v.type == MH_SB_CEL_MAP ? v.map->n : v.n;
}

/* "__dash__" and the like back to what they stand for; NULL: nothing of that in the name. */
static char *
unescaped(struct mh_sb_cel_eval *e, const char *name)
{
    static const char *const pairs[][2] = {
        { "__underscores__", "__" }, { "__dash__", "-" }, { "__dot__", "." }, { "__slash__", "/" }
    };
    char *out = strstr(name, "__") ? mh_arena_alloc(e->arena, strlen(name) + 1) : NULL;
    size_t n = 0;
    bool whole = mh_str_starts(name, "__") && mh_str_ends(name, "__") && strlen(name) > 4;
    for (const char *s = name; out && *s;) {
        size_t i = 0;
        while (i < 4 && !mh_str_starts(s, pairs[i][0]))
            i++;
        if (i < 4) {
            memcpy(out + n, pairs[i][1], strlen(pairs[i][1]));
            n += strlen(pairs[i][1]);
            s += strlen(pairs[i][0]);
            whole = false;
        } else {
            out[n++] = *s++;
        }
    }
    if (out && whole) { /* a reserved word */
        memmove(out, out + 2, n - 4);
        out[n - 4] = 0;
    }
    return out;
}

static bool
var_field(struct mh_sb_cel_eval *e, const struct mh_sb_cel_map *m, const char *name, value *out,
          bool *found)
{
    for (struct mh_sb_cel_var *v = m->vars; v; v = v->next) {
        if (strcmp(v->name, name) == 0) {
            *found = true;
            return mh_sb_cel_of_var(e, v, out);
        }
    }
    return true;
}

bool
mh_sb_cel_field(struct mh_sb_cel_eval *e, value v, const char *name, value *out, bool *found)
{
    *found = false;
    if (v.map->vars)
        return var_field(e, v.map, name, out, found);
    if (v.map->json) {
        yyjson_val *item = yyjson_obj_get(v.map->json, name);
        char *raw = item || !v.map->schema ? NULL : unescaped(e, name);
        if (raw && mh_sb_schema_prop(v.map->schema, raw)) {
            name = raw;
            item = yyjson_obj_get(v.map->json, raw);
        }
        *found = item != NULL;
        return !item || mh_sb_cel_of_json(e, item, mh_sb_schema_field(v.map->schema, name), out);
    }
    return mh_sb_cel_lookup(e, v, mh_sb_cel_of_text(name, strlen(name)), out, found);
}

bool
mh_sb_cel_lookup(struct mh_sb_cel_eval *e, value map, value key, value *out, bool *found)
{
    *found = false;
    if (map.map->vars || map.map->json) {
        if (key.type != MH_SB_CEL_STRING)
            return true;
        char *name = mh_arena_strndup(e->arena, key.s, key.n);
        return name ? mh_sb_cel_field(e, map, name, out, found) : mh_sb_cel_no_memory(e);
    }
    for (size_t i = 0; i < map.map->n; i++) {
        if (mh_sb_cel_equal(e, map.map->keys[i], key)) {
            *out = map.map->values[i];
            *found = true;
            return true;
        }
    }
    return e->code == MH_OK;
}

bool
mh_sb_cel_put(value map, value key, value v)
{
    if (map.map->n == map.map->size)
        return false;
    map.map->keys[map.map->n] = key;
    map.map->values[map.map->n++] = v;
    return true;
}

static bool
is_number(value v)
{
    return v.type == MH_SB_CEL_INT || v.type == MH_SB_CEL_UINT || v.type == MH_SB_CEL_DOUBLE;
}

static int
compare_whole(value a, value b)
{
    bool na = a.type == MH_SB_CEL_INT && a.i < 0;
    bool nb = b.type == MH_SB_CEL_INT && b.i < 0;
    if (na != nb)
        return na ? -1 : 1;
    if (na)
        return a.i < b.i ? -1 : a.i > b.i;
    return a.u < b.u ? -1 : a.u > b.u;
}

static double
as_double(value v)
{
    return v.type == MH_SB_CEL_DOUBLE ? v.d : v.type == MH_SB_CEL_UINT ? (double)v.u : (double)v.i;
}

bool
mh_sb_cel_compare(value a, value b, int *out)
{
    if (is_number(a) && is_number(b)) {
        if (a.type != MH_SB_CEL_DOUBLE && b.type != MH_SB_CEL_DOUBLE) {
            *out = compare_whole(a, b);
            return true;
        }
        double x = as_double(a);
        double y = as_double(b);
        *out = x < y ? -1 : x > y ? 1 : 0;
        return true;
    }
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case MH_SB_CEL_BOOL:
        *out = (int)a.b - (int)b.b;
        return true;
    case MH_SB_CEL_STRING:
    case MH_SB_CEL_BYTES: {
        int c = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
        *out = c ? c : a.n < b.n ? -1 : a.n > b.n;
        return true;
    }
    case MH_SB_CEL_DURATION:
    case MH_SB_CEL_TIMESTAMP:
        *out = a.i < b.i ? -1 : a.i > b.i;
        return true;
    default:
        return false;
    }
}

static bool
contains(struct mh_sb_cel_eval *e, const struct mh_sb_cel_list *l, value v)
{
    for (size_t i = 0; i < l->n; i++) {
        if (mh_sb_cel_equal(e, l->items[i], v))
            return true;
    }
    return false;
}

/* Sets are equal in any order; so are maps in lists, whose keys make them unique anyway. */
static bool
equal_lists(struct mh_sb_cel_eval *e, struct mh_sb_cel_list *a, struct mh_sb_cel_list *b)
{
    const struct mh_sb_schema *s = mh_sb_shape(a->schema);
    bool set = s && (s->list_type == MH_SB_LIST_SET || s->list_type == MH_SB_LIST_MAP);
    if (a->n != b->n || !fill_list(e, a) || !fill_list(e, b))
        return false;
    if (!mh_sb_cel_charge(e, a->n))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (set ? !contains(e, b, a->items[i]) : !mh_sb_cel_equal(e, a->items[i], b->items[i]))
            return false;
    }
    return true;
}

static bool
equal_maps(struct mh_sb_cel_eval *e, value a, value b)
{
    if (a.map == b.map)
        return true;
    if (a.map->n != b.map->n || a.map->vars || b.map->vars || !fill_map(e, a.map) ||
        !fill_map(e, b.map) || !mh_sb_cel_charge(e, a.map->n))
        return false;
    for (size_t i = 0; i < a.map->n; i++) {
        value other;
        bool found = false;
        if (!mh_sb_cel_lookup(e, b, a.map->keys[i], &other, &found) || !found ||
            !mh_sb_cel_equal(e, a.map->values[i], other))
            return false;
    }
    return true;
}

bool
mh_sb_cel_equal(struct mh_sb_cel_eval *e, value a, value b)
{
    int c = 1;
    if (is_number(a) && is_number(b))
        return mh_sb_cel_compare(a, b, &c) && c == 0 && as_double(a) >= as_double(b);
    if (a.type != b.type || e->code)
        return false;
    switch (a.type) {
    case MH_SB_CEL_NULL:
        return true;
    case MH_SB_CEL_LIST:
        return equal_lists(e, a.list, b.list);
    case MH_SB_CEL_MAP:
        return equal_maps(e, a, b);
    case MH_SB_CEL_TYPE:
        return strcmp(a.s, b.s) == 0;
    case MH_SB_CEL_OPTIONAL:
        return a.some && b.some ? mh_sb_cel_equal(e, *a.some, *b.some) : a.some == b.some;
    case MH_SB_CEL_QUANTITY:
        return mh_sb_quantity_cmp(a.quantity, b.quantity) == 0;
    case MH_SB_CEL_IP:
    case MH_SB_CEL_CIDR:
        return a.net->family == b.net->family && a.net->bits == b.net->bits &&
               memcmp(a.net->bytes, b.net->bytes, 16) == 0;
    case MH_SB_CEL_URL:
        return strcmp(a.url->all, b.url->all) == 0;
    default:
        return mh_sb_cel_compare(a, b, &c) && c == 0;
    }
}

const char *
mh_sb_cel_type_name(value v)
{
    static const char *const names[] = { "null_type",
                                         "bool",
                                         "int",
                                         "uint",
                                         "double",
                                         "string",
                                         "bytes",
                                         "list",
                                         "map",
                                         "google.protobuf.Duration",
                                         "google.protobuf.Timestamp",
                                         "type",
                                         "optional_type",
                                         "kubernetes.Quantity",
                                         "net.IP",
                                         "net.CIDR",
                                         "kubernetes.URL",
                                         "kubernetes.NamedFormat" };
    return names[v.type];
}

/* --- texts and JSON -------------------------------------------------------------------------- */

static bool
time_text(struct mh_sb_cel_eval *e, int64_t us, value *out)
{
    char text[MH_TIME_TEXT];
    int64_t s = us >= 0 ? us / 1000000 : -((999999 - us) / 1000000);
    int64_t part = us - s * 1000000;
    int places = 6;
    mh_time_rfc3339(text, s);
    if (!part)
        return mh_sb_cel_printf(e, out, "%s", text);
    for (; part % 10 == 0; part /= 10)
        places--;
    text[strlen(text) - 1] = 0;
    return mh_sb_cel_printf(e, out, "%s.%0*lldZ", text, places, (long long)part);
}

bool
mh_sb_cel_to_text(struct mh_sb_cel_eval *e, value v, value *out)
{
    char *text = NULL;
    switch (v.type) {
    case MH_SB_CEL_STRING:
        *out = v;
        return true;
    case MH_SB_CEL_BYTES:
        *out = mh_sb_cel_of_text(v.s, v.n);
        return true;
    case MH_SB_CEL_BOOL:
        return mh_sb_cel_printf(e, out, "%s", v.b ? "true" : "false");
    case MH_SB_CEL_INT:
        return mh_sb_cel_printf(e, out, "%lld", (long long)v.i);
    case MH_SB_CEL_UINT:
        return mh_sb_cel_printf(e, out, "%llu", (unsigned long long)v.u);
    case MH_SB_CEL_DOUBLE:
        text = mh_sb_go_float(e->arena, v.d);
        break;
    case MH_SB_CEL_TYPE:
        return mh_sb_cel_printf(e, out, "%s", v.s);
    case MH_SB_CEL_DURATION: {
        char *seconds = mh_sb_go_float(e->arena, (double)v.i / 1e9);
        return mh_sb_cel_printf(e, out, "%ss", seconds ? seconds : "");
    }
    case MH_SB_CEL_TIMESTAMP:
        return time_text(e, v.i, out);
    case MH_SB_CEL_QUANTITY:
        text = mh_sb_quantity_text(e->arena, v.quantity);
        break;
    case MH_SB_CEL_IP:
    case MH_SB_CEL_CIDR:
        return mh_sb_cel_net_text(e, v, out);
    case MH_SB_CEL_URL:
        return mh_sb_cel_printf(e, out, "%s", v.url->all);
    default:
        return mh_sb_cel_no_overload(e);
    }
    if (!text)
        return mh_sb_cel_no_memory(e);
    *out = mh_sb_cel_of_text(text, strlen(text));
    return true;
}

static yyjson_mut_val *
map_to_json(struct mh_sb_cel_eval *e, yyjson_mut_doc *doc, value v)
{
    yyjson_mut_val *obj = yyjson_mut_obj(doc);
    if (v.map->json)
        return yyjson_val_mut_copy(doc, v.map->json);
    for (size_t i = 0; obj && i < v.map->n; i++) {
        value key;
        if (!mh_sb_cel_to_text(e, v.map->keys[i], &key))
            return NULL;
        yyjson_mut_val *k = yyjson_mut_strncpy(doc, key.s, key.n);
        yyjson_mut_val *x = mh_sb_cel_to_json(e, doc, v.map->values[i]);
        if (!k || !x || !yyjson_mut_obj_add(obj, k, x))
            return NULL;
    }
    return obj;
}

yyjson_mut_val *
mh_sb_cel_to_json(struct mh_sb_cel_eval *e, yyjson_mut_doc *doc, value v)
{
    value text;
    yyjson_mut_val *list = NULL;
    switch (v.type) {
    case MH_SB_CEL_NULL:
        return yyjson_mut_null(doc);
    case MH_SB_CEL_BOOL:
        return yyjson_mut_bool(doc, v.b);
    case MH_SB_CEL_INT:
        return yyjson_mut_sint(doc, v.i);
    case MH_SB_CEL_UINT:
        return yyjson_mut_uint(doc, v.u);
    case MH_SB_CEL_DOUBLE:
        return yyjson_mut_real(doc, v.d);
    case MH_SB_CEL_LIST:
        list = yyjson_mut_arr(doc);
        if (!list || !mh_sb_cel_fill(e, v))
            return NULL;
        for (size_t i = 0; i < v.list->n; i++) {
            if (!yyjson_mut_arr_append(list, mh_sb_cel_to_json(e, doc, v.list->items[i])))
                return NULL;
        }
        return list;
    case MH_SB_CEL_MAP:
        return map_to_json(e, doc, v);
    case MH_SB_CEL_OPTIONAL:
        return v.some ? mh_sb_cel_to_json(e, doc, *v.some) : yyjson_mut_null(doc);
    default:
        return mh_sb_cel_to_text(e, v, &text) ? yyjson_mut_strncpy(doc, text.s, text.n) : NULL;
    }
}
