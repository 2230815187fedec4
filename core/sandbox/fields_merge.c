/* fields_merge.c - sets, comparison, merging and removing of typed values. */
#include <string.h>

#include "sandbox/fields_type.h"

struct walker {
    struct mh_sb_fields *f;
    struct mh_sb_pe path[MH_SB_FIELDS_DEPTH_MAX];
    size_t depth;
    struct mh_sb_set *set;       /* of a value */
    struct mh_sb_comparison cmp; /* of two */
};

static bool
push(struct walker *w, const struct mh_sb_pe *pe)
{
    if (w->depth == MH_SB_FIELDS_DEPTH_MAX) {
        w->f->failed = true;
        return false;
    }
    w->path[w->depth++] = *pe;
    return !w->f->failed;
}

static void
add_here(struct walker *w, struct mh_sb_set *s)
{
    mh_sb_set_insert(w->f, s, w->path, w->depth);
}

static struct mh_sb_pe
field_pe(yyjson_val *key)
{
    return (struct mh_sb_pe){ .kind = MH_SB_PE_FIELD, .name = yyjson_get_str(key) };
}

/* --- the set of a value ---------------------------------------------------------------------- */

static void to_set(struct walker *w, struct mh_sb_typing t, yyjson_val *v);

static void
list_to_set(struct walker *w, struct mh_sb_typing t, yyjson_val *v)
{
    if (mh_sb_list_atomic(t)) {
        add_here(w, w->set);
        return;
    }
    struct mh_sb_items items = mh_sb_items_of(w->f, t, v);
    for (size_t i = 0; i < items.n && !w->f->failed; i++) {
        yyjson_val *first = NULL;
        size_t same = mh_sb_items_find(&items, &items.pes[i], &first);
        if (push(w, &items.pes[i])) {
            if (same == 1) /* what is below duplicates is nobody's */
                to_set(w, mh_sb_typing_item(t), items.values[i]);
            add_here(w, w->set);
            w->depth--;
        }
    }
}

static void
map_to_set(struct walker *w, struct mh_sb_typing t, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (mh_sb_map_atomic(t)) {
        add_here(w, w->set);
        return;
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        bool declared = false;
        struct mh_sb_pe pe = field_pe(key);
        struct mh_sb_typing sub = mh_sb_typing_field(t, pe.name, &declared);
        if (!push(w, &pe))
            return;
        to_set(w, sub, item);
        if (!declared || yyjson_is_null(item) ||
            (yyjson_is_obj(item) && yyjson_obj_size(item) == 0))
            add_here(w, w->set);
        w->depth--;
    }
}

static void
to_set(struct walker *w, struct mh_sb_typing t, yyjson_val *v)
{
    switch (mh_sb_atom_of(t, v)) {
    case MH_SB_ATOM_MAP:
        map_to_set(w, t, v);
        break;
    case MH_SB_ATOM_SCALAR:
        add_here(w, w->set);
        break;
    case MH_SB_ATOM_LIST:
        list_to_set(w, t, v);
        break;
    default:
        break;
    }
}

struct mh_sb_set *
mh_sb_typed_set(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v)
{
    struct mh_sb_set *s = mh_sb_set_new(f);
    struct walker *w = mh_arena_alloc(f->arena, sizeof(*w));
    if (!w || f->failed) {
        f->failed = true;
        return s;
    }
    w->f = f;
    w->set = s;
    to_set(w, t, v);
    return s;
}

/* --- comparison ------------------------------------------------------------------------------ */

static void compare(struct walker *w, struct mh_sb_typing t, yyjson_val *l, yyjson_val *r);

static void
compare_leaf(struct walker *w, yyjson_val *l, yyjson_val *r)
{
    if (!l)
        add_here(w, w->cmp.added);
    else if (!r)
        add_here(w, w->cmp.removed);
    else if (!mh_sb_equal(l, r))
        add_here(w, w->cmp.modified);
}

