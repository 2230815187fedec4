#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "kube/cache_impl.h"

#define WORK_MAX ((size_t)64 << 20)

bool
mh_cache_key(char out[MH_CACHE_KEY], const struct mh_kind *kind, const char *ns, const char *name)
{
    int n = snprintf(out, MH_CACHE_KEY, "%s/%s", kind->namespaced && ns ? ns : "", name);
    return n > 0 && n < MH_CACHE_KEY;
}

/* The object as it is kept: with apiVersion and kind, without managedFields, trimmed. */
static char *
kept_text(struct mh_arena *a, const struct mh_kind *kind, yyjson_val *object, mh_cache_trim_fn trim,
          void *trim_arg, size_t *len)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *o = doc ? yyjson_val_mut_copy(doc, object) : NULL;
    char *version = mh_kind_api_version(a, kind);
    if (!o || !version)
        return NULL;
    yyjson_mut_val *meta = yyjson_mut_obj_get(o, "metadata");
    if (meta)
        yyjson_mut_obj_remove_key(meta, "managedFields");
    if (!yyjson_mut_obj_get(o, "kind") && !yyjson_mut_obj_add_str(doc, o, "kind", kind->kind))
        return NULL;
    if (!yyjson_mut_obj_get(o, "apiVersion") &&
        !yyjson_mut_obj_add_str(doc, o, "apiVersion", version))
        return NULL;
    if (trim && !trim(trim_arg, doc, o))
        return NULL;
    return mh_json_mut_text(a, o, len);
}

static char *
owner_list(struct mh_arena *a, yyjson_val *object)
{
    size_t i;
    size_t max;
    yyjson_val *owner;
    char *list = mh_arena_strdup(a, ",");
    yyjson_arr_foreach(mh_json_get(object, "metadata", "ownerReferences", NULL), i, max, owner)
    {
        const char *uid = mh_json_str(owner, "uid", NULL);
        if (list && uid)
            list = mh_arena_printf(a, "%s%s,", list, uid);
    }
    return list;
}

static const char *
append(char **at, const char *s, size_t len)
{
    if (!s)
        return NULL;
    char *start = *at;
    memcpy(start, s, len);
    start[len] = '\0';
    *at += len + 1;
    return start;
}

/* The JSON as it is kept. */
struct kept {
    const char *data;
    size_t len;
    struct mh_cache_model *model;
};

static struct mh_cache_entry *
pack(const struct mh_kind *kind, yyjson_val *object, const char *owners, const struct kept *kept,
     size_t json_len)
{
    yyjson_val *meta = mh_json_get(object, "metadata", NULL);
    const char *ns = mh_json_str(meta, "namespace", NULL);
    const char *name = mh_json_str(meta, "name", NULL);
    const char *uid = mh_json_str(meta, "uid", NULL);
    const char *cluster = mh_json_str(meta, "labels", MH_LABEL_CLUSTER, NULL);
    const char *version = mh_json_str(meta, "resourceVersion", NULL);
    char key[MH_CACHE_KEY];
    ns = ns && kind->namespaced ? ns : "";
    uid = uid ? uid : "";
    if (!name || !mh_cache_key(key, kind, ns, name) || json_len > UINT32_MAX)
        return NULL;
    size_t size = sizeof(struct mh_cache_entry) + 2 * strlen(key) + strlen(uid) + strlen(owners) +
                  (cluster ? strlen(cluster) : 0) + kept->len + 8;
    struct mh_cache_entry *e = mh_malloc(size);
    if (!e)
        return NULL;
    *e = (struct mh_cache_entry){ .kind = kind,
                                  .json_len = (uint32_t)json_len,
                                  .kept_len = (uint32_t)kept->len,
                                  .model = kept->model };
    int64_t number;
    if (mh_str_int(version ? version : "", 0, INT64_MAX, &number))
        e->version = (uint64_t)number;
    char *at = (char *)(e + 1);
    e->key = append(&at, key, strlen(key));
    e->ns = append(&at, ns, strlen(ns));
    e->name = append(&at, name, strlen(name));
    e->uid = append(&at, uid, strlen(uid));
    e->owners = append(&at, owners, strlen(owners));
    e->cluster = append(&at, cluster, cluster ? strlen(cluster) : 0);
    e->json = append(&at, kept->data, kept->len);
    return e;
}

struct mh_cache_entry *
mh_cache_entry_new(struct mh_cache_store *store, yyjson_val *object)
{
    struct mh_arena a;
    size_t len = 0;
    mh_arena_init(&a, WORK_MAX);
    char *text = kept_text(&a, store->kind, object, store->trim, store->trim_arg, &len);
    char *owners = owner_list(&a, object);
    struct kept kept = { .data = text, .len = len };
    struct mh_cache_entry *e = NULL;
    if (text && owners) {
        kept.data = mh_cache_pack(&a, &store->model, text, len, &kept.len, &kept.model);
        if (!kept.data)
            kept = (struct kept){ .data = text, .len = len };
        e = pack(store->kind, object, owners, &kept, len);
    }
    if (!e)
        mh_cache_model_unref(kept.model);
    mh_arena_release(&a);
    return e;
}

void
mh_cache_entry_free(struct mh_cache_entry *e)
{
    if (!e)
        return;
    mh_cache_model_unref(e->model);
    mh_free(e);
}

yyjson_val *
mh_cache_entry_value(const struct mh_cache_entry *e, struct mh_arena *a)
{
    yyjson_val *v = NULL;
    const char *text = e->json;
    if (e->model)
        text = mh_cache_unpack(a, e->model, e->json, e->kept_len, e->json_len);
    return text && mh_json_parse(a, text, e->json_len, &v, NULL) == MH_OK ? v : NULL;
}

bool
mh_cache_entry_same_or_older(const struct mh_cache_entry *a, const struct mh_cache_entry *b)
{
    return strcmp(a->uid, b->uid) == 0 && a->version && b->version && a->version <= b->version;
}

static bool
owned_by(const struct mh_cache_entry *e, const char *uid)
{
    size_t n = strlen(uid);
    const char *p = e->owners;
    while ((p = strstr(p, uid))) {
        if (p[-1] == ',' && p[n] == ',')
            return n > 0;
        p++;
    }
    return false;
}

static bool
label_matches(const struct mh_cache_entry *e, const char *label, const char *value)
{
    struct mh_arena a;
    mh_arena_init(&a, WORK_MAX);
    const char *got = mh_json_str(mh_cache_entry_value(e, &a), "metadata", "labels", label, NULL);
    bool yes = got && (!value || strcmp(got, value) == 0);
    mh_arena_release(&a);
    return yes;
}

bool
mh_cache_entry_matches(const struct mh_cache_entry *e, const struct mh_cache_query *q)
{
    if (q->kind && q->kind != e->kind)
        return false;
    if (q->name_space && e->kind->namespaced && strcmp(q->name_space, e->ns) != 0)
        return false;
    if (q->cluster && !mh_str_eq(q->cluster, e->cluster))
        return false;
    if (q->owner_uid && !owned_by(e, q->owner_uid))
        return false;
    return !q->label || label_matches(e, q->label, q->value);
}
