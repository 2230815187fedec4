/* plugin_guard.c - the API server as a plugin's passes see it: nothing goes out that no need covers. */
#include "operator/plugin_guard.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/plugin_secret.h"

/* --- from a path to a wish --------------------------------------------------------------------------- */

/* False: no path of an object or collection. */
static bool
read_path(char *path, struct mh_need_wish *w)
{
    struct mh_kube_parts p;
    if (!mh_kube_path_split(path, &p))
        return false;
    w->group = p.group;
    w->name_space = p.ns;
    w->resource = p.plural;
    w->name = p.name;
    w->subresource = p.sub;
    return true;
}

static const char *
verb_of(const struct mh_api_call *call, bool named)
{
    static const char *const verbs[][2] = {
        { "POST", "create" }, { "PUT", "update" }, { "PATCH", "patch" }, { "DELETE", "delete" }
    };
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(call->method, verbs[i][0]) == 0)
            return verbs[i][1];
    return named ? "get" : "list";
}

/* What C does for every plugin: reads its objects, writes their status and finalizers. */
static bool
is_own(const struct mh_plugin_work *w, const struct mh_need_wish *wish)
{
    return mh_str_eq(wish->group, w->kind->group) && mh_str_eq(wish->resource, w->kind->plural) &&
           wish->name && (mh_str_eq(wish->verb, "get") || mh_str_eq(wish->verb, "patch")) &&
           (!wish->subresource || mh_str_eq(wish->subresource, "status"));
}

static enum mh_code
judge(const struct mh_plugin_work *w, const struct mh_api_call *call, struct mh_err *err)
{
    const struct mh_plugin *p = w->plugin;
    const struct mh_plugin_text *t = p->active;
    struct mh_need_wish wish = { .group = "" };
    char *path = mh_strdup(call->path);
    enum mh_code code = MH_OK;
    if (!path)
        return mh_fail(err, MH_E_NOMEM, "no memory for a call of a plugin");
    if (!t || !read_path(path, &wish)) {
        code = mh_fail(err, MH_E_REFUSED, "%s is nothing that a plugin may call", call->path);
    } else {
        wish.verb = verb_of(call, wish.name != NULL);
        if (!is_own(w, &wish))
            code = mh_plugin_may(p, t, &wish, NULL, err);
        if (code == MH_OK && mh_str_eq(call->content_type, MH_PATCH_APPLY)) {
            wish.verb = "create";
            wish.name = NULL;
            code = mh_plugin_may(p, t, &wish, NULL, err);
        }
    }
    mh_free(path);
    return code;
}

/* A bucket of calls that fills up by itself. */
static enum mh_code
pay(struct mh_plugin_work *w, struct mh_err *err)
{
    int64_t now = w->plugin->all->clock.mono_ns(w->plugin->all->clock.self) / 1000;
    int64_t each = 1000000 / MH_PLUGIN_CALLS_S;
    if (w->tokens_us < now)
        w->tokens_us = now;
    if (w->tokens_us - now > each * MH_PLUGIN_CALLS_BURST)
        return mh_fail(err, MH_E_THROTTLED, "the plugin calls too often: over %d a minute",
                       MH_PLUGIN_CALLS_S * 60);
    w->tokens_us += each;
    return MH_OK;
}

/* --- calls that are answered here ---------------------------------------------------------------------- */

static struct mh_guarded **
find(struct mh_plugin_work *w, const struct mh_api_call *call)
{
    struct mh_guarded **at = &w->calls;
    while (*at && (*at)->call != call)
        at = &(*at)->next;
    return at;
}

static void
drop(struct mh_guarded *g)
{
    struct mh_plugins *all = g->work->plugin->all;
    struct mh_guarded **at = find(g->work, g->call);
    *at = g->next;
    all->clock.cancel(all->clock.self, g->timer);
    mh_arena_release(&g->arena);
    mh_free(g);
}

static void
on_done(void *arg)
{
    struct mh_guarded *g = arg;
    struct mh_api_call *call = g->call;
    g->timer = NULL;
    drop(g);
    call->done(call);
}

void
mh_plugin_guarded_done(struct mh_guarded *g)
{
    struct mh_plugins *all = g->work->plugin->all;
    g->timer = all->clock.after(all->clock.self, 0, on_done, g);
    if (!g->timer) /* rather from inside than never */
        on_done(g);
}

static void
start(void *self, struct mh_api_call *call)
{
    struct mh_plugin_work *w = self;
    const struct mh_api *api = &w->plugin->all->api;
    bool sql = mh_str_eq(call->path, MH_PLUGIN_SQL_PATH), fills = mh_plugin_fills(call);
    struct mh_err err = { .code = MH_OK };
    if (pay(w, &err) == MH_OK && !sql && judge(w, call, &err) == MH_OK && !fills) {
        api->start(api->self, call);
        return;
    }
    struct mh_guarded *g = mh_calloc(1, sizeof(*g));
    call->err = err;
    call->status = 0;
    call->reply = NULL;
    if (!g) {
        mh_fail(&call->err, MH_E_NOMEM, "no memory for a call of a plugin");
        call->done(call);
        return;
    }
    g->work = w;
    g->call = call;
    g->next = w->calls;
    w->calls = g;
    mh_arena_init(&g->arena, (size_t)4 << 20);
    if (err.code == MH_OK) {
        (sql ? mh_plugin_sql_start : mh_plugin_fill_start)(g);
        return;
    }
    mh_warn("plugin", "call refused", "plugin", w->plugin->name, "namespace", w->plugin->ns,
            "method", call->method, "path", call->path, "error", err.msg);
    mh_plugin_guarded_done(g);
}

static void
cancel(void *self, struct mh_api_call *call)
{
    struct mh_plugin_work *w = self;
    const struct mh_api *api = &w->plugin->all->api;
    struct mh_guarded *g = *find(w, call);
    if (!g) {
        api->cancel(api->self, call);
        return;
    }
    mh_plugin_sql_cancel(g);
    mh_plugin_fill_cancel(g);
    drop(g);
}

struct mh_api
mh_plugin_guard(struct mh_plugin_work *w)
{
    return (struct mh_api){ .start = start, .cancel = cancel, .self = w };
}

void
mh_plugin_guard_release(struct mh_plugin_work *w)
{
    while (w->calls) {
        mh_plugin_sql_cancel(w->calls);
        mh_plugin_fill_cancel(w->calls);
        drop(w->calls);
    }
}
