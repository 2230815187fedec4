/* notify.h - tells people: what happens to a cluster, as the policy notify/v1 words it.
 *
 * Events of a cluster that come within two seconds are one question to the policy; its messages go
 * to targets by name. Which names there are, and where they lead, only the administrator says
 * (environment of the operator); a script never sees an address. Everything is beside the passes:
 * nothing here is waited for. Limits: 200 events a question, 10 messages an answer, 50 posts under
 * way, 10 s each, three tries.
 *
 *   NOTIFY_TARGETS        "NAME=URL ..." or "NAME=secret:SECRET/KEY ...", a Secret of the operator's
 *                         namespace whose key holds the URL
 *   NOTIFY_ALLOWED_HOSTS  "hooks.example.com *.alerts.example.com"; for anything but https on port
 *                         443 with scheme and port: "http://127.0.0.1:8099"
 *   NOTIFY_CA_FILE        whom to trust; without: the system's list */
#ifndef MH_OPERATOR_NOTIFY_H
#define MH_OPERATOR_NOTIFY_H

#include "base/json.h"
#include "base/map.h"
#include "base/world.h"
#include "kube/event.h"
#include "lua/policy_store.h"
#include "net/http_client.h"

#define MH_NOTIFY_TARGETS 32

struct mh_notify_target {
    const char *name;
    const char *url;    /* or: */
    const char *secret; /* "SECRET/KEY" */
};

struct mh_notify {
    /* set by the caller */
    struct mh_clock clock;
    struct mh_api api; /* for secrets */
    struct mh_http *http;
    struct mh_policies *policies;
    const char *name_space;                                      /* of the operator */
    void (*on_decision)(void *arg, const struct mh_decision *d); /* may be NULL */
    void (*on_post)(void *arg, const char *target, bool ok);     /* may be NULL */
    void *arg;
    /* private */
    struct mh_arena arena;
    struct mh_notify_target targets[MH_NOTIFY_TARGETS];
    int ntargets;
    const char *allowed;
    const char *ca_file;
    struct mh_map herds; /* "kind ns name" -> what we know of the cluster */
    struct mh_notify_post *posts;
    int nposts;
};

/* Reads the environment. INVALID with the name of the variable. */
enum mh_code mh_notify_init(struct mh_notify *n, struct mh_err *err);
void mh_notify_release(struct mh_notify *n);
/* Something happened to this object (a Cluster). Copies what it needs. */
void mh_notify_event(struct mh_notify *n, yyjson_val *object, const char *type, const char *reason,
                     const char *note);

/* --- between notify.c and notify_post.c --- */

/* Sends one message {"target","key","title","text","severity"} of the cluster ns/name. */
void mh_notify_send(struct mh_notify *n, const char *ns, const char *name, yyjson_val *message);
void mh_notify_stop_posts(struct mh_notify *n);
/* Whether this URL may be posted to. */
bool mh_notify_allowed(const char *allowed, const char *url);

#endif
