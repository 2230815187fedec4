/* The network of pods: processes in namespaces that connect to each other through the relay. The
 * program of the containers is this test itself. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"
#include "io/loop.h"
#include "sandbox/node.h"
#include "sandbox/proc.h"
#include "sandbox/relay.h"

#define N 241

static struct event_base *loop;
static struct mh_clock wall;
static struct mh_sb_relay *relay;
static char stage[64];

struct pod {
    struct mh_sb_proc p;
    struct mh_sb_peer *peer;
    bool over;
    int out;
    char text[4096];
    size_t len;
};

static void
on_exit_(struct mh_sb_proc *p)
{
    ((struct pod *)p->arg)->over = true;
}

static void
on_listener(struct mh_sb_proc *p, int fd)
{
    mh_sb_relay_listen(relay, ((struct pod *)p->arg)->peer, fd);
}

static void
on_timeout(void *arg)
{
    *(bool *)arg = true;
}

static int64_t
now_ms(void)
{
    return wall.mono_ns(wall.self) / 1000000;
}

/* Lets the loop run until `text` was printed (NULL: until it is over), at most ms. */
static bool
wait_for(struct pod *p, const char *text, int ms)
{
    bool late = false;
    struct mh_timer *t = wall.after(wall.self, (int64_t)ms * 1000000, on_timeout, &late);
    int64_t until = now_ms() + ms;
    bool found = false;
    while (!late && !found) {
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
        (void)usleep(1000);
        ssize_t n = read(p->out, p->text + p->len, sizeof(p->text) - 1 - p->len);
        p->len += n > 0 ? (size_t)n : 0;
        p->text[p->len] = '\0';
        found = text ? strstr(p->text, text) != NULL : p->over;
        if (now_ms() > until)
            break;
    }
    if (!late)
        wall.cancel(wall.self, t);
    return found;
}

static void
pause_ms(int ms)
{
    int64_t until = now_ms() + ms;
    while (now_ms() < until) {
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
        (void)usleep(1000);
    }
}

static bool
route(void *arg, const char *address, int port, char out_address[48], int *out_port, bool *known)
{
    (void)arg;
    *known = strncmp(address, "127.241.1.", 10) == 0;
    if (strcmp(address, "127.241.1.1") != 0 || port != 80)
        return false;
    (void)snprintf(out_address, 48, "127.241.16.2");
    *out_port = 5000;
    return true;
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
        (void)snprintf(stage, sizeof(stage), "/tmp/mh-rstage-%d", (int)getpid());
        (void)mkdir(stage, 0755);
    }
    struct mh_sb_relay_spec spec = { .base = loop, .clock = wall, .n = N, .route = route };
    relay = mh_sb_relay_new(&spec, &err);
    CHECK(relay != NULL);
    return relay != NULL;
}

static void
start(struct pod *p, const char *name, const char *address, const char *const *args)
{
    struct mh_arena a;
    struct mh_err err;
    struct mh_sb_view view;
    char self[512] = "";
    int fds[2];
    const char *argv[8] = { "/manager" };
    for (int i = 0; args[i]; i++)
        argv[i + 1] = args[i];
    memset(p, 0, sizeof(*p));
    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && pipe2(fds, O_CLOEXEC) == 0);
    p->peer = mh_sb_relay_add(relay, name, atoi(strchr(name, '-') + 1) - 1, address);
    p->p.on_exit = on_exit_;
    p->p.on_listener = on_listener;
    p->p.arg = p;
    p->out = fds[0];
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    mh_arena_init(&a, 1 << 20);
    mh_sb_view_init(&view, &a, stage);
    mh_sb_view_base(&view, &(struct mh_sb_view_base){
                               .hostname = name, .uid = 26, .gid = 26, .manager = self });
    static const char *const env[] = { "PATH=/usr/bin", "ASAN_OPTIONS=detect_leaks=0", NULL };
    struct mh_sb_proc_spec spec = { .view = &view,
                                    .argv = argv,
                                    .env = env,
                                    .uid = 26,
                                    .gid = 26,
                                    .no_new_privs = true,
                                    .filter = true,
                                    .fds = { -1, fds[1], fds[1] } };
    CHECK_INT(mh_sb_proc_start(&p->p, loop, &spec, &err), MH_OK);
    (void)close(fds[1]);
    mh_arena_release(&a);
}

static void
stop(struct pod *p)
{
    if (mh_test_failures)
        printf("# %s: %s\n", p->peer ? "text" : "", p->text);
    if (p->p.error[0])
        printf("# %s\n", p->p.error);
    mh_sb_proc_forget(&p->p);
    mh_sb_relay_remove(relay, p->peer);
    (void)close(p->out);
}

static void
teardown(void)
{
    mh_sb_relay_free(relay);
    relay = NULL;
    (void)rmdir(stage);
    (void)mkdir(stage, 0755);
}

__attribute__((destructor)) static void
clean(void)
{
    if (stage[0])
        (void)rmdir(stage);
}

#define SERVER "127.241.16.2"
#define CLIENT "127.241.17.2"

