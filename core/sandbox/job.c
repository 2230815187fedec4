/* job.c - Jobs: pods until enough of them succeeded, or too many failed. */
#include <string.h>

#include "sandbox/deploy_in.h"

#define COMPONENT "job-controller"
#define BACKOFF_S 10
#define BACKOFF_MAX_S 600

struct work {
    struct mh_sb_task *t;
    yyjson_val *job;
    struct mh_sb_item **pods;
    size_t n;
    int64_t active, ready, going, succeeded, failed;
    int64_t restarts;    /* of containers, for restartPolicy OnFailure */
    int64_t last_fail_s; /* when the last one failed; 0: none */
    int64_t completions; /* -1: one success is enough */
    int64_t parallelism;
    int64_t started_s;
};

static int64_t
most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool
is_true(yyjson_val *job, const char *type)
{
    return mh_str_eq(mh_json_str(mh_sb_condition_of(job, type), "status", NULL), "True");
}

static int64_t
restarts_of(yyjson_val *pod)
{
    size_t i, max;
    int64_t n = 0;
    yyjson_val *c, *list = mh_json_get(pod, "status", "containerStatuses", NULL);
    yyjson_arr_foreach(list, i, max, c)
    {
        n += mh_json_int(c, 0, "restartCount", NULL);
    }
    return n;
}

/* When its last container ended; its creation where that is not known. */
static int64_t
ended_s(yyjson_val *pod)
{
    size_t i, max;
    int64_t at = mh_sb_when(mh_json_get(pod, "metadata", "creationTimestamp", NULL), 0);
    yyjson_val *c, *list = mh_json_get(pod, "status", "containerStatuses", NULL);
    yyjson_arr_foreach(list, i, max, c)
    {
        at = most(at, mh_sb_when(mh_json_get(c, "state", "terminated", "finishedAt", NULL), 0));
    }
    return at;
}

static bool
observe(struct work *w)
{
    w->pods = mh_sb_owned(w->t, MH_SB_PODS, w->job, &w->n);
    if (!w->pods)
        return false;
    for (size_t i = 0; i < w->n; i++) {
        yyjson_val *pod = w->pods[i]->object;
        const char *phase = mh_json_str(pod, "status", "phase", NULL);
        if (mh_str_eq(phase, "Succeeded")) {
            w->succeeded++;
        } else if (mh_str_eq(phase, "Failed")) {
            w->failed++;
            w->last_fail_s = most(w->last_fail_s, ended_s(pod));
        } else if (w->pods[i]->doomed || mh_sb_is_going(pod)) {
            w->going++;
        } else {
            w->active++;
            w->ready += mh_sb_pod_ready(pod);
            w->restarts += restarts_of(pod);
        }
    }
    /* Pods that were counted once may be gone. */
    w->succeeded = most(w->succeeded, mh_json_int(w->job, 0, "status", "succeeded", NULL));
    w->failed = most(w->failed, mh_json_int(w->job, 0, "status", "failed", NULL));
    w->completions = mh_json_int(w->job, -1, "spec", "completions", NULL);
    w->parallelism = mh_json_int(w->job, 1, "spec", "parallelism", NULL);
    if (w->completions < 0 && !mh_json_get(w->job, "spec", "parallelism", NULL))
        w->completions = 1;
    w->started_s = mh_sb_when(mh_json_get(w->job, "status", "startTime", NULL), 0);
    return true;
}

/* --- status ---------------------------------------------------------------------------------- */

