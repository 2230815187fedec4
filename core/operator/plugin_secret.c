/* plugin_secret.c - values of Secrets that a plugin passes on: a handle in the data of a Secret that it makes.
 *
 * {"secret","key","handle":true} under data or stringData of a Secret (v1) of an apply or a create stands for
 * the value of that key of that Secret in the same namespace. The guard reads it when the plan is carried
 * out, with the needs of the version in charge, and sends the Secret with it. Nowhere else is a handle
 * looked at, so no value ends anywhere but in a Secret of its own namespace. What the API server says of a
 * refused write is not passed on, for it may quote the value. */
#include "operator/plugin_secret.h"

#include <string.h>

#include "base/str.h"

#define SECRETS_MAX 8

/* One Secret that is read; all on the arena of the guarded call. */
struct source {
    const char *name;
    yyjson_val *data;
};

struct mh_plugin_fill {
    struct source sources[SECRETS_MAX];
    size_t n, at;
    const char *ns; /* of all of them */
    yyjson_val *body;
};

static const char *const places[] = { "data", "stringData" };
#define NPLACES (sizeof(places) / sizeof(places[0]))

bool
mh_plugin_is_handle(yyjson_val *v)
{
    return yyjson_is_obj(v) && mh_json_bool(v, false, "handle", NULL);
}

bool
mh_plugin_has_handle(yyjson_val *object)
{
    for (size_t i = 0; i < NPLACES; i++) {
        yyjson_obj_iter k = yyjson_obj_iter_with(yyjson_obj_get(object, places[i]));
        yyjson_val *key;
        while ((key = yyjson_obj_iter_next(&k)))
            if (mh_plugin_is_handle(yyjson_obj_iter_get_val(key)))
                return true;
    }
    return false;
}

/* Calls fn for each handle that may stand where it stands. */
static enum mh_code
each(yyjson_val *object, enum mh_code (*fn)(void *arg, yyjson_val *handle, struct mh_err *err),
     void *arg, struct mh_err *err)
{
    for (size_t i = 0; i < NPLACES; i++) {
        yyjson_obj_iter k = yyjson_obj_iter_with(yyjson_obj_get(object, places[i]));
        yyjson_val *key;
        while ((key = yyjson_obj_iter_next(&k))) {
            yyjson_val *v = yyjson_obj_iter_get_val(key);
            yyjson_val *twin =
                yyjson_obj_get(yyjson_obj_get(object, places[1 - i]), yyjson_get_str(key));
            if (!mh_plugin_is_handle(v))
                continue;
            if (twin)
                return mh_fail(err, MH_E_SCRIPT, "%s.%s: is given in data and in stringData",
                               places[i], yyjson_get_str(key));
            if (!mh_json_str(v, "secret", NULL) || !mh_json_str(v, "key", NULL))
                return mh_fail(err, MH_E_SCRIPT, "%s.%s: want a handle, as in secret(name, key)",
                               places[i], yyjson_get_str(key));
            if (fn(arg, v, err) != MH_OK)
                return err->code;
        }
    }
    return MH_OK;
}

/* --- what is allowed ------------------------------------------------------------------------------- */

/* How deep the values of plans are at most: what comes from a child is held to less. */
static bool
has_any(yyjson_val *v, int depth)
{
    size_t i, max;
    yyjson_val *k, *one;
    if (mh_plugin_is_handle(v) || depth > MH_JSON_DEPTH_MAX)
        return true;
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, max, one)
        {
            if (has_any(one, depth + 1))
                return true;
        }
    } else if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, i, max, k, one)
        {
            if (has_any(one, depth + 1))
                return true;
        }
    }
    return false;
}

bool
mh_plugin_tells_handle(yyjson_val *v)
{
    return has_any(v, 0);
}

/* A handle where only plain data may be. */
static bool
is_astray(yyjson_val *action)
{
    yyjson_val *o = yyjson_obj_get(action, "object");
    size_t i, max, n, most;
    yyjson_val *k, *v, *sub, *below;
    yyjson_obj_foreach(action, i, max, k, v)
    {
        if (!yyjson_equals_str(k, "object") && !yyjson_equals_str(k, "password") && has_any(v, 0))
            return true;
    }
    yyjson_obj_foreach(o, i, max, k, v)
    {
        bool place = mh_object_is_secret(o) &&
                     (yyjson_equals_str(k, "data") || yyjson_equals_str(k, "stringData"));
        if (place ? mh_plugin_is_handle(v) : has_any(v, 0))
            return true;
        yyjson_obj_foreach(place ? v : NULL, n, most, sub, below)
        {
            if (!mh_plugin_is_handle(below) && has_any(below, 0))
                return true;
        }
    }
    return false;
}

