#include "instance/syncnames.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

#define NAMES_MAX 256

struct list {
    const char *names[NAMES_MAX];
    int len;
};

static void
add(struct list *l, const char *name)
{
    if (!name || !*name || l->len >= NAMES_MAX)
        return;
    for (int i = 0; i < l->len; i++) {
        if (strcmp(l->names[i], name) == 0)
            return;
    }
    l->names[l->len++] = name;
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Standbys (not the primary) that are healthy or not, sorted by name. */
static void
add_standbys(struct list *l, const struct mh_sync_in *in, bool healthy)
{
    int from = l->len;
    for (int i = 0; i < in->ninstances; i++) {
        const struct mh_sync_instance *x = &in->instances[i];
        if (x->healthy == healthy && !x->same_domain && !mh_str_eq(x->name, in->primary))
            add(l, x->name);
    }
    qsort(l->names + from, (size_t)(l->len - from), sizeof(l->names[0]), by_text);
}

static void
add_array(struct list *l, yyjson_val *names)
{
    for (size_t i = 0; i < yyjson_arr_size(names); i++)
        add(l, yyjson_get_str(yyjson_arr_get(names, i)));
}

static bool
quote(struct mh_buf *b, const char *name)
{
    mh_buf_char(b, '"');
    for (; *name; name++) {
        if (*name == '"')
            mh_buf_char(b, '"');
        mh_buf_char(b, *name);
    }
    return mh_buf_char(b, '"');
}

static enum mh_code
finish(struct mh_arena *a, const struct mh_sync_in *in, const struct list *l,
       struct mh_sync_names *out, struct mh_err *err)
{
    struct mh_buf b;
    const char **names = mh_arena_alloc(a, ((size_t)l->len + 1) * sizeof(*names));
    const char *cluster = mh_json_str(in->cluster, "metadata", "name", NULL);
    const char *placeholder = mh_arena_printf(a, "%s-placeholder", cluster ? cluster : "");
    if (!names || !placeholder)
        return mh_fail(err, MH_E_NOMEM, "synchronous names: no memory");
    mh_buf_init(&b, 64u << 10);
    mh_buf_printf(&b, "%s %d (", out->method, out->number);
    for (int i = 0; i < l->len; i++) {
        if (i)
            mh_buf_char(&b, ',');
        quote(&b, l->names[i]);
        if (!mh_str_eq(l->names[i], in->primary) && !mh_str_eq(l->names[i], placeholder))
            names[out->nnames++] = l->names[i];
    }
    mh_buf_char(&b, ')');
    out->names = names;
    out->text = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out->text ? MH_OK : mh_fail(err, MH_E_NOMEM, "synchronous names: no memory");
}

static enum mh_code
metadata(struct mh_arena *a, const struct list *l, struct mh_sync_names *out, struct mh_err *err)
{
    struct mh_buf b;
    mh_buf_init(&b, 64u << 10);
    mh_buf_printf(&b, "{\"method\":\"%s\",\"number\":%d,\"standbyNames\":[", out->method,
                  out->number);
    for (int i = 0; i < l->len; i++) {
        if (i)
            mh_buf_char(&b, ',');
        mh_json_quote(&b, l->names[i], strlen(l->names[i]));
    }
    mh_buf_str(&b, "]}");
    out->metadata = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out->metadata ? MH_OK : mh_fail(err, MH_E_NOMEM, "synchronous names: no memory");
}

static bool
has(const struct list *l, const char *name)
{
    for (int i = 0; i < l->len; i++) {
        if (strcmp(l->names[i], name) == 0)
            return true;
    }
    return false;
}

static bool
streams(const struct mh_sync_in *in, const char *name)
{
    for (int i = 0; i < in->ninstances; i++) {
        if (mh_str_eq(in->instances[i].name, name))
            return in->instances[i].streams;
    }
    return false;
}

/* A policy narrows and orders; it never makes commits wait that others could let go on. */
static void
choose(struct list *own, const struct mh_sync_in *in, int64_t number)
{
    struct list all = *own;
    int64_t there = 0;
    own->len = 0;
    for (int i = 0; i < in->nchosen; i++) {
        if (has(&all, in->chosen[i])) {
            add(own, in->chosen[i]);
            there += streams(in, in->chosen[i]);
        }
    }
    for (int i = 0; there < number && i < all.len; i++)
        add(own, all.names[i]);
}

static enum mh_code
explicit_names(struct mh_arena *a, const struct mh_sync_in *in, yyjson_val *sync,
               struct mh_sync_names *out, struct mh_err *err)
{
    struct list own = { .len = 0 };
    struct list all = { .len = 0 };
    int64_t number = mh_json_int(sync, 1, "number", NULL);
    int64_t cap = mh_json_int(sync, NAMES_MAX, "maxStandbyNamesFromCluster", NULL);
    out->preferred = mh_str_eq(mh_json_str(sync, "dataDurability", NULL), "preferred");
    add_standbys(&own, in, true);
    if (!out->preferred)
        add_standbys(&own, in, false);
    if (in->nchosen > 0)
        choose(&own, in, out->preferred && own.len < number ? own.len : number);
    if (!out->preferred)
        add(&own, in->primary);
    if (cap >= 0 && own.len > cap)
        own.len = (int)cap;
    if (out->preferred) {
        if (own.len == 0)
            return MH_OK; /* asynchronous until somebody is healthy */
        number = number < own.len ? number : own.len;
    }
    add_array(&all, out->preferred ? NULL : mh_json_get(sync, "standbyNamesPre", NULL));
    for (int i = 0; i < own.len; i++)
        add(&all, own.names[i]);
    add_array(&all, out->preferred ? NULL : mh_json_get(sync, "standbyNamesPost", NULL));
    if (all.len == 0) {
        const char *cluster = mh_json_str(in->cluster, "metadata", "name", NULL);
        add(&all, mh_arena_printf(a, "%s-placeholder", cluster ? cluster : ""));
    }
    out->method = mh_str_eq(mh_json_str(sync, "method", NULL), "first") ? "FIRST" : "ANY";
    out->number = number < 1 ? 1 : number > NAMES_MAX ? NAMES_MAX : (int)number;
    enum mh_code code = finish(a, in, &all, out, err);
    return code ? code : metadata(a, &all, out, err);
}

/* minSyncReplicas and maxSyncReplicas: as many as are healthy, between the two. */
static enum mh_code
legacy_names(struct mh_arena *a, const struct mh_sync_in *in, struct mh_sync_names *out,
             struct mh_err *err)
{
    struct list l = { .len = 0 };
    int64_t min = mh_json_int(in->cluster, 0, "spec", "minSyncReplicas", NULL);
    int64_t max = mh_json_int(in->cluster, 0, "spec", "maxSyncReplicas", NULL);
    if (max < 1)
        return MH_OK;
    add_standbys(&l, in, true);
    int64_t number = max < l.len ? max : l.len;
    if (number < min)
        number = min;
    if (number < 1)
        return MH_OK;
    if (l.len < number)
        add_standbys(&l, in, false);
    if (l.len == 0) {
        const char *cluster = mh_json_str(in->cluster, "metadata", "name", NULL);
        add(&l, mh_arena_printf(a, "%s-placeholder", cluster ? cluster : ""));
    }
    out->method = "ANY";
    out->preferred = true;
    out->number = number > NAMES_MAX ? NAMES_MAX : (int)number;
    return finish(a, in, &l, out, err);
}

enum mh_code
mh_sync_names(struct mh_arena *a, const struct mh_sync_in *in, struct mh_sync_names *out,
              struct mh_err *err)
{
    static const char *const nobody[] = { NULL };
    yyjson_val *sync = mh_json_get(in->cluster, "spec", "postgresql", "synchronous", NULL);
    *out = (struct mh_sync_names){ .text = "", .method = "", .names = nobody };
    if (yyjson_is_obj(sync))
        return explicit_names(a, in, sync, out, err);
    return legacy_names(a, in, out, err);
}
