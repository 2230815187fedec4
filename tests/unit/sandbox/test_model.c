/* Modelled instances without sockets: the kubelet's and the manager's part on the test world. */
#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "sandbox/model.h"

#define CLUSTER "/apis/postgresql.cnpg.io/v1/namespaces/ns/clusters/c"
#define LEASE "/apis/coordination.k8s.io/v1/namespaces/ns/leases/c"

static struct mh_sb_model *model;

static void
settle(struct tw *tw)
{
    for (int i = 0; i < 10; i++)
        tw_settle(tw);
}

static struct tw *
start(int instances)
{
    struct tw *tw = tw_new(1);
    struct mh_err err;
    char json[500];
    struct mh_sb_model_config config = { .n = 88 };
    tw_store(tw);
    (void)snprintf(json, sizeof(json),
                   "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"spec\":{"
                   "\"instances\":%d}}",
                   instances);
    tw_put(tw, CLUSTER, json);
    tw_put(tw, LEASE, "{\"metadata\":{\"labels\":{\"cnpg.io/cluster\":\"c\"}},\"spec\":{}}");
    model = mh_sb_model_start(tw->world.api, tw->world.clock, NULL, &config, &err);
    CHECK(model != NULL);
    settle(tw);
    return tw;
}

static void
stop(struct tw *tw)
{
    mh_sb_model_stop(model);
    tw_free(tw);
}

static void
pod(struct tw *tw, const char *name, const char *label, const char *instance)
{
    char path[128], json[900];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/persistentvolumeclaims/%s", instance);
    if (!tw_object(tw, path))
        tw_put(tw, path, "{\"spec\":{}}");
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", name);
    (void)snprintf(json, sizeof(json),
                   "{\"metadata\":{\"annotations\":{\"moonherd.io/modelled\":\"true\"},\"labels\":{"
                   "\"cnpg.io/cluster\":\"c\",\"cnpg.io/instanceName\":\"%s\",%s}},\"spec\":{"
                   "\"nodeName\":\"node1\",\"containers\":[{\"name\":\"postgres\",\"image\":"
                   "\"i\"}]},\"status\":{\"phase\":\"Pending\"}}",
                   instance, label);
    tw_put(tw, path, json);
    settle(tw);
}

static void
instance(struct tw *tw, const char *name, const char *how)
{
    char job[64], label[64];
    (void)snprintf(job, sizeof(job), "%s-%s", name, how);
    (void)snprintf(label, sizeof(label), "\"cnpg.io/jobRole\":\"%s\"", how);
    pod(tw, job, label, name);
    pod(tw, name, "\"cnpg.io/podRole\":\"instance\"", name);
    tw_advance(tw, 3 * MH_NS_PER_S);
}

static const char *
text(struct tw *tw, const char *path, const char *a, const char *b, const char *c)
{
    yyjson_val *o = tw_object(tw, path);
    return c ? mh_json_str(o, a, b, c, NULL) : mh_json_str(o, a, b, NULL);
}

static const char *
ready(struct tw *tw, const char *name)
{
    char path[128];
    size_t i, max;
    yyjson_val *v;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", name);
    yyjson_val *list = mh_json_get(tw_object(tw, path), "status", "conditions", NULL);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (mh_str_eq(mh_json_str(v, "type", NULL), "Ready"))
            return mh_json_str(v, "status", NULL);
    }
    return NULL;
}

static const char *
role(struct tw *tw, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", name);
    return text(tw, path, "metadata", "labels", "role");
}

/* What the operator does with the Lease. */
static void
lease(struct tw *tw, const char *holder, int term, const char *phase)
{
    size_t len;
    char json[500];
    yyjson_val *patch = NULL;
    (void)snprintf(json, sizeof(json),
                   "{\"metadata\":{\"annotations\":{\"moonherd.io/phase\":\"%s\","
                   "\"moonherd.io/incarnation\":null}},\"spec\":{\"holderIdentity\":\"%s\","
                   "\"leaseTransitions\":%d}}",
                   phase, holder, term);
    CHECK(mh_json_parse(&tw->arena, json, strlen(json), &patch, NULL) == MH_OK);
    yyjson_mut_doc *d = mh_json_doc(&tw->arena);
    yyjson_mut_val *o = yyjson_merge_patch(d, tw_object(tw, LEASE), patch);
    tw_put(tw, LEASE, mh_json_mut_text(&tw->arena, o, &len));
    settle(tw);
}

TEST(a_pod_without_the_annotation_is_left_alone)
{
    struct tw *tw = start(1);
    tw_put(tw, "/api/v1/namespaces/ns/pods/real",
           "{\"metadata\":{\"labels\":{\"cnpg.io/cluster\":\"c\",\"cnpg.io/podRole\":"
           "\"instance\"}},\"spec\":{\"nodeName\":\"node1\"}}");
    tw_advance(tw, MH_NS_PER_S);
    CHECK(text(tw, "/api/v1/namespaces/ns/pods/real", "status", "podIP", NULL) == NULL);
    CHECK_INT(mh_sb_model_count(model), 0);
    stop(tw);
}

