#include "sandbox/rbac.h"

#include <string.h>

#include "base/str.h"
#include "sandbox/sched.h"

#define ARENA_MAX ((size_t)64 << 20)
#define ROLES_MAX 65536

void
mh_sb_rbac_init(struct mh_sb_rbac *r, struct mh_sb_api *api)
{
    *r = (struct mh_sb_rbac){ .api = api };
    mh_arena_init(&r->arena, ARENA_MAX);
    mh_map_init(&r->roles, ROLES_MAX);
}

void
mh_sb_rbac_release(struct mh_sb_rbac *r)
{
    mh_map_release(&r->roles);
    mh_arena_release(&r->arena);
}

/* --- what belongs to no namespace --------------------------------------------------------------- */

struct gather {
    struct mh_sb_rbac *r;
    yyjson_val **items;
    size_t n, size;
};

static bool
add_role(void *arg, yyjson_val *o)
{
    struct mh_sb_rbac *r = arg;
    const char *name = mh_json_str(o, "metadata", "name", NULL);
    return name && mh_map_put(&r->roles, name, o, NULL);
}

static bool
add_binding(void *arg, yyjson_val *o)
{
    struct gather *g = arg;
    if (g->n == g->size) {
        size_t size = g->size ? 2 * g->size : 64;
        yyjson_val **more = mh_arena_alloc(&g->r->arena, size * sizeof(*more));
        if (!more)
            return false;
        if (g->n)
            memcpy(more, g->items, g->n * sizeof(*more));
        g->items = more;
        g->size = size;
    }
    g->items[g->n++] = o;
    return true;
}

static void
load(struct mh_sb_rbac *r)
{
    uint64_t roles = mh_sb_changed(r->api, MH_SB_RBAC_GROUP, "clusterroles");
    uint64_t bindings = mh_sb_changed(r->api, MH_SB_RBAC_GROUP, "clusterrolebindings");
    struct gather g = { .r = r };
    if (r->loaded && r->roles_at == roles && r->bindings_at == bindings)
        return;
    mh_map_release(&r->roles);
    mh_arena_release(&r->arena);
    mh_map_init(&r->roles, ROLES_MAX);
    mh_sb_each(r->api, &r->arena, MH_SB_RBAC_GROUP, "clusterroles", NULL, add_role, r);
    mh_sb_each(r->api, &r->arena, MH_SB_RBAC_GROUP, "clusterrolebindings", NULL, add_binding, &g);
    r->bindings = g.items;
    r->nbindings = g.n;
    r->roles_at = roles;
    r->bindings_at = bindings;
    r->loaded = true;
}

/* --- subjects ------------------------------------------------------------------------------------ */

struct subject {
    const char *user;
    const char *const *groups;
};

static bool
in_groups(const struct subject *s, const char *name)
{
    for (const char *const *g = s->groups; g && *g; g++)
        if (mh_str_eq(*g, name))
            return true;
    return false;
}

static bool
is_account(const char *user, const char *ns, const char *name)
{
    static const char prefix[] = "system:serviceaccount:";
    size_t n = ns ? strlen(ns) : 0;
    if (!name || !n || !mh_str_starts(user, prefix))
        return false;
    user += sizeof(prefix) - 1;
    return strncmp(user, ns, n) == 0 && user[n] == ':' && strcmp(user + n + 1, name) == 0;
}

/* The subject of the binding that s is; NULL: none. */
static yyjson_val *
bound_subject(yyjson_val *binding, const struct subject *s)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(binding, "subjects"));
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i))) {
        const char *kind = mh_json_str(v, "kind", NULL);
        const char *name = mh_json_str(v, "name", NULL);
        const char *ns = mh_json_str(v, "namespace", NULL);
        if (mh_str_eq(kind, "User") ? mh_str_eq(name, s->user)
            : mh_str_eq(kind, "Group")
                ? in_groups(s, name)
                : mh_str_eq(kind, "ServiceAccount") && is_account(s->user, ns, name))
            return v;
    }
    return NULL;
}

/* --- rules --------------------------------------------------------------------------------------- */

struct visit {
    struct mh_sb_rbac *r;
    struct mh_arena *a;
    struct subject s;
    bool (*fn)(void *arg, yyjson_val *rule, const char *source);
    void *arg;
    bool stop;
};

static void
give_rules(struct visit *v, yyjson_val *rules, const char *source)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(rules);
    yyjson_val *rule;
    while (!v->stop && (rule = yyjson_arr_iter_next(&i)))
        v->stop = !v->fn(v->arg, rule, source);
}

