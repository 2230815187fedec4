/* sched_node.c - can this node take the pod, as far as the node itself and volumes say? */
#include <stdio.h>
#include <string.h>

#include "sandbox/quantity.h"
#include "sandbox/sched_in.h"

int64_t
mh_sb_amount(yyjson_val *v, int64_t scale)
{
    struct mh_sb_quantity q;
    if (yyjson_is_int(v))
        return yyjson_get_sint(v) * scale;
    const char *s = yyjson_get_str(v);
    if (!s || !mh_sb_quantity_parse(s, &q))
        return -1;
    return scale == 1000 ? mh_sb_quantity_milli(&q) : mh_sb_quantity_value(&q);
}

int64_t
mh_sb_sched_request(yyjson_val *pod, const char *what, int64_t scale)
{
    int64_t sum = 0, most = 0;
    size_t i, max;
    yyjson_val *one, *list = mh_json_get(pod, "spec", "containers", NULL);
    yyjson_arr_foreach(list, i, max, one)
    {
        int64_t n = mh_sb_amount(mh_json_get(one, "resources", "requests", what, NULL), scale);
        sum += n > 0 ? n : 0;
    }
    list = mh_json_get(pod, "spec", "initContainers", NULL);
    yyjson_arr_foreach(list, i, max, one)
    {
        int64_t n = mh_sb_amount(mh_json_get(one, "resources", "requests", what, NULL), scale);
        n = n > 0 ? n : 0;
        if (mh_str_eq(mh_json_str(one, "restartPolicy", NULL), "Always"))
            sum += n;
        else
            most = n > most ? n : most;
    }
    return sum > most ? sum : most;
}

void
mh_sb_sched_refuse(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n, bool final,
                   const char *why)
{
    if (!why)
        r->failed = true;
    if (n->nreasons < MH_SB_REASONS_MAX)
        n->reasons[n->nreasons++] = why ? why : "";
    n->final = n->final || final;
}

/* --- selectors ------------------------------------------------------------------------------- */

static bool
has_value(yyjson_val *values, const char *s)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(values, i, max, v)
    {
        if (s && mh_str_eq(yyjson_get_str(v), s))
            return true;
    }
    return false;
}

/* One requirement: In, NotIn, Exists, DoesNotExist, Gt, Lt. */
static bool
meets(yyjson_val *requirement, const char *have)
{
    const char *op = mh_json_str(requirement, "operator", NULL);
    yyjson_val *values = mh_json_get(requirement, "values", NULL);
    if (mh_str_eq(op, "In"))
        return has_value(values, have);
    if (mh_str_eq(op, "NotIn"))
        return !has_value(values, have);
    if (mh_str_eq(op, "Exists"))
        return have != NULL;
    if (mh_str_eq(op, "DoesNotExist"))
        return have == NULL;
    int64_t x, y;
    const char *first = yyjson_get_str(yyjson_arr_get_first(values));
    if (!have || !first || !mh_str_int(have, INT64_MIN, INT64_MAX, &x) ||
        !mh_str_int(first, INT64_MIN, INT64_MAX, &y))
        return false;
    return mh_str_eq(op, "Gt") ? x > y : mh_str_eq(op, "Lt") && x < y;
}

bool
mh_sb_selects(yyjson_val *selector, yyjson_val *labels)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (!yyjson_is_obj(selector))
        return false;
    yyjson_val *exact = yyjson_obj_get(selector, "matchLabels");
    yyjson_obj_foreach(exact, i, max, key, v)
    {
        const char *have = yyjson_get_str(yyjson_obj_get(labels, yyjson_get_str(key)));
        if (!have || !mh_str_eq(have, yyjson_get_str(v)))
            return false;
    }
    yyjson_val *list = yyjson_obj_get(selector, "matchExpressions");
    yyjson_arr_foreach(list, i, max, v)
    {
        const char *k = mh_json_str(v, "key", NULL);
        if (!k || !meets(v, yyjson_get_str(yyjson_obj_get(labels, k))))
            return false;
    }
    return true;
}

bool
mh_sb_sched_term(yyjson_val *term, yyjson_val *node)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_val *labels = mh_json_get(node, "metadata", "labels", NULL);
    yyjson_val *by_label = mh_json_get(term, "matchExpressions", NULL);
    yyjson_val *by_field = mh_json_get(term, "matchFields", NULL);
    if (yyjson_arr_size(by_label) + yyjson_arr_size(by_field) == 0)
        return false; /* an empty term selects nothing */
    yyjson_arr_foreach(by_label, i, max, v)
    {
        const char *k = mh_json_str(v, "key", NULL);
        if (!k || !meets(v, yyjson_get_str(yyjson_obj_get(labels, k))))
            return false;
    }
    yyjson_arr_foreach(by_field, i, max, v)
    {
        if (!mh_str_eq(mh_json_str(v, "key", NULL), "metadata.name") ||
            !meets(v, mh_json_str(node, "metadata", "name", NULL)))
            return false;
    }
    return true;
}

