/* rest.h - the sandbox's API server without its door: requests in, answers and watch lines out.
 *
 * One loop, one thread. Everybody in the process (controllers, nodes, simulation) talks through
 * mh_sb_direct or mh_sb_serve, as a client over HTTPS would; only authorization is left out for
 * mh_sb_direct. Owner: the caller owns requests and keeps them until done ran. */
#ifndef MH_SANDBOX_REST_H
#define MH_SANDBOX_REST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/world.h"

#define MH_SB_WARNINGS_MAX 16

struct mh_sb_api;
struct mh_sb_watch;

/* --- a request ------------------------------------------------------------------------------- */

struct mh_sb_req {
    /* set by the caller; NULL is allowed where "NULL:" says what it means */
    const char *user;
    const char *uid;           /* NULL: none */
    const char *const *groups; /* ends with NULL; NULL: none */
    const char *method;
    const char *path;          /* with the query, as it came */
    const char *content_type;  /* NULL: application/json */
    const char *accept;        /* NULL: application/json */
    const char *user_agent;    /* NULL: unknown; names the field manager */
    const char *if_none_match; /* NULL: none */
    const char *body;          /* NULL: none */
    size_t body_len;
    bool trusted; /* inside the process: not authorized again */
    bool at_once; /* of the server itself: not admitted, answered before it is on disk */
    struct mh_arena *arena;
    void (*done)(struct mh_sb_req *req); /* exactly once, maybe from inside mh_sb_serve */
    void *arg;
    /* set before done */
    int status;
    const char *reply; /* on the arena, or lives as long as the server */
    size_t reply_len;
    const char *reply_type; /* "application/json" */
    const char *etag;       /* NULL: none */
    int retry_after_s;
    const char *warnings[MH_SB_WARNINGS_MAX]; /* plain texts, each for a Warning header */
    int nwarnings;
    void *impl; /* of rest */
};

/* What a request is about. All texts but user are never NULL: "" where there is none. */
struct mh_sb_attrs {
    const char *user;
    const char *uid;
    const char *const *groups; /* may be NULL */
    const char *verb;          /* get list watch create update patch delete deletecollection; or the
                                  method in small letters for what is no resource */
    const char *group;
    const char *version;
    const char *resource;
    const char *subresource;
    const char *ns;
    const char *name;
    const char *path; /* without the query */
    bool is_resource;
};

/* --- what others plug in --------------------------------------------------------------------- */

/* One stage of admission for one request. The admitter calls done exactly once, at once or later;
 * it may have changed the object (mutating stage) and added warnings to the request. */
struct mh_sb_admit {
    struct mh_sb_api *api;
    struct mh_sb_req *req;
    const struct mh_sb_attrs *at;
    const char *kind;      /* "Pod"; of a subresource its own: Binding, Scale, Eviction */
    const char *operation; /* CREATE UPDATE DELETE CONNECT */
    bool validating;       /* false: the mutating stage, which comes first */
    bool dry_run;
    yyjson_mut_doc *doc;    /* of object; on arena */
    yyjson_mut_val *object; /* NULL for DELETE and CONNECT; may be replaced by another of doc. Has
                               kind and apiVersion */
    yyjson_val *old;        /* NULL for CREATE and CONNECT; has kind and apiVersion */
    yyjson_val *options;    /* CreateOptions, ...; may be NULL */
    struct mh_arena *arena;
    /* the answer; code 0: allowed. A refusal is answered as Status{code, reason, message} */
    int code;
    const char *reason;  /* "Forbidden"; "" for none */
    const char *message; /* whole text as the client sees it */
    yyjson_val *details; /* may be NULL */
    void (*done)(struct mh_sb_admit *ad);
    void *arg;  /* of rest */
    void *impl; /* of the admitter */
};

struct mh_sb_hooks {
    /* May this be done? *reason (on the arena, may stay NULL) ends the sentence of a refusal.
     * NULL: everything is allowed. */
    bool (*authorize)(void *arg, struct mh_arena *a, const struct mh_sb_attrs *at,
                      const char **reason);
    /* NULL: everything is admitted as it is. Not asked for reviews and tokens. */
    void (*admit)(void *arg, struct mh_sb_admit *ad);
    /* SubjectAccessReview, TokenReview, ... and serviceaccounts/NAME/token: body is the object that
     * came (kind and apiVersion checked). Sets status and reply of req (mh_sb_answer,
     * mh_sb_refuse), then calls req->done, at once or later. */
    void (*review)(void *arg, struct mh_sb_req *req, const struct mh_sb_attrs *at,
                   yyjson_val *body);
    /* pods/NAME/{log,exec,attach,portforward,proxy}, nodes/NAME/proxy, services/NAME/proxy: as
     * review. `object` is the pod, node or service. */
    void (*connect)(void *arg, struct mh_sb_req *req, const struct mh_sb_attrs *at,
                    yyjson_val *object);
    /* Non-resource paths that rest does not know (/healthz, /metrics, ...). False: 404. */
    bool (*other)(void *arg, struct mh_sb_req *req);
    void *arg;
};

