#include "lua/policy_store.h"

#include <event2/event.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "lua/policy_entry.h"

#define LOST "the worker ended while the script ran" /* as the pool says it */
#define QUESTION_US 50000                            /* both attempts, as long as one may take */
#define AGAIN_MIN_US 10000                           /* with less left nobody is asked again */

/* --- decisions -------------------------------------------------------------------------------- */

struct asked {
    struct asked *next;
    struct mh_policies *store;
    struct mh_decision *d;
    struct mh_version *version; /* NULL: the built-in one */
    bool own_params;            /* of the Cluster: its errors are not the policy's */
    int kills;                  /* of the pool when it was asked */
    struct event *late;         /* of the second attempt; NULL: it is the first */
    struct mh_policy_call call;
};

static const char *
name_of(struct mh_arena *a, const struct mh_entry *e, const struct mh_version *v)
{
    return mh_arena_printf(a, "%s/%s/%s@%s", e->map->ns, e->map->name, e->key, v->hash);
}

/* Keeps the decision in the ring; those in the shadow are asked the same. */
static void
remember(struct mh_policies *s, const struct mh_decision *d)
{
    struct mh_taken like = { .at_us = mh_policies_wall_us(s),
                             .point = d->point,
                             .ns = d->namespace,
                             .cluster = d->cluster,
                             .by = d->by,
                             .error = d->error_text,
                             .input = d->input,
                             .answer = d->answer };
    mh_ring_add(s->ring, &like);
    mh_shadows_ask(s, d);
}

/* The built-in policy, in this process: it is ours, and nothing can keep it from answering. */
static void
ask_built_in(struct mh_decision *d)
{
    struct mh_policy_result r;
    struct mh_policy_job job = {
        .op = MH_POLICY_DECIDE, .point = d->point, .input = d->input, .input_len = d->input_len
    };
    mh_policy_run(d->arena, &job, &r);
    d->by = "built-in";
    d->took_us += r.took_us;
    if (r.ok) {
        d->answer = r.answer;
        d->answer_len = r.answer_len;
    } else if (!d->error) {
        d->error = mh_policy_error_json(d->arena, &r.error);
        d->error_text = mh_policy_error_text(d->arena, &r.error);
    }
}

static void
unlink_asked(struct asked *q)
{
    for (struct asked **at = &q->store->asked; *at; at = &(*at)->next) {
        if (*at == q) {
            *at = q->next;
            break;
        }
    }
}

static void
free_asked(struct asked *q)
{
    unlink_asked(q);
    if (q->late)
        event_free(q->late);
    mh_version_unref(q->version);
    mh_free(q);
}

/* Everything of q is gone before done runs. */
static void
finish(struct asked *q)
{
    struct mh_decision *d = q->d;
    struct mh_policies *s = q->store;
    d->waited_us = mh_policies_mono_us(s) - d->asked_us;
    free_asked(q);
    d->impl = NULL;
    remember(s, d);
    d->done(d);
}

/* Whose version failed; NULL: it is gone or no longer in charge. */
static struct mh_entry *
entry_of(struct mh_policies *s, const struct mh_version *v)
{
    for (struct mh_map_of *m = s->maps; m; m = m->next)
        for (struct mh_entry *e = m->entries; e; e = e->next)
            if (e->active == v)
                return e;
    return NULL;
}

static void
blame(struct asked *q, const struct mh_script_error *error, const char *text)
{
    struct mh_policies *s = q->store;
    struct mh_entry *e = entry_of(s, q->version);
    if (e && !q->own_params && !mh_policy_error_is_ours(error))
        mh_entry_failed(s, e, q->version, error->kind, text ? text : error->message);
}

static void
give_up(struct asked *q, const struct mh_script_error *error, bool its_fault)
{
    struct mh_decision *d = q->d;
    const char *text = mh_policy_error_text(d->arena, error);
    d->error = mh_policy_error_json(d->arena, error);
    d->error_text = mh_arena_printf(d->arena, "%s: %s", d->by, text ? text : error->message);
    mh_warn("policy", "policy failed, the built-in one decides", "policy", d->by, "error",
            d->error_text, "kind", error->kind);
    if (its_fault)
        blame(q, error, text);
    ask_built_in(d);
    finish(q);
}

/* The second worker is slow to come, or slow: nobody waits longer than for one. */
static void
on_late(evutil_socket_t fd, short what, void *arg)
{
    struct asked *q = arg;
    static const struct mh_script_error error = {
        .kind = "wall", .message = "its worker was lost, and another one gave no answer in time"
    };
    (void)fd, (void)what;
    mh_policy_cancel(q->store->pool, &q->call);
    give_up(q, &error, false);
}

/* Whether the worker was taken away from under the question, and the spare one is asked. What passes a
 * limit is told so by the worker, or killed by the pool, which counts: neither is asked again. */
