/* plugin_sweep.c - kinds whose plugin is in no ConfigMap any more: it was taken away while no operator ran, or
 * none of its versions was in charge. Their objects keep our finalizer for ever, so it is taken off those
 * that are being deleted; the others are left as they are, and looked at again as long as there are any. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "operator/plugin_in.h"

#define ARENA ((size_t)64 << 20)
#define AGAIN_NS (60 * MH_NS_PER_S)
#define KINDS_MAX 200
#define PAGE "200"
#define OURS "app.kubernetes.io/managed-by=moonherd"

/* A kind of a plugin that is gone. */
struct orphan {
    struct mh_kind kind;
    const char *owner; /* "namespace/name/key" */
};

struct mh_plugin_sweep {
    struct mh_plugins *all;
    struct mh_arena names; /* of the kinds */
    struct mh_arena arena; /* of a call */
    struct mh_api_call call;
    bool calling;
    struct mh_timer *timer;
    struct orphan kinds[KINDS_MAX];
    size_t n, at;
    char *more;   /* continue token */
    bool remains; /* objects with our finalizer, or something was not read */
};

static void next(struct mh_plugin_sweep *s);

/* --- which kinds ------------------------------------------------------------------------------------- */

/* Whether the plugin "namespace/name/key" was one of ours and is in no ConfigMap now. */
static bool
is_gone(const struct mh_plugins *all, const char *owner)
{
    size_t home = strlen(all->name_space);
    char name[900];
    if (!owner || strncmp(owner, all->name_space, home) != 0 || owner[home] != '/')
        return false; /* another installation's */
    for (const struct mh_plugin *p = all->first; p; p = p->next) {
        int len = snprintf(name, sizeof(name), "%s/%s/%s", p->ns, p->name, p->key);
        if (len < 0 || (size_t)len >= sizeof(name) || strcmp(name, owner) == 0)
            return false;
    }
    return true;
}

/* Whether every plugin is known here. */
static bool
sees_all(const struct mh_plugins *all)
{
    const char *const *ns = all->namespaces;
    int n = 0;
    for (const struct mh_plugin *p = all->first; p; p = p->next)
        n++;
    while (ns && *ns && strcmp(*ns, all->name_space) != 0)
        ns++;
    return n < MH_PLUGINS_MAX && (!all->namespaces || !all->namespaces[0] || *ns);
}

static const char *
stored_version(yyjson_val *crd)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(crd, "spec", "versions", NULL));
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i)))
        if (mh_json_bool(v, false, "storage", NULL) && mh_json_bool(v, false, "served", NULL))
            return mh_json_str(v, "name", NULL);
    return NULL;
}

static void
take_kind(struct mh_plugin_sweep *s, yyjson_val *crd)
{
    const char *owner = mh_json_str(crd, "metadata", "annotations", MH_PLUGIN_OWNER, NULL);
    const char *group = mh_json_str(crd, "spec", "group", NULL);
    const char *plural = mh_json_str(crd, "spec", "names", "plural", NULL);
    const char *kind = mh_json_str(crd, "spec", "names", "kind", NULL);
    const char *version = stored_version(crd);
    bool namespaced = mh_str_eq(mh_json_str(crd, "spec", "scope", NULL), "Namespaced");
    if (!group || !plural || !kind || !version || !namespaced || s->n == KINDS_MAX ||
        !is_gone(s->all, owner))
        return;
    struct orphan *o = &s->kinds[s->n];
    *o = (struct orphan){ .kind = { .group = mh_arena_strdup(&s->names, group),
                                    .version = mh_arena_strdup(&s->names, version),
                                    .kind = mh_arena_strdup(&s->names, kind),
                                    .plural = mh_arena_strdup(&s->names, plural),
                                    .namespaced = true },
                          .owner = mh_arena_strdup(&s->names, owner) };
    if (o->kind.group && o->kind.version && o->kind.kind && o->kind.plural && o->owner)
        s->n++;
}

/* --- their objects ----------------------------------------------------------------------------------- */

/* Whether a plugin of that namespace may be about to serve it: such a one makes no kind. */
static bool
has_plugins(const struct mh_plugins *all, const char *ns)
{
    const struct mh_plugin *p = all->first;
    while (p && (p->home || !mh_str_eq(p->ns, ns)))
        p = p->next;
    return p != NULL;
}

