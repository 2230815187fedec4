/* The controllers on the sandbox's own API server and a real loop. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "io/file.h"
#include "io/loop.h"
#include "sandbox/control.h"
#include "sandbox/rest.h"
#include "sandbox/service.h"

struct place {
    struct event_base *loop;
    struct mh_clock clock;
    struct mh_sb_api *server;
    struct mh_api api;
    struct mh_sb_control *control;
    struct mh_arena arena;
    bool waiting;
    char data[64];
};

static void
on_answer(struct mh_api_call *call)
{
    *(bool *)call->arg = false;
}

static int
ask(struct place *p, const char *method, const char *path, const char *body)
{
    struct mh_api_call call = { .method = method,
                                .path = path,
                                .content_type =
                                    strcmp(method, "PATCH") == 0 ? MH_PATCH_MERGE : NULL,
                                .body = body,
                                .body_len = body ? strlen(body) : 0,
                                .arena = &p->arena,
                                .done = on_answer,
                                .arg = &p->waiting };
    p->waiting = true;
    p->api.start(p->api.self, &call);
    while (p->waiting)
        (void)event_base_loop(p->loop, EVLOOP_ONCE);
    if (call.status >= 300)
        printf("# %s %s: %d %s\n", method, path, call.status, call.err.msg);
    return call.status;
}

static void
setup(struct place *p)
{
    struct mh_err err = { 0 };
    *p = (struct place){ .loop = mh_loop_new() };
    mh_arena_init(&p->arena, (size_t)64 << 20);
    p->clock = mh_clock_real(p->loop);
    struct mh_sb_config config = { .clock = p->clock, .rand = mh_rand_real() };
    p->server = mh_sb_api_new(&config, &err);
    CHECK_STR(err.msg, "");
    p->api = mh_sb_direct(p->server, "system:kube-controller-manager");
    (void)snprintf(p->data, sizeof(p->data), "/tmp/mh-control-%d", (int)getpid());
    (void)mkdir(p->data, 0700);
    for (int i = 1; i <= 3; i++) {
        char json[600];
        (void)snprintf(json, sizeof(json),
                       "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"node%d\","
                       "\"labels\":{\"kubernetes.io/hostname\":\"node%d\"}},\"status\":{"
                       "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],"
                       "\"allocatable\":{\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":\"110\"}}}",
                       i, i);
        CHECK_INT(ask(p, "POST", "/api/v1/nodes", json), 201);
    }
    struct mh_sb_control_config cc = { .n = 201, .data = p->data, .ca_pem = "CA" };
    p->control = mh_sb_control_start(p->api, p->clock, p->loop, &cc, &err);
    CHECK(p->control != NULL);
}

static void
teardown(struct place *p)
{
    mh_sb_control_stop(p->control);
    mh_sb_api_free(p->server);
    mh_clock_release(&p->clock);
    event_base_free(p->loop);
    mh_arena_release(&p->arena);
    char volumes[100];
    (void)snprintf(volumes, sizeof(volumes), "%s/volumes", p->data);
    (void)rmdir(volumes);
    (void)rmdir(p->data);
}

/* Until nothing is left to do, at most 5 s. The number of milliseconds it took. */
static int64_t
settle(struct place *p)
{
    int64_t began = p->clock.mono_ns(p->clock.self), last = began;
    while (last - began < 5 * MH_NS_PER_S) {
        (void)event_base_loop(p->loop, EVLOOP_NONBLOCK);
        int64_t now = p->clock.mono_ns(p->clock.self);
        if (!mh_sb_control_idle(p->control))
            last = now;
        if (now - last > 30 * MH_NS_PER_MS)
            return (last - began) / MH_NS_PER_MS;
    }
    bool settled_in_5_s = false;
    CHECK(settled_in_5_s);
    return -1;
}

static yyjson_val *
get(struct place *p, const char *resource, const char *ns, const char *name)
{
    return mh_sb_get(p->server, &p->arena,
                     strcmp(resource, "deployments") == 0 ? "apps"
                     : strcmp(resource, "jobs") == 0      ? "batch"
                                                          : "",
                     resource, ns, name);
}

