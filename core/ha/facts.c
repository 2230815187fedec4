#include "ha/facts.h"

#include <string.h>

#include "base/str.h"
#include "ha/swap.h"

#define CLUSTERS_MAX 100000
#define DEFAULT_LEASE_S 8

/* --- tracker --------------------------------------------------------------------------------- */

struct seen {
    int64_t since_ms;
    char version[64];
};

void
mh_ha_tracker_init(struct mh_ha_tracker *t)
{
    mh_map_init(&t->seen, CLUSTERS_MAX);
}

void
mh_ha_tracker_release(struct mh_ha_tracker *t)
{
    for (size_t i = 0; i < t->seen.len; i++)
        mh_free(t->seen.entries[i].value);
    mh_map_release(&t->seen);
}

int64_t
mh_ha_tracker_unchanged_ms(struct mh_ha_tracker *t, const char *key, const char *resource_version,
                           int64_t now_ms)
{
    struct seen *s = mh_map_get(&t->seen, key);
    if (!s) {
        s = mh_calloc(1, sizeof(*s));
        if (!s || !mh_map_put(&t->seen, key, s, NULL)) {
            mh_free(s);
            return 0; /* not knowing means waiting longer */
        }
    }
    if (strncmp(s->version, resource_version, sizeof(s->version)) != 0) {
        mh_str_copy(s->version, sizeof(s->version), resource_version);
        s->since_ms = now_ms;
    }
    return now_ms - s->since_ms;
}

/* --- facts in -------------------------------------------------------------------------------- */

static uint64_t
lsn_of(yyjson_val *v, const char *key)
{
    uint64_t lsn = 0;
    (void)mh_lsn_parse(mh_json_str(v, key, NULL), &lsn);
    return lsn;
}

static uint64_t
count_of(yyjson_val *v, const char *key)
{
    int64_t n = mh_json_int(v, 0, key, NULL);
    return n < 0 ? 0 : (uint64_t)n;
}

bool
mh_ha_member_read(yyjson_val *status, struct mh_ha_member *m)
{
    yyjson_val *v = mh_json_get(status, "moonherd", NULL);
    const char *role = mh_json_str(v, "role", NULL);
    if (!role)
        return false;
    m->known = true;
    m->pod_uid = mh_json_str(v, "podUID", NULL);
    m->incarnation = mh_json_str(v, "incarnation", NULL);
    m->role = strcmp(role, "primary") == 0   ? MH_HA_PRIMARY
              : strcmp(role, "standby") == 0 ? MH_HA_STANDBY
                                             : MH_HA_NONE;
    m->pg_up = mh_json_bool(v, false, "pgUp", NULL);
    m->gave_up = mh_json_bool(v, false, "handOver", NULL);
    m->halted = mh_str_eq(mh_json_str(v, "order", NULL), "halt");
    m->promise = count_of(v, "promise");
    m->term = count_of(v, "term");
    m->fenced = mh_json_bool(v, false, "fenced", NULL);
    m->receiving = mh_json_bool(v, false, "receiverActive", NULL);
    m->quiet_ms = mh_json_int(v, -1, "receiverQuietMs", NULL);
    m->replay_paused = mh_json_bool(status, false, "replayPaused", NULL);
    m->stopped_clean = mh_json_bool(v, false, "stoppedClean", NULL);
    m->shutdown_lsn = lsn_of(v, "shutdownLsn");
    m->timeline = (uint32_t)count_of(v, "timeline");
    m->flush_lsn = lsn_of(v, "flushLsn");
    m->made = count_of(v, "timelineTerm");
    m->nhistory = mh_ha_history_read(mh_json_get(v, "history", NULL), m->history);
    return true;
}

static void
read_member(yyjson_val *facts, yyjson_val *pod, struct mh_ha_member *m)
{
    *m = (struct mh_ha_member){ .name = mh_json_str(pod, "name", NULL),
                                .uid = mh_json_str(pod, "uid", NULL),
                                .address = mh_json_str(pod, "ip", NULL),
                                .ended_session = mh_json_str(pod, "ended_session", NULL),
                                .lost_ms = -1,
                                .quiet_ms = -1 };
    m->deleting = mh_json_bool(pod, false, "deleted", NULL);
    m->stopped_for_kubelet = mh_json_bool(pod, false, "terminated", NULL) &&
                             mh_json_bool(pod, false, "node_ready", NULL);
    yyjson_val *instance = mh_json_get(facts, "instances", m->name, NULL);
    m->connected = mh_json_bool(instance, false, "connected", NULL);
    yyjson_val *lost = mh_json_get(instance, "lost_s", NULL);
    if (m->connected)
        m->lost_ms = 0;
    else if (yyjson_is_num(lost))
        m->lost_ms = (int64_t)(yyjson_get_num(lost) * 1000);
    (void)mh_ha_member_read(mh_json_get(instance, "status", NULL), m);
}

