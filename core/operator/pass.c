#include "operator/pass.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#define REASONS_MAX 20000
#define RETRIES_SILENT 2 /* failures in a row before a passing trouble is shown in status */

enum phase { READING, OBSERVING, ACTING, REPORTING };

struct mh_pass {
    struct mh_passes *all;
    struct mh_pass *next;
    struct mh_queue_item *item;
    struct mh_arena arena;
    enum phase phase;
    bool urgent;
    bool preempted;
    bool partly; /* all went well, but the plan was not all that the script wanted */
    yyjson_val *object;
    yyjson_val *plan;
    const char *reason;
    struct mh_api_call read;
    struct mh_planner_call planner;
    struct mh_act act;
    struct mh_timer *timer;
    size_t total;      /* actions of the plan */
    struct mh_err err; /* of the pass */
    int64_t began_ns;
    int64_t planned_ns;
};

static void observe(struct mh_pass *p);
static void report(struct mh_pass *p);

static int64_t
now_ns(struct mh_passes *all)
{
    return all->env->clock.mono_ns(all->env->clock.self);
}

/* --- the end ----------------------------------------------------------------------------------- */

static enum mh_queue_outcome
outcome_of(const struct mh_pass *p, const char **result)
{
    if (p->preempted) {
        *result = "preempted";
        return MH_PASS_DONE;
    }
    if (p->err.code == MH_OK || p->partly) {
        *result = p->partly ? "partly" : p->object ? "done" : "gone";
        return MH_PASS_DONE;
    }
    switch (mh_class_of(p->err.code)) {
    case MH_REREAD:
        *result = "reread";
        return MH_PASS_REREAD;
    case MH_TERMINAL:
        *result = "stopped";
        return MH_PASS_STOPPED;
    case MH_RETRY:
    case MH_BUG:
        break;
    }
    *result = "retry";
    return MH_PASS_RETRY;
}

/* Lines for the actions carried out, as a JSON array. */
static const char *
action_lines(struct mh_pass *p)
{
    struct mh_buf b;
    size_t n = p->phase >= ACTING ? p->total : 0, at = 0;
    mh_buf_init(&b, (size_t)64 << 10);
    mh_buf_char(&b, '[');
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(p->plan, "actions", NULL));
    yyjson_val *action;
    for (; at < n && (action = yyjson_arr_iter_next(&i)); at++) {
        const char *s = mh_act_describe(&p->arena, action);
        if (at)
            mh_buf_char(&b, ',');
        mh_json_quote(&b, s, strlen(s));
    }
    mh_buf_char(&b, ']');
    const char *out = b.failed ? "[]" : mh_arena_strdup(&p->arena, mh_buf_text(&b));
    mh_buf_release(&b);
    return out ? out : "[]";
}

/* Whether the reason is another one than at the last pass of this object. */
static bool
reason_is_new(struct mh_pass *p, const char *line)
{
    const char *last = mh_map_get(&p->all->reasons, p->item->key);
    if (last && strcmp(last, line) == 0)
        return false;
    void *old = NULL;
    char *copy = mh_strdup(line);
    if (copy && !mh_map_put(&p->all->reasons, p->item->key, copy, &old))
        old = copy;
    mh_free(old);
    return true;
}

/* Whether it said something new. */
static bool
log_end(struct mh_pass *p, const char *result, const char *lines)
{
    char ms[24];
    const struct mh_queue_item *i = p->item;
    const char *reason = p->reason ? p->reason : "";
    (void)snprintf(ms, sizeof(ms), "%.1f", (double)(now_ns(p->all) - p->began_ns) / 1e6);
    bool failed = p->err.code != MH_OK && !p->preempted && mh_class_of(p->err.code) != MH_REREAD;
    const char *by = p->planner.by; /* one word stands for most plans of a plugin */
    const char *line = mh_arena_printf(&p->arena, "%s|%s|%s%s", reason, failed ? p->err.msg : "",
                                       by ? by : "", by ? lines : "");
    bool fresh = line && reason_is_new(p, line);
    enum mh_log_level level = fresh ? MH_LOG_INFO : MH_LOG_DEBUG;
    if (failed && fresh && p->all->env->events) {
        struct mh_event_ref ref = mh_event_ref_of(p->object);
        mh_kube_event(p->all->env->events, &ref, "Warning", "ReconcileFailed", p->err.msg);
    }
    if (failed)
        mh_log(fresh ? MH_LOG_WARNING : MH_LOG_DEBUG, "pass", "pass failed", "error", p->err.msg,
               "code", mh_code_name(p->err.code), "where", p->err.where, "kind", i->kind,
               "namespace", i->ns, "name", i->name, "reason", reason, "result", result, "=ms", ms);
    else
        mh_log(level, "pass", "pass over", "kind", i->kind, "namespace", i->ns, "name", i->name,
               "reason", reason, "result", result, "=actions", lines, "=urgent",
               p->urgent ? "true" : "false", "=ms", ms);
    return fresh;
}

