/* Tables of objects and their last changes. */
#include "sandbox/store.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define DEPENDENTS_MAX (4u << 20)

uint64_t
mh_sb_hash(const char *s)
{
    uint64_t h = 1469598103934665603ULL;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ULL;
    return h;
}

void
mh_sb_store_init(struct mh_sb_store *s, size_t ring)
{
    *s = (struct mh_sb_store){ .ring = ring ? ring : MH_SB_CHANGES };
    mh_map_init(&s->dependents, DEPENDENTS_MAX);
}

void
mh_sb_store_release(struct mh_sb_store *s)
{
    mh_map_release(&s->dependents);
}

void
mh_sb_table_init(struct mh_sb_table *t, struct mh_sb_store *s)
{
    *t = (struct mh_sb_table){ .ring = s->ring, .compacted = s->version };
}

/* --- who names whom as owner ----------------------------------------------------------------- */

struct owner_key {
    char text[20];
};

static struct owner_key
owner_key(uint64_t uid)
{
    struct owner_key k;
    (void)snprintf(k.text, sizeof(k.text), "%llx", (unsigned long long)uid);
    return k;
}

static bool
count_owner(struct mh_sb_store *s, uint64_t uid, int by)
{
    struct owner_key k = owner_key(uid);
    intptr_t n = (intptr_t)mh_map_get(&s->dependents, k.text) + by;
    if (n > 0)
        return mh_map_put(&s->dependents, k.text, (void *)n, NULL); /* NOLINT: a count */
    (void)mh_map_remove(&s->dependents, k.text);
    return true;
}

/* The object comes into the table (by 1) or leaves it (-1). */
static bool
count_object(struct mh_sb_store *s, const struct mh_sb_obj *o, int by)
{
    for (int i = 0; i < o->nowners; i++) {
        if (!count_owner(s, o->owners[i], by)) {
            while (i-- > 0)
                (void)count_owner(s, o->owners[i], -by);
            return false;
        }
    }
    s->objects = by > 0 ? s->objects + 1 : s->objects - 1;
    s->bytes = by > 0 ? s->bytes + o->len : s->bytes - o->len;
    return true;
}

bool
mh_sb_has_dependents(const struct mh_sb_store *s, uint64_t uid)
{
    struct owner_key k = owner_key(uid);
    return mh_map_get(&s->dependents, k.text) != NULL;
}

/* --- objects --------------------------------------------------------------------------------- */

struct mh_sb_obj *
mh_sb_obj_new(const struct mh_sb_facts *f, uint64_t version, const char *text, size_t len)
{
    size_t key = strlen(f->key) + 1;
    size_t owners = (size_t)f->nowners * sizeof(uint64_t);
    struct mh_sb_obj *o = mh_malloc(sizeof(*o) + owners + key + len + 1);
    if (!o)
        return NULL;
    char *at = (char *)o + sizeof(*o) + owners;
    *o = (struct mh_sb_obj){ .refs = 1,
                             .len = (uint32_t)len,
                             .version = version,
                             .key = at,
                             .text = at + key,
                             .uid = f->uid ? mh_sb_hash(f->uid) : 0,
                             .nowners = (uint8_t)f->nowners,
                             .deleting = f->deleting };
    for (int i = 0; i < f->nowners; i++)
        o->owners[i] = mh_sb_hash(f->owners[i]);
    memcpy(at, f->key, key);
    memcpy(at + key, text, len);
    at[key + len] = '\0';
    return o;
}

struct mh_sb_obj *
mh_sb_obj_ref(struct mh_sb_obj *o)
{
    o->refs++;
    return o;
}

void
mh_sb_obj_unref(struct mh_sb_obj *o)
{
    if (o && --o->refs == 0)
        mh_free(o);
}

/* --- tables ---------------------------------------------------------------------------------- */

