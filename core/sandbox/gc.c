/* Garbage collection: dependents of owners that are gone, foreground and orphaning deletion. The end
 * of namespaces and of custom resources is in gc_empty.c.
 *
 * Notes are taken at every commit and worked off from the tick, through the same API as everybody
 * else's writes. What could not be done is tried again every second. */
#include "sandbox/gc.h"

#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

#define COLLECTOR "system:serviceaccount:kube-system:generic-garbage-collector"

static const char foreground[] = "foregroundDeletion";
static const char orphan[] = "orphan";

/* --- notes ----------------------------------------------------------------------------------- */

static bool
note_object(struct mh_sb_gc_list *list, struct mh_sb_resource *r, const char *key)
{
    for (struct mh_sb_gc_item *i = list->first; i; i = i->next) {
        if (i->r == r && strcmp(i->key, key) == 0)
            return true;
    }
    size_t n = strlen(key) + 1;
    struct mh_sb_gc_item *i = mh_malloc(sizeof(*i) + n);
    if (!i)
        return false;
    i->r = r;
    i->next = list->first;
    memcpy(i->key, key, n);
    list->first = i;
    return true;
}

static bool
note_gone(struct mh_sb_gc *gc, uint64_t uid)
{
    if (gc->ngone == gc->size_gone) {
        size_t size = gc->size_gone ? gc->size_gone * 2 : 64;
        uint64_t *gone = mh_realloc(gc->gone, size * sizeof(uint64_t));
        if (!gone)
            return false;
        gc->gone = gone;
        gc->size_gone = size;
    }
    gc->gone[gc->ngone++] = uid;
    return true;
}

static bool
says(const struct mh_sb_obj *o, const char *quoted)
{
    return memmem(o->text, o->len, quoted, strlen(quoted)) != NULL;
}

static bool
same_owners(const struct mh_sb_obj *a, const struct mh_sb_obj *b)
{
    return a && a->nowners == b->nowners &&
           memcmp(a->owners, b->owners, a->nowners * sizeof(uint64_t)) == 0;
}

void
mh_sb_gc_note(struct mh_sb_api *api, struct mh_sb_resource *r, struct mh_sb_obj *before,
              struct mh_sb_obj *now, bool removed)
{
    struct mh_sb_gc *gc = api->gc;
    bool ok = true;
    if (removed) {
        if (mh_sb_has_dependents(&api->store, now->uid))
            ok = note_gone(gc, now->uid);
        gc->look = gc->look || gc->waiting.first;
    } else {
        if (now->nowners && !same_owners(before, now))
            ok = note_object(&gc->check, r, now->key);
        if (now->deleting && (says(now, "\"foregroundDeletion\"") || says(now, "\"orphan\"")))
            ok = note_object(&gc->waiting, r, now->key) && ok;
        gc->look = gc->look || now->deleting || (before && before->deleting);
    }
    if (now->deleting && !removed && !r->custom &&
        (strcmp(r->kind, "Namespace") == 0 || strcmp(r->kind, "CustomResourceDefinition") == 0))
        ok = note_object(&gc->empty, r, now->key) && ok;
    if (!ok)
        gc->all = true; /* no memory for a note: everything is looked at */
}

/* --- requests -------------------------------------------------------------------------------- */

struct mh_sb_gc_task {
    struct mh_sb_gc_task *next;
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_sb_api *api;
};

static void
free_task(struct mh_sb_gc_task *t)
{
    struct mh_sb_gc_task **p = &t->api->gc->tasks;
    while (*p && *p != t)
        p = &(*p)->next;
    if (*p)
        *p = t->next;
    t->api->gc->running--;
    mh_arena_release(&t->arena);
    mh_free(t);
}

static void
task_done(struct mh_api_call *call)
{
    struct mh_sb_gc_task *t = call->arg;
    struct mh_sb_api *api = t->api;
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND)
        api->gc->failed = true;
    free_task(t);
    if (!api->gc->running && (api->gc->empty.first || api->gc->look))
        mh_sb_wake(api);
}

void
mh_sb_gc_ask(struct mh_sb_api *api, const char *method, const char *type, const char *path,
             const char *body)
{
    struct mh_sb_gc *gc = api->gc;
    struct mh_sb_gc_task *t = mh_calloc(1, sizeof(*t));
    gc->failed = gc->failed || !t;
    if (!t)
        return;
    t->api = api;
    t->next = gc->tasks;
    gc->tasks = t;
    gc->running++;
    mh_arena_init(&t->arena, (size_t)32 << 20);
    t->call = (struct mh_api_call){ .method = method,
                                    .path = mh_arena_strdup(&t->arena, path),
                                    .content_type = type,
                                    .body = mh_arena_strdup(&t->arena, body ? body : ""),
                                    .body_len = body ? strlen(body) : 0,
                                    .arena = &t->arena,
                                    .done = task_done,
                                    .arg = t };
    if (!t->call.path || !t->call.body) {
        gc->failed = true;
        free_task(t);
        return;
    }
    gc->user.start(gc->user.self, &t->call);
}