static void
say(struct mh_pass *p, const char *result, const char *lines, int64_t again_ms)
{
    bool failed = p->err.code != MH_OK;
    struct mh_pass_said said = { .object = p->object,
                                 .reason = p->reason ? p->reason : "",
                                 .result = result,
                                 .actions = lines,
                                 .by = p->planner.by,
                                 .seen = p->planner.seen,
                                 .again_ms = again_ms };
    if (failed)
        said.result = mh_arena_printf(&p->arena, "%s: %s", result, p->err.msg);
    if (p->all->on_said && said.result)
        p->all->on_said(p->all->arg, &said);
}

static void
keep_record(struct mh_pass *p, const char *result, const char *lines)
{
    char text[MH_ERR_MSG_MAX + 32];
    int64_t end = now_ns(p->all);
    (void)snprintf(text, sizeof(text), "%s%s%s", result, p->err.code == MH_OK ? "" : ": ",
                   p->err.code == MH_OK ? "" : p->err.msg);
    struct mh_record rec = {
        .key = p->item->key,
        .result = text,
        .at_us = p->all->env->clock.wall_us(p->all->env->clock.self),
        .observe_us = ((p->planned_ns ? p->planned_ns : end) - p->began_ns) / 1000,
        .act_us = p->planned_ns ? (end - p->planned_ns) / 1000 : 0,
        .urgent = p->urgent,
    };
    /* the record takes copies; these are not written to */
    rec.reason = mh_arena_strdup(&p->arena, p->reason);
    rec.actions = mh_arena_strdup(&p->arena, lines);
    rec.seen = mh_arena_strdup(&p->arena, p->planner.seen);
    rec.plan = mh_arena_strdup(&p->arena, p->planner.plan);
    mh_records_add(p->all->records, &rec);
}

static int64_t
requeue_ms(const struct mh_pass *p)
{
    yyjson_val *v = yyjson_obj_get(p->plan, "requeue_s");
    double s = yyjson_is_num(v) ? yyjson_get_num(v) : 0;
    if (!(s > 0))
        return 0;
    return s > 86400 ? 86400000 : (int64_t)(s * 1000);
}

static void
end(struct mh_pass *p)
{
    struct mh_passes *all = p->all;
    struct mh_queue_item *item = p->item;
    const char *result;
    enum mh_queue_outcome o = outcome_of(p, &result);
    bool over = p->err.code == MH_OK || p->partly;
    int64_t again_ms = over && !p->preempted ? requeue_ms(p) : 0;
    if (p->object) {
        const char *lines = action_lines(p);
        if (log_end(p, result, lines))
            say(p, result, lines, again_ms);
        if (all->records)
            keep_record(p, result, lines);
    }
    if (all->on_done)
        all->on_done(all->arg, item->kind, result, now_ns(all) - p->began_ns);
    struct mh_pass **at = &all->first;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    all->env->clock.cancel(all->env->clock.self, p->timer);
    mh_arena_release(&p->arena);
    mh_free(p);
    mh_queue_done(&all->queue, item, o, again_ms);
}

static void
on_end_later(void *arg)
{
    struct mh_pass *p = arg;
    p->timer = NULL;
    end(p);
}

/* Ends from the loop. Nobody up the stack may touch the pass afterwards: without memory for a timer
 * it ends here. */
static void
end_later(struct mh_pass *p)
{
    struct mh_clock *c = &p->all->env->clock;
    c->cancel(c->self, p->timer);
    p->timer = c->after(c->self, 0, on_end_later, p);
    if (!p->timer)
        end(p);
}

/* --- act and report ---------------------------------------------------------------------------- */

static void
on_reported(struct mh_act *act)
{
    struct mh_pass *p = act->arg;
    if (act->err.code != MH_OK && p->err.code == MH_OK)
        p->err = act->err;
    end(p);
}

/* Whether the failure is worth a condition: what waiting may mend only if it stays. */
static bool
show_failure(const struct mh_pass *p)
{
    enum mh_class c = mh_class_of(p->err.code);
    return p->err.code != MH_OK && (c == MH_TERMINAL || c == MH_BUG ||
                                    (c == MH_RETRY && p->item->failures + 1 >= RETRIES_SILENT));
}

