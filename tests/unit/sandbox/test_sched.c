#include "control_world.h"
#include "sandbox/sched.h"

static const char *
node_of(struct tw *tw, const char *pod)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", pod);
    return cw_text(tw, path, "spec", "nodeName");
}

static const char *
why_not(struct tw *tw, const char *pod)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", pod);
    yyjson_val *list = mh_json_get(tw_object(tw, path), "status", "conditions", NULL);
    return mh_json_str(yyjson_arr_get_first(list), "message", NULL);
}

#define CPU(n) "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"" n "\"}}}]"

TEST(a_pod_gets_a_node_and_its_event)
{
    struct tw *tw = cw_new(3);
    cw_pod(tw, "a", "", CPU("1"));
    cw_settle(tw);
    CHECK(node_of(tw, "a") != NULL);
    CHECK_INT(tw_api_count(tw, "POST", "/binding"), 1);
    const struct tw_request *r = tw_api_last(tw, "POST", "/events");
    CHECK(r && strstr(r->body_text, "Successfully assigned ns/a to "));
    cw_free(tw);
}

TEST(the_emptier_node_is_better)
{
    struct tw *tw = cw_new(3);
    cw_pod(tw, "a", "", CPU("2"));
    cw_pod(tw, "b", "", CPU("1"));
    cw_pod(tw, "c", "", CPU("500m"));
    cw_settle(tw);
    CHECK(!mh_str_eq(node_of(tw, "a"), node_of(tw, "b")));
    CHECK(!mh_str_eq(node_of(tw, "a"), node_of(tw, "c")));
    CHECK(!mh_str_eq(node_of(tw, "b"), node_of(tw, "c")));
    cw_free(tw);
}

TEST(nodes_that_are_equally_full_share_what_comes)
{
    struct tw *tw = cw_new(3);
    int on[4] = { 0 };
    char name[16];
    for (int i = 1; i <= 3; i++) { /* full by their requests, as any pod leaves them */
        char path[64];
        (void)snprintf(path, sizeof(path), "/api/v1/nodes/node%d", i);
        cw_merge(tw, path, "{\"status\":{\"allocatable\":{\"cpu\":\"1m\",\"memory\":\"1\"}}}");
    }
    for (int i = 0; i < 30; i++) {
        (void)snprintf(name, sizeof(name), "p%d", i);
        cw_pod(tw, name, "", "\"containers\":[{\"name\":\"c\"}]");
        cw_settle(tw);
        const char *node = node_of(tw, name);
        CHECK(node != NULL);
        on[node ? node[4] - '0' : 0]++;
    }
    CHECK(on[1] >= 3 && on[2] >= 3 && on[3] >= 3);
    cw_free(tw);
}

TEST(a_pod_that_fits_nowhere_is_told_why_and_waits_for_room)
{
    struct tw *tw = cw_new(3);
    cw_merge(tw, "/api/v1/nodes/node1", "{\"spec\":{\"unschedulable\":true}}");
    cw_settle(tw);
    cw_pod(tw, "a", "", CPU("5"));
    cw_settle(tw);
    CHECK(node_of(tw, "a") == NULL);
    CHECK_STR(why_not(tw, "a"),
              "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. "
              "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.");
    cw_node(tw, "node4", "zone4", "");
    cw_merge(tw, "/api/v1/nodes/node4", "{\"status\":{\"allocatable\":{\"cpu\":\"8\"}}}");
    cw_settle(tw);
    CHECK_STR(node_of(tw, "a"), "node4");
    cw_free(tw);
}

TEST(room_that_a_pod_leaves_is_given_to_one_that_waits)
{
    struct tw *tw = cw_new(1);
    cw_pod(tw, "a", "", CPU("3"));
    cw_settle(tw);
    cw_pod(tw, "b", "", CPU("3"));
    cw_settle(tw);
    CHECK_STR(why_not(tw, "b"),
              "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 "
              "No preemption victims found for incoming pod.");
    cw_status(tw, "a", "Succeeded", "127.77.16.1", false);
    cw_settle(tw);
    CHECK_STR(node_of(tw, "b"), "node1");
    cw_free(tw);
}

TEST(without_nodes_nothing_is_available)
{
    struct tw *tw = cw_new(0);
    cw_pod(tw, "a", "", CPU("1"));
    cw_settle(tw);
    CHECK_STR(why_not(tw, "a"), "no nodes available to schedule pods");
    cw_free(tw);
}

TEST(taints_keep_pods_away_that_do_not_tolerate_them)
{
    struct tw *tw = cw_new(1);
    cw_merge(tw, "/api/v1/nodes/node1",
             "{\"spec\":{\"taints\":[{\"key\":\"gpu\",\"value\":\"yes\",\"effect\":"
             "\"NoSchedule\"}]}}");
    cw_settle(tw);
    cw_pod(tw, "a", "", CPU("1"));
    cw_pod(
        tw, "b", "",
        CPU("1") ",\"tolerations\":[{\"key\":\"gpu\",\"operator\":\"Equal\",\"value\":\"yes\"}]");
    cw_settle(tw);
    CHECK(node_of(tw, "a") == NULL);
    CHECK(why_not(tw, "a") &&
          strstr(why_not(tw, "a"), "1 node(s) had untolerated taint {gpu: yes}."));
    CHECK_STR(node_of(tw, "b"), "node1");
    cw_free(tw);
}