TEST(a_pod_with_a_claim_is_bound_within_a_moment)
{
    struct place p;
    setup(&p);
    (void)settle(&p);
    CHECK(get(&p, "serviceaccounts", "default", "default") != NULL);
    CHECK_STR(mh_json_str(get(&p, "services", "default", "kubernetes"), "spec", "clusterIP", NULL),
              "127.201.0.1");
    CHECK_INT(ask(&p, "POST", "/api/v1/namespaces/default/persistentvolumeclaims",
                  "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{"
                  "\"name\":\"d\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{"
                  "\"requests\":{\"storage\":\"1Gi\"}}}}"),
              201);
    CHECK_INT(ask(&p, "POST", "/api/v1/namespaces/default/pods",
                  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"labels\":"
                  "{\"app\":\"a\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}],"
                  "\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":"
                  "\"d\"}}]}}"),
              201);
    int64_t ms = settle(&p);
    printf("# bound after %lld ms\n", (long long)ms);
    CHECK(ms < 500);
    CHECK(mh_json_str(get(&p, "pods", "default", "a"), "spec", "nodeName", NULL) != NULL);
    CHECK_STR(
        mh_json_str(get(&p, "persistentvolumeclaims", "default", "d"), "status", "phase", NULL),
        "Bound");
    CHECK_INT(ask(&p, "DELETE", "/api/v1/namespaces/default/pods/a?gracePeriodSeconds=0", NULL),
              200);
    CHECK_INT(ask(&p, "DELETE", "/api/v1/namespaces/default/persistentvolumeclaims/d", NULL), 200);
    (void)settle(&p);
    CHECK(get(&p, "persistentvolumeclaims", "default", "d") == NULL);
    teardown(&p);
}

TEST(a_deployment_and_a_service_come_up_and_go_away)
{
    struct place p;
    setup(&p);
    (void)settle(&p);
    CHECK_INT(
        ask(&p, "POST", "/apis/apps/v1/namespaces/default/deployments",
            "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":"
            "\"op\"},\"spec\":{\"replicas\":2,\"selector\":{\"matchLabels\":{\"app\":\"op\"}},"
            "\"template\":{\"metadata\":{\"labels\":{\"app\":\"op\"}},\"spec\":{"
            "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"),
        201);
    CHECK_INT(ask(&p, "POST", "/api/v1/namespaces/default/services",
                  "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"op\"},"
                  "\"spec\":{\"selector\":{\"app\":\"op\"},\"ports\":[{\"port\":8443,"
                  "\"targetPort\":9443}]}}"),
              201);
    int64_t ms = settle(&p);
    printf("# placed after %lld ms\n", (long long)ms);
    yyjson_val *d = get(&p, "deployments", "default", "op");
    CHECK_INT(mh_json_int(d, 0, "status", "replicas", NULL), 2);
    const char *ip = mh_json_str(get(&p, "services", "default", "op"), "spec", "clusterIP", NULL);
    CHECK(ip && mh_str_starts(ip, "127.201."));
    CHECK(get(&p, "endpoints", "default", "op") != NULL);
    CHECK(strstr(mh_sb_hosts(p.control, &p.arena, "default"), " op.default "));
    CHECK_INT(ask(&p, "POST", "/apis/batch/v1/namespaces/default/jobs",
                  "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"j\"},"
                  "\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{"
                  "\"name\":\"c\",\"image\":\"i\"}]}}}}"),
              201);
    (void)settle(&p);
    CHECK_INT(mh_json_int(get(&p, "jobs", "default", "j"), 0, "status", "active", NULL), 1);
    CHECK_INT(ask(&p, "DELETE", "/apis/apps/v1/namespaces/default/deployments/op", NULL), 200);
    CHECK_INT(ask(&p, "DELETE", "/api/v1/namespaces/default/services/op", NULL), 200);
    (void)settle(&p);
    CHECK(get(&p, "endpoints", "default", "op") == NULL);
    teardown(&p);
}
