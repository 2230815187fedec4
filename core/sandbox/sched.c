/* sched.c - the scheduler's decision. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sandbox/sched_in.h"

#define NOT_HELPFUL "Preemption is not helpful for scheduling"
#define NO_VICTIMS "No preemption victims found for incoming pod"

static void
load_nodes(struct mh_sb_sched_run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct mh_sb_sched_node *n = &r->nodes[i];
        n->node = r->s->nodes[i];
        n->name = mh_json_str(n->node, "metadata", "name", NULL);
        n->labels = mh_json_get(n->node, "metadata", "labels", NULL);
        yyjson_val *have = mh_json_get(n->node, "status", "allocatable", NULL);
        n->cpu = mh_sb_amount(yyjson_obj_get(have, "cpu"), 1000);
        n->memory = mh_sb_amount(yyjson_obj_get(have, "memory"), 1);
        n->pods = mh_sb_amount(yyjson_obj_get(have, "pods"), 1);
        if (!n->name)
            n->name = "";
    }
}

static int
node_index(const struct mh_sb_sched_run *r, const char *name)
{
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int d = strcmp(r->nodes[mid].name, name);
        if (d == 0)
            return (int)mid;
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

static void
load_pods(struct mh_sb_sched_run *r)
{
    for (size_t i = 0; i < r->s->npods; i++) {
        const struct mh_sb_placed *p = &r->s->pods[i];
        r->at[i] = p->node ? node_index(r, p->node) : -1;
        if (r->at[i] < 0)
            continue;
        struct mh_sb_sched_node *n = &r->nodes[r->at[i]];
        n->used_cpu += p->cpu;
        n->used_memory += p->memory;
        n->used_pods++;
        n->score_cpu += p->cpu > 0 ? p->cpu : 100;
        n->score_memory += p->memory > 0 ? p->memory : 200 << 20;
    }
}

/* --- why not --------------------------------------------------------------------------------- */

static int
by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* "1 this, 2 that", sorted as texts. */
static void
add_histogram(struct mh_buf *b, struct mh_arena *a, const char **all, size_t n)
{
    const char **lines = mh_arena_alloc(a, (n + 1) * sizeof(*lines));
    size_t nlines = 0;
    if (!lines)
        return;
    qsort(all, n, sizeof(*all), by_text);
    for (size_t i = 0; i < n;) {
        size_t same = i;
        while (same < n && strcmp(all[i], all[same]) == 0)
            same++;
        const char *line = mh_arena_printf(a, "%zu %s", same - i, all[i]);
        if (line)
            lines[nlines++] = line;
        i = same;
    }
    qsort(lines, nlines, sizeof(*lines), by_text);
    for (size_t i = 0; i < nlines; i++)
        mh_buf_printf(b, "%s%s", i ? ", " : "", lines[i]);
}

static const char *
finish(struct mh_arena *a, struct mh_buf *b)
{
    const char *out = b->failed ? NULL : mh_arena_strdup(a, mh_buf_text(b));
    mh_buf_release(b);
    return out;
}

static const char *
explain(struct mh_sb_sched_run *r)
{
    struct mh_buf b;
    size_t n = 0;
    const char **all = mh_arena_alloc(r->a, (r->n * MH_SB_REASONS_MAX + 1) * sizeof(*all));
    if (!all)
        return NULL;
    for (size_t i = 0; i < r->n; i++) {
        for (int k = 0; k < r->nodes[i].nreasons; k++)
            all[n++] = r->nodes[i].reasons[k];
    }
    mh_buf_init(&b, 64 << 10);
    mh_buf_printf(&b, "0/%zu nodes are available: ", r->n);
    add_histogram(&b, r->a, all, n);
    mh_buf_printf(&b, ". preemption: 0/%zu nodes are available: ", r->n);
    for (size_t i = 0; i < r->n; i++)
        all[i] = r->nodes[i].final ? NOT_HELPFUL : NO_VICTIMS;
    add_histogram(&b, r->a, all, r->n);
    mh_buf_char(&b, '.');
    return finish(r->a, &b);
}

static const char *
explain_claims(const struct mh_sb_sched_run *r, const char *why)
{
    return mh_arena_printf(r->a,
                           "0/%zu nodes are available: %s. preemption: 0/%zu nodes are available: "
                           "%zu " NOT_HELPFUL ".",
                           r->n, why, r->n, r->n);
}

/* --- the decision ---------------------------------------------------------------------------- */

/* One of those that are equally good, another for each pod: else, where all are full of pods that ask
 * for little, one node takes them all. */
static const char *
best(struct mh_sb_sched_run *r)
{
    const char *uid = mh_json_str(r->pod, "metadata", "uid", NULL);
    const struct mh_sb_sched_node *out = NULL;
    uint64_t hash = 14695981039346656037ULL, equal = 0;
    for (; uid && *uid; uid++)
        hash = (hash ^ (unsigned char)*uid) * 1099511628211ULL;
    for (size_t i = 0; i < r->n; i++) {
        const struct mh_sb_sched_node *n = &r->nodes[i];
        if (n->nreasons > 0 || (out && n->score < out->score))
            continue;
        equal = out && n->score == out->score ? equal + 1 : 1;
        hash = hash * 6364136223846793005ULL + 1442695040888963407ULL;
        if ((hash >> 33) % equal == 0)
            out = n;
    }
    return out ? out->name : NULL;
}

static bool
begin(struct mh_sb_sched_run *r)
{
    r->labels = mh_json_get(r->pod, "metadata", "labels", NULL);
    r->ns = mh_json_str(r->pod, "metadata", "namespace", NULL);
    if (!r->ns)
        r->ns = "";
    r->n = r->s->nnodes;
    r->nodes = mh_arena_alloc(r->a, r->n * sizeof(*r->nodes) + 1);
    r->at = mh_arena_alloc(r->a, r->s->npods * sizeof(*r->at) + 1);
    if (!r->nodes || !r->at)
        return false;
    r->cpu = mh_sb_sched_request(r->pod, "cpu", 1000);
    r->memory = mh_sb_sched_request(r->pod, "memory", 1);
    load_nodes(r);
    load_pods(r);
    return true;
}

const char *
mh_sb_sched_pick(const struct mh_sb_sched *s, struct mh_arena *a, yyjson_val *pod, const char **why)
{
    struct mh_sb_sched_run *r = mh_arena_alloc(a, sizeof(*r));
    size_t can = 0;
    *why = NULL;
    if (!r)
        return NULL;
    *r = (struct mh_sb_sched_run){ .s = s, .a = a, .pod = pod };
    if (!begin(r))
        return NULL;
    if (r->n == 0) {
        *why = "no nodes available to schedule pods";
        return NULL;
    }
    const char *unbound = mh_sb_sched_claims(r);
    if (unbound) {
        *why = r->failed ? NULL : explain_claims(r, unbound);
        return NULL;
    }
    mh_sb_sched_count_pods(r);
    for (size_t i = 0; i < r->n; i++) {
        struct mh_sb_sched_node *n = &r->nodes[i];
        can += mh_sb_sched_fits_node(r, n) && mh_sb_sched_fits_volumes(r, n) &&
               mh_sb_sched_fits_spread(r, n) && mh_sb_sched_fits_pods(r, n);
    }
    if (can > 0)
        mh_sb_sched_score(r);
    if (r->failed)
        return NULL;
    if (can == 0)
        *why = explain(r);
    return can > 0 ? best(r) : NULL;
}
