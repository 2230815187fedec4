#include "kube/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "kube/cache_entry.h"

#define OBJECTS_MAX 1000000
#define SCRATCH ((size_t)64 << 20)

/* The objects of one kind. */
struct store {
    struct store *next;
    const struct mh_kind *kind;
    struct mh_map entries; /* by "namespace/name" */
    mh_cache_trim_fn trim;
    void *trim_arg;
};

struct cache_source {
    struct cache_source *next;
    struct mh_cache *cache;
    struct store *store;
    struct mh_watch *watch;
    char *ns;
    char *selector;
    char *path;
    struct mh_map staged; /* of the list under way, by key */
    uint32_t lists;       /* how many were begun */
    bool listing;
    bool synced;
    bool dirty; /* something could not be kept: list again as soon as memory allows */
};

struct mh_cache {
    struct mh_api api;
    mh_cache_change_fn on_change;
    void *arg;
    struct store *stores;
    struct cache_source *sources;
    struct mh_map clusters; /* label cnpg.io/cluster -> first entry */
    struct mh_map unknown;  /* "kind key namespace/name" of writes with unknown outcome */
    size_t count;
    size_t bytes;
};

/* --- entries --------------------------------------------------------------------------------- */

static struct store *
store_of(const struct mh_cache *c, const struct mh_kind *kind)
{
    for (struct store *s = c->stores; s; s = s->next) {
        if (s->kind == kind)
            return s;
    }
    return NULL;
}

static bool
unknown_key(char out[MH_CACHE_KEY + 160], const struct mh_kind *kind, const char *key)
{
    int n = snprintf(out, MH_CACHE_KEY + 160, "%s %s", kind->key, key);
    return n > 0 && n < MH_CACHE_KEY + 160;
}

