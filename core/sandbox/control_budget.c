/* control_budget.c - PodDisruptionBudgets: how many of their pods may go now. */
#include <string.h>

#include "sandbox/control_in.h"
#include "sandbox/deploy_in.h"
#include "sandbox/sched.h"

#define EVICTED_S 120 /* for so long an evicted pod that is still there counts as gone */

struct budget {
    struct mh_sb_task *t;
    yyjson_val *o;
    yyjson_val **pods;
    size_t n;
};

static bool
gather(struct budget *b)
{
    yyjson_val *selector = mh_json_get(b->o, "spec", "selector", NULL);
    size_t count;
    struct mh_sb_item **all = mh_sb_candidates(b->t->c, &b->t->arena, MH_SB_PODS, b->t->ns,
                                               yyjson_obj_get(selector, "matchLabels"), &count);
    b->pods = mh_arena_alloc(&b->t->arena, (count + 1) * sizeof(yyjson_val *));
    if (!all || !b->pods)
        return false;
    for (size_t i = 0; i < count; i++) {
        yyjson_val *pod = all[i]->object;
        if (!mh_sb_pod_finished(pod) &&
            mh_sb_selects(selector, mh_json_get(pod, "metadata", "labels", NULL)))
            b->pods[b->n++] = pod;
    }
    return true;
}

/* What the pods' controllers want in sum; pods of unknown controllers count themselves. */
static int64_t
expected(const struct budget *b)
{
    int64_t sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        yyjson_val *by = mh_sb_controller(b->pods[i]);
        const char *uid = mh_json_str(by, "uid", NULL);
        bool first = true;
        for (size_t k = 0; k < i && first && uid; k++)
            first = !mh_str_eq(mh_json_str(mh_sb_controller(b->pods[k]), "uid", NULL), uid);
        yyjson_val *set =
            mh_str_eq(mh_json_str(by, "kind", NULL), "ReplicaSet")
                ? mh_sb_object(b->t->c, MH_SB_REPLICASETS, b->t->ns, mh_json_str(by, "name", NULL))
                : NULL;
        if (!set)
            sum++;
        else if (first)
            sum += mh_json_int(set, 1, "spec", "replicas", NULL);
    }
    return sum;
}

/* "30%" of `of` rounded up, or a number. */
static int64_t
amount(yyjson_val *v, int64_t of)
{
    char number[16];
    int64_t percent;
    const char *s = yyjson_get_str(v);
    if (!s)
        return yyjson_get_int(v);
    if (!mh_str_ends(s, "%") || strlen(s) >= sizeof(number))
        return 0;
    mh_str_copy(number, strlen(s), s);
    return mh_str_int(number, 0, 100, &percent) ? (percent * of + 99) / 100 : 0;
}

static yyjson_val *
pod_named(const struct budget *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++) {
        if (mh_str_eq(mh_sb_name(b->pods[i]), name))
            return b->pods[i];
    }
    return NULL;
}

/* Was it evicted a moment ago and is not gone yet? */
static bool
is_disrupted(const struct budget *b, yyjson_val *pod, int64_t *left)
{
    yyjson_val *at = mh_json_get(b->o, "status", "disruptedPods", mh_sb_name(pod), NULL);
    *left = mh_sb_when(at, INT64_MIN / 2) + EVICTED_S - mh_sb_wall_s(b->t->c);
    return at && !mh_sb_is_going(pod) && *left > 0;
}

/* Entries that are over, as nulls of a merge patch. */
static const char *
forget_disrupted(struct budget *b)
{
    struct mh_buf out;
    size_t i, max;
    int added = 0;
    yyjson_val *k, *v, *map = mh_json_get(b->o, "status", "disruptedPods", NULL);
    mh_buf_init(&out, 64 << 10);
    yyjson_obj_foreach(map, i, max, k, v)
    {
        int64_t left = 0;
        yyjson_val *pod = pod_named(b, yyjson_get_str(k));
        if (pod && is_disrupted(b, pod, &left))
            mh_sb_again(b->t, left * MH_NS_PER_S);
        else
            mh_buf_printf(&out, "%s%s:null", added++ ? "," : "",
                          mh_sb_quote(b->t, yyjson_get_str(k)));
    }
    const char *text =
        added && !out.failed ? mh_sb_text(b->t, "\"disruptedPods\":{%s},", mh_buf_text(&out)) : "";
    mh_buf_release(&out);
    return text;
}

