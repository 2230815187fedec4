#include "control_world.h"

TEST(a_cluster_has_classes_and_the_service_of_its_api_from_the_start)
{
    struct tw *tw = cw_new(1);
    CHECK(tw_object(tw, "/apis/storage.k8s.io/v1/storageclasses/standard") != NULL);
    CHECK(tw_object(tw, "/apis/storage.k8s.io/v1/storageclasses/memory") != NULL);
    CHECK_STR(cw_text(tw, "/api/v1/namespaces/default/services/kubernetes", "spec", "clusterIP"),
              "127.77.0.1");
    CHECK(mh_sb_control_idle(cw));
    cw_free(tw);
}

TEST(a_namespace_gets_its_account_and_the_ca)
{
    struct tw *tw = cw_new(1);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/serviceaccounts/default") != NULL);
    CHECK_STR(cw_text(tw, "/api/v1/namespaces/ns/configmaps/kube-root-ca.crt", "data", "ca.crt"),
              "CA");
    tw_put(tw, "/api/v1/namespaces/new", "{\"metadata\":{}}");
    cw_settle(tw);
    CHECK(tw_object(tw, "/api/v1/namespaces/new/serviceaccounts/default") != NULL);
    tw_remove(tw, "/api/v1/namespaces/new/configmaps/kube-root-ca.crt");
    tw_put(tw, "/api/v1/namespaces/ns/configmaps/kube-root-ca.crt",
           "{\"data\":{\"ca.crt\":\"other\"}}");
    cw_settle(tw);
    CHECK(tw_object(tw, "/api/v1/namespaces/new/configmaps/kube-root-ca.crt") != NULL);
    CHECK_STR(cw_text(tw, "/api/v1/namespaces/ns/configmaps/kube-root-ca.crt", "data", "ca.crt"),
              "CA");
    cw_free(tw);
}

static yyjson_val *
taint(struct tw *tw, const char *node, const char *key)
{
    char path[64];
    size_t i, max;
    yyjson_val *v;
    (void)snprintf(path, sizeof(path), "/api/v1/nodes/%s", node);
    yyjson_val *list = mh_json_get(tw_object(tw, path), "spec", "taints", NULL);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (mh_str_eq(mh_json_str(v, "key", NULL), key))
            return v;
    }
    return NULL;
}

static void
beat(struct tw *tw, const char *node)
{
    char path[128], json[300], when[MH_TIME_TEXT];
    mh_time_rfc3339_micro(when, tw->wall_us);
    (void)snprintf(path, sizeof(path),
                   "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/%s", node);
    (void)snprintf(json, sizeof(json), "{\"spec\":{\"renewTime\":\"%s\"}}", when);
    tw_put(tw, path, json);
}

static const char *
ready_of(struct tw *tw, const char *node)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/api/v1/nodes/%s", node);
    yyjson_val *list = mh_json_get(tw_object(tw, path), "status", "conditions", NULL);
    return mh_json_str(yyjson_arr_get_first(list), "status", NULL);
}

TEST(a_node_without_heartbeats_is_unknown_and_tainted_and_comes_back)
{
    struct tw *tw = cw_new(2);
    for (int i = 0; i < 8; i++) {
        beat(tw, "node1");
        tw_advance(tw, MH_NS_PER_S);
    }
    CHECK_STR(ready_of(tw, "node1"), "True");
    CHECK_STR(ready_of(tw, "node2"), "Unknown");
    CHECK(taint(tw, "node2", "node.kubernetes.io/unreachable") != NULL);
    CHECK(taint(tw, "node1", "node.kubernetes.io/unreachable") == NULL);
    beat(tw, "node2");
    cw_merge(tw, "/api/v1/nodes/node2",
             "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    cw_settle(tw);
    CHECK(taint(tw, "node2", "node.kubernetes.io/unreachable") == NULL);
    cw_free(tw);
}

TEST(pods_leave_a_lost_node_after_their_time)
{
    struct tw *tw = cw_new(1);
    cw_pod(tw, "short", "",
           "\"nodeName\":\"node1\",\"tolerations\":[{\"key\":\"node.kubernetes.io/unreachable\","
           "\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":10}]");
    cw_pod(tw, "ever", "", "\"nodeName\":\"node1\",\"tolerations\":[{\"operator\":\"Exists\"}]");
    cw_pod(tw, "plain", "", "\"nodeName\":\"node1\"");
    cw_status(tw, "plain", "Running", "127.77.16.1", true);
    tw_advance(tw, 10 * MH_NS_PER_S);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/short") != NULL);
    yyjson_val *plain = tw_object(tw, "/api/v1/namespaces/ns/pods/plain");
    CHECK_STR(mh_json_str(yyjson_arr_get_first(mh_json_get(plain, "status", "conditions", NULL)),
                          "status", NULL),
              "False");
    tw_advance(tw, 10 * MH_NS_PER_S);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/short") == NULL);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/plain") != NULL);
    tw_advance(tw, 300 * MH_NS_PER_S);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/plain") == NULL);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/ever") != NULL);
    cw_free(tw);
}