struct may {
    const struct mh_plugin *plugin;
    const struct mh_plugin_text *text;
    const char *ns, *own_ns;
};

static enum mh_code
may_get(void *arg, yyjson_val *handle, struct mh_err *err)
{
    const struct may *m = arg;
    struct mh_need_wish wish = { "get", "",    "secrets",
                                 NULL,  m->ns, mh_json_str(handle, "secret", NULL) };
    return mh_plugin_may(m->plugin, m->text, &wish, m->own_ns, err);
}

enum mh_code
mh_plugin_may_handles(const struct mh_plugin *p, const struct mh_plugin_text *t, yyjson_val *action,
                      const char *own_ns, struct mh_err *err)
{
    yyjson_val *o = yyjson_obj_get(action, "object");
    struct may m = { p, t, mh_json_str(o, "metadata", "namespace", NULL), own_ns };
    if (is_astray(action))
        return mh_fail(err, MH_E_REFUSED,
                       "a handle of a secret stands where only data and stringData of a Secret, or "
                       "the password of sql, may have one");
    return o ? each(o, may_get, &m, err) : MH_OK;
}

/* --- carried out ------------------------------------------------------------------------------------ */

static void read_next(struct mh_guarded *g);

static void
end(struct mh_guarded *g, enum mh_code code, const char *what)
{
    if (code != MH_OK)
        mh_fail(&g->call->err, code, "%s", what);
    mh_plugin_guarded_done(g);
}

static void
on_written(struct mh_api_call *call)
{
    struct mh_guarded *g = call->arg;
    g->writing = false;
    g->call->status = call->status;
    g->call->reply = call->err.code == MH_OK ? call->reply : NULL;
    g->call->err = call->err;
    if (call->err.code != MH_OK && call->status >= 400)
        mh_fail(&g->call->err, call->err.code,
                "the API server refused the Secret with status %d; what it said is not told, for "
                "it may quote a value",
                call->status);
    mh_plugin_guarded_done(g);
}

/* The value of a handle as it is stored: base64. NULL: there is none. */
static yyjson_val *
value_of(const struct mh_plugin_fill *f, yyjson_val *handle)
{
    const char *name = mh_json_str(handle, "secret", NULL);
    for (size_t i = 0; i < f->n; i++)
        if (mh_str_eq(f->sources[i].name, name))
            return yyjson_obj_get(f->sources[i].data, mh_json_str(handle, "key", NULL));
    return NULL;
}