/* [{"op":"status","status":...}]. Ours says what was seen; that of a plugin what is so once all actions
 * are done, and may be where it keeps what it did: written too early, it would not do it any more. */
static yyjson_val *
status_action(struct mh_pass *p)
{
    yyjson_val *out = NULL;
    yyjson_mut_doc *doc = mh_json_doc(&p->arena);
    bool early = p->planner.by && p->err.code != MH_OK;
    yyjson_val *status = early ? NULL : yyjson_obj_get(p->plan, "status");
    yyjson_mut_val *list = yyjson_mut_arr(doc), *a = yyjson_mut_arr_add_obj(doc, list);
    if (!a)
        return NULL;
    yyjson_mut_obj_add_str(doc, a, "op", "status");
    if (status)
        yyjson_mut_obj_add_val(doc, a, "status", yyjson_val_mut_copy(doc, status));
    size_t len;
    const char *text = mh_json_mut_text(&p->arena, list, &len);
    if (!text || mh_json_parse(&p->arena, text, len, &out, NULL) != MH_OK)
        return NULL;
    return out;
}

/* Writes the plan's status, and what went wrong, if that changes anything. */
static void
report(struct mh_pass *p)
{
    p->phase = REPORTING;
    bool stale = p->err.code != MH_OK && mh_class_of(p->err.code) == MH_REREAD;
    yyjson_val *list = stale || p->preempted ? NULL : status_action(p);
    if (!list) {
        end_later(p);
        return;
    }
    yyjson_val *object = p->act.object ? p->act.object : p->object;
    p->act = (struct mh_act){ .env = p->all->env,
                              .arena = &p->arena,
                              .object = object,
                              .actions = list,
                              .urgent = p->urgent,
                              .done = on_reported,
                              .arg = p };
    if (show_failure(p))
        p->act.failure =
            (struct mh_status_failure){ .reason = "ActionFailed", .message = p->err.msg };
    else if (p->err.code != MH_OK) /* keep whatever condition is there */
        p->act.failure.keep = true;
    mh_act_start(&p->act);
}

static void
on_acted(struct mh_act *act)
{
    struct mh_pass *p = act->arg;
    p->err = act->err;
    if (p->err.code == MH_OK && p->planner.left_out.code != MH_OK) {
        p->err = p->planner.left_out;
        p->partly = true;
    }
    if (p->preempted)
        p->err.code = MH_OK;
    report(p);
}

static void
act_on(struct mh_pass *p)
{
    yyjson_val *actions = yyjson_obj_get(p->plan, "actions");
    p->phase = ACTING;
    p->total = yyjson_arr_size(actions);
    p->act = (struct mh_act){ .env = p->all->env,
                              .arena = &p->arena,
                              .object = p->object,
                              .actions = actions,
                              .urgent = p->urgent,
                              .done = on_acted,
                              .arg = p };
    mh_act_start(&p->act);
}

/* --- observe and plan -------------------------------------------------------------------------- */

static void
on_planned(struct mh_planner_call *call)
{
    struct mh_pass *p = call->arg;
    p->planned_ns = now_ns(p->all);
    p->err = call->err;
    if (p->err.code == MH_OK)
        mh_json_parse(&p->arena, call->plan, call->plan_len, &p->plan, &p->err);
    if (p->err.code == MH_OK && !yyjson_is_obj(p->plan))
        mh_fail(&p->err, MH_E_SCRIPT, "plan of %s returned no table", p->item->kind);
    if (p->all->records)
        mh_records_file(p->all->records, p->item->key, call->seen, call->plan);
    p->reason = mh_json_str(p->plan, "reason", NULL);
    if (p->err.code == MH_OK)
        act_on(p);
    else
        report(p);
}

static void
observe(struct mh_pass *p)
{
    p->phase = OBSERVING;
    p->planner = (struct mh_planner_call){ .kind = p->item->kind,
                                           .ns = p->item->ns,
                                           .name = p->item->name,
                                           .object = p->object,
                                           .arena = &p->arena,
                                           .done = on_planned,
                                           .arg = p };
    p->all->planner.start(p->all->planner.self, &p->planner);
}

static void
on_read(struct mh_api_call *call)
{
    struct mh_pass *p = call->arg;
    struct mh_cache *cache = p->all->env->cache;
    const struct mh_kind *kind = mh_kind_find(p->all->env->kinds, p->item->kind);
    if (call->err.code == MH_OK && call->reply) {
        mh_cache_wrote(cache, kind, call->reply);
        p->object = call->reply;
        observe(p);
        return;
    }
    if (call->err.code == MH_E_NOTFOUND) {
        mh_cache_gone(cache, kind, p->item->ns, p->item->name, NULL);
        call->err.code = MH_OK;
    }
    p->err = call->err;
    end(p);
}