TEST(pods_of_a_node_that_was_deleted_go)
{
    struct tw *tw = cw_new(2);
    cw_pod(tw, "a", "", "\"nodeName\":\"node1\"");
    cw_pod(tw, "b", "", "\"nodeName\":\"node2\"");
    cw_settle(tw);
    tw_remove(tw, "/api/v1/nodes/node1");
    tw_advance(tw, 8 * MH_NS_PER_S);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/a") == NULL);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/b") != NULL);
    cw_free(tw);
}

TEST(a_cordon_is_a_taint)
{
    struct tw *tw = cw_new(1);
    cw_merge(tw, "/api/v1/nodes/node1", "{\"spec\":{\"unschedulable\":true}}");
    cw_settle(tw);
    CHECK(taint(tw, "node1", "node.kubernetes.io/unschedulable") != NULL);
    cw_merge(tw, "/api/v1/nodes/node1", "{\"spec\":{\"unschedulable\":null}}");
    cw_settle(tw);
    CHECK(taint(tw, "node1", "node.kubernetes.io/unschedulable") == NULL);
    cw_free(tw);
}

static int64_t
budget(struct tw *tw, const char *field)
{
    return mh_json_int(tw_object(tw, "/apis/policy/v1/namespaces/ns/poddisruptionbudgets/b"), -1,
                       "status", field, NULL);
}

TEST(a_budget_counts_what_may_go)
{
    struct tw *tw = cw_new(1);
    tw_put(tw, "/apis/policy/v1/namespaces/ns/poddisruptionbudgets/b",
           "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"spec\":{"
           "\"minAvailable\":1,\"selector\":{\"matchLabels\":{\"cnpg.io/cluster\":\"c\"}}}}");
    cw_settle(tw);
    CHECK_INT(budget(tw, "disruptionsAllowed"), 0);
    for (int i = 0; i < 2; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "p%d", i);
        cw_pod(tw, name, "\"labels\":{\"cnpg.io/cluster\":\"c\"}", "\"nodeName\":\"node1\"");
        cw_status(tw, name, "Running", "127.77.16.1", true);
    }
    cw_settle(tw);
    CHECK_INT(budget(tw, "disruptionsAllowed"), 1);
    CHECK_INT(budget(tw, "currentHealthy"), 2);
    CHECK_INT(budget(tw, "expectedPods"), 2);
    cw_status(tw, "p0", "Running", "127.77.16.1", false);
    cw_settle(tw);
    CHECK_INT(budget(tw, "disruptionsAllowed"), 0);
    /* An evicted pod counts as gone before it goes. */
    cw_status(tw, "p0", "Running", "127.77.16.1", true);
    cw_merge(tw, "/apis/policy/v1/namespaces/ns/poddisruptionbudgets/b",
             "{\"status\":{\"disruptedPods\":{\"p0\":\"2026-01-01T00:00:00Z\"}}}");
    cw_settle(tw);
    CHECK_INT(budget(tw, "disruptionsAllowed"), 0);
    CHECK_INT(budget(tw, "currentHealthy"), 1);
    cw_free(tw);
}

TEST(a_pod_without_a_node_that_is_to_go_goes_at_once)
{
    struct tw *tw = cw_new(0);
    cw_pod(tw, "a", "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "\"containers\":[]");
    cw_settle(tw);
    CHECK(tw_object(tw, "/api/v1/namespaces/ns/pods/a") == NULL);
    cw_free(tw);
}