TEST(node_affinity_and_selectors_are_kept)
{
    struct tw *tw = cw_new(3);
    cw_pod(tw, "a", "", CPU("1") ",\"nodeSelector\":{\"topology.kubernetes.io/zone\":\"zone2\"}");
    cw_pod(tw, "b", "",
           CPU("1") ",\"affinity\":{\"nodeAffinity\":{"
                    "\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{"
                    "\"matchExpressions\":[{\"key\":\"topology.kubernetes.io/zone\",\"operator\":"
                    "\"NotIn\",\"values\":[\"zone1\",\"zone2\"]}]}]}}}");
    cw_pod(tw, "c", "",
           CPU("1") ",\"affinity\":{\"nodeAffinity\":{"
                    "\"preferredDuringSchedulingIgnoredDuringExecution\":[{\"weight\":100,"
                    "\"preference\":{\"matchExpressions\":[{\"key\":\"kubernetes.io/hostname\","
                    "\"operator\":\"In\",\"values\":[\"node3\"]}]}}]}}");
    cw_pod(tw, "d", "", CPU("1") ",\"nodeSelector\":{\"disk\":\"fast\"}");
    cw_settle(tw);
    CHECK_STR(node_of(tw, "a"), "node2");
    CHECK_STR(node_of(tw, "b"), "node3");
    CHECK_STR(node_of(tw, "c"), "node3");
    CHECK(why_not(tw, "d") &&
          strstr(why_not(tw, "d"), "3 node(s) didn't match Pod's node affinity/selector"));
    cw_free(tw);
}

#define APART(how)                                                                                 \
    ",\"affinity\":{\"podAntiAffinity\":{\"" how "\":[{\"labelSelector\":{\"matchLabels\":{"       \
    "\"app\":\"db\"}},\"topologyKey\":\"kubernetes.io/hostname\"}]}}"
#define DB "\"labels\":{\"app\":\"db\"}"

TEST(required_anti_affinity_holds_for_both_sides)
{
    struct tw *tw = cw_new(2);
    cw_pod(tw, "a", DB, CPU("1") APART("requiredDuringSchedulingIgnoredDuringExecution"));
    cw_pod(tw, "b", DB, CPU("1") APART("requiredDuringSchedulingIgnoredDuringExecution"));
    cw_settle(tw);
    CHECK(node_of(tw, "a") && node_of(tw, "b") && !mh_str_eq(node_of(tw, "a"), node_of(tw, "b")));
    cw_pod(tw, "c", DB, CPU("1") APART("requiredDuringSchedulingIgnoredDuringExecution"));
    cw_pod(tw, "d", DB, CPU("1"));
    cw_settle(tw);
    CHECK(why_not(tw, "c") &&
          strstr(why_not(tw, "c"), "2 node(s) didn't match pod anti-affinity rules"));
    CHECK(why_not(tw, "d") &&
          strstr(why_not(tw, "d"), "2 node(s) didn't satisfy existing pods anti-affinity rules"));
    cw_free(tw);
}

TEST(preferred_anti_affinity_spreads_and_does_not_forbid)
{
    static const char spec[] =
        CPU("100m") ",\"affinity\":{\"podAntiAffinity\":{"
                    "\"preferredDuringSchedulingIgnoredDuringExecution\":[{\"weight\":100,"
                    "\"podAffinityTerm\":{\"labelSelector\":{\"matchLabels\":{\"app\":\"db\"}},"
                    "\"topologyKey\":\"kubernetes.io/hostname\"}}]}}";
    struct tw *tw = cw_new(3);
    cw_pod(tw, "big", "", CPU("3"));
    cw_settle(tw);
    cw_pod(tw, "a", DB, spec);
    cw_settle(tw);
    cw_pod(tw, "b", DB, spec);
    cw_settle(tw);
    cw_pod(tw, "c", DB, spec);
    cw_settle(tw);
    cw_pod(tw, "d", DB, spec);
    cw_settle(tw);
    CHECK(!mh_str_eq(node_of(tw, "a"), node_of(tw, "b")));
    CHECK(!mh_str_eq(node_of(tw, "a"), node_of(tw, "c")));
    CHECK(!mh_str_eq(node_of(tw, "b"), node_of(tw, "c")));
    CHECK(node_of(tw, "d") != NULL);
    cw_free(tw);
}

