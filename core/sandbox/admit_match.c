/* admit_match.c - which webhooks and policies concern a request. */
#include <string.h>

#include "base/str.h"
#include "net/crypto.h"
#include "sandbox/admit_in.h"
#include "sandbox/sched.h"

/* --- refusals ---------------------------------------------------------------------------------------------- */

void
mh_sb_admit_refuse(struct mh_sb_admit *ad, int code, const char *reason, const char *message)
{
    ad->code = code;
    ad->reason = reason;
    ad->message = message ? message : "no memory for admission";
}

const char *
mh_sb_admit_name(const struct mh_sb_admit *ad)
{
    yyjson_mut_val *meta = yyjson_mut_obj_get(ad->object, "metadata");
    const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(meta, "name"));
    const char *prefix = yyjson_mut_get_str(yyjson_mut_obj_get(meta, "generateName"));
    if (*ad->at->name)
        return ad->at->name;
    if (name && *name)
        return name;
    return prefix && *prefix ? prefix : "Unknown";
}

void
mh_sb_admit_forbid(struct mh_sb_admit *ad, const char *why)
{
    const char *name = mh_sb_admit_name(ad);
    const char *dot = *ad->at->group ? "." : "";
    yyjson_mut_doc *d = mh_json_doc(ad->arena);
    yyjson_mut_val *details = d ? yyjson_mut_obj(d) : NULL;
    if (details) {
        (void)yyjson_mut_obj_add_str(d, details, "name", name);
        if (*ad->at->group)
            (void)yyjson_mut_obj_add_str(d, details, "group", ad->at->group);
        (void)yyjson_mut_obj_add_str(d, details, "kind", ad->at->resource);
        ad->details = mh_sb_freeze(ad->arena, details);
    }
    mh_sb_admit_refuse(ad, 403, "Forbidden",
                       mh_arena_printf(ad->arena, "%s%s%s \"%s\" is forbidden: %s",
                                       ad->at->resource, dot, ad->at->group, name, why));
}

/* --- rules --------------------------------------------------------------------------------------------------- */

static bool
has(yyjson_val *list, const char *wanted)
{
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        const char *s = yyjson_get_str(v);
        if (mh_str_eq(s, "*") || mh_str_eq(s, wanted))
            return true;
    }
    return false;
}

static bool
has_resource(yyjson_val *list, const char *resource, const char *sub)
{
    size_t i, n, len = strlen(resource);
    yyjson_val *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        const char *s = yyjson_get_str(v);
        if (!s)
            continue;
        const char *slash = strchr(s, '/');
        size_t head = slash ? (size_t)(slash - s) : strlen(s);
        bool any = head == 1 && *s == '*';
        bool same = any || (head == len && strncmp(s, resource, len) == 0);
        const char *tail = slash ? slash + 1 : "";
        if (same && (mh_str_eq(tail, "*") || mh_str_eq(tail, sub)))
            return true;
    }
    return false;
}

static bool
one_rule(const struct mh_sb_admit *ad, yyjson_val *rule)
{
    const char *scope = mh_json_str(rule, "scope", NULL);
    bool cluster = !*ad->at->ns || mh_str_eq(ad->at->resource, "namespaces");
    if (scope && !mh_str_eq(scope, "*") && mh_str_eq(scope, "Cluster") != cluster)
        return false;
    yyjson_val *names = yyjson_obj_get(rule, "resourceNames");
    return has(yyjson_obj_get(rule, "operations"), ad->operation) &&
           has(yyjson_obj_get(rule, "apiGroups"), ad->at->group) &&
           has(yyjson_obj_get(rule, "apiVersions"), ad->at->version) &&
           has_resource(yyjson_obj_get(rule, "resources"), ad->at->resource, ad->at->subresource) &&
           (yyjson_arr_size(names) == 0 || has(names, ad->at->name));
}

bool
mh_sb_admit_rules(const struct mh_sb_admit *ad, yyjson_val *rules)
{
    size_t i, n;
    yyjson_val *rule;
    yyjson_arr_foreach(rules, i, n, rule)
    {
        if (one_rule(ad, rule))
            return true;
    }
    return false;
}

/* --- selectors ------------------------------------------------------------------------------------------------- */

