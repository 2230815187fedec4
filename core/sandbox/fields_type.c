/* fields_type.c - typed values: what a schema (or its absence) makes of a value. */
#include "sandbox/fields_type.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct mh_sb_typing
mh_sb_typing_of(const struct mh_sb_schema *schema)
{
    struct mh_sb_typing t = { .schema = schema };
    if (!schema)
        t.kind = MH_SB_DEDUCED;
    else
        t.preserve = mh_sb_shape(schema)->preserve;
    return t;
}

/* Any kind of value is allowed where no type is named. */
static bool
untyped(const struct mh_sb_schema *s)
{
    return s->types == 0 || s->int_or_string;
}

bool
mh_sb_typing_has(struct mh_sb_typing t, enum mh_sb_atom atom)
{
    const struct mh_sb_schema *s = mh_sb_shape(t.schema);
    if (t.kind == MH_SB_DEDUCED || t.kind == MH_SB_UNTYPED)
        return true;
    if (t.kind == MH_SB_UNDECLARED || !s)
        return false;
    if (s->quantity)
        return atom == MH_SB_ATOM_SCALAR;
    if (untyped(s))
        return true;
    unsigned type = atom == MH_SB_ATOM_MAP    ? MH_SB_T_OBJECT
                    : atom == MH_SB_ATOM_LIST ? MH_SB_T_ARRAY
                                              : ~(unsigned)(MH_SB_T_OBJECT | MH_SB_T_ARRAY);
    return (s->types & type) != 0;
}

enum mh_sb_atom
mh_sb_atom_of(struct mh_sb_typing t, yyjson_val *v)
{
    static const enum mh_sb_atom turn[] = { MH_SB_ATOM_MAP, MH_SB_ATOM_SCALAR, MH_SB_ATOM_LIST };
    enum mh_sb_atom own = yyjson_is_obj(v)    ? MH_SB_ATOM_MAP
                          : yyjson_is_arr(v)  ? MH_SB_ATOM_LIST
                          : yyjson_is_null(v) ? MH_SB_ATOM_BAD
                                              : MH_SB_ATOM_SCALAR;
    if (v && own != MH_SB_ATOM_BAD && mh_sb_typing_has(t, own))
        return own;
    for (size_t i = 0; i < 3; i++) {
        if (mh_sb_typing_has(t, turn[i]))
            return turn[i];
    }
    return MH_SB_ATOM_BAD;
}

/* The raw extension of built-in kinds is one value, whatever is in it. */
bool
mh_sb_map_atomic(struct mh_sb_typing t)
{
    if (t.kind != MH_SB_TYPED)
        return t.kind == MH_SB_UNTYPED;
    return mh_sb_schema_map_type(t.schema) == MH_SB_MAP_ATOMIC || mh_sb_shape(t.schema)->raw;
}

static bool
merged_by_patch(const struct mh_sb_schema *s)
{
    return s->list_type == MH_SB_LIST_NONE && s->patch_strategy &&
           (mh_str_eq(s->patch_strategy, "merge") ||
            mh_str_eq(s->patch_strategy, "merge,retainKeys"));
}

bool
mh_sb_list_atomic(struct mh_sb_typing t)
{
    const struct mh_sb_schema *s = mh_sb_shape(t.schema);
    if (t.kind != MH_SB_TYPED || !s)
        return true;
    if (s->list_type == MH_SB_LIST_SET || s->list_type == MH_SB_LIST_MAP)
        return false;
    return !merged_by_patch(s);
}

static struct mh_sb_typing
below(struct mh_sb_typing t, const struct mh_sb_schema *s)
{
    return (struct mh_sb_typing){ .schema = s,
                                  .kind = MH_SB_TYPED,
                                  .preserve = !s->ref && (t.preserve || s->preserve) };
}

struct mh_sb_typing
mh_sb_typing_field(struct mh_sb_typing t, const char *name, bool *declared)
{
    const struct mh_sb_schema *s = mh_sb_shape(t.schema);
    static const struct mh_sb_schema text = { .types = MH_SB_T_STRING, .type_text = "string" };
    *declared = false;
    if (t.kind != MH_SB_TYPED)
        return t;
    const struct mh_sb_schema *prop = mh_sb_schema_prop(s, name);
    if (s->embedded && (mh_str_eq(name, "apiVersion") || mh_str_eq(name, "kind")) && !prop)
        prop = &text;
    if (s->root && s->meta && mh_str_eq(name, "metadata"))
        prop = s->meta;
    *declared = prop != NULL;
    if (prop || s->extra)
        return below(t, prop ? prop : s->extra);
    bool free_form = t.preserve || s->nprops == 0 || s->extra_any ||
                     (s->embedded && mh_str_eq(name, "metadata"));
    return (struct mh_sb_typing){ .kind = free_form && !s->extra_forbidden ? MH_SB_DEDUCED
                                                                           : MH_SB_UNDECLARED };
}