/* Rules of a ClusterRole; those that it gathers by labels too. */
static void
give_cluster_role(struct visit *v, const char *name, const char *source)
{
    yyjson_val *role = name ? mh_map_get(&v->r->roles, name) : NULL;
    yyjson_val *selectors = mh_json_get(role, "aggregationRule", "clusterRoleSelectors", NULL);
    if (!selectors) {
        give_rules(v, yyjson_obj_get(role, "rules"), source);
        return;
    }
    for (size_t k = 0; k < v->r->roles.len && !v->stop; k++) {
        yyjson_val *other = v->r->roles.entries[k].value;
        yyjson_val *labels = mh_json_get(other, "metadata", "labels", NULL);
        yyjson_arr_iter i = yyjson_arr_iter_with(selectors);
        yyjson_val *selector;
        while (other != role && (selector = yyjson_arr_iter_next(&i))) {
            if (!mh_sb_selects(selector, labels))
                continue;
            /* view is part of edit, edit of admin: one level more */
            if (mh_json_get(other, "aggregationRule", NULL))
                give_cluster_role(v, mh_json_str(other, "metadata", "name", NULL), source);
            else
                give_rules(v, yyjson_obj_get(other, "rules"), source);
            break;
        }
    }
}

static const char *
source_of(struct visit *v, yyjson_val *binding, const char *kind, yyjson_val *subject)
{
    const char *name = mh_json_str(binding, "metadata", "name", NULL);
    const char *ns = mh_json_str(binding, "metadata", "namespace", NULL);
    const char *slash = ns ? "/" : "";
    const char *who = mh_json_str(subject, "kind", NULL);
    const char *home =
        mh_str_eq(who, "ServiceAccount") ? mh_json_str(subject, "namespace", NULL) : NULL;
    const char *text =
        mh_arena_printf(v->a, "%s \"%s%s%s\" of %s \"%s\" to %s \"%s%s%s\"", kind, name ? name : "",
                        slash, ns ? ns : "", mh_json_str(binding, "roleRef", "kind", NULL),
                        mh_json_str(binding, "roleRef", "name", NULL), who,
                        mh_json_str(subject, "name", NULL), home ? "/" : "", home ? home : "");
    return text ? text : "";
}

static bool
visit_binding(void *arg, yyjson_val *binding)
{
    struct visit *v = arg;
    const char *kind = mh_json_str(binding, "roleRef", "kind", NULL);
    const char *name = mh_json_str(binding, "roleRef", "name", NULL);
    const char *ns = mh_json_str(binding, "metadata", "namespace", NULL);
    yyjson_val *subject = name ? bound_subject(binding, &v->s) : NULL;
    if (!subject)
        return true;
    const char *source = source_of(v, binding, ns ? "RoleBinding" : "ClusterRoleBinding", subject);
    if (mh_str_eq(kind, "ClusterRole")) {
        give_cluster_role(v, name, source);
    } else if (ns) {
        yyjson_val *role = mh_sb_get(v->r->api, v->a, MH_SB_RBAC_GROUP, "roles", ns, name);
        give_rules(v, yyjson_obj_get(role, "rules"), source);
    }
    return !v->stop;
}

void
mh_sb_rbac_rules(struct mh_sb_rbac *r, struct mh_arena *a, const char *user,
                 const char *const *groups, const char *ns,
                 bool (*fn)(void *arg, yyjson_val *rule, const char *source), void *arg)
{
    struct visit v = { .r = r, .a = a, .s = { user, groups }, .fn = fn, .arg = arg };
    load(r);
    for (size_t i = 0; i < r->nbindings && !v.stop; i++)
        (void)visit_binding(&v, r->bindings[i]);
    if (ns && *ns && !v.stop)
        mh_sb_each(r->api, NULL, MH_SB_RBAC_GROUP, "rolebindings", ns, visit_binding, &v);
}

/* --- does a rule allow it? ----------------------------------------------------------------------- */

static bool
has(yyjson_val *list, const char *wanted)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i))) {
        const char *s = yyjson_get_str(v);
        if (mh_str_eq(s, wanted) || mh_str_eq(s, "*"))
            return true;
    }
    return false;
}

/* "pods", "pods/log", any resource's "x/log" written with a star, or all. */
static bool
has_resource(yyjson_val *list, const char *resource, const char *sub)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *v;
    size_t n = strlen(resource);
    while ((v = yyjson_arr_iter_next(&i))) {
        const char *s = yyjson_get_str(v);
        if (!s)
            continue;
        if (strcmp(s, "*") == 0)
            return true;
        bool star = s[0] == '*' && s[1] == '/';
        if (!star && strncmp(s, resource, n) != 0)
            continue;
        const char *rest = star ? s + 1 : s + n;
        if (*sub ? rest[0] == '/' && strcmp(rest + 1, sub) == 0 : !star && !*rest)
            return true;
    }
    return false;
}