char *
mh_sb_gc_path(struct mh_arena *a, const struct mh_sb_resource *r, const char *key, const char *sub)
{
    const char *slash = strchr(key, '/');
    const char *version = r->versions[0].name;
    for (int i = 0; i < r->nversions; i++) {
        if (r->versions[i].served)
            version = r->versions[i].name;
    }
    char *base = mh_arena_printf(a, "%s%s/%s", *r->group ? "/apis/" : "/api", r->group, version);
    if (!base)
        return NULL;
    if (!r->namespaced || !slash)
        return mh_arena_printf(a, "%s/%s/%s%s", base, r->plural, key, sub);
    return mh_arena_printf(a, "%s/namespaces/%.*s/%s/%s%s", base, (int)(slash - key), key,
                           r->plural, slash + 1, sub);
}

static void
remove_object(struct mh_sb_api *api, struct mh_arena *a, struct mh_sb_resource *r,
              const struct mh_sb_obj *o, const char *uid, const char *policy)
{
    char *path = mh_sb_gc_path(a, r, o->key, "");
    char *body = mh_arena_printf(a,
                                 "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\","
                                 "\"preconditions\":{\"uid\":\"%s\"},\"propagationPolicy\":\"%s\"}",
                                 uid, policy);
    if (path && body)
        mh_sb_gc_ask(api, "DELETE", NULL, path, body);
}

/* --- owners ---------------------------------------------------------------------------------- */

enum owner { SOLID, DANGLING, LEAVING };

/* Is the owner of this reference there? LEAVING: it waits for its dependents to go. */
static enum owner
owner_state(struct mh_sb_api *api, struct mh_arena *a, const struct mh_sb_resource *r,
            const struct mh_sb_obj *o, yyjson_val *ref)
{
    const char *version = mh_json_str(ref, "apiVersion", NULL);
    const char *kind = mh_json_str(ref, "kind", NULL);
    const char *name = mh_json_str(ref, "name", NULL);
    const char *uid = mh_json_str(ref, "uid", NULL);
    const char *slash = version ? strchr(version, '/') : NULL;
    char *group = slash ? mh_arena_strndup(a, version, (size_t)(slash - version)) : NULL;
    if (!version || !kind || !name || !uid)
        return SOLID;
    struct mh_sb_version *v =
        mh_sb_kinds_by_kind(&api->kinds, group ? group : "", slash ? slash + 1 : version, kind);
    if (!v) /* nobody knows that kind: the real one waits until somebody does */
        return SOLID;
    const char *ns_end = strchr(o->key, '/');
    if (v->resource->namespaced && !ns_end)
        return SOLID;
    char *key = v->resource->namespaced
                    ? mh_arena_printf(a, "%.*s/%s", (int)(ns_end - o->key), o->key, name)
                    : mh_arena_strdup(a, name);
    struct mh_sb_obj *owner = key ? mh_sb_table_get(v->resource->table, key) : NULL;
    (void)r;
    if (!key)
        return SOLID;
    if (!owner || owner->uid != mh_sb_hash(uid))
        return DANGLING;
    return owner->deleting && says(owner, "\"foregroundDeletion\"") ? LEAVING : SOLID;
}

/* The references that stay, as a merge patch with the object's uid as precondition. */
static void
drop_owners(struct mh_sb_api *api, struct mh_arena *a, struct mh_sb_resource *r,
            const struct mh_sb_obj *o, yyjson_val *value, const enum owner *states)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    yyjson_mut_val *meta = root ? yyjson_mut_obj_add_obj(doc, root, "metadata") : NULL;
    yyjson_mut_val *list = meta ? yyjson_mut_obj_add_arr(doc, meta, "ownerReferences") : NULL;
    yyjson_val *refs = mh_json_get(value, "metadata", "ownerReferences", NULL);
    size_t i;
    size_t max;
    yyjson_val *ref;
    if (!list)
        return;
    yyjson_mut_obj_add_str(doc, meta, "uid", mh_json_str(value, "metadata", "uid", NULL));
    yyjson_arr_foreach(refs, i, max, ref)
    {
        if (i >= MH_SB_OWNERS_MAX || states[i] == SOLID)
            yyjson_mut_arr_add_val(list, yyjson_val_mut_copy(doc, ref));
    }
    char *path = mh_sb_gc_path(a, r, o->key, "");
    char *body = mh_json_mut_text(a, root, NULL);
    if (path && body)
        mh_sb_gc_ask(api, "PATCH", MH_PATCH_MERGE, path, body);
}