static void
tell(struct budget *b, int64_t total, int64_t healthy, int64_t want)
{
    struct mh_sb_task *t = b->t;
    int64_t allowed = total > 0 && healthy > want ? healthy - want : 0;
    int64_t generation = mh_json_int(b->o, 0, "metadata", "generation", NULL);
    yyjson_val *s = yyjson_obj_get(b->o, "status");
    yyjson_val *old = mh_sb_condition_of(b->o, "DisruptionAllowed");
    const char *forget = forget_disrupted(b);
    const char *status = allowed > 0 ? "True" : "False";
    char when[MH_TIME_TEXT];
    if (!*forget && mh_json_int(s, -1, "disruptionsAllowed", NULL) == allowed &&
        mh_json_int(s, -1, "currentHealthy", NULL) == healthy &&
        mh_json_int(s, -1, "desiredHealthy", NULL) == want &&
        mh_json_int(s, -1, "expectedPods", NULL) == total &&
        mh_json_int(s, -1, "observedGeneration", NULL) == generation &&
        mh_str_eq(mh_json_str(old, "status", NULL), status))
        return;
    mh_sb_now_text(t->c, when);
    const char *since = mh_str_eq(mh_json_str(old, "status", NULL), status)
                            ? mh_json_str(old, "lastTransitionTime", NULL)
                            : NULL;
    mh_sb_ctl_write(
        t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_BUDGETS, t->ns, t->name, "status"),
        MH_PATCH_MERGE,
        mh_sb_text(t,
                   "{\"metadata\":{\"resourceVersion\":%s},\"status\":{%s\"currentHealthy\":%lld,"
                   "\"desiredHealthy\":%lld,\"disruptionsAllowed\":%lld,\"expectedPods\":%lld,"
                   "\"observedGeneration\":%lld,\"conditions\":[{\"type\":\"DisruptionAllowed\","
                   "\"status\":\"%s\",\"reason\":\"%s\",\"message\":\"\",\"observedGeneration\":"
                   "%lld,\"lastTransitionTime\":%s}]}}",
                   mh_sb_quote(t, mh_json_str(b->o, "metadata", "resourceVersion", NULL)), forget,
                   (long long)healthy, (long long)want, (long long)allowed, (long long)total,
                   (long long)generation, status,
                   allowed > 0 ? "SufficientPods" : "InsufficientPods", (long long)generation,
                   mh_sb_quote(t, since ? since : when)));
}

void
mh_sb_budget_sync(struct mh_sb_task *t)
{
    struct budget b = { .t = t, .o = mh_sb_object(t->c, MH_SB_BUDGETS, t->ns, t->name) };
    int64_t total, healthy = 0, want, left;
    if (!b.o || mh_sb_is_going(b.o))
        return;
    if (!gather(&b)) {
        mh_sb_failed(t);
        return;
    }
    yyjson_val *max = mh_json_get(b.o, "spec", "maxUnavailable", NULL);
    yyjson_val *min = mh_json_get(b.o, "spec", "minAvailable", NULL);
    if (max && !yyjson_is_null(max)) {
        total = expected(&b);
        want = total - amount(max, total);
        want = want > 0 ? want : 0;
    } else {
        total = yyjson_is_str(min) ? expected(&b) : (int64_t)b.n;
        want = amount(min, total);
    }
    for (size_t i = 0; i < b.n; i++)
        healthy += mh_sb_pod_ready(b.pods[i]) && !mh_sb_is_going(b.pods[i]) &&
                   !is_disrupted(&b, b.pods[i], &left);
    tell(&b, total, healthy, want);
}

MH_SB_HOOK(mh_sb_budget_hook)
{
    (void)old;
    if (now)
        mh_sb_touch_object(c, MH_SB_W_BUDGET, now);
}

static void
touch_budgets(struct mh_sb_control *c, yyjson_val *pod)
{
    const char *cluster = mh_json_str(pod, "metadata", "labels", MH_SB_CLUSTER_LABEL, NULL);
    const char *groups[] = { cluster, "" };
    for (int g = cluster ? 0 : 1; g < 2; g++) {
        struct mh_sb_item *i = mh_sb_group(c, MH_SB_BUDGETS, mh_sb_ns(pod), groups[g]);
        for (; i; i = i->next) {
            if (mh_sb_selects(mh_json_get(i->object, "spec", "selector", NULL),
                              mh_json_get(pod, "metadata", "labels", NULL)))
                mh_sb_touch_object(c, MH_SB_W_BUDGET, i->object);
        }
    }
}

MH_SB_HOOK(mh_sb_budget_pod_hook)
{
    if (old && now && mh_sb_pod_ready(old) == mh_sb_pod_ready(now) &&
        mh_sb_is_going(old) == mh_sb_is_going(now) &&
        mh_sb_pod_finished(old) == mh_sb_pod_finished(now) &&
        mh_sb_same(mh_json_get(old, "metadata", "labels", NULL),
                   mh_json_get(now, "metadata", "labels", NULL)))
        return;
    if (old)
        touch_budgets(c, old);
    if (now)
        touch_budgets(c, now);
}