/* --- the server ------------------------------------------------------------------------------ */

struct mh_sb_config {
    struct mh_clock clock;
    struct mh_rand rand;
    const char *data_dir; /* NULL: in memory only */
    const char *address;  /* "127.7.0.1:6443", for discovery; NULL: "" */
    int changes;          /* a kind remembers this many for watches; 0: MH_SB_CHANGES */
    /* The data directory cannot be written: nothing is acknowledged any more. May be NULL. */
    void (*on_broken)(void *arg, const char *why);
    void *arg;
};

/* With the namespaces default, kube-system, kube-public and kube-node-lease. NULL: *err says why
 * (NOMEM, IO, INVALID for a damaged data directory). */
struct mh_sb_api *mh_sb_api_new(const struct mh_sb_config *config, struct mh_err *err);
/* Ends all watches without a word; calls under way of mh_sb_direct must have been cancelled. */
void mh_sb_api_free(struct mh_sb_api *api);
struct mh_sb_hooks *mh_sb_hooks(struct mh_sb_api *api);

/* Answers one request: every verb but watch. Never fails itself: 500 is an answer. */
void mh_sb_serve(struct mh_sb_api *api, struct mh_sb_req *req);
/* Is this a watch (method GET, watch=true or /watch/)? Then mh_sb_watch_open serves it. */
bool mh_sb_is_watch(const struct mh_sb_req *req);
/* What the request is about; false: no such path (attrs then say the path and the verb only). */
bool mh_sb_resolve(struct mh_sb_api *api, const struct mh_sb_req *req, struct mh_sb_attrs *at);
/* Authorizes by the hook; on refusal the request has its answer (403) and it returns false. */
bool mh_sb_may(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_attrs *at);

/* Sets status and reply; the text must live on req->arena. */
void mh_sb_answer(struct mh_sb_req *req, int status, const char *json, size_t len);
/* Answers a Status object. reason may be NULL or "". */
void mh_sb_refuse(struct mh_sb_req *req, int status, const char *reason, const char *message);
/* Adds a warning; too many are dropped. */
void mh_sb_warn(struct mh_sb_req *req, const char *text);

/* --- watches --------------------------------------------------------------------------------- */

/* Lines come from the loop, never from inside open; text ends with a newline and is gone after the
 * return. Closing inside on_line is allowed. */
struct mh_sb_watch_to {
    void (*on_line)(void *arg, const char *text, size_t len);
    void (*on_end)(void *arg); /* timeoutSeconds is over or the stream got an ERROR; may be NULL.
                                  Close it then (inside is allowed) */
    void *arg;
};
/* NULL: refused, the request has its answer; done is not called. The request is no longer needed
 * after the return. */
struct mh_sb_watch *mh_sb_watch_open(struct mh_sb_api *api, struct mh_sb_req *req,
                                     const struct mh_sb_watch_to *to);
/* NULL is allowed. */
void mh_sb_watch_close(struct mh_sb_watch *w);

/* --- inside the process ---------------------------------------------------------------------- */

/* base/world.h's API as this user, without authorization; lives as long as the server. self is
 * NULL when there is no memory. Replies and events come from the loop. */
struct mh_api mh_sb_direct(struct mh_sb_api *api, const char *user);

/* Reads at once, for authorization and admission. The object with kind and apiVersion, on the
 * arena; NULL: not there. ns "" or NULL for kinds without. */
yyjson_val *mh_sb_get(struct mh_sb_api *api, struct mh_arena *a, const char *group,
                      const char *resource, const char *ns, const char *name);
/* Calls fn for each, in order of namespace and name (ns NULL: all) until it returns false. The
 * object lives until fn returns, unless `a` is given: then it is made there. */
void mh_sb_each(struct mh_sb_api *api, struct mh_arena *a, const char *group, const char *resource,
                const char *ns, bool (*fn)(void *arg, yyjson_val *object), void *arg);
/* resourceVersion of the last change in this resource; 0: none. For caches. */
uint64_t mh_sb_changed(struct mh_sb_api *api, const char *group, const char *resource);

/* --- for tests and faults -------------------------------------------------------------------- */

/* Forgets all changes: older watches and pages get 410. */
void mh_sb_compact(struct mh_sb_api *api);

struct mh_sb_stats {
    uint64_t version;
    size_t objects;
    size_t bytes; /* of their texts */
    size_t watches;
    uint64_t requests;
    uint64_t lines; /* given to watches */
};
void mh_sb_stats_get(const struct mh_sb_api *api, struct mh_sb_stats *out);

#endif
