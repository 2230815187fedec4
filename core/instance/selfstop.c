/* selfstop.c - rule 5: a primary that cannot renew its lease stops itself, unless it is certain that
 * nobody else can have been elected. */
#include "base/log.h"
#include "base/time.h"
#include "instance/standby.h"

/* reliability.md 3.4: (D + stop)(1 + r) < L (1 - r) for L = 8 s. */
#define ASK_AFTER_NS (3 * MH_NS_PER_S)
#define RENEW_DEADLINE_S 6

static int64_t
deadline_ns(const struct mh_agent *g)
{
    int64_t s = mh_json_int(g->know.cluster, RENEW_DEADLINE_S, "spec", "primaryLease",
                            "renewDeadlineSeconds", NULL);
    return s * MH_NS_PER_S;
}

bool
mh_selfstop_due(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    int64_t silence = mh_agent_now(g) - p->renewed_ns;
    /* A cluster of one never stops itself; behind a closed gate nothing is acknowledged. */
    if (p->gate != MH_GATE_OPEN || !mh_agent_is_primary(g) || mh_agent_instances(g) <= 1 ||
        silence < ASK_AFTER_NS)
        return false;
    if (p->sync.number > 0) {
        /* Without standbys nothing is acknowledged either; stopping ends stale reads. */
        mh_replication_look(g, MH_NS_PER_S);
        if (silence < deadline_ns(g) || mh_replication_streaming(g, &p->sync) >= p->sync.number)
            return false;
        mh_error("selfstop", "neither the API server nor enough standbys answer: stopping");
        return true;
    }
    mh_peers_poll(g);
    if (silence < deadline_ns(g) || mh_peers_confirmed(g, mh_agent_now(g) - deadline_ns(g)))
        return false;
    mh_error("selfstop", "the lease was not renewed and not all instances confirm: stopping");
    return true;
}
