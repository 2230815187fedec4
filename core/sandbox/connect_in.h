/* connect_in.h - what logs, exec and port-forward share. */
#ifndef MH_SANDBOX_CONNECT_IN_H
#define MH_SANDBOX_CONNECT_IN_H

#include "sandbox/connect.h"
#include "sandbox/serve.h"
#include "sandbox/ws.h"

#define MH_SB_ARGS_MAX 256
#define MH_SB_QUEUE_MAX ((size_t)1 << 20) /* more waits where it comes from */

/* One stream or WebSocket under way; first member of whoever owns it. */
struct connect_any {
    struct connect_any *next;
    struct connect_any **at;
    void (*end)(struct connect_any *c); /* closes and frees it */
};

/* A request for a subresource of a pod. */
struct connect_ask {
    const struct mh_sb_connect_env *env;
    struct mh_sb_req *req;
    const struct mh_sb_attrs *at;
    yyjson_val *pod;
    const char *container; /* as asked for; NULL: none */
};

void mh_sb_connect_add(struct connect_any *c, void (*end)(struct connect_any *));
void mh_sb_connect_remove(struct connect_any *c);
/* The i-th value of a query parameter, decoded, on the request's arena; NULL: no more. */
const char *mh_sb_connect_query(struct connect_ask *k, const char *name, int i);
bool mh_sb_connect_flag(struct connect_ask *k, const char *name);
/* Answers with a Status. */
void mh_sb_connect_refuse(struct connect_ask *k, int status, const char *reason, const char *text);
/* The same for what the nodes said. */
void mh_sb_connect_error(struct connect_ask *k, const struct mh_err *err);
/* The container that is meant: the one asked for, or the only one, or the annotated one. NULL: it was
 * answered. */
const char *mh_sb_connect_container(struct connect_ask *k);

void mh_sb_logs(struct connect_ask *k);
void mh_sb_exec(struct connect_ask *k, bool attach);
void mh_sb_portforward(struct connect_ask *k);

#endif
