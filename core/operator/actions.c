#include "operator/actions.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#define PREEMPT_NS (2 * MH_NS_PER_S)

static void go_on(struct mh_act *act);
static void on_reply(struct mh_api_call *call);

enum mh_act_step
mh_act_fail(struct mh_act *act, enum mh_code code, const char *fmt, ...)
{
    char text[MH_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    mh_fail(&act->err, code, "%s", text);
    return MH_ACT_FAILED;
}

bool
mh_act_target(struct mh_act *act, const struct mh_kind *kind, const char *ns, const char *name)
{
    if (!kind || !name || (kind->namespaced && !ns)) {
        mh_act_fail(act, MH_E_INVALID, "action %s: its object needs a known kind%s", act->op,
                    kind ? ", a name and a namespace" : "");
        return false;
    }
    act->kind = kind;
    act->ns = kind->namespaced ? ns : NULL;
    act->name = name;
    return true;
}

static const char *
kind_key(const struct mh_act *act)
{
    return act->kind ? act->kind->kind : "-";
}

enum mh_act_step
mh_act_send(struct mh_act *act, const char *method, const char *path, const char *type,
            const char *body)
{
    if (!path)
        return mh_act_fail(act, MH_E_INVALID, "action %s: \"%s\" is no name of an object", act->op,
                           act->name ? act->name : "");
    act->call = (struct mh_api_call){ .method = method,
                                      .path = path,
                                      .content_type = type,
                                      .body = body,
                                      .body_len = body ? strlen(body) : 0,
                                      .arena = act->arena,
                                      .done = on_reply,
                                      .arg = act };
    act->calling = true;
    if (strcmp(method, "GET") != 0)
        mh_crash_point(&act->env->crash, act->op, kind_key(act), true);
    act->api.start(act->api.self, &act->call);
    return MH_ACT_WAIT;
}

/* --- replies --------------------------------------------------------------------------------- */

/* Keeps what the server says about the object in the cache and, if it is ours, in the pass. */
static void
keep_reply(struct mh_act *act, yyjson_val *reply)
{
    const struct mh_kind *kind = mh_kind_of(act->env->kinds, reply);
    if (!kind || !mh_json_str(reply, "metadata", "resourceVersion", NULL))
        return;
    act->env->writing = true;
    if (act->env->cache)
        mh_cache_wrote(act->env->cache, kind, reply);
    act->env->writing = false;
    const char *uid = mh_json_str(reply, "metadata", "uid", NULL);
    if (uid && mh_str_eq(uid, mh_json_str(act->object, "metadata", "uid", NULL)))
        act->object = reply;
}

void
mh_act_gone(struct mh_act *act, const char *uid)
{
    act->env->writing = true;
    if (act->env->cache)
        mh_cache_gone(act->env->cache, act->kind, act->ns, act->name, uid);
    act->env->writing = false;
}

static bool
is_write(const struct mh_api_call *call)
{
    return strcmp(call->method, "GET") != 0;
}

/* A5: its outcome is unknown. A4, A8: the object is another one than we know, and the watch may have
 * lost the event that would say so: without a look the same write would be refused for ever. */
static bool
must_read_back(const struct mh_act *act)
{
    enum mh_code code = act->call.err.code;
    bool is_other =
        code == MH_E_CONFLICT || (code == MH_E_NOTFOUND && strcmp(act->call.method, "PATCH") == 0);
    return (code == MH_E_TIMEOUT || is_other) && is_write(&act->call) && act->kind && act->name &&
           !act->dropped;
}

/* Asks for the object; the action fails all the same. */
static void
read_back(struct mh_act *act)
{
    act->err = act->call.err;
    if (act->env->cache && act->err.code == MH_E_TIMEOUT)
        mh_cache_unknown(act->env->cache, act->kind, act->ns, act->name);
    const char *path = mh_kube_path(act->arena, act->kind, act->ns, act->name, NULL);
    act->reading_back = true;
    if (mh_act_send(act, "GET", path, NULL, NULL) != MH_ACT_WAIT)
        go_on(act);
}

static void
on_reply(struct mh_api_call *call)
{
    struct mh_act *act = call->arg;
    act->calling = false;
    if (act->env->on_call)
        act->env->on_call(act->env->arg, call->method, call->status);
    if (is_write(call))
        mh_crash_point(&act->env->crash, act->op, kind_key(act), false);
    if (act->reading_back) {
        if (call->err.code == MH_OK)
            keep_reply(act, call->reply);
        else if (call->err.code == MH_E_NOTFOUND)
            mh_act_gone(act, NULL);
        go_on(act);
        return;
    }
    if (must_read_back(act)) {
        read_back(act);
        return;
    }
    act->err = call->err;
    if (call->err.code == MH_OK && is_write(call))
        keep_reply(act, call->reply);
    go_on(act);
}

/* --- the walk -------------------------------------------------------------------------------- */

static void
finish(struct mh_act *act)
{
    act->env->clock.cancel(act->env->clock.self, act->timer);
    act->timer = NULL;
    act->done(act);
}

/* The next action of the list; false if there is none. */
static bool
next_action(struct mh_act *act)
{
    act->action = yyjson_arr_iter_next(&act->iter);
    if (!act->action)
        return false;
    act->op = mh_json_str(act->action, "op", NULL);
    act->step = -1;
    act->kind = NULL;
    act->ns = act->name = act->uid = act->text_hash = NULL;
    act->memo = NULL;
    act->reading_back = false;
    return true;
}

static enum mh_act_step
one_step(struct mh_act *act)
{
    mh_act_fn fn = act->op ? mh_act_find(act->op) : NULL;
    if (!fn)
        return mh_act_fail(act, MH_E_SCRIPT, "action %zu of the plan has no known op (\"%s\")",
                           act->at + 1, act->op ? act->op : "");
    act->step++;
    return fn(act, act->action);
}

/* Runs steps until one waits or the list is over. On entry act->err is the outcome of the last. */
static void
go_on(struct mh_act *act)
{
    for (;;) {
        enum mh_act_step s;
        if (act->reading_back)
            s = MH_ACT_FAILED;
        else
            s = act->action ? one_step(act) : MH_ACT_DONE;
        if (s == MH_ACT_WAIT)
            return;
        if (s == MH_ACT_FAILED) {
            if (act->err.code == MH_OK)
                mh_fail(&act->err, MH_E_INTERNAL, "action %s failed without a reason", act->op);
            mh_wrap(&act->err, "%s", mh_act_describe(act->arena, act->action));
            break;
        }
        act->err.code = MH_OK;
        if (act->action)
            act->at++;
        if (act->dropped && act->at < act->total) {
            mh_fail(&act->err, MH_E_CANCELLED, "an urgent change came, the pass starts afresh");
            break;
        }
        if (!next_action(act))
            break;
    }
    finish(act);
}

static void
on_begin(void *arg)
{
    struct mh_act *act = arg;
    act->timer = NULL;
    if (act->dropped) {
        mh_fail(&act->err, MH_E_CANCELLED, "an urgent change came, the pass starts afresh");
        finish(act);
        return;
    }
    if (act->total > MH_ACTIONS_MAX) {
        mh_fail(&act->err, MH_E_LIMIT, "the plan has %zu actions, over %d", act->total,
                MH_ACTIONS_MAX);
        finish(act);
        return;
    }
    go_on(act);
}

void
mh_act_start(struct mh_act *act)
{
    act->err.code = MH_OK;
    act->at = 0;
    act->action = NULL;
    act->dropped = act->calling = act->reading_back = false;
    act->api = act->urgent && act->env->urgent_api.start ? act->env->urgent_api : act->env->api;
    act->total = yyjson_arr_size(act->actions);
    act->iter = yyjson_arr_iter_with(act->actions);
    act->timer = act->env->clock.after(act->env->clock.self, 0, on_begin, act);
    if (!act->timer) /* rather from inside than never: callers touch nothing afterwards */
        on_begin(act);
}

static void
stop_calls(struct mh_act *act)
{
    if (act->calling)
        act->api.cancel(act->api.self, &act->call);
    if (act->calling && is_write(&act->call) && act->kind && act->name && act->env->cache)
        mh_cache_unknown(act->env->cache, act->kind, act->ns, act->name);
    act->calling = false;
}

static void
on_preempt(void *arg)
{
    struct mh_act *act = arg;
    act->timer = NULL;
    stop_calls(act);
    mh_fail(&act->err, MH_E_CANCELLED, "an urgent change came, the pass starts afresh");
    finish(act);
}

void
mh_act_preempt(struct mh_act *act)
{
    if (act->dropped)
        return;
    act->dropped = true;
    if (act->timer) /* not begun */
        return;
    act->timer = act->env->clock.after(act->env->clock.self, PREEMPT_NS, on_preempt, act);
}

void
mh_act_cancel(struct mh_act *act)
{
    act->env->clock.cancel(act->env->clock.self, act->timer);
    act->timer = NULL;
    stop_calls(act);
}
