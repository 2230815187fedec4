/* plugin_wish.c - what a plugin may read and write: its needs, and some that nobody gets. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/plugin_guard.h"
#include "operator/plugin_secret.h"

/* --- one wish -------------------------------------------------------------------------------------- */

static void
describe(char *out, size_t size, const struct mh_need_wish *w)
{
    (void)snprintf(out, size, "%s %s%s%s%s%s%s%s%s%s%s", w->verb, w->resource,
                   w->subresource ? "/" : "", w->subresource ? w->subresource : "",
                   *w->group ? "." : "", w->group, w->name ? " " : "", w->name ? w->name : "",
                   w->name_space ? " in namespace " : "", w->name_space ? w->name_space : "",
                   w->name_space || w->name ? "" : " everywhere");
}

/* Only the needs that name a namespace: what reaches out of the namespace of its object must. */
static bool
names_it(const struct mh_needs_set *s, const struct mh_need_wish *wish)
{
    struct mh_needs_set some = { .napi = 0 };
    for (size_t i = 0; i < s->napi; i++)
        if (s->api[i].name_space)
            some.api[some.napi++] = s->api[i];
    return mh_needs_cover_api(&some, wish);
}

enum mh_code
mh_plugin_may(const struct mh_plugin *p, const struct mh_plugin_text *t,
              const struct mh_need_wish *wish, const char *own_ns, struct mh_err *err)
{
    char what[300];
    describe(what, sizeof(what), wish);
    if (!p->home && !mh_str_eq(wish->name_space, p->ns))
        return mh_fail(err, MH_E_REFUSED,
                       "%s: a plugin of namespace %s touches nothing outside of it", what, p->ns);
    if (!mh_needs_cover_api(&t->needs, wish))
        return mh_fail(err, MH_E_REFUSED, "%s: none of the plugin's needs covers it", what);
    if (own_ns && wish->name_space && !mh_str_eq(own_ns, wish->name_space) &&
        !names_it(&t->needs, wish))
        return mh_fail(err, MH_E_REFUSED,
                       "%s: its object is in namespace %s, and no need names the other one", what,
                       own_ns);
    return MH_OK;
}

/* --- a plan ------------------------------------------------------------------------------------------ */

/* Texts of policies and plugins come from people: who writes one is asked for his rights, and a plugin
 * has none. */
static enum mh_code
check_script_map(const struct mh_plugin_work *w, const struct mh_need_wish *wish, yyjson_val *body,
                 struct mh_err *err)
{
    const struct mh_plugins *all = w->plugin->all;
    yyjson_val *labels = mh_json_get(body, "metadata", "labels", NULL);
    const struct mh_kind *kind = mh_kind_find(all->kinds, "ConfigMap");
    struct mh_arena a;
    bool bad = yyjson_obj_get(labels, MH_POLICY_LABEL) || yyjson_obj_get(labels, MH_PLUGIN_LABEL);
    if (*wish->group || (kind && !mh_str_eq(wish->resource, kind->plural)))
        return MH_OK;
    mh_arena_init(&a, (size_t)4 << 20);
    bad = bad || (wish->name && all->cache &&
                  mh_cache_get(all->cache, &a, kind, wish->name_space, wish->name, NULL));
    bad = bad || yyjson_is_arr(body); /* a JSON patch: what it makes of labels is not looked at */
    mh_arena_release(&a);
    return bad ? mh_fail(err, MH_E_REFUSED,
                         "ConfigMap %s: policies and plugins are not a plugin's "
                         "to write",
                         wish->name)
               : MH_OK;
}

