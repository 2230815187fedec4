#include "base/log.h"
#include "control_world.h"

#define RW "/api/v1/namespaces/ns/services/c-rw"
#define EP "/api/v1/namespaces/ns/endpoints/c-rw"

static void
service(struct tw *tw, const char *name, const char *spec)
{
    char path[128], json[1000];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/services/%s", name);
    (void)snprintf(json, sizeof(json), "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":{%s}}",
                   spec);
    tw_put(tw, path, json);
    cw_settle(tw);
}

#define SELECTOR "\"selector\":{\"cnpg.io/cluster\":\"c\",\"role\":\"primary\"}"
#define PORT "\"ports\":[{\"name\":\"postgres\",\"port\":5432,\"targetPort\":5432}]"

static void
instance(struct tw *tw, const char *name, const char *role, const char *ip)
{
    char meta[200];
    (void)snprintf(meta, sizeof(meta), "\"labels\":{\"cnpg.io/cluster\":\"c\",\"role\":\"%s\"}",
                   role);
    cw_pod(tw, name, meta,
           "\"nodeName\":\"node1\",\"hostname\":\"h\",\"subdomain\":\"heads\",\"containers\":[{"
           "\"name\":\"c\",\"ports\":[{\"name\":\"pg\",\"containerPort\":5433}]}]");
    cw_status(tw, name, "Running", ip, true);
    cw_settle(tw);
}

static const char *
route(struct tw *tw, const char *name)
{
    static struct mh_sb_target t;
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/services/%s", name);
    const char *ip = cw_text(tw, path, "spec", "clusterIP");
    return ip && mh_sb_service_route(cw, ip, 5432, &t, NULL) ? t.address : NULL;
}

TEST(a_service_gets_an_address_of_its_own_and_its_endpoints)
{
    struct tw *tw = cw_new(1);
    service(tw, "c-rw", SELECTOR "," PORT);
    service(tw, "c-ro", "\"selector\":{\"cnpg.io/cluster\":\"c\",\"role\":\"replica\"}," PORT);
    const char *ip = cw_text(tw, RW, "spec", "clusterIP");
    CHECK(ip && mh_str_starts(ip, "127.77.1."));
    CHECK(!mh_str_eq(ip, cw_text(tw, "/api/v1/namespaces/ns/services/c-ro", "spec", "clusterIP")));
    CHECK(tw_object(tw, EP) != NULL);
    CHECK(route(tw, "c-rw") == NULL);
    instance(tw, "c-1", "primary", "127.77.16.1");
    instance(tw, "c-2", "replica", "127.77.16.2");
    CHECK_STR(route(tw, "c-rw"), "127.77.16.1");
    CHECK_STR(route(tw, "c-ro"), "127.77.16.2");
    yyjson_val *subset = yyjson_arr_get_first(mh_json_get(tw_object(tw, EP), "subsets", NULL));
    CHECK_STR(mh_json_str(yyjson_arr_get_first(yyjson_obj_get(subset, "addresses")), "targetRef",
                          "name", NULL),
              "c-1");
    CHECK(tw_objects(tw, "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices/c-rw-") == 1);
    cw_free(tw);
}

TEST(new_connections_follow_the_labels)
{
    struct tw *tw = cw_new(1);
    service(tw, "c-rw", SELECTOR "," PORT);
    instance(tw, "c-1", "primary", "127.77.16.1");
    instance(tw, "c-2", "replica", "127.77.16.2");
    cw_merge(tw, "/api/v1/namespaces/ns/pods/c-1", "{\"metadata\":{\"labels\":{\"role\":\"\"}}}");
    cw_settle(tw);
    CHECK(route(tw, "c-rw") == NULL);
    cw_merge(tw, "/api/v1/namespaces/ns/pods/c-2",
             "{\"metadata\":{\"labels\":{\"role\":\"primary\"}}}");
    cw_settle(tw);
    CHECK_STR(route(tw, "c-rw"), "127.77.16.2");
    tw_remove(tw, "/api/v1/namespaces/ns/pods/c-2");
    cw_settle(tw);
    CHECK(route(tw, "c-rw") == NULL);
    cw_free(tw);
}

TEST(pods_that_are_not_ready_get_nobody_and_are_listed)
{
    struct tw *tw = cw_new(1);
    service(tw, "c-rw", SELECTOR "," PORT);
    instance(tw, "c-1", "primary", "127.77.16.1");
    cw_status(tw, "c-1", "Running", "127.77.16.1", false);
    cw_settle(tw);
    CHECK(route(tw, "c-rw") == NULL);
    yyjson_val *subset = yyjson_arr_get_first(mh_json_get(tw_object(tw, EP), "subsets", NULL));
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(subset, "notReadyAddresses")), 1);
    CHECK(yyjson_obj_get(subset, "addresses") == NULL);
    cw_merge(tw, RW, "{\"spec\":{\"publishNotReadyAddresses\":true}}");
    cw_settle(tw);
    CHECK_STR(route(tw, "c-rw"), "127.77.16.1");
    cw_free(tw);
}

