#include <string.h>

#include "base/log.h"
#include "base/modules.h"
#include "base/str.h"
#include "base/time.h"
#include "operator/scripts_in.h"

struct mh_scripts_env *
mh_scripts_env_of(const struct mh_effect_call *e)
{
    const struct mh_scripts_run *run = e->observe->self;
    return run->env;
}

enum mh_effect_result
mh_scripts_refuse(struct mh_effect_call *e, enum mh_code code, const char *what)
{
    mh_fail(&e->err, code, "ctx.%s: %s", e->name, what);
    return MH_EFFECT_DONE;
}

/* What native modules find wrong with the object of the pass. */
static enum mh_effect_result
effect_check(struct mh_effect_call *e)
{
    e->value = mh_modules_check(e->arena, e->observe->object, NULL);
    return MH_EFFECT_DONE;
}

/* --- instances, protocol, policies ------------------------------------------------------------- */

static enum mh_effect_result
effect_instances(struct mh_effect_call *e)
{
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    yyjson_val *object = mh_effect_arg(e, 0);
    object = yyjson_is_obj(object) ? object : e->observe->object;
    e->text = mh_instances_json(env->instances, e->arena, mh_kind_of(env->kinds, object),
                                mh_json_str(object, "metadata", "namespace", NULL),
                                mh_json_str(object, "metadata", "name", NULL));
    if (!e->text)
        return mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    e->text_len = strlen(e->text);
    return MH_EFFECT_DONE;
}

static enum mh_effect_result
effect_ha(struct mh_effect_call *e)
{
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    int64_t now_ms = env->clock.mono_ns(env->clock.self) / MH_NS_PER_MS;
    yyjson_mut_doc *doc = mh_json_doc(e->arena);
    yyjson_mut_val *verdict = NULL;
    if (!doc)
        return mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    if (mh_ha_assess_json(e->arena, env->tracker, now_ms, mh_effect_arg(e, 0), doc, &verdict,
                          &e->err) != MH_OK)
        return MH_EFFECT_DONE;
    e->text = mh_json_mut_text(e->arena, verdict, &e->text_len);
    return e->text ? MH_EFFECT_DONE : mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
}

static struct mh_fleet_key
fleet_key(const struct mh_scripts_env *env, const struct mh_scripts_run *run)
{
    return (struct mh_fleet_key){ mh_kind_find(env->kinds, run->call->kind), run->call->ns,
                                  run->call->name };
}

/* A cluster that asks is steady: its own restart is over. */
static enum mh_effect_result
effect_fleet(struct mh_effect_call *e)
{
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    struct mh_scripts_run *run = e->observe->self;
    struct mh_fleet_key of = fleet_key(env, run);
    if (!run->call->dry)
        mh_fleet_over(&env->fleet, &of);
    run->fleet = env->fleet.version;
    e->text =
        mh_fleet_json(&env->fleet, e->arena, env->cache, &of, env->clock.mono_ns(env->clock.self));
    if (!e->text)
        return mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    e->text_len = strlen(e->text);
    return MH_EFFECT_DONE;
}

/* rollout/v1 lets an instance go: others are told. False: another cluster was faster, and the policy,
 * which was not told of that, is to be asked again. */
static bool
begin_restart(struct mh_scripts_env *env, const struct mh_scripts_run *run,
              const struct mh_decision *d)
{
    yyjson_val *answer = NULL, *input = NULL, *one;
    size_t i, max;
    const char *zone = NULL;
    if (run->call->dry || strcmp(d->point, "rollout/v1") != 0 || !d->answer ||
        mh_json_parse(d->arena, d->answer, d->answer_len, &answer, NULL) != MH_OK ||
        mh_json_parse(d->arena, d->input, d->input_len, &input, NULL) != MH_OK)
        return true;
    const char *target = mh_json_str(answer, "target", NULL);
    if (!target)
        return true;
    if (run->fleet != env->fleet.version && !mh_str_eq(d->by, "built-in"))
        return false;
    yyjson_arr_foreach(yyjson_obj_get(input, "pending"), i, max, one)
    {
        if (mh_str_eq(mh_json_str(one, "name", NULL), target))
            zone = mh_json_str(one, "zone", NULL);
    }
    struct mh_fleet_key of = fleet_key(env, run);
    mh_fleet_begin(&env->fleet, &of, target, zone, env->clock.mono_ns(env->clock.self));
    return true;
}