static void
start_server(struct pod *p)
{
    start(p, "x/node-1", SERVER, (const char *const[]){ "--echo", "5000", NULL });
    CHECK(wait_for(p, "listening", 2000));
}

static void
start_client(struct pod *p, const char *address, const char *port, const char *how)
{
    start(p, "x/node-2", CLIENT, (const char *const[]){ "--ask", address, port, how, NULL });
}

TEST(a_pod_reaches_another_and_is_seen_with_its_own_address)
{
    if (!setup())
        return;
    struct pod s;
    struct pod c;
    start_server(&s);
    start_client(&c, SERVER, "5000", "blocking");
    CHECK(wait_for(&c, "got from 127.241.17.2: hello", 2000));
    CHECK(strstr(c.text, "peer 127.241.16.2") != NULL);
    CHECK(wait_for(&c, NULL, 1000));
    stop(&c);
    start_client(&c, SERVER, "5000", "later");
    CHECK(wait_for(&c, "got from 127.241.17.2: hello", 2000));
    stop(&c);
    pause_ms(20);
    CHECK_INT(mh_sb_relay_links(relay), 0);
    /* by a Service */
    start_client(&c, "127.241.1.1", "80", "later");
    CHECK(wait_for(&c, "got from 127.241.17.2: hello", 2000));
    stop(&c);
    start_client(&c, "127.241.1.9", "80", "later");
    CHECK(wait_for(&c, "connect: Connection refused", 2000));
    stop(&c);
    stop(&s);
    teardown();
}

TEST(what_is_not_there_refuses_and_the_world_outside_is_out_of_reach)
{
    if (!setup())
        return;
    struct pod c;
    start_client(&c, SERVER, "5001", "blocking");
    CHECK(wait_for(&c, "connect: Connection refused", 2000));
    stop(&c);
    start_client(&c, SERVER, "5001", "later");
    CHECK(wait_for(&c, "connect: Connection refused", 2000));
    stop(&c);
    start_client(&c, "192.0.2.1", "80", "later");
    CHECK(wait_for(&c, "connect: Network is unreachable", 2000));
    stop(&c);
    start(&c, "x/node-2", CLIENT, (const char *const[]){ "--six", NULL });
    CHECK(wait_for(&c, "socket: Address family not supported", 2000));
    stop(&c);
    teardown();
}

TEST(localhost_is_the_pod)
{
    if (!setup())
        return;
    struct pod s;
    struct pod c;
    start_server(&s);
    start(&c, "x/node-2", CLIENT, (const char *const[]){ "--self", "5000", NULL });
    CHECK(wait_for(&c, "127.0.0.1: got from 127.241.17.2: hello", 2000));
    CHECK(wait_for(&c, "own address: got from 127.241.17.2: hello", 2000));
    stop(&c);
    stop(&s);
    teardown();
}

TEST(a_cut_is_silence_and_ends_without_loss)
{
    if (!setup())
        return;
    struct pod s;
    struct pod c;
    struct mh_err err;
    start_server(&s);
    start_client(&c, SERVER, "5000", "twice");
    CHECK(wait_for(&c, "got from", 2000));
    CHECK_INT(mh_sb_relay_rule(relay, "x/node-1", "x/node-2", -1, &err), MH_OK);
    CHECK(!wait_for(&c, "second", 700));
    CHECK_INT(mh_sb_relay_heal(relay, "x/node-2", NULL), 1);
    CHECK(wait_for(&c, "second from 127.241.17.2: hello", 3000));
    stop(&c);
    stop(&s);
    teardown();
}

static void
check_new_connections(const char *how)
{
    struct pod s;
    struct pod c;
    struct mh_err err;
    start_server(&s);
    CHECK_INT(mh_sb_relay_rule(relay, "node:node1", "*", -1, &err), MH_OK);
    start_client(&c, SERVER, "5000", how);
    CHECK(!wait_for(&c, "connect", 300));
    CHECK(!c.over);
    (void)mh_sb_relay_heal(relay, NULL, NULL);
    CHECK(wait_for(&c, "got from 127.241.17.2: hello", 4000));
    stop(&c);
    stop(&s);
}

TEST(new_connections_wait_through_a_cut)
{
    if (!setup())
        return;
    check_new_connections("later");
    check_new_connections("blocking");
    teardown();
}

TEST(a_slow_line_delays_both_ways)
{
    if (!setup())
        return;
    struct pod s;
    struct pod c;
    struct mh_err err;
    start_server(&s);
    CHECK_INT(mh_sb_relay_rule(relay, "x/node-2", "node:node1", 100, &err), MH_OK);
    int64_t before = now_ms();
    start_client(&c, SERVER, "5000", "later");
    CHECK(wait_for(&c, "got from 127.241.17.2: hello", 2000));
    int64_t took = now_ms() - before;
    CHECK(took >= 300 && took < 900);
    struct mh_arena a;
    mh_arena_init(&a, 4096);
    CHECK_STR(mh_sb_relay_text(relay, &a, 0), "slow x/node-2 node:node1 100 (met 1 times)");
    CHECK(mh_sb_relay_text(relay, &a, 1) == NULL);
    mh_arena_release(&a);
    stop(&c);
    stop(&s);
    teardown();
}