static void
compare_below(struct walker *w, struct mh_sb_typing t, const struct mh_sb_pe *pe, yyjson_val *l,
              yyjson_val *r)
{
    if (push(w, pe)) {
        compare(w, t, l, r);
        w->depth--;
    }
}

static void
mark(struct walker *w, const struct mh_sb_pe *pe, struct mh_sb_set *s)
{
    if (push(w, pe)) {
        add_here(w, s);
        w->depth--;
    }
}

static bool
same_duplicates(const struct mh_sb_items *l, const struct mh_sb_items *r, const struct mh_sb_pe *pe)
{
    size_t j = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (mh_sb_pe_cmp(&l->pes[i], pe))
            continue;
        while (j < r->n && mh_sb_pe_cmp(&r->pes[j], pe))
            j++;
        if (j == r->n || !mh_sb_equal(l->values[i], r->values[j++]))
            return false;
    }
    while (j < r->n && mh_sb_pe_cmp(&r->pes[j], pe))
        j++;
    return j == r->n;
}

static void
compare_item(struct walker *w, struct mh_sb_typing t, const struct mh_sb_items *l,
             const struct mh_sb_items *r, const struct mh_sb_pe *pe)
{
    yyjson_val *lv = NULL;
    yyjson_val *rv = NULL;
    size_t nl = mh_sb_items_find(l, pe, &lv);
    size_t nr = mh_sb_items_find(r, pe, &rv);
    struct mh_sb_typing item = mh_sb_typing_item(t);
    if (nl <= 1 && nr <= 1) {
        compare_below(w, item, pe, lv, rv);
    } else if (nl >= 2 && nr >= 2) {
        if (!same_duplicates(l, r, pe))
            mark(w, pe, w->cmp.modified);
    } else if (nl >= 2) {
        if (nr)
            compare_below(w, item, pe, NULL, rv);
        mark(w, pe, w->cmp.removed);
    } else {
        if (nl)
            compare_below(w, item, pe, lv, NULL);
        mark(w, pe, w->cmp.added);
    }
}

static void
compare_lists(struct walker *w, struct mh_sb_typing t, yyjson_val *l, yyjson_val *r)
{
    struct mh_sb_items li = mh_sb_items_of(w->f, t, l);
    struct mh_sb_items ri = mh_sb_items_of(w->f, t, r);
    yyjson_val *first = NULL;
    for (size_t i = 0; i < li.n && !w->f->failed; i++) {
        mh_sb_items_find(&li, &li.pes[i], &first);
        if (first == li.values[i])
            compare_item(w, t, &li, &ri, &li.pes[i]);
    }
    for (size_t i = 0; i < ri.n && !w->f->failed; i++) {
        mh_sb_items_find(&ri, &ri.pes[i], &first);
        if (first == ri.values[i] && !mh_sb_items_find(&li, &ri.pes[i], &first))
            compare_item(w, t, &li, &ri, &ri.pes[i]);
    }
}

static void
compare_maps(struct walker *w, struct mh_sb_typing t, yyjson_val *l, yyjson_val *r)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    bool declared = false;
    yyjson_obj_foreach(mh_sb_obj_or_none(l), i, max, key, item)
    {
        struct mh_sb_pe pe = field_pe(key);
        compare_below(w, mh_sb_typing_field(t, pe.name, &declared), &pe, item,
                      yyjson_obj_get(r, pe.name));
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(r), i, max, key, item)
    {
        struct mh_sb_pe pe = field_pe(key);
        if (!yyjson_obj_get(l, pe.name))
            compare_below(w, mh_sb_typing_field(t, pe.name, &declared), &pe, NULL, item);
    }
}

static size_t
size_of(yyjson_val *v)
{
    return yyjson_is_arr(v) ? yyjson_arr_size(v) : yyjson_obj_size(v);
}