struct mh_sb_typing
mh_sb_typing_item(struct mh_sb_typing t)
{
    const struct mh_sb_schema *s = mh_sb_shape(t.schema);
    if (t.kind == MH_SB_TYPED && s && s->items)
        return below(t, s->items);
    return (struct mh_sb_typing){ .kind = MH_SB_UNTYPED };
}

static int
by_key_name(const void *x, const void *y)
{
    const struct mh_sb_pe_key *a = x;
    const struct mh_sb_pe_key *b = y;
    return strcmp(a->name, b->name);
}

static const char *
keyed_pe(struct mh_sb_fields *f, struct mh_sb_typing list, const struct mh_sb_strings *keys,
         yyjson_val *item, struct mh_sb_pe *pe)
{
    struct mh_sb_typing t = mh_sb_typing_item(list);
    bool declared = false;
    pe->kind = MH_SB_PE_KEY;
    if (yyjson_is_null(item))
        return "associative list with keys may not have a null element";
    if (!yyjson_is_obj(item))
        return "associative list with keys may not have non-map elements";
    pe->keys = mh_arena_alloc(f->arena, (keys->count + 1) * sizeof(*pe->keys));
    if (!pe->keys) {
        f->failed = true;
        return "no memory";
    }
    for (size_t i = 0; i < keys->count; i++) {
        const char *name = keys->items[i];
        yyjson_val *v = yyjson_obj_get(item, name);
        if (!v)
            v = mh_sb_schema_default_of(mh_sb_typing_field(t, name, &declared).schema);
        if (v)
            pe->keys[pe->nkeys++] = (struct mh_sb_pe_key){ name, v };
    }
    qsort(pe->keys, pe->nkeys, sizeof(*pe->keys), by_key_name);
    if (pe->nkeys || !keys->count)
        return NULL;
    struct mh_buf b;
    mh_buf_init(&b, 65536);
    for (size_t i = 0; i < keys->count; i++)
        mh_buf_printf(&b, "%s\"%s\"", i ? " " : "", keys->items[i]);
    const char *why = mh_arena_printf(
        f->arena,
        "associative list with keys has an element that omits all key fields [%s] (and doesn't "
        "have default values for any key fields)",
        mh_buf_text(&b));
    mh_buf_release(&b);
    return why ? why : "no memory";
}

const char *
mh_sb_item_pe(struct mh_sb_fields *f, struct mh_sb_typing list, yyjson_val *item,
              struct mh_sb_pe *pe)
{
    const struct mh_sb_schema *s = mh_sb_shape(list.schema);
    struct mh_sb_strings one = { .items = NULL };
    const char *name = s->merge_key;
    *pe = (struct mh_sb_pe){ 0 };
    if (s->list_type == MH_SB_LIST_MAP)
        return keyed_pe(f, list, &s->list_keys, item, pe);
    if (s->list_type == MH_SB_LIST_NONE && name) {
        one = (struct mh_sb_strings){ .items = &name, .count = 1 };
        return keyed_pe(f, list, &one, item, pe);
    }
    if (yyjson_is_obj(item))
        return "associative list without keys has an element that's a map type";
    if (yyjson_is_arr(item))
        return "not supported: associative list with lists as elements";
    if (yyjson_is_null(item))
        return "associative list without keys has an element that's an explicit null";
    pe->kind = MH_SB_PE_VALUE;
    pe->value = item;
    return NULL;
}

struct mh_sb_items
mh_sb_items_of(struct mh_sb_fields *f, struct mh_sb_typing list, yyjson_val *v)
{
    struct mh_sb_items out = { 0 };
    size_t i;
    size_t max;
    yyjson_val *item;
    size_t n = yyjson_arr_size(v);
    out.pes = mh_arena_alloc(f->arena, (n + 1) * sizeof(*out.pes));
    out.values = mh_arena_alloc(f->arena, (n + 1) * sizeof(*out.values));
    if (!out.pes || !out.values) {
        f->failed = true;
        return out;
    }
    yyjson_arr_foreach(v, i, max, item)
    {
        if (!mh_sb_item_pe(f, list, item, &out.pes[out.n]))
            out.values[out.n++] = item;
    }
    return out;
}

size_t
mh_sb_items_find(const struct mh_sb_items *items, const struct mh_sb_pe *pe, yyjson_val **first)
{
    size_t count = 0;
    *first = NULL;
    for (size_t i = 0; i < items->n; i++) {
        if (mh_sb_pe_cmp(&items->pes[i], pe))
            continue;
        if (count++ == 0)
            *first = items->values[i];
    }
    return count;
}

/* --- does a value fit ------------------------------------------------------------------------ */

struct checker {
    struct mh_sb_fields *f;
    struct mh_buf path;
    bool allow_duplicates;
    int depth;
};

static void MH_PRINTF(2, 3) complain(struct checker *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *what = mh_arena_vprintf(c->f->arena, fmt, ap);
    va_end(ap);
    char *text =
        c->path.len ? mh_arena_printf(c->f->arena, "%s: %s", mh_buf_text(&c->path), what) : what;
    if (!what || !text)
        c->f->failed = true;
    else
        mh_sb_texts_add(&c->f->errors, text);
}

