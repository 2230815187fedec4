#include "control_world.h"

#define DEPLOYMENT "/apis/apps/v1/namespaces/ns/deployments/op"

static void
deployment(struct tw *tw, int replicas, const char *image, const char *extra)
{
    char json[1500];
    (void)snprintf(json, sizeof(json),
                   "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"spec\":{\"replicas\":%d,"
                   "\"selector\":{\"matchLabels\":{\"app\":\"op\"}},\"template\":{\"metadata\":{"
                   "\"labels\":{\"app\":\"op\"}},\"spec\":{\"containers\":[{\"name\":\"m\","
                   "\"image\":\"%s\"}]}}%s}}",
                   replicas, image, extra);
    if (tw_object(tw, DEPLOYMENT))
        cw_merge(tw, DEPLOYMENT, json);
    else
        tw_put(tw, DEPLOYMENT, json);
    cw_merge(
        tw, DEPLOYMENT,
        mh_arena_printf(
            &tw->arena, "{\"metadata\":{\"generation\":%d}}",
            (int)mh_json_int(tw_object(tw, DEPLOYMENT), 0, "metadata", "generation", NULL) + 1));
    cw_settle(tw);
}

/* Names of the pods that are there and have a node. */
static int
pods(struct tw *tw, const char *names[], int max)
{
    int n = 0;
    const struct tw_request *r;
    for (int i = 0; (r = tw_api_request(tw, i)); i++) {
        char path[300];
        const char *pod = NULL;
        if (strcmp(r->method, "POST") == 0 && mh_str_ends(r->path, "/binding")) {
            (void)snprintf(path, sizeof(path), "%.*s", (int)(strlen(r->path) - strlen("/binding")),
                           r->path);
            pod = tw_object(tw, path) ? strrchr(path, '/') + 1 : NULL;
        }
        if (pod && n < max)
            names[n++] = mh_arena_strdup(&tw->arena, pod);
    }
    return n;
}

static void
make_ready(struct tw *tw)
{
    const char *names[50];
    int n = pods(tw, names, 50);
    for (int i = 0; i < n; i++) {
        char path[300];
        (void)snprintf(path, sizeof(path), "/api/v1/namespaces/ns/pods/%s", names[i]);
        if (!mh_str_eq(mh_json_str(tw_object(tw, path), "status", "phase", NULL), "Running"))
            cw_status(tw, names[i], "Running", "127.77.16.9", true);
    }
    cw_settle(tw);
}

static int64_t
status(struct tw *tw, const char *field)
{
    return mh_json_int(tw_object(tw, DEPLOYMENT), 0, "status", field, NULL);
}

static const char *
condition(struct tw *tw, const char *type, const char *field)
{
    size_t i, max;
    yyjson_val *v, *list = mh_json_get(tw_object(tw, DEPLOYMENT), "status", "conditions", NULL);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (mh_str_eq(mh_json_str(v, "type", NULL), type))
            return mh_json_str(v, field, NULL);
    }
    return NULL;
}

static int
count(struct tw *tw, const char *what)
{
    char path[100];
    (void)snprintf(path, sizeof(path), "%s", what);
    return tw_objects(tw, path);
}

#define PODS "/api/v1/namespaces/ns/pods/"
#define SETS "/apis/apps/v1/namespaces/ns/replicasets/"

TEST(a_deployment_brings_up_its_pods_and_says_so)
{
    struct tw *tw = cw_new(2);
    deployment(tw, 2, "a", "");
    CHECK_INT(count(tw, SETS), 1);
    CHECK_INT(count(tw, PODS), 2);
    CHECK_STR(condition(tw, "Available", "status"), "False");
    make_ready(tw);
    CHECK_INT(status(tw, "readyReplicas"), 2);
    CHECK_INT(status(tw, "updatedReplicas"), 2);
    CHECK_INT(status(tw, "availableReplicas"), 2);
    CHECK_STR(condition(tw, "Available", "status"), "True");
    CHECK_STR(condition(tw, "Progressing", "reason"), "NewReplicaSetAvailable");
    CHECK_INT(status(tw, "observedGeneration"),
              mh_json_int(tw_object(tw, DEPLOYMENT), -1, "metadata", "generation", NULL));
    CHECK(mh_sb_control_idle(cw));
    cw_free(tw);
}