static size_t
seek(struct mh_sb_obj *const *items, size_t len, const char *key)
{
    size_t lo = 0;
    size_t hi = len;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(items[mid]->key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t
mh_sb_table_seek(const struct mh_sb_table *t, const char *key)
{
    return seek(t->items, t->len, key);
}

static bool
is_at(struct mh_sb_obj *const *items, size_t len, size_t i, const char *key)
{
    return i < len && strcmp(items[i]->key, key) == 0;
}

struct mh_sb_obj *
mh_sb_table_get(const struct mh_sb_table *t, const char *key)
{
    size_t i = mh_sb_table_seek(t, key);
    return is_at(t->items, t->len, i, key) ? t->items[i] : NULL;
}

const struct mh_sb_change *
mh_sb_table_change(const struct mh_sb_table *t, size_t i)
{
    return &t->changes[(t->first + i) % t->ring];
}

static void
forget_oldest(struct mh_sb_table *t)
{
    struct mh_sb_change *c = &t->changes[t->first];
    t->compacted = c->version;
    mh_sb_obj_unref(c->now);
    mh_sb_obj_unref(c->before);
    *c = (struct mh_sb_change){ 0 };
    t->first = (t->first + 1) % t->ring;
    t->nchanges--;
}

static bool
room_for_change(struct mh_sb_table *t)
{
    if (!t->changes)
        t->changes = mh_calloc(t->ring, sizeof(*t->changes));
    return t->changes != NULL;
}

/* References of now and before are taken. */
static void
remember(struct mh_sb_table *t, struct mh_sb_change c)
{
    if (t->nchanges == t->ring)
        forget_oldest(t);
    t->changes[(t->first + t->nchanges) % t->ring] = c;
    t->nchanges++;
    t->changed = c.version;
}

static bool
room_for_item(struct mh_sb_table *t)
{
    if (t->len < t->size)
        return true;
    size_t size = t->size ? t->size * 2 : 16;
    struct mh_sb_obj **items = mh_realloc(t->items, size * sizeof(struct mh_sb_obj *));
    if (!items)
        return false;
    t->items = items;
    t->size = size;
    return true;
}

bool
mh_sb_table_put(struct mh_sb_table *t, struct mh_sb_store *s, struct mh_sb_obj *o)
{
    size_t i = mh_sb_table_seek(t, o->key);
    bool there = is_at(t->items, t->len, i, o->key);
    if (!room_for_item(t) || !room_for_change(t) || !count_object(s, o, 1))
        return false;
    struct mh_sb_obj *before = NULL;
    if (there) {
        before = t->items[i];
        (void)count_object(s, before, -1);
    } else {
        memmove(&t->items[i + 1], &t->items[i], (t->len - i) * sizeof(struct mh_sb_obj *));
        t->len++;
    }
    t->items[i] = o;
    remember(t, (struct mh_sb_change){
                    .version = o->version, .now = mh_sb_obj_ref(o), .before = before });
    return true;
}

bool
mh_sb_table_rewrite(struct mh_sb_table *t, struct mh_sb_store *s, size_t i, struct mh_sb_obj *o)
{
    if (!count_object(s, o, 1))
        return false;
    (void)count_object(s, t->items[i], -1);
    mh_sb_obj_unref(t->items[i]);
    t->items[i] = o;
    o->rewritten = true;
    return true;
}

bool
mh_sb_table_remove(struct mh_sb_table *t, struct mh_sb_store *s, struct mh_sb_obj *last)
{
    size_t i = mh_sb_table_seek(t, last->key);
    if (!is_at(t->items, t->len, i, last->key) || !room_for_change(t))
        return false;
    struct mh_sb_obj *before = t->items[i];
    (void)count_object(s, before, -1);
    t->len--;
    memmove(&t->items[i], &t->items[i + 1], (t->len - i) * sizeof(struct mh_sb_obj *));
    remember(t, (struct mh_sb_change){
                    .version = last->version, .now = last, .before = before, .removed = true });
    return true;
}

bool
mh_sb_table_since(const struct mh_sb_table *t, uint64_t version, size_t *i)
{
    if (version < t->compacted)
        return false;
    size_t lo = 0;
    size_t hi = t->nchanges;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (mh_sb_table_change(t, mid)->version <= version)
            lo = mid + 1;
        else
            hi = mid;
    }
    *i = lo;
    return true;
}

void
mh_sb_table_compact(struct mh_sb_table *t, const struct mh_sb_store *s)
{
    while (t->nchanges)
        forget_oldest(t);
    t->compacted = s->version;
}

/* Undoes one change in the copied array, which has room for one more. */
static size_t
undo(struct mh_sb_obj **items, size_t len, const struct mh_sb_change *c)
{
    size_t i = seek(items, len, c->now->key);
    bool there = is_at(items, len, i, c->now->key);
    if (there)
        mh_sb_obj_unref(items[i]);
    if (there && !c->before) {
        memmove(&items[i], &items[i + 1], (len - i - 1) * sizeof(*items));
        return len - 1;
    }
    if (!there && c->before) {
        memmove(&items[i + 1], &items[i], (len - i) * sizeof(*items));
        len++;
    }
    if (c->before)
        items[i] = mh_sb_obj_ref(c->before);
    return len;
}

bool
mh_sb_table_at(const struct mh_sb_table *t, uint64_t version, struct mh_sb_obj ***items,
               size_t *len, bool *gone)
{
    size_t from = 0;
    *gone = !mh_sb_table_since(t, version, &from);
    if (*gone)
        return false;
    size_t undone = t->nchanges - from;
    struct mh_sb_obj **copy = mh_malloc((t->len + undone + 1) * sizeof(struct mh_sb_obj *));
    if (!copy)
        return false;
    for (size_t i = 0; i < t->len; i++)
        copy[i] = mh_sb_obj_ref(t->items[i]);
    *len = t->len;
    for (size_t i = t->nchanges; i > from; i--)
        *len = undo(copy, *len, mh_sb_table_change(t, i - 1));
    *items = copy;
    return true;
}

void
mh_sb_table_release(struct mh_sb_table *t, struct mh_sb_store *s)
{
    while (t->nchanges)
        forget_oldest(t);
    for (size_t i = 0; i < t->len; i++) {
        (void)count_object(s, t->items[i], -1);
        mh_sb_obj_unref(t->items[i]);
    }
    mh_free(t->items);
    mh_free(t->changes);
    *t = (struct mh_sb_table){ 0 };
}