yyjson_val *
mh_sb_admit_object(struct admit_run *r)
{
    if (!r->object && r->ad->object)
        r->object = mh_sb_freeze(r->ad->arena, r->ad->object);
    return r->object;
}

static yyjson_val *
namespace_of(struct admit_run *r)
{
    if (!r->ns_known && *r->ad->at->ns)
        r->ns = mh_sb_get(r->ad->api, r->ad->arena, "", "namespaces", NULL, r->ad->at->ns);
    r->ns_known = true;
    return r->ns;
}

static bool
is_empty(yyjson_val *selector)
{
    return !selector || (yyjson_arr_size(yyjson_obj_get(selector, "matchExpressions")) == 0 &&
                         yyjson_obj_size(yyjson_obj_get(selector, "matchLabels")) == 0);
}

bool
mh_sb_admit_selected(struct admit_run *r, yyjson_val *spec)
{
    yyjson_val *by_ns = yyjson_obj_get(spec, "namespaceSelector");
    yyjson_val *by_object = yyjson_obj_get(spec, "objectSelector");
    yyjson_val *now = mh_sb_admit_object(r), *old = r->ad->old;
    if (!is_empty(by_ns)) {
        bool self = mh_str_eq(r->ad->at->resource, "namespaces") && !*r->ad->at->group;
        yyjson_val *ns = self ? (now ? now : old) : namespace_of(r);
        if ((self || *r->ad->at->ns) &&
            !mh_sb_selects(by_ns, mh_json_get(ns, "metadata", "labels", NULL)))
            return false;
    }
    if (is_empty(by_object))
        return true;
    return (now && mh_sb_selects(by_object, mh_json_get(now, "metadata", "labels", NULL))) ||
           (old && mh_sb_selects(by_object, mh_json_get(old, "metadata", "labels", NULL)));
}

/* --- the request as webhooks and expressions see it ---------------------------------------------------------- */

static void
add_gvx(yyjson_mut_doc *d, yyjson_mut_val *to, const char *key, const struct mh_sb_admit *ad,
        const char *last, const char *value)
{
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(d, to, key);
    (void)yyjson_mut_obj_add_str(d, o, "group", ad->at->group);
    (void)yyjson_mut_obj_add_str(d, o, "version", ad->at->version);
    (void)yyjson_mut_obj_add_str(d, o, last, value);
}

/* The kind's group and version: those of the object, which differ for Scale, Eviction and Binding. */
static void
add_kind(yyjson_mut_doc *d, yyjson_mut_val *to, const char *key, struct admit_run *r)
{
    yyjson_val *o = mh_sb_admit_object(r) ? mh_sb_admit_object(r) : r->ad->old;
    const char *version = mh_json_str(o, "apiVersion", NULL);
    const char *slash = version ? strchr(version, '/') : NULL;
    if (!version || !*r->ad->at->subresource) {
        add_gvx(d, to, key, r->ad, "kind", r->ad->kind);
        return;
    }
    yyjson_mut_val *k = yyjson_mut_obj_add_obj(d, to, key);
    (void)yyjson_mut_obj_add_strncpy(d, k, "group", version, slash ? (size_t)(slash - version) : 0);
    (void)yyjson_mut_obj_add_str(d, k, "version", slash ? slash + 1 : version);
    (void)yyjson_mut_obj_add_str(d, k, "kind", r->ad->kind);
}

static char *
new_uid(struct admit_run *r)
{
    unsigned char raw[16];
    char hex[33];
    struct mh_rand *rand = &r->a->config.rand;
    if (!rand->fill(rand->self, raw, sizeof(raw)))
        return NULL;
    raw[6] = (unsigned char)((raw[6] & 15) | 64);
    raw[8] = (unsigned char)((raw[8] & 63) | 128);
    mh_hex(hex, raw, sizeof(raw));
    return mh_arena_printf(r->ad->arena, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                           hex + 16, hex + 20);
}

