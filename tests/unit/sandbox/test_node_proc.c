/* A process in namespaces of its own: as whoever runs the test, and, if that is root, as another
 * user in a child of the test. Where the kernel gives no namespaces the tests say so and end. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"
#include "io/loop.h"
#include "sandbox/node.h"
#include "sandbox/podlog.h"
#include "sandbox/proc.h"

#define OTHER_USER "nobody"

static struct event_base *loop;
static struct mh_clock wall;

struct run {
    struct mh_sb_proc p;
    bool over;
    int listener;
    struct event *questions;
    char out[8192];
    size_t len;
};

static void
on_exit_(struct mh_sb_proc *p)
{
    ((struct run *)p->arg)->over = true;
    (void)event_base_loopbreak(loop);
}

/* Every question is answered: go on. */
static void
on_question(evutil_socket_t fd, short what, void *arg)
{
    struct seccomp_notif q = { 0 };
    (void)what;
    (void)arg;
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &q) != 0)
        return;
    struct seccomp_notif_resp r = { .id = q.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
    (void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void
on_listener(struct mh_sb_proc *p, int fd)
{
    struct run *r = p->arg;
    r->listener = fd;
    r->questions = event_new(loop, fd, EV_READ | EV_PERSIST, on_question, NULL);
    (void)event_add(r->questions, NULL);
}

static void
on_timeout(void *arg)
{
    *(bool *)arg = true;
    (void)event_base_loopbreak(loop);
}

/* Runs the loop until it is over, at most this long. */
static bool
wait_over(struct run *r, int ms)
{
    bool late = false;
    struct mh_timer *t = wall.after(wall.self, (int64_t)ms * 1000000, on_timeout, &late);
    while (!r->over && !late)
        (void)event_base_loop(loop, EVLOOP_ONCE);
    if (!late)
        wall.cancel(wall.self, t);
    return r->over;
}

static bool
setup(void)
{
    struct mh_err err;
    if (mh_sb_node_enter(&err) != MH_OK) {
        printf("# SKIPPED: %s\n", err.msg);
        return false;
    }
    if (!loop) {
        loop = mh_loop_new();
        wall = mh_clock_real(loop);
    }
    return true;
}

static char stage[64];
static char data[64];

static void
make_folders(void)
{
    (void)snprintf(stage, sizeof(stage), "/tmp/mh-stage-%d", (int)getpid());
    (void)snprintf(data, sizeof(data), "/tmp/mh-data-%d", (int)getpid());
    (void)mkdir(stage, 0755);
    (void)mkdir(data, 0777);
    (void)chmod(data, 0777);
}

static void
remove_folders(void)
{
    char path[80];
    (void)snprintf(path, sizeof(path), "%s/made", data);
    (void)unlink(path);
    (void)rmdir(data);
    (void)rmdir(stage);
}

static const char *const env[] = { "PATH=/usr/bin:/bin", "A=b", NULL };

/* What the process writes lands in r->out; it is waited for unless `go_on`. */
static void
run_shell(struct run *r, const char *script, unsigned uid, bool go_on)
{
    struct mh_arena a;
    struct mh_err err;
    struct mh_sb_view view;
    int fds[2];
    mh_arena_init(&a, 1 << 20);
    memset(r, 0, sizeof(*r));
    r->listener = -1;
    r->p.on_exit = on_exit_;
    r->p.on_listener = on_listener;
    r->p.arg = r;
    mh_sb_view_init(&view, &a, stage);
    mh_sb_view_base(&view, &(struct mh_sb_view_base){
                               .hostname = "pod-1", .uid = uid, .gid = uid, .user = "postgres" });
    mh_sb_view_bind(&view, data, "/controller", false);
    view.read_only = true;
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    const char *const argv[] = { "sh", "-c", script, NULL };
    struct mh_sb_proc_spec spec = { .view = &view,
                                    .argv = argv,
                                    .env = env,
                                    .hostname = "pod-1",
                                    .uid = uid,
                                    .gid = uid,
                                    .no_new_privs = true,
                                    .filter = true,
                                    .fds = { -1, fds[1], fds[1] } };
    CHECK_INT(mh_sb_proc_start(&r->p, loop, &spec, &err), MH_OK);
    (void)close(fds[1]);
    mh_arena_release(&a);
    if (!go_on)
        CHECK(wait_over(r, 5000));
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    ssize_t n;
    while (!go_on && (n = read(fds[0], r->out + r->len, sizeof(r->out) - 1 - r->len)) > 0)
        r->len += (size_t)n;
    (void)close(fds[0]);
    if (!go_on && r->p.error[0])
        printf("# %s\n", r->p.error);
}

static void
finish(struct run *r)
{
    mh_sb_proc_forget(&r->p);
    if (r->questions)
        event_free(r->questions);
    if (r->listener >= 0)
        (void)close(r->listener);
}

static void
look_around(void)
{
    struct run r;
    run_shell(&r,
              "ls /controller; cat /etc/hosts; id -u; id -un; echo pid $$; hostname; "
              "touch /x 2>&1; echo file > /controller/made; ls /proc | grep -c '^[0-9]'; "
              "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; echo $A; ls /home",
              26, false);
    CHECK_INT(r.p.exit_code, 0);
    CHECK_STR(r.p.error, "");
    CHECK(r.listener >= 0);
    CHECK(strstr(r.out, "127.0.0.1 localhost\n26\npostgres\npid 1\npod-1\n") != NULL);
    CHECK(strstr(r.out, "Read-only file system") != NULL);
    CHECK(strstr(r.out, "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n"
                        "Seccomp:\t2\nb\n") != NULL);
    if (mh_test_failures)
        printf("# output: %s\n", r.out);
    char path[80];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/made", data);
    CHECK(stat(path, &st) == 0);
    CHECK_INT(st.st_uid, mh_sb_view_with_users() ? geteuid() : 26);
    finish(&r);
}

TEST(a_container_has_its_own_root_user_pids_and_name)
{
    if (!setup())
        return;
    make_folders();
    look_around();
    remove_folders();
}

TEST(the_same_without_being_root)
{
    const struct passwd *pw = getpwnam(OTHER_USER);
    if (geteuid() != 0 || !pw)
        return; /* the tests above were that */
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
            _exit(3);
        int status = 1;
        (void)execl("/proc/self/exe", "test", "--as-user", (char *)NULL);
        _exit(status);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
}

TEST(the_end_of_pid_1_ends_all_of_them)
{
    if (!setup())
        return;
    make_folders();
    struct run r;
    pid_t pids[16];
    run_shell(&r, "sleep 100 & sleep 100 & trap '' TERM; sleep 100", 26, true);
    for (int i = 0; i < 200 && mh_sb_proc_members(&r.p, "sleep", pids, 16) < 3; i++) {
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
        (void)usleep(5000);
    }
    CHECK_INT(mh_sb_proc_members(&r.p, NULL, pids, 16), 4);
    CHECK_INT(mh_sb_proc_members(&r.p, "sleep", pids, 16), 3);
    mh_sb_proc_kill(&r.p, SIGTERM);
    CHECK(!wait_over(&r, 50));
    mh_sb_proc_kill(&r.p, SIGKILL);
    CHECK(wait_over(&r, 2000));
    CHECK_INT(r.p.exit_code, 137);
    CHECK_INT(r.p.exit_signal, SIGKILL);
    CHECK(kill(pids[0], 0) != 0 && kill(pids[2], 0) != 0);
    finish(&r);
    remove_folders();
}

TEST(a_program_that_is_not_there_is_said_so)
{
    if (!setup())
        return;
    make_folders();
    struct run r;
    struct mh_arena a;
    struct mh_err err;
    struct mh_sb_view view;
    mh_arena_init(&a, 1 << 20);
    memset(&r, 0, sizeof(r));
    r.listener = -1;
    r.p.on_exit = on_exit_;
    r.p.arg = &r;
    mh_sb_view_init(&view, &a, stage);
    mh_sb_view_base(&view, &(struct mh_sb_view_base){ .hostname = "x", .uid = 26, .gid = 26 });
    const char *const argv[] = { "nosuch", NULL };
    struct mh_sb_proc_spec spec = {
        .view = &view, .argv = argv, .env = env, .uid = 26, .gid = 26, .fds = { -1, -1, -1 }
    };
    CHECK_INT(mh_sb_proc_start(&r.p, loop, &spec, &err), MH_OK);
    CHECK(wait_over(&r, 2000));
    CHECK_INT(r.p.exit_code, 128);
    CHECK(r.p.not_found);
    CHECK_STR(r.p.error, "exec: \"nosuch\": No such file or directory");
    finish(&r);
    mh_arena_release(&a);
    remove_folders();
}

TEST(a_second_process_joins_the_first)
{
    if (!setup())
        return;
    make_folders();
    struct run r;
    struct run e;
    struct mh_err err;
    int fds[2];
    run_shell(&r, "sleep 100", 26, true);
    for (int i = 0; i < 200 && !r.p.running; i++) {
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
        (void)usleep(2000);
    }
    CHECK(r.p.running);
    memset(&e, 0, sizeof(e));
    e.listener = -1;
    e.p.on_exit = on_exit_;
    e.p.on_listener = on_listener;
    e.p.arg = &e;
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    const char *const argv[] = { "sh", "-c", "id -u; hostname; cat /proc/1/comm; exit 7", NULL };
    struct mh_sb_proc_spec spec = { .join = &r.p,
                                    .argv = argv,
                                    .env = env,
                                    .uid = 26,
                                    .gid = 26,
                                    .no_new_privs = true,
                                    .filter = true,
                                    .fds = { -1, fds[1], fds[1] } };
    CHECK_INT(mh_sb_proc_start(&e.p, loop, &spec, &err), MH_OK);
    (void)close(fds[1]);
    CHECK(wait_over(&e, 2000));
    CHECK_INT(e.p.exit_code, 7);
    CHECK_STR(e.p.error, "");
    ssize_t n = read(fds[0], e.out, sizeof(e.out) - 1);
    e.out[n > 0 ? n : 0] = '\0';
    CHECK(strcmp(e.out, "26\npod-1\nsh\n") == 0 || strcmp(e.out, "26\npod-1\nsleep\n") == 0);
    (void)close(fds[0]);
    finish(&e);
    finish(&r);
    remove_folders();
}

TEST(nothing_survives_the_end_of_the_sandbox)
{
    if (!setup())
        return;
    make_folders();
    int fds[2];
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct run r;
        (void)event_reinit(loop);
        run_shell(&r, "sleep 100 & sleep 100", 26, true);
        for (int i = 0; i < 200 && !r.p.running; i++) {
            (void)event_base_loop(loop, EVLOOP_NONBLOCK);
            (void)usleep(2000);
        }
        ssize_t n = write(fds[1], &r.p.pid, sizeof(r.p.pid));
        (void)kill(getpid(), n > 0 ? SIGKILL : SIGABRT);
    }
    pid_t one = 0;
    CHECK(read(fds[0], &one, sizeof(one)) == (ssize_t)sizeof(one));
    (void)waitpid(pid, NULL, 0);
    bool gone = false;
    for (int i = 0; i < 200 && !gone; i++) {
        char path[32];
        char state = '?';
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)one);
        FILE *f = fopen(path, "r");
        gone = !f || fscanf(f, "%*d %*s %c", &state) != 1 || state == 'Z';
        if (f)
            (void)fclose(f);
        (void)usleep(5000);
    }
    CHECK(gone);
    (void)close(fds[0]);
    (void)close(fds[1]);
    remove_folders();
}

