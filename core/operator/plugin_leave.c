/* plugin_leave.c - a plugin is gone: our finalizer goes from its objects, for nobody would ever take it away.
 * What is known of them may be old and the API server away: each is read again and tried for a while. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/plugin_in.h"

#define LIST_ARENA ((size_t)32 << 20)
#define ARENA ((size_t)4 << 20)
#define TRIES 20

/* One object. */
struct mh_plugin_leaving {
    struct mh_plugin_leaving *next;
    struct mh_plugins *all;
    struct mh_arena arena; /* of a call */
    struct mh_api_call call;
    bool calling;
    struct mh_timer *timer;
    char *path;
    unsigned tries;
};

static void
free_leaving(struct mh_plugin_leaving *l)
{
    struct mh_clock *clock = &l->all->clock;
    clock->cancel(clock->self, l->timer);
    if (l->calling)
        l->all->api.cancel(l->all->api.self, &l->call);
    mh_arena_release(&l->arena);
    mh_free(l->path);
    mh_free(l);
}

static void
finish(struct mh_plugin_leaving *l)
{
    struct mh_plugin_leaving **at = &l->all->leaving;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    free_leaving(l);
}

static void
request(struct mh_plugin_leaving *l, const char *method, const char *body,
        void (*done)(struct mh_api_call *call))
{
    l->call = (struct mh_api_call){ .method = method,
                                    .path = l->path,
                                    .content_type = body ? MH_PATCH_MERGE : NULL,
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0,
                                    .arena = &l->arena,
                                    .done = done,
                                    .arg = l };
    l->calling = true;
    l->all->api.start(l->all->api.self, &l->call);
}

/* --- one object ------------------------------------------------------------------------------------ */

static void on_read(struct mh_api_call *call);

/* Whether a plugin is there for its kind, whose finalizer it is now. */
static bool
is_served(struct mh_plugin_leaving *l)
{
    char *path = mh_arena_strdup(&l->arena, l->path);
    struct mh_kube_parts parts;
    if (!path || !mh_kube_path_split(path, &parts))
        return false;
    for (const struct mh_plugin *p = l->all->first; p; p = p->next)
        if (p->active && (p->home || mh_str_eq(p->ns, parts.ns)) &&
            mh_str_eq(p->active->group, parts.group) && mh_str_eq(p->active->plural, parts.plural))
            return true;
    return false;
}

static void
on_again(void *arg)
{
    struct mh_plugin_leaving *l = arg;
    l->timer = NULL;
    mh_arena_clear(&l->arena);
    if (is_served(l))
        finish(l);
    else
        request(l, "GET", NULL, on_read);
}

static void
again(struct mh_plugin_leaving *l, const char *why)
{
    struct mh_clock *clock = &l->all->clock;
    if (++l->tries < TRIES)
        l->timer = clock->after(clock->self, mh_queue_backoff_ns(l->tries), on_again, l);
    if (l->timer)
        return;
    mh_warn("plugin", "a finalizer stays on an object", "path", l->path, "error", why);
    finish(l);
}

static void
on_written(struct mh_api_call *call)
{
    struct mh_plugin_leaving *l = call->arg;
    l->calling = false;
    if (call->err.code == MH_OK || call->err.code == MH_E_NOTFOUND)
        finish(l);
    else
        again(l, call->err.msg);
}

bool
mh_plugin_has_finalizer(yyjson_val *object)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(object, "metadata", "finalizers", NULL));
    yyjson_val *f;
    while ((f = yyjson_arr_iter_next(&i)))
        if (yyjson_equals_str(f, MH_PLUGIN_FINALIZER))
            return true;
    return false;
}

/* A patch that holds for this very version; NULL: no memory. */
static const char *
patch_of(struct mh_arena *a, yyjson_val *object)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, meta, "finalizers");
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(object, "metadata", "finalizers", NULL));
    yyjson_val *f;
    bool ok = list != NULL;
    while ((f = yyjson_arr_iter_next(&i)))
        if (!yyjson_equals_str(f, MH_PLUGIN_FINALIZER))
            ok = ok && yyjson_mut_arr_append(list, yyjson_val_mut_copy(doc, f));
    const char *rv = mh_json_str(object, "metadata", "resourceVersion", NULL);
    ok = ok && rv && yyjson_mut_obj_add_strcpy(doc, meta, "resourceVersion", rv);
    return ok ? mh_json_mut_text(a, root, NULL) : NULL;
}

static void
let_go(struct mh_plugin_leaving *l, yyjson_val *object)
{
    const char *body = patch_of(&l->arena, object);
    if (body)
        request(l, "PATCH", body, on_written);
    else
        again(l, "no memory");
}

static void
on_read(struct mh_api_call *call)
{
    struct mh_plugin_leaving *l = call->arg;
    l->calling = false;
    if (call->err.code == MH_E_NOTFOUND ||
        (call->err.code == MH_OK && !mh_plugin_has_finalizer(call->reply)))
        finish(l);
    else if (call->err.code != MH_OK)
        again(l, call->err.msg);
    else
        let_go(l, call->reply);
}

/* --- all of them ------------------------------------------------------------------------------------ */

static bool
goes_already(const struct mh_plugins *all, const char *path)
{
    const struct mh_plugin_leaving *l = all->leaving;
    while (l && strcmp(l->path, path) != 0)
        l = l->next;
    return l != NULL;
}

bool
mh_plugin_let_object_go(struct mh_plugins *all, const struct mh_kind *kind, yyjson_val *object)
{
    struct mh_plugin_leaving *l = mh_calloc(1, sizeof(*l));
    if (!l)
        return false;
    mh_arena_init(&l->arena, ARENA);
    l->all = all;
    const char *path =
        mh_kube_path(&l->arena, kind, mh_json_str(object, "metadata", "namespace", NULL),
                     mh_json_str(object, "metadata", "name", NULL), NULL);
    l->path = path && !goes_already(all, path) ? mh_strdup(path) : NULL;
    if (!l->path) {
        free_leaving(l);
        return false;
    }
    l->next = all->leaving;
    all->leaving = l;
    let_go(l, object);
    return true;
}

void
mh_plugin_let_go(struct mh_plugin_work *w)
{
    struct mh_arena a;
    yyjson_val **items;
    struct mh_cache_query query = { .kind = w->kind };
    mh_arena_init(&a, LIST_ARENA);
    int n = mh_cache_list(w->cache, &a, &query, &items);
    for (int i = 0; i < n; i++)
        if (mh_plugin_has_finalizer(items[i]))
            (void)mh_plugin_let_object_go(w->plugin->all, w->kind, items[i]);
    mh_arena_release(&a);
}

void
mh_plugins_stop_leaving(struct mh_plugins *all)
{
    while (all->leaving) {
        struct mh_plugin_leaving *l = all->leaving;
        all->leaving = l->next;
        free_leaving(l);
    }
}
