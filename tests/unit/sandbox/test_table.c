/* Tables, as kubectl get asks for them. */
#include "base/time.h"
#include "rest_help.h"

#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

TEST(pods_are_printed_with_their_state)
{
    struct rig rig;
    struct lines l;
    rig_open(&rig, NULL);
    ask(&rig, "POST", "/api/v1/namespaces/default/pods",
        "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]"
        "}}");
    patch(&rig, "application/merge-patch+json", "/api/v1/namespaces/default/pods/p/status",
          "{\"status\":{\"phase\":\"Running\",\"podIP\":\"127.1.16.1\",\"containerStatuses\":[{"
          "\"name\":\"c\",\"image\":\"i\",\"imageID\":\"\",\"ready\":true,\"restartCount\":2,"
          "\"state\":{\"running\":{\"startedAt\":\"2026-01-01T00:00:00Z\"}}}]}}");
    CHECK_INT(rig.status, 200);
    tw_advance(rig.tw, 60 * MH_NS_PER_S);
    rig.accept = TABLE;
    ask(&rig, "GET", "/api/v1/namespaces/default/pods", NULL);
    CHECK_STR(got(&rig, "kind"), "Table");
    CHECK_STR(got(&rig, "columnDefinitions.0.format"), "name");
    CHECK_STR(got(&rig, "rows.0.cells"),
              "[\"p\",\"1/1\",\"Running\",\"2\",\"60s\",\"127.1.16.1\",\"<none>\",\"<none>\","
              "\"<none>\"]");
    CHECK_STR(got(&rig, "rows.0.object.kind"), "PartialObjectMetadata");
    ask(&rig, "GET", "/api/v1/namespaces/default/pods/p", NULL);
    CHECK_STR(got(&rig, "rows.0.cells.1"), "1/1");
    CHECK(got(&rig, "metadata.resourceVersion") != NULL);
    watch_open(&rig, &l, "/api/v1/namespaces/default/pods?watch=1");
    CHECK_STR(seen(&l), "ADDED,");
    CHECK(strstr(l.last, "\"kind\":\"Table\"") != NULL);
    mh_sb_watch_close(l.watch);
    rig_close(&rig);
}

TEST(every_built_in_kind_has_a_table)
{
    struct rig rig;
    rig_open(&rig, NULL);
    rig.accept = TABLE;
    static const char *const paths[] = { "/api/v1/nodes",
                                         "/api/v1/services",
                                         "/api/v1/events",
                                         "/apis/apps/v1/deployments",
                                         "/apis/batch/v1/jobs",
                                         "/apis/policy/v1/poddisruptionbudgets",
                                         "/apis/coordination.k8s.io/v1/leases" };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        ask(&rig, "GET", paths[i], NULL);
        CHECK_STR(got(&rig, "kind"), "Table");
        CHECK_STR(got(&rig, "rows"), "[]");
    }
    rig_close(&rig);
}