TEST(the_log_has_the_form_of_the_cri)
{
    if (!setup())
        return;
    struct mh_err err;
    struct mh_arena a;
    char path[64];
    int fds[2];
    mh_arena_init(&a, 1 << 20);
    (void)snprintf(path, sizeof(path), "/tmp/mh-log-%d", (int)getpid());
    struct mh_sb_podlog *l = mh_sb_podlog_open(loop, &wall, path, fds, &err);
    CHECK(l != NULL);
    static char big[20000];
    memset(big, 'x', sizeof(big) - 1);
    CHECK(write(fds[0], "one\ntw", 6) == 6);
    (void)event_base_loop(loop, EVLOOP_NONBLOCK);
    CHECK(write(fds[0], "o\n", 2) == 2 && write(fds[1], "bad", 3) == 3);
    CHECK(write(fds[0], big, sizeof(big) - 1) == (ssize_t)sizeof(big) - 1);
    CHECK(write(fds[0], "\n", 1) == 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
    mh_sb_podlog_close(l);
    static char text[32768];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    (void)close(fd);
    CHECK(strstr(text, "Z stdout F one\n") && strstr(text, "Z stdout F two\n"));
    CHECK(strstr(text, "Z stderr F bad\n") && strstr(text, "Z stdout P xxx"));
    CHECK(strstr(text, "Z stdout F xxx") != NULL);
    CHECK_STR(mh_sb_podlog_tail(&a, path, 4), "bad\n");
    (void)unlink(path);
    mh_arena_release(&a);
}

/* How long it takes from start to the end of /bin/true. */
TEST(a_start_takes_few_milliseconds)
{
    if (!setup())
        return;
    make_folders();
    int64_t least = INT64_MAX;
    for (int i = 0; i < 10; i++) {
        struct run r;
        int64_t before = wall.mono_ns(wall.self);
        run_shell(&r, "true", 26, false);
        int64_t took = wall.mono_ns(wall.self) - before;
        least = took < least ? took : least;
        finish(&r);
    }
    printf("# the fastest of ten: %.1f ms\n", (double)least / 1e6);
    CHECK(least < 200 * 1000000LL);
    remove_folders();
}

/* As another user the test runs itself again. */
__attribute__((constructor(65535))) static void
maybe_as_user(void)
{
    char line[64] = "";
    int fd = open("/proc/self/cmdline", O_RDONLY);
    ssize_t n = read(fd, line, sizeof(line) - 1);
    (void)close(fd);
    if (n < 8 || memmem(line, (size_t)n, "--as-user", 9) == NULL)
        return;
    if (setup()) {
        make_folders();
        look_around();
        remove_folders();
    }
    (void)fflush(stdout);
    _exit(mh_test_failures ? 1 : 0);
}
