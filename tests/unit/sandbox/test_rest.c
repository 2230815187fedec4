/* The plain path: create, get, list, update, delete through mh_sb_serve. */
#include "rest_help.h"

#define CMS "/api/v1/namespaces/default/configmaps"

TEST(a_created_object_gets_what_the_server_gives)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "POST", CMS, "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}");
    CHECK_INT(rig.status, 201);
    CHECK_STR(got(&rig, "kind"), "ConfigMap");
    CHECK_STR(got(&rig, "apiVersion"), "v1");
    CHECK_STR(got(&rig, "metadata.namespace"), "default");
    CHECK_STR(got(&rig, "metadata.creationTimestamp"), "2026-01-01T00:00:00Z");
    CHECK_INT(strlen(got(&rig, "metadata.uid")), 36);
    CHECK_STR(got(&rig, "metadata.resourceVersion"), "5");
    ask(&rig, "GET", CMS "/a", NULL);
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "data.k"), "v");
    ask(&rig, "POST", CMS, "{\"metadata\":{\"name\":\"a\"}}");
    CHECK_INT(rig.status, 409);
    CHECK_STR(got(&rig, "reason"), "AlreadyExists");
    CHECK_STR(got(&rig, "message"), "configmaps \"a\" already exists");
    rig_close(&rig);
}

TEST(what_is_not_there_is_answered_as_a_status)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "GET", CMS "/none", NULL);
    CHECK_INT(rig.status, 404);
    CHECK_STR(rig.text, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
                        "\"Failure\",\"message\":\"configmaps \\\"none\\\" not found\",\"reason\":"
                        "\"NotFound\",\"details\":{\"name\":\"none\",\"kind\":\"configmaps\"},"
                        "\"code\":404}");
    ask(&rig, "GET", "/apis/apps/v1/namespaces/default/deployments/none", NULL);
    CHECK_STR(got(&rig, "message"), "deployments.apps \"none\" not found");
    ask(&rig, "GET", "/apis/apps/v1/nothing", NULL);
    CHECK_INT(rig.status, 404);
    CHECK_STR(got(&rig, "message"), "the server could not find the requested resource");
    ask(&rig, "GET", "/nothing", NULL);
    CHECK_STR(rig.text, "404 page not found\n");
    ask(&rig, "POST", "/api/v1/namespaces/nope/configmaps", "{\"metadata\":{\"name\":\"a\"}}");
    CHECK_STR(got(&rig, "message"), "namespaces \"nope\" not found");
    ask(&rig, "DELETE", "/api/v1/namespaces", NULL);
    CHECK_INT(rig.status, 405);
    rig_close(&rig);
}

TEST(an_update_with_an_old_version_conflicts)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "POST", CMS, "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"1\"}}");
    ask(&rig, "PUT", CMS "/a",
        "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"},\"data\":{\"k\":\"2\"}}");
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "metadata.resourceVersion"), "6");
    ask(&rig, "PUT", CMS "/a",
        "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"},\"data\":{\"k\":\"3\"}}");
    CHECK_INT(rig.status, 409);
    CHECK_STR(got(&rig, "message"),
              "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; "
              "please apply your changes to the latest version and try again");
    ask(&rig, "PUT", CMS "/a", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"4\"}}");
    CHECK_INT(rig.status, 200);
    ask(&rig, "PUT", CMS "/a", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"4\"}}");
    CHECK_STR(got(&rig, "metadata.resourceVersion"), "7");
    ask(&rig, "PUT", CMS "/a", "{\"metadata\":{\"name\":\"b\"}}");
    CHECK_STR(got(&rig, "message"),
              "the name of the object (b) does not match the name on the URL (a)");
    rig_close(&rig);
}

