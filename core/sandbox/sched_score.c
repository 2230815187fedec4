/* sched_score.c - which of the nodes that can take the pod is best: the real scheduler's scores with
 * its default weights, each brought to 0..100. */
#include "sandbox/sched_in.h"

enum { W_TAINTS = 3, W_AFFINITY = 2, W_PODS = 2, W_SPREAD = 2, W_LEAST = 1, W_BALANCED = 1 };

static bool
is_open(const struct mh_sb_sched_node *n)
{
    return n->nreasons == 0;
}

/* Adds raw scores, stretched so that the best has 100 (and the worst 0 if `from_least`). */
static void
add_scores(struct mh_sb_sched_run *r, const int64_t *raw, bool from_least, bool reversed,
           int weight)
{
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (size_t i = 0; i < r->n; i++) {
        if (!is_open(&r->nodes[i]))
            continue;
        min = raw[i] < min ? raw[i] : min;
        max = raw[i] > max ? raw[i] : max;
    }
    if (!from_least)
        min = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (!is_open(&r->nodes[i]))
            continue;
        int64_t score = max > min ? 100 * (raw[i] - min) / (max - min) : 0;
        r->nodes[i].score += weight * (reversed ? 100 - score : score);
    }
}

static void
score_taints(struct mh_sb_sched_run *r, int64_t *raw)
{
    yyjson_val *tolerations = mh_json_get(r->pod, "spec", "tolerations", NULL);
    for (size_t i = 0; i < r->n; i++) {
        size_t k, max;
        yyjson_val *taint, *taints = mh_json_get(r->nodes[i].node, "spec", "taints", NULL);
        raw[i] = 0;
        yyjson_arr_foreach(taints, k, max, taint)
        {
            raw[i] += mh_str_eq(mh_json_str(taint, "effect", NULL), "PreferNoSchedule") &&
                      !mh_sb_tolerates(tolerations, taint);
        }
    }
    add_scores(r, raw, false, true, W_TAINTS);
}

static void
score_affinity(struct mh_sb_sched_run *r, int64_t *raw)
{
    yyjson_val *list = mh_json_get(r->pod, "spec", "affinity", "nodeAffinity",
                                   "preferredDuringSchedulingIgnoredDuringExecution", NULL);
    for (size_t i = 0; i < r->n; i++) {
        size_t k, max;
        yyjson_val *v;
        raw[i] = 0;
        yyjson_arr_foreach(list, k, max, v)
        {
            if (mh_sb_sched_term(yyjson_obj_get(v, "preference"), r->nodes[i].node))
                raw[i] += mh_json_int(v, 0, "weight", NULL);
        }
    }
    add_scores(r, raw, false, false, W_AFFINITY);
}

static void
score_pods(struct mh_sb_sched_run *r, int64_t *raw)
{
    for (size_t i = 0; i < r->n; i++) {
        raw[i] = 0;
        for (int t = 0; t < r->wishes.len; t++) {
            const struct mh_sb_tally *w = &r->wishes.items[t];
            if (yyjson_obj_get(r->nodes[i].labels, w->key))
                raw[i] += mh_sb_tally_sum(r, w, &r->nodes[i]);
        }
    }
    add_scores(r, raw, true, false, W_PODS);
}

/* ScheduleAnyway: fewer pods of the selector in the domain are better. */
static void
score_spread(struct mh_sb_sched_run *r, int64_t *raw)
{
    size_t k, max;
    yyjson_val *v, *list = mh_json_get(r->pod, "spec", "topologySpreadConstraints", NULL);
    bool any = false;
    for (size_t i = 0; i < r->n; i++)
        raw[i] = 0;
    yyjson_arr_foreach(list, k, max, v)
    {
        struct mh_sb_tally t;
        if (!mh_str_eq(mh_json_str(v, "whenUnsatisfiable", NULL), "ScheduleAnyway") ||
            !mh_sb_sched_spread_count(r, v, &t))
            continue;
        any = true;
        for (size_t i = 0; i < r->n; i++) {
            int64_t sum = mh_sb_tally_sum(r, &t, &r->nodes[i]);
            raw[i] += sum < 0 ? 1000000 : sum;
        }
    }
    if (any)
        add_scores(r, raw, true, true, W_SPREAD);
}

static double
share(int64_t used, int64_t of)
{
    double f = of > 0 ? (double)used / (double)of : 1;
    return f > 1 ? 1 : f;
}

static void
score_resources(struct mh_sb_sched_run *r)
{
    int64_t cpu = r->cpu > 0 ? r->cpu : 100, memory = r->memory > 0 ? r->memory : 200 << 20;
    for (size_t i = 0; i < r->n; i++) {
        struct mh_sb_sched_node *n = &r->nodes[i];
        double x = share(n->score_cpu + cpu, n->cpu);
        double y = share(n->score_memory + memory, n->memory);
        n->score += W_LEAST * (int64_t)((2 - x - y) * 50);
        n->score += W_BALANCED * (int64_t)((1 - (x > y ? x - y : y - x) / 2) * 100);
    }
}

void
mh_sb_sched_score(struct mh_sb_sched_run *r)
{
    int64_t *raw = mh_arena_alloc(r->a, r->n * sizeof(*raw) + 1);
    if (!raw) {
        r->failed = true;
        return;
    }
    score_taints(r, raw);
    score_affinity(r, raw);
    score_pods(r, raw);
    score_spread(r, raw);
    score_resources(r);
}
