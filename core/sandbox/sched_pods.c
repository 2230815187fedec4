/* sched_pods.c - can this node take the pod, as far as the other pods say? */
#include <string.h>

#include "sandbox/sched_in.h"

#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"

static struct mh_sb_tally *
add_tally(struct mh_sb_sched_run *r, struct mh_sb_tallies *all, const char *key)
{
    if (all->len == MH_SB_TERMS_MAX)
        return NULL;
    struct mh_sb_tally *t = &all->items[all->len];
    t->key = key ? key : "";
    t->n = mh_arena_alloc(r->a, r->n * sizeof(*t->n) + 1);
    if (!t->n) {
        r->failed = true;
        return NULL;
    }
    all->len++;
    return t;
}

struct mh_sb_tally *
mh_sb_tally_of(struct mh_sb_sched_run *r, struct mh_sb_tallies *all, const char *key)
{
    for (int i = 0; i < all->len; i++) {
        if (mh_str_eq(all->items[i].key, key))
            return &all->items[i];
    }
    return add_tally(r, all, key);
}

int64_t
mh_sb_tally_sum(const struct mh_sb_sched_run *r, const struct mh_sb_tally *t,
                const struct mh_sb_sched_node *n)
{
    const char *value = yyjson_get_str(yyjson_obj_get(n->labels, t->key));
    int64_t sum = 0;
    if (!value)
        return -1;
    for (size_t i = 0; i < r->n; i++) {
        const struct mh_sb_sched_node *other = &r->nodes[i];
        if (t->n[i] != 0 && mh_str_eq(yyjson_get_str(yyjson_obj_get(other->labels, t->key)), value))
            sum += t->n[i];
    }
    return sum;
}

/* --- affinity -------------------------------------------------------------------------------- */

static yyjson_val *
namespace_labels(const struct mh_sb_sched_run *r, const char *ns)
{
    for (size_t i = 0; i < r->s->nnamespaces; i++) {
        yyjson_val *o = r->s->namespaces[i];
        if (mh_str_eq(mh_json_str(o, "metadata", "name", NULL), ns))
            return mh_json_get(o, "metadata", "labels", NULL);
    }
    return NULL;
}

/* Does a term of a pod in `home` mean a pod with these labels in `ns`? */
static bool
means(const struct mh_sb_sched_run *r, yyjson_val *term, const char *home, const char *ns,
      yyjson_val *labels)
{
    yyjson_val *list = yyjson_obj_get(term, "namespaces"), *v;
    yyjson_val *by_label = yyjson_obj_get(term, "namespaceSelector");
    size_t i, max;
    bool there = yyjson_arr_size(list) == 0 && !yyjson_is_obj(by_label) && mh_str_eq(home, ns);
    yyjson_arr_foreach(list, i, max, v)
    {
        there = there || mh_str_eq(yyjson_get_str(v), ns);
    }
    if (!there && yyjson_is_obj(by_label))
        there = mh_sb_selects(by_label, namespace_labels(r, ns));
    return there && mh_sb_selects(yyjson_obj_get(term, "labelSelector"), labels);
}

static const char *
ns_of(yyjson_val *pod)
{
    const char *ns = mh_json_str(pod, "metadata", "namespace", NULL);
    return ns ? ns : "";
}

/* Counts a placed pod for each required term of the pod's own. */
static void
count_own(struct mh_sb_sched_run *r, struct mh_sb_tallies *all, const char *which,
          yyjson_val *other, int at)
{
    size_t i, max;
    yyjson_val *term;
    yyjson_val *terms = mh_json_get(r->pod, "spec", "affinity", which, REQUIRED, NULL);
    yyjson_val *labels = mh_json_get(other, "metadata", "labels", NULL);
    yyjson_arr_foreach(terms, i, max, term)
    {
        if ((int)i < all->len && means(r, term, r->ns, ns_of(other), labels))
            all->items[i].n[at]++;
    }
}

static void
add_wish(struct mh_sb_sched_run *r, yyjson_val *term, int at, int64_t weight)
{
    struct mh_sb_tally *t = mh_sb_tally_of(r, &r->wishes, mh_json_str(term, "topologyKey", NULL));
    if (t)
        t->n[at] += weight;
}