TEST(lists_are_sorted_selected_and_paged)
{
    struct rig rig;
    char path[1024];
    rig_open(&rig, NULL);
    for (int i = 4; i >= 0; i--) {
        char body[128];
        snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"c%d\",\"labels\":{\"n\":\"%d\"}}}",
                 i, i % 2);
        ask(&rig, "POST", CMS, body);
    }
    ask(&rig, "GET", CMS "?limit=2", NULL);
    CHECK_STR(got(&rig, "items.0.metadata.name"), "c0");
    CHECK_STR(got(&rig, "metadata.remainingItemCount"), "3");
    snprintf(path, sizeof(path), CMS "?limit=2&continue=%s", got(&rig, "metadata.continue"));
    ask(&rig, "DELETE", CMS "/c3", NULL);
    ask(&rig, "GET", path, NULL);
    CHECK_STR(got(&rig, "items.1.metadata.name"), "c3");
    CHECK_STR(got(&rig, "metadata.remainingItemCount"), "1");
    ask(&rig, "GET", CMS "?labelSelector=n%3D1", NULL);
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(rig.reply, "items")), 1);
    ask(&rig, "GET", CMS "?labelSelector=n%20notin%20(0,x),n", NULL);
    CHECK_STR(got(&rig, "items.0.metadata.name"), "c1");
    ask(&rig, "GET", CMS "?fieldSelector=metadata.name%3Dc2", NULL);
    CHECK_STR(got(&rig, "items.0.metadata.name"), "c2");
    ask(&rig, "GET", CMS "?labelSelector=a%20b", NULL);
    CHECK_STR(got(&rig, "message"),
              "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
    ask(&rig, "GET", CMS "?fieldSelector=data.x%3D1", NULL);
    CHECK_INT(rig.status, 400);
    mh_sb_compact(rig.api);
    ask(&rig, "GET", path, NULL);
    CHECK_INT(rig.status, 410);
    rig_close(&rig);
}

TEST(a_delete_checks_preconditions_and_finalizers)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "POST", CMS, "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x.io/y\"]}}");
    ask(&rig, "DELETE", CMS "/a", "{\"preconditions\":{\"uid\":\"no\"}}");
    CHECK_INT(rig.status, 409);
    ask(&rig, "DELETE", CMS "/a", NULL);
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "metadata.deletionTimestamp"), "2026-01-01T00:00:00Z");
    CHECK_STR(got(&rig, "metadata.deletionGracePeriodSeconds"), "0");
    patch(&rig, "application/merge-patch+json", CMS "/a", "{\"metadata\":{\"finalizers\":null}}");
    CHECK_INT(rig.status, 200);
    ask(&rig, "GET", CMS "/a", NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "POST", CMS, "{\"metadata\":{\"name\":\"b\"}}");
    ask(&rig, "DELETE", CMS "/b", NULL);
    CHECK_STR(got(&rig, "status"), "Success");
    CHECK_STR(got(&rig, "details.name"), "b");
    rig_close(&rig);
}

TEST(a_bound_pod_is_deleted_with_grace)
{
    struct rig rig;
    rig_open(&rig, NULL);
    const char *pods = "/api/v1/namespaces/default/pods";
    ask(&rig, "POST", pods,
        "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]"
        ","
        "\"terminationGracePeriodSeconds\":30}}");
    CHECK_INT(rig.status, 201);
    CHECK_STR(got(&rig, "status.phase"), "Pending");
    ask(&rig, "POST", "/api/v1/namespaces/default/pods/p/binding",
        "{\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\",\"name\":\"n1\"}}");
    CHECK_INT(rig.status, 201);
    ask(&rig, "GET", "/api/v1/namespaces/default/pods/p", NULL);
    CHECK_STR(got(&rig, "spec.nodeName"), "n1");
    CHECK_STR(got(&rig, "status.conditions.0.type"), "PodScheduled");
    ask(&rig, "DELETE", "/api/v1/namespaces/default/pods/p", NULL);
    CHECK_STR(got(&rig, "metadata.deletionTimestamp"), "2026-01-01T00:00:30Z");
    CHECK_STR(got(&rig, "metadata.deletionGracePeriodSeconds"), "30");
    ask(&rig, "DELETE", "/api/v1/namespaces/default/pods/p", "{\"gracePeriodSeconds\":0}");
    CHECK_INT(rig.status, 200);
    ask(&rig, "GET", "/api/v1/namespaces/default/pods/p", NULL);
    CHECK_INT(rig.status, 404);
    rig_close(&rig);
}