static bool
ask_again(struct asked *q, const struct mh_script_error *error)
{
    struct mh_policies *s = q->store;
    int64_t left = QUESTION_US - (mh_policies_mono_us(s) - q->d->asked_us);
    struct timeval tv = { 0, (suseconds_t)left };
    if (q->late || !mh_str_eq(error->kind, "memory") || !mh_str_eq(error->message, LOST) ||
        mh_pool_kills(s->pool) != q->kills || left < AGAIN_MIN_US || left > QUESTION_US)
        return false;
    q->late = evtimer_new(s->base, on_late, q);
    if (!q->late || evtimer_add(q->late, &tv) != 0)
        return false;
    q->d->again = true;
    mh_warn("policy", "a worker ended while it decided, the policy is asked again", "policy",
            q->d->by);
    mh_policy_start(s->pool, &q->call);
    return true;
}

static void
on_answer(struct mh_policy_call *call)
{
    struct asked *q = call->arg;
    struct mh_decision *d = q->d;
    const struct mh_policy_result *r = &call->result;
    if (!r->ok && ask_again(q, &r->error))
        return;
    d->took_us = r->took_us;
    if (!r->ok) {
        give_up(q, &r->error, true);
        return;
    }
    d->answer = r->answer;
    d->answer_len = r->answer_len;
    finish(q);
}

/* The answers that need no worker, one turn of the loop later. */
void
mh_policies_answer(struct mh_policies *s)
{
    struct asked *q = s->asked;
    while (q) {
        if (q->version) {
            q = q->next;
            continue;
        }
        ask_built_in(q->d);
        finish(q);
        q = s->asked; /* done may have changed the list */
    }
    while (s->failed) {
        struct mh_decision *d = s->failed;
        s->failed = d->impl;
        d->impl = NULL;
        ask_built_in(d);
        d->waited_us = mh_policies_mono_us(s) - d->asked_us;
        d->done(d);
    }
}

void
mh_policies_decide(struct mh_policies *s, struct mh_decision *d)
{
    struct mh_claim claim;
    struct asked *q = mh_calloc(1, sizeof(*q));
    d->answer = NULL;
    d->error = NULL;
    d->error_text = NULL;
    d->by = "built-in";
    d->took_us = 0;
    d->again = false;
    d->asked_us = mh_policies_mono_us(s);
    if (!q) { /* the built-in one answers, one turn later */
        d->impl = s->failed;
        s->failed = d;
        mh_policies_wake(s);
        return;
    }
    *q = (struct asked){ .store = s, .d = d, .next = s->asked };
    s->asked = q;
    d->impl = q;
    mh_policies_resolve(s, d, &claim);
    if (!claim.entry) {
        d->error_text = claim.fault;
        mh_policies_wake(s);
        return;
    }
    q->version = mh_version_ref(claim.entry->active);
    q->own_params = claim.own_params;
    d->by = name_of(d->arena, claim.entry, q->version) ?: "policy";
    q->call = (struct mh_policy_call){ .arena = d->arena, .done = on_answer, .arg = q };
    mh_version_job(q->version, &q->call.job);
    if (claim.own_params) {
        q->call.job.params = claim.params;
        q->call.job.params_len = claim.params_len;
    }
    q->call.tenant = claim.entry->map->ns;
    q->call.job.op = MH_POLICY_DECIDE;
    q->call.job.point = d->point;
    q->call.job.input = d->input;
    q->call.job.input_len = d->input_len;
    q->kills = mh_pool_kills(s->pool);
    mh_policy_start(s->pool, &q->call);
}

void
mh_policies_cancel(struct mh_policies *s, struct mh_decision *d)
{
    for (struct mh_decision **at = &s->failed; *at; at = (struct mh_decision **)&(*at)->impl) {
        if (*at == d) {
            *at = d->impl;
            d->impl = NULL;
            return;
        }
    }
    struct asked *q = d->impl;
    if (!q)
        return;
    if (q->version)
        mh_policy_cancel(s->pool, &q->call);
    free_asked(q);
    d->impl = NULL;
}

char *
mh_decision_json(const struct mh_decision *d, size_t *len)
{
    struct mh_buf b;
    char *out = NULL;
    mh_buf_init(&b, 2 * MH_POLICY_OUTPUT_MAX);
    (void)mh_buf_str(&b, "{\"by\":");
    (void)mh_json_quote(&b, d->by, strlen(d->by));
    if (d->answer) {
        (void)mh_buf_str(&b, ",\"answer\":");
        (void)mh_buf_add(&b, d->answer, d->answer_len);
    }
    if (d->error_text) {
        (void)mh_buf_str(&b, ",\"error\":");
        (void)mh_json_quote(&b, d->error_text, strlen(d->error_text));
    }
    if (d->error)
        (void)mh_buf_printf(&b, ",\"error_record\":%s", d->error);
    if (mh_buf_char(&b, '}') && !b.failed) {
        out = mh_arena_strndup(d->arena, mh_buf_text(&b), b.len);
        *len = b.len;
    }
    mh_buf_release(&b);
    return out;
}

void
mh_policy_check_start(struct mh_policies *s, struct mh_policy_call *call)
{
    call->job.op = MH_POLICY_CHECK;
    mh_policy_start(s->pool, call);
}

void
mh_policy_declared_start(struct mh_policies *s, struct mh_policy_call *call)
{
    call->job.op = MH_POLICY_DECLARED;
    mh_policy_start(s->pool, call);
}
