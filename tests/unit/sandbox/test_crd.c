/* CustomResourceDefinitions: established, served, validated, defaulted, pruned, scaled, removed. */
#include "base/time.h"
#include "rest_help.h"

#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define WIDGETS "/apis/x.io/v1/namespaces/default/widgets"

static const char widget[] =
    "{\"metadata\":{\"name\":\"widgets.x.io\"},\"spec\":{\"group\":\"x.io\",\"scope\":"
    "\"Namespaced\","
    "\"names\":{\"plural\":\"widgets\",\"kind\":\"Widget\",\"shortNames\":[\"w\"]},\"versions\":[{"
    "\"name\":\"v1\",\"served\":true,\"storage\":true,\"subresources\":{\"status\":{},\"scale\":{"
    "\"specReplicasPath\":\".spec.size\",\"statusReplicasPath\":\".status.size\"}},"
    "\"additionalPrinterColumns\":[{\"name\":\"Size\",\"type\":\"integer\",\"jsonPath\":\".spec."
    "size\"}],"
    "\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":"
    "\"object\","
    "\"required\":[\"size\"],\"properties\":{\"size\":{\"type\":\"integer\",\"minimum\":1},"
    "\"mode\":{"
    "\"type\":\"string\",\"default\":\"plain\"}}},\"status\":{\"type\":\"object\",\"properties\":{"
    "\"size\":{\"type\":\"integer\"}}}}}}}]}}";

static void
install(struct rig *rig)
{
    rig_open(rig, NULL);
    ask(rig, "POST", CRDS, widget);
    CHECK_INT(rig->status, 201);
    tw_settle(rig->tw);
}

TEST(a_crd_is_established_and_served)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "GET", WIDGETS, NULL);
    CHECK_INT(rig.status, 404);
    CHECK_STR(rig.text, "404 page not found\n");
    rig_close(&rig);
    install(&rig);
    ask(&rig, "GET", CRDS "/widgets.x.io", NULL);
    CHECK_STR(got(&rig, "status.conditions.1.type"), "Established");
    CHECK_STR(got(&rig, "status.conditions.1.status"), "True");
    CHECK_STR(got(&rig, "status.acceptedNames.kind"), "Widget");
    CHECK_STR(got(&rig, "status.storedVersions.0"), "v1");
    CHECK_STR(got(&rig, "spec.names.singular"), "widget");
    CHECK_STR(got(&rig, "spec.names.listKind"), "WidgetList");
    CHECK_STR(got(&rig, "spec.conversion.strategy"), "None");
    ask(&rig, "GET", WIDGETS, NULL);
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "kind"), "WidgetList");
    rig_close(&rig);
}

TEST(custom_resources_are_defaulted_pruned_and_validated)
{
    struct rig rig;
    install(&rig);
    ask(&rig, "POST", WIDGETS,
        "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"a\"},\"spec\":{"
        "\"size\":2,\"other\":1},\"status\":{\"size\":5}}");
    CHECK_INT(rig.status, 201);
    CHECK_STR(got(&rig, "spec.mode"), "plain");
    CHECK(got(&rig, "spec.other") == NULL);
    CHECK(got(&rig, "status") == NULL);
    CHECK_STR(got(&rig, "metadata.generation"), "1");
    CHECK_INT(rig.req.nwarnings, 1);
    CHECK_STR(rig.req.warnings[0], "unknown field \"spec.other\"");
    ask(&rig, "POST", WIDGETS "?fieldValidation=Strict",
        "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"b\"},\"spec\":{"
        "\"size\":2,\"other\":1}}");
    CHECK_INT(rig.status, 400);
    ask(&rig, "POST", WIDGETS,
        "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"b\"},\"spec\":{"
        "\"size\":0}}");
    CHECK_INT(rig.status, 422);
    CHECK_STR(got(&rig, "message"), "Widget.x.io \"b\" is invalid: spec.size: Invalid value: 0: "
                                    "spec.size in body should be greater than or equal to 1");
    rig_close(&rig);
}

