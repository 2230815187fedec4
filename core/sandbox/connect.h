/* connect.h - log, exec, attach, port-forward and proxy of pods: the connect hook of rest.h.
 *
 * Streams and WebSockets live on the door's connections; each owns its processes and sockets. */
#ifndef MH_SANDBOX_CONNECT_H
#define MH_SANDBOX_CONNECT_H

#include <event2/event.h>

#include "base/world.h"
#include "sandbox/node.h"
#include "sandbox/rest.h"

struct mh_sb_connect_env {
    struct event_base *base;
    struct mh_clock clock;
    struct mh_sb_nodes *nodes; /* NULL: there are none */
};

/* Answers, or takes the connection over. */
void mh_sb_connect(const struct mh_sb_connect_env *env, struct mh_sb_req *req,
                   const struct mh_sb_attrs *at, yyjson_val *object);
/* Ends all that is under way; before the door and the nodes end. */
void mh_sb_connect_stop(void);

#endif
