/* policy_replay.c - recorded inputs, one after the other, against a text that does not decide yet. */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "lua/policy_diff.h"
#include "lua/policy_entry.h"

#define ARENA ((size_t)8 << 20)
#define BUDGET_MS 3000
#define LINE_BYTES ((size_t)600)

struct mh_replaying {
    struct mh_replaying *next;
    struct mh_policies *store;
    struct mh_replay *r;
    struct mh_taken *list[MH_REPLAY_MAX];
    size_t n;
    size_t at;
    int64_t began_us;
    struct event *turn;
    struct mh_arena arena;
    struct mh_policy_call call;
    bool asked;
};

/* Whether the cluster of a recorded input is among those of the selector. */
static bool
selected(struct mh_policies *s, const char *selector, const struct mh_taken *t)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    if (!selector)
        return true;
    mh_arena_init(&a, ARENA);
    char *input = mh_taken_input(&a, t);
    bool ok = s->match && input && mh_json_parse(&a, input, t->input_len, &v, NULL) == MH_OK &&
              s->match(selector, mh_json_get(v, "cluster", "labels", NULL));
    mh_arena_release(&a);
    return ok;
}

static void
end(struct mh_replaying *p)
{
    struct mh_replaying **at = &p->store->replays;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    if (p->asked)
        mh_policy_cancel(p->store->pool, &p->call);
    for (size_t i = 0; i < p->n; i++)
        mh_taken_unref(p->list[i]);
    if (p->turn)
        event_free(p->turn);
    mh_arena_release(&p->arena);
    p->r->impl = NULL;
    mh_free(p);
}

static void
finish(struct mh_replaying *p)
{
    struct mh_replay *r = p->r;
    end(p);
    r->done(r);
}

/* "web/pg 10:02:11 7f3a00112233" */
static void
head(struct mh_buf *b, const struct mh_taken *t)
{
    char at[MH_TIME_TEXT];
    mh_time_rfc3339(at, t->at_us / 1000000);
    (void)mh_buf_printf(b, "%.100s/%.100s at %s (input %s): ", t->ns, t->cluster, at, t->id);
}

static void
note_difference(struct mh_replaying *p, const struct mh_taken *t, const char *answer, size_t len)
{
    struct mh_buf b;
    yyjson_val *was = NULL, *is = NULL;
    p->r->differ++;
    if (p->r->nlines == MH_REPLAY_LINES ||
        mh_json_parse(&p->arena, t->answer, t->answer_len, &was, NULL) != MH_OK ||
        mh_json_parse(&p->arena, answer, len, &is, NULL) != MH_OK)
        return;
    mh_buf_init(&b, LINE_BYTES * 4);
    head(&b, t);
    (void)mh_policy_diff(&b, was, is);
    if (b.len > LINE_BYTES)
        b.data[LINE_BYTES] = '\0';
    char *line = b.len ? mh_strdup(b.data) : NULL;
    if (line)
        p->r->lines[p->r->nlines++] = line;
    mh_buf_release(&b);
}

static void
note_failure(struct mh_replaying *p, const struct mh_taken *t, const struct mh_script_error *e)
{
    struct mh_buf b;
    const char *text = mh_policy_error_text(&p->arena, e);
    p->r->failed++;
    if (p->r->failure)
        return;
    mh_buf_init(&b, LINE_BYTES * 4);
    (void)mh_buf_printf(&b, "%.400s, on a recorded input of ", text ? text : e->message);
    (void)mh_buf_printf(&b, "%.100s/%.100s (input %s)", t->ns, t->cluster, t->id);
    p->r->failure = mh_strdup(mh_buf_text(&b));
    mh_buf_release(&b);
}

static void
again(struct mh_replaying *p)
{
    static const struct timeval now = { 0, 0 };
    (void)evtimer_add(p->turn, &now);
}

static void
on_answer(struct mh_policy_call *call)
{
    struct mh_replaying *p = call->arg;
    const struct mh_policy_result *r = &call->result;
    const struct mh_taken *t = p->list[p->at++];
    p->asked = false;
    if (r->ok || !mh_policy_error_is_ours(&r->error)) {
        p->r->inputs++;
        p->store->figures.replayed++;
    }
    if (!r->ok && !mh_policy_error_is_ours(&r->error))
        note_failure(p, t, &r->error);
    else if (r->ok &&
             (r->answer_len != t->answer_len || memcmp(r->answer, t->answer, t->answer_len) != 0))
        note_difference(p, t, r->answer, r->answer_len);
    again(p);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct mh_replaying *p = arg;
    int64_t most = (int64_t)(p->r->budget_ms ? p->r->budget_ms : BUDGET_MS) * 1000;
    (void)fd, (void)what;
    if (p->at == p->n || p->r->failed || mh_policies_mono_us(p->store) - p->began_us > most) {
        finish(p);
        return;
    }
    const struct mh_taken *t = p->list[p->at];
    mh_arena_release(&p->arena);
    mh_arena_init(&p->arena, ARENA);
    p->call = (struct mh_policy_call){
        .job = p->r->job, .arena = &p->arena, .done = on_answer, .arg = p
    };
    p->call.tenant = p->r->tenant;
    p->call.job.op = MH_POLICY_DECIDE;
    p->call.job.point = p->r->point;
    p->call.job.input = mh_taken_input(&p->arena, t);
    p->call.job.input_len = t->input_len;
    if (!p->call.job.input) { /* no memory: it is not replayed */
        p->at++;
        again(p);
        return;
    }
    p->asked = true;
    mh_policy_start(p->store->pool, &p->call);
}

void
mh_replay_start(struct mh_policies *s, struct mh_replay *r)
{
    struct mh_replaying *p = mh_calloc(1, sizeof(*p));
    unsigned most = r->most && r->most < MH_REPLAY_MAX ? r->most : MH_REPLAY_MAX;
    r->impl = p;
    if (!p || !(p->turn = evtimer_new(s->base, on_turn, p))) { /* no memory: nothing is replayed */
        mh_free(p);
        r->impl = NULL;
        r->done(r);
        return;
    }
    p->store = s;
    p->r = r;
    p->began_us = mh_policies_mono_us(s);
    mh_arena_init(&p->arena, ARENA);
    p->next = s->replays;
    s->replays = p;
    size_t n = mh_ring_last(s->ring, r->point, r->ns, p->list, most);
    for (size_t i = 0; i < n; i++) {
        if (selected(s, r->selector, p->list[i]))
            p->list[p->n++] = p->list[i];
        else
            mh_taken_unref(p->list[i]);
    }
    again(p);
}

void
mh_replay_cancel(struct mh_replay *r)
{
    if (r->impl)
        end(r->impl);
}

void
mh_replay_release(struct mh_replay *r)
{
    for (unsigned i = 0; i < r->nlines; i++)
        mh_free(r->lines[i]);
    mh_free(r->failure);
    r->nlines = 0;
    r->failure = NULL;
}

void
mh_replays_forget(struct mh_policies *s)
{
    while (s->replays)
        end(s->replays);
}

void
mh_replay_sentence(const struct mh_replay *r, char *out, size_t size)
{
    if (!r->inputs)
        (void)snprintf(out, size, "there are no recorded decisions");
    else if (r->differ)
        (void)snprintf(out, size, "%u of %u recorded decisions differ", r->differ, r->inputs);
    else if (r->inputs == 1)
        (void)snprintf(out, size, "the recorded decision stays as it is");
    else
        (void)snprintf(out, size, "all %u recorded decisions stay as they are", r->inputs);
}