static int64_t
seconds(yyjson_val *facts, int64_t absent_s, const char *key)
{
    return mh_json_int(facts, absent_s, "cluster", key, NULL) * 1000;
}

enum mh_code
mh_ha_facts_read(struct mh_arena *a, yyjson_val *facts, int64_t lease_unchanged_ms,
                 struct mh_ha_view *view, struct mh_err *err)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_val *lease = mh_json_get(facts, "lease", NULL);
    *view = (struct mh_ha_view){ .cluster = mh_json_str(facts, "cluster", "name", NULL),
                                 .lease_unchanged_ms = lease_unchanged_ms,
                                 .target = mh_json_str(facts, "target", NULL),
                                 .current = mh_json_str(facts, "current", NULL) };
    if (!view->cluster)
        return mh_fail(err, MH_E_INVALID, "facts name no cluster");
    if (mh_ha_lease_read(a, yyjson_is_obj(lease) ? lease : NULL, &view->lease, err))
        return err->code;
    view->failover_delay_ms = seconds(facts, 0, "failover_delay");
    view->restart_hold_ms = seconds(facts, 0, "restart_hold");
    view->switchover_delay_ms = seconds(facts, 3600, "switchover_delay");
    view->lease_ms = mh_json_int(facts, DEFAULT_LEASE_S, "cluster", "primary_lease",
                                 "leaseDurationSeconds", NULL) *
                     1000;
    view->hold = mh_json_bool(facts, false, "hold", NULL);
    yyjson_val *pods = mh_json_get(facts, "pods", NULL);
    if (yyjson_arr_size(pods) > MH_HA_MEMBERS_MAX)
        return mh_fail(err, MH_E_LIMIT, "cluster %s has more than %d instances", view->cluster,
                       MH_HA_MEMBERS_MAX);
    yyjson_arr_foreach(pods, i, max, item)
    {
        if (!mh_json_str(item, "name", NULL))
            return mh_fail(err, MH_E_INVALID, "facts hold a pod without a name");
        read_member(facts, item, &view->members[view->nmembers++]);
    }
    yyjson_arr_foreach(mh_json_get(facts, "order", NULL), i, max, item)
    {
        if (view->norder < MH_HA_MEMBERS_MAX && yyjson_is_str(item))
            view->order[view->norder++] = yyjson_get_str(item);
    }
    return MH_OK;
}

/* --- verdict out ----------------------------------------------------------------------------- */

static bool
add_swap(yyjson_mut_doc *d, yyjson_mut_val *steps, yyjson_val *facts, const struct mh_ha_view *view,
         const struct mh_ha_swap *to)
{
    yyjson_mut_val *step = yyjson_mut_arr_add_obj(d, steps);
    const char *ns = mh_json_str(facts, "cluster", "namespace", NULL);
    if (!step || !yyjson_mut_obj_add_str(d, step, "op", "lease") ||
        !yyjson_mut_obj_add_strcpy(d, step, "namespace", ns ? ns : "") ||
        !yyjson_mut_obj_add_strcpy(d, step, "name", view->cluster))
        return false;
    yyjson_mut_val *from = yyjson_mut_obj_add_obj(d, step, "from");
    yyjson_mut_val *next = yyjson_mut_obj_add_obj(d, step, "to");
    yyjson_mut_val *notes = next ? yyjson_mut_obj_add_obj(d, next, "annotations") : NULL;
    if (!from || !notes ||
        !yyjson_mut_obj_add_strcpy(d, from, "resourceVersion",
                                   view->lease.resource_version ? view->lease.resource_version
                                                                : ""))
        return false;
    if (to->holder && !yyjson_mut_obj_add_strcpy(d, next, "holderIdentity", to->holder))
        return false;
    if (to->term && !yyjson_mut_obj_add_uint(d, next, "leaseTransitions", to->term))
        return false;
    return mh_ha_swap_notes(d, notes, &view->lease, to);
}

static bool
add_tell(yyjson_mut_doc *d, yyjson_mut_val *steps, yyjson_val *facts, const struct mh_ha_view *view,
         const struct mh_ha_member *m)
{
    yyjson_mut_val *step = yyjson_mut_arr_add_obj(d, steps);
    yyjson_mut_val *lease = yyjson_val_mut_copy(d, mh_json_get(facts, "lease", NULL));
    return step && lease && yyjson_mut_obj_add_str(d, step, "op", "instance") &&
           yyjson_mut_obj_add_strcpy(d, step, "pod", m->name) &&
           yyjson_mut_obj_add_str(d, step, "command", "lease") &&
           yyjson_mut_obj_add_uint(d, step, "term", view->lease.term) &&
           yyjson_mut_obj_add_val(d, step, "lease", lease);
}

