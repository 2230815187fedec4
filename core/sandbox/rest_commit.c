/* Where a write becomes true: text, table, log, watches, garbage collection. */
#include <stdio.h>
#include <string.h>

#include "sandbox/rest_in.h"

/* What the table keeps beside the text. */
static void
facts_of(yyjson_mut_val *obj, const char *key, struct mh_sb_facts *f)
{
    yyjson_mut_val *meta = yyjson_mut_obj_get(obj, "metadata");
    yyjson_mut_val *owners = yyjson_mut_obj_get(meta, "ownerReferences");
    *f = (struct mh_sb_facts){ .key = key,
                               .uid = mh_sb_mstr(meta, "uid", NULL),
                               .deleting = yyjson_mut_obj_get(meta, "deletionTimestamp") };
    for (size_t i = 0; i < yyjson_mut_arr_size(owners) && f->nowners < MH_SB_OWNERS_MAX; i++) {
        const char *uid = mh_sb_mstr(yyjson_mut_arr_get(owners, i), "uid", NULL);
        if (uid)
            f->owners[f->nowners++] = uid;
    }
}

/* The object as it is stored at the next resourceVersion, one reference. */
static struct mh_sb_obj *
encode(struct mh_sb_api *api, const char *key, struct mh_arena *a, yyjson_mut_doc *doc,
       yyjson_mut_val *obj)
{
    struct mh_sb_facts f;
    char version[24];
    size_t len = 0;
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)api->store.version + 1);
    yyjson_mut_val *meta = mh_sb_mobj(doc, obj, "metadata");
    if (!meta || !mh_sb_mset_str(doc, meta, "resourceVersion", version))
        return NULL;
    mh_sb_mdel(obj, "kind");
    mh_sb_mdel(obj, "apiVersion");
    facts_of(obj, key, &f);
    char *text = mh_json_mut_text(a, obj, &len);
    return text ? mh_sb_obj_new(&f, api->store.version + 1, text, len) : NULL;
}

/* The registry follows the CRDs. */
static void
follow_crd(struct mh_sb_api *api, struct mh_sb_resource *r, const struct mh_sb_obj *o, bool removed)
{
    struct mh_arena a;
    if (r->custom || strcmp(r->kind, "CustomResourceDefinition") != 0)
        return;
    mh_arena_init(&a, (size_t)64 << 20);
    yyjson_val *crd = mh_sb_obj_value(&a, &r->versions[0], o);
    if (crd)
        mh_sb_crd_changed(api, crd, removed);
    mh_arena_release(&a);
}

static void
tell(struct mh_sb_api *api, struct mh_sb_resource *r, struct mh_sb_obj *before,
     struct mh_sb_obj *now, bool removed)
{
    api->store.version = now->version;
    mh_sb_disk_log(api, r, now, removed);
    mh_sb_watches_dirty(api, r);
    follow_crd(api, r, now, removed);
    mh_sb_gc_note(api, r, before, now, removed);
    mh_sb_wake(api);
}

struct mh_sb_obj *
mh_sb_commit(struct mh_sb_api *api, struct mh_sb_resource *r, const char *key, struct mh_arena *a,
             yyjson_mut_doc *doc, yyjson_mut_val *obj)
{
    struct mh_sb_obj *o = encode(api, key, a, doc, obj);
    struct mh_sb_obj *before = mh_sb_table_get(r->table, key);
    if (!o)
        return NULL;
    if (!mh_sb_table_put(r->table, &api->store, o)) {
        mh_sb_obj_unref(o);
        return NULL;
    }
    tell(api, r, before, o, false);
    return o;
}

struct mh_sb_obj *
mh_sb_commit_removal(struct mh_sb_api *api, struct mh_sb_resource *r, const char *key,
                     struct mh_arena *a, yyjson_mut_doc *doc, yyjson_mut_val *obj)
{
    struct mh_sb_obj *last = encode(api, key, a, doc, obj);
    struct mh_sb_obj *before = mh_sb_table_get(r->table, key);
    if (!last)
        return NULL;
    if (!mh_sb_table_remove(r->table, &api->store, last)) {
        mh_sb_obj_unref(last);
        return NULL;
    }
    tell(api, r, before, last, true);
    return last;
}

struct mh_sb_obj *
mh_sb_obj_read(const char *key, uint64_t version, const char *text, size_t len)
{
    struct mh_arena a;
    struct mh_err err;
    yyjson_val *value = NULL;
    struct mh_sb_obj *o = NULL;
    struct mh_sb_facts f = { .key = key };
    mh_arena_init(&a, (size_t)32 << 20);
    if (mh_json_parse(&a, text, len, &value, &err) == MH_OK) {
        yyjson_val *owners = mh_json_get(value, "metadata", "ownerReferences", NULL);
        f.uid = mh_json_str(value, "metadata", "uid", NULL);
        f.deleting = mh_json_get(value, "metadata", "deletionTimestamp", NULL);
        for (size_t i = 0; i < yyjson_arr_size(owners) && f.nowners < MH_SB_OWNERS_MAX; i++) {
            const char *uid = mh_json_str(yyjson_arr_get(owners, i), "uid", NULL);
            if (uid)
                f.owners[f.nowners++] = uid;
        }
        o = mh_sb_obj_new(&f, version, text, len);
    }
    mh_arena_release(&a);
    return o;
}

bool
mh_sb_restore(struct mh_sb_api *api, struct mh_sb_resource *r, const char *key, uint64_t version,
              const char *text, size_t len)
{
    struct mh_sb_obj *o = mh_sb_obj_read(key, version, text, len);
    if (!o)
        return false;
    if (!mh_sb_table_put(r->table, &api->store, o)) {
        mh_sb_obj_unref(o);
        return false;
    }
    follow_crd(api, r, o, false);
    return true;
}

bool
mh_sb_restore_removal(struct mh_sb_api *api, struct mh_sb_resource *r, const char *key,
                      uint64_t version, const char *text, size_t len)
{
    struct mh_sb_obj *o = mh_sb_obj_read(key, version, text, len);
    if (!o)
        return false;
    if (!mh_sb_table_get(r->table, key) || !mh_sb_table_remove(r->table, &api->store, o)) {
        mh_sb_obj_unref(o);
        return true; /* it was not there: nothing is lost */
    }
    follow_crd(api, r, o, true);
    return true;
}

void
mh_sb_finish(struct mh_sb_op *op)
{
    mh_sb_obj_unref(op->live);
    op->live = NULL;
    op->t.r->busy--;
    mh_sb_answered(op);
}
