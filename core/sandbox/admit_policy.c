/* admit_policy.c - ValidatingAdmissionPolicies and their bindings. */
#include <string.h>

#include "base/str.h"
#include "sandbox/admit_in.h"

struct policy_run {
    struct admit_run *r;
    const struct admit_policy *p;
    yyjson_val *binding;
    struct mh_sb_cel_var *vars;
};

/* --- what comes of a validation that does not hold --------------------------------------------------------- */

static bool
has_action(yyjson_val *binding, const char *action)
{
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(mh_json_get(binding, "spec", "validationActions", NULL), i, n, v)
    {
        if (mh_str_eq(yyjson_get_str(v), action))
            return true;
    }
    return false;
}

static int
code_of(const char *reason)
{
    static const struct {
        const char *reason;
        int code;
    } known[] = { { "Forbidden", 403 },
                  { "Unauthorized", 401 },
                  { "RequestEntityTooLarge", 413 },
                  { "Invalid", 422 } };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (mh_str_eq(known[i].reason, reason))
            return known[i].code;
    return 422;
}

static void
deny(struct policy_run *k, const char *message, const char *reason)
{
    struct mh_sb_admit *ad = k->r->ad;
    struct mh_arena *a = ad->arena;
    const char *binding = mh_json_str(k->binding, "metadata", "name", NULL);
    char *why =
        mh_arena_printf(a, "ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s",
                        k->p->name, binding ? binding : "", message);
    if (!why) {
        mh_sb_admit_refuse(ad, 500, "InternalError", NULL);
        return;
    }
    if (has_action(k->binding, "Warn")) {
        char *text = mh_arena_printf(
            ad->req->arena,
            "Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s",
            k->p->name, binding ? binding : "", message);
        if (text)
            mh_sb_warn(ad->req, text);
    }
    if (!has_action(k->binding, "Deny") || ad->code)
        return;
    mh_sb_admit_forbid(ad, why);
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *o = d && ad->details ? yyjson_val_mut_copy(d, ad->details) : NULL;
    yyjson_mut_val *cause =
        o ? yyjson_mut_arr_add_obj(d, yyjson_mut_obj_add_arr(d, o, "causes")) : NULL;
    if (cause && yyjson_mut_obj_add_str(d, cause, "message", message))
        ad->details = mh_sb_freeze(a, o);
    ad->reason = reason ? reason : "Invalid";
    ad->code = code_of(ad->reason);
}

/* An expression that could not be evaluated: as the failure policy says. */
static void
broken(struct policy_run *k, const char *why)
{
    if (!k->p->ignore)
        deny(k, why ? why : "no memory", NULL);
}

/* --- evaluation ------------------------------------------------------------------------------------------------- */

/* Variables of the policy: evaluated when they are used. False: one does not compile. */
static bool
add_variables(struct policy_run *k)
{
    struct mh_arena *a = k->r->ad->arena;
    struct mh_sb_cel_var *top = mh_arena_alloc(a, sizeof(*top));
    struct mh_sb_cel_var *list = mh_arena_alloc(a, (k->p->nvariables + 1) * sizeof(*list));
    if (!top || !list)
        return false;
    for (size_t i = 0; i < k->p->nvariables; i++) {
        if (!k->p->variables[i].cel) {
            broken(k, k->p->variables[i].error);
            return false;
        }
        list[i] = (struct mh_sb_cel_var){ .name = k->p->variables[i].name,
                                          .expr = k->p->variables[i].cel,
                                          .next = i + 1 < k->p->nvariables ? &list[i + 1] : NULL };
    }
    *top = (struct mh_sb_cel_var){ .name = "variables", .map = list, .next = k->vars };
    if (k->p->nvariables > 0)
        k->vars = top;
    return true;
}

static void
validate(struct policy_run *k)
{
    struct mh_arena *a = k->r->ad->arena;
    struct mh_sb_cel_run run = { .arena = a, .vars = k->vars, .cost = MH_SB_CEL_COST };
    struct mh_err err;
    for (size_t i = 0; i < k->p->nvalidations; i++) {
        const struct admit_expr *v = &k->p->validations[i];
        bool holds = false;
        if (!v->cel) {
            broken(k, mh_arena_printf(a, "expression '%s' resulted in error: %s",
                                      v->text ? v->text : "", v->error ? v->error : ""));
            continue;
        }
        if (mh_sb_cel_bool(v->cel, &run, &holds, &err) != MH_OK) {
            broken(k,
                   mh_arena_printf(a, "expression '%s' resulted in error: %s", v->text, err.msg));
            continue;
        }
        if (holds)
            continue;
        const char *message = NULL;
        if (k->p->messages[i].cel &&
            mh_sb_cel_text(k->p->messages[i].cel, &run, &message, &err) != MH_OK)
            message = NULL;
        if (!message || !*message)
            message = mh_json_str(v->spec, "message", NULL);
        if (!message)
            message = mh_arena_printf(a, "failed expression: %s", v->text);
        deny(k, message ? message : "", mh_json_str(v->spec, "reason", NULL));
    }
}