static bool
has_url(yyjson_val *list, const char *path)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i))) {
        const char *s = yyjson_get_str(v);
        size_t n = s ? strlen(s) : 0;
        if (n && (strcmp(s, path) == 0 || (s[n - 1] == '*' && strncmp(s, path, n - 1) == 0)))
            return true;
    }
    return false;
}

static bool
allows(yyjson_val *rule, const struct mh_sb_attrs *at)
{
    if (!has(yyjson_obj_get(rule, "verbs"), at->verb))
        return false;
    if (!at->is_resource)
        return has_url(yyjson_obj_get(rule, "nonResourceURLs"), at->path);
    yyjson_val *names = yyjson_obj_get(rule, "resourceNames");
    return has(yyjson_obj_get(rule, "apiGroups"), at->group) &&
           has_resource(yyjson_obj_get(rule, "resources"), at->resource, at->subresource) &&
           (yyjson_arr_size(names) == 0 || (*at->name && has(names, at->name)));
}

struct ask {
    const struct mh_sb_attrs *at;
    const char *source;
};

static bool
ask_rule(void *arg, yyjson_val *rule, const char *source)
{
    struct ask *ask = arg;
    if (!allows(rule, ask->at))
        return true;
    ask->source = source;
    return false;
}

bool
mh_sb_rbac_may(struct mh_sb_rbac *r, struct mh_arena *a, const struct mh_sb_attrs *at,
               const char **reason)
{
    struct ask ask = { at, NULL };
    struct subject s = { at->user, at->groups };
    if (in_groups(&s, "system:masters"))
        return true;
    mh_sb_rbac_rules(r, a, at->user, at->groups, at->is_resource ? at->ns : "", ask_rule, &ask);
    if (ask.source && reason)
        *reason = mh_arena_printf(a, "RBAC: allowed by %s", ask.source);
    return ask.source != NULL;
}

/* --- nobody gives what he has not ---------------------------------------------------------------- */

struct grant {
    struct mh_sb_rbac *r;
    struct mh_arena *a;
    const struct mh_sb_attrs *at;
    const char *ns;
    struct mh_buf missing;
    bool lacks;
};

static void
list_texts(struct mh_buf *b, const char *name, const char *one, bool *first)
{
    (void)mh_buf_printf(b, "%s%s:[", *first ? "" : ", ", name);
    (void)mh_json_quote(b, one, strlen(one));
    (void)mh_buf_char(b, ']');
    *first = false;
}

/* Is every name of the rule allowed for this verb, group and resource? */
static bool
holds(struct grant *g, yyjson_val *rule, const char *verb, const char *group, const char *resource)
{
    const char *slash = strchr(resource, '/');
    char *plain = slash ? mh_arena_strndup(g->a, resource, (size_t)(slash - resource)) : NULL;
    struct mh_sb_attrs at = { .user = g->at->user,
                              .groups = g->at->groups,
                              .verb = verb,
                              .group = group,
                              .version = "",
                              .resource = plain ? plain : resource,
                              .subresource = slash ? slash + 1 : "",
                              .ns = g->ns,
                              .name = "",
                              .path = "",
                              .is_resource = true };
    yyjson_val *names = yyjson_obj_get(rule, "resourceNames");
    if (yyjson_arr_size(names) == 0)
        return mh_sb_rbac_may(g->r, g->a, &at, NULL);
    yyjson_arr_iter i = yyjson_arr_iter_with(names);
    yyjson_val *name;
    while ((name = yyjson_arr_iter_next(&i))) {
        at.name = yyjson_get_str(name) ? yyjson_get_str(name) : "";
        if (!mh_sb_rbac_may(g->r, g->a, &at, NULL))
            return false;
    }
    return true;
}

static void
tell_missing(struct grant *g, yyjson_val *rule, const char *verb, const char *group,
             const char *resource)
{
    struct mh_buf *b = &g->missing;
    bool first = true;
    (void)mh_buf_str(b, "\n{");
    list_texts(b, "APIGroups", group, &first);
    list_texts(b, "Resources", resource, &first);
    size_t n = 0;
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(rule, "resourceNames"));
    yyjson_val *name;
    while ((name = yyjson_arr_iter_next(&i))) {
        const char *s = yyjson_get_str(name);
        (void)mh_buf_str(b, n++ ? " " : ", ResourceNames:[");
        (void)mh_json_quote(b, s ? s : "", s ? strlen(s) : 0);
    }
    (void)mh_buf_str(b, n ? "]" : "");
    list_texts(b, "Verbs", verb, &first);
    (void)mh_buf_char(b, '}');
    g->lacks = true;
}

