/* agent.h - the instance manager of one pod: what it knows, what it is doing.
 *
 * One structure, made once in run.c, alive as long as the process. Each file of this room owns the
 * part of it that is named after it. Everything outside is asked through agent->w (world.h); the
 * decision itself is core/ha/self.h. mh_agent_wake asks for a new look at the next turn of the
 * loop; no function here calls another room's callback directly. */
#ifndef MH_INSTANCE_AGENT_H
#define MH_INSTANCE_AGENT_H

#include "base/world.h"
#include "ha/self.h"
#include "instance/params.h"

#define MH_PATH 512
#define MH_EXIT_DISK_FULL 4

struct event_base;
struct mh_http;
struct mh_http_call;
struct mh_pglog;
struct mh_request;
struct mh_server;
struct mh_status;

/* Who and where we are; texts live for ever. */
struct mh_ident {
    const char *name; /* pod name = instance name */
    const char *ns;
    const char *cluster;
    const char *group;     /* API group of the Cluster */
    const char *pod_uid;   /* "" if unknown */
    const char *address;   /* of this pod */
    const char *bind;      /* the only address to listen on, NULL: all of the pod's */
    const char *pgdata;    /* /var/lib/postgresql/data/pgdata */
    const char *wal_dir;   /* of the WAL volume, NULL without */
    const char *state_dir; /* beside pgdata: term, lock, markers */
    const char *run_dir;   /* socket */
    const char *cert_dir;
    const char *log_dir;
    const char *node;
    char executable_hash[65];
    char session[37]; /* of this manager's start */
    char boot[37];    /* of the machine's start */
};

/* What the API server told (know.c). The values live until the next update. */
struct mh_know {
    struct mh_watch *cluster_watch;
    struct mh_watch *lease_watch;
    struct mh_arena cluster_arena;
    yyjson_val *cluster;
    struct mh_arena lease_arena;
    struct mh_ha_lease lease;
    bool lease_known;       /* a watch or read has told, since the start */
    bool lease_bad;         /* unreadable: nobody decides */
    int64_t lease_at_ns;    /* when */
    char lease_version[64]; /* its resourceVersion, and since when */
    int64_t version_ns;
    char lease_renewed[40]; /* its renewTime, and since when: never compared with a clock */
    int64_t renewed_ns;
    char ranking
        [200]; /* the beginning of its annotation ranking, which has the time, and since when */
    int64_t ranking_ns;
    bool lease_asked;       /* a GET is under way */
    int64_t lease_asked_ns; /* when the last one began */
    char secrets_seen[256]; /* digest of status.secretsResourceVersion that was fetched */
    bool certs_ready;       /* all files are written */
    int certs_version;      /* counts changes */
    int secrets_left;       /* GETs under way */
    bool secrets_again;
    char *server_cert, *server_key, *client_ca, *server_ca, *repl_cert, *repl_key; /* PEM, heap */
};

enum mh_pg_state { MH_PG_DOWN, MH_PG_STARTING, MH_PG_UP, MH_PG_STOPPING };
enum mh_pg_stop { MH_STOP_FAST, MH_STOP_IMMEDIATE };

/* The postmaster (postmaster.c). */
struct mh_postmaster {
    struct mh_child child;
    enum mh_pg_state state;
    bool as_primary;  /* how it was started, or what it was promoted to */
    bool wanted_stop; /* we asked for it */
    bool quitting;    /* immediate shutdown is under way */
    bool sweeping;    /* the postmaster is gone, its children not yet */
    int exit_code;
    bool clean; /* the last stop was clean */
    uint64_t shutdown_lsn;
    int crashes;             /* unexpected ends since the start */
    int64_t crash_ns[3];     /* times of the last ones, newest first */
    bool disk_full;          /* no room for WAL: exit code 4 follows at once */
    bool hand_over;          /* crash loop, or this pod is going: somebody else shall serve */
    bool halted;             /* hand_over because of an order to halt */
    uint64_t hand_over_term; /* of the lease then; who is elected for a later one tries again */
    int64_t started_ns;
    int64_t started_at; /* the same, on the wall; for people and policies only */
    int64_t stop_deadline_ns;
    struct mh_timer *timer;
    struct mh_timer *reload_timer; /* one is wanted as soon as it can be taken */
    int64_t retry_ns;              /* not started before */
};

