/* pods_helper.h - real instance managers over real PostgreSQL, each in a mount namespace of its own so that
 * /controller is there, all on the loopback with an address of its own each. Their API server is the
 * object store of the test world, served over plain HTTP. */
#ifndef MH_TEST_PODS_HELPER_H
#define MH_TEST_PODS_HELPER_H

#include <event2/event.h>

#include "base/buf.h"
#include "harness/world.h"

#define PODS_NS "space"
#define PODS_CLUSTER "/apis/postgresql.cnpg.io/v1/namespaces/space/clusters/demo"
#define PODS_LEASE "/apis/coordination.k8s.io/v1/namespaces/space/leases/demo"
#define PODS_MAX 3

struct pod {
    struct pods *pods;
    char name[16];
    char address[20];
    bool own_pids; /* PID 1 of a PID namespace of its own */
    bool running;
    bool ended;
    struct mh_child child;
    const char *argv[40];
    const char *env[24];
    struct mh_buf log; /* all that it wrote */
};

struct pods {
    struct event_base *base;
    struct mh_world w; /* real clock, processes, PostgreSQL, files */
    struct mh_arena arena;
    struct tw *tw;
    struct mh_server *api;
    struct mh_http *http;
    struct event *beat;
    int64_t beat_ns;
    char dir[40];
    const char *ca, *server_cert, *server_key, *client_cert, *client_key;
    const char *operator_cert, *operator_key;
    struct pod pod[PODS_MAX]; /* of demo-1, demo-2, demo-3 */
};

/* NULL: this machine cannot (said on stdout). */
struct pods *pods_new(void);
void pods_free(struct pods *p);
/* Runs `moonherd instance ARGUMENTS` to its end as pod n (1..3); its exit code. Output goes to the pod's
 * log. */
int pods_run(struct pods *p, int n, const char *const *arguments);
void pods_start(struct pods *p, int n, bool own_pids);
void pods_stop(struct pods *p, int n);
/* Merge patch. */
void pods_patch(struct pods *p, const char *path, const char *json);
void pods_secret(struct pods *p, const char *name, const char *user, const char *password);
/* The first value, "" for none or null, or the error. */
const char *pods_ask(struct pods *p, const char *conninfo, const char *sql);
/* As postgres through the socket, as the application over TCP. */
const char *pods_local(struct pods *p, int n, const char *sql);
const char *pods_app(struct pods *p, int n, const char *password, const char *sql);
/* Until the answer is `want`, at most so many seconds; what was answered last. */
const char *pods_wait_local(struct pods *p, int n, const char *sql, const char *want, int seconds);
enum pods_who { PODS_NOBODY, PODS_REPLICA, PODS_OPERATOR };
/* The status of a GET, or of a POST with this body; 0: no answer. */
int pods_ask_as(struct pods *p, enum pods_who who, int n, const char *path, const char *body);
/* GET https://POD:8000PATH; POST of a command of the operator's. The status, 0: no answer. */
int pods_get(struct pods *p, const char *address, const char *path, yyjson_val **body);
/* What it says on port 9187, "" for nothing. */
const char *pods_metrics(struct pods *p, int n);
int pods_command(struct pods *p, int n, const char *command);
/* Lets time go by. */
void pods_pause(struct pods *p, int ms);

#endif
