#include "operator/scripts_needs.h"

#include <string.h>

#include "base/str.h"

#define ARENA ((size_t)4 << 20)

/* --- what goes with needs.core ------------------------------------------------------------------- */

/* Functions of ctx. Those that are not here are every plugin's. */
static const struct {
    const char *effect, *core;
} asks[] = {
    { "check", "checks" },    { "fleet", "fleet" },         { "ha", "failover" },
    { "policy", "policies" }, { "instances", "instances" }, { NULL, NULL },
};

/* What an action takes: a word of needs.core (NULL: none), and verbs on its object's kind. */
struct rule {
    const char *op, *core, *kind; /* kind: where the action names none */
    const char *verbs[3];
    bool moves;          /* a step of a failover, within the object's namespace */
    const char *command; /* only with this one; NULL: whatever it is */
};

static const struct rule rules[] = {
    { "apply", NULL, NULL, { "create", "patch", NULL }, false, NULL },
    { "create", NULL, NULL, { "create", NULL, NULL }, false, NULL },
    { "patch", NULL, NULL, { "patch", NULL, NULL }, false, NULL },
    { "delete", NULL, NULL, { "delete", NULL, NULL }, false, NULL },
    { "event", NULL, NULL, { NULL, NULL, NULL }, false, NULL },
    { "label", "labels", NULL, { "patch", NULL, NULL }, true, NULL },
    { "renew", "values", "Secret", { "get", "patch", NULL }, false, NULL },
    { "instance", "instances", NULL, { NULL, NULL, NULL }, true, "lease" },
    { "lease", "failover", "Lease", { "patch", NULL, NULL }, true, NULL },
};

bool
mh_scripts_has(const struct mh_scripts_needs *n, const char *word)
{
    for (const char *const *w = n->set.core; *w; w++)
        if (mh_str_eq(*w, word))
            return true;
    return false;
}

static enum mh_code
want_core(const struct mh_scripts_needs *n, const char *what, const char *word, struct mh_err *err)
{
    if (!word || mh_scripts_has(n, word))
        return MH_OK;
    return mh_fail(err, MH_E_REFUSED, "%s: the controller has no \"%s\" in needs.core", what, word);
}

static const char *
core_of(const char *effect)
{
    for (size_t i = 0; asks[i].effect; i++)
        if (mh_str_eq(asks[i].effect, effect))
            return asks[i].core;
    return NULL;
}

/* --- one wish ------------------------------------------------------------------------------------- */

/* One declaration is for all groups that are served. */
static const char *
group_of(const struct mh_scripts_needs *n, const char *group)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(n->groups);
    yyjson_val *g;
    while ((g = yyjson_arr_iter_next(&i)))
        if (mh_str_eq(yyjson_get_str(g), group))
            return n->group;
    return group;
}

/* What C does for every plugin: reads its objects, writes their status and what is its own of them. */
static bool
is_own(const struct mh_scripts_needs *n, const struct mh_need_wish *w)
{
    const struct mh_kind *kind = mh_kind_find(n->kinds, n->kind);
    return kind && mh_str_eq(w->group, n->group) && mh_str_eq(w->resource, kind->plural) &&
           w->name && (mh_str_eq(w->verb, "get") || mh_str_eq(w->verb, "patch"));
}

enum mh_code
mh_scripts_may(const struct mh_scripts_needs *n, const struct mh_need_wish *wish,
               const char *own_ns, struct mh_err *err)
{
    struct mh_need_wish w = *wish;
    w.group = group_of(n, w.group);
    if (w.name_space && !mh_str_eq(w.name_space, own_ns) &&
        !(mh_scripts_has(n, "operator") && mh_str_eq(w.name_space, n->name_space) &&
          mh_str_eq(w.verb, "get")))
        return mh_fail(err, MH_E_REFUSED, "%s %s in namespace %s: its object is in namespace %s",
                       w.verb, w.resource, w.name_space, own_ns ? own_ns : "-");
    if (is_own(n, &w) || mh_needs_cover_api(&n->set, &w))
        return MH_OK;
    return mh_fail(err, MH_E_REFUSED, "%s %s%s%s: none of the controller's needs covers it", w.verb,
                   w.resource, *w.group ? "." : "", w.group);
}

/* --- a plan ---------------------------------------------------------------------------------------- */

static const struct rule *
rule_of(const char *op)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (mh_str_eq(rules[i].op, op))
            return &rules[i];
    return NULL;
}