/* What PostgreSQL says of itself (monitor.c). */
struct mh_pgview {
    bool valid; /* answered since it was started */
    bool in_recovery;
    uint64_t flush_lsn, receive_lsn, replay_lsn, current_lsn;
    uint64_t upstream_lsn; /* how far the server that is followed was, as its last message says */
    uint32_t timeline;
    uint32_t control_timeline;
    char system_id[24];
    bool receiving;      /* a receiver streams */
    bool has_receiver;   /* there is one, in whatever state */
    bool follows_nobody; /* primary_conninfo is empty, as a session sees it */
    int settled;         /* answers in a row that had no receiver */
    char receipt[40];    /* last_msg_receipt_time as text */
    int64_t receipt_ns;  /* when it was seen to change, on our clock */
    bool replay_paused;
    bool pending_restart;
    bool pending_decrease; /* and it lowers a limit that standbys must not fall short of */
    char config_hash[65];
    char sync_names[4096];
    struct mh_ha_history history[MH_HA_HISTORY_MAX];
    int nhistory;
    uint32_t history_of; /* timeline whose history file was read */
    int64_t at_ns;
};

enum mh_gate {
    MH_GATE_NONE,
    MH_GATE_CLOSED,
    MH_GATE_MARK,
    MH_GATE_WAIT,
    MH_GATE_READ,
    MH_GATE_OPEN
};

/* The login that the gate needs (login.c). */
struct mh_login {
    bool done;
    bool asking;
    uint64_t asked;   /* counts questions: an answer to an older one says nothing */
    int64_t since_ns; /* of the first one */
    int64_t next_ns;
    int64_t log_ns;
};

/* As primary (primary.c, gate.c). */
struct mh_primary {
    enum mh_gate gate;
    uint64_t gate_term;
    uint64_t marker;
    struct mh_login login;
    bool promoting;
    bool published;     /* labels and status say so */
    int64_t renewed_ns; /* start of the last successful renewal */
    int64_t next_renew_ns;
    bool renewing;
    bool roles_done;
    bool roles_asked;
    int64_t next_slots_ns;
    int64_t opened_ns;
    struct mh_ha_config sync; /* written into the configuration now; names in sync_arena */
    struct mh_arena sync_arena;
    char sync_text[4096]; /* its synchronous_standby_names */
    char sync_meta[2048]; /* what cnpg.synchronous_standby_names_metadata says of it */
    bool preferred;       /* dataDurability: preferred */
    int64_t unsteady_ns;  /* when too few of those whom sync/v1 chose streamed */
    bool strict_health;   /* only who streams now counts (preferred) */
    int64_t wait_ns;      /* since when the gate waits for standbys */
    int swap_failures;    /* of writing the Lease, in a row */
    int64_t next_swap_ns;
    int sync_step;                 /* of a change: sync.c */
    int sync_back;                 /* the step before the Lease was written */
    int64_t sync_since_ns;         /* when the set in force was loaded */
    int64_t sync_seen_ns;          /* when a session had read it */
    int64_t barrier_of_ns;         /* the load that the checkpoint under way is for */
    int64_t sync_proved_ns;        /* when all walsenders were seen to use it */
    struct mh_ha_config sync_next; /* what the Lease has beside it; names in next_arena */
    struct mh_arena next_arena;
    char next_text[4096];
    /* Former ones that may still acknowledge, or did what is not yet known to be elsewhere. */
    struct mh_ha_config possible[MH_HA_CONFIGS_MAX];
    int npossible;
    struct mh_arena possible_arena;
    bool adopting; /* a new term for a primary whose clients are in */
    bool barrier;  /* every backend waits for standbys from now on */
    bool barrier_asked;
    uint64_t sync_marker;
    int64_t replication_ns;      /* when pg_stat_replication was read last */
    int64_t asked_ns;            /* when the question under way was asked */
    int64_t replication_from_ns; /* when that of the last answer was */
    bool asking;
    struct mh_replica {
        char name[64];
        char state[16];
        char sync_state[12];
        int sync_priority;
        bool streaming;
        uint64_t sent_lsn, write_lsn, flush_lsn, replay_lsn;
    } replicas[MH_HA_MEMBERS_MAX];
    int nreplicas;
    struct mh_confirmed { /* rule 5: who confirmed, and when it was asked */
        char name[64];
        int64_t at_ns;
    } confirmed[MH_HA_MEMBERS_MAX];
    int nconfirmed;
    int64_t next_poll_ns;
    bool checkpointed;
    int64_t next_checkpoint_ns;
    int64_t next_publish_ns;
};