TEST(a_deployment_is_scaled)
{
    struct tw *tw = cw_new(2);
    deployment(tw, 1, "a", "");
    make_ready(tw);
    deployment(tw, 4, "a", "");
    CHECK_INT(count(tw, PODS), 4);
    make_ready(tw);
    deployment(tw, 2, "a", "");
    CHECK_INT(count(tw, PODS), 2);
    CHECK_INT(status(tw, "replicas"), 2);
    deployment(tw, 0, "a", "");
    CHECK_INT(count(tw, PODS), 0);
    CHECK_INT(count(tw, SETS), 1);
    cw_free(tw);
}

TEST(a_new_template_rolls_with_nobody_missing)
{
    struct tw *tw = cw_new(2);
    deployment(tw, 3, "a", "");
    make_ready(tw);
    deployment(tw, 3, "b", "");
    for (int i = 0; i < 10; i++) {
        CHECK(status(tw, "availableReplicas") >= 3);
        CHECK(count(tw, PODS) <= 4);
        make_ready(tw);
    }
    CHECK_INT(count(tw, PODS), 3);
    CHECK_INT(count(tw, SETS), 2);
    CHECK_INT(status(tw, "updatedReplicas"), 3);
    CHECK_INT(status(tw, "replicas"), 3);
    CHECK_STR(mh_json_str(tw_object(tw, DEPLOYMENT), "metadata", "annotations",
                          "deployment.kubernetes.io/revision", NULL),
              "2");
    /* Back to the first template: its set serves again, with a new revision. */
    deployment(tw, 3, "a", "");
    for (int i = 0; i < 10; i++)
        make_ready(tw);
    CHECK_INT(count(tw, SETS), 2);
    CHECK_STR(mh_json_str(tw_object(tw, DEPLOYMENT), "metadata", "annotations",
                          "deployment.kubernetes.io/revision", NULL),
              "3");
    CHECK_INT(status(tw, "updatedReplicas"), 3);
    cw_free(tw);
}

TEST(a_template_that_never_gets_ready_leaves_the_old_pods)
{
    struct tw *tw = cw_new(2);
    deployment(tw, 1, "a", ",\"progressDeadlineSeconds\":20");
    make_ready(tw);
    deployment(tw, 1, "b", "");
    cw_settle(tw);
    CHECK_INT(count(tw, PODS), 2);
    CHECK_INT(status(tw, "availableReplicas"), 1);
    CHECK_STR(condition(tw, "Progressing", "reason"), "ReplicaSetUpdated");
    tw_advance(tw, 30 * MH_NS_PER_S);
    CHECK_STR(condition(tw, "Progressing", "reason"), "ProgressDeadlineExceeded");
    CHECK_INT(count(tw, PODS), 2);
    cw_free(tw);
}

TEST(recreate_lets_the_old_pods_go_first)
{
    struct tw *tw = cw_new(2);
    deployment(tw, 2, "a", ",\"strategy\":{\"type\":\"Recreate\"}");
    make_ready(tw);
    deployment(tw, 2, "b", "");
    tw_advance(tw, MH_NS_PER_S);
    make_ready(tw);
    CHECK_INT(count(tw, PODS), 2);
    CHECK_INT(status(tw, "updatedReplicas"), 2);
    cw_free(tw);
}

TEST(a_pod_that_is_gone_is_replaced)
{
    struct tw *tw = cw_new(2);
    const char *names[8];
    deployment(tw, 1, "a", "");
    make_ready(tw);
    CHECK_INT(pods(tw, names, 8), 1);
    tw_remove(tw, mh_arena_printf(&tw->arena, PODS "%s", names[0]));
    cw_settle(tw);
    CHECK_INT(count(tw, PODS), 1);
    CHECK_INT(pods(tw, names, 8), 1);
    /* One that failed stays to be looked at, and another comes. */
    cw_status(tw, names[0], "Failed", "127.77.16.9", false);
    cw_settle(tw);
    CHECK_INT(count(tw, PODS), 2);
    cw_free(tw);
}

TEST(a_paused_deployment_does_not_roll)
{
    struct tw *tw = cw_new(2);
    deployment(tw, 1, "a", "");
    make_ready(tw);
    deployment(tw, 1, "b", ",\"paused\":true");
    CHECK_INT(count(tw, SETS), 1);
    deployment(tw, 1, "b", ",\"paused\":false");
    CHECK_INT(count(tw, SETS), 2);
    cw_free(tw);
}

TEST(old_sets_beyond_the_history_go)
{
    struct tw *tw = cw_new(2);
    static const char *const images[] = { "a", "b", "c", "d" };
    for (int i = 0; i < 4; i++) {
        deployment(tw, 1, images[i], ",\"revisionHistoryLimit\":1");
        for (int k = 0; k < 6; k++)
            make_ready(tw);
    }
    CHECK_INT(count(tw, SETS), 2);
    cw_free(tw);
}