static void
check_urls(struct grant *g, yyjson_val *rule, const char *verb)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(rule, "nonResourceURLs"));
    yyjson_val *v;
    while ((v = yyjson_arr_iter_next(&i))) {
        bool first = true;
        const char *url = yyjson_get_str(v) ? yyjson_get_str(v) : "";
        struct mh_sb_attrs at = { .user = g->at->user,
                                  .groups = g->at->groups,
                                  .verb = verb,
                                  .group = "",
                                  .version = "",
                                  .resource = "",
                                  .subresource = "",
                                  .ns = "",
                                  .name = "",
                                  .path = url };
        if (mh_sb_rbac_may(g->r, g->a, &at, NULL))
            continue;
        (void)mh_buf_str(&g->missing, "\n{");
        list_texts(&g->missing, "NonResourceURLs", url, &first);
        list_texts(&g->missing, "Verbs", verb, &first);
        (void)mh_buf_char(&g->missing, '}');
        g->lacks = true;
    }
}

static bool
check_rule(void *arg, yyjson_val *rule, const char *source)
{
    struct grant *g = arg;
    (void)source;
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(rule, "apiGroups"));
    yyjson_val *group, *resource, *verb;
    while ((group = yyjson_arr_iter_next(&i))) {
        yyjson_arr_iter k = yyjson_arr_iter_with(yyjson_obj_get(rule, "resources"));
        while ((resource = yyjson_arr_iter_next(&k))) {
            yyjson_arr_iter m = yyjson_arr_iter_with(yyjson_obj_get(rule, "verbs"));
            while ((verb = yyjson_arr_iter_next(&m))) {
                const char *gs = yyjson_get_str(group), *rs = yyjson_get_str(resource),
                           *vs = yyjson_get_str(verb);
                if (gs && rs && vs && !holds(g, rule, vs, gs, rs))
                    tell_missing(g, rule, vs, gs, rs);
            }
        }
    }
    yyjson_arr_iter m = yyjson_arr_iter_with(yyjson_obj_get(rule, "verbs"));
    while ((verb = yyjson_arr_iter_next(&m)))
        if (yyjson_get_str(verb))
            check_urls(g, rule, yyjson_get_str(verb));
    return true;
}

/* Has he the verb that lets him write any role, or bind this one? */
static bool
has_leave(struct grant *g, const char *verb, const char *resource, const char *name)
{
    struct mh_sb_attrs at = { .user = g->at->user,
                              .groups = g->at->groups,
                              .verb = verb,
                              .group = MH_SB_RBAC_GROUP,
                              .version = "v1",
                              .resource = resource,
                              .subresource = "",
                              .ns = g->ns,
                              .name = name ? name : "",
                              .path = "",
                              .is_resource = true };
    return mh_sb_rbac_may(g->r, g->a, &at, NULL);
}

const char *
mh_sb_rbac_escalates(struct mh_sb_rbac *r, struct mh_arena *a, const struct mh_sb_attrs *at,
                     yyjson_val *object)
{
    struct grant g = { .r = r, .a = a, .at = at, .ns = at->ns };
    struct visit v = { .r = r, .a = a, .fn = check_rule, .arg = &g };
    const char *ref = mh_json_str(object, "roleRef", "name", NULL);
    bool binding = yyjson_obj_get(object, "roleRef") != NULL;
    bool cluster = mh_str_eq(mh_json_str(object, "roleRef", "kind", NULL), "ClusterRole");
    const char *what = cluster ? "clusterroles" : "roles";
    load(r);
    if (binding ? has_leave(&g, "bind", what, ref)
                : has_leave(&g, "escalate", at->resource, at->name))
        return NULL;
    mh_buf_init(&g.missing, 16u << 10);
    if (!binding)
        give_rules(&v, yyjson_obj_get(object, "rules"), "");
    else if (cluster)
        give_cluster_role(&v, ref, "");
    else
        give_rules(
            &v,
            yyjson_obj_get(mh_sb_get(r->api, a, MH_SB_RBAC_GROUP, "roles", at->ns, ref), "rules"),
            "");
    struct mh_buf groups;
    mh_buf_init(&groups, 16u << 10);
    for (const char *const *s = at->groups; s && *s; s++) {
        (void)mh_buf_str(&groups, s == at->groups ? "" : " ");
        (void)mh_json_quote(&groups, *s, strlen(*s));
    }
    const char *text = NULL;
    if (g.lacks)
        text = mh_arena_printf(a,
                               "user \"%s\" (groups=[%s]) is attempting to grant RBAC permissions "
                               "not currently held:%s",
                               at->user, mh_buf_text(&groups), mh_buf_text(&g.missing));
    mh_buf_release(&groups);
    mh_buf_release(&g.missing);
    return g.lacks && !text ? "no memory" : text;
}