static bool
any_term(yyjson_val *terms, yyjson_val *node)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(terms, i, max, v)
    {
        if (mh_sb_sched_term(v, node))
            return true;
    }
    return false;
}

bool
mh_sb_sched_selected(yyjson_val *pod, yyjson_val *node)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_val *labels = mh_json_get(node, "metadata", "labels", NULL);
    yyjson_val *want = mh_json_get(pod, "spec", "nodeSelector", NULL);
    yyjson_obj_foreach(want, i, max, key, v)
    {
        const char *have = yyjson_get_str(yyjson_obj_get(labels, yyjson_get_str(key)));
        if (!have || !mh_str_eq(have, yyjson_get_str(v)))
            return false;
    }
    yyjson_val *required = mh_json_get(pod, "spec", "affinity", "nodeAffinity",
                                       "requiredDuringSchedulingIgnoredDuringExecution", NULL);
    return !required || any_term(yyjson_obj_get(required, "nodeSelectorTerms"), node);
}

/* --- taints ---------------------------------------------------------------------------------- */

bool
mh_sb_tolerates(yyjson_val *tolerations, yyjson_val *taint)
{
    size_t i, max;
    yyjson_val *v;
    const char *key = mh_json_str(taint, "key", NULL), *effect = mh_json_str(taint, "effect", NULL);
    const char *value = mh_json_str(taint, "value", NULL);
    yyjson_arr_foreach(tolerations, i, max, v)
    {
        const char *k = mh_json_str(v, "key", NULL), *e = mh_json_str(v, "effect", NULL);
        const char *op = mh_json_str(v, "operator", NULL), *has = mh_json_str(v, "value", NULL);
        bool exists = mh_str_eq(op, "Exists");
        if ((e && *e && !mh_str_eq(e, effect)) || (k && *k && !mh_str_eq(k, key)) ||
            ((!k || !*k) && !exists))
            continue;
        if (exists || mh_str_eq(has ? has : "", value ? value : ""))
            return true;
    }
    return false;
}

static bool
fits_taints(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    size_t i, max;
    yyjson_val *taint, *taints = mh_json_get(n->node, "spec", "taints", NULL);
    yyjson_val *tolerations = mh_json_get(r->pod, "spec", "tolerations", NULL);
    yyjson_arr_foreach(taints, i, max, taint)
    {
        const char *effect = mh_json_str(taint, "effect", NULL);
        const char *value = mh_json_str(taint, "value", NULL);
        if (mh_str_eq(effect, "PreferNoSchedule") || mh_sb_tolerates(tolerations, taint))
            continue;
        const char *key = mh_json_str(taint, "key", NULL);
        mh_sb_sched_refuse(r, n, true,
                           mh_arena_printf(r->a, "node(s) had untolerated taint {%s: %s}",
                                           key ? key : "", value ? value : ""));
        return false;
    }
    return true;
}

/* As if the node had the taint that a cordon brings. */
static bool
fits_cordon(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    static const char text[] =
        "{\"key\":\"node.kubernetes.io/unschedulable\",\"effect\":\"NoSchedule\"}";
    yyjson_val *taint = NULL;
    if (!mh_json_bool(n->node, false, "spec", "unschedulable", NULL))
        return true;
    if (mh_json_parse(r->a, text, sizeof(text) - 1, &taint, NULL) != MH_OK) {
        r->failed = true;
        return false;
    }
    if (mh_sb_tolerates(mh_json_get(r->pod, "spec", "tolerations", NULL), taint))
        return true;
    mh_sb_sched_refuse(r, n, true, "node(s) were unschedulable");
    return false;
}

/* --- ports and resources --------------------------------------------------------------------- */

static bool
ports_clash(yyjson_val *pod, yyjson_val *other)
{
    size_t i, j, k, l, m1, m2, m3, m4;
    yyjson_val *c1, *p1, *c2, *p2;
    yyjson_val *mine = mh_json_get(pod, "spec", "containers", NULL);
    yyjson_val *theirs = mh_json_get(other, "spec", "containers", NULL);
    yyjson_arr_foreach(mine, i, m1, c1)
    {
        yyjson_val *list = yyjson_obj_get(c1, "ports");
        yyjson_arr_foreach(list, j, m2, p1)
        {
            int64_t want = mh_json_int(p1, 0, "hostPort", NULL);
            if (want <= 0)
                continue;
            yyjson_arr_foreach(theirs, k, m3, c2)
            {
                yyjson_val *list2 = yyjson_obj_get(c2, "ports");
                yyjson_arr_foreach(list2, l, m4, p2)
                {
                    if (mh_json_int(p2, 0, "hostPort", NULL) == want)
                        return true;
                }
            }
        }
    }
    return false;
}

