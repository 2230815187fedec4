/* Pods on the sandbox's own API: real processes, no controllers. Where the kernel gives no
 * namespaces the tests say so and end. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "harness/test.h"
#include "io/file.h"
#include "io/loop.h"
#include "sandbox/node_in.h"
#include "sandbox/rest.h"

#define N 242

static struct event_base *loop;
static struct mh_clock wall;
static struct mh_sb_api *api;
static struct mh_sb_nodes *nodes;
static struct mh_arena arena; /* of one test */
static char dir[64];

static void
on_done(struct mh_sb_req *req)
{
    (void)req; /* its status says so */
}

static void
serve(const char *method, const char *path, const char *type, const char *body, int want)
{
    struct mh_sb_req req = { .user = "test",
                             .method = method,
                             .path = path,
                             .content_type = type,
                             .body = body,
                             .body_len = body ? strlen(body) : 0,
                             .trusted = true,
                             .arena = &arena,
                             .done = on_done };
    mh_sb_serve(api, &req);
    for (int i = 0; i < 100 && req.status == 0; i++)
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
    if (req.status / 100 != want / 100)
        printf("# %s %s: %d %s\n", method, path, req.status, req.reply ? req.reply : "");
    CHECK_INT(req.status / 100, want / 100);
}

static void
create(const char *plural, const char *body)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/v1/%s%s",
                   strcmp(plural, "persistentvolumes") == 0 ? "" : "namespaces/default/", plural);
    serve("POST", path, NULL, body, 201);
}

static void
settle(int ms)
{
    int64_t until = wall.mono_ns(wall.self) + (int64_t)ms * 1000000;
    while (wall.mono_ns(wall.self) < until) {
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
        (void)usleep(1000);
    }
}

static yyjson_val *
pod(const char *name)
{
    return mh_sb_get(api, &arena, "", "pods", "default", name);
}

static yyjson_val *
status_of(const char *name, size_t container)
{
    return yyjson_arr_get(mh_json_get(pod(name), "status", "containerStatuses", NULL), container);
}

static bool
is_phase(const char *name, const char *phase)
{
    const char *is = mh_json_str(pod(name), "status", "phase", NULL);
    return is && strcmp(is, phase) == 0;
}

static bool
is_ready(const char *name)
{
    return mh_json_bool(status_of(name, 0), false, "ready", NULL);
}

static bool
tell_one(void *arg, yyjson_val *object)
{
    (void)arg;
    const char *text = mh_json_text(&arena, yyjson_obj_get(object, "status"), NULL);
    printf("# %s: %s\n", mh_json_str(object, "metadata", "name", NULL), text ? text : "");
    return true;
}

/* What a failed test wants to know. */
static void
tell(void)
{
    mh_sb_each(api, NULL, "", "pods", "default", tell_one, NULL);
}