static void
known(struct mh_cache *c, const struct mh_kind *kind, const char *key)
{
    char k[MH_CACHE_KEY + 160];
    if (c->unknown.len > 0 && unknown_key(k, kind, key))
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
    size_t n = sizeof(*e) + e->json_len;
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

/* Takes e in, in the place of what is there. On failure e is freed. */
static bool
put(struct mh_cache *c, struct cache_source *s, struct mh_cache_entry *e)
{
    void *old = NULL;
    e->source = s;
    if (!index_entry(c, e)) {
        mh_free(e);
        return false;
    }
    if (!mh_map_put(&s->store->entries, e->key, e, &old)) {
        unindex_entry(c, e);
        mh_free(e);
        return false;
    }
    account(c, e, true);
    if (old) {
        unindex_entry(c, old);
        account(c, old, false);
    }
    known(c, e->kind, e->key);
    report(c, old, e);
    mh_free(old);
    return true;
}

static void
take_out(struct mh_cache *c, struct store *s, const char *key)
{
    struct mh_cache_entry *e = mh_map_remove(&s->entries, key);
    if (!e)
        return;
    unindex_entry(c, e);
    account(c, e, false);
    known(c, e->kind, e->key);
    report(c, e, NULL);
    mh_free(e);
}

static void
spoiled(struct cache_source *s, const char *what)
{
    s->dirty = true;
    mh_warn("cache", "an object could not be kept, the kind is listed again", "kind",
            s->store->kind->key, "name", what);
}

/* --- lists ----------------------------------------------------------------------------------- */

static void
drop_staged(struct cache_source *s)
{
    for (size_t i = 0; i < s->staged.len; i++)
        mh_free(s->staged.entries[i].value);
    mh_map_release(&s->staged);
    mh_map_init(&s->staged, OBJECTS_MAX);
}

static void
stage(struct cache_source *s, struct mh_cache_entry *e)
{
    void *old = NULL;
    if (!mh_map_put(&s->staged, e->key, e, &old)) {
        spoiled(s, e->key);
        mh_free(e);
        return;
    }
    mh_free(old);
}

/* Did we write it after this list began? Then the list may be the older of the two. */
static bool
written_since(const struct cache_source *s, const struct mh_cache_entry *e)
{
    return e->own_write == s->lists;
}

/* What is in the store and not in the list is gone. Keys are collected first: removal moves
 * entries about, and on_change may come back to us. */
static void
drop_missing(struct cache_source *s)
{
    struct mh_map *live = &s->store->entries;
    for (size_t i = live->len; i > 0; i--) {
        if (i > live->len)
            continue;
        struct mh_cache_entry *e = live->entries[i - 1].value;
        if (e->source == s && e->listed != s->lists && !written_since(s, e)) {
            char key[MH_CACHE_KEY];
            mh_str_copy(key, sizeof(key), e->key);
            take_out(s->cache, s->store, key);
        }
    }
}

/* What on_change does may begin the watch anew, so the list is taken out of the source first. */
static void
swap(struct cache_source *s)
{
    struct mh_map list = s->staged;
    if (!s->listing || s->dirty)
        return;
    mh_map_init(&s->staged, OBJECTS_MAX);
    s->listing = false;
    for (size_t i = 0; i < list.len; i++) {
        struct mh_cache_entry *e = list.entries[i].value;
        struct mh_cache_entry *old = mh_map_get(&s->store->entries, e->key);
        bool keep = old && ((strcmp(old->uid, e->uid) == 0 && old->version == e->version) ||
                            (written_since(s, old) && old->version >= e->version));
        e->listed = s->lists;
        if (keep) {
            old->listed = s->lists;
            known(s->cache, e->kind, e->key);
            mh_free(e);
        } else if (!put(s->cache, s, e)) {
            spoiled(s, list.entries[i].key);
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
arrived(struct cache_source *s, yyjson_val *object)
{
    struct store *st = s->store;
    struct mh_cache_entry *e = mh_cache_entry_new(st->kind, object, st->trim, st->trim_arg);
    if (!e) {
        spoiled(s, mh_json_str(object, "metadata", "name", NULL));
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
            known(s->cache, e->kind, e->key);
        }
        mh_free(e);
        return;
    }
    char name[MH_CACHE_KEY];
    mh_str_copy(name, sizeof(name), e->key);
    if (!put(s->cache, s, e))
        spoiled(s, name);
}

static void
deleted(struct cache_source *s, yyjson_val *object)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *uid = mh_json_str(object, "metadata", "uid", NULL);
    char key[MH_CACHE_KEY];
    if (!name || !mh_cache_key(key, s->store->kind, ns, name))
        return;
    struct mh_cache_entry *old = mh_map_get(&s->store->entries, key);
    if (old && (!uid || strcmp(old->uid, uid) == 0))
        take_out(s->cache, s->store, key);
    else if (!old)
        known(s->cache, s->store->kind, key);
}

static bool begin_watch(struct cache_source *s);

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct cache_source *s = arg;
    /* Not at once after the failure, or a machine without memory would list without a pause. */
    if (s->dirty && !s->listing) {
        (void)begin_watch(s);
        return;
    }
    switch (kind) {
    case MH_WATCH_RELIST:
        drop_staged(s);
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

static bool
begin_watch(struct cache_source *s)
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
    drop_staged(s);
    return true;
}

/* Begins anew the watches whose objects could not all be kept. */
static void
repair(struct mh_cache *c)
{
    for (struct cache_source *s = c->sources; s; s = s->next) {
        if (s->dirty)
            (void)begin_watch(s);
    }
}

/* --- interface ------------------------------------------------------------------------------- */

struct mh_cache *
mh_cache_new(struct mh_api api, mh_cache_change_fn on_change, void *arg)
{
    struct mh_cache *c = mh_calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct mh_cache){ .api = api, .on_change = on_change, .arg = arg };
    mh_map_init(&c->clusters, OBJECTS_MAX);
    mh_map_init(&c->unknown, 10000);
    return c;
}

static void
free_source(struct cache_source *s)
{
    if (s->watch)
        s->cache->api.unwatch(s->cache->api.self, s->watch);
    drop_staged(s);
    mh_map_release(&s->staged);
    mh_free(s->ns);
    mh_free(s->selector);
    mh_free(s->path);
    mh_free(s);
}

void
mh_cache_free(struct mh_cache *c)
{
    if (!c)
        return;
    while (c->sources) {
        struct cache_source *s = c->sources;
        c->sources = s->next;
        free_source(s);
    }
    while (c->stores) {
        struct store *s = c->stores;
        c->stores = s->next;
        for (size_t i = 0; i < s->entries.len; i++)
            mh_free(s->entries.entries[i].value);
        mh_map_release(&s->entries);
        mh_free(s);
    }
    mh_map_release(&c->clusters);
    mh_map_release(&c->unknown);
    mh_free(c);
}

static struct store *
make_store(struct mh_cache *c, const struct mh_cache_source *from)
{
    struct store *s = store_of(c, from->kind);
    if (s)
        return s;
    s = mh_calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->kind = from->kind;
    s->trim = from->trim;
    s->trim_arg = from->trim_arg;
    mh_map_init(&s->entries, OBJECTS_MAX);
    s->next = c->stores;
    c->stores = s;
    return s;
}

static char *
source_path(const struct mh_cache_source *from)
{
    struct mh_arena a;
    mh_arena_init(&a, 64 << 10);
    char *path = mh_kube_path(&a, from->kind, from->name_space, NULL, NULL);
    if (path && from->selector)
        path = mh_kube_query(&a, path, "labelSelector", from->selector);
    char *copy = path ? mh_strdup(path) : NULL;
    mh_arena_release(&a);
    return copy;
}

bool
mh_cache_add(struct mh_cache *c, const struct mh_cache_source *from)
{
    struct cache_source *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return false;
    s->cache = c;
    mh_map_init(&s->staged, OBJECTS_MAX);
    s->store = make_store(c, from);
    s->path = source_path(from);
    s->ns = from->name_space ? mh_strdup(from->name_space) : NULL;
    s->selector = from->selector ? mh_strdup(from->selector) : NULL;
    if (!s->store || !s->path || (from->name_space && !s->ns) || (from->selector && !s->selector) ||
        !begin_watch(s)) {
        free_source(s);
        return false;
    }
    s->next = c->sources;
    c->sources = s;
    return true;
}

bool
mh_cache_synced(struct mh_cache *c, const struct mh_kind *kind)
{
    bool any = false;
    repair(c);
    for (const struct cache_source *s = c->sources; s; s = s->next) {
        if (kind && s->store->kind != kind)
            continue;
        any = true;
        if (!s->synced)
            return false;
    }
    return any;
}

static struct mh_cache_entry *
find(const struct mh_cache *c, const struct mh_kind *kind, const char *ns, const char *name)
{
    char key[MH_CACHE_KEY];
    struct store *s = store_of(c, kind);
    return s && mh_cache_key(key, kind, ns, name) ? mh_map_get(&s->entries, key) : NULL;
}

yyjson_val *
mh_cache_get(struct mh_cache *c, struct mh_arena *a, const struct mh_kind *kind, const char *ns,
             const char *name, struct mh_err *err)
{
    repair(c);
    struct mh_cache_entry *e = find(c, kind, ns, name);
    yyjson_val *v = e ? mh_cache_entry_value(e, a) : NULL;
    if (!e)
        (void)mh_fail(err, MH_E_NOTFOUND, "%s %s/%s is not there", kind->key, ns ? ns : "", name);
    else if (!v)
        (void)mh_fail(err, MH_E_NOMEM, "no memory for %s %s/%s", kind->key, ns ? ns : "", name);
    return v;
}

static int
by_place(const void *x, const void *y)
{
    const struct mh_cache_entry *const *a = x;
    const struct mh_cache_entry *const *b = y;
    int d = strcmp((*a)->ns, (*b)->ns);
    return d ? d : strcmp((*a)->name, (*b)->name);
}

/* All that match; from the index where the query names a cluster. */
static size_t
gather(struct mh_cache *c, const struct mh_cache_query *q, struct mh_cache_entry **out)
{
    size_t n = 0;
    if (q->cluster) {
        for (struct mh_cache_entry *e = mh_map_get(&c->clusters, q->cluster); e; e = e->next) {
            if (mh_cache_entry_matches(e, q) && ++n && out)
                out[n - 1] = e;
        }
        return n;
    }
    for (struct store *s = c->stores; s; s = s->next) {
        for (size_t i = 0; (!q->kind || s->kind == q->kind) && i < s->entries.len; i++) {
            struct mh_cache_entry *e = s->entries.entries[i].value;
            if (mh_cache_entry_matches(e, q) && ++n && out)
                out[n - 1] = e;
        }
    }
    return n;
}

int
mh_cache_list(struct mh_cache *c, struct mh_arena *a, const struct mh_cache_query *q,
              yyjson_val ***out)
{
    repair(c);
    size_t n = gather(c, q, NULL);
    yyjson_val **values = mh_arena_alloc(a, (n + 1) * sizeof(yyjson_val *));
    struct mh_cache_entry **entries = mh_malloc((n + 1) * sizeof(struct mh_cache_entry *));
    bool ok = values && entries;
    if (ok) {
        n = gather(c, q, entries);
        qsort(entries, n, sizeof(struct mh_cache_entry *), by_place);
    }
    for (size_t i = 0; ok && i < n; i++)
        ok = (values[i] = mh_cache_entry_value(entries[i], a)) != NULL;
    mh_free(entries);
    *out = values;
    return ok ? (int)n : -1;
}

static struct cache_source *
source_for(struct mh_cache *c, const struct mh_kind *kind, yyjson_val *object)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    yyjson_val *labels = mh_json_get(object, "metadata", "labels", NULL);
    for (struct cache_source *s = c->sources; s; s = s->next) {
        if (s->store->kind == kind && (!s->ns || mh_str_eq(s->ns, ns)) &&
            mh_selector_match(s->selector, labels))
            return s;
    }
    return NULL;
}

