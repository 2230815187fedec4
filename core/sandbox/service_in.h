/* service_in.h - what the files of Services share: what is behind each of them now. */
#ifndef MH_SANDBOX_SERVICE_IN_H
#define MH_SANDBOX_SERVICE_IN_H

#include "sandbox/control_in.h"
#include "sandbox/service.h"

#define MH_SB_BACKENDS_MAX 1000
#define MH_SB_PORTS_MAX 64

struct mh_sb_forward;
struct mh_sb_svc;

struct mh_sb_backend {
    char address[48];
    int port;
    char pod[254]; /* "" if it is none */
    bool modelled; /* nobody listens there but the model */
};

/* One TCP port of a Service. */
struct mh_sb_front {
    struct mh_sb_svc *svc;
    int port;
    char name[64];
    struct mh_sb_backend *list;
    size_t n;
    size_t turn;
    struct mh_sb_forward *forward; /* NULL: nothing listens */
};

struct mh_sb_svc {
    char *key; /* "ns/name" */
    char ns[64];
    char name[254];
    char address[48]; /* "": none, or headless */
    struct mh_sb_front *fronts;
    size_t nfronts;
    char *heads; /* addresses of a headless Service, hosts-file lines; NULL: none */
};

struct mh_sb_services {
    struct mh_map all;       /* "ns/name" -> struct mh_sb_svc */
    struct mh_map addresses; /* address -> struct mh_sb_svc */
    struct mh_timer *news;   /* tells of changed names */
    int next;                /* where the search for a free address begins */
    struct mh_sb_pipe *pipes;
    struct mh_sb_forward *forwards;
};

/* One address of a Service, resolved for one pod or from an Endpoints object. */
struct mh_sb_member {
    const char *address;
    const char *node;
    const char *zone;
    const char *hostname;
    const char *pod;
    const char *uid;
    bool ready;   /* gets new connections */
    bool serving; /* its Ready condition, going or not */
    bool going;
    bool modelled;
    int ports[MH_SB_PORTS_MAX]; /* of the Service's ports in order; 0: it has none of that name */
};

/* --- service.c ------------------------------------------------------------------------------- */

/* What new connections get from now on; members may be NULL (the Service is gone). */
void mh_sb_service_set(struct mh_sb_control *c, yyjson_val *service,
                       const struct mh_sb_member *members, size_t n);
void mh_sb_service_drop(struct mh_sb_control *c, const char *ns, const char *name);

/* --- service_forward.c ----------------------------------------------------------------------- */

/* Listens at the address and port of the front; NULL: it cannot (logged). */
struct mh_sb_forward *mh_sb_forward_open(struct mh_sb_control *c, struct mh_sb_front *front);
/* The front is another object now. */
void mh_sb_forward_move(struct mh_sb_forward *f, struct mh_sb_front *front);
/* Stops listening; connections live on. NULL is allowed. */
void mh_sb_forward_close(struct mh_sb_forward *f);
void mh_sb_forward_release(struct mh_sb_control *c);

/* The next backend of a front; NULL: none. */
const struct mh_sb_backend *mh_sb_front_next(struct mh_sb_front *front);

#endif