static yyjson_val *
pod_of(yyjson_val *facts, const char *name)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(mh_json_get(facts, "pods", NULL), i, max, item)
    {
        if (mh_str_eq(mh_json_str(item, "name", NULL), name))
            return item;
    }
    return NULL;
}

static bool
add_candidate(yyjson_mut_doc *d, yyjson_mut_val *list, yyjson_val *facts,
              const struct mh_ha_view *view, const struct mh_ha_member *m, uint64_t best)
{
    yyjson_mut_val *c = yyjson_mut_arr_add_obj(d, list);
    yyjson_val *pod = pod_of(facts, m->name);
    const char *zone = mh_json_str(pod, "zone", NULL);
    const char *node = mh_json_str(pod, "node", NULL);
    bool sync = false;
    char lsn[MH_LSN_TEXT];
    mh_lsn_text(lsn, m->flush_lsn);
    for (int i = 0; i < view->lease.nconfigs; i++)
        sync = sync || mh_ha_config_has(&view->lease.configs[i], m->name);
    return c && yyjson_mut_obj_add_strcpy(d, c, "name", m->name) &&
           (!zone || yyjson_mut_obj_add_strcpy(d, c, "zone", zone)) &&
           (!node || yyjson_mut_obj_add_strcpy(d, c, "node", node)) &&
           yyjson_mut_obj_add_bool(d, c, "sync", sync) &&
           yyjson_mut_obj_add_uint(d, c, "timeline", m->timeline) &&
           yyjson_mut_obj_add_strcpy(d, c, "flush_lsn", lsn) &&
           yyjson_mut_obj_add_uint(d, c, "replay_lag", best - m->flush_lsn) &&
           yyjson_mut_obj_add_bool(d, c, "ready", mh_json_bool(pod, false, "ready", NULL)) &&
           yyjson_mut_obj_add_int(d, c, "priority", 0);
}

static bool
add_lists(yyjson_mut_doc *d, yyjson_mut_val *out, yyjson_val *facts, const struct mh_ha_view *view,
          const struct mh_ha_verdict *v)
{
    yyjson_mut_val *steps = yyjson_mut_obj_add_arr(d, out, "steps");
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, out, "candidates");
    uint64_t best = 0;
    if (!steps || !list || (v->swap && !add_swap(d, steps, facts, view, &v->to)))
        return false;
    for (int i = 0; i < view->nmembers; i++) {
        if ((v->tell & (1u << i)) && !add_tell(d, steps, facts, view, &view->members[i]))
            return false;
    }
    for (int i = 0; i < v->ncandidates; i++) {
        uint64_t lsn = view->members[v->candidates[i]].flush_lsn;
        best = lsn > best ? lsn : best;
    }
    for (int i = 0; i < v->ncandidates; i++) {
        if (!add_candidate(d, list, facts, view, &view->members[v->candidates[i]], best))
            return false;
    }
    return true;
}

enum mh_code
mh_ha_assess_json(struct mh_arena *a, struct mh_ha_tracker *t, int64_t now_ms, yyjson_val *facts,
                  yyjson_mut_doc *doc, yyjson_mut_val **verdict, struct mh_err *err)
{
    struct mh_ha_view *view = mh_arena_alloc(a, sizeof(*view));
    struct mh_ha_verdict v;
    if (!view)
        return mh_fail(err, MH_E_NOMEM, "no memory to assess a cluster");
    const char *uid = mh_json_str(facts, "lease", "metadata", "uid", NULL);
    const char *version = mh_json_str(facts, "lease", "metadata", "resourceVersion", NULL);
    int64_t unchanged = uid && version ? mh_ha_tracker_unchanged_ms(t, uid, version, now_ms) : 0;
    if (mh_ha_facts_read(a, facts, unchanged, view, err))
        return err->code;
    mh_ha_assess(view, &v);
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    *verdict = out;
    const char *primary = view->lease.holder;
    if (!out || !yyjson_mut_obj_add_str(doc, out, "state", mh_ha_state_name(v.state)) ||
        !yyjson_mut_obj_add_strcpy(doc, out, "reason", v.reason) ||
        !yyjson_mut_obj_add_bool(doc, out, "blocked", v.state == MH_HA_ST_BLOCKED) ||
        !yyjson_mut_obj_add_bool(doc, out, "wants_order", v.wants_order) ||
        !yyjson_mut_obj_add_uint(doc, out, "term", view->lease.term) ||
        !yyjson_mut_obj_add_str(doc, out, "phase", mh_ha_phase_name(view->lease.phase)) ||
        (primary && !yyjson_mut_obj_add_strcpy(doc, out, "primary", primary)) ||
        !yyjson_mut_obj_add_real(doc, out, "look_again_s", (double)v.look_again_ms / 1000) ||
        !add_lists(doc, out, facts, view, &v))
        return mh_fail(err, MH_E_NOMEM, "no memory for a verdict");
    return MH_OK;
}