/* Our last write to the object has an unknown outcome: asks the server. */
static void
read_object(struct mh_pass *p, const struct mh_kind *kind)
{
    p->phase = READING;
    p->read = (struct mh_api_call){ .method = "GET",
                                    .path = mh_kube_path(&p->arena, kind, p->item->ns,
                                                         p->item->name, NULL),
                                    .arena = &p->arena,
                                    .done = on_read,
                                    .arg = p };
    p->all->env->api.start(p->all->env->api.self, &p->read);
}

static void
run(void *arg, struct mh_queue_item *item, bool urgent)
{
    struct mh_passes *all = arg;
    const struct mh_kind *kind = mh_kind_find(all->env->kinds, item->kind);
    struct mh_pass *p = mh_calloc(1, sizeof(*p));
    if (!p || !kind) {
        mh_error("pass", "pass not started, no memory or an unknown kind", "kind", item->kind);
        mh_free(p);
        mh_queue_done(&all->queue, item, p ? MH_PASS_STOPPED : MH_PASS_RETRY, 0);
        return;
    }
    *p = (struct mh_pass){ .all = all, .item = item, .urgent = urgent, .next = all->first };
    all->first = p;
    item->pass = p;
    mh_arena_init(&p->arena, MH_PASS_ARENA);
    p->began_ns = now_ns(all);
    struct mh_cache *cache = all->env->cache;
    if (mh_cache_is_behind(cache, kind, item->ns, item->name)) {
        read_object(p, kind);
        return;
    }
    struct mh_err err = { .code = MH_OK };
    p->object = mh_cache_get(cache, &p->arena, kind, item->ns, item->name, &err);
    if (p->object) {
        observe(p);
        return;
    }
    if (err.code != MH_E_NOTFOUND)
        p->err = err;
    end_later(p);
}

static void
preempt(void *arg, struct mh_queue_item *item)
{
    struct mh_passes *all = arg;
    struct mh_pass *p = item->pass;
    if (!p || p->preempted || p->phase == REPORTING)
        return;
    if (p->phase == ACTING) {
        p->preempted = true;
        mh_act_preempt(&p->act);
    } else if (p->phase == OBSERVING && !p->timer) {
        p->preempted = true;
        all->planner.cancel(all->planner.self, &p->planner);
        end_later(p);
    }
}

/* --- all --------------------------------------------------------------------------------------- */

void
mh_passes_init(struct mh_passes *p)
{
    struct mh_queue_conf conf = { .clock = p->env->clock,
                                  .rand = p->env->rand,
                                  .limit = p->limit ? p->limit : 10,
                                  .run = run,
                                  .preempt = preempt,
                                  .arg = p };
    mh_queue_init(&p->queue, &conf);
    mh_map_init(&p->reasons, REASONS_MAX);
    p->first = NULL;
}

static void
cancel(struct mh_pass *p)
{
    struct mh_act_env *env = p->all->env;
    env->clock.cancel(env->clock.self, p->timer);
    if (p->phase == READING)
        env->api.cancel(env->api.self, &p->read);
    else if (p->phase == OBSERVING)
        p->all->planner.cancel(p->all->planner.self, &p->planner);
    else if (!p->timer)
        mh_act_cancel(&p->act);
    mh_arena_release(&p->arena);
    mh_free(p);
}

void
mh_passes_release(struct mh_passes *p)
{
    mh_queue_stop(&p->queue);
    while (p->first) {
        struct mh_pass *one = p->first;
        p->first = one->next;
        cancel(one);
    }
    for (size_t i = 0; i < p->reasons.len; i++)
        mh_free(p->reasons.entries[i].value);
    mh_map_release(&p->reasons);
    mh_queue_release(&p->queue);
}

void
mh_passes_stop(struct mh_passes *p)
{
    mh_queue_stop(&p->queue);
}

bool
mh_passes_busy(const struct mh_passes *p)
{
    return p->first != NULL;
}

void
mh_passes_forget(struct mh_passes *p, const char *kind, const char *ns, const char *name)
{
    char key[700];
    int n = snprintf(key, sizeof(key), "%s\n%s\n%s", kind, ns ? ns : "", name);
    if (n > 0 && (size_t)n < sizeof(key))
        mh_free(mh_map_remove(&p->reasons, key));
}