TEST(status_and_scale_of_a_custom_resource_are_apart)
{
    struct rig rig;
    install(&rig);
    ask(&rig, "POST", WIDGETS,
        "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"a\"},\"spec\":{"
        "\"size\":2}}");
    patch(
        &rig, "application/merge-patch+json", WIDGETS "/a/status",
        "{\"spec\":{\"size\":9},\"status\":{\"size\":7},\"metadata\":{\"labels\":{\"x\":\"y\"}}}");
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "spec.size"), "2");
    CHECK_STR(got(&rig, "status.size"), "7");
    CHECK(got(&rig, "metadata.labels") == NULL);
    CHECK_STR(got(&rig, "metadata.generation"), "1");
    ask(&rig, "GET", WIDGETS "/a/scale", NULL);
    CHECK_STR(got(&rig, "kind"), "Scale");
    CHECK_STR(got(&rig, "spec.replicas"), "2");
    CHECK_STR(got(&rig, "status.replicas"), "7");
    patch(&rig, "application/merge-patch+json", WIDGETS "/a/scale", "{\"spec\":{\"replicas\":4}}");
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "spec.replicas"), "4");
    ask(&rig, "GET", WIDGETS "/a", NULL);
    CHECK_STR(got(&rig, "spec.size"), "4");
    CHECK_STR(got(&rig, "metadata.generation"), "2");
    rig_close(&rig);
}

TEST(stored_objects_are_read_with_the_schema_of_today)
{
    struct rig rig;
    install(&rig);
    ask(&rig, "POST", WIDGETS,
        "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"a\"},\"spec\":{"
        "\"size\":2}}");
    CHECK_INT(rig.status, 201);
    char *before = mh_strdup(got(&rig, "metadata.resourceVersion"));
    patch(&rig, "application/json-patch+json", CRDS "/widgets.x.io",
          "[{\"op\":\"add\",\"path\":\"/spec/versions/0/schema/openAPIV3Schema/properties/spec/"
          "properties/"
          "fresh\",\"value\":{\"type\":\"string\",\"default\":\"new\"}},{\"op\":\"remove\","
          "\"path\":\"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode\"}]");
    CHECK_INT(rig.status, 200);
    ask(&rig, "GET", WIDGETS "/a", NULL);
    CHECK_STR(got(&rig, "spec.fresh"), "new");
    CHECK(got(&rig, "spec.mode") == NULL);
    CHECK_STR(got(&rig, "metadata.resourceVersion"), before);
    patch(&rig, "application/merge-patch+json", WIDGETS "/a", "{}"); /* is written as it reads */
    CHECK_INT(rig.status, 200);
    CHECK(strcmp(got(&rig, "metadata.resourceVersion"), before) != 0);
    mh_free(before);
    rig_close(&rig);
}

TEST(a_removed_crd_takes_its_objects_along)
{
    struct rig rig;
    struct lines l;
    install(&rig);
    ask(&rig, "POST", WIDGETS,
        "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"a\"},\"spec\":{"
        "\"size\":2}}");
    watch_open(&rig, &l, WIDGETS "?watch=1");
    ask(&rig, "DELETE", CRDS "/widgets.x.io", NULL);
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "status.conditions.2.type"), "Terminating");
    tw_advance(rig.tw, 3 * MH_NS_PER_S);
    CHECK_STR(seen(&l), "ADDED a,DELETED a,");
    CHECK(l.ended);
    mh_sb_watch_close(l.watch);
    ask(&rig, "GET", CRDS "/widgets.x.io", NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "GET", WIDGETS, NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "POST", CRDS, widget);
    tw_settle(rig.tw);
    ask(&rig, "GET", WIDGETS, NULL);
    CHECK_INT(rig.status, 200);
    rig_close(&rig);
}