static void
on_decided(struct mh_decision *d)
{
    struct mh_effect_call *e = d->arg;
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    const struct mh_scripts_run *run = e->observe->self;
    bool pending =
        mh_policies_pending(env->policies, d->point, d->namespace) || !begin_restart(env, run, d);
    e->cancel = NULL;
    if (env->on_decision && !run->call->dry)
        env->on_decision(env->arg, d, mh_kind_find(env->kinds, run->call->kind), run->call->name);
    e->text = mh_decision_json(d, &e->text_len);
    if (e->text && pending &&
        (e->text = mh_arena_printf(e->arena, "{\"pending\":true,%s", e->text + 1)))
        e->text_len = strlen(e->text);
    if (!e->text)
        mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    mh_effect_finish(e);
}

static void
cancel_decision(struct mh_effect_call *e)
{
    mh_policies_cancel(mh_scripts_env_of(e)->policies, e->impl);
}

static enum mh_effect_result
effect_policy(struct mh_effect_call *e)
{
    struct mh_scripts_env *env = mh_scripts_env_of(e);
    const struct mh_scripts_run *run = e->observe->self;
    struct mh_decision *d = mh_arena_alloc(e->arena, sizeof(*d));
    const char *point = mh_effect_str(e, 0);
    size_t len;
    bool only_claimed = mh_str_eq(mh_effect_str(e, 2), "claimed");
    if (point && only_claimed && mh_policies_unclaimed(env->policies, point, run->call->ns)) {
        e->text = "{\"by\":\"built-in\"}";
        e->text_len = strlen(e->text);
        return MH_EFFECT_DONE;
    }
    const char *input = mh_json_canonical(e->arena, mh_effect_arg(e, 1), &len);
    if (!point || !yyjson_is_obj(mh_effect_arg(e, 1)))
        return mh_scripts_refuse(e, MH_E_SCRIPT, "it takes a decision point and a table");
    if (!d || !input)
        return mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    *d = (struct mh_decision){ .point = point,
                               .namespace = run->call->ns,
                               .cluster = run->call->dry ? NULL : run->call->name,
                               .object = run->call->object,
                               .input = input,
                               .input_len = len,
                               .arena = e->arena,
                               .done = on_decided,
                               .arg = e };
    if (mh_point_constant(point) && mh_policies_unclaimed(env->policies, point, d->namespace)) {
        e->text = mh_arena_printf(e->arena, "{\"by\":\"built-in\",\"answer\":%s}",
                                  mh_point_constant(point));
        e->text_len = e->text ? strlen(e->text) : 0;
        return e->text ? MH_EFFECT_DONE : mh_scripts_refuse(e, MH_E_NOMEM, "no memory");
    }
    e->impl = d;
    e->cancel = cancel_decision;
    mh_policies_decide(env->policies, d);
    return MH_EFFECT_WAIT;
}

static const struct mh_effect effects[] = {
    { "list", mh_scripts_list },
    { "get", mh_scripts_get },
    { "ha", effect_ha },
    { "policy", effect_policy },
    { "fleet", effect_fleet },
    { "check", effect_check },
    { "instances", effect_instances },
    { NULL, NULL },
};

/* --- the planner ------------------------------------------------------------------------------- */