/* The preferred terms of one side: of `of`, about `about`. */
static void
count_wishes(struct mh_sb_sched_run *r, yyjson_val *of, yyjson_val *about, int at)
{
    static const struct {
        const char *which;
        int sign;
    } sides[] = { { "podAffinity", 1 }, { "podAntiAffinity", -1 } };
    yyjson_val *labels = mh_json_get(about, "metadata", "labels", NULL);
    for (int s = 0; s < 2; s++) {
        size_t i, max;
        yyjson_val *v;
        yyjson_val *list = mh_json_get(of, "spec", "affinity", sides[s].which, PREFERRED, NULL);
        yyjson_arr_foreach(list, i, max, v)
        {
            yyjson_val *term = yyjson_obj_get(v, "podAffinityTerm");
            if (means(r, term, ns_of(of), ns_of(about), labels))
                add_wish(r, term, at, sides[s].sign * mh_json_int(v, 0, "weight", NULL));
        }
    }
}

/* What a placed pod requires: nobody of the pod's kind near it, or (as a wish of weight 1) near. */
static void
count_theirs(struct mh_sb_sched_run *r, yyjson_val *other, int at)
{
    size_t i, max;
    yyjson_val *term;
    yyjson_val *affinity = mh_json_get(other, "spec", "affinity", NULL);
    yyjson_val *apart = mh_json_get(affinity, "podAntiAffinity", REQUIRED, NULL);
    yyjson_val *near = mh_json_get(affinity, "podAffinity", REQUIRED, NULL);
    yyjson_arr_foreach(apart, i, max, term)
    {
        if (!means(r, term, ns_of(other), r->ns, r->labels))
            continue;
        struct mh_sb_tally *t =
            mh_sb_tally_of(r, &r->forbidden, mh_json_str(term, "topologyKey", NULL));
        if (t)
            t->n[at]++;
    }
    yyjson_arr_foreach(near, i, max, term)
    {
        if (means(r, term, ns_of(other), r->ns, r->labels))
            add_wish(r, term, at, 1);
    }
}

static void
make_tallies(struct mh_sb_sched_run *r, struct mh_sb_tallies *all, const char *which)
{
    size_t i, max;
    yyjson_val *term;
    yyjson_val *terms = mh_json_get(r->pod, "spec", "affinity", which, REQUIRED, NULL);
    yyjson_arr_foreach(terms, i, max, term)
    {
        (void)add_tally(r, all, mh_json_str(term, "topologyKey", NULL));
    }
}

/* The first of a group that wants to be together finds nobody: it is let in if it means itself. */
static bool
means_itself(struct mh_sb_sched_run *r)
{
    size_t i, max;
    yyjson_val *term;
    yyjson_val *terms = mh_json_get(r->pod, "spec", "affinity", "podAffinity", REQUIRED, NULL);
    for (int t = 0; t < r->affinity.len; t++) {
        for (size_t n = 0; n < r->n; n++) {
            if (r->affinity.items[t].n[n] > 0)
                return false;
        }
    }
    yyjson_arr_foreach(terms, i, max, term)
    {
        if (!means(r, term, r->ns, r->ns, r->labels))
            return false;
    }
    return true;
}

void
mh_sb_sched_count_pods(struct mh_sb_sched_run *r)
{
    make_tallies(r, &r->affinity, "podAffinity");
    make_tallies(r, &r->apart, "podAntiAffinity");
    bool own = mh_json_get(r->pod, "spec", "affinity", NULL) != NULL;
    for (size_t i = 0; i < r->s->npods; i++) {
        yyjson_val *other = r->s->pods[i].pod;
        int at = r->at[i];
        if (at < 0)
            continue;
        if (own) {
            count_own(r, &r->affinity, "podAffinity", other, at);
            count_own(r, &r->apart, "podAntiAffinity", other, at);
            count_wishes(r, r->pod, other, at);
        }
        if (mh_json_get(other, "spec", "affinity", NULL)) {
            count_theirs(r, other, at);
            count_wishes(r, other, r->pod, at);
        }
    }
    r->self_affinity = means_itself(r);
}

bool
mh_sb_sched_fits_pods(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    for (int i = 0; i < r->affinity.len; i++) {
        int64_t sum = mh_sb_tally_sum(r, &r->affinity.items[i], n);
        if (sum > 0 || (sum == 0 && r->self_affinity))
            continue;
        mh_sb_sched_refuse(r, n, true, "node(s) didn't match pod affinity rules");
        return false;
    }
    for (int i = 0; i < r->apart.len; i++) {
        if (mh_sb_tally_sum(r, &r->apart.items[i], n) > 0) {
            mh_sb_sched_refuse(r, n, false, "node(s) didn't match pod anti-affinity rules");
            return false;
        }
    }
    for (int i = 0; i < r->forbidden.len; i++) {
        if (mh_sb_tally_sum(r, &r->forbidden.items[i], n) > 0) {
            mh_sb_sched_refuse(r, n, false,
                               "node(s) didn't satisfy existing pods anti-affinity rules");
            return false;
        }
    }
    return true;
}

/* --- spread ---------------------------------------------------------------------------------- */