static enum mh_code
check_verbs(const struct mh_scripts_needs *n, const struct rule *r, yyjson_val *action,
            const char *own_ns, struct mh_err *err)
{
    yyjson_val *o = yyjson_obj_get(action, "object"), *meta = yyjson_obj_get(o, "metadata");
    const char *key = mh_json_str(action, "kind", NULL);
    const char *ns = mh_json_str(o ? meta : action, "namespace", NULL);
    key = key ? key : r->kind;
    const struct mh_kind *kind = o     ? mh_kind_of(n->kinds, o)
                                 : key ? mh_kind_find(n->kinds, key)
                                       : NULL;
    if (!kind)
        return mh_fail(err, MH_E_SCRIPT, "action %s: its object is of no known kind", r->op);
    struct mh_need_wish wish = { .group = kind->group,
                                 .resource = kind->plural,
                                 .subresource = mh_json_str(action, "subresource", NULL),
                                 .name = mh_json_str(o ? meta : action, "name", NULL) };
    wish.name_space = !kind->namespaced ? NULL : ns ? ns : own_ns;
    for (const char *const *v = r->verbs; *v; v++) {
        wish.verb = *v;
        if (mh_scripts_may(n, &wish, own_ns, err) != MH_OK)
            return mh_wrap(err, "action %s", r->op);
    }
    return MH_OK;
}

static enum mh_code
check_action(const struct mh_scripts_needs *n, yyjson_val *action, const char *own_ns,
             struct mh_err *err)
{
    const char *op = mh_json_str(action, "op", NULL);
    const struct rule *r = op ? rule_of(op) : NULL;
    if (!r)
        return mh_fail(err, MH_E_REFUSED, "action %s: there is no such word", op ? op : "?");
    enum mh_code code = want_core(n, r->op, r->core, err);
    if (code == MH_OK && yyjson_obj_get(action, "fill"))
        code = want_core(n, r->op, "values", err);
    if (code == MH_OK && r->verbs[0])
        code = check_verbs(n, r, action, own_ns, err);
    return code;
}

enum mh_code
mh_scripts_may_plan(const struct mh_scripts_needs *n, yyjson_val *plan, const char *own_ns,
                    struct mh_err *err)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(plan, "actions"));
    yyjson_val *action;
    enum mh_code code = MH_OK;
    while (code == MH_OK && (action = yyjson_arr_iter_next(&i)))
        code = check_action(n, action, own_ns, err);
    return code;
}

/* A forgotten need must not stop a failover: the Lease, what instances are told of it, and the labels
 * that lead clients to the primary. */
static bool
is_failover_step(yyjson_val *action, const char *own_ns)
{
    const char *op = mh_json_str(action, "op", NULL);
    const char *ns = mh_json_str(action, "namespace", NULL);
    const struct rule *r = op ? rule_of(op) : NULL;
    return r && r->moves && (!ns || mh_str_eq(ns, own_ns)) &&
           (!r->command || mh_str_eq(mh_json_str(action, "command", NULL), r->command));
}

const char *
mh_scripts_rest(const struct mh_scripts_needs *n, struct mh_arena *a, yyjson_val *plan,
                const char *own_ns, size_t *len)
{
    struct mh_err ignored = { .code = MH_OK };
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_val *whole = yyjson_obj_get(plan, "actions"), *action;
    yyjson_arr_iter i = yyjson_arr_iter_with(whole);
    yyjson_mut_val *rest = doc ? yyjson_mut_arr(doc) : NULL;
    yyjson_mut_val *out = rest ? yyjson_val_mut_copy(doc, plan) : NULL;
    if (!out || !mh_scripts_has(n, "failover"))
        return NULL;
    for (bool all = true; (action = yyjson_arr_iter_next(&i));) {
        all = all && check_action(n, action, own_ns, &ignored) == MH_OK;
        if ((all || is_failover_step(action, own_ns)) &&
            !yyjson_mut_arr_append(rest, yyjson_val_mut_copy(doc, action)))
            return NULL;
    }
    (void)yyjson_mut_obj_put(out, yyjson_mut_str(doc, "actions"), rest);
    return mh_json_mut_text(a, out, len);
}

/* --- the declaration ------------------------------------------------------------------------------- */