TEST(the_first_instance_claims_the_lease_and_keeps_it)
{
    struct tw *tw = start(1);
    instance(tw, "c-1", "initdb");
    CHECK_STR(text(tw, "/api/v1/namespaces/ns/pods/c-1-initdb", "status", "phase", NULL),
              "Succeeded");
    CHECK_STR(text(tw, "/api/v1/namespaces/ns/pods/c-1", "status", "phase", NULL), "Running");
    CHECK(mh_str_starts(text(tw, "/api/v1/namespaces/ns/pods/c-1", "status", "podIP", NULL),
                        "127.88.128."));
    CHECK_STR(ready(tw, "c-1"), "True");
    CHECK_STR(role(tw, "c-1"), "primary");
    CHECK_STR(text(tw, LEASE, "spec", "holderIdentity", NULL), "c-1");
    CHECK_INT(mh_json_int(tw_object(tw, LEASE), 0, "spec", "leaseTransitions", NULL), 1);
    CHECK_STR(text(tw, CLUSTER, "status", "currentPrimary", NULL), "c-1");
    int before = tw_api_count(tw, "PATCH", "/leases/c");
    tw_advance(tw, 10 * MH_NS_PER_S);
    int renewals = tw_api_count(tw, "PATCH", "/leases/c") - before;
    CHECK(renewals >= 4 && renewals <= 6);
    stop(tw);
}

TEST(others_follow_and_one_that_is_elected_takes_over)
{
    struct tw *tw = start(3);
    instance(tw, "c-1", "initdb");
    instance(tw, "c-2", "join");
    instance(tw, "c-3", "join");
    CHECK_STR(ready(tw, "c-2"), "True");
    CHECK_STR(ready(tw, "c-3"), "True");
    lease(tw, "c-1", 2, "fencing");
    CHECK_STR(ready(tw, "c-1"), "False");
    lease(tw, "c-2", 2, "promoting");
    tw_advance(tw, 3 * MH_NS_PER_S);
    CHECK_STR(text(tw, LEASE, "metadata", "annotations", "moonherd.io/phase"), "stable");
    CHECK_STR(text(tw, LEASE, "metadata", "annotations", "moonherd.io/served"), "2");
    CHECK_STR(role(tw, "c-2"), "primary");
    CHECK_STR(role(tw, "c-1"), "replica");
    CHECK_STR(text(tw, CLUSTER, "status", "currentPrimary", NULL), "c-2");
    /* The old one is rewound and follows. */
    CHECK_STR(ready(tw, "c-1"), "True");
    stop(tw);
}

TEST(a_pod_that_is_deleted_stops_and_goes_and_its_successor_goes_on)
{
    struct tw *tw = start(1);
    instance(tw, "c-1", "initdb");
    yyjson_mut_doc *d = mh_json_doc(&tw->arena);
    yyjson_mut_val *o = yyjson_val_mut_copy(d, tw_object(tw, "/api/v1/namespaces/ns/pods/c-1"));
    (void)yyjson_mut_obj_add_str(d, yyjson_mut_obj_get(o, "metadata"), "deletionTimestamp",
                                 "2026-01-01T00:00:00Z");
    tw_put(tw, "/api/v1/namespaces/ns/pods/c-1", mh_json_mut_text(&tw->arena, o, NULL));
    tw_advance(tw, MH_NS_PER_S);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/c-1") == NULL);
    pod(tw, "c-1", "\"cnpg.io/podRole\":\"instance\"", "c-1");
    tw_advance(tw, 3 * MH_NS_PER_S);
    CHECK_STR(ready(tw, "c-1"), "True");
    CHECK_INT(mh_json_int(tw_object(tw, LEASE), 0, "spec", "leaseTransitions", NULL), 1);
    stop(tw);
}

TEST(a_volume_of_an_earlier_life_is_known_by_the_lease)
{
    struct tw *tw = start(1);
    instance(tw, "c-1", "initdb");
    mh_sb_model_stop(model);
    struct mh_err err;
    struct mh_sb_model_config config = { .n = 88 };
    tw_put(tw, "/api/v1/namespaces/ns/persistentvolumeclaims/c-1",
           "{\"metadata\":{\"annotations\":{\"cnpg.io/pvcStatus\":\"ready\"}},\"spec\":{}}");
    model = mh_sb_model_start(tw->world.api, tw->world.clock, NULL, &config, &err);
    int before = tw_api_count(tw, "PATCH", "/leases/c");
    tw_advance(tw, 6 * MH_NS_PER_S);
    CHECK(tw_api_count(tw, "PATCH", "/leases/c") > before);
    CHECK_STR(ready(tw, "c-1"), "True");
    stop(tw);
}
