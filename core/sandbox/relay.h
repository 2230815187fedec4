/* relay.h - the network of pods: who binds which address, and TCP connections that can be cut.
 *
 * connect, bind and sendto of a pod's processes come here (seccomp user notification). A pod's
 * wildcard and localhost are its own address. A TCP connection to another address of the sandbox
 * ends here and a second one, from the pod's address, goes on to the target; a Service's address
 * is replaced by one of its endpoints. Connections within a pod are made directly. Other
 * destinations are unreachable.
 * A cut takes away what arrives on both connections (socket filters that drop everything), so that
 * the kernels of both ends see silence: they retransmit, and their own timeouts are what ends it.
 * Owner: whoever makes it. */
#ifndef MH_SANDBOX_RELAY_H
#define MH_SANDBOX_RELAY_H

#include <event2/event.h>
#include <netinet/in.h>

#include "base/world.h"

struct mh_sb_relay;
struct mh_sb_peer; /* a pod with its address */

struct mh_sb_relay_spec {
    struct event_base *base;
    struct mh_clock clock;
    int n;
    /* As in node.h. */
    bool (*route)(void *arg, const char *address, int port, char out_address[48], int *out_port,
                  bool *known);
    void *arg;
};

struct mh_sb_relay *mh_sb_relay_new(const struct mh_sb_relay_spec *spec, struct mh_err *err);
void mh_sb_relay_free(struct mh_sb_relay *r);

/* name: "ns/pod"; node: from 0. NULL: no memory. */
struct mh_sb_peer *mh_sb_relay_add(struct mh_sb_relay *r, const char *name, int node,
                                   const char *address);
/* Its listeners are closed; its connections live until their ends close. */
void mh_sb_relay_remove(struct mh_sb_relay *r, struct mh_sb_peer *p);
/* A process tree of the pod asks on this descriptor, which is the relay's from now on. */
void mh_sb_relay_listen(struct mh_sb_relay *r, struct mh_sb_peer *p, int fd);

/* a and b: "ns/pod", "node:nodeN", "api", "*". ms < 0: a cut. NOMEM, LIMIT. */
enum mh_code mh_sb_relay_rule(struct mh_sb_relay *r, const char *a, const char *b, int ms,
                              struct mh_err *err);
/* NULL as in mh_sb_node_heal. Returns how many rules went. */
int mh_sb_relay_heal(struct mh_sb_relay *r, const char *a, const char *b);
/* Nothing to and from this node's addresses; its connections stay silent until it is on again,
 * then they are reset. */
void mh_sb_relay_silence(struct mh_sb_relay *r, int node, bool silent);
/* Rule i as "cut a b" or "slow a b MS", with how often connections met it; on the arena; NULL past
 * the last. */
const char *mh_sb_relay_text(struct mh_sb_relay *r, struct mh_arena *a, int i);
/* Connections that are open now. */
int mh_sb_relay_links(const struct mh_sb_relay *r);

#endif
