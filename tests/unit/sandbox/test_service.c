/* Forwarders on a real loop, Services and pods on the test world. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control_world.h"
#include "io/loop.h"

static struct event_base *loop;

static struct tw *
start(void)
{
    struct tw *tw = tw_new(1);
    struct mh_err err;
    tw_store(tw);
    loop = mh_loop_new();
    cw_node(tw, "node1", "zone1", "");
    struct mh_sb_control_config config = { .n = 200 + (int)(getpid() % 50) };
    cw = mh_sb_control_start(tw->world.api, tw->world.clock, loop, &config, &err);
    CHECK(cw != NULL);
    cw_settle(tw);
    return tw;
}

static void
stop(struct tw *tw)
{
    cw_free(tw);
    event_base_free(loop);
}

static void
turn(void)
{
    for (int i = 0; i < 20; i++) {
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
        (void)usleep(500);
    }
}

/* A server on a free port of this address. */
static int
serve(const char *address, int *port)
{
    struct sockaddr_in sin = { .sin_family = AF_INET };
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(inet_pton(AF_INET, address, &sin.sin_addr) == 1);
    CHECK(bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
    *port = ntohs(sin.sin_port);
    return fd;
}

static int
dial(const char *address, int port)
{
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(inet_pton(AF_INET, address, &sin.sin_addr) == 1);
    if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
        int why = errno;
        (void)close(fd);
        errno = why;
        return -1;
    }
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void
service(struct tw *tw, int target)
{
    char json[500];
    (void)snprintf(json, sizeof(json),
                   "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":{\"selector\":{\"app\":"
                   "\"db\"},\"ports\":[{\"port\":15432,\"targetPort\":%d}]}}",
                   target);
    tw_put(tw, "/api/v1/namespaces/ns/services/s", json);
    cw_settle(tw);
}

static void
pod(struct tw *tw, const char *name, const char *app, const char *ip)
{
    char meta[100];
    (void)snprintf(meta, sizeof(meta), "\"labels\":{\"app\":\"%s\"}", app);
    cw_pod(tw, name, meta, "\"nodeName\":\"node1\"");
    cw_status(tw, name, "Running", ip, true);
    cw_settle(tw);
}

static const char *
address(struct tw *tw)
{
    const char *ip = cw_text(tw, "/api/v1/namespaces/ns/services/s", "spec", "clusterIP");
    return ip ? ip : "127.0.0.1";
}

TEST(an_address_without_endpoints_refuses_and_with_them_leads_to_a_pod)
{
    int port;
    char text[16] = "";
    struct tw *tw = start();
    int server = serve("127.0.0.5", &port);
    service(tw, port);
    CHECK(dial(address(tw), 15432) < 0 && errno == ECONNREFUSED);
    pod(tw, "a", "db", "127.0.0.5");
    int client = dial(address(tw), 15432);
    turn();
    int inside = accept(server, NULL, NULL);
    CHECK(client >= 0 && inside >= 0);
    CHECK(write(client, "ask", 3) == 3);
    turn();
    CHECK(read(inside, text, sizeof(text)) == 3 && memcmp(text, "ask", 3) == 0);
    CHECK(write(inside, "answer", 6) == 6);
    turn();
    CHECK(read(client, text, sizeof(text)) == 6 && memcmp(text, "answer", 6) == 0);
    /* The end of one direction leaves the other open. */
    CHECK(shutdown(client, SHUT_WR) == 0);
    turn();
    CHECK(read(inside, text, sizeof(text)) == 0);
    CHECK(write(inside, "late", 4) == 4);
    (void)close(inside);
    turn();
    CHECK(read(client, text, sizeof(text)) == 4);
    CHECK(read(client, text, sizeof(text)) == 0);
    (void)close(client);
    (void)close(server);
    stop(tw);
}

TEST(connections_outlive_their_endpoints_and_new_ones_go_elsewhere)
{
    int port;
    char text[16];
    struct tw *tw = start();
    int one = serve("127.0.0.5", &port);
    service(tw, port);
    pod(tw, "a", "db", "127.0.0.5");
    int client = dial(address(tw), 15432);
    turn();
    int inside = accept(one, NULL, NULL);
    /* Another pod takes over, on the same port of its own address. */
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int two = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)inet_pton(AF_INET, "127.0.0.6", &sin.sin_addr);
    CHECK(bind(two, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(two, 8) == 0);
    cw_merge(tw, "/api/v1/namespaces/ns/pods/a", "{\"metadata\":{\"labels\":{\"app\":\"old\"}}}");
    pod(tw, "b", "db", "127.0.0.6");
    CHECK(write(client, "still", 5) == 5);
    turn();
    CHECK(read(inside, text, sizeof(text)) == 5);
    int newer = dial(address(tw), 15432);
    turn();
    int inside2 = accept(two, NULL, NULL);
    CHECK(newer >= 0 && inside2 >= 0);
    CHECK(accept(one, NULL, NULL) < 0);
    tw_remove(tw, "/api/v1/namespaces/ns/services/s");
    cw_settle(tw);
    CHECK(write(newer, "x", 1) == 1);
    turn();
    CHECK(read(inside2, text, sizeof(text)) == 1);
    int fds[] = { one, two, client, inside, newer, inside2 };
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        (void)close(fds[i]);
    stop(tw);
}

TEST(a_pod_that_does_not_listen_resets_the_client)
{
    int port;
    char text[4];
    struct tw *tw = start();
    (void)close(serve("127.0.0.5", &port));
    service(tw, port);
    pod(tw, "a", "db", "127.0.0.5");
    int client = dial(address(tw), 15432);
    turn();
    CHECK(client >= 0 && read(client, text, sizeof(text)) < 0 && errno == ECONNRESET);
    (void)close(client);
    stop(tw);
}

TEST(much_data_passes_whole_and_a_slow_reader_is_waited_for)
{
    int port;
    static char block[65536];
    size_t sent = 0, got = 0, total = (size_t)8 << 20;
    struct tw *tw = start();
    int server = serve("127.0.0.5", &port);
    service(tw, port);
    pod(tw, "a", "db", "127.0.0.5");
    int client = dial(address(tw), 15432);
    turn();
    int inside = accept(server, NULL, NULL);
    (void)fcntl(inside, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 200 && sent < total; i++) {
        ssize_t n = write(client, block, sizeof(block));
        sent += n > 0 ? (size_t)n : 0;
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
    }
    CHECK(sent < total); /* nobody reads, so not all is taken */
    for (int i = 0; i < 100000 && got < total; i++) {
        ssize_t n =
            sent < total
                ? write(client, block, total - sent < sizeof(block) ? total - sent : sizeof(block))
                : 0;
        sent += n > 0 ? (size_t)n : 0;
        (void)event_base_loop(loop, EVLOOP_NONBLOCK);
        n = read(inside, block, sizeof(block));
        got += n > 0 ? (size_t)n : 0;
    }
    CHECK(got == total);
    (void)close(client);
    turn();
    CHECK(read(inside, block, 1) == 0);
    (void)close(inside);
    (void)close(server);
    stop(tw);
}

TEST(the_pod_sees_the_address_of_the_client)
{
    int port;
    struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET }, seen;
    socklen_t len = sizeof(seen);
    struct tw *tw = start();
    int server = serve("127.0.0.5", &port);
    service(tw, port);
    pod(tw, "a", "db", "127.0.0.5");
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)inet_pton(AF_INET, "127.0.0.77", &from.sin_addr);
    (void)inet_pton(AF_INET, address(tw), &to.sin_addr);
    to.sin_port = htons(15432);
    CHECK(bind(client, (struct sockaddr *)&from, sizeof(from)) == 0);
    CHECK(connect(client, (struct sockaddr *)&to, sizeof(to)) == 0);
    turn();
    int inside = accept(server, (struct sockaddr *)&seen, &len);
    CHECK(inside >= 0 && seen.sin_addr.s_addr == from.sin_addr.s_addr);
    (void)close(inside);
    (void)close(client);
    (void)close(server);
    stop(tw);
}
