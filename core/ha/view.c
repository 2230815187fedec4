#include "ha/view.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* A standby that has heard nothing for this long does not see the primary (wal_sender_timeout is
 * 5 s, a walsender without work sends a keepalive after half of it). */
#define QUIET_MS 3500
/* A manager that has not answered for this long is suspected. */
#define LOST_MS 500
/* How long a preferred candidate may take to fetch what the best one has. */
#define FORWARD_MS 2000
/* How much it may have to fetch. */
#define FORWARD_BYTES (16u << 20)
/* How long a winner may take from its election to the open gate before somebody else is tried. */
#define PROMOTE_MS 60000

static const char *const state_names[] = { "bootstrapping", "healthy",   "suspect", "fencing",
                                           "promoting",     "switching", "blocked" };

const char *
mh_ha_state_name(enum mh_ha_state state)
{
    return state_names[state];
}

static void MH_PRINTF(3, 4)
    say(struct mh_ha_verdict *v, enum mh_ha_state state, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
#pragma GCC diagnostic pop
    va_end(ap);
    v->state = state;
}

int
mh_ha_log_compare(const struct mh_ha_member *a, const struct mh_ha_member *b)
{
    if (a->timeline != b->timeline)
        return a->timeline > b->timeline ? 1 : -1;
    if (a->flush_lsn != b->flush_lsn)
        return a->flush_lsn > b->flush_lsn ? 1 : -1;
    return 0;
}

bool
mh_ha_is_ancestor(uint32_t timeline, uint64_t lsn, uint32_t server_timeline,
                  const struct mh_ha_history *history, int nhistory)
{
    if (timeline == server_timeline)
        return true;
    for (int i = 0; i < nhistory; i++) {
        if (history[i].timeline == timeline)
            return lsn <= history[i].end;
    }
    return false;
}

static int
find(const struct mh_ha_view *view, const char *name)
{
    for (int i = 0; name && i < view->nmembers; i++) {
        if (strcmp(view->members[i].name, name) == 0)
            return i;
    }
    return -1;
}

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
            int m = find(view, set->names[j]);
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

/* The name is the holder's, the data is not (E10, E12, D14). */
static bool
is_other_volume(const struct mh_ha_lease *l, const struct mh_ha_member *m)
{
    return l->incarnation && *l->incarnation && m->incarnation &&
           strcmp(l->incarnation, m->incarnation) != 0;
}

/* Rule 1(b), first half: the old primary itself says that it stopped under this term's promise.
 * Its log then has all that was ever acknowledged. */
static bool
holder_says_stopped(const struct mh_ha_view *view)
{
    int h = find(view, view->lease.holder);
    const struct mh_ha_member *m = h < 0 ? NULL : &view->members[h];
    if (!m || !m->connected || !m->known || m->promise < view->lease.term || m->pg_up ||
        m->role != MH_HA_NONE || is_other_volume(&view->lease, m))
        return false;
    /* Another pod of that name knows nothing of the old one's process. */
    return !view->lease.holder_uid || !m->pod_uid ||
           mh_str_eq(view->lease.holder_uid, m->pod_uid) ||
           view->lease_unchanged_ms >= view->lease_ms;
}

/* Rule 1(b), second half: a live kubelet says that the container does not run. Only meaningful after
 * the term was raised: whatever starts later reads the new term first. A deleted Pod object is no
 * proof: then there is no member. */
static bool
kubelet_says_stopped(const struct mh_ha_view *view)
{
    int h = find(view, view->lease.holder);
    return h >= 0 && !view->members[h].connected && view->members[h].stopped_for_kubelet;
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
        if (!is_candidate(view, m) || m->timeline != b->timeline ||
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
        int m = find(view, view->order[i]);
        if (m >= 0 && among_candidates(v, m))
            return m;
    }
    return v->candidates[0];
}

/* --- steps ----------------------------------------------------------------------------------- */

static void
tell_all(const struct mh_ha_view *view, struct mh_ha_verdict *v, bool only_below_term)
{
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        if (m->connected && (!only_below_term || m->promise < view->lease.term))
            v->tell |= 1u << i;
    }
}

static void
raise_term(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    v->swap = true;
    v->to = (struct mh_ha_swap){ .term = view->lease.term + 1,
                                 .phase = MH_HA_FENCING,
                                 .candidate = "" };
}

static void
elect(const struct mh_ha_view *view, struct mh_ha_verdict *v, int winner)
{
    const struct mh_ha_member *m = &view->members[winner];
    v->swap = true;
    v->to = (struct mh_ha_swap){ .holder = m->name,
                                 .phase = MH_HA_PROMOTING,
                                 .address = m->address ? m->address : "",
                                 .candidate = "",
                                 .incarnation = m->incarnation ? m->incarnation : "" };
    say(v, MH_HA_ST_PROMOTING, "%s is elected for term %llu", m->name,
        (unsigned long long)view->lease.term);
}