/* True if the value was one leaf. */
static bool
compare_as(struct walker *w, struct mh_sb_typing t, enum mh_sb_atom atom, yyjson_val *l,
           yyjson_val *r)
{
    bool map = atom == MH_SB_ATOM_MAP;
    yyjson_val *left = (map ? yyjson_is_obj(l) : yyjson_is_arr(l)) ? l : NULL;
    yyjson_val *right = (map ? yyjson_is_obj(r) : yyjson_is_arr(r)) ? r : NULL;
    bool atomic = map ? mh_sb_map_atomic(t) : mh_sb_list_atomic(t);
    if (atom == MH_SB_ATOM_SCALAR || atomic || (!size_of(left) && !size_of(right))) {
        compare_leaf(w, l, r);
        return true;
    }
    if (map)
        compare_maps(w, t, left, right);
    else
        compare_lists(w, t, left, right);
    return false;
}

static void
compare(struct walker *w, struct mh_sb_typing t, yyjson_val *l, yyjson_val *r)
{
    enum mh_sb_atom left = mh_sb_atom_of(t, l);
    enum mh_sb_atom right = mh_sb_atom_of(t, r);
    if ((!l && !r) || left == MH_SB_ATOM_BAD)
        return;
    if (l && r && left != right)
        compare_as(w, t, left, l, r);
    bool leaf = compare_as(w, t, r ? right : left, l, r);
    if (!leaf && !l)
        add_here(w, w->cmp.added);
    else if (!leaf && !r)
        add_here(w, w->cmp.removed);
}

struct mh_sb_comparison
mh_sb_typed_compare(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *left,
                    yyjson_val *right)
{
    struct mh_sb_comparison cmp = { mh_sb_set_new(f), mh_sb_set_new(f), mh_sb_set_new(f) };
    struct walker *w = mh_arena_alloc(f->arena, sizeof(*w));
    if (!w || f->failed) {
        f->failed = true;
        return cmp;
    }
    w->f = f;
    w->cmp = cmp;
    compare(w, t, left, right);
    return cmp;
}

/* --- merging --------------------------------------------------------------------------------- */

static yyjson_mut_val *merge(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *l,
                             yyjson_val *r);

static yyjson_mut_val *
copy(struct mh_sb_fields *f, yyjson_val *v)
{
    yyjson_mut_val *out = v ? yyjson_val_mut_copy(f->doc, v) : NULL;
    if (v && !out)
        f->failed = true;
    return out;
}

static void
add_item(struct mh_sb_fields *f, yyjson_mut_val *list, yyjson_mut_val *v)
{
    if (v && !yyjson_mut_arr_append(list, v))
        f->failed = true;
}

static void
add_field(struct mh_sb_fields *f, yyjson_mut_val *obj, yyjson_val *key, yyjson_mut_val *v)
{
    yyjson_mut_val *k = yyjson_mut_strncpy(f->doc, yyjson_get_str(key), yyjson_get_len(key));
    if (v && (!k || !yyjson_mut_obj_add(obj, k, v)))
        f->failed = true;
}

/* The item of the other list to merge with: none where that list has several. */
static yyjson_val *
single(const struct mh_sb_items *items, const struct mh_sb_pe *pe)
{
    yyjson_val *first = NULL;
    return mh_sb_items_find(items, pe, &first) == 1 ? first : NULL;
}

static bool
has(const struct mh_sb_items *items, const struct mh_sb_pe *pe)
{
    yyjson_val *first = NULL;
    return mh_sb_items_find(items, pe, &first) > 0;
}

/* Next item of right, from i on, that left has too. */
static size_t
next_shared(const struct mh_sb_items *l, const struct mh_sb_items *r, size_t i)
{
    while (i < r->n && !has(l, &r->pes[i]))
        i++;
    return i;
}

