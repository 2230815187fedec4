/* serve.h - the sandbox's door: HTTPS on loopback in front of rest.h.
 *
 * Who has no token is refused (401), everybody else is who the token says, or whom he may
 * impersonate. Watches are streams; exec and the like take over the connection (see
 * mh_sb_door_http). Faults of the API server (apifault.h) happen here.
 * Owner: the door owns its requests. */
#ifndef MH_SANDBOX_SERVE_H
#define MH_SANDBOX_SERVE_H

#include "net/http_server.h"
#include "sandbox/apifault.h"
#include "sandbox/auth.h"
#include "sandbox/rest.h"

struct mh_sb_door;

struct mh_sb_door_config {
    struct event_base *base;
    struct mh_sb_api *api;
    struct mh_sb_auth *auth;
    struct mh_sb_faults *faults; /* NULL: none happen */
    const char *address;
    int port; /* 0: a free one */
    /* Paths below /moonherd/v1/sandbox/, for the admin only, whatever faults there are. Answers
     * by mh_sb_answer and calls req->done. NULL: there are none. */
    void (*control)(void *arg, struct mh_sb_req *req);
    void *arg;
};

/* NULL with err: INVALID, IO (the port is taken), NOMEM. Texts of the config must live on. */
struct mh_sb_door *mh_sb_door_new(const struct mh_sb_door_config *config, struct mh_err *err);
/* Closes everything; requests not yet answered are answered to nobody. NULL is allowed. */
void mh_sb_door_free(struct mh_sb_door *d);
int mh_sb_door_port(const struct mh_sb_door *d);
/* A further address with the same requests (the Service kubernetes). */
enum mh_code mh_sb_door_also(struct mh_sb_door *d, const char *address, int port,
                             struct mh_err *err);

/* The HTTP request behind a request; NULL if it came from inside the process. */
struct mh_request *mh_sb_door_http(struct mh_sb_req *req);
/* Who asks, with all that his token says; NULL as above. */
const struct mh_sb_who *mh_sb_door_who(struct mh_sb_req *req);
/* Instead of req->done, when the HTTP request was answered by a stream or taken over: req is gone. */
void mh_sb_door_taken(struct mh_sb_req *req);

#endif