TEST(a_binding_brings_annotations_and_has_its_conditions)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "POST", "/api/v1/namespaces/default/pods",
        "{\"metadata\":{\"name\":\"p\",\"annotations\":{\"a\":\"1\",\"b\":\"1\"}},\"spec\":{"
        "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}");
    CHECK_INT(rig.status, 201);
    const char *other =
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"target\":{\"name\":\"n1\"}}";
    ask(&rig, "POST", "/api/v1/namespaces/default/pods/p/binding", other);
    CHECK_INT(rig.status, 409);
    CHECK(strstr(got(&rig, "message"), "Key: /registry/pods/default/p,") != NULL);
    ask(&rig, "POST", "/api/v1/namespaces/default/pods/p/binding?dryRun=All", other);
    CHECK(strstr(got(&rig, "message"), "Key: /pods/default/p,") != NULL);
    ask(&rig, "POST", "/api/v1/namespaces/default/pods/p/binding",
        "{\"metadata\":{\"name\":\"p\",\"annotations\":{\"b\":\"2\",\"c\":\"3\"}},\"target\":{"
        "\"name\":\"n1\"}}");
    CHECK_INT(rig.status, 201);
    ask(&rig, "GET", "/api/v1/namespaces/default/pods/p", NULL);
    CHECK_STR(got(&rig, "metadata.annotations"), "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
    rig_close(&rig);
}

#define AUDITED(name)                                                                              \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"auditAnnotations\":[{\"key\":\"k\","        \
    "\"valueExpression\":\"'x'\"}],\"matchConstraints\":{\"resourceRules\":[{\"apiGroups\":["      \
    "\"x\"],"                                                                                      \
    "\"apiVersions\":[\"v1\"],\"operations\":[\"CREATE\"],\"resources\":[\"y\"]}]}}}"

TEST(an_audit_annotation_is_named_after_its_policy)
{
    struct rig rig;
    rig_open(&rig, NULL);
    const char *path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    ask(&rig, "POST", path, AUDITED("good"));
    CHECK_INT(rig.status, 201);
    ask(&rig, "POST", path, AUDITED("Bad_"));
    CHECK_INT(rig.status, 422);
    CHECK_STR(got(&rig, "details.causes.0.field"), "metadata.name");
    CHECK_STR(got(&rig, "details.causes.1.field"), "spec.auditAnnotations[0].key");
    CHECK(strstr(got(&rig, "details.causes.1.message"),
                 "Invalid value: \"Bad_/k\": prefix part a lowercase RFC 1123 subdomain") != NULL);
    rig_close(&rig);
}

TEST(a_status_update_changes_only_status)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "POST", "/api/v1/nodes",
        "{\"metadata\":{\"name\":\"n\"},\"status\":{\"capacity\":{\"cpu\":\"2\"}}}");
    CHECK_INT(rig.status, 201);
    patch(&rig, "application/merge-patch+json", "/api/v1/nodes/n/status",
          "{\"spec\":{\"unschedulable\":true},\"status\":{\"phase\":\"Running\"}}");
    CHECK_INT(rig.status, 200);
    CHECK_STR(got(&rig, "status.phase"), "Running");
    CHECK(got(&rig, "spec.unschedulable") == NULL);
    patch(&rig, "application/merge-patch+json", "/api/v1/nodes/n",
          "{\"spec\":{\"unschedulable\":true},\"status\":{\"phase\":\"Gone\"}}");
    CHECK_STR(got(&rig, "status.phase"), "Running");
    CHECK_STR(got(&rig, "spec.unschedulable"), "true");
    rig_close(&rig);
}

TEST(names_are_generated_and_dry_runs_store_nothing)
{
    struct rig rig;
    rig_open(&rig, NULL);
    ask(&rig, "POST", CMS, "{\"metadata\":{\"generateName\":\"gen-\"}}");
    CHECK_INT(rig.status, 201);
    CHECK_INT(strlen(got(&rig, "metadata.name")), 9);
    ask(&rig, "POST", CMS "?dryRun=All", "{\"metadata\":{\"name\":\"dry\"}}");
    CHECK_INT(rig.status, 201);
    CHECK(got(&rig, "metadata.uid") != NULL);
    CHECK(got(&rig, "metadata.resourceVersion") == NULL);
    ask(&rig, "GET", CMS "/dry", NULL);
    CHECK_INT(rig.status, 404);
    ask(&rig, "POST", CMS, "{\"metadata\":{}}");
    CHECK_STR(got(&rig, "message"), "ConfigMap \"\" is invalid: metadata.name: Required value: "
                                    "name or generateName is required");
    rig_close(&rig);
}