/* Runs the loop until the expression is true; the arena is emptied between the looks. */
#define UNTIL(expression, ms)                                                                      \
    do {                                                                                           \
        int64_t until_ = wall.mono_ns(wall.self) + (int64_t)(ms)*1000000;                          \
        bool is_ = false;                                                                          \
        while (!is_ && wall.mono_ns(wall.self) < until_) {                                         \
            mh_arena_release(&arena);                                                              \
            settle(3);                                                                             \
            is_ = (expression);                                                                    \
        }                                                                                          \
        CHECK(is_);                                                                                \
        if (!is_)                                                                                  \
            tell();                                                                                \
        if (!is_)                                                                                  \
            printf("# line %d: not within %d ms: %s\n", __LINE__, (ms), #expression);              \
    } while (0)

static bool
setup(int how_many)
{
    struct mh_err err;
    struct mh_sb_config config = { .changes = 0 };
    if (mh_sb_node_enter(&err) != MH_OK) {
        printf("# SKIPPED: %s\n", err.msg);
        return false;
    }
    mh_log_set_fd(-1);
    loop = mh_loop_new();
    wall = mh_clock_real(loop);
    mh_arena_init(&arena, (size_t)64 << 20);
    config.clock = wall;
    config.rand = mh_rand_real();
    api = mh_sb_api_new(&config, &err);
    CHECK(api != NULL);
    (void)snprintf(dir, sizeof(dir), "/tmp/mh-node-%d", (int)getpid());
    (void)mkdir(dir, 0755);
    static char self[512];
    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    struct mh_sb_nodes_spec spec = { .base = loop,
                                     .clock = wall,
                                     .api = mh_sb_direct(api, "system:nodes"),
                                     .n = N,
                                     .nodes = how_many,
                                     .dir = dir,
                                     .binary = self };
    nodes = api ? mh_sb_node_start(&spec, &err) : NULL;
    CHECK(nodes != NULL);
    return nodes != NULL;
}

static void
teardown(void)
{
    char command[128];
    mh_sb_node_stop(nodes);
    mh_sb_api_free(api);
    mh_clock_release(&wall);
    event_base_free(loop);
    mh_arena_release(&arena);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

/* A pod of one container (or more, in `containers`) on node1. */
static void
run(const char *name, const char *policy, const char *spec_more, const char *script,
    const char *container_more)
{
    static char body[8192];
    (void)snprintf(
        body, sizeof(body),
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"labels\":"
        "{\"a\":\"b\"}},\"spec\":{\"nodeName\":\"node1\",\"restartPolicy\":\"%s\",%s"
        "\"containers\":[{\"name\":\"main\",\"image\":\"localhost/moonherd:dev\","
        "\"command\":[\"sh\",\"-c\",\"%s\"],\"securityContext\":{\"runAsUser\":26,"
        "\"readOnlyRootFilesystem\":true}%s}]}}",
        name, policy, spec_more, script, container_more);
    create("pods", body);
}

static const char *
log_of(const char *name, const char *container, bool previous)
{
    char path[MH_SB_PATH];
    struct mh_err err;
    struct mh_fs fs = mh_fs_real();
    char *text = NULL;
    size_t len = 0;
    if (mh_sb_node_log(nodes, "default", name, container, previous, path, &err) != MH_OK ||
        fs.read(fs.self, &arena, path, 1 << 20, &text, &len, NULL) != MH_OK)
        return "";
    return text;
}

static bool
logged(const char *name, const char *text)
{
    return strstr(log_of(name, NULL, false), text) != NULL;
}

static bool
waits(const char *name, const char *reason)
{
    const char *is = mh_json_str(status_of(name, 0), "state", "waiting", "reason", NULL);
    return is && strcmp(is, reason) == 0;
}

TEST(init_containers_come_first_and_the_status_is_as_a_kubelet_writes_it)
{
    if (!setup(1))
        return;
    create("secrets", "{\"metadata\":{\"name\":\"s\"},\"data\":{\"k\":\"c2VjcmV0\"}}");
    create("configmaps", "{\"metadata\":{\"name\":\"c\"},\"data\":{\"f\":\"one\"}}");
    run("p", "Always",
        "\"initContainers\":[{\"name\":\"i1\",\"image\":\"localhost/moonherd\",\"command\":[\"sh\","
        "\"-c\",\"echo first > "
        "/space/x\"],\"volumeMounts\":[{\"name\":\"w\",\"mountPath\":\"/space\"}]"
        "},{\"name\":\"i2\",\"image\":\"localhost/moonherd\",\"command\":[\"sh\",\"-c\","
        "\"echo second >> "
        "/space/x\"],\"volumeMounts\":[{\"name\":\"w\",\"mountPath\":\"/space\"}]}],"
        "\"volumes\":[{\"name\":\"w\",\"emptyDir\":{}},{\"name\":\"c\",\"configMap\":{\"name\":"
        "\"c\"}}"
        ",{\"name\":\"d\",\"downwardAPI\":{\"items\":[{\"path\":\"l\",\"fieldRef\":{\"fieldPath\":"
        "\"metadata.labels\"}}]}}],",
        "cat /space/x /d/l; echo; echo $E $S $N; cat /c/f; echo; id -u; while true; do sleep 0.1; "
        "done",
        ",\"env\":[{\"name\":\"E\",\"value\":\"$(N2)-x\"},{\"name\":\"N2\",\"value\":\"late\"},"
        "{\"name\":\"S\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}},{"
        "\"name\":"
        "\"N\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}}],\"volumeMounts\":[{"
        "\"name\":\"w\",\"mountPath\":\"/space\"},{\"name\":\"c\",\"mountPath\":\"/c\"},{\"name\":"
        "\"d\",\"mountPath\":\"/d\"}]");
    UNTIL(is_ready("p"), 5000);
    UNTIL(logged("p", "stdout F 26\n"), 2000);
    CHECK(logged("p", "stdout F first\n") && logged("p", "stdout F second\n"));
    CHECK(logged("p", "stdout F a=\"b\"\n"));
    CHECK(logged("p", "stdout F $(N2)-x secret 127.242.16.2\n"));
    CHECK(is_phase("p", "Running"));
    CHECK_STR(mh_json_str(pod("p"), "status", "podIP", NULL), "127.242.16.2");
    yyjson_val *init = mh_json_get(pod("p"), "status", "initContainerStatuses", NULL);
    CHECK_INT(yyjson_arr_size(init), 2);
    CHECK_STR(mh_json_str(yyjson_arr_get(init, 1), "state", "terminated", "reason", NULL),
              "Completed");
    size_t conditions = yyjson_arr_size(mh_json_get(pod("p"), "status", "conditions", NULL));
    CHECK_INT(conditions, 4);
    teardown();
}

TEST(a_changed_config_map_arrives_within_a_second)
{
    if (!setup(1))
        return;
    create("configmaps", "{\"metadata\":{\"name\":\"c\"},\"data\":{\"f\":\"one\"}}");
    run("p", "Always", "\"volumes\":[{\"name\":\"c\",\"configMap\":{\"name\":\"c\"}}],",
        "while true; do cat /c/f; echo; sleep 0.05; done",
        ",\"volumeMounts\":[{\"name\":\"c\",\"mountPath\":\"/c\"}]");
    UNTIL(logged("p", "F one"), 3000);
    serve("PATCH", "/api/v1/namespaces/default/configmaps/c", MH_PATCH_MERGE,
          "{\"data\":{\"f\":\"two\"}}", 200);
    UNTIL(logged("p", "F two"), 1000);
    CHECK(!logged("p", "stderr")); /* there was a file all the time */
    teardown();
}

TEST(what_is_missing_is_waited_for)
{
    if (!setup(1))
        return;
    run("p", "Always", "", "sleep 100",
        ",\"env\":[{\"name\":\"S\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}"
        "]");
    UNTIL(waits("p", "CreateContainerConfigError"), 2000);
    CHECK_STR(mh_json_str(status_of("p", 0), "state", "waiting", "message", NULL),
              "secret \"s\" not found");
    CHECK(is_phase("p", "Pending"));
    create("secrets", "{\"metadata\":{\"name\":\"s\"},\"data\":{\"k\":\"c2VjcmV0\"}}");
    UNTIL(is_ready("p"), 2000);
    teardown();
}

TEST(a_container_that_fails_is_restarted_at_once_and_then_later)
{
    if (!setup(1))
        return;
    run("p", "OnFailure", "", "echo run; exit 3", "");
    UNTIL(waits("p", "CrashLoopBackOff"), 4000);
    CHECK_INT(mh_json_int(status_of("p", 0), 0, "restartCount", NULL), 1);
    CHECK_INT(mh_json_int(status_of("p", 0), 0, "lastState", "terminated", "exitCode", NULL), 3);
    CHECK_STR(mh_json_str(status_of("p", 0), "lastState", "terminated", "reason", NULL), "Error");
    CHECK(is_phase("p", "Running"));
    CHECK(strstr(log_of("p", NULL, true), "stdout F run\n") != NULL);
    teardown();
}

TEST(a_pod_that_is_never_restarted_ends)
{
    if (!setup(1))
        return;
    run("bad", "Never", "", "echo why > /dev/termination-log; exit 3", "");
    run("good", "Never", "", "exit 0", "");
    run("lost", "Never", "", "kill -9 $$; sleep 1; exit 5", "");
    UNTIL(is_phase("bad", "Failed") && is_phase("good", "Succeeded") && is_phase("lost", "Failed"),
          4000);
    yyjson_val *end = mh_json_get(status_of("bad", 0), "state", "terminated", NULL);
    CHECK_INT(mh_json_int(end, 0, "exitCode", NULL), 3);
    CHECK_STR(mh_json_str(end, "message", NULL), "why\n");
    CHECK(mh_json_str(end, "finishedAt", NULL) != NULL);
    teardown();
}

TEST(a_deleted_pod_gets_its_grace_and_no_more)
{
    if (!setup(1))
        return;
    run("nice", "Always", "", "trap 'exit 0' TERM; echo up; while true; do sleep 0.02; done", "");
    run("deaf", "Always", "", "echo up; trap '' TERM; while true; do sleep 0.02; done", "");
    run("forced", "Always", "", "echo up; trap '' TERM; while true; do sleep 0.02; done", "");
    UNTIL(logged("nice", "up") && logged("deaf", "up") && logged("forced", "up"), 3000);
    serve("DELETE", "/api/v1/namespaces/default/pods/nice?gracePeriodSeconds=30", NULL, NULL, 200);
    serve("DELETE", "/api/v1/namespaces/default/pods/deaf?gracePeriodSeconds=1", NULL, NULL, 200);
    UNTIL(pod("nice") == NULL, 900);
    CHECK(pod("deaf") != NULL);
    UNTIL(pod("deaf") == NULL, 1500);
    serve("DELETE", "/api/v1/namespaces/default/pods/forced?gracePeriodSeconds=0", NULL, NULL, 200);
    UNTIL(!mh_sb_node_running(nodes, "default", "forced", NULL), 1500);
    teardown();
}

/* Else the same status is written again and again, each time with another second, and a pod that is
 * deleted never goes. */
TEST(a_status_that_is_heard_late_is_not_written_again)
{
    struct mh_arena old;
    if (!setup(1))
        return;
    mh_arena_init(&old, 1 << 20);
    run("late", "Always", "", "while true; do sleep 0.02; done", "");
    yyjson_val *stale = mh_sb_get(api, &old, "", "pods", "default", "late"); /* nothing runs yet */
    UNTIL(is_ready("late"), 3000);
    settle(300);
    struct mh_sb_pod *p = nodes->pods;
    CHECK(p != NULL && stale != NULL &&
          mh_json_get(stale, "status", "containerStatuses", NULL) == NULL);
    uint64_t written = p ? p->written : 0;
    yyjson_val *heard = p ? p->object : NULL;
    settle(1100); /* another second */
    for (int i = 0; p && i < 2; i++) {
        p->object = i ? heard : stale;
        mh_sb_pod_status(p);
        CHECK(p->calling == MH_SB_POD_IDLE);
        CHECK(p->written == written);
    }
    settle(100);
    mh_arena_release(&old);
    teardown();
}

TEST(an_image_that_is_not_here_is_said_so)
{
    if (!setup(1))
        return;
    create("pods",
           "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"node1\",\"containers\":[{"
           "\"name\":\"main\",\"image\":\"ghcr.io/x/postgresql:11.2\"}]}}");
    UNTIL(waits("p", "ErrImagePull"), 2000);
    const char *why = mh_json_str(status_of("p", 0), "state", "waiting", "message", NULL);
    CHECK(why && strstr(why, "PostgreSQL 11 is not installed") && strstr(why, "installed: "));
    UNTIL(waits("p", "ImagePullBackOff"), 4000);
    teardown();
}

/* --- exec ------------------------------------------------------------------------------------ */

static bool exec_over;

static void
on_exec(struct mh_sb_exec *e)
{
    (void)e;
    exec_over = true;
}

static const char *
run_exec(struct mh_sb_exec *e, const char *script, bool tty, const char *input)
{
    static char out[4096];
    static const char *argv[4];
    struct mh_err err;
    ssize_t n;
    size_t len = 0;
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = script;
    *e = (struct mh_sb_exec){ .ns = "default",
                              .pod = "p",
                              .argv = argv,
                              .tty = tty,
                              .want_stdin = input != NULL,
                              .on_exit = on_exec };
    exec_over = false;
    CHECK_INT(mh_sb_exec_start(nodes, e, &err), MH_OK);
    mh_sb_exec_resize(e, 101, 33);
    if (input) {
        CHECK(write(e->fd[0], input, strlen(input)) == (ssize_t)strlen(input));
        if (!tty)
            (void)close(e->fd[0]);
    }
    UNTIL(exec_over, 3000);
    int fd = tty ? e->fd[0] : e->fd[1];
    while ((n = read(fd, out + len, sizeof(out) - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    for (int i = tty ? 0 : 1; i < 3; i++) {
        if (e->fd[i] >= 0)
            (void)close(e->fd[i]);
    }
    return out;
}

TEST(commands_run_in_a_container)
{
    if (!setup(1))
        return;
    struct mh_sb_exec e;
    struct mh_err err;
    run("p", "Always", "", "sleep 100", ",\"env\":[{\"name\":\"E\",\"value\":\"yes\"}]");
    UNTIL(is_ready("p"), 3000);
    CHECK_STR(run_exec(&e, "echo $E; id -u; hostname; exit 4", false, NULL), "yes\n26\np\n");
    CHECK_INT(e.exit_code, 4);
    CHECK_STR(run_exec(&e, "cat", false, "through\n"), "through\n");
    CHECK_INT(e.exit_code, 0);
    const char *text = run_exec(&e, "sleep 0.1; stty size; tty > /dev/null; echo $?", true, "");
    CHECK(strstr(text, "33 101") != NULL);
    const char *const nosuch[] = { "nosuch", NULL };
    e = (struct mh_sb_exec){ .ns = "default", .pod = "p", .argv = nosuch, .on_exit = on_exec };
    exec_over = false;
    CHECK_INT(mh_sb_exec_start(nodes, &e, &err), MH_OK);
    UNTIL(exec_over, 2000);
    CHECK_INT(e.exit_code, 127);
    CHECK(strstr(e.error, "nosuch") != NULL);
    (void)close(e.fd[1]);
    (void)close(e.fd[2]);
    e.pod = "q";
    CHECK_INT(mh_sb_exec_start(nodes, &e, &err), MH_E_NOTFOUND);
    teardown();
}

TEST(probes_decide_what_is_ready_and_what_is_restarted)
{
    if (!setup(1))
        return;
    struct mh_sb_exec e;
    run("p", "Always", "\"volumes\":[{\"name\":\"w\",\"emptyDir\":{}}],",
        "trap 'exit 0' TERM; while true; do sleep 0.02; done",
        ",\"volumeMounts\":[{\"name\":\"w\",\"mountPath\":\"/w\"}],\"readinessProbe\":{\"exec\":{"
        "\"command\":[\"test\",\"-e\",\"/w/"
        "ready\"]},\"periodSeconds\":1},\"livenessProbe\":{\"exec\":"
        "{\"command\":[\"test\",\"!\",\"-e\",\"/w/"
        "sick\"]},\"periodSeconds\":1,\"failureThreshold\":1}");
    UNTIL(is_phase("p", "Running"), 3000);
    settle(300);
    CHECK(!is_ready("p"));
    (void)run_exec(&e, "touch /w/ready", false, NULL);
    UNTIL(is_ready("p"), 1500);
    (void)run_exec(&e, "touch /w/sick", false, NULL);
    UNTIL(mh_json_int(status_of("p", 0), 0, "restartCount", NULL) >= 1, 3000);
    teardown();
}

TEST(a_node_without_power_is_silent_and_comes_back)
{
    if (!setup(2))
        return;
    struct mh_err err;
    struct mh_arena a;
    const char **faults = NULL;
    run("p", "Always", "", "echo up; sleep 100", "");
    UNTIL(is_ready("p"), 3000);
    UNTIL(mh_sb_get(api, &arena, "coordination.k8s.io", "leases", "kube-node-lease", "node2") !=
              NULL,
          2000);
    CHECK_INT(mh_sb_node_power(nodes, "node1", false, &err), MH_OK);
    CHECK(!mh_sb_node_running(nodes, "default", "p", NULL));
    mh_arena_init(&a, 1 << 16);
    CHECK_INT(mh_sb_node_faults(nodes, &a, &faults), 1);
    CHECK_STR(faults[0], "off node1");
    mh_arena_release(&a);
    settle(200);
    CHECK(is_ready("p")); /* nobody has said otherwise */
    CHECK_INT(mh_sb_node_power(nodes, "node1", true, &err), MH_OK);
    UNTIL(is_ready("p") && mh_json_int(status_of("p", 0), 0, "restartCount", NULL) == 1, 3000);
    CHECK_STR(mh_json_str(status_of("p", 0), "lastState", "terminated", "reason", NULL), "Unknown");
    CHECK_INT(mh_sb_node_power(nodes, "node9", true, &err), MH_E_NOTFOUND);
    teardown();
}

TEST(a_frozen_pod_stands_still)
{
    if (!setup(1))
        return;
    struct mh_err err;
    run("p", "Always", "", "while true; do echo tick; sleep 0.02; done", "");
    UNTIL(logged("p", "tick"), 3000);
    CHECK_INT(mh_sb_node_freeze(nodes, "default", "p", true, &err), MH_OK);
    settle(50);
    size_t before = strlen(log_of("p", NULL, false));
    settle(200);
    CHECK_INT(strlen(log_of("p", NULL, false)), before);
    CHECK_INT(mh_sb_node_freeze(nodes, "default", "p", false, &err), MH_OK);
    UNTIL(strlen(log_of("p", NULL, false)) > before, 1000);
    CHECK_INT(mh_sb_node_kill(nodes, "default", "p", NULL, "nosuch", SIGKILL, &err), MH_E_NOTFOUND);
    CHECK_INT(mh_sb_node_kill(nodes, "default", "p", NULL, NULL, SIGKILL, &err), MH_OK);
    UNTIL(mh_json_int(status_of("p", 0), 0, "restartCount", NULL) == 1, 2000);
    CHECK_INT(mh_json_int(status_of("p", 0), 0, "lastState", "terminated", "exitCode", NULL), 137);
    teardown();
}

TEST(a_disk_of_memory_has_a_size_and_can_be_full)
{
    if (!setup(1))
        return;
    static char volume[512];
    char path[128];
    struct mh_err err;
    (void)snprintf(path, sizeof(path), "%s/disk", dir);
    CHECK(mkdir(path, 0777) == 0 && chmod(path, 0777) == 0);
    (void)snprintf(volume, sizeof(volume),
                   "{\"metadata\":{\"name\":\"v\"},\"spec\":{\"storageClassName\":\"memory\","
                   "\"accessModes\":[\"ReadWriteOnce\"],\"capacity\":{\"storage\":\"16Mi\"},"
                   "\"hostPath\":{\"path\":\"%s\"}}}",
                   path);
    create("persistentvolumes", volume);
    create(
        "persistentvolumeclaims",
        "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"storageClassName\":\"memory\",\"volumeName\":"
        "\"v\",\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":"
        "\"16Mi\"}}}}");
    run("p", "Always",
        "\"securityContext\":{\"fsGroup\":26},\"volumes\":[{\"name\":\"d\","
        "\"persistentVolumeClaim\":"
        "{\"claimName\":\"c\"}}],",
        "while true; do head -c 10000 /dev/zero >> /d/f && echo wrote; sleep 0.05; done",
        ",\"volumeMounts\":[{\"name\":\"d\",\"mountPath\":\"/d\"}]");
    UNTIL(waits("p", "ContainerCreating"), 2000);
    serve("PATCH", "/api/v1/namespaces/default/persistentvolumeclaims/c/status", MH_PATCH_MERGE,
          "{\"status\":{\"phase\":\"Bound\"}}", 200);
    UNTIL(logged("p", "wrote"), 3000);
    CHECK_INT(mh_sb_node_fill(nodes, "default", "c", 0, &err), MH_OK);
    UNTIL(logged("p", "No space left on device"), 2000);
    CHECK_INT(mh_sb_node_fill(nodes, "default", "c", -1, &err), MH_OK);
    size_t before = strlen(log_of("p", NULL, false));
    UNTIL(strstr(log_of("p", NULL, false) + before, "wrote") != NULL, 2000);
    mh_sb_node_stop(nodes);
    (void)umount2(path, MNT_DETACH);
    nodes = NULL;
    teardown();
}