/* An object with owners: stays, loses references, or goes. */
static void
check_object(struct mh_sb_api *api, struct mh_sb_resource *r, const struct mh_sb_obj *o)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)32 << 20);
    yyjson_val *value = mh_sb_obj_value(&a, mh_sb_storage_version(r), o);
    yyjson_val *refs = mh_json_get(value, "metadata", "ownerReferences", NULL);
    const char *uid = mh_json_str(value, "metadata", "uid", NULL);
    enum owner states[MH_SB_OWNERS_MAX];
    size_t count[3] = { 0, 0, 0 };
    size_t n = yyjson_arr_size(refs);
    for (size_t i = 0; i < n && i < MH_SB_OWNERS_MAX; i++) {
        states[i] = owner_state(api, &a, r, o, yyjson_arr_get(refs, i));
        count[states[i]]++;
    }
    if (!uid || !n || n > MH_SB_OWNERS_MAX || (o->deleting && !count[LEAVING])) {
        ;
    } else if (count[SOLID] && count[DANGLING] + count[LEAVING]) {
        drop_owners(api, &a, r, o, value, states);
    } else if (!count[SOLID]) {
        bool has = mh_sb_has_dependents(&api->store, o->uid);
        const char *policy = says(o, "\"orphan\"")               ? "Orphan"
                             : says(o, "\"foregroundDeletion\"") ? "Foreground"
                             : count[LEAVING] && has             ? "Foreground"
                                                                 : "Background";
        if (!o->deleting)
            remove_object(api, &a, r, o, uid, policy);
    }
    mh_arena_release(&a);
}

/* --- finalizers ------------------------------------------------------------------------------ */

static bool
names_owner(const struct mh_sb_obj *o, uint64_t uid)
{
    for (int i = 0; i < o->nowners; i++) {
        if (o->owners[i] == uid)
            return true;
    }
    return false;
}

/* Calls fn for every object that names this owner; the number. */
static size_t
each_dependent(struct mh_sb_api *api, uint64_t uid,
               void (*fn)(struct mh_sb_api *api, struct mh_sb_resource *r, struct mh_sb_obj *o,
                          uint64_t uid))
{
    size_t n = 0;
    for (int i = 0; i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        if (r->twin && *r->group)
            continue;
        for (size_t j = 0; j < r->table->len; j++) {
            if (!names_owner(r->table->items[j], uid))
                continue;
            n++;
            fn(api, r, r->table->items[j], uid);
        }
    }
    return n;
}

static void
check_one(struct mh_sb_api *api, struct mh_sb_resource *r, struct mh_sb_obj *o, uint64_t uid)
{
    (void)uid;
    check_object(api, r, o);
}

static void
orphan_one(struct mh_sb_api *api, struct mh_sb_resource *r, struct mh_sb_obj *o, uint64_t uid)
{
    struct mh_arena a;
    enum owner states[MH_SB_OWNERS_MAX] = { SOLID };
    mh_arena_init(&a, (size_t)32 << 20);
    yyjson_val *value = mh_sb_obj_value(&a, mh_sb_storage_version(r), o);
    for (int i = 0; i < o->nowners; i++)
        states[i] = o->owners[i] == uid ? DANGLING : SOLID;
    if (value)
        drop_owners(api, &a, r, o, value, states);
    mh_arena_release(&a);
}

void
mh_sb_gc_drop_finalizer(struct mh_sb_api *api, struct mh_sb_resource *r, const struct mh_sb_obj *o,
                        const char *name)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)32 << 20);
    yyjson_val *value = mh_sb_obj_value(&a, mh_sb_storage_version(r), o);
    yyjson_val *list = mh_json_get(value, "metadata", "finalizers", NULL);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    yyjson_mut_val *meta = root ? yyjson_mut_obj_add_obj(doc, root, "metadata") : NULL;
    yyjson_mut_val *kept = meta ? yyjson_mut_obj_add_arr(doc, meta, "finalizers") : NULL;
    for (size_t i = 0; kept && i < yyjson_arr_size(list); i++) {
        if (!yyjson_equals_str(yyjson_arr_get(list, i), name))
            yyjson_mut_arr_add_val(kept, yyjson_val_mut_copy(doc, yyjson_arr_get(list, i)));
    }
    const char *version = mh_json_str(value, "metadata", "resourceVersion", NULL);
    char *path = mh_sb_gc_path(&a, r, o->key, "");
    if (kept && version && path && yyjson_mut_obj_add_str(doc, meta, "resourceVersion", version)) {
        char *body = mh_json_mut_text(&a, root, NULL);
        if (body)
            mh_sb_gc_ask(api, "PATCH", MH_PATCH_MERGE, path, body);
    }
    mh_arena_release(&a);
}