struct mh_peer_info {
    bool valid;
    uint32_t timeline, control_timeline;
    uint64_t made; /* the term that made its timeline */
    struct mh_ha_makers makers;
    struct mh_ha_history history[MH_HA_HISTORY_MAX];
    int nhistory;
    bool serving; /* elected and out of recovery; the gate may be closed */
    int64_t at_ns;
    char of[64]; /* the address that was asked */
};

/* As standby (standby.c). */
struct mh_standby {
    char upstream[64]; /* in override.conf by us; "" nobody */
    bool fenced;       /* receivers gone since the promise */
    bool rewinding;
    bool joining;
    int rewind_failures;
    int64_t retry_ns;
    struct mh_child child;
    struct mh_peer_info peer;
    struct mh_ha_makers source; /* of the server that is rewound to or copied from */
    uint64_t proved_term;       /* the log is known to be part of this term's holder's */
    uint64_t proving_term;      /* that is being found out */
    int64_t proving_ns;         /* since */
    bool asking;
    int64_t next_ask_ns;
    int64_t confirmed_ns; /* last time we told the primary that we follow it */
    int64_t not_receiving_ns;
};

/* What pg_control says that a standby must not fall short of (limits.c). */
struct mh_limits {
    bool known; /* read since PostgreSQL ran last */
    bool reading;
    bool lifted;    /* custom.conf has more than the Cluster asks for */
    bool confirmed; /* a lower one waits for a restart, and pg_control has nothing against it */
    int64_t value[MH_LIMITS];
    int64_t asked_ns;
    int64_t next_ns;
};

/* Passwords that follow their secrets (accounts.c). */
struct mh_account {
    bool asking;
    bool done;
    char seen[400]; /* what the Cluster said of it at the last try */
    int64_t next_ns;
};

/* Slots on a standby (slots.c). */
struct mh_slots {
    bool asking;
    int64_t next_ns;
};

/* Who waits for the details of the status (details.c). */
#define MH_DETAILS_WAITING 16
struct mh_details {
    bool asking;
    struct mh_request *waiting[MH_DETAILS_WAITING];
    int nwaiting;
};

struct mh_agent {
    struct mh_world w;
    struct mh_api api_urgent;
    struct mh_events *events; /* NULL: dropped */
    struct mh_http *http;
    void (*ask)(struct mh_http *http, struct mh_http_call *call); /* other instances */
    struct event_base *base;
    struct mh_ident id;
    struct mh_know know;
    struct mh_ha_term own;
    bool has_data;
    bool data_primary;
    struct mh_ha_self_out order; /* its texts are the two below */
    char order_address[64];
    char order_follow[64];
    bool ready; /* the volume is ours and the term file was read */
    struct mh_postmaster pm;
    struct mh_pgview pg;
    struct mh_primary primary;
    struct mh_standby standby;
    struct mh_limits limits;
    struct mh_account app, superuser;
    struct mh_slots slots;
    bool user_fenced;    /* the annotation says so (userfence.c) */
    bool user_fence_bad; /* and it cannot be read: what it said before holds */
    char *ldap_password; /* heap; NULL without */
    char ldap_of[520];   /* "secret/key" that it came from */
    int64_t ldap_next_ns;
    struct mh_server *server;
    struct mh_pglog *pglog;
    struct mh_status *status;
    struct mh_details details;
    struct mh_deputy *deputy; /* only while something is wrong (deputy.c) */
    int64_t operator_ns;      /* when the operator's connection was seen last */
    bool terminating;
    int64_t terminate_ns;
    bool wake_armed;
    struct mh_timer *wake_timer;
    struct mh_timer *tick_timer;
    bool conf_dirty;  /* files changed: reload wanted */
    bool restarting;  /* PostgreSQL is to be started again, after a checkpoint */
    int certs_loaded; /* know.certs_version that PostgreSQL has read */
    bool monitoring;
    char conf_hash[65];              /* of custom.conf as written last */
    char conf_of[MH_CONFIG_OF];      /* which configuration that is */
    char conf_read[MH_CONFIG_OF];    /* which one PostgreSQL has read; "": none yet */
    char failure[200];               /* shown in status */
    void (*end)(struct mh_agent *g); /* the process may end */
    int exit_code;
};