static void
tell_status(struct work *w, const struct mh_sb_cond *changes, size_t n, bool complete)
{
    struct mh_sb_task *t = w->t;
    char when[MH_TIME_TEXT];
    mh_sb_now_text(t->c, when);
    const char *since = mh_json_str(w->job, "status", "startTime", NULL);
    const char *done = complete ? mh_sb_text(t, ",\"completionTime\":\"%s\"", when) : "";
    const char *conditions =
        n ? mh_sb_text(t, ",\"conditions\":%s", mh_sb_conditions(t, w->job, changes, n)) : "";
    mh_sb_put_status(
        t, MH_SB_JOBS, w->job,
        mh_sb_text(t,
                   "{\"active\":%s,\"ready\":%lld,\"terminating\":%lld,\"succeeded\":"
                   "%s,\"failed\":%s,\"startTime\":%s,\"uncountedTerminatedPods\":{}"
                   "%s%s}",
                   w->active ? mh_sb_text(t, "%lld", (long long)w->active) : "null",
                   (long long)w->ready, (long long)w->going,
                   w->succeeded ? mh_sb_text(t, "%lld", (long long)w->succeeded) : "null",
                   w->failed ? mh_sb_text(t, "%lld", (long long)w->failed) : "null",
                   mh_sb_quote(t, since ? since : when), done, conditions));
}

static void
stop_pods(struct work *w)
{
    for (size_t i = 0; i < w->n; i++) {
        yyjson_val *pod = w->pods[i]->object;
        if (!w->pods[i]->doomed && !mh_sb_is_going(pod) && !mh_sb_pod_finished(pod))
            mh_sb_ctl_delete(w->t, MH_SB_PODS, pod, -1);
    }
}

static void
finish(struct work *w, bool good, const char *reason, const char *message)
{
    struct mh_sb_cond changes[2] = {
        { .type = good ? "SuccessCriteriaMet" : "FailureTarget", .status = "True" },
        { .type = good ? "Complete" : "Failed", .status = "True" },
    };
    for (int i = 0; i < 2; i++) {
        changes[i].reason = reason;
        changes[i].message = message;
    }
    stop_pods(w);
    w->active = w->ready = 0;
    tell_status(w, changes, 2, good);
    mh_sb_event(w->t->c, COMPONENT, w->job, good ? "Normal" : "Warning",
                good ? "Completed" : reason, good ? "Job completed" : message);
}

/* --- the worker ------------------------------------------------------------------------------ */

/* A finished one is left for ttlSecondsAfterFinished, then it goes. */
static void
expire(struct mh_sb_task *t, yyjson_val *job)
{
    int64_t ttl = mh_json_int(job, -1, "spec", "ttlSecondsAfterFinished", NULL);
    const char *type = is_true(job, "Complete") ? "Complete" : "Failed";
    int64_t at =
        mh_sb_when(mh_json_get(mh_sb_condition_of(job, type), "lastTransitionTime", NULL), 0);
    if (ttl < 0)
        return;
    int64_t left = at + ttl - mh_sb_wall_s(t->c);
    if (left > 0)
        mh_sb_again(t, left * MH_NS_PER_S);
    else
        mh_sb_ctl_delete(t, MH_SB_JOBS, job, -1);
}

/* True: the job is over. */
static bool
judge(struct work *w)
{
    struct mh_sb_task *t = w->t;
    int64_t limit = mh_json_int(w->job, 6, "spec", "backoffLimit", NULL);
    int64_t deadline = mh_json_int(w->job, -1, "spec", "activeDeadlineSeconds", NULL);
    const char *policy = mh_json_str(w->job, "spec", "template", "spec", "restartPolicy", NULL);
    bool on_failure = mh_str_eq(policy, "OnFailure");
    bool enough =
        w->completions < 0 ? w->succeeded > 0 && w->active == 0 : w->succeeded >= w->completions;
    if (enough) {
        finish(w, true, "CompletionsReached", "Reached expected number of succeeded pods");
        return true;
    }
    if (w->failed > limit || (on_failure && w->restarts > 0 && w->restarts >= limit)) {
        finish(w, false, "BackoffLimitExceeded", "Job has reached the specified backoff limit");
        return true;
    }
    if (deadline < 0 || !w->started_s)
        return false;
    int64_t left = w->started_s + deadline - mh_sb_wall_s(t->c);
    if (left > 0) {
        mh_sb_again(t, left * MH_NS_PER_S);
        return false;
    }
    finish(w, false, "DeadlineExceeded", "Job was active longer than specified deadline");
    return true;
}