void
mh_cache_wrote(struct mh_cache *c, const struct mh_kind *kind, yyjson_val *object)
{
    struct store *st = store_of(c, kind);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    char key[MH_CACHE_KEY];
    if (!name || !mh_cache_key(key, kind, ns, name))
        return;
    known(c, kind, key);
    if (!st)
        return;
    struct cache_source *s = source_for(c, kind, object);
    struct mh_cache_entry *e = mh_cache_entry_new(kind, object, st->trim, st->trim_arg);
    struct mh_cache_entry *old = mh_map_get(&st->entries, key);
    if (!e) {
        if (s)
            spoiled(s, key);
    } else if (old && old->version && e->version && e->version <= old->version) {
        mh_free(e);
    } else if (!s) {
        mh_free(e);
        take_out(c, st, key);
    } else {
        e->own_write = s->lists ? s->lists : 1;
        if (!put(c, s, e))
            spoiled(s, key);
    }
}

void
mh_cache_gone(struct mh_cache *c, const struct mh_kind *kind, const char *ns, const char *name,
              const char *uid)
{
    char key[MH_CACHE_KEY];
    struct store *s = store_of(c, kind);
    if (!mh_cache_key(key, kind, ns, name))
        return;
    known(c, kind, key);
    struct mh_cache_entry *e = s ? mh_map_get(&s->entries, key) : NULL;
    if (e && (!uid || strcmp(e->uid, uid) == 0))
        take_out(c, s, key);
}

void
mh_cache_unknown(struct mh_cache *c, const struct mh_kind *kind, const char *ns, const char *name)
{
    char key[MH_CACHE_KEY];
    char k[MH_CACHE_KEY + 160];
    if (!mh_cache_key(key, kind, ns, name) || !unknown_key(k, kind, key))
        return;
    if (mh_map_put(&c->unknown, k, c, NULL))
        return;
    for (struct cache_source *s = c->sources; s; s = s->next) {
        if (s->store->kind == kind)
            s->dirty = true; /* no memory to note it: all of the kind is behind until listed */
    }
}

bool
mh_cache_is_behind(struct mh_cache *c, const struct mh_kind *kind, const char *ns, const char *name)
{
    char key[MH_CACHE_KEY];
    char k[MH_CACHE_KEY + 160];
    for (struct cache_source *s = c->sources; s; s = s->next) {
        if (s->store->kind == kind && s->dirty)
            return true;
    }
    return mh_cache_key(key, kind, ns, name) && unknown_key(k, kind, key) &&
           mh_map_get(&c->unknown, k) != NULL;
}

size_t
mh_cache_count(const struct mh_cache *c, size_t *bytes)
{
    if (bytes)
        *bytes = c->bytes;
    return c->count;
}
