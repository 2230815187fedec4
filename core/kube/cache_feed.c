/* How the cache takes in what watches and our own writes say. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "kube/cache_impl.h"

#define SCRATCH ((size_t)64 << 20)

/* --- entries --------------------------------------------------------------------------------- */

struct mh_cache_store *
mh_cache_store_of(const struct mh_cache *c, const struct mh_kind *kind)
{
    for (struct mh_cache_store *s = c->stores; s; s = s->next) {
        if (s->kind == kind)
            return s;
    }
    return NULL;
}

bool
mh_cache_unknown_key(char out[MH_CACHE_UNKNOWN_KEY], const struct mh_kind *kind, const char *key)
{
    int n = snprintf(out, MH_CACHE_UNKNOWN_KEY, "%s %s", kind->key, key);
    return n > 0 && n < MH_CACHE_UNKNOWN_KEY;
}

void
mh_cache_known(struct mh_cache *c, const struct mh_kind *kind, const char *key)
{
    char k[MH_CACHE_UNKNOWN_KEY];
    if (c->unknown.len > 0 && mh_cache_unknown_key(k, kind, key))
        (void)mh_map_remove(&c->unknown, k);
}

static bool
index_entry(struct mh_cache *c, struct mh_cache_entry *e)
{
    if (!e->cluster)
        return true;
    struct mh_cache_entry *first = mh_map_get(&c->clusters, e->cluster);
    e->next = first;
    e->prev = NULL;
    if (!mh_map_put(&c->clusters, e->cluster, e, NULL))
        return false;
    if (first)
        first->prev = e;
    return true;
}

static void
unindex_entry(struct mh_cache *c, struct mh_cache_entry *e)
{
    if (!e->cluster)
        return;
    if (e->next)
        e->next->prev = e->prev;
    if (e->prev)
        e->prev->next = e->next;
    else if (e->next)
        (void)mh_map_put(&c->clusters, e->cluster, e->next, NULL); /* replaces: no memory needed */
    else
        (void)mh_map_remove(&c->clusters, e->cluster);
}

static void
account(struct mh_cache *c, const struct mh_cache_entry *e, bool in)
{
    size_t n = sizeof(*e) + e->kept_len;
    c->count += in ? 1 : (size_t)-1;
    c->bytes += in ? n : -n;
}

static void
report(struct mh_cache *c, const struct mh_cache_entry *old, const struct mh_cache_entry *now)
{
    const struct mh_cache_entry *e = now ? now : old;
    struct mh_arena a;
    if (!c->on_change)
        return;
    mh_arena_init(&a, SCRATCH);
    /* Without memory for a value the change is told with what there is; a reader asks the cache. */
    yyjson_val *was = old ? mh_cache_entry_value(old, &a) : NULL;
    yyjson_val *is = now ? mh_cache_entry_value(now, &a) : NULL;
    c->on_change(c->arg, e->kind, e->ns, e->name, was, is);
    mh_arena_release(&a);
}

bool
mh_cache_put(struct mh_cache *c, struct mh_cache_feed *s, struct mh_cache_entry *e)
{
    void *old = NULL;
    e->source = s;
    if (!index_entry(c, e)) {
        mh_cache_entry_free(e);
        return false;
    }
    if (!mh_map_put(&s->store->entries, e->key, e, &old)) {
        unindex_entry(c, e);
        mh_cache_entry_free(e);
        return false;
    }
    account(c, e, true);
    if (old) {
        unindex_entry(c, old);
        account(c, old, false);
    }
    mh_cache_known(c, e->kind, e->key);
    report(c, old, e);
    mh_cache_entry_free(old);
    return true;
}

void
mh_cache_take_out(struct mh_cache *c, struct mh_cache_store *s, const char *key)
{
    struct mh_cache_entry *e = mh_map_remove(&s->entries, key);
    if (!e)
        return;
    unindex_entry(c, e);
    account(c, e, false);
    mh_cache_known(c, e->kind, e->key);
    report(c, e, NULL);
    mh_cache_entry_free(e);
}

void
mh_cache_spoiled(struct mh_cache_feed *s, const char *what)
{
    s->dirty = true;
    mh_warn("cache", "an object could not be kept, the kind is listed again", "kind",
            s->store->kind->key, "name", what);
}

/* --- lists ----------------------------------------------------------------------------------- */

void
mh_cache_drop_staged(struct mh_cache_feed *s)
{
    for (size_t i = 0; i < s->staged.len; i++)
        mh_cache_entry_free(s->staged.entries[i].value);
    mh_map_release(&s->staged);
    mh_map_init(&s->staged, MH_CACHE_OBJECTS_MAX);
}

static void
stage(struct mh_cache_feed *s, struct mh_cache_entry *e)
{
    void *old = NULL;
    if (!mh_map_put(&s->staged, e->key, e, &old)) {
        mh_cache_spoiled(s, e->key);
        mh_cache_entry_free(e);
        return;
    }
    mh_cache_entry_free(old);
}

/* Did we write it after this list began? Then the list may be the older of the two. */
static bool
written_since(const struct mh_cache_feed *s, const struct mh_cache_entry *e)
{
    return e->own_write == s->lists;
}

/* What is in the store and not in the list is gone. Keys are collected first: removal moves
 * entries about, and on_change may come back to us. */