TEST(a_pod_that_goes_serves_only_when_there_is_no_other)
{
    struct tw *tw = cw_new(1);
    service(tw, "c-rw", SELECTOR "," PORT);
    instance(tw, "c-1", "primary", "127.77.16.1");
    cw_merge(tw, "/api/v1/namespaces/ns/pods/c-1",
             "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"finalizers\":"
             "[\"x/y\"]}}");
    cw_settle(tw);
    CHECK_STR(route(tw, "c-rw"), "127.77.16.1");
    instance(tw, "c-2", "primary", "127.77.16.2");
    for (int i = 0; i < 4; i++)
        CHECK_STR(route(tw, "c-rw"), "127.77.16.2");
    cw_free(tw);
}

TEST(connections_take_turns_among_ready_pods)
{
    struct tw *tw = cw_new(1);
    int first = 0, second = 0;
    service(tw, "c-rw", SELECTOR "," PORT);
    instance(tw, "c-1", "primary", "127.77.16.1");
    instance(tw, "c-2", "primary", "127.77.16.2");
    for (int i = 0; i < 10; i++) {
        const char *ip = route(tw, "c-rw");
        first += mh_str_eq(ip, "127.77.16.1");
        second += mh_str_eq(ip, "127.77.16.2");
    }
    CHECK_INT(first, 5);
    CHECK_INT(second, 5);
    cw_free(tw);
}

TEST(a_named_target_port_is_the_containers)
{
    struct tw *tw = cw_new(1);
    struct mh_sb_target t;
    service(tw, "c-rw",
            SELECTOR ",\"ports\":[{\"name\":\"postgres\",\"port\":443,\"targetPort\":\"pg\"}]");
    instance(tw, "c-1", "primary", "127.77.16.1");
    CHECK(mh_sb_service_find(cw, "ns", "c-rw", 443, &t));
    CHECK_INT(t.port, 5433);
    CHECK_STR(t.pod, "c-1");
    CHECK_STR(t.ns, "ns");
    CHECK(!mh_sb_service_find(cw, "ns", "c-rw", 5432, &t));
    cw_free(tw);
}

TEST(names_of_services_are_told_to_pods)
{
    struct tw *tw = cw_new(1);
    service(tw, "c-rw", SELECTOR "," PORT);
    service(tw, "heads", "\"clusterIP\":\"None\",\"selector\":{\"cnpg.io/cluster\":\"c\"}," PORT);
    instance(tw, "c-1", "primary", "127.77.16.1");
    const char *near = mh_sb_hosts(cw, &tw->arena, "ns");
    const char *far = mh_sb_hosts(cw, &tw->arena, "other");
    char line[300];
    (void)snprintf(line, sizeof(line), "%s c-rw.ns.svc.cluster.local c-rw.ns.svc c-rw.ns c-rw\n",
                   cw_text(tw, RW, "spec", "clusterIP"));
    CHECK(near && strstr(near, line));
    CHECK(far && strstr(far, " c-rw.ns\n") && !strstr(far, " c-rw\n"));
    CHECK(near && strstr(near, "127.77.0.1 kubernetes.default.svc.cluster.local "
                               "kubernetes.default.svc kubernetes.default\n"));
    CHECK(near && strstr(near, "127.77.16.1 h.heads.ns.svc.cluster.local h.heads.ns.svc "
                               "h.heads.ns heads.ns.svc.cluster.local heads.ns.svc heads.ns "
                               "heads\n"));
    CHECK(far && strstr(far, " heads.ns\n"));
    cw_free(tw);
}

TEST(what_somebody_else_wrote_over_is_mended_and_a_gone_service_leaves_nothing)
{
    struct tw *tw = cw_new(1);
    service(tw, "c-rw", SELECTOR "," PORT);
    instance(tw, "c-1", "primary", "127.77.16.1");
    cw_merge(tw, EP, "{\"subsets\":null}");
    cw_settle(tw);
    CHECK_INT(yyjson_arr_size(mh_json_get(tw_object(tw, EP), "subsets", NULL)), 1);
    tw_remove(tw, RW);
    cw_settle(tw);
    CHECK(tw_object(tw, EP) == NULL);
    CHECK(!strstr(mh_sb_hosts(cw, &tw->arena, "ns"), "c-rw"));
    cw_free(tw);
}

TEST(a_service_without_a_selector_goes_where_its_endpoints_say)
{
    struct tw *tw = cw_new(1);
    service(tw, "ext", PORT);
    tw_put(tw, "/api/v1/namespaces/ns/endpoints/ext",
           "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"subsets\":[{\"addresses\":[{\"ip\":"
           "\"127.0.0.9\"}],\"ports\":[{\"name\":\"postgres\",\"port\":6000}]}]}");
    cw_settle(tw);
    CHECK_STR(route(tw, "ext"), "127.0.0.9");
    cw_free(tw);
}