/* The old primary stopped and can start again: nothing acknowledged is missing in its log. */
static bool
give_back(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    int h = find(view, view->lease.holder);
    if (!holder_says_stopped(view) || view->members[h].gave_up)
        return false;
    elect(view, v, h);
    v->to.incarnation = NULL; /* only this volume */
    say(v, MH_HA_ST_PROMOTING, "%s came back with the whole log and takes term %llu",
        view->members[h].name, (unsigned long long)view->lease.term);
    return true;
}

static void
wait_for_proof(const struct mh_ha_view *view, struct mh_ha_verdict *v, const struct fence *f)
{
    const struct mh_ha_lease *l = &view->lease;
    bool blocked = view->lease_unchanged_ms > 10000;
    enum mh_ha_state state = blocked ? MH_HA_ST_BLOCKED : MH_HA_ST_FENCING;
    const char *holder = l->holder ? l->holder : "the old primary";
    if (f->synchronous && !l->configs_known)
        say(v, state, "term %llu waits for %s: the Lease does not say who acknowledged its commits",
            (unsigned long long)l->term, holder);
    else if (f->synchronous)
        say(v, state,
            "term %llu waits: %d of the %d synchronous standbys that must promise it have done so, "
            "and %s is not back",
            (unsigned long long)l->term, f->have, f->need, holder);
    else
        say(v, state, "term %llu waits for proof that %s stopped", (unsigned long long)l->term,
            holder);
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
        elect(view, v, winner);
        return;
    }
    /* The preferred one first fetches what the best one has, for a short while. */
    if (!l->candidate && b->address) {
        v->swap = true;
        v->to = (struct mh_ha_swap){ .phase = MH_HA_FENCING,
                                     .candidate = w->name,
                                     .address = b->address };
        say(v, MH_HA_ST_FENCING, "%s is preferred and fetches the rest of the log from %s", w->name,
            b->name);
    } else if (mh_str_eq(l->candidate, w->name) && view->lease_unchanged_ms < FORWARD_MS) {
        tell_all(view, v, false);
        say(v, MH_HA_ST_FENCING, "%s fetches the rest of the log from %s", w->name, b->name);
    } else {
        elect(view, v, best);
    }
}

static void
assess_fencing(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    struct fence f = look_at_fence(view);
    tell_all(view, v, true);
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
            say(v, MH_HA_ST_BLOCKED, "term %llu has no standby that could be promoted",
                (unsigned long long)view->lease.term);
        return;
    }
    v->wants_order = view->norder == 0 && !view->hold;
    if (view->hold)
        say(v, MH_HA_ST_FENCING, "the failover policy asks to wait");
    else
        elect_or_forward(view, v, best);
}

/* Do the standbys still hear the primary? I18: nobody is promoted while it gets W acknowledgements. */
static bool
standbys_agree(const struct mh_ha_view *view, int *silent, int *hearing)
{
    const struct mh_ha_lease *l = &view->lease;
    *silent = 0;
    *hearing = 0;
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        if (mh_str_eq(m->name, l->holder) || !m->connected || !m->known)
            continue;
        if (m->receiving && m->quiet_ms >= 0 && m->quiet_ms < QUIET_MS)
            (*hearing)++;
        else if (m->pg_up)
            (*silent)++;
    }
    if (l->nconfigs == 0)
        return *silent > 0 && *hearing == 0;
    for (int c = 0; c < l->nconfigs; c++) {
        int n = 0;
        for (int i = 0; i < view->nmembers; i++) {
            const struct mh_ha_member *m = &view->members[i];
            if (!mh_ha_config_has(&l->configs[c], m->name))
                continue;
            n += m->connected && m->known && m->pg_up &&
                 !(m->receiving && m->quiet_ms >= 0 && m->quiet_ms < QUIET_MS);
        }
        if (n < mh_ha_fence_quorum(&l->configs[c]) || n == 0)
            return false;
    }
    return true;
}

/* The holder says that it does not serve any more, or does not say anything. */
static bool
holder_failed(const struct mh_ha_view *view, int64_t *since_ms, const char **why)
{
    int h = find(view, view->lease.holder);
    *since_ms = INT64_MAX;
    if (h < 0) {
        *why = "its pod is gone";
        return true;
    }
    const struct mh_ha_member *m = &view->members[h];
    if (m->connected && m->known) {
        /* Claimed and not yet started is term 1 with data of term 0. */
        if (is_other_volume(&view->lease, m) ||
            (view->lease.term > 1 && m->term < view->lease.term)) {
            *why = "it has another volume than the one that served this term";
            return true;
        }
        *why = "its manager asks for a hand-over";
        return m->gave_up || (m->stopped_clean && !m->pg_up);
    }
    *since_ms = m->lost_ms < 0 ? view->lease_unchanged_ms : m->lost_ms;
    *why = "its manager does not answer";
    return !m->connected && *since_ms >= LOST_MS;
}