/* A value as Go's %v shows the box it is in. */
static const char *
boxed(struct checker *c, yyjson_val *v)
{
    const char *text = yyjson_is_str(v) ? yyjson_get_str(v) : mh_sb_go_json(c->f->arena, v);
    return text ? text : "";
}

static const char *
go_type(yyjson_val *v)
{
    return yyjson_is_str(v)    ? "string"
           : yyjson_is_bool(v) ? "bool"
           : yyjson_is_arr(v)  ? "[]interface {}"
           : yyjson_is_obj(v)  ? "map[string]interface {}"
                               : "<nil>";
}

static void
check_scalar(struct checker *c, struct mh_sb_typing t, yyjson_val *v)
{
    const struct mh_sb_schema *s = mh_sb_shape(t.schema);
    unsigned numbers = MH_SB_T_INTEGER | MH_SB_T_NUMBER;
    if (yyjson_is_null(v))
        return;
    if (t.kind != MH_SB_TYPED || untyped(s) || s->quantity ||
        (s->types == MH_SB_T_STRING && s->format && s->format[0] &&
         !mh_str_eq(s->format, "byte"))) {
        if (yyjson_is_ctn(v))
            complain(c, "expected any scalar, got &{%s}", boxed(c, v));
    } else if (s->types & numbers) {
        if (!yyjson_is_num(v))
            complain(c, "expected numeric (int or float), got %s", go_type(v));
    } else if (s->types & MH_SB_T_STRING) {
        if (!yyjson_is_str(v))
            complain(c, "expected string, got &value.valueUnstructured{Value:%s}", boxed(c, v));
    } else if (!yyjson_is_bool(v)) {
        complain(c, "expected boolean, got &{%s}", boxed(c, v));
    }
}

static void check(struct checker *c, struct mh_sb_typing t, yyjson_val *v);

static void
check_list(struct checker *c, struct mh_sb_typing t, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    struct mh_sb_set *seen = mh_sb_set_new(c->f);
    if (!yyjson_is_arr(v) && !yyjson_is_null(v)) {
        complain(c, "expected list, got &{%s}", boxed(c, v));
        return;
    }
    yyjson_arr_foreach(v, i, max, item)
    {
        struct mh_sb_pe pe = { .kind = MH_SB_PE_INDEX, .index = (int64_t)i };
        if (!mh_sb_list_atomic(t)) {
            const char *why = mh_sb_item_pe(c->f, t, item, &pe);
            if (why) {
                complain(c, "element %zu: %s", i, why);
                return;
            }
            if (mh_sb_set_has(seen, &pe) && !c->allow_duplicates) {
                struct mh_buf b;
                mh_buf_init(&b, (size_t)1 << 16);
                mh_sb_pe_text(c->f, &pe, &b);
                complain(c, "duplicate entries for key %s", mh_buf_text(&b));
                mh_buf_release(&b);
            }
            mh_sb_set_insert(c->f, seen, &pe, 1);
        }
        size_t len = c->path.len;
        mh_sb_pe_text(c->f, &pe, &c->path);
        check(c, mh_sb_typing_item(t), item);
        mh_sb_path_cut(&c->path, len);
        if (c->f->failed)
            return;
    }
}

static void
check_map(struct checker *c, struct mh_sb_typing t, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (!yyjson_is_obj(v) && !yyjson_is_null(v)) {
        complain(c, "expected map, got &{%s}", boxed(c, v));
        return;
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        bool declared = false;
        size_t len = c->path.len;
        struct mh_sb_typing sub = mh_sb_typing_field(t, yyjson_get_str(key), &declared);
        mh_buf_char(&c->path, '.');
        mh_buf_add(&c->path, yyjson_get_str(key), yyjson_get_len(key));
        if (sub.kind == MH_SB_UNDECLARED)
            complain(c, "field not declared in schema");
        else
            check(c, sub, item);
        mh_sb_path_cut(&c->path, len);
        if (sub.kind == MH_SB_UNDECLARED || c->f->failed)
            return;
    }
}

static void
check(struct checker *c, struct mh_sb_typing t, yyjson_val *v)
{
    if (++c->depth > MH_SB_FIELDS_DEPTH_MAX) {
        complain(c, "nested too deeply");
    } else {
        switch (mh_sb_atom_of(t, v)) {
        case MH_SB_ATOM_MAP:
            check_map(c, t, v);
            break;
        case MH_SB_ATOM_SCALAR:
            check_scalar(c, t, v);
            break;
        case MH_SB_ATOM_LIST:
            check_list(c, t, v);
            break;
        default:
            complain(c, "schema error: invalid atom: inlined");
        }
    }
    c->depth--;
}

void
mh_sb_typed_check(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                  bool allow_duplicates)
{
    struct checker c = { .f = f, .allow_duplicates = allow_duplicates };
    mh_buf_init(&c.path, (size_t)1 << 16);
    check(&c, t, v);
    mh_buf_release(&c.path);
}