/* Items of left keep their places, those of right their order among each other. */
static yyjson_mut_val *
merge_lists(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *left, yyjson_val *right)
{
    struct mh_sb_items l = mh_sb_items_of(f, t, left);
    struct mh_sb_items r = mh_sb_items_of(f, t, right);
    struct mh_sb_typing item = mh_sb_typing_item(t);
    yyjson_mut_val *out = yyjson_mut_arr(f->doc);
    bool *merged = mh_arena_alloc(f->arena, r.n + 1);
    size_t shared = next_shared(&l, &r, 0);
    if (!out || !merged || f->failed) {
        f->failed = true;
        return NULL;
    }
    for (size_t i = 0, j = 0; !f->failed && (i < l.n || j < r.n);) {
        if (i < l.n && j < r.n) {
            if (mh_sb_pe_cmp(&l.pes[i], &r.pes[j]) == 0) {
                merged[j] = true;
                add_item(f, out, merge(f, item, single(&l, &l.pes[i]), r.values[j]));
                i++;
                j++;
                shared = next_shared(&l, &r, shared + 1);
                continue;
            }
            if (has(&r, &l.pes[i]) && shared < r.n && mh_sb_pe_cmp(&r.pes[shared], &l.pes[i])) {
                i++; /* both have it, but its turn is later */
                continue;
            }
        }
        if (i < l.n) {
            size_t k = 0;
            while (k < r.n && mh_sb_pe_cmp(&r.pes[k], &l.pes[i]))
                k++;
            if (k == r.n) {
                add_item(f, out, merge(f, item, l.values[i++], NULL));
                continue;
            }
            if (merged[k])
                i++;
        }
        if (j < r.n) {
            merged[j] = true;
            add_item(f, out, merge(f, item, single(&l, &r.pes[j]), r.values[j]));
            if (shared < r.n && mh_sb_pe_cmp(&r.pes[shared], &r.pes[j]) == 0)
                shared = next_shared(&l, &r, shared + 1);
            j++;
        }
    }
    return yyjson_mut_arr_size(out) ? out : NULL;
}

static yyjson_mut_val *
merge_maps(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *left, yyjson_val *right)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    bool declared = false;
    yyjson_mut_val *out = yyjson_mut_obj(f->doc);
    if (!out) {
        f->failed = true;
        return NULL;
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(left), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        add_field(
            f, out, key,
            merge(f, mh_sb_typing_field(t, name, &declared), item, yyjson_obj_get(right, name)));
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(right), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        if (!yyjson_obj_get(left, name))
            add_field(f, out, key, merge(f, mh_sb_typing_field(t, name, &declared), NULL, item));
    }
    return yyjson_mut_obj_size(out) ? out : NULL;
}

static yyjson_mut_val *
merge(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *l, yyjson_val *r)
{
    enum mh_sb_atom atom = mh_sb_atom_of(t, r ? r : l);
    bool map = atom == MH_SB_ATOM_MAP;
    yyjson_val *left = (map ? yyjson_is_obj(l) : yyjson_is_arr(l)) ? l : NULL;
    yyjson_val *right = (map ? yyjson_is_obj(r) : yyjson_is_arr(r)) ? r : NULL;
    if (f->failed || (!l && !r))
        return NULL;
    bool atomic = map ? mh_sb_map_atomic(t) : mh_sb_list_atomic(t);
    if (atom == MH_SB_ATOM_SCALAR || atom == MH_SB_ATOM_BAD || atomic ||
        (!size_of(left) && !size_of(right)))
        return copy(f, r ? r : l);
    return map ? merge_maps(f, t, left, right) : merge_lists(f, t, left, right);
}

static yyjson_val *
frozen(struct mh_sb_fields *f, yyjson_mut_val *v)
{
    yyjson_val *out = v ? mh_sb_freeze(f->arena, v) : NULL;
    if (v && !out)
        f->failed = true;
    return out;
}

yyjson_val *
mh_sb_typed_merge(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *left,
                  yyjson_val *right)
{
    return frozen(f, merge(f, t, left, right));
}