static bool
fits_ports(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    for (size_t i = 0; i < r->s->npods; i++) {
        if (r->at[i] == (int)(n - r->nodes) && ports_clash(r->pod, r->s->pods[i].pod)) {
            mh_sb_sched_refuse(r, n, false,
                               "node(s) didn't have free ports for the requested pod ports");
            return false;
        }
    }
    return true;
}

static bool
fits_resources(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    int before = n->nreasons;
    if (n->pods >= 0 && n->used_pods + 1 > n->pods)
        mh_sb_sched_refuse(r, n, false, "Too many pods");
    if (r->cpu > 0 && n->cpu >= 0 && n->used_cpu + r->cpu > n->cpu)
        mh_sb_sched_refuse(r, n, r->cpu > n->cpu, "Insufficient cpu");
    if (r->memory > 0 && n->memory >= 0 && n->used_memory + r->memory > n->memory)
        mh_sb_sched_refuse(r, n, r->memory > n->memory, "Insufficient memory");
    return n->nreasons == before;
}

bool
mh_sb_sched_fits_node(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    if (!fits_cordon(r, n) || !fits_taints(r, n))
        return false;
    if (!mh_sb_sched_selected(r->pod, n->node)) {
        mh_sb_sched_refuse(r, n, true, "node(s) didn't match Pod's node affinity/selector");
        return false;
    }
    return fits_ports(r, n) && fits_resources(r, n);
}

/* --- volumes --------------------------------------------------------------------------------- */

static const char *
claim_name(struct mh_sb_sched_run *r, yyjson_val *volume)
{
    const char *name = mh_json_str(volume, "persistentVolumeClaim", "claimName", NULL);
    const char *own = mh_json_str(volume, "name", NULL);
    const char *pod = mh_json_str(r->pod, "metadata", "name", NULL);
    if (name)
        return name;
    if (!mh_json_get(volume, "ephemeral", NULL) || !own || !pod)
        return NULL;
    return mh_arena_printf(r->a, "%s-%s", pod, own);
}

const char *
mh_sb_sched_claims(struct mh_sb_sched_run *r)
{
    size_t i, max;
    yyjson_val *v, *volumes = mh_json_get(r->pod, "spec", "volumes", NULL);
    yyjson_arr_foreach(volumes, i, max, v)
    {
        const char *name = claim_name(r, v), *why = NULL;
        yyjson_val *claim = name ? r->s->claim(r->s->arg, r->ns, name) : NULL;
        if (!name)
            continue;
        const char *bound = mh_json_str(claim, "spec", "volumeName", NULL);
        if (!claim)
            why = mh_arena_printf(r->a, "persistentvolumeclaim \"%s\" not found", name);
        else if (mh_json_get(claim, "metadata", "deletionTimestamp", NULL))
            why = mh_arena_printf(r->a, "persistentvolumeclaim \"%s\" is being deleted", name);
        else if (mh_str_eq(mh_json_str(claim, "status", "phase", NULL), "Lost"))
            why = mh_arena_printf(
                r->a, "persistentvolumeclaim \"%s\" bound to non-existent persistentvolume \"%s\"",
                name, bound ? bound : "");
        else if ((!bound || !*bound) && !r->s->waits(r->s->arg, claim))
            why = "pod has unbound immediate PersistentVolumeClaims";
        else
            continue;
        r->failed = r->failed || !why;
        return why ? why : "";
    }
    return NULL;
}

bool
mh_sb_sched_fits_volumes(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n)
{
    size_t i, max;
    yyjson_val *v, *volumes = mh_json_get(r->pod, "spec", "volumes", NULL);
    yyjson_arr_foreach(volumes, i, max, v)
    {
        const char *name = claim_name(r, v);
        yyjson_val *claim = name ? r->s->claim(r->s->arg, r->ns, name) : NULL;
        const char *bound = mh_json_str(claim, "spec", "volumeName", NULL);
        const char *chosen = mh_json_str(claim, "metadata", "annotations",
                                         "volume.kubernetes.io/selected-node", NULL);
        yyjson_val *volume = bound && *bound ? r->s->volume(r->s->arg, bound) : NULL;
        yyjson_val *terms =
            mh_json_get(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms", NULL);
        bool waits = claim && (!bound || !*bound);
        if ((terms && !any_term(terms, n->node)) ||
            (waits && chosen && *chosen && !mh_str_eq(chosen, n->name))) {
            mh_sb_sched_refuse(r, n, true, "node(s) didn't match PersistentVolume's node affinity");
            return false;
        }
    }
    return true;
}
