/* policy_shadow.c - versions that only watch: asked what was decided, their answers are compared. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "lua/policy_diff.h"
#include "lua/policy_entry.h"

#define ARENA ((size_t)8 << 20)
#define RUNS_MAX 4 /* at a time */

struct mh_shade {
    struct mh_shade *next;
    struct mh_policies *store;
    struct mh_entry *entry;
    struct mh_version *version;
    const char *cluster;
    const char *answer; /* that was given */
    size_t answer_len;
    struct mh_arena arena;
    struct mh_policy_call call;
    bool open;
};

static void
end(struct mh_shade *h)
{
    struct mh_shade **at = &h->store->shades;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    if (h->open)
        mh_policy_cancel(h->store->pool, &h->call);
    mh_version_unref(h->version);
    mh_arena_release(&h->arena);
    mh_free(h);
}

void
mh_shadows_forget(struct mh_policies *s, const struct mh_entry *e)
{
    struct mh_shade *h = s->shades;
    while (h) {
        struct mh_shade *next = h->next;
        if (!e || h->entry == e)
            end(h);
        h = next;
    }
}

static void
compare(struct mh_shade *h)
{
    struct mh_shadow *out = &h->entry->shadow;
    const struct mh_policy_result *r = &h->call.result;
    yyjson_val *was = NULL, *is = NULL;
    struct mh_buf b;
    out->asked++;
    if (!r->ok) {
        const char *text = mh_policy_error_text(&h->arena, &r->error);
        out->failed++;
        (void)snprintf(out->last, sizeof(out->last), "%.100s: %.180s", h->cluster,
                       text ? text : r->error.message);
        return;
    }
    if (r->answer_len == h->answer_len && memcmp(r->answer, h->answer, r->answer_len) == 0)
        return;
    out->differ++;
    mh_buf_init(&b, 4096);
    if (mh_json_parse(&h->arena, h->answer, h->answer_len, &was, NULL) == MH_OK &&
        mh_json_parse(&h->arena, r->answer, r->answer_len, &is, NULL) == MH_OK)
        (void)mh_policy_diff(&b, was, is);
    (void)snprintf(out->last, sizeof(out->last), "%.100s: %.180s", h->cluster, mh_buf_text(&b));
    mh_buf_release(&b);
}

static void
on_answer(struct mh_policy_call *call)
{
    struct mh_shade *h = call->arg;
    struct mh_policies *s = h->store;
    struct mh_entry *e = h->entry;
    h->open = false;
    if (call->result.ok || !mh_policy_error_is_ours(&call->result.error))
        compare(h);
    if (e->shadow.differ + e->shadow.failed != e->shadow.told)
        mh_policies_wake_later(s);
    end(h);
}

static void
ask(struct mh_policies *s, struct mh_entry *e, const struct mh_decision *d)
{
    struct mh_shade *h = mh_calloc(1, sizeof(*h));
    if (!h)
        return;
    *h = (struct mh_shade){ .store = s, .entry = e, .next = s->shades };
    mh_arena_init(&h->arena, ARENA);
    h->version = mh_version_ref(e->ready);
    h->cluster = mh_arena_printf(&h->arena, "%s/%s", d->namespace, d->cluster);
    h->answer = mh_arena_strndup(&h->arena, d->answer, d->answer_len);
    h->answer_len = d->answer_len;
    h->call = (struct mh_policy_call){ .arena = &h->arena, .done = on_answer, .arg = h };
    mh_version_job(h->version, &h->call.job);
    h->call.tenant = e->map->ns;
    h->call.job.op = MH_POLICY_DECIDE;
    h->call.job.point = h->version->point;
    h->call.job.input = mh_arena_strndup(&h->arena, d->input, d->input_len);
    h->call.job.input_len = d->input_len;
    s->shades = h;
    if (!h->cluster || !h->answer || !h->call.job.input) {
        end(h);
        return;
    }
    h->open = true;
    mh_policy_start(s->pool, &h->call);
}

void
mh_shadows_ask(struct mh_policies *s, const struct mh_decision *d)
{
    int n = 0;
    yyjson_val *labels = mh_json_get(d->object, "metadata", "labels", NULL);
    for (const struct mh_shade *h = s->shades; h; h = h->next)
        n++;
    if (!d->answer || !d->cluster)
        return;
    for (struct mh_map_of *m = s->maps; m && n < RUNS_MAX; m = m->next) {
        if (!mh_map_serves(s, m, d->namespace, labels))
            continue;
        for (struct mh_entry *e = m->entries; e && n < RUNS_MAX; e = e->next)
            if (e->ready && e->rollout == MH_ROLLOUT_SHADOW &&
                strcmp(e->ready->point, d->point) == 0) {
                ask(s, e, d);
                n++;
            }
    }
}
