/* fencing.c - a new term is being decided: who has promised, who may be elected. */
#include <string.h>

#include "base/str.h"
#include "ha/view_in.h"

/* How long a preferred candidate may take to fetch what the best one has. */
#define FORWARD_MS 2000
/* How much it may have to fetch. */
#define FORWARD_BYTES (16u << 20)
/* A term that waits for so long waits for a human, or for whoever is left. */
#define BLOCKED_MS 10000

/* --- fence ----------------------------------------------------------------------------------- */

/* Its log must be seen too: the quorum says that some member of it has each commit, and the election
 * has to find that one. */
static bool
is_fenced(const struct mh_ha_member *m, uint64_t term)
{
    return m->connected && m->known && m->promise >= term && m->fenced &&
           m->role == MH_HA_STANDBY && m->pg_up && m->flush_lsn > 0;
}

/* How a set of standbys stands to the fence. */
struct fence {
    bool synchronous; /* some commit may have been acknowledged by this set */
    bool quorum;      /* |S|-W+1 of every possible configuration are fenced */
    int have;
    int need;
};

/* Rule 1(a). The sets are those of the last primary that opened its gate. A holder that never did is
 * one of them: what only it acknowledged is not on the others, so it counts in |S|, never as fenced.
 * A set smaller than W could never acknowledge, so it has no quorum either, and neither has one that
 * is not known: proof must come from elsewhere. */
static struct fence
look_at_fence(const struct mh_ha_view *view)
{
    const struct mh_ha_lease *l = &view->lease;
    struct fence f = { .synchronous = l->nconfigs > 0 || !l->configs_known,
                       .quorum = l->nconfigs > 0 };
    for (int c = 0; c < l->nconfigs; c++) {
        const struct mh_ha_config *set = &l->configs[c];
        int have = 0;
        for (int j = 0; j < set->nnames; j++) {
            int m = mh_ha_find(view, set->names[j]);
            have += m >= 0 && !mh_str_eq(set->names[j], l->holder) &&
                    is_fenced(&view->members[m], l->term);
        }
        int need = mh_ha_fence_quorum(set);
        bool enough = set->number >= 1 && need >= 1 && have >= need;
        if (c == 0 || !enough) {
            f.have = have;
            f.need = need;
        }
        f.quorum = f.quorum && enough;
    }
    return f;
}

/* Rule 1(b), first half: the old primary itself says that it stopped under this term's promise.
 * Its log then has all that was ever acknowledged. */
static bool
holder_says_stopped(const struct mh_ha_view *view)
{
    int h = mh_ha_find(view, view->lease.holder);
    const struct mh_ha_member *m = h < 0 ? NULL : &view->members[h];
    if (!m || !m->connected || !m->known || m->promise < view->lease.term || m->pg_up ||
        m->role != MH_HA_NONE || mh_ha_other_volume(&view->lease, m))
        return false;
    /* Another pod of that name knows nothing of the old one's process. */
    return !view->lease.holder_uid || !m->pod_uid ||
           mh_str_eq(view->lease.holder_uid, m->pod_uid) ||
           view->lease_unchanged_ms >= view->lease_ms;
}

/* Rule 1(b), second half: a live kubelet says that the container does not run. It may speak of an
 * earlier life of the container, from a cache or because its own word is late; so the manager that
 * ended must be the one that wrote the Lease last. Whatever starts later writes it before PostgreSQL
 * starts, which the raised term prevents. A deleted Pod object is no proof: then there is no member. */
static bool
kubelet_says_stopped(const struct mh_ha_view *view)
{
    int h = mh_ha_find(view, view->lease.holder);
    const struct mh_ha_member *m = h < 0 ? NULL : &view->members[h];
    return m && !m->connected && m->stopped_for_kubelet && view->lease.session &&
           mh_str_eq(m->ended_session, view->lease.session);
}

/* Rule 1(c): asynchronous clusters only. The Lease has not changed for L since this term's fencing
 * began, and the old primary stops itself before that. */
static bool
lease_ran_out(const struct mh_ha_view *view)
{
    return view->lease_unchanged_ms >= view->lease_ms;
}

/* --- candidates ------------------------------------------------------------------------------ */

static bool
is_candidate(const struct mh_ha_view *view, const struct mh_ha_member *m)
{
    return is_fenced(m, view->lease.term) && !mh_str_eq(m->name, view->lease.holder);
}

static bool
goes_before(const struct mh_ha_member *a, const struct mh_ha_member *b)
{
    if (a->replay_paused != b->replay_paused)
        return b->replay_paused; /* F12 */
    int c = mh_ha_log_compare(a, b);
    return c ? c > 0 : strcmp(a->name, b->name) < 0;
}

/* The fenced standbys with the newest lineage, the longest log first. A shorter one stays a
 * candidate only if it can fetch the rest quickly. Returns the index of the newest log, -1. */
static int
collect_candidates(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    int best = -1;
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        if (is_candidate(view, m) && (best < 0 || mh_ha_log_compare(m, &view->members[best]) > 0))
            best = i;
    }
    for (int i = 0; best >= 0 && i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        const struct mh_ha_member *b = &view->members[best];
        if (!is_candidate(view, m) ||
            !mh_ha_same_timeline(m->timeline, m->made, b->timeline, b->made) ||
            b->flush_lsn - m->flush_lsn > FORWARD_BYTES)
            continue;
        int at = v->ncandidates++;
        while (at > 0 && goes_before(m, &view->members[v->candidates[at - 1]])) {
            v->candidates[at] = v->candidates[at - 1];
            at--;
        }
        v->candidates[at] = i;
    }
    return best;
}

