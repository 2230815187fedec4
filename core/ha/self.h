/* self.h - what one instance does with what it knows: the other half of the protocol.
 *
 * mh_ha_self is pure: the Lease as last read and the instance's own durable state in, one order out.
 * The manager carries the order out and asks again after each change. It never needs the operator:
 * only the Lease. Rules by number: design, section "Failover". */
#ifndef MH_HA_SELF_H
#define MH_HA_SELF_H

#include "ha/view.h"

/* The durable promise, one file on the data volume; it dies with the volume (E12). */
struct mh_ha_term {
    uint64_t promise;           /* no term below it is ever acknowledged or followed again */
    uint64_t term;              /* the term that this data last served or followed */
    char incarnation[37];       /* of the volume: a random UUID */
    char cluster_uid[64];       /* whose volume it is */
    struct mh_ha_makers makers; /* which terms made the timelines of its log */
};

enum mh_ha_order {
    MH_HA_WAIT,   /* nothing is known: leave everything as it is, start nothing */
    MH_HA_CLAIM,  /* first primary ever: take the empty Lease */
    MH_HA_SERVE,  /* be primary of `term` (promote, or restart; gate first) */
    MH_HA_FOLLOW, /* be a standby of `address` under `term` */
    MH_HA_FENCE,  /* promise `term`, be a standby of nobody (of `address` if set: fetch the rest) */
    MH_HA_STEPDOWN, /* promise `term`, stop cleanly: the log's end must reach the heir */
    MH_HA_QUIT,     /* promise `term`, stop at once: somebody else may serve it */
    MH_HA_HALT      /* must not run: `reason` says what a human has to do */
};

struct mh_ha_self_in {
    const char *name;
    const char *pod_uid; /* NULL or "": unknown */
    const char *cluster_uid;
    const struct mh_ha_lease *lease; /* NULL: not read since the start */
    struct mh_ha_term own;
    bool has_data;        /* PGDATA holds a database system */
    bool data_primary;    /* PGDATA has no standby.signal: it was primary last */
    bool running;         /* PostgreSQL runs */
    enum mh_ha_role role; /* as which it runs */
};

struct mh_ha_self_out {
    enum mh_ha_order order;
    uint64_t term;       /* of the order; the promise must be durable and >= it before acting */
    const char *address; /* whom to follow, NULL: nobody yet */
    const char *follow;  /* its name */
    bool adopt;          /* SERVE while already primary: take the new term without a restart */
    const char *reason;
};

void mh_ha_self(const struct mh_ha_self_in *in, struct mh_ha_self_out *out);
const char *mh_ha_order_name(enum mh_ha_order order);

/* Text of the promise file and back; false if it is none of ours. */
char *mh_ha_term_text(struct mh_arena *a, const struct mh_ha_term *t);
bool mh_ha_term_read(struct mh_arena *a, const char *text, size_t len, struct mh_ha_term *out);

#endif