/* The declaration as plugins/lib/host reads that of a plugin. */
static enum mh_code
ask_host(struct mh_scripts_needs *n, yyjson_val *declared, yyjson_val **out, struct mh_err *err)
{
    struct mh_script_call call = { .field = "declare", .nargs = 1 };
    yyjson_mut_doc *doc = mh_json_doc(&n->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_alc alc = mh_json_alc(&n->arena);
    if (!root)
        return mh_fail(err, MH_E_NOMEM, "no memory for a declaration");
    yyjson_mut_obj_add_val(doc, root, "declaration", yyjson_val_mut_copy(doc, declared));
    yyjson_mut_obj_add_arr(doc, root, "taken"); /* ours is one of those that are */
    yyjson_mut_obj_add_str(doc, root, "owner", "image");
    call.args[0].value = yyjson_doc_get_root(yyjson_mut_val_imut_copy(root, &alc));
    enum mh_code code = mh_controller_new("plugins/lib/host", &n->host, err);
    if (code == MH_OK)
        code = mh_controller_run(n->host, &n->arena, &call, err);
    if (code == MH_OK)
        code = mh_json_parse(&n->arena, call.out, call.out_len, out, err);
    const char *error = code == MH_OK ? mh_json_str(*out, "error", NULL) : NULL;
    return error ? mh_fail(err, MH_E_SCRIPT, "%s", error) : code;
}

/* Watching takes the needs list and watch, as for a plugin. */
static enum mh_code
check_watches(const struct mh_scripts_needs *n, yyjson_val *watches, struct mh_err *err)
{
    static const char *const verbs[] = { "list", "watch" };
    yyjson_arr_iter i = yyjson_arr_iter_with(watches);
    yyjson_val *one;
    while ((one = yyjson_arr_iter_next(&i))) {
        const char *key = mh_json_str(one, "kind", NULL);
        const struct mh_kind *kind = key ? mh_kind_find(n->kinds, key) : NULL;
        if (!kind)
            return mh_fail(err, MH_E_INVALID, "watches: there is no kind %s", key ? key : "?");
        for (int v = 0; v < 2; v++) {
            struct mh_need_wish w = { .verb = verbs[v],
                                      .group = kind->group,
                                      .resource = kind->plural };
            if (mh_scripts_may(n, &w, NULL, err) != MH_OK)
                return mh_wrap(err, "watches");
        }
    }
    return MH_OK;
}

static enum mh_code
read_declaration(struct mh_scripts_needs *n, const char *text, struct mh_err *err)
{
    yyjson_val *declared = NULL, *host = NULL;
    enum mh_code code = mh_json_parse(&n->arena, text, strlen(text), &declared, err);
    if (code == MH_OK)
        code = ask_host(n, declared, &host, err);
    if (code == MH_OK)
        code = mh_needs_parse_image(&n->arena, yyjson_obj_get(declared, "needs"), &n->set, err);
    n->finalizes = mh_json_bool(host, false, "finalizes", NULL);
    n->kind = mh_json_str(host, "kind", NULL);
    n->group = mh_json_str(host, "group", NULL);
    if (code == MH_OK && (!n->kind || !n->group || !mh_kind_find(n->kinds, n->kind)))
        code = mh_fail(err, MH_E_INVALID, "no kind %s is served", n->kind ? n->kind : "?");
    return code == MH_OK ? check_watches(n, yyjson_obj_get(host, "watches"), err) : code;
}

/* Functions of ctx that were not declared are not there. */
static void
pick_effects(struct mh_scripts_needs *n, const struct mh_effect *all)
{
    for (size_t count = 0; all->name && count < MH_SCRIPTS_EFFECTS_MAX; all++) {
        const char *core = core_of(all->name);
        if (!core || mh_scripts_has(n, core))
            n->effects[count++] = *all;
    }
}

enum mh_code
mh_scripts_needs_init(struct mh_scripts_needs *n, const struct mh_controller *c,
                      const struct mh_kinds *kinds, const char *settings,
                      const struct mh_effect *all, struct mh_err *err)
{
    yyjson_val *set = NULL;
    *n = (struct mh_scripts_needs){ .kinds = kinds };
    mh_arena_init(&n->arena, ARENA);
    enum mh_code code = mh_json_parse(&n->arena, settings, strlen(settings), &set, err);
    n->groups = yyjson_obj_get(set, "api_groups");
    n->name_space = mh_json_str(set, "namespace", NULL);
    if (code == MH_OK)
        code = read_declaration(n, mh_controller_declaration(c), err);
    if (code != MH_OK) {
        mh_scripts_needs_release(n);
        return code;
    }
    pick_effects(n, all);
    if (mh_scripts_has(n, "plans")) {
        mh_controller_free(n->host);
        n->host = NULL;
    }
    return MH_OK;
}

void
mh_scripts_needs_release(struct mh_scripts_needs *n)
{
    mh_controller_free(n->host);
    n->host = NULL;
    mh_arena_release(&n->arena);
}