static bool
among_candidates(const struct mh_ha_verdict *v, int i)
{
    for (int c = 0; c < v->ncandidates; c++) {
        if (v->candidates[c] == i)
            return true;
    }
    return false;
}

/* The first of the policy's order that is safe, else the built-in choice. */
static int
choose(const struct mh_ha_view *view, const struct mh_ha_verdict *v)
{
    for (int i = 0; i < view->norder; i++) {
        int m = mh_ha_find(view, view->order[i]);
        if (m >= 0 && among_candidates(v, m))
            return m;
    }
    return v->candidates[0];
}

/* --- the phase ------------------------------------------------------------------------------- */

/* The old primary stopped and can start again: nothing acknowledged is missing in its log. One that
 * asked for a hand-over tries again only where nobody else could take it for a while. */
static bool
give_back(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    const struct mh_ha_lease *l = &view->lease;
    int h = mh_ha_find(view, l->holder);
    if (!holder_says_stopped(view))
        return false;
    const struct mh_ha_member *m = &view->members[h];
    if (m->gave_up && (view->lease_unchanged_ms < BLOCKED_MS || !l->incarnation ||
                       !mh_str_eq(l->incarnation, m->incarnation)))
        return false;
    mh_ha_elect(view, v, h);
    v->to.incarnation = NULL; /* only this volume */
    mh_ha_say(v, MH_HA_ST_PROMOTING, "%s came back with the whole log and takes term %llu",
              view->members[h].name, (unsigned long long)view->lease.term);
    return true;
}

static void
wait_for_proof(const struct mh_ha_view *view, struct mh_ha_verdict *v, const struct fence *f)
{
    const struct mh_ha_lease *l = &view->lease;
    bool blocked = view->lease_unchanged_ms > BLOCKED_MS;
    enum mh_ha_state state = blocked ? MH_HA_ST_BLOCKED : MH_HA_ST_FENCING;
    const char *holder = l->holder ? l->holder : "the old primary";
    if (f->synchronous && !l->configs_known)
        mh_ha_say(v, state,
                  "term %llu waits for %s: the Lease does not say who acknowledged its commits",
                  (unsigned long long)l->term, holder);
    else if (f->synchronous)
        mh_ha_say(
            v, state,
            "term %llu waits: %d of the %d synchronous standbys that must promise it have done so, "
            "and %s is not back",
            (unsigned long long)l->term, f->have, f->need, holder);
    else
        mh_ha_say(v, state, "term %llu waits for proof that %s stopped",
                  (unsigned long long)l->term, holder);
    v->look_again_ms = blocked ? 1000 : 200;
}

/* A winner is chosen among v->candidates; the newest log is that of `best`. */
static void
elect_or_forward(const struct mh_ha_view *view, struct mh_ha_verdict *v, int best)
{
    const struct mh_ha_lease *l = &view->lease;
    int winner = choose(view, v);
    const struct mh_ha_member *w = &view->members[winner];
    const struct mh_ha_member *b = &view->members[best];
    if (mh_ha_log_compare(w, b) >= 0) {
        mh_ha_elect(view, v, winner);
        return;
    }
    /* The preferred one first fetches what the best one has, for a short while. */
    if (!l->candidate && b->address) {
        v->swap = true;
        v->to = (struct mh_ha_swap){ .phase = MH_HA_FENCING,
                                     .candidate = w->name,
                                     .address = b->address };
        mh_ha_say(v, MH_HA_ST_FENCING, "%s is preferred and fetches the rest of the log from %s",
                  w->name, b->name);
    } else if (mh_str_eq(l->candidate, w->name) && view->lease_unchanged_ms < FORWARD_MS) {
        mh_ha_tell_all(view, v, false);
        mh_ha_say(v, MH_HA_ST_FENCING, "%s fetches the rest of the log from %s", w->name, b->name);
    } else {
        mh_ha_elect(view, v, best);
    }
}

void
mh_ha_assess_fencing(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    struct fence f = look_at_fence(view);
    mh_ha_tell_all(view, v, true);
    v->look_again_ms = 200;
    bool proved = f.synchronous ? f.quorum
                                : kubelet_says_stopped(view) || holder_says_stopped(view) ||
                                      lease_ran_out(view);
    /* Without synchronous standbys only the old primary has everything: it goes first. */
    if ((!f.synchronous || !proved) && give_back(view, v))
        return;
    if (!proved) {
        wait_for_proof(view, v, &f);
        return;
    }
    int best = collect_candidates(view, v);
    if (best < 0) {
        if (!give_back(view, v))
            mh_ha_say(v, MH_HA_ST_BLOCKED, "term %llu has no standby that could be promoted",
                      (unsigned long long)view->lease.term);
        return;
    }
    v->wants_order = view->norder == 0 && !view->hold;
    if (view->hold)
        mh_ha_say(v, MH_HA_ST_FENCING, "the failover policy asks to wait");
    else
        elect_or_forward(view, v, best);
}