TEST(affinity_lets_the_first_in_and_keeps_the_others_near)
{
    static const char spec[] =
        CPU("100m") ",\"affinity\":{\"podAffinity\":{"
                    "\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"labelSelector\":{"
                    "\"matchLabels\":{\"app\":\"db\"}},\"topologyKey\":"
                    "\"topology.kubernetes.io/zone\"}]}}";
    struct tw *tw = cw_new(3);
    cw_pod(tw, "a", DB, spec);
    cw_settle(tw);
    cw_pod(tw, "b", DB, spec);
    cw_pod(tw, "x", "\"labels\":{\"app\":\"other\"}", spec);
    cw_settle(tw);
    CHECK(node_of(tw, "a") != NULL);
    CHECK_STR(node_of(tw, "b"), node_of(tw, "a"));
    CHECK_STR(node_of(tw, "x"), node_of(tw, "a"));
    cw_free(tw);
}

TEST(spread_constraints_keep_the_skew)
{
    static const char spec[] =
        CPU("100m") ",\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":"
                    "\"topology.kubernetes.io/zone\",\"whenUnsatisfiable\":\"DoNotSchedule\","
                    "\"labelSelector\":{\"matchLabels\":{\"app\":\"db\"}}}]";
    struct tw *tw = cw_new(2);
    int on[3] = { 0 };
    cw_node(tw, "plain", "x", "");
    cw_merge(tw, "/api/v1/nodes/plain",
             "{\"metadata\":{\"labels\":{\"topology.kubernetes.io/zone\":null}}}");
    cw_settle(tw);
    for (int i = 0; i < 4; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "p%d", i);
        cw_pod(tw, name, DB, spec);
        cw_settle(tw);
        const char *node = node_of(tw, name);
        on[mh_str_eq(node, "node1") ? 1 : mh_str_eq(node, "node2") ? 2 : 0]++;
    }
    CHECK_INT(on[1], 2);
    CHECK_INT(on[2], 2);
    cw_merge(tw, "/api/v1/nodes/node2", "{\"spec\":{\"unschedulable\":true}}");
    cw_pod(tw, "p4", DB, spec);
    cw_settle(tw);
    cw_pod(tw, "p5", DB, spec);
    cw_settle(tw);
    CHECK_STR(node_of(tw, "p4"), "node1");
    CHECK_STR(why_not(tw, "p5"),
              "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 "
              "node(s) didn't match pod topology spread constraints (missing required label), 1 "
              "node(s) were unschedulable. preemption: 0/3 nodes are available: 1 No preemption "
              "victims found for incoming pod, 2 Preemption is not helpful for scheduling.");
    cw_free(tw);
}

TEST(a_missing_claim_keeps_a_pod_until_it_is_there)
{
    struct tw *tw = cw_new(2);
    cw_pod(tw, "a", "",
           CPU("1") ",\"volumes\":[{\"name\":\"d\",\"persistentVolumeClaim\":{\"claimName\":"
                    "\"none\"}}]");
    cw_settle(tw);
    CHECK_STR(why_not(tw, "a"),
              "0/2 nodes are available: persistentvolumeclaim \"none\" not found. preemption: 0/2 "
              "nodes are available: 2 Preemption is not helpful for scheduling.");
    cw_free(tw);
}

TEST(pods_of_others_and_gated_ones_are_left_alone)
{
    struct tw *tw = cw_new(1);
    cw_pod(tw, "other", "", CPU("1") ",\"schedulerName\":\"mine\"");
    cw_pod(tw, "gated", "", CPU("1") ",\"schedulingGates\":[{\"name\":\"g\"}]");
    cw_pod(tw, "going", "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"finalizers\":[\"x/y\"]",
           CPU("1"));
    cw_settle(tw);
    CHECK(node_of(tw, "other") == NULL && node_of(tw, "gated") == NULL &&
          node_of(tw, "going") == NULL);
    cw_merge(tw, "/api/v1/namespaces/ns/pods/gated", "{\"spec\":{\"schedulingGates\":null}}");
    cw_settle(tw);
    CHECK_STR(node_of(tw, "gated"), "node1");
    cw_free(tw);
}

TEST(selectors_match_as_the_api_says)
{
    struct mh_arena a;
    yyjson_val *s = NULL, *labels = NULL;
    static const char text[] = "{\"app\":\"db\",\"tier\":\"1\"}";
    static const struct {
        const char *selector;
        bool match;
    } cases[] = {
        { "{}", true },
        { "{\"matchLabels\":{\"app\":\"db\"}}", true },
        { "{\"matchLabels\":{\"app\":\"web\"}}", false },
        { "{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"In\",\"values\":[\"x\",\"db\"]}]"
          "}",
          true },
        { "{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"NotIn\",\"values\":[\"db\"]}]}",
          false },
        { "{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"NotIn\",\"values\":[\"db\"]}]}",
          true },
        { "{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"DoesNotExist\"}]}", true },
        { "{\"matchExpressions\":[{\"key\":\"tier\",\"operator\":\"Exists\"}]}", true },
    };
    mh_arena_init(&a, 1 << 20);
    CHECK(mh_json_parse(&a, text, strlen(text), &labels, NULL) == MH_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(mh_json_parse(&a, cases[i].selector, strlen(cases[i].selector), &s, NULL) == MH_OK);
        CHECK_INT(mh_sb_selects(s, labels), cases[i].match);
    }
    CHECK(!mh_sb_selects(NULL, labels));
    mh_arena_release(&a);
}