/* What no need covers is not done, and nothing else of that plan but a failover. */
static void
hold_to_needs(struct mh_scripts_run *run)
{
    struct mh_planner_call *call = run->call;
    yyjson_val *plan = NULL;
    const char *rest = NULL;
    size_t len = 0;
    if (mh_json_parse(call->arena, call->plan, call->plan_len, &plan, &call->err) == MH_OK &&
        mh_scripts_may_plan(run->needs, plan, call->ns, &call->err) != MH_OK)
        rest = mh_scripts_rest(run->needs, call->arena, plan, call->ns, &len);
    if (rest) {
        call->left_out = call->err;
        call->err = (struct mh_err){ .code = MH_OK };
        call->plan_len = len;
    }
    if (rest || call->err.code != MH_OK)
        call->plan = rest;
}

static void
plan(struct mh_scripts_run *run, struct mh_script_error *se)
{
    struct mh_planner_call *call = run->call;
    bool whole = mh_scripts_has(run->needs, "plans");
    bool going = mh_json_get(call->object, "metadata", "deletionTimestamp", NULL) != NULL;
    const char *out = NULL;
    size_t len = 0;
    yyjson_val *value = NULL;
    if (mh_controller_call(run->controller, call->arena, going && !whole ? "finalize" : "plan",
                           call->seen, call->seen_len, &out, &len, se, &call->err) != MH_OK)
        return;
    if (whole) {
        call->plan = out;
        call->plan_len = len;
    } else if (mh_json_parse(call->arena, out, len, &value, &call->err) == MH_OK) {
        (void)mh_scripts_finish(run, value);
    }
    if (call->err.code == MH_OK)
        hold_to_needs(run);
}

static void
finish(struct mh_scripts_run *run)
{
    struct mh_planner_call *call = run->call;
    struct mh_script_error se = { 0 };
    call->impl = NULL;
    if (call->plan) { /* it was not asked */
        hold_to_needs(run);
        call->done(call);
        return;
    }
    call->err = run->observe.err;
    call->seen = run->observe.seen;
    call->seen_len = run->observe.seen_len;
    if (call->err.code == MH_OK)
        plan(run, &se);
    const char *trace = se.traceback ? se.traceback : run->observe.se.traceback;
    if (call->err.code != MH_OK && trace)
        mh_debug("scripts", "script failed", "kind", call->kind, "namespace", call->ns, "name",
                 call->name, "traceback", trace);
    call->done(call);
}

static void
on_observed(struct mh_observe *o)
{
    finish(o->arg);
}

static void
on_later(void *arg)
{
    struct mh_scripts_run *run = arg;
    run->timer = NULL;
    finish(run);
}

/* ctx.now and ctx.operator. */
static yyjson_val *
ctx_of(const struct mh_scripts_env *env, const struct mh_scripts_needs *needs, struct mh_arena *a)
{
    yyjson_val *out = NULL;
    long long now = (long long)(env->clock.wall_us(env->clock.self) / 1000000);
    bool told = needs && mh_scripts_has(needs, "operator");
    const char *text = mh_arena_printf(a, "{\"now\":%lld%s%s}", now, told ? ",\"operator\":" : "",
                                       told ? env->settings : "");
    return text && mh_json_parse(a, text, strlen(text), &out, NULL) == MH_OK ? out : NULL;
}

/* Of the controller of a kind; -1: there is none. */
static int
index_of(const struct mh_scripts_env *env, const struct mh_kind *kind)
{
    for (int i = 0; kind && i < env->ncontrollers; i++)
        if (mh_str_eq(mh_controller_kind(env->controllers[i]), kind->kind))
            return i;
    return -1;
}

/* Whether there is nothing to ask: its plan is there, or run->observe.err. */
static bool
is_settled(struct mh_scripts_run *run)
{
    if (mh_scripts_has(run->needs, "plans") ||
        (!mh_scripts_finish(run, NULL) && run->call->err.code == MH_OK))
        return false;
    run->observe.err = run->call->err;
    return true;
}

