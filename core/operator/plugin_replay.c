/* plugin_replay.c - what a new version would have planned where the one in charge planned lately. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "operator/plugin_in.h"

#define ONE_MAX ((size_t)64 << 10)
#define REQUEST_MAX ((size_t)2 << 20)

void
mh_plugin_remember(struct mh_plugin *p, const char *seen, const char *plan)
{
    struct mh_plugin_seen *at = NULL;
    if (!seen || !plan || strlen(seen) + strlen(plan) > ONE_MAX)
        return;
    for (size_t i = 0; i < MH_PLUGIN_SEEN && !at; i++)
        if (mh_str_eq(p->seen_last[i].seen, seen))
            at = &p->seen_last[i];
    if (!at)
        at = &p->seen_last[p->nseen++ % MH_PLUGIN_SEEN];
    else if (mh_str_eq(at->plan, plan))
        return;
    mh_free(at->seen);
    mh_free(at->plan);
    at->seen = mh_strdup(seen);
    at->plan = at->seen ? mh_strdup(plan) : NULL;
}

void
mh_plugin_forget_seen(struct mh_plugin *p)
{
    for (size_t i = 0; i < MH_PLUGIN_SEEN; i++) {
        mh_free(p->seen_last[i].seen);
        mh_free(p->seen_last[i].plan);
        p->seen_last[i] = (struct mh_plugin_seen){ NULL, NULL };
    }
    p->nseen = 0;
}

static void
on_planned(struct mh_plugin_job *job)
{
    struct mh_plugin_replay *r = job->arg;
    r->at++;
    r->working = false;
    r->replayed++;
    if (job->err.code != MH_OK) {
        if (!r->failed++)
            r->err = job->err;
    } else {
        const char *plan = mh_json_canonical(r->arena, job->value, NULL);
        r->differ += !mh_str_eq(plan, r->plan);
    }
    mh_plugin_replay_next(r);
}

void
mh_plugin_replay_next(struct mh_plugin_replay *r)
{
    const struct mh_plugin *p = r->plugin;
    struct mh_buf b;
    while (r->at < MH_PLUGIN_SEEN && !p->seen_last[r->at].plan)
        r->at++;
    if (r->at == MH_PLUGIN_SEEN) {
        r->done(r);
        return;
    }
    r->plan = mh_arena_strdup(r->arena, p->seen_last[r->at].plan);
    mh_buf_init(&b, REQUEST_MAX);
    mh_plugin_request(&b, "plan", p, r->text);
    (void)mh_buf_printf(&b, ",\"fn\":\"plan\",\"seen\":%s}", p->seen_last[r->at].seen);
    r->job = (struct mh_plugin_job){ .request = mh_buf_text(&b),
                                     .request_len = b.len,
                                     .arena = r->arena,
                                     .done = on_planned,
                                     .arg = r };
    r->working = !b.failed && r->plan;
    if (r->working)
        mh_plugin_child_start(p->child, &r->job);
    mh_buf_release(&b);
    if (!r->working) { /* too large, or no memory: as if there were no more */
        r->at = MH_PLUGIN_SEEN;
        r->done(r);
    }
}

void
mh_plugin_replay_sentence(const struct mh_plugin_replay *r, char *out, size_t size)
{
    if (!r->replayed)
        mh_str_copy(out, size, "");
    else if (r->failed)
        (void)snprintf(out, size, "; on %u of %u recorded passes plan fails, the first: %.200s",
                       r->failed, r->replayed, r->err.msg);
    else if (r->differ)
        (void)snprintf(out, size, "; %u of %u recorded plans differ", r->differ, r->replayed);
    else
        (void)snprintf(out, size, "; all %u recorded plans stay as they are", r->replayed);
}

void
mh_plugin_replay_cancel(struct mh_plugin_replay *r)
{
    if (r->working)
        mh_plugin_child_cancel(&r->job);
    r->working = false;
}