static void
add_user(yyjson_mut_doc *d, yyjson_mut_val *to, const struct mh_sb_attrs *at)
{
    yyjson_mut_val *user = yyjson_mut_obj_add_obj(d, to, "userInfo");
    (void)yyjson_mut_obj_add_str(d, user, "username", at->user ? at->user : "");
    if (at->uid && *at->uid)
        (void)yyjson_mut_obj_add_str(d, user, "uid", at->uid);
    yyjson_mut_val *groups = yyjson_mut_obj_add_arr(d, user, "groups");
    for (const char *const *g = at->groups; g && *g; g++)
        (void)yyjson_mut_arr_add_str(d, groups, *g);
}

yyjson_val *
mh_sb_admit_request(struct admit_run *r)
{
    const struct mh_sb_admit *ad = r->ad;
    yyjson_mut_doc *d = r->request ? NULL : mh_json_doc(ad->arena);
    yyjson_mut_val *o = d ? yyjson_mut_obj(d) : NULL;
    char *uid = o ? new_uid(r) : NULL;
    if (!uid)
        return r->request;
    (void)yyjson_mut_obj_add_str(d, o, "uid", uid);
    add_kind(d, o, "kind", r);
    add_gvx(d, o, "resource", ad, "resource", ad->at->resource);
    if (*ad->at->subresource)
        (void)yyjson_mut_obj_add_str(d, o, "subResource", ad->at->subresource);
    add_kind(d, o, "requestKind", r);
    add_gvx(d, o, "requestResource", ad, "resource", ad->at->resource);
    if (*ad->at->subresource)
        (void)yyjson_mut_obj_add_str(d, o, "requestSubResource", ad->at->subresource);
    const char *name = mh_json_str(mh_sb_admit_object(r), "metadata", "name", NULL);
    name = *ad->at->name ? ad->at->name : name;
    if (name)
        (void)yyjson_mut_obj_add_str(d, o, "name", name);
    if (*ad->at->ns)
        (void)yyjson_mut_obj_add_str(d, o, "namespace", ad->at->ns);
    (void)yyjson_mut_obj_add_str(d, o, "operation", ad->operation);
    add_user(d, o, ad->at);
    (void)yyjson_mut_obj_add_bool(d, o, "dryRun", ad->dry_run);
    (void)yyjson_mut_obj_add_val(
        d, o, "options", ad->options ? yyjson_val_mut_copy(d, ad->options) : yyjson_mut_null(d));
    r->request = mh_sb_freeze(ad->arena, o);
    return r->request;
}

/* --- expressions --------------------------------------------------------------------------------------------------- */

struct mh_sb_cel_var *
mh_sb_admit_vars(struct admit_run *r, yyjson_val *params)
{
    struct mh_sb_cel_var *v = mh_arena_alloc(r->ad->arena, 5 * sizeof(*v));
    if (!v)
        return NULL;
    v[0] = (struct mh_sb_cel_var){ .name = "object", .json = mh_sb_admit_object(r) };
    v[1] = (struct mh_sb_cel_var){ .name = "oldObject", .json = r->ad->old };
    v[2] = (struct mh_sb_cel_var){ .name = "request", .json = mh_sb_admit_request(r) };
    v[3] = (struct mh_sb_cel_var){ .name = "namespaceObject", .json = namespace_of(r) };
    v[4] = (struct mh_sb_cel_var){ .name = "params", .json = params };
    for (size_t i = 0; i < 4; i++)
        v[i].next = &v[i + 1];
    return v;
}

int
mh_sb_admit_conditions(struct admit_run *r, const struct admit_expr *list, size_t n,
                       struct mh_sb_cel_var *vars, const char **why)
{
    struct mh_sb_cel_run run = { .arena = r->ad->arena, .vars = vars, .cost = MH_SB_CEL_COST };
    struct mh_err err;
    int all = 1;
    *why = NULL;
    for (size_t i = 0; i < n; i++) {
        bool yes = false;
        if (!list[i].cel) {
            *why = list[i].error ? list[i].error : "no expression";
            continue;
        }
        if (mh_sb_cel_bool(list[i].cel, &run, &yes, &err) != MH_OK)
            *why =
                mh_arena_printf(r->ad->arena, "%s: %s", list[i].name ? list[i].name : "", err.msg);
        else if (!yes)
            all = 0; /* one that is false decides, whatever failed */
    }
    return !all ? 0 : *why ? -1 : 1;
}
