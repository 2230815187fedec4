#include "control_world.h"

#define JOB "/apis/batch/v1/namespaces/ns/jobs/j"
#define PODS "/api/v1/namespaces/ns/pods/"

static void
job(struct tw *tw, const char *extra)
{
    char json[1000];
    (void)snprintf(json, sizeof(json),
                   "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"spec\":{\"template\":{"
                   "\"metadata\":{\"labels\":{\"cnpg.io/cluster\":\"c\"}},\"spec\":{"
                   "\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"m\"}]}}%s}}",
                   extra);
    tw_put(tw, JOB, json);
    cw_settle(tw);
}

/* The latest pod that is there. */
static const char *
pod(struct tw *tw)
{
    const struct tw_request *r;
    const char *out = NULL;
    for (int i = 0; (r = tw_api_request(tw, i)); i++) {
        char path[300];
        if (strcmp(r->method, "POST") != 0 || !mh_str_ends(r->path, "/binding"))
            continue;
        (void)snprintf(path, sizeof(path), "%.*s", (int)(strlen(r->path) - strlen("/binding")),
                       r->path);
        if (tw_object(tw, path))
            out = mh_arena_strdup(&tw->arena, strrchr(path, '/') + 1);
    }
    return out;
}

static void
end(struct tw *tw, const char *name, const char *phase)
{
    char when[MH_TIME_TEXT], patch[300];
    cw_status(tw, name, phase, "127.77.16.9", false);
    mh_time_rfc3339(when, tw->wall_us / 1000000);
    (void)snprintf(patch, sizeof(patch),
                   "{\"status\":{\"containerStatuses\":[{\"state\":{\"terminated\":{"
                   "\"finishedAt\":\"%s\"}}}]}}",
                   when);
    cw_merge(tw, mh_arena_printf(&tw->arena, PODS "%s", name), patch);
    cw_settle(tw);
}

static const char *
last_condition(struct tw *tw, const char *field)
{
    yyjson_val *list = mh_json_get(tw_object(tw, JOB), "status", "conditions", NULL);
    return mh_json_str(yyjson_arr_get_last(list), field, NULL);
}

TEST(a_job_runs_its_pod_and_is_complete)
{
    struct tw *tw = cw_new(1);
    job(tw, "");
    CHECK_INT(tw_objects(tw, PODS), 1);
    CHECK_INT(mh_json_int(tw_object(tw, JOB), 0, "status", "active", NULL), 1);
    const char *name = pod(tw);
    yyjson_val *o = tw_object(tw, mh_arena_printf(&tw->arena, PODS "%s", name));
    CHECK_STR(mh_json_str(o, "metadata", "labels", "batch.kubernetes.io/job-name", NULL), "j");
    end(tw, name, "Succeeded");
    CHECK_STR(last_condition(tw, "type"), "Complete");
    CHECK_INT(mh_json_int(tw_object(tw, JOB), 0, "status", "succeeded", NULL), 1);
    CHECK(mh_json_str(tw_object(tw, JOB), "status", "completionTime", NULL) != NULL);
    CHECK(mh_json_get(tw_object(tw, JOB), "status", "active", NULL) == NULL);
    /* Its pod may go without the job beginning anew. */
    tw_remove(tw, mh_arena_printf(&tw->arena, PODS "%s", name));
    cw_settle(tw);
    CHECK_INT(tw_objects(tw, PODS), 0);
    cw_free(tw);
}

TEST(a_job_tries_again_later_and_later_and_gives_up)
{
    struct tw *tw = cw_new(1);
    job(tw, ",\"backoffLimit\":1");
    const char *first = pod(tw);
    end(tw, first, "Failed");
    CHECK_INT(tw_objects(tw, PODS), 1);
    cw_live(tw, 12);
    CHECK_INT(tw_objects(tw, PODS), 2);
    end(tw, pod(tw), "Failed");
    CHECK_STR(last_condition(tw, "type"), "Failed");
    CHECK_STR(last_condition(tw, "reason"), "BackoffLimitExceeded");
    CHECK_INT(mh_json_int(tw_object(tw, JOB), 0, "status", "failed", NULL), 2);
    tw_advance(tw, 100 * MH_NS_PER_S);
    CHECK_INT(tw_objects(tw, PODS), 2);
    cw_free(tw);
}

TEST(a_job_over_its_deadline_fails)
{
    struct tw *tw = cw_new(1);
    job(tw, ",\"activeDeadlineSeconds\":5");
    tw_advance(tw, 10 * MH_NS_PER_S);
    CHECK_STR(last_condition(tw, "reason"), "DeadlineExceeded");
    CHECK_INT(tw_objects(tw, PODS), 0);
    cw_free(tw);
}

TEST(a_finished_job_goes_after_its_time)
{
    struct tw *tw = cw_new(1);
    job(tw, ",\"ttlSecondsAfterFinished\":5");
    end(tw, pod(tw), "Succeeded");
    CHECK(tw_object(tw, JOB) != NULL);
    tw_advance(tw, 7 * MH_NS_PER_S);
    CHECK(tw_object(tw, JOB) == NULL);
    cw_free(tw);
}

TEST(completions_and_parallelism_are_kept)
{
    struct tw *tw = cw_new(1);
    job(tw, ",\"completions\":3,\"parallelism\":2");
    CHECK_INT(tw_objects(tw, PODS), 2);
    end(tw, pod(tw), "Succeeded");
    CHECK_INT(tw_objects(tw, PODS), 3);
    CHECK(last_condition(tw, "type") == NULL);
    cw_free(tw);
}

TEST(a_suspended_job_has_no_pods)
{
    struct tw *tw = cw_new(1);
    job(tw, ",\"suspend\":true");
    CHECK_INT(tw_objects(tw, PODS), 0);
    CHECK_STR(last_condition(tw, "type"), "Suspended");
    cw_merge(tw, JOB, "{\"spec\":{\"suspend\":false}}");
    cw_settle(tw);
    CHECK_INT(tw_objects(tw, PODS), 1);
    CHECK_STR(last_condition(tw, "status"), "False");
    cw_free(tw);
}