static void
assess_failure(const struct mh_ha_view *view, struct mh_ha_verdict *v, const char *why,
               int64_t since_ms)
{
    const char *holder = view->lease.holder;
    int silent = 0;
    int hearing = 0;
    v->look_again_ms = 200;
    if (view->failover_delay_ms > 0 && since_ms < view->failover_delay_ms) {
        say(v, MH_HA_ST_SUSPECTED, "%s failed, %s; failoverDelay has %lld ms left", holder, why,
            (long long)(view->failover_delay_ms - since_ms));
        return;
    }
    if (!standbys_agree(view, &silent, &hearing)) {
        say(v, MH_HA_ST_SUSPECTED,
            "%s is suspected, %s; %d standbys still hear it, %d do not: too few agree", holder, why,
            hearing, silent);
        return;
    }
    raise_term(view, v);
    say(v, MH_HA_ST_FENCING, "%s failed, %s; %d standbys do not hear it either", holder, why,
        silent);
}

/* --- switchover ------------------------------------------------------------------------------ */

static bool
wants_switchover(const struct mh_ha_view *view)
{
    /* After a failover the mirror may still name the old primary twice: that is no wish. */
    return view->target && *view->target && strcmp(view->target, "pending") != 0 &&
           !mh_str_eq(view->target, view->lease.holder) && !mh_str_eq(view->target, view->current);
}

static void
begin_switchover(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    int t = find(view, view->target);
    int h = find(view, view->lease.holder);
    const struct mh_ha_member *m = t < 0 ? NULL : &view->members[t];
    v->look_again_ms = 500;
    if (!m || !m->connected || !m->known || !m->pg_up || m->role != MH_HA_STANDBY ||
        !m->receiving) {
        say(v, MH_HA_ST_HEALTHY, "switchover to %s waits: it is no streaming standby",
            view->target);
        return;
    }
    if (h < 0 || !view->members[h].connected) {
        say(v, MH_HA_ST_HEALTHY, "switchover to %s waits: %s does not answer", view->target,
            view->lease.holder);
        return;
    }
    v->swap = true;
    v->to = (struct mh_ha_swap){ .term = view->lease.term + 1,
                                 .phase = MH_HA_SWITCHING,
                                 .candidate = m->name };
    say(v, MH_HA_ST_SWITCHING, "switchover from %s to %s", view->lease.holder, m->name);
}