/* One that is held by a finalizer of ours. False: it is not, or no longer. */
static bool
look_at(struct mh_sb_api *api, struct mh_sb_resource *r, const struct mh_sb_obj *o)
{
    if (!o || !o->deleting)
        return false;
    uint64_t uid = o->uid;
    if (says(o, "\"orphan\"")) {
        if (each_dependent(api, uid, orphan_one) == 0)
            mh_sb_gc_drop_finalizer(api, r, o, orphan);
        return true;
    }
    if (!says(o, "\"foregroundDeletion\""))
        return false;
    if (!mh_sb_has_dependents(&api->store, uid) || each_dependent(api, uid, check_one) == 0)
        mh_sb_gc_drop_finalizer(api, r, o, foreground);
    return true;
}

/* --- working off ----------------------------------------------------------------------------- */

static void
work_list(struct mh_sb_api *api, struct mh_sb_gc_list *list,
          bool (*work)(struct mh_sb_api *, struct mh_sb_resource *, const struct mh_sb_obj *))
{
    struct mh_sb_gc_item *i = list->first;
    list->first = NULL;
    while (i) {
        struct mh_sb_gc_item *next = i->next;
        struct mh_sb_obj *o = i->r->gone ? NULL : mh_sb_table_get(i->r->table, i->key);
        if (work(api, i->r, o)) {
            i->next = list->first;
            list->first = i;
        } else {
            mh_free(i);
        }
        i = next;
    }
}

static bool
check_item(struct mh_sb_api *api, struct mh_sb_resource *r, const struct mh_sb_obj *o)
{
    if (o)
        check_object(api, r, o);
    return false;
}

/* Dependents of owners that are gone: one walk for all of them. */
static void
note_dependents(struct mh_sb_api *api)
{
    struct mh_sb_gc *gc = api->gc;
    for (int i = 0; i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        for (size_t j = 0; j < r->table->len; j++) {
            struct mh_sb_obj *o = r->table->items[j];
            bool named = gc->all && o->nowners;
            for (size_t k = 0; o->nowners && k < gc->ngone && !named; k++)
                named = names_owner(o, gc->gone[k]);
            if (named)
                (void)note_object(&gc->check, r, o->key);
        }
    }
    gc->ngone = 0;
    gc->all = false;
}

void
mh_sb_gc_run(struct mh_sb_api *api)
{
    struct mh_sb_gc *gc = api->gc;
    if (gc->ngone || gc->all)
        note_dependents(api);
    if (gc->check.first)
        work_list(api, &gc->check, check_item);
    if (gc->look && !gc->running) {
        gc->look = false;
        work_list(api, &gc->waiting, look_at);
    }
    if (gc->empty.first)
        mh_sb_gc_empty(api);
}

void
mh_sb_gc_slow(struct mh_sb_api *api)
{
    struct mh_sb_gc *gc = api->gc;
    if (gc->failed)
        gc->all = true;
    gc->look = gc->look || gc->waiting.first;
    if (gc->failed || gc->look || gc->empty.first)
        mh_sb_wake(api);
    gc->failed = false;
}

bool
mh_sb_gc_init(struct mh_sb_api *api)
{
    api->gc = mh_calloc(1, sizeof(*api->gc));
    if (api->gc)
        api->gc->user = mh_sb_direct(api, COLLECTOR);
    return api->gc && api->gc->user.self;
}

static void
free_list(struct mh_sb_gc_list *list)
{
    while (list->first) {
        struct mh_sb_gc_item *i = list->first;
        list->first = i->next;
        mh_free(i);
    }
}

void
mh_sb_gc_free(struct mh_sb_api *api)
{
    if (!api->gc)
        return;
    while (api->gc->tasks) {
        struct mh_sb_gc_task *t = api->gc->tasks;
        api->gc->user.cancel(api->gc->user.self, &t->call);
        free_task(t);
    }
    free_list(&api->gc->check);
    free_list(&api->gc->waiting);
    free_list(&api->gc->empty);
    mh_free(api->gc->gone);
    mh_free(api->gc);
    api->gc = NULL;
}