/* matchLabelKeys: the pod's own value of each key is asked for as well. */
static bool
same_keys(yyjson_val *keys, yyjson_val *mine, yyjson_val *theirs)
{
    size_t i, max;
    yyjson_val *k;
    yyjson_arr_foreach(keys, i, max, k)
    {
        yyjson_val *v = yyjson_obj_get(mine, yyjson_get_str(k));
        if (v && !mh_str_eq(yyjson_get_str(v),
                            yyjson_get_str(yyjson_obj_get(theirs, yyjson_get_str(k)))))
            return false;
    }
    return true;
}

bool
mh_sb_sched_spread_count(struct mh_sb_sched_run *r, yyjson_val *constraint, struct mh_sb_tally *out)
{
    out->key = mh_json_str(constraint, "topologyKey", NULL);
    out->n = mh_arena_alloc(r->a, r->n * sizeof(*out->n) + 1);
    if (!out->n || !out->key) {
        r->failed = r->failed || !out->n;
        return false;
    }
    yyjson_val *selector = yyjson_obj_get(constraint, "labelSelector");
    yyjson_val *keys = yyjson_obj_get(constraint, "matchLabelKeys");
    for (size_t i = 0; i < r->s->npods; i++) {
        yyjson_val *other = r->s->pods[i].pod;
        yyjson_val *labels = mh_json_get(other, "metadata", "labels", NULL);
        if (r->at[i] >= 0 && mh_str_eq(ns_of(other), r->ns) &&
            !mh_json_get(other, "metadata", "deletionTimestamp", NULL) &&
            mh_sb_selects(selector, labels) && same_keys(keys, r->labels, labels))
            out->n[r->at[i]]++;
    }
    return true;
}

/* May this node count as a domain? (nodeAffinityPolicy Honor, nodeTaintsPolicy Ignore: defaults) */
static bool
is_domain(const struct mh_sb_sched_run *r, yyjson_val *constraint, const char *key,
          const struct mh_sb_sched_node *n)
{
    bool ignore = mh_str_eq(mh_json_str(constraint, "nodeAffinityPolicy", NULL), "Ignore");
    return yyjson_obj_get(n->labels, key) && (ignore || mh_sb_sched_selected(r->pod, n->node));
}

/* The least number of pods in a domain; *domains is the number of different values. */
static int64_t
least(const struct mh_sb_sched_run *r, yyjson_val *constraint, const struct mh_sb_tally *t,
      int64_t *domains)
{
    int64_t min = INT64_MAX;
    *domains = 0;
    for (size_t i = 0; i < r->n; i++) {
        const char *value = yyjson_get_str(yyjson_obj_get(r->nodes[i].labels, t->key));
        bool first = true;
        if (!value || !is_domain(r, constraint, t->key, &r->nodes[i]))
            continue;
        int64_t sum = mh_sb_tally_sum(r, t, &r->nodes[i]);
        min = sum < min ? sum : min;
        for (size_t j = 0; j < i && first; j++)
            first = !(is_domain(r, constraint, t->key, &r->nodes[j]) &&
                      mh_str_eq(yyjson_get_str(yyjson_obj_get(r->nodes[j].labels, t->key)), value));
        *domains += first;
    }
    return min == INT64_MAX ? 0 : min;
}

static bool
fits_one(struct mh_sb_sched_run *r, yyjson_val *constraint, struct mh_sb_sched_node *n)
{
    struct mh_sb_tally t;
    int64_t domains;
    if (!mh_sb_sched_spread_count(r, constraint, &t))
        return !r->failed;
    int64_t sum = mh_sb_tally_sum(r, &t, n);
    if (sum < 0) {
        mh_sb_sched_refuse(
            r, n, true,
            "node(s) didn't match pod topology spread constraints (missing required label)");
        return false;
    }
    int64_t min = least(r, constraint, &t, &domains);
    if (domains < mh_json_int(constraint, 1, "minDomains", NULL))
        min = 0;
    int64_t self = mh_sb_selects(yyjson_obj_get(constraint, "labelSelector"), r->labels);
    if (sum + self - min <= mh_json_int(constraint, 1, "maxSkew", NULL))
        return true;
    mh_sb_sched_refuse(r, n, false, "node(s) didn't match pod topology spread constraints");
    return false;
}

bool
mh_sb_sched_fits_spread(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    size_t i, max;
    yyjson_val *v, *list = mh_json_get(r->pod, "spec", "topologySpreadConstraints", NULL);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (!mh_str_eq(mh_json_str(v, "whenUnsatisfiable", NULL), "ScheduleAnyway") &&
            !fits_one(r, v, n))
            return false;
    }
    return true;
}