static void
evaluate(struct admit_run *r, const struct admit_policy *p, yyjson_val *binding, yyjson_val *params)
{
    struct policy_run k = { r, p, binding, mh_sb_admit_vars(r, params) };
    const char *why;
    if (!k.vars) {
        broken(&k, NULL);
        return;
    }
    int is = mh_sb_admit_conditions(r, p->conditions, p->nconditions, k.vars, &why);
    if (is < 0)
        broken(&k, why);
    if (is > 0 && add_variables(&k))
        validate(&k);
}

/* --- parameters --------------------------------------------------------------------------------------------------- */

/* The plural of a kind, as its resources are called: by the rule that all built-in ones follow. */
static const char *
plural_of(struct mh_arena *a, const char *kind)
{
    char *s = mh_arena_printf(a, "%ss", kind);
    size_t n = s ? strlen(s) : 0;
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char)(s[i] + 32);
    if (n > 2 && s[n - 2] == 'y')
        return mh_arena_printf(a, "%.*sies", (int)n - 2, s);
    return s;
}

static void
with_params(struct admit_run *r, const struct admit_policy *p, yyjson_val *binding)
{
    yyjson_val *ref = mh_json_get(binding, "spec", "paramRef", NULL);
    const char *kind = mh_json_str(p->spec, "paramKind", "kind", NULL);
    const char *version = mh_json_str(p->spec, "paramKind", "apiVersion", NULL);
    if (!kind || !ref) {
        evaluate(r, p, binding, NULL);
        return;
    }
    struct mh_arena *a = r->ad->arena;
    const char *slash = version ? strchr(version, '/') : NULL;
    const char *group = slash ? mh_arena_strndup(a, version, (size_t)(slash - version)) : "";
    const char *ns = mh_json_str(ref, "namespace", NULL);
    const char *name = mh_json_str(ref, "name", NULL);
    const char *plural = plural_of(a, kind);
    ns = ns ? ns : r->ad->at->ns;
    yyjson_val *params =
        name && plural && group ? mh_sb_get(r->ad->api, a, group, plural, ns, name) : NULL;
    if (!params && name && plural && group)
        params = mh_sb_get(r->ad->api, a, group, plural, NULL, name);
    bool allow = mh_str_eq(mh_json_str(ref, "parameterNotFoundAction", NULL), "Allow");
    struct policy_run k = { r, p, binding, NULL };
    if (params)
        evaluate(r, p, binding, params);
    else if (!allow)
        broken(&k, "failed to configure binding: no params found for policy binding with `Deny` "
                   "parameterNotFoundAction");
}

/* --- all of them ---------------------------------------------------------------------------------------------------- */

static bool
matches(struct admit_run *r, yyjson_val *constraints)
{
    return mh_sb_admit_rules(r->ad, yyjson_obj_get(constraints, "resourceRules")) &&
           !mh_sb_admit_rules(r->ad, yyjson_obj_get(constraints, "excludeResourceRules")) &&
           mh_sb_admit_selected(r, constraints);
}

/* A binding narrows what the policy says; without resource rules it does not. */
static bool
bound(struct admit_run *r, yyjson_val *binding)
{
    yyjson_val *m = mh_json_get(binding, "spec", "matchResources", NULL);
    if (!m)
        return true;
    yyjson_val *rules = yyjson_obj_get(m, "resourceRules");
    return (yyjson_arr_size(rules) == 0 || mh_sb_admit_rules(r->ad, rules)) &&
           !mh_sb_admit_rules(r->ad, yyjson_obj_get(m, "excludeResourceRules")) &&
           mh_sb_admit_selected(r, m);
}

void
mh_sb_admit_policies(struct admit_run *r)
{
    for (size_t i = 0; i < r->config->npolicies && !r->ad->code; i++) {
        const struct admit_policy *p = &r->config->policies[i];
        if (p->nbindings == 0 || !matches(r, yyjson_obj_get(p->spec, "matchConstraints")))
            continue;
        for (size_t k = 0; k < p->nbindings && !r->ad->code; k++)
            if (bound(r, p->bindings[k]))
                with_params(r, p, p->bindings[k]);
    }
}