static void
take_object(struct mh_plugin_sweep *s, const struct orphan *o, yyjson_val *object)
{
    struct mh_plugins *all = s->all;
    const char *ns = mh_json_str(object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(object, "metadata", "name", NULL);
    const char *uid = mh_json_str(object, "metadata", "uid", NULL);
    char version[400], note[900];
    if (!mh_plugin_has_finalizer(object) || !ns || !name || has_plugins(all, ns) ||
        !is_gone(all, o->owner))
        return;
    s->remains = true;
    if (!mh_json_str(object, "metadata", "deletionTimestamp", NULL) ||
        !mh_plugin_let_object_go(all, &o->kind, object))
        return;
    mh_warn("plugin", "an object goes without finalize: its plugin is gone", "kind", o->kind.plural,
            "namespace", ns, "name", name, "plugin", o->owner);
    (void)snprintf(version, sizeof(version), "%s/%s", o->kind.group, o->kind.version);
    (void)snprintf(note, sizeof(note),
                   "plugin %s is gone: nobody runs finalize, the finalizer is taken off", o->owner);
    struct mh_event_ref ref = {
        .api_version = version, .kind = o->kind.kind, .name_space = ns, .name = name, .uid = uid
    };
    if (all->events)
        mh_kube_event(all->events, &ref, "Warning", "PluginGone", note);
}

/* --- calls ------------------------------------------------------------------------------------------- */

static void
free_sweep(struct mh_plugin_sweep *s)
{
    struct mh_plugins *all = s->all;
    all->clock.cancel(all->clock.self, s->timer);
    if (s->calling)
        all->api.cancel(all->api.self, &s->call);
    mh_free(s->more);
    mh_arena_release(&s->arena);
    mh_arena_release(&s->names);
    mh_free(s);
}

static void
on_again(void *arg)
{
    struct mh_plugin_sweep *s = arg;
    s->timer = NULL;
    mh_plugins_sweep(s->all);
}

static void
finish(struct mh_plugin_sweep *s)
{
    struct mh_clock *clock = &s->all->clock;
    if (s->remains)
        s->timer = clock->after(clock->self, AGAIN_NS, on_again, s);
    if (s->timer)
        return;
    s->all->sweep = NULL;
    free_sweep(s);
}

static void
on_list(struct mh_api_call *call)
{
    struct mh_plugin_sweep *s = call->arg;
    bool kinds = s->at == 0;
    s->calling = false;
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND) {
        mh_warn("plugin", "objects of plugins that are gone are not looked at", "kind",
                kinds ? "" : s->kinds[s->at - 1].kind.plural, "error", call->err.msg);
        s->remains = s->remains || mh_class_of(call->err.code) != MH_TERMINAL;
    }
    bool ok = call->err.code == MH_OK;
    yyjson_arr_iter i = yyjson_arr_iter_with(ok ? yyjson_obj_get(call->reply, "items") : NULL);
    yyjson_val *item;
    while ((item = yyjson_arr_iter_next(&i))) {
        if (kinds)
            take_kind(s, item);
        else
            take_object(s, &s->kinds[s->at - 1], item);
    }
    const char *more = ok ? mh_json_str(call->reply, "metadata", "continue", NULL) : NULL;
    mh_free(s->more);
    s->more = more && *more ? mh_strdup(more) : NULL;
    if (!s->more)
        s->at++;
    next(s);
}

/* Asks for the next page: first of kinds, then of the objects of each. */
static void
next(struct mh_plugin_sweep *s)
{
    struct mh_plugins *all = s->all;
    const struct mh_kind *kind =
        s->at ? &s->kinds[s->at - 1].kind : mh_kind_find(all->kinds, "CustomResourceDefinition");
    if (s->at > s->n || !kind) {
        finish(s);
        return;
    }
    mh_arena_clear(&s->arena);
    const char *path = mh_kube_path(&s->arena, kind, NULL, NULL, NULL);
    path = path ? mh_kube_query(&s->arena, path, "limit", PAGE) : NULL;
    if (path && !s->at)
        path = mh_kube_query(&s->arena, path, "labelSelector", OURS);
    if (path && s->more)
        path = mh_kube_query(&s->arena, path, "continue", s->more);
    if (!path) {
        s->remains = true;
        finish(s);
        return;
    }
    s->call = (struct mh_api_call){
        .method = "GET", .path = path, .arena = &s->arena, .done = on_list, .arg = s
    };
    s->calling = true;
    all->api.start(all->api.self, &s->call);
}

void
mh_plugins_sweep(struct mh_plugins *all)
{
    mh_plugins_stop_sweep(all);
    if (!all->leading || !sees_all(all))
        return;
    struct mh_plugin_sweep *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return;
    s->all = all;
    mh_arena_init(&s->names, ARENA);
    mh_arena_init(&s->arena, ARENA);
    all->sweep = s;
    next(s);
}

void
mh_plugins_stop_sweep(struct mh_plugins *all)
{
    struct mh_plugin_sweep *s = all->sweep;
    all->sweep = NULL;
    if (s)
        free_sweep(s);
}
