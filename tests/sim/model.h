/* model.h - a cluster in one structure, driven by random schedules, whose decisions are the real
 * functions of core/ha.
 *
 * Nodes have a log of (timeline, value), a durable promise and a manager that asks mh_ha_self; two
 * competing coordinators (operators) ask mh_ha_assess with what they believe and send compare-and-swaps
 * to the Lease; so does each node's own manager, its deputy, beside them or without them (B2). Messages are dropped, delayed, repeated and reordered; everything crashes. What is a
 * simplification is said where it is made. One seed is one run; nothing else is random. */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "ha/deputy.h"
#include "ha/self.h"

enum { NODES = 5, COORDS = 2, LOG = 200, MSGS = 192, VERSIONS = 900, VALUES = 1500, GATES = 48 };
/* Coordinator COORDS + i is the deputy of node i, and lives in its manager. */
enum { DRIVERS = COORDS + NODES };
enum { AT_COORD = 10, AT_API = 20 };

/* Planted defects, all in the model around the pure functions. */
enum variant {
    V_GOOD,
    V_FENCE1,      /* one fenced standby is enough */
    V_LSNONLY,     /* logs are compared by position only */
    V_NOGATE,      /* clients are let in right after the promotion */
    V_RESTARTGATE, /* and after a restart */
    V_VOLATILE,    /* a crash takes the promise */
    V_CHECKONCE,   /* quorum seen once, elected later from whoever reports then */
    V_NOFENCE,     /* states are looked at, nobody promises anything */
    V_SWITCHEARLY, /* a switchover does not wait for the shutdown record */
    V_NOUNION,     /* a new set is used before the Lease names it */
    V_STALEPOD,    /* the kubelet's word is from before the term was raised */
    V_HOLDEROUT,   /* a lost winner does not count in the old set */
    V_FORGETS,     /* a change after one that did not end names only the last two sets */
    V_DRIFT,       /* the set that is used is computed again after the union was written */
    V_EARLYEND,    /* a fence is answered before the local log was read to its end */
    V_SAMETLI, /* who made a timeline is not known: numbers are compared, which are not unique (F14) */
    V_CASCADES,     /* a standby lets other standbys in */
    V_FENCEDSERVES, /* a fenced standby lets all others in, not the candidate only */
    V_OPENFIRST,    /* an old primary is rewound only to one whose gate is open */
    V_GAVEUP,       /* a hand-over is asked for until the instance follows somebody */
    V_FENCESTAYS,   /* a fence outlives PostgreSQL, whose log is read anew */
    V_DEPUTYBLIND,  /* a deputy's step does not hold for the version only that it saw */
    V_DEPUTYITSELF, /* a deputy counts itself as fenced before it has promised */
    V_DEPUTYPEERS,  /* for a deputy a promise is enough: it may still receive */
    V_DEPUTYCLOCK,  /* a deputy waits for no lease bound */
    V_COUNT
};

enum mode { M_SYNC, M_CHANGING, M_ASYNC, M_LOSS };
enum drivers { D_OPERATORS, D_BOTH, D_DEPUTIES };

struct entry {
    uint32_t tli;
    int made; /* term whose promotion began the timeline */
    int val;
};
struct wal {
    struct entry e[LOG];
    int len;
};

struct set {
    unsigned names; /* bits */
    int number;     /* 0: asynchronous */
};

/* -1: none. */
struct mlease {
    int holder, volume, address, candidate;
    uint64_t term, served;
    bool has_lineage;
    uint32_t lineage; /* of the log that was elected, and who made it */
    int lineage_made;
    int session; /* life of the holder's manager that wrote it last, 0: none */
    enum mh_ha_phase phase;
    struct set sets[MH_HA_CONFIGS_MAX];
    int nsets;
    bool known;
};

struct status {
    int boot, seq;
    enum mh_ha_role role;
    bool pg_up, halted, gave_up, fenced, receiving, clean;
    uint64_t promise, term;
    int64_t heard_ms;
    int shutdown, flush, volume;
    uint32_t tli;
    int made;
    struct mh_ha_history history[MH_HA_HISTORY_MAX];
    int nhistory;
};

enum kind { K_WAL, K_ACK, K_STATUS, K_TELL, K_CAS, K_REPLY, K_ASK, K_CONFIRM };
struct msg {
    enum kind kind;
    int from, to;
    int conn; /* of a replication connection */
    int id;   /* of a compare-and-swap */
    int64_t a;
    bool ok;
    struct mlease lease;
    struct status status;
    struct wal wal;
};

enum gate { G_NONE, G_CLOSED, G_WAIT, G_READ, G_OPEN };
enum swap_kind { S_CLAIM, S_GATE, S_RENEW, S_UNION, S_CLOSE };
enum sync_step { IDLE, UNION, LOADED, MARKED, CLOSING };

