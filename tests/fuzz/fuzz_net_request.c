/* Any bytes sent to the HTTP server: it answers or hangs up, and serves the next client. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "io/loop.h"
#include "net/http_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct mh_server *server;

/* Reads everything that a route may read, and says so. */
static void
on_echo(struct mh_request *req, void *arg)
{
    (void)arg;
    const char *q = mh_request_query(req, "a"), *h = mh_request_header(req, "X-Any");
    size_t n = strlen(req->path) + (q ? strlen(q) : 0) + (h ? strlen(h) : 0);
    if (strlen(req->body) > req->body_len || !req->remote[0])
        abort();
    mh_reply(req, n % 2 ? 200 : 404, "text/plain", req->body, req->body_len);
}

static void
begin(void)
{
    struct mh_err err;
    struct mh_server_limits limits = { .body_max = 65536, .idle_s = 1 };
    mh_log_set_fd(-1);
    base = mh_loop_new();
    server = base ? mh_server_new(base, "127.0.0.1", 0, NULL, &err) : NULL;
    if (!server || !mh_server_route(server, MH_GET | MH_POST | MH_PUT, "/", on_echo, NULL))
        abort();
    mh_server_limit(server, &limits);
}

static int
dial(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)mh_server_port(server)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        abort();
    return fd;
}

/* Sends, says that this is all, and turns the loop until the server has hung up. False: it has not. */
static bool
talk(const void *data, size_t size, char *answer, size_t room)
{
    int fd = dial();
    size_t got = 0;
    ssize_t n = -1;
    if (send(fd, data, size, MSG_NOSIGNAL) < 0)
        size = 0;
    (void)shutdown(fd, SHUT_WR);
    for (int i = 0; i < 2000 && n != 0; i++) {
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        char drop[4096];
        n = recv(fd, got < room ? answer + got : drop, got < room ? room - got : sizeof(drop),
                 MSG_DONTWAIT);
        if (n > 0 && got < room)
            got += (size_t)n;
        if (n < 0 && i > 20)
            (void)usleep(100);
    }
    answer[got < room ? got : room - 1] = '\0';
    (void)close(fd);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    return n == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char plain[] = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    static unsigned turn;
    char answer[8192];
    if (!base)
        begin();
    if (size == 0 || size > 32768)
        return 0;
    (void)talk(data, size, answer, sizeof(answer));
    if (turn++ % 16 == 0 && (!talk(plain, sizeof(plain) - 1, answer, sizeof(answer)) ||
                             strncmp(answer, "HTTP/1.1 ", 9) != 0))
        abort();
    return 0;
}
