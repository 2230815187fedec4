/* standby.h - between standby.c, rewind.c and peer.c. */
#ifndef MH_INSTANCE_STANDBY_H
#define MH_INSTANCE_STANDBY_H

#include "instance/agent.h"
#include "net/http_client.h"

/* One question to another instance; reply is NULL without a good answer, and lives until the function
 * returns. */
struct mh_question {
    struct mh_http_call call;
    struct mh_http_tls tls;
    struct mh_arena arena;
    struct mh_agent *g;
    void (*answered)(struct mh_question *q, yyjson_val *reply);
    int64_t began_ns;
    char instance[64];
};
typedef void (*mh_answered)(struct mh_question *q, yyjson_val *reply);
/* GET https://ADDRESS:8000/moonherd/v1/PATH with the replication certificate. False: no memory. */
bool mh_peer_question(struct mh_agent *g, const char *address, const char *path,
                      const char *instance, int timeout_ms, mh_answered answered);

/* Asks the instance at this address how it is, at most every 300 ms; the answer is standby.peer. */
void mh_peer_ask(struct mh_agent *g, const char *address);
struct mh_ha_line mh_peer_line(const struct mh_peer_info *p);
/* Asks all other instances whether they follow this term (rule 5), at most every second. */
void mh_peers_poll(struct mh_agent *g);
/* All of them have confirmed since then. */
bool mh_peers_confirmed(const struct mh_agent *g, int64_t since_ns);

/* A durable note that this PGDATA must not be started before pg_rewind or a new copy ended well. */
MH_MUST_USE bool mh_rewind_mark(struct mh_agent *g);
bool mh_rewind_is_marked(struct mh_agent *g);
/* conninfo of a standby or of pg_rewind to this address, on the arena. */
char *mh_conf_conninfo(const struct mh_agent *g, struct mh_arena *a, const char *address,
                       const char *application);

#endif
