/* agent_helper.h - one instance manager in the world that tests drive: its API server is the store,
 * its PostgreSQL answers from struct ta_pg, other instances from struct ta_peer.
 *
 *     struct ta *t = ta_new("db-2", 2, "required");
 *     ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
 *     ta_data(t, true);
 *     ta_start(t);
 *     tw_advance(t->tw, MH_NS_PER_S);
 *     ta_end(t);
 */
#ifndef MH_TEST_AGENT_HELPER_H
#define MH_TEST_AGENT_HELPER_H

#include "base/time.h"
#include "harness/world.h"
#include "instance/agent.h"

#define TA_NS "shop"
#define TA_LEASE "/apis/coordination.k8s.io/v1/namespaces/shop/leases/db"
#define TA_CLUSTER "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/db"
#define TA_DATA "/data/pgdata"

struct ta_replica {
    const char *name;
    bool streaming;
    uint64_t flush;
    int priority;
};

/* What PostgreSQL says while its process runs. A start as a standby or primary follows from the
 * files; pg_promote leaves recovery on the next timeline; checkpoint moves control_timeline. */
struct ta_pg {
    bool refuses; /* runs, accepts nobody */
    bool recovers;
    uint32_t timeline, control_timeline, segments;
    uint64_t flush;
    uint64_t lag; /* of a standby */
    bool receiving;
    char config_hash[65]; /* of the configuration that it has read */
    struct ta_replica replicas[4];
    int nreplicas;
};

/* What another instance answers to GET /moonherd/v1/peer; NULL: nothing. */
struct ta_peer {
    const char *json;
    int asked;
    char url[200]; /* of the last question */
};

struct ta {
    struct tw *tw;
    const char *control; /* what pg_controldata prints; NULL: nothing */
    /* Asked first about a statement; false: as struct ta_pg says. */
    bool (*also)(struct ta *t, const struct mh_pg_call *call, struct tw_rows *rows);
    struct mh_agent *g;
    struct ta_pg pg;
    struct ta_peer peer;
    struct mh_http_call *calls[16];
    int ncalls;
    char dir[40];
};

/* An instance of cluster db with this many instances; durability NULL: asynchronous. */
struct ta *ta_new(const char *name, int instances, const char *durability);
void ta_end(struct ta *t);
/* Puts the Lease there, with the holder's address (db-1 has 10.0.0.1); configs NULL: no such
 * annotation. */
void ta_lease(struct ta *t, const char *holder, int term, const char *phase,
              const char *incarnation, const char *configs);
/* The volume: a database system, standby or primary; and its term file. */
void ta_data(struct ta *t, bool standby);
void ta_term(struct ta *t, int promise, int term, const char *incarnation);
/* The manager begins. */
void ta_start(struct ta *t);
/* From now on an operator is there, who decides nothing: the manager leaves it to him (B2). */
void ta_operated(struct ta *t);
/* db-2, a standby that is elected for term 2 after db-1 was lost; its set was db-2 alone. */
#define TA_SET_OF_1 "[{\"names\":[\"db-2\"],\"number\":1,\"method\":\"any\"}]"
struct ta *ta_elected(int instances, const char *durability);
/* Its status line, its answer to a peer. */
yyjson_val *ta_status(struct ta *t);
yyjson_val *ta_answer(struct ta *t, const char *from, uint64_t term);

#endif