/* Puts the value where it belongs. False: no memory, or (*missing) the handle leads nowhere. */
static bool
fill_one(const struct mh_plugin_fill *f, yyjson_mut_doc *doc, yyjson_mut_val *data, yyjson_val *key,
         yyjson_val *handle, yyjson_val **missing)
{
    yyjson_val *value = value_of(f, handle);
    if (!yyjson_is_str(value)) {
        *missing = handle;
        return false;
    }
    return yyjson_mut_obj_add(data, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
}

/* The body with values in data; NULL: no memory, or (*missing) a handle leads nowhere. A Secret that
 * lacked a value would take away the one that is there. */
static const char *
filled(struct mh_guarded *g, yyjson_val **missing)
{
    const struct mh_plugin_fill *f = g->fill;
    yyjson_mut_doc *doc = mh_json_doc(&g->arena);
    yyjson_mut_val *root = doc ? yyjson_val_mut_copy(doc, f->body) : NULL;
    yyjson_mut_val *data = yyjson_mut_obj_get(root, "data");
    if (root && !data)
        data = yyjson_mut_obj_add_obj(doc, root, "data");
    for (size_t i = 0; data && i < NPLACES; i++) {
        yyjson_obj_iter k = yyjson_obj_iter_with(yyjson_obj_get(f->body, places[i]));
        yyjson_val *key;
        while ((key = yyjson_obj_iter_next(&k))) {
            yyjson_val *v = yyjson_obj_iter_get_val(key);
            if (!mh_plugin_is_handle(v))
                continue;
            (void)yyjson_mut_obj_remove_key(yyjson_mut_obj_get(root, places[i]),
                                            yyjson_get_str(key));
            if (!fill_one(f, doc, data, key, v, missing))
                return NULL;
        }
    }
    return data ? mh_json_mut_text(&g->arena, root, NULL) : NULL;
}

static void
write_it(struct mh_guarded *g)
{
    const struct mh_api *api = &g->work->plugin->all->api;
    yyjson_val *missing = NULL;
    const char *body = filled(g, &missing);
    if (!body) {
        const char *what = "no memory for a secret";
        if (missing)
            what = mh_arena_printf(&g->arena, "secret %.100s has no key %.100s",
                                   mh_json_str(missing, "secret", NULL),
                                   mh_json_str(missing, "key", NULL));
        end(g, missing ? MH_E_UNAVAILABLE : MH_E_NOMEM, what ? what : "no memory");
        return;
    }
    g->write = *g->call;
    g->write.body = body;
    g->write.body_len = strlen(body);
    g->write.done = on_written;
    g->write.arg = g;
    g->writing = true;
    api->start(api->self, &g->write);
}

static void
on_source(struct mh_api_call *call)
{
    struct mh_guarded *g = call->arg;
    struct source *s = &g->fill->sources[g->fill->at++];
    g->reading = false;
    if (call->err.code != MH_OK) { /* one that is not there may come */
        bool gone = call->err.code == MH_E_NOTFOUND;
        end(g, gone ? MH_E_UNAVAILABLE : call->err.code, call->err.msg);
        return;
    }
    s->data = yyjson_obj_get(call->reply, "data");
    read_next(g);
}

static void
read_next(struct mh_guarded *g)
{
    struct mh_plugins *all = g->work->plugin->all;
    struct mh_plugin_fill *f = g->fill;
    const struct mh_kind *kind = mh_kind_find(all->kinds, "Secret");
    if (f->at == f->n) {
        write_it(g);
        return;
    }
    g->read = (struct mh_api_call){ .method = "GET",
                                    .path = mh_kube_path(&g->arena, kind, f->ns,
                                                         f->sources[f->at].name, NULL),
                                    .arena = &g->arena,
                                    .done = on_source,
                                    .arg = g };
    if (!g->read.path) {
        end(g, MH_E_INVALID, "a handle has no name of a Secret");
        return;
    }
    g->reading = true;
    all->api.start(all->api.self, &g->read);
}

/* One more that is to be read, if the version in charge may. */
static enum mh_code
add_source(void *arg, yyjson_val *handle, struct mh_err *err)
{
    struct mh_guarded *g = arg;
    struct mh_plugin_fill *f = g->fill;
    struct may m = { g->work->plugin, g->work->plugin->active, f->ns, NULL };
    const char *name = mh_json_str(handle, "secret", NULL);
    if (may_get(&m, handle, err) != MH_OK)
        return err->code;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->sources[i].name, name) == 0)
            return MH_OK;
    if (f->n == SECRETS_MAX)
        return mh_fail(err, MH_E_LIMIT, "handles of more than %d Secrets in one", SECRETS_MAX);
    f->sources[f->n++].name = name;
    return MH_OK;
}

bool
mh_plugin_fills(const struct mh_api_call *call)
{
    static const char core[] = "/api/v1/namespaces/", secrets[] = "/secrets";
    bool apply = mh_str_eq(call->method, "PATCH") && mh_str_eq(call->content_type, MH_PATCH_APPLY);
    if (!mh_str_starts(call->path, core) || !call->body ||
        !(apply || mh_str_eq(call->method, "POST")))
        return false;
    const char *kind = strchr(call->path + sizeof(core) - 1, '/');
    return kind && mh_str_starts(kind, secrets) && strchr("/?", kind[sizeof(secrets) - 1]) &&
           strstr(call->body, "\"handle\":");
}

void
mh_plugin_fill_start(struct mh_guarded *g)
{
    struct mh_api_call *call = g->call;
    struct mh_plugin_fill *f = mh_arena_alloc(&g->arena, sizeof(*f));
    char *path = mh_arena_strdup(&g->arena, call->path);
    struct mh_kube_parts parts;
    if (!f || !path) {
        end(g, MH_E_NOMEM, "no memory for a secret");
        return;
    }
    *f = (struct mh_plugin_fill){ .n = 0 };
    g->fill = f;
    bool right = mh_kube_path_split(path, &parts) && parts.ns && !parts.sub &&
                 mh_kind_is_secret(
                     &(struct mh_kind){ .group = parts.group, .kind = "", .plural = parts.plural });
    if (mh_json_parse(&g->arena, call->body, call->body_len, &f->body, &call->err) != MH_OK) {
        mh_plugin_guarded_done(g);
        return;
    }
    if (!right || !mh_object_is_secret(f->body) ||
        !mh_str_eq(mh_json_str(f->body, "metadata", "namespace", NULL), parts.ns)) {
        end(g, MH_E_REFUSED, "handles of secrets are only for a Secret of v1");
        return;
    }
    f->ns = parts.ns;
    if (each(f->body, add_source, g, &call->err) != MH_OK)
        mh_plugin_guarded_done(g);
    else
        read_next(g);
}

void
mh_plugin_fill_cancel(struct mh_guarded *g)
{
    const struct mh_plugins *all = g->work->plugin->all;
    if (g->writing)
        all->api.cancel(all->api.self, &g->write);
    g->writing = false;
}