struct node {
    /* durable */
    struct wal log;
    uint64_t promise, term;
    int volume;
    bool has_data, data_primary, half; /* half: a rewind has begun */
    bool fresh;                        /* a new volume: nothing is promised */
    /* of the manager's life */
    bool up, kubelet;
    int boot, seq, seen;
    struct mh_ha_self_out order;
    bool fenced, gave_up;
    uint64_t gave_up_term;
    uint64_t proved; /* term of whose holder the log is known to be a part */
    int settled, crashes;
    int64_t confirmed; /* when it last told its primary that it follows */
    int pending;       /* id of the compare-and-swap under way, 0: none */
    enum swap_kind pending_kind;
    int64_t pending_at;
    /* of PostgreSQL's life */
    bool pg, primary, clean, clients;
    int shutdown, upstream, conn, replayed;
    bool received;
    int64_t heard;
    enum gate gate;
    uint64_t gate_term, serve_term;
    int marker, sync_marker, committed;
    struct set sync, next;
    struct set old[MH_HA_CONFIGS_MAX]; /* some walsender may still use them */
    int nold;
    struct set possible[MH_HA_CONFIGS_MAX]; /* in the Lease beside `sync` */
    int npossible;
    enum sync_step step, back;
    int row[NODES], acked[NODES]; /* walsenders */
    int64_t renewed, next_renew, confirmed_at[NODES];
};

struct coord {
    int seen;
    int64_t since, heard[NODES];
    struct status st[NODES];
    bool pod_stopped[NODES];
    int pod_session[NODES];
    uint64_t passed;
    /* of a deputy */
    int64_t renewed; /* when the holder's last write was seen */
    int wanted;      /* version that a step is wanted of, and since when */
    enum mh_ha_phase wanted_phase;
    int64_t wanted_at;
    uint64_t began;
};

struct value {
    int pos, issue;
    bool client, acked, counted;
    uint64_t term; /* of its acknowledgement */
};

struct sim {
    uint64_t rnd;
    enum variant variant;
    enum mode mode;
    enum drivers drivers;
    bool patient; /* deputies wait as they should; safety must not need it */
    int n, w;
    int temper; /* 1 calm .. 3 wild */
    int64_t now;
    int seq, conns, ids, volumes;
    struct node node[NODES];
    struct coord coord[DRIVERS];
    struct mlease ver[VERSIONS];
    int nver;
    struct msg msg[MSGS];
    int nmsg;
    bool cut_nodes[NODES][NODES], cut_api[NODES], cut_coord_api[COORDS], cut_coord[COORDS][NODES];
    bool healing, lost_once, edited;
    struct set wanted;
    int target;
    /* oracle */
    struct value value[VALUES];
    int nvalue;
    int acked[VALUES], nacked;
    int first_ack[256]; /* by term: moment of the first acknowledgement */
    struct {
        uint64_t term;
        struct wal log;
    } gates[GATES];
    int ngates;
    bool lost, dual, broken, stuck; /* broken: I4, I5, I6 */
    char why[200];
    bool trace;
    int commits, failovers, switchovers;
};

extern const char *const sim_names[NODES];

/* world.c */
uint64_t sim_rnd(struct sim *s);
int sim_r(struct sim *s, int n);
void sim_note(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct msg *sim_send(struct sim *s, enum kind kind, int from, int to);
bool sim_reaches(const struct sim *s, int from, int to);
void sim_apply(struct sim *s, const struct msg *m);
const char *sim_session(int boot);
void sim_lease(const struct sim *s, int version, struct mh_ha_lease *out);
void sim_append(struct sim *s, int i, bool client);
uint32_t sim_tli(const struct wal *w);
int sim_made(const struct wal *w);
int sim_history(const struct wal *w, struct mh_ha_history *out);
bool sim_is_prefix(const struct wal *a, const struct wal *b);
/* oracle */
void sim_violates(struct sim *s, bool *which, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sim_ack(struct sim *s, int i, int pos, bool sync);
void sim_gate_opens(struct sim *s, int i);
void sim_elected(struct sim *s, const struct mlease *before, const struct mlease *to);

/* node.c, primary.c */
void sim_tick(struct sim *s, int i);
void sim_node_gets(struct sim *s, struct msg *m);
void sim_stop(struct sim *s, int i, bool clean);
void sim_store(struct sim *s, int i, uint64_t promise, uint64_t term);
void sim_read(struct sim *s, int i);
void sim_start_primary(struct sim *s, int i);
void sim_primary_tick(struct sim *s, int i);
void sim_promote(struct sim *s, int i);
void sim_claim(struct sim *s, int i);
void sim_sign(struct sim *s, int i);
void sim_reply(struct sim *s, int i, const struct msg *m);
void sim_timeouts(struct sim *s, int i);
void sim_commit(struct sim *s, int i);
void sim_self_stop(struct sim *s);
void sim_status(struct sim *s, int i, struct status *out);

/* faults.c, schedule.c */
void sim_manager_starts(struct sim *s, int i);
void sim_give_up(struct sim *s, int i);
void sim_wish_set(struct sim *s);
void sim_fault(struct sim *s);
void sim_disaster(struct sim *s, int i);
void sim_step(struct sim *s);
void sim_heal(struct sim *s);
bool sim_bad(const struct sim *s);

/* coord.c */
void sim_coord_acts(struct sim *s, int k);
/* One of those who may act in this run. */
int sim_driver(struct sim *s);
bool sim_is_driver(const struct sim *s, int k);
/* The manager of node i begins or ends: so does its deputy. */
void sim_deputy_forgets(struct sim *s, int i);
/* It sees what its manager sees. */
void sim_deputy_looks(struct sim *s, int i);
void sim_coord_gets(struct sim *s, int k, const struct msg *m);

#endif