TEST(connections_of_a_node_that_was_off_are_reset_when_it_is_on)
{
    if (!setup())
        return;
    struct pod s;
    struct pod c;
    start_server(&s);
    start_client(&c, SERVER, "5000", "twice");
    CHECK(wait_for(&c, "got from", 2000));
    mh_sb_relay_silence(relay, 0, true);
    stop(&s);
    CHECK(!wait_for(&c, "second", 300));
    CHECK(!c.over);
    mh_sb_relay_silence(relay, 0, false);
    CHECK(wait_for(&c, "second: Connection reset", 2000));
    stop(&c);
    teardown();
}

/* --- the program in the containers ----------------------------------------------------------- */

static void
say_error(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    (void)fflush(stdout);
}

static int
serve_one(int fd, bool once)
{
    struct sockaddr_in in = { 0 };
    socklen_t len = sizeof(in);
    char text[128];
    char line[256];
    (void)getpeername(fd, (struct sockaddr *)&in, &len);
    ssize_t n;
    while ((n = read(fd, text, sizeof(text) - 1)) > 0) {
        text[n] = '\0';
        int k = snprintf(line, sizeof(line), "from %s: %s", inet_ntoa(in.sin_addr), text);
        if (write(fd, line, (size_t)k) != k || once)
            break;
    }
    (void)close(fd);
    return 0;
}

static int
listen_on(const char *address, int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    (void)inet_pton(AF_INET, address, &in.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 || listen(fd, 16) != 0)
        say_error("listen");
    return fd;
}

static int
echo(int port)
{
    int fd = listen_on("0.0.0.0", port);
    printf("listening\n");
    (void)fflush(stdout);
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int one = accept(fd, NULL, NULL);
        if (one >= 0 && fork() == 0)
            _exit(serve_one(one, false));
        if (one >= 0)
            (void)close(one);
    }
}

static int
dial_to(const char *address, int port, bool blocking)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    (void)inet_pton(AF_INET, address, &in.sin_addr);
    int fd = socket(AF_INET, blocking ? SOCK_STREAM : SOCK_STREAM | SOCK_NONBLOCK, 0);
    int failed = connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0 ? 0 : errno;
    if (failed == EINPROGRESS) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        socklen_t len = sizeof(failed);
        (void)poll(&p, 1, -1);
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len);
        (void)fcntl(fd, F_SETFL, 0);
    }
    errno = failed;
    if (failed) {
        say_error("connect");
        return -1;
    }
    (void)fcntl(fd, F_SETFL, 0);
    return fd;
}

static bool
say_hello(int fd, const char *prefix)
{
    char text[256];
    ssize_t n = write(fd, "hello", 5) == 5 ? read(fd, text, sizeof(text) - 1) : -1;
    if (n <= 0) {
        say_error(prefix);
        return false;
    }
    text[n] = '\0';
    printf("%s %s\n", prefix, text);
    (void)fflush(stdout);
    return true;
}

static int
ask(const char *address, int port, const char *how)
{
    struct sockaddr_in in = { 0 };
    socklen_t len = sizeof(in);
    int fd = dial_to(address, port, strcmp(how, "blocking") == 0);
    if (fd < 0)
        return 1;
    (void)getpeername(fd, (struct sockaddr *)&in, &len);
    printf("peer %s\n", inet_ntoa(in.sin_addr));
    if (!say_hello(fd, "got"))
        return 1;
    if (strcmp(how, "twice") == 0) {
        (void)usleep(200000);
        errno = ECONNRESET;
        (void)say_hello(fd, "second");
    }
    return 0;
}

static int
ask_self(int port)
{
    int fd = listen_on("127.0.0.1", port);
    if (fork() == 0) {
        for (int i = 0; i < 2; i++)
            (void)serve_one(accept(fd, NULL, NULL), true);
        _exit(0);
    }
    int one = dial_to("127.0.0.1", port, true);
    (void)say_hello(one, "127.0.0.1: got");
    one = dial_to(CLIENT, port, true);
    (void)say_hello(one, "own address: got");
    return 0;
}

__attribute__((constructor(65535))) static void
maybe_in_container(void)
{
    static char text[512];
    char *args[6] = { NULL };
    int n = 0;
    int fd = open("/proc/self/cmdline", O_RDONLY);
    ssize_t len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    for (ssize_t at = 0; at < len && n < 6; at += (ssize_t)strlen(text + at) + 1)
        args[n++] = text + at;
    if (n < 2 || strncmp(args[1], "--", 2) != 0)
        return;
    int code = 2;
    if (strcmp(args[1], "--echo") == 0)
        code = echo(atoi(args[2]));
    else if (strcmp(args[1], "--ask") == 0)
        code = ask(args[2], atoi(args[3]), args[4]);
    else if (strcmp(args[1], "--self") == 0)
        code = ask_self(atoi(args[2]));
    else if (strcmp(args[1], "--six") == 0 && socket(AF_INET6, SOCK_STREAM, 0) < 0)
        say_error("socket");
    (void)fflush(stdout);
    _exit(code);
}
