/* control_world.h - the controllers on the test world: a store, nodes, and what kubelets would do. */
#ifndef MH_TEST_CONTROL_WORLD_H
#define MH_TEST_CONTROL_WORLD_H

#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "sandbox/control.h"
#include "sandbox/service.h"

static struct mh_sb_control *cw;

/* pods/NAME/binding: the pod gets its node. */
static bool
cw_bind(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *a)
{
    size_t n = strlen(r->path);
    char path[512];
    (void)arg;
    if (strcmp(r->method, "POST") != 0 || !mh_str_ends(r->path, "/binding"))
        return false;
    (void)snprintf(path, sizeof(path), "%.*s", (int)(n - strlen("/binding")), r->path);
    yyjson_val *pod = tw_object(tw, path);
    if (!pod || mh_json_str(pod, "spec", "nodeName", NULL)) {
        a->status = 409;
        a->json = "{\"kind\":\"Status\",\"reason\":\"Conflict\"}";
        return true;
    }
    yyjson_mut_doc *d = mh_json_doc(&tw->arena);
    yyjson_mut_val *o = yyjson_val_mut_copy(d, pod);
    (void)yyjson_mut_obj_add_str(d, yyjson_mut_obj_get(o, "spec"), "nodeName",
                                 mh_json_str(r->body, "target", "name", NULL));
    tw_put(tw, path, mh_json_mut_text(&tw->arena, o, NULL));
    a->status = 201;
    a->json = "{\"kind\":\"Status\",\"status\":\"Success\"}";
    return true;
}

static inline void
cw_node(struct tw *tw, const char *name, const char *zone, const char *extra)
{
    char path[128], json[2000];
    (void)snprintf(path, sizeof(path), "/api/v1/nodes/%s", name);
    (void)snprintf(json, sizeof(json),
                   "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"%s\","
                   "\"labels\":{\"kubernetes.io/hostname\":\"%s\","
                   "\"topology.kubernetes.io/zone\":\"%s\"}},\"spec\":{%s},\"status\":{"
                   "\"allocatable\":{\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":\"110\"},"
                   "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
                   "\"lastHeartbeatTime\":\"2026-01-01T00:00:00Z\"}]}}",
                   name, name, zone, extra);
    tw_put(tw, path, json);
}

static inline void
cw_pod(struct tw *tw, const char *name, const char *meta, const char *spec)
{
    char path[200], json[4000];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", name);
    (void)snprintf(json, sizeof(json),
                   "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\","
                   "\"namespace\":\"ns\"%s%s},\"spec\":{%s},\"status\":{\"phase\":\"Pending\"}}",
                   name, *meta ? "," : "", meta, spec);
    tw_put(tw, path, json);
}

/* The kubelet's word on a pod. */
static inline void
cw_status(struct tw *tw, const char *name, const char *phase, const char *ip, bool ready)
{
    char path[200], json[1000];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", name);
    (void)snprintf(json, sizeof(json),
                   "{\"phase\":\"%s\",\"podIP\":\"%s\",\"conditions\":[{\"type\":\"Ready\","
                   "\"status\":\"%s\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}",
                   phase, ip, ready ? "True" : "False");
    yyjson_val *status = NULL;
    yyjson_mut_doc *d = mh_json_doc(&tw->arena);
    yyjson_mut_val *o = yyjson_val_mut_copy(d, tw_object(tw, path));
    CHECK(mh_json_parse(&tw->arena, json, strlen(json), &status, NULL) == MH_OK);
    (void)yyjson_mut_obj_put(o, yyjson_mut_str(d, "status"), yyjson_val_mut_copy(d, status));
    tw_put(tw, path, mh_json_mut_text(&tw->arena, o, NULL));
}

/* Puts `json`'s members into an object that is there (a merge patch). */
static inline void
cw_merge(struct tw *tw, const char *path, const char *json)
{
    yyjson_val *patch = NULL, *old = tw_object(tw, path);
    yyjson_mut_doc *d = mh_json_doc(&tw->arena);
    CHECK(mh_json_parse(&tw->arena, json, strlen(json), &patch, NULL) == MH_OK);
    yyjson_mut_val *o = yyjson_merge_patch(d, old, patch);
    tw_put(tw, path, mh_json_mut_text(&tw->arena, o, NULL));
}

static inline void
cw_settle(struct tw *tw)
{
    for (int i = 0; i < 20; i++)
        tw_settle(tw);
}

/* Seconds pass, and the kubelet of node1 is heard of. */
static inline void
cw_live(struct tw *tw, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        char json[300], when[MH_TIME_TEXT];
        mh_time_rfc3339_micro(when, tw->wall_us);
        (void)snprintf(json, sizeof(json), "{\"spec\":{\"renewTime\":\"%s\"}}", when);
        tw_put(tw, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node1", json);
        tw_advance(tw, MH_NS_PER_S);
    }
}

static const char *cw_data;

static inline struct tw *
cw_new(int nodes)
{
    struct tw *tw = tw_new(1);
    struct mh_err err;
    tw_store(tw);
    tw_api_on(tw, cw_bind, NULL);
    tw_put(tw, "/api/v1/namespaces/ns",
           "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\""
           ":{\"labels\":{\"team\":\"a\"}}}");
    for (int i = 1; i <= nodes; i++) {
        char name[16], zone[16];
        (void)snprintf(name, sizeof(name), "node%d", i);
        (void)snprintf(zone, sizeof(zone), "zone%d", i);
        cw_node(tw, name, zone, "");
    }
    struct mh_sb_control_config config = { .n = 77, .data = cw_data, .ca_pem = "CA" };
    cw = mh_sb_control_start(tw->world.api, tw->world.clock, NULL, &config, &err);
    CHECK(cw != NULL);
    cw_settle(tw);
    return tw;
}

static inline void
cw_free(struct tw *tw)
{
    mh_sb_control_stop(cw);
    tw_free(tw);
}

static inline const char *
cw_text(struct tw *tw, const char *path, const char *a, const char *b)
{
    yyjson_val *o = tw_object(tw, path);
    return b ? mh_json_str(o, a, b, NULL) : mh_json_str(o, a, NULL);
}

#endif