static enum mh_code
check_object(const struct mh_plugin_work *w, const struct mh_plugin_text *t, yyjson_val *action,
             const char *own_ns, struct mh_err *err)
{
    yyjson_val *o = yyjson_obj_get(action, "object");
    const struct mh_kind *kind = mh_kind_of(&w->kinds, o);
    const char *name = mh_json_str(o, "metadata", "name", NULL);
    const char *op = mh_json_str(action, "op", NULL);
    if (!kind)
        return mh_fail(err, MH_E_SCRIPT, "%s %s: declare this kind in `kinds`",
                       mh_json_str(o, "apiVersion", NULL), mh_json_str(o, "kind", NULL));
    struct mh_need_wish wish = {
        "create", kind->group, kind->plural, NULL, mh_json_str(o, "metadata", "namespace", NULL),
        NULL
    };
    if (!kind->namespaced)
        wish.name_space = NULL;
    if (mh_plugin_may(w->plugin, t, &wish, own_ns, err) != MH_OK)
        return err->code;
    wish.name = name;
    wish.verb = "patch";
    if (mh_str_eq(op, "apply") && mh_plugin_may(w->plugin, t, &wish, own_ns, err) != MH_OK)
        return err->code;
    return check_script_map(w, &wish, o, err);
}

static enum mh_code
check_named(const struct mh_plugin_work *w, const struct mh_plugin_text *t, yyjson_val *action,
            const char *own_ns, struct mh_err *err)
{
    const char *key = mh_json_str(action, "kind", NULL);
    const struct mh_kind *kind = key ? mh_kind_find(&w->kinds, key) : NULL;
    if (!kind)
        return mh_fail(err, MH_E_SCRIPT, "kind %s: declare it in `kinds`", key ? key : "");
    struct mh_need_wish wish = { mh_json_str(action, "op", NULL),
                                 kind->group,
                                 kind->plural,
                                 mh_json_str(action, "subresource", NULL),
                                 kind->namespaced ? mh_json_str(action, "namespace", NULL) : NULL,
                                 mh_json_str(action, "name", NULL) };
    if (mh_plugin_may(w->plugin, t, &wish, own_ns, err) != MH_OK)
        return err->code;
    return check_script_map(w, &wish, yyjson_obj_get(action, "body"), err);
}

enum mh_code
mh_plugin_may_sql(const struct mh_plugin *p, const struct mh_plugin_text *t, yyjson_val *how,
                  const char *own_ns, struct mh_err *err)
{
    const char *ns = mh_json_str(how, "namespace", NULL);
    const char *cluster = mh_json_str(how, "cluster", NULL);
    const char *db = mh_json_str(how, "database", NULL), *as = mh_json_str(how, "as", NULL);
    ns = ns ? ns : own_ns;
    if (!cluster || !ns || (!p->home && !mh_str_eq(ns, p->ns)) ||
        (own_ns && !mh_str_eq(ns, own_ns)) || !mh_needs_cover_sql(&t->needs, ns, cluster, db, as))
        return mh_fail(
            err, MH_E_REFUSED,
            "sql in cluster %s, database %s, as %s: none of the plugin's needs covers it",
            cluster ? cluster : "?", db ? db : "of the application", as ? as : "its owner");
    const char *secret = mh_json_str(how, "password", "secret", NULL);
    struct mh_need_wish wish = { "get", "", "secrets", NULL, ns, secret };
    return secret ? mh_plugin_may(p, t, &wish, own_ns, err) : MH_OK;
}

enum mh_code
mh_plugin_may_plan(const struct mh_plugin_work *w, const struct mh_plugin_text *t, yyjson_val *plan,
                   const char *own_ns, struct mh_err *err)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(plan, "actions"));
    yyjson_val *action;
    if (mh_plugin_tells_handle(yyjson_obj_get(plan, "status")))
        return mh_fail(err, MH_E_REFUSED, "status: a handle of a secret may not stand there");
    while ((action = yyjson_arr_iter_next(&i))) {
        const char *op = mh_json_str(action, "op", NULL);
        enum mh_code code = MH_OK;
        if (mh_json_bool(action, false, "internal", NULL))
            continue;
        if (mh_plugin_may_handles(w->plugin, t, action, own_ns, err) != MH_OK)
            return err->code;
        if (mh_str_eq(op, "event"))
            continue;
        if (mh_str_eq(op, "sql"))
            code = mh_plugin_may_sql(w->plugin, t, action, own_ns, err);
        else if (yyjson_obj_get(action, "object"))
            code = check_object(w, t, action, own_ns, err);
        else
            code = check_named(w, t, action, own_ns, err);
        if (code != MH_OK)
            return code;
    }
    return MH_OK;
}