/* After a failure the next pod waits longer and longer; 0: now. */
static int64_t
wait_s(const struct work *w)
{
    int64_t wait = BACKOFF_S;
    if (w->failed == 0 || w->last_fail_s == 0)
        return 0;
    for (int64_t i = 1; i < w->failed && wait < BACKOFF_MAX_S; i++)
        wait *= 2;
    return most(
        w->last_fail_s + (wait < BACKOFF_MAX_S ? wait : BACKOFF_MAX_S) - mh_sb_wall_s(w->t->c), 0);
}

static void
create_pods(struct work *w)
{
    const char *uid = mh_sb_uid_of(w->job), *name = mh_sb_name(w->job);
    const char *labels[] = { "batch.kubernetes.io/controller-uid",
                             uid,
                             "batch.kubernetes.io/job-name",
                             name,
                             "controller-uid",
                             uid,
                             "job-name",
                             name,
                             NULL };
    struct mh_sb_pod_from from = {
        .owner = w->job, .api_version = "batch/v1", .kind = "Job", .labels = labels
    };
    int64_t want = w->parallelism;
    if (w->completions < 0 && w->succeeded > 0)
        want = w->active;
    else if (w->completions >= 0 && w->completions - w->succeeded < want)
        want = w->completions - w->succeeded;
    int64_t missing = want - w->active - w->going, wait = missing > 0 ? wait_s(w) : 0;
    if (wait > 0) {
        mh_sb_again(w->t, wait * MH_NS_PER_S);
        return;
    }
    for (int64_t i = 0; i < missing && i < 100; i++)
        mh_sb_create_pod(w->t, &from);
}

static void
suspend(struct work *w)
{
    struct mh_sb_cond change = {
        .type = "Suspended", .status = "True", .reason = "JobSuspended", .message = "Job suspended"
    };
    stop_pods(w);
    if (w->t->open == 0 && !is_true(w->job, "Suspended"))
        tell_status(w, &change, 1, false);
}

void
mh_sb_job_sync(struct mh_sb_task *t)
{
    struct work w = { .t = t, .job = mh_sb_object(t->c, MH_SB_JOBS, t->ns, t->name) };
    if (!w.job || mh_sb_is_going(w.job))
        return;
    if (is_true(w.job, "Complete") || is_true(w.job, "Failed")) {
        expire(t, w.job);
        return;
    }
    if (mh_str_eq(mh_json_str(w.job, "spec", "completionMode", NULL), "Indexed")) {
        mh_sb_event(t->c, COMPONENT, w.job, "Warning", "Unsupported",
                    "the sandbox does not run Jobs of completionMode Indexed");
        return;
    }
    if (!observe(&w))
        return;
    if (mh_json_bool(w.job, false, "spec", "suspend", NULL)) {
        suspend(&w);
        return;
    }
    if (judge(&w))
        return;
    create_pods(&w);
    if (t->open == 0) {
        struct mh_sb_cond resumed = {
            .type = "Suspended", .status = "False", .reason = "JobResumed", .message = "Job resumed"
        };
        tell_status(&w, &resumed, is_true(w.job, "Suspended") ? 1 : 0, false);
    }
}

MH_SB_HOOK(mh_sb_job_hook)
{
    (void)old;
    if (now)
        mh_sb_touch_object(c, MH_SB_W_JOB, now);
}

MH_SB_HOOK(mh_sb_job_pod_hook)
{
    yyjson_val *pod = now ? now : old, *by = mh_sb_controller(pod);
    if (mh_str_eq(mh_json_str(by, "kind", NULL), "Job"))
        mh_sb_touch(c, MH_SB_W_JOB, mh_sb_ns(pod), mh_json_str(by, "name", NULL));
}