static void
drop_missing(struct mh_cache_feed *s)
{
    struct mh_map *live = &s->store->entries;
    for (size_t i = live->len; i > 0; i--) {
        if (i > live->len)
            continue;
        struct mh_cache_entry *e = live->entries[i - 1].value;
        if (e->source == s && e->listed != s->lists && !written_since(s, e)) {
            char key[MH_CACHE_KEY];
            mh_str_copy(key, sizeof(key), e->key);
            mh_cache_take_out(s->cache, s->store, key);
        }
    }
}

/* What on_change does may begin the watch anew, so the list is taken out of the source first. */
static void
swap(struct mh_cache_feed *s)
{
    struct mh_map list = s->staged;
    if (!s->listing || s->dirty)
        return;
    mh_map_init(&s->staged, MH_CACHE_OBJECTS_MAX);
    s->listing = false;
    for (size_t i = 0; i < list.len; i++) {
        struct mh_cache_entry *e = list.entries[i].value;
        struct mh_cache_entry *old = mh_map_get(&s->store->entries, e->key);
        bool keep = old && ((strcmp(old->uid, e->uid) == 0 && old->version == e->version) ||
                            (written_since(s, old) && old->version >= e->version));
        e->listed = s->lists;
        if (keep) {
            old->listed = s->lists;
            mh_cache_known(s->cache, e->kind, e->key);
            mh_cache_entry_free(e);
        } else if (!mh_cache_put(s->cache, s, e)) {
            mh_cache_spoiled(s, list.entries[i].key);
        }
    }
    mh_map_release(&list);
    if (!s->dirty) {
        drop_missing(s);
        s->synced = true;
    }
}

/* --- events ---------------------------------------------------------------------------------- */

static void
arrived(struct mh_cache_feed *s, yyjson_val *object)
{
    struct mh_cache_store *st = s->store;
    struct mh_cache_entry *e = mh_cache_entry_new(st, object);
    if (!e) {
        mh_cache_spoiled(s, mh_json_str(object, "metadata", "name", NULL));
        return;
    }
    if (s->listing) {
        stage(s, e);
        return;
    }
    struct mh_cache_entry *old = mh_map_get(&st->entries, e->key);
    /* What we wrote ourselves is newer than events of its predecessor that are still on the way. */
    bool late = old && old->own_write && e->version && e->version < old->version;
    if (late || (old && mh_cache_entry_same_or_older(e, old))) {
        if (old->version == e->version) {
            old->own_write = 0;
            mh_cache_known(s->cache, e->kind, e->key);
        }
        mh_cache_entry_free(e);
        return;
    }
    char name[MH_CACHE_KEY];
    mh_str_copy(name, sizeof(name), e->key);
    if (!mh_cache_put(s->cache, s, e))
        mh_cache_spoiled(s, name);
}

/* Also of an object that a selector no longer takes: what is written to it later has a newer version. */
static void
bury(struct mh_cache *c, yyjson_val *object)
{
    const char *version = mh_json_str(object, "metadata", "resourceVersion", NULL);
    int64_t number = 0;
    struct mh_cache_buried *b = &c->buried[c->nburied++ % MH_CACHE_BURIED];
    mh_str_copy(b->uid, sizeof(b->uid), mh_json_str(object, "metadata", "uid", NULL));
    b->version = mh_str_int(version ? version : "", 0, INT64_MAX, &number) ? (uint64_t)number : 0;
}

bool
mh_cache_is_buried(const struct mh_cache *c, const struct mh_cache_entry *e)
{
    for (size_t i = 0; i < MH_CACHE_BURIED && i < c->nburied; i++) {
        if (e->uid && *e->uid && strcmp(c->buried[i].uid, e->uid) == 0 &&
            e->version <= c->buried[i].version)
            return true;
    }
    return false;
}

static void
deleted(struct mh_cache_feed *s, yyjson_val *object)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *uid = mh_json_str(object, "metadata", "uid", NULL);
    char key[MH_CACHE_KEY];
    if (!name || !mh_cache_key(key, s->store->kind, ns, name))
        return;
    bury(s->cache, object);
    struct mh_cache_entry *old = mh_map_get(&s->store->entries, key);
    if (old && (!uid || strcmp(old->uid, uid) == 0))
        mh_cache_take_out(s->cache, s->store, key);
    else if (!old)
        mh_cache_known(s->cache, s->store->kind, key);
}

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct mh_cache_feed *s = arg;
    /* Not at once after the failure, or a machine without memory would list without a pause. */
    if (s->dirty && !s->listing) {
        (void)mh_cache_begin_watch(s);
        return;
    }
    switch (kind) {
    case MH_WATCH_RELIST:
        mh_cache_drop_staged(s);
        s->listing = true;
        s->lists++;
        break;
    case MH_WATCH_ADDED:
    case MH_WATCH_MODIFIED:
        if (!s->dirty)
            arrived(s, object);
        break;
    case MH_WATCH_DELETED:
        deleted(s, object);
        break;
    case MH_WATCH_SYNCED:
        swap(s);
        s->listing = false;
        break;
    case MH_WATCH_LOST:
        break;
    }
}

bool
mh_cache_begin_watch(struct mh_cache_feed *s)
{
    struct mh_watch_spec spec = { s->path, on_event, s };
    struct mh_api *api = &s->cache->api;
    struct mh_watch *w = api->watch(api->self, &spec);
    if (!w)
        return false;
    api->unwatch(api->self, s->watch);
    s->watch = w;
    s->listing = false;
    s->dirty = false;
    mh_cache_drop_staged(s);
    return true;
}

void
mh_cache_repair(struct mh_cache *c)
{
    for (struct mh_cache_feed *s = c->sources; s; s = s->next) {
        if (s->dirty)
            (void)mh_cache_begin_watch(s);
    }
}