/* --- removing -------------------------------------------------------------------------------- */

static yyjson_mut_val *remove_from(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                                   const struct mh_sb_set *set);

/* null where nothing is left, as the real one. */
static yyjson_mut_val *
removed_or_null(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                const struct mh_sb_set *set)
{
    if (mh_sb_set_empty(set))
        return copy(f, v);
    yyjson_mut_val *out = remove_from(f, t, v, set);
    return out ? out : yyjson_mut_null(f->doc);
}

static yyjson_mut_val *
remove_from_list(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                 const struct mh_sb_set *set)
{
    yyjson_mut_val *out = yyjson_mut_arr(f->doc);
    if (!yyjson_is_arr(v) || mh_sb_list_atomic(t))
        return NULL;
    struct mh_sb_items items = mh_sb_items_of(f, t, v);
    for (size_t i = 0; i < items.n && !f->failed; i++) {
        if (!mh_sb_set_has(set, &items.pes[i]))
            add_item(f, out,
                     removed_or_null(f, mh_sb_typing_item(t), items.values[i],
                                     mh_sb_set_below(set, &items.pes[i])));
    }
    return yyjson_mut_arr_size(out) ? out : NULL;
}

static yyjson_mut_val *
remove_from_map(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                const struct mh_sb_set *set)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_mut_val *out = yyjson_mut_obj(f->doc);
    if (!yyjson_is_obj(v) || mh_sb_map_atomic(t))
        return NULL;
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        bool declared = false;
        struct mh_sb_pe pe = field_pe(key);
        if (!mh_sb_set_has(set, &pe) && !f->failed)
            add_field(f, out, key,
                      removed_or_null(f, mh_sb_typing_field(t, pe.name, &declared), item,
                                      mh_sb_set_below(set, &pe)));
    }
    return yyjson_mut_obj_size(out) ? out : NULL;
}

static yyjson_mut_val *
remove_from(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
            const struct mh_sb_set *set)
{
    switch (mh_sb_atom_of(t, v)) {
    case MH_SB_ATOM_MAP:
        return remove_from_map(f, t, v, set);
    case MH_SB_ATOM_LIST:
        return remove_from_list(f, t, v, set);
    default:
        return copy(f, v);
    }
}

yyjson_val *
mh_sb_typed_remove(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                   const struct mh_sb_set *remove)
{
    return frozen(f, remove_from(f, t, v, remove));
}

struct mh_sb_set *
mh_sb_typed_ensure(struct mh_sb_fields *f, struct mh_sb_typing t, const struct mh_sb_set *s)
{
    struct mh_sb_set *out = mh_sb_set_new(f);
    for (size_t i = 0; i < s->nmembers; i++)
        mh_sb_set_insert(f, out, &s->members[i], 1);
    if (f->failed || !s->nchildren)
        return out;
    out->children = mh_arena_alloc(f->arena, s->nchildren * sizeof(*out->children));
    if (!out->children) {
        f->failed = true;
        return out;
    }
    out->children_size = s->nchildren;
    for (size_t i = 0; i < s->nchildren && !f->failed; i++) {
        const struct mh_sb_pe *pe = &s->children[i].pe;
        struct mh_sb_typing sub = { .kind = MH_SB_UNDECLARED };
        bool declared = false;
        if (pe->kind == MH_SB_PE_FIELD && mh_sb_typing_has(t, MH_SB_ATOM_MAP))
            sub = mh_sb_typing_field(t, pe->name, &declared);
        else if (pe->kind == MH_SB_PE_KEY && mh_sb_typing_has(t, MH_SB_ATOM_LIST))
            sub = mh_sb_typing_item(t);
        if (declared)
            mh_sb_set_insert(f, out, pe, 1);
        out->children[out->nchildren++] =
            (struct mh_sb_set_node){ *pe, mh_sb_typed_ensure(f, sub, s->children[i].set) };
    }
    return out;
}
