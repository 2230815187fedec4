/* model_in.h - what the files of the modelled instances share. */
#ifndef MH_SANDBOX_MODEL_IN_H
#define MH_SANDBOX_MODEL_IN_H

#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "ha/self.h"
#include "sandbox/model.h"

#define MH_SB_MODEL_MAX 32512 /* addresses 127.N.128..255.y */
#define MH_SB_MODEL_STREAMS 4
#define MH_SB_MODEL_SLOTS 20 /* a member's turn comes every 20 ticks of 50 ms */

struct mh_server;
struct mh_stream;
struct mh_request;

/* The content of a volume: what an instance's PGDATA says. By the UID of the claim. */
struct mh_sb_model_volume {
    bool has_data;
    bool data_primary;
    struct mh_ha_term own;
    uint32_t timeline;
    uint64_t lsn;
    struct mh_ha_history history[MH_HA_HISTORY_MAX];
    int nhistory;
    char system_id[24];
};

struct mh_sb_model_cluster {
    struct mh_sb_model *m;
    char *key; /* "ns/name" */
    char ns[64];
    char name[254];
    char uid[64]; /* "" until the Cluster was seen */
    char fingerprint[65];
    char current[254]; /* status.currentPrimary */
    char target[254];
    char server_secret[254];
    char client_ca[254];
    char secrets[128]; /* versions of the two */
    char system_id[24];
    int instances;
    int lease_s;
    struct mh_arena lease_arena;
    struct mh_ha_lease lease;
    bool lease_known;
    bool lease_bad;
    struct mh_sb_model_member *members;
};

/* One modelled pod. */
struct mh_sb_model_member {
    struct mh_sb_model *m;
    struct mh_sb_model_cluster *cluster; /* NULL: no instance of one */
    struct mh_sb_model_member *next;     /* of the cluster */
    size_t slot;
    char *key;
    char ns[64];
    char name[254];
    char uid[64];
    char node[254];
    char claim[254];
    char image[512];
    char container[64];
    char ip[48];
    char session[37];
    char started[MH_TIME_TEXT];
    bool is_job;
    bool joins;  /* a job that clones the primary */
    bool placed; /* its claim was read */
    bool alive;  /* its status says Running: the manager runs */
    bool over;   /* a job that is done */
    bool told_ready;
    bool ending; /* its pod is to go */
    bool deleting;
    int64_t end_ns;
    struct mh_sb_model_volume *volume;
    /* the manager */
    bool asking; /* secrets are being read */
    char *cert, *key_pem, *ca;
    struct mh_server *server;
    struct mh_stream *streams[MH_SB_MODEL_STREAMS];
    struct mh_timer *push;
    uint64_t seq;
    struct mh_ha_self_out order;
    /* PostgreSQL */
    enum mh_ha_role role;
    bool up;
    struct mh_timer *change; /* it starts, or is promoted */
    bool promoting;
    bool gate;
    bool receiving;
    bool fenced;
    bool stopped_clean;
    bool hand_over;
    bool swapping;
    bool published;
    int64_t renew_ns; /* when it is due */
};

struct mh_sb_model_call;

struct mh_sb_model {
    struct mh_api api;
    struct mh_clock clock;
    struct event_base *loop;
    struct mh_sb_model_config config;
    struct mh_watch *pods, *clusters_watch, *leases;
    struct mh_map members;   /* "ns/pod" */
    struct mh_map clusters;  /* "ns/name" */
    struct mh_map volumes;   /* UID of the claim */
    struct mh_map addresses; /* in use -> member */
    struct mh_sb_model_call *calls;
    struct mh_timer *tick;
    unsigned turn;
    unsigned next_ip;
    uint64_t random;
};

/* --- model.c --------------------------------------------------------------------------------- */

struct mh_sb_model_call {
    struct mh_sb_model *m;
    struct mh_sb_model_call *next, *prev;
    struct mh_sb_model_member *member; /* NULL once it is gone */
    void (*done)(struct mh_sb_model_member *x, struct mh_api_call *call);
    struct mh_arena arena;
    struct mh_api_call call;
};
/* path and body are copied; done is not called for a member that is gone. done may be NULL. False:
 * no memory. */
bool mh_sb_model_ask(struct mh_sb_model_member *x, const char *method, const char *path,
                     const char *type, const char *body,
                     void (*done)(struct mh_sb_model_member *x, struct mh_api_call *call));
uint64_t mh_sb_model_random(struct mh_sb_model *m);
void mh_sb_model_uuid(struct mh_sb_model *m, char out[37]);
int64_t mh_sb_model_now(const struct mh_sb_model *m);
struct mh_sb_model_cluster *mh_sb_model_cluster_of(struct mh_sb_model *m, const char *ns,
                                                   const char *name);
struct mh_sb_model_member *mh_sb_model_find(const struct mh_sb_model_cluster *c, const char *name);

/* --- model_pod.c: the kubelet ---------------------------------------------------------------- */

void mh_sb_model_pod(struct mh_sb_model *m, yyjson_val *pod);
void mh_sb_model_pod_gone(struct mh_sb_model *m, yyjson_val *pod);
void mh_sb_model_free_member(struct mh_sb_model_member *x);
/* Says Ready or not, if that is new. */
void mh_sb_model_tell(struct mh_sb_model_member *x);
/* The manager ended: the pod goes. */
void mh_sb_model_end(struct mh_sb_model_member *x);

/* --- model_role.c: the manager's decisions --------------------------------------------------- */

void mh_sb_model_decide(struct mh_sb_model_member *x);
/* Its turn: renew the lease, let time pass. */
void mh_sb_model_turn(struct mh_sb_model_member *x);
/* SIGTERM. */
void mh_sb_model_terminate(struct mh_sb_model_member *x);
void mh_sb_model_lease(struct mh_sb_model_cluster *c, yyjson_val *object);
void mh_sb_model_stop_pg(struct mh_sb_model_member *x, bool clean);

/* --- model_http.c: what it says -------------------------------------------------------------- */

/* Reads the secrets and listens, again when they changed. */
void mh_sb_model_serve(struct mh_sb_model_member *x);
void mh_sb_model_hush(struct mh_sb_model_member *x);
/* Something of its status changed. */
void mh_sb_model_changed(struct mh_sb_model_member *x);
void mh_sb_model_heartbeat(struct mh_sb_model_member *x);
char *mh_sb_model_status(struct mh_sb_model_member *x, struct mh_arena *a);

#endif