/* The volume is ours and the promise was read: from now on everything is looked at. */
void mh_agent_begin(struct mh_agent *g);
/* Look again soon (coalesced). */
void mh_agent_wake(struct mh_agent *g);
int64_t mh_agent_now(const struct mh_agent *g);
/* Instances that the cluster has or wants. */
int mh_agent_instances(const struct mh_agent *g);
/* PostgreSQL answers. */
bool mh_agent_pg_up(const struct mh_agent *g);
bool mh_agent_is_primary(const struct mh_agent *g);
void mh_agent_fail(struct mh_agent *g, const char *text);
/* Asks for somebody else as primary, until this instance follows or is elected anew. */
void mh_agent_give_up(struct mh_agent *g);

/* know.c */
bool mh_know_start(struct mh_agent *g);
/* A Lease that somebody handed to us, or a reply of our own write. False: there was no memory for it, and
 * what is known is older. */
bool mh_know_lease(struct mh_agent *g, yyjson_val *object, bool authoritative);
/* At each look: reads the Lease when it is waited for and the watch has been silent. */
void mh_know_lease_tick(struct mh_agent *g);
const char *mh_know_spec_str(const struct mh_agent *g, const char *key);
int mh_know_major(const struct mh_agent *g);

/* term.c */
enum mh_code mh_term_load(struct mh_agent *g, struct mh_err *err);
/* The timelines above this one are made by `term`; or their makers are those that a server told. */
enum mh_code mh_term_made(struct mh_agent *g, uint32_t above, uint64_t term, struct mh_err *err);
enum mh_code mh_term_adopt(struct mh_agent *g, const struct mh_ha_makers *makers,
                           struct mh_err *err);
enum mh_code mh_term_store(struct mh_agent *g, uint64_t promise, uint64_t term, struct mh_err *err);

/* postmaster.c */
void mh_postmaster_start(struct mh_agent *g, bool as_primary);
void mh_postmaster_stop(struct mh_agent *g, enum mh_pg_stop how, int64_t timeout_ns);
void mh_postmaster_reload(struct mh_agent *g);
/* Kills whatever is left of a dead postmaster; true when nothing is. */
bool mh_postmaster_sweep(struct mh_agent *g);

/* sweep.c: kills PostgreSQL's processes among this process's descendants; how many there were. */
int mh_sweep(void);

/* space.c: there is room for one more WAL segment; else the process ends with MH_EXIT_DISK_FULL. */
bool mh_space_for_wal(struct mh_agent *g);
void mh_space_none(struct mh_agent *g, const char *what);

/* limits.c */
/* They are known, so a standby may start; else they are being read. */
bool mh_limits_ready(struct mh_agent *g);
void mh_limits_tick(struct mh_agent *g);
/* What the status says: a standby does not ask to be restarted with less than it needs. */
bool mh_limits_pending_restart(const struct mh_agent *g);

/* userfence.c: reads the Cluster's annotation; true: this instance shall not run. */
bool mh_user_fenced(struct mh_agent *g);
/* This one or all are named there; false when it cannot be read. */
bool mh_user_fences(struct mh_agent *g, const char *instance);

/* accounts.c, on a primary with an open gate */
void mh_accounts_tick(struct mh_agent *g);
/* ldap.c */
void mh_ldap_tick(struct mh_agent *g);
/* slots.c, on a standby */
void mh_slots_follow(struct mh_agent *g);

/* monitor.c */
void mh_monitor_tick(struct mh_agent *g);
const char *mh_local_conninfo(const struct mh_agent *g);
const char *mh_slow_conninfo(const struct mh_agent *g);

