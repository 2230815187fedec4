/* view.h - what is known of a cluster's instances when a change of role is decided, and the decision.
 *
 * mh_ha_assess is a pure function: no clock, no I/O, no allocation but the arena. Whoever drives the
 * protocol (the operator; later an instance manager) calls it after each change, carries out the one
 * step it returns, and calls again. Between two calls everything may have crashed: all state is in
 * the Lease and on the instances. Rules by number: design, section "Failover". */
#ifndef MH_HA_VIEW_H
#define MH_HA_VIEW_H

#include "ha/lease.h"
#include "ha/lineage.h"

enum mh_ha_role { MH_HA_NONE, MH_HA_STANDBY, MH_HA_PRIMARY };

/* One instance. What stands below `known` comes from its last status and is stale when it is not
 * connected. Times in ms by the caller's clock. */
struct mh_ha_member {
    const char *name;
    const char *uid;           /* of the pod */
    const char *address;       /* of the pod, NULL if it has none */
    const char *incarnation;   /* of its volume, "" without one; NULL: it does not say */
    bool connected;            /* its manager answers now */
    int64_t lost_ms;           /* since it last answered; 0 while connected, -1: it never did */
    bool deleting;             /* its pod is */
    bool stopped_for_kubelet;  /* a live kubelet reports that the container is not running */
    const char *ended_session; /* of the manager in the container that ended, NULL: unknown */
    bool known;
    enum mh_ha_role role;
    bool pg_up;       /* PostgreSQL accepts its manager's queries */
    bool halted;      /* the manager says that it must not run under this lease */
    bool gave_up;     /* the manager asks for a hand-over: it will not restart PostgreSQL */
    uint64_t promise; /* durable: no term below it is ever acknowledged */
    uint64_t term;    /* the term its data last served or followed */
    bool fenced;      /* for `promise`: receivers gone, restore stopped, log at its end */
    bool receiving;   /* a WAL receiver is connected */
    int64_t quiet_ms; /* since the last message from the primary, -1 without one */
    bool replay_paused;
    const char *pod_uid; /* as the manager says */
    bool stopped_clean;  /* PostgreSQL is stopped after a clean shutdown under `promise` */
    uint64_t shutdown_lsn;
    uint32_t timeline;
    uint64_t made;      /* the term that made it, 0: unknown */
    uint64_t flush_lsn; /* the end of the log that it has on disk */
    struct mh_ha_history history[MH_HA_HISTORY_MAX];
    int nhistory;
};

struct mh_ha_view {
    const char *cluster;
    struct mh_ha_lease lease;
    int64_t lease_unchanged_ms; /* since the caller first saw this resourceVersion */
    struct mh_ha_member members[MH_HA_MEMBERS_MAX];
    int nmembers;
    const char *target;  /* status.targetPrimary; NULL or "pending": no wish */
    const char *current; /* status.currentPrimary; a target equal to it is no wish either */
    int64_t failover_delay_ms;
    /* What is left for a primary whose pod was deleted to be made anew, without a switchover. */
    int64_t restart_hold_ms;
    int64_t switchover_delay_ms;
    int64_t lease_ms; /* how long a taker waits for a silent holder: L */
    /* A policy's answer for the candidates of the same call before; norder 0: built-in order. */
    const char *order[MH_HA_MEMBERS_MAX];
    int norder;
    bool hold; /* the policy asks to wait */
};

enum mh_ha_state {
    MH_HA_ST_BOOTSTRAPPING, /* nobody was ever primary */
    MH_HA_ST_HEALTHY,
    MH_HA_ST_SUSPECTED, /* something is wrong, nothing is proved or the delay runs */
    MH_HA_ST_FENCING,
    MH_HA_ST_PROMOTING,
    MH_HA_ST_SWITCHING,
    MH_HA_ST_BLOCKED /* no safe step exists; `reason` says what is missing */
};

/* A compare-and-swap of the Lease; NULL fields keep their value, "" removes an annotation. */
struct mh_ha_swap {
    const char *holder;
    uint64_t term; /* 0 keeps it */
    enum mh_ha_phase phase;
    const char *address;
    const char *candidate;
    const char *incarnation;
    const char *served;
    bool has_lineage; /* where the log of the elected holder ends */
    struct mh_ha_point lineage;
};

struct mh_ha_verdict {
    enum mh_ha_state state;
    char reason[240]; /* one sentence */
    bool swap;        /* carry out `to` */
    struct mh_ha_swap to;
    /* Instances that must see the Lease now; each member whose bit is set (index in members). */
    uint32_t tell;
    /* Who may be promoted, best built-in choice first (index in members). */
    int candidates[MH_HA_MEMBERS_MAX];
    int ncandidates;
    bool wants_order;      /* an answer of the policy for `candidates` would be used */
    int64_t look_again_ms; /* 0: only when something changes */
};

void mh_ha_assess(const struct mh_ha_view *view, struct mh_ha_verdict *out);
const char *mh_ha_state_name(enum mh_ha_state state);

/* >0 when a's log is newer than b's: lineage first, then position (F13). */
int mh_ha_log_compare(const struct mh_ha_member *a, const struct mh_ha_member *b);

#endif
