#include "kube/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kube/cache_impl.h"

struct mh_cache *
mh_cache_new(struct mh_api api, mh_cache_change_fn on_change, void *arg)
{
    struct mh_cache *c = mh_calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct mh_cache){ .api = api, .on_change = on_change, .arg = arg };
    mh_map_init(&c->clusters, MH_CACHE_OBJECTS_MAX);
    mh_map_init(&c->unknown, 10000);
    return c;
}

static void
free_source(struct mh_cache_feed *s)
{
    if (s->watch)
        s->cache->api.unwatch(s->cache->api.self, s->watch);
    mh_cache_drop_staged(s);
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
        struct mh_cache_feed *s = c->sources;
        c->sources = s->next;
        free_source(s);
    }
    while (c->stores) {
        struct mh_cache_store *s = c->stores;
        c->stores = s->next;
        for (size_t i = 0; i < s->entries.len; i++)
            mh_cache_entry_free(s->entries.entries[i].value);
        mh_map_release(&s->entries);
        mh_cache_model_unref(s->model);
        mh_free(s);
    }
    mh_map_release(&c->clusters);
    mh_map_release(&c->unknown);
    mh_free(c);
}

static struct mh_cache_store *
make_store(struct mh_cache *c, const struct mh_cache_source *from)
{
    struct mh_cache_store *s = mh_cache_store_of(c, from->kind);
    if (s)
        return s;
    s = mh_calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->kind = from->kind;
    s->trim = from->trim;
    s->trim_arg = from->trim_arg;
    mh_map_init(&s->entries, MH_CACHE_OBJECTS_MAX);
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
    struct mh_cache_feed *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return false;
    s->cache = c;
    mh_map_init(&s->staged, MH_CACHE_OBJECTS_MAX);
    s->store = make_store(c, from);
    s->path = source_path(from);
    s->ns = from->name_space ? mh_strdup(from->name_space) : NULL;
    s->selector = from->selector ? mh_strdup(from->selector) : NULL;
    if (!s->store || !s->path || (from->name_space && !s->ns) || (from->selector && !s->selector) ||
        !mh_cache_begin_watch(s)) {
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
    mh_cache_repair(c);
    for (const struct mh_cache_feed *s = c->sources; s; s = s->next) {
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
    struct mh_cache_store *s = mh_cache_store_of(c, kind);
    return s && mh_cache_key(key, kind, ns, name) ? mh_map_get(&s->entries, key) : NULL;
}

yyjson_val *
mh_cache_get(struct mh_cache *c, struct mh_arena *a, const struct mh_kind *kind, const char *ns,
             const char *name, struct mh_err *err)
{
    mh_cache_repair(c);
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
    for (struct mh_cache_store *s = c->stores; s; s = s->next) {
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
    mh_cache_repair(c);
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

static struct mh_cache_feed *
source_for(struct mh_cache *c, const struct mh_kind *kind, yyjson_val *object)
{
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    yyjson_val *labels = mh_json_get(object, "metadata", "labels", NULL);
    for (struct mh_cache_feed *s = c->sources; s; s = s->next) {
        if (s->store->kind == kind && (!s->ns || mh_str_eq(s->ns, ns)) &&
            mh_selector_match(s->selector, labels))
            return s;
    }
    return NULL;
}

void
mh_cache_wrote(struct mh_cache *c, const struct mh_kind *kind, yyjson_val *object)
{
    struct mh_cache_store *st = mh_cache_store_of(c, kind);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    char key[MH_CACHE_KEY];
    if (!name || !mh_cache_key(key, kind, ns, name))
        return;
    mh_cache_known(c, kind, key);
    if (!st)
        return;
    struct mh_cache_feed *s = source_for(c, kind, object);
    struct mh_cache_entry *e = mh_cache_entry_new(st, object);
    struct mh_cache_entry *old = mh_map_get(&st->entries, key);
    if (!e) {
        if (s)
            mh_cache_spoiled(s, key);
    } else if ((old && old->version && e->version && e->version <= old->version) ||
               mh_cache_is_buried(c, e)) {
        mh_cache_entry_free(e);
    } else if (!s) {
        mh_cache_entry_free(e);
        mh_cache_take_out(c, st, key);
    } else {
        e->own_write = s->lists ? s->lists : 1;
        if (!mh_cache_put(c, s, e))
            mh_cache_spoiled(s, key);
    }
}

void
mh_cache_gone(struct mh_cache *c, const struct mh_kind *kind, const char *ns, const char *name,
              const char *uid)
{
    char key[MH_CACHE_KEY];
    struct mh_cache_store *s = mh_cache_store_of(c, kind);
    if (!mh_cache_key(key, kind, ns, name))
        return;
    mh_cache_known(c, kind, key);
    struct mh_cache_entry *e = s ? mh_map_get(&s->entries, key) : NULL;
    if (e && (!uid || strcmp(e->uid, uid) == 0))
        mh_cache_take_out(c, s, key);
}

void
mh_cache_unknown(struct mh_cache *c, const struct mh_kind *kind, const char *ns, const char *name)
{
    char key[MH_CACHE_KEY];
    char k[MH_CACHE_UNKNOWN_KEY];
    if (!mh_cache_key(key, kind, ns, name) || !mh_cache_unknown_key(k, kind, key))
        return;
    if (mh_map_put(&c->unknown, k, c, NULL))
        return;
    for (struct mh_cache_feed *s = c->sources; s; s = s->next) {
        if (s->store->kind == kind)
            s->dirty = true; /* no memory to note it: all of the kind is behind until listed */
    }
}

bool
mh_cache_is_behind(struct mh_cache *c, const struct mh_kind *kind, const char *ns, const char *name)
{
    char key[MH_CACHE_KEY];
    char k[MH_CACHE_UNKNOWN_KEY];
    for (struct mh_cache_feed *s = c->sources; s; s = s->next) {
        if (s->store->kind == kind && s->dirty)
            return true;
    }
    return mh_cache_key(key, kind, ns, name) && mh_cache_unknown_key(k, kind, key) &&
           mh_map_get(&c->unknown, k) != NULL;
}

size_t
mh_cache_count(const struct mh_cache *c, size_t *bytes)
{
    if (bytes)
        *bytes = c->bytes;
    return c->count;
}
