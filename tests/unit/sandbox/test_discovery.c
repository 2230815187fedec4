/* What clients find out about the server. */
#include "rest_help.h"

TEST(groups_versions_and_resources_are_listed)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "GET", "/api", NULL);
    CHECK_STR(got(&rig, "versions.0"), "v1");
    ask(&rig, "GET", "/apis", NULL);
    CHECK_STR(got(&rig, "groups.0.name"), "apps");
    CHECK_STR(got(&rig, "groups.0.preferredVersion.groupVersion"), "apps/v1");
    ask(&rig, "GET", "/api/v1", NULL);
    CHECK_STR(got(&rig, "resources.0.name"), "configmaps");
    CHECK_STR(got(&rig, "resources.0.shortNames.0"), "cm");
    ask(&rig, "GET", "/apis/apps/v1/", NULL);
    CHECK_STR(got(&rig, "resources.2.name"), "deployments/scale");
    CHECK_STR(got(&rig, "resources.2.group"), "autoscaling");
    ask(&rig, "GET", "/apis/apps", NULL);
    CHECK_STR(got(&rig, "kind"), "APIGroup");
    ask(&rig, "GET", "/apis/none", NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "GET", "/apis/apps/v9", NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "GET", "/version", NULL);
    CHECK_STR(got(&rig, "major"), "1");
    rig_close(&rig);
}

TEST(aggregated_discovery_comes_when_asked_for)
{
    struct rig rig;
    rig_open(&rig, NULL);
    rig.accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
                 "application/json";
    ask(&rig, "GET", "/apis?timeout=32s", NULL);
    CHECK_STR(got(&rig, "kind"), "APIGroupDiscoveryList");
    CHECK_STR(got(&rig, "items.0.metadata.name"), "apps");
    CHECK_STR(got(&rig, "items.0.versions.0.resources.1.subresources.0.subresource"), "scale");
    CHECK_STR(rig.req.reply_type,
              "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    CHECK(rig.req.etag != NULL);
    rig_close(&rig);
}

TEST(openapi_has_schemas_and_patch_parameters)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "GET", "/openapi/v3", NULL);
    yyjson_val *url = mh_json_get(rig.reply, "paths", "api/v1", "serverRelativeURL", NULL);
    CHECK(yyjson_is_str(url));
    ask(&rig, "GET", yyjson_get_str(url), NULL);
    CHECK_INT(rig.status, 200);
    CHECK(mh_json_get(rig.reply, "components", "schemas", "io.k8s.api.core.v1.Pod", "properties",
                      "spec", NULL) != NULL);
    CHECK(mh_json_get(rig.reply, "components", "schemas", "io.k8s.api.core.v1.Container", NULL));
    CHECK_STR(mh_json_str(mh_json_get(rig.reply, "paths",
                                      "/api/v1/namespaces/{namespace}/pods/{name}", "patch", NULL),
                          "x-kubernetes-group-version-kind", "kind", NULL),
              "Pod");
    rig_close(&rig);
}