/* conf.c: files of PGDATA and certificates */
enum mh_code mh_conf_write(struct mh_agent *g, bool *changed, struct mh_err *err);
enum mh_code mh_conf_standby(struct mh_agent *g, const char *address, bool *changed,
                             struct mh_err *err);
/* What the Cluster asks for: members and number, and the text of synchronous_standby_names. */
bool mh_conf_sync_wanted(struct mh_agent *g, struct mh_arena *a, struct mh_ha_config *out,
                         const char **text);
enum mh_code mh_conf_certificates(struct mh_agent *g, struct mh_err *err);

/* primary.c, gate.c, sync.c, replication.c */
void mh_primary_tick(struct mh_agent *g);
/* Writes the Lease by compare-and-swap: renewTime, phase stable, who and where we are, and the given
 * configurations (n < 0: as they are). done(g, ok) follows. False: one is under way already. */
bool mh_primary_swap(struct mh_agent *g, const struct mh_ha_config *configs, int n,
                     void (*done)(struct mh_agent *g, bool ok));
/* Not while the API server, away a moment ago, is given time. */
bool mh_primary_may_swap(const struct mh_agent *g);
/* Reads pg_stat_replication if the last answer is older than max_age_ns. */
void mh_replication_look(struct mh_agent *g, int64_t max_age_ns);
/* How many of c's standbys report that they have flushed `lsn`; read after since_ns. */
int mh_replication_past(const struct mh_agent *g, const struct mh_ha_config *c, uint64_t lsn);
/* The same, of those that PostgreSQL counts as synchronous. */
int mh_replication_sync_past(const struct mh_agent *g, const struct mh_ha_config *c, uint64_t lsn);
int mh_replication_streaming(const struct mh_agent *g, const struct mh_ha_config *c);
/* Ends all client sessions but the manager's own. */
extern const char mh_end_sessions_sql[];
void mh_sync_tick(struct mh_agent *g);
/* All configurations that may have acknowledged what is not yet known to be elsewhere, the one in
 * force last; they live as long as it is. Returns how many, 0: asynchronous. */
int mh_sync_possible(struct mh_agent *g, struct mh_ha_config out[MH_HA_CONFIGS_MAX + 1]);
/* Takes what the Cluster asks for as the configuration in force, before the gate opens. */
void mh_sync_adopt(struct mh_agent *g);
void mh_slots_tick(struct mh_agent *g);
/* Runs one statement on the local server; the result is only logged when it fails. done may be
 * NULL. mh_slow_sql has a session of its own, so that nobody waits behind it. */
void mh_local_sql(struct mh_agent *g, const char *sql, void (*done)(struct mh_agent *g, bool ok));
void mh_slow_sql(struct mh_agent *g, const char *sql, void (*done)(struct mh_agent *g, bool ok));
void mh_primary_reset(struct mh_agent *g);
void mh_primary_claim(struct mh_agent *g);
void mh_primary_publish(struct mh_agent *g);
void mh_gate_tick(struct mh_agent *g);
bool mh_gate_is_open(const struct mh_agent *g);
void mh_gate_close(struct mh_agent *g);
/* login.c: the login is done; else it is under way. It holds until forgotten. */
bool mh_login_done(struct mh_agent *g);
void mh_login_forget(struct mh_agent *g);

/* standby.c, rewind.c */
void mh_standby_fence(struct mh_agent *g);
void mh_standby_follow(struct mh_agent *g);
void mh_rewind_tick(struct mh_agent *g);

/* selfstop.c: rule 5 */
bool mh_selfstop_due(struct mh_agent *g);

/* deputy.c: the protocol's next step, when nobody else makes it */
void mh_deputy_tick(struct mh_agent *g);
void mh_deputy_release(struct mh_agent *g);
/* An event of the Cluster: the manager wrote this step into the Lease, and why. */
void mh_deputy_news(const struct mh_agent *g, enum mh_ha_phase phase, const char *why);

/* http.c, status.c */
enum mh_code mh_http_serve(struct mh_agent *g, struct mh_err *err);
void mh_status_changed(struct mh_agent *g);
/* The operator's connection is open. */
bool mh_status_is_watched(const struct mh_agent *g);

#endif