static void
start(void *self, struct mh_planner_call *call)
{
    struct mh_scripts_env *env = self;
    struct mh_scripts_run *run = mh_arena_alloc(call->arena, sizeof(*run));
    call->impl = run;
    if (!run) {
        mh_fail(&call->err, MH_E_NOMEM, "no memory for a pass");
        call->done(call);
        return;
    }
    *run = (struct mh_scripts_run){ .env = env, .call = call };
    int at = index_of(env, mh_kind_find(env->kinds, call->kind));
    run->controller = at < 0 ? NULL : env->controllers[at];
    run->needs = at < 0 ? NULL : env->needs[at];
    run->observe = (struct mh_observe){ .arena = call->arena,
                                        .object = call->object,
                                        .ctx = ctx_of(env, run->needs, call->arena),
                                        .effects = run->needs ? run->needs->effects : NULL,
                                        .self = run,
                                        .done = on_observed,
                                        .arg = run };
    if (!run->controller || !run->needs)
        mh_fail(&run->observe.err, MH_E_INVALID, "no controller for kind %s", call->kind);
    else if (!is_settled(run) && mh_observe_start(run->controller, &run->observe) == MH_STEP_WAIT)
        return;
    run->timer = env->clock.after(env->clock.self, 0, on_later, run);
    if (!run->timer) /* rather from inside than never */
        finish(run);
}

static void
cancel(void *self, struct mh_planner_call *call)
{
    struct mh_scripts_env *env = self;
    struct mh_scripts_run *run = call->impl;
    call->impl = NULL;
    if (!run)
        return;
    if (run->timer)
        env->clock.cancel(env->clock.self, run->timer);
    else
        mh_observe_cancel(&run->observe);
}

struct mh_planner
mh_scripts_planner(struct mh_scripts_env *env)
{
    return (struct mh_planner){ start, cancel, env };
}

/* At env->ncontrollers, which goes up when all is well. */
static enum mh_code
take(struct mh_scripts_env *env, struct mh_controller *c, const char *name, struct mh_err *err)
{
    struct mh_scripts_needs *n = mh_calloc(1, sizeof(*n));
    if (!n)
        return mh_fail(err, MH_E_NOMEM, "no memory for a controller");
    if (mh_scripts_needs_init(n, c, env->kinds, env->settings, effects, err) != MH_OK) {
        mh_free(n);
        return err->code;
    }
    n->name = mh_arena_strdup(&n->arena, name);
    env->controllers[env->ncontrollers] = c;
    env->needs[env->ncontrollers++] = n;
    return MH_OK;
}

enum mh_code
mh_scripts_load(struct mh_scripts_env *env, const char *name, struct mh_err *err)
{
    struct mh_arena a;
    struct mh_controller *c = NULL;
    if (env->ncontrollers == MH_CONTROLLERS_MAX)
        return mh_fail(err, MH_E_LIMIT, "more than %d controllers", MH_CONTROLLERS_MAX);
    mh_arena_init(&a, 4096);
    const char *path = mh_arena_printf(&a, "controllers/%s", name);
    enum mh_code code = path ? mh_controller_new_image(path, &c, err)
                             : mh_fail(err, MH_E_NOMEM, "no memory for controller %s", name);
    if (code == MH_OK && take(env, c, name, err) != MH_OK) {
        code = mh_wrap(err, "%s.lua", path);
        mh_controller_free(c);
    }
    mh_arena_release(&a);
    return code;
}

void
mh_scripts_release(struct mh_scripts_env *env)
{
    mh_fleet_release(&env->fleet);
    while (env->ncontrollers) {
        mh_controller_free(env->controllers[--env->ncontrollers]);
        if (env->needs[env->ncontrollers])
            mh_scripts_needs_release(env->needs[env->ncontrollers]);
        mh_free(env->needs[env->ncontrollers]);
        env->needs[env->ncontrollers] = NULL;
    }
}

struct mh_controller *
mh_scripts_of(const struct mh_scripts_env *env, const struct mh_kind *kind)
{
    int at = index_of(env, kind);
    return at < 0 ? NULL : env->controllers[at];
}