static void
assess_switching(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    const struct mh_ha_lease *l = &view->lease;
    int h = find(view, l->holder);
    int c = find(view, l->candidate);
    const struct mh_ha_member *old = h < 0 ? NULL : &view->members[h];
    const struct mh_ha_member *heir = c < 0 ? NULL : &view->members[c];
    v->look_again_ms = 200;
    if (old && old->connected && old->promise < l->term)
        v->tell |= 1u << h;
    if (!old || (!old->connected && (old->lost_ms < 0 || old->lost_ms >= LOST_MS))) {
        /* It may have stopped or not: from here on it is a failover. */
        raise_term(view, v);
        say(v, MH_HA_ST_FENCING, "%s was lost while it handed over", l->holder ? l->holder : "?");
        return;
    }
    bool down = old->connected && old->promise >= l->term && !old->pg_up && old->role == MH_HA_NONE;
    bool stopped = down && old->stopped_clean;
    bool caught_up = heir && heir->connected && heir->pg_up && heir->role == MH_HA_STANDBY &&
                     heir->timeline == old->timeline && heir->flush_lsn >= old->shutdown_lsn;
    if (stopped && caught_up) {
        elect(view, v, c);
        return;
    }
    bool late = view->lease_unchanged_ms > view->switchover_delay_ms ||
                (down && view->lease_unchanged_ms > 10000) || !heir || !heir->connected;
    if (!late) {
        say(v, MH_HA_ST_SWITCHING,
            stopped ? "%s stopped, %s fetches the end of its log" : "%s stops in favour of %s",
            old->name, l->candidate ? l->candidate : "?");
        return;
    }
    if (stopped) { /* F22: its log is the only complete one */
        v->swap = true;
        v->to = (struct mh_ha_swap){ .term = l->term + 1,
                                     .holder = old->name,
                                     .phase = MH_HA_PROMOTING,
                                     .address = old->address ? old->address : "",
                                     .candidate = "" };
        say(v, MH_HA_ST_PROMOTING, "switchover failed: %s takes over again", old->name);
        return;
    }
    raise_term(view, v);
    say(v, MH_HA_ST_FENCING, "switchover failed: %s did not stop in time", old->name);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void
assess_promoting(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    const struct mh_ha_lease *l = &view->lease;
    int h = find(view, l->holder);
    const struct mh_ha_member *m = h < 0 ? NULL : &view->members[h];
    v->look_again_ms = 500;
    tell_all(view, v, true);
    bool lost = !m || (!m->connected && (m->lost_ms < 0 || m->lost_ms > 3000)) ||
                (m->connected && m->known && m->gave_up);
    /* A gate that waits for standbys is no failure. */
    bool working = m && m->connected && m->pg_up && m->role == MH_HA_PRIMARY;
    if (lost || (!working && view->lease_unchanged_ms > PROMOTE_MS)) {
        raise_term(view, v);
        say(v, MH_HA_ST_FENCING, "%s did not finish its promotion", l->holder ? l->holder : "?");
        return;
    }
    say(v, MH_HA_ST_PROMOTING, "%s makes itself primary of term %llu", m->name,
        (unsigned long long)l->term);
}

/* H4: somebody removed or emptied the Lease. The running primary of the highest term gets it back. */
static void
assess_empty_lease(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    uint64_t top = 0;
    int owner = -1;
    bool all = true;
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        all = all && m->connected && m->known;
        if (!m->known)
            continue;
        if (m->promise > top)
            top = m->promise;
        if (m->term > top)
            top = m->term;
        if (m->connected && m->role == MH_HA_PRIMARY && m->pg_up)
            owner = owner < 0 ? i : -2;
    }
    if (top == 0) {
        say(v, MH_HA_ST_BOOTSTRAPPING, "no instance was primary yet");
        return;
    }
    if (owner < 0 || view->members[owner].term < top || !view->lease.exists || !all) {
        say(v, MH_HA_ST_BLOCKED, "the Lease is empty but instances have seen term %llu: %s",
            (unsigned long long)top,
            all ? "no single running primary of it answers"
                : "all must answer before one of them gets it back");
        v->look_again_ms = 2000;
        return;
    }
    v->swap = true;
    v->to = (struct mh_ha_swap){ .holder = view->members[owner].name,
                                 .term = top + 1,
                                 .phase = MH_HA_PROMOTING,
                                 .address = view->members[owner].address,
                                 .incarnation = view->members[owner].incarnation };
    say(v, MH_HA_ST_PROMOTING, "the Lease was lost: %s gets it back", view->members[owner].name);
}

static void
assess_stable(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    int64_t since_ms = 0;
    const char *why = "";
    if (holder_failed(view, &since_ms, &why)) {
        assess_failure(view, v, why, since_ms);
        return;
    }
    if (wants_switchover(view)) {
        begin_switchover(view, v);
        return;
    }
    say(v, MH_HA_ST_HEALTHY, "%s is primary of term %llu", view->lease.holder,
        (unsigned long long)view->lease.term);
    int h = find(view, view->lease.holder);
    if (h >= 0 && !view->members[h].connected)
        v->look_again_ms = 200;
}

void
mh_ha_assess(const struct mh_ha_view *view, struct mh_ha_verdict *out)
{
    *out = (struct mh_ha_verdict){ 0 };
    const struct mh_ha_lease *l = &view->lease;
    for (int i = 0; i < view->nmembers; i++) {
        /* A17: etcd came back from a backup; nobody decides before a human has looked. */
        if (l->exists && l->term > 0 && view->members[i].known &&
            view->members[i].promise > l->term) {
            say(out, MH_HA_ST_BLOCKED,
                "%s has promised term %llu, the Lease says %llu: it went back in time. HINT: raise "
                "spec.leaseTransitions of the Lease above it",
                view->members[i].name, (unsigned long long)view->members[i].promise,
                (unsigned long long)l->term);
            out->look_again_ms = 2000;
            return;
        }
    }
    if (!l->exists || !l->holder || l->term == 0) {
        assess_empty_lease(view, out);
        return;
    }
    switch (l->phase) {
    case MH_HA_STABLE:
    case MH_HA_SUSPECT:
        assess_stable(view, out);
        break;
    case MH_HA_FENCING:
        assess_fencing(view, out);
        break;
    case MH_HA_SWITCHING:
        assess_switching(view, out);
        break;
    case MH_HA_PROMOTING:
        assess_promoting(view, out);
        break;
    }
    /* I6: nobody is elected but from a fence of this term, or after a clean stop. */
    assert(!out->swap || out->to.phase != MH_HA_PROMOTING || l->phase == MH_HA_FENCING ||
           l->phase == MH_HA_SWITCHING);
}
