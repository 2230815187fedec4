/* requests.c - how many requests a second an API server answers, how many watch events it sends.
 *
 *     requests ADDRESS PORT WHAT SECONDS CONNECTIONS OBJECTS      (the bearer token is in TOKEN)
 *
 * WHAT: fill (creates OBJECTS ConfigMaps b-0.. of 1 KB), create, get, update, list (100 objects a
 * page), or watch. Each connection is kept open (HTTP/1.1, TLS, the certificate is not checked), has a
 * thread of its own, and sends the next request when the last one is answered. watch: WATCHERS
 * connections watch, CONNECTIONS update. Prints "answers per second" and, of watch, "events per
 * second". Any answer but 200 or 201 ends it. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONFIGMAPS "/api/v1/namespaces/bench/configmaps"
#define WATCHERS 20
#define ROOM (4u << 20)
#define PAD 800

static const char *address, *what, *token;
static int port;
static long objects;
static SSL_CTX *ctx;
static atomic_long answers, events, next_name, failures;
static atomic_bool over;

struct mh_conn {
    SSL *ssl;
    int fd;
    char *in; /* what came, ROOM */
    size_t len;
    unsigned seed;
};

static bool
dial(struct mh_conn *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct timeval limit = { .tv_sec = 20 };
    int one = 1;
    (void)inet_pton(AF_INET, address, &to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->in = malloc(ROOM);
    c->len = 0;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (!c->in || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        return false;
    c->ssl = SSL_new(ctx);
    return c->ssl && SSL_set_fd(c->ssl, c->fd) == 1 && SSL_connect(c->ssl) == 1;
}

static bool
more(struct mh_conn *c)
{
    int n = c->len < ROOM - 1 ? SSL_read(c->ssl, c->in + c->len, (int)(ROOM - 1 - c->len)) : 0;
    if (n <= 0)
        return false;
    c->len += (size_t)n;
    c->in[c->len] = '\0';
    return true;
}

static void
drop(struct mh_conn *c, size_t n)
{
    memmove(c->in, c->in + n, c->len - n);
    c->len -= n;
    c->in[c->len] = '\0';
}

static bool
send_request(struct mh_conn *c, const char *method, const char *path, const char *body)
{
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "%s %s HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\nAccept: "
                     "application/json\r\nContent-Type: application/json\r\nContent-Length: "
                     "%zu\r\n\r\n%s",
                     method, path, address, port, token, strlen(body), body);
    return n > 0 && n < (int)sizeof(text) && SSL_write(c->ssl, text, n) == n;
}

/* The head of the answer; its length, 0: none came. */
static size_t
head(struct mh_conn *c)
{
    const char *end;
    while (!(end = c->len ? strstr(c->in, "\r\n\r\n") : NULL))
        if (!more(c))
            return 0;
    if (strncmp(c->in, "HTTP/1.1 20", 11) != 0) {
        (void)fprintf(stderr, "requests: %.300s\n", c->in);
        return 0;
    }
    return (size_t)(end - c->in) + 4;
}

static bool
take_chunks(struct mh_conn *c)
{
    for (;;) {
        char *line;
        while (!(line = c->len ? strstr(c->in, "\r\n") : NULL))
            if (!more(c))
                return false;
        size_t n = strtoul(c->in, NULL, 16);
        size_t whole = (size_t)(line - c->in) + 2 + n + 2;
        while (c->len < whole)
            if (!more(c))
                return false;
        drop(c, whole);
        if (n == 0)
            return true;
    }
}

static bool
take_answer(struct mh_conn *c)
{
    size_t n = head(c);
    if (n == 0)
        return false;
    char end = c->in[n];
    c->in[n] = '\0';
    const char *length = strcasestr(c->in, "\r\nContent-Length:");
    bool chunked = strcasestr(c->in, "\r\nTransfer-Encoding: chunked") != NULL;
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    c->in[n] = end;
    if (chunked) {
        drop(c, n);
        return take_chunks(c);
    }
    while (c->len < n + body)
        if (!more(c))
            return false;
    drop(c, n + body);
    return true;
}

static bool
one(struct mh_conn *c)
{
    static char pad[PAD + 1];
    char path[200], body[2048];
    long i = rand_r(&c->seed) % (objects > 0 ? objects : 1);
    bool fill = strcmp(what, "fill") == 0;
    bool update = strcmp(what, "update") == 0 || strcmp(what, "watch") == 0;
    if (!pad[0])
        memset(pad, 'x', PAD);
    if (fill && (i = atomic_fetch_add(&next_name, 1)) >= objects)
        return false;
    if (strcmp(what, "list") == 0)
        return send_request(c, "GET", CONFIGMAPS "?limit=100", "") && take_answer(c);
    (void)snprintf(path, sizeof(path), CONFIGMAPS "/b-%ld", i);
    if (strcmp(what, "get") == 0)
        return send_request(c, "GET", path, "") && take_answer(c);
    char name[80];
    if (fill || update)
        (void)snprintf(name, sizeof(name), "b-%ld", i);
    else
        (void)snprintf(name, sizeof(name), "c-%d-%ld-%ld", (int)getpid(), (long)time(NULL),
                       atomic_fetch_add(&next_name, 1));
    (void)snprintf(body, sizeof(body),
                   "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\","
                   "\"labels\":{\"app\":"
                   "\"bench\"}},\"data\":{\"value\":\"%d\",\"pad\":\"%s\"}}",
                   name, rand_r(&c->seed), pad);
    return send_request(c, update ? "PUT" : "POST", update ? path : CONFIGMAPS, body) &&
           take_answer(c);
}

static void *
ask(void *arg)
{
    struct mh_conn c = { .seed = (unsigned)(size_t)arg };
    if (!dial(&c)) {
        (void)fprintf(stderr, "requests: no connection\n");
        atomic_fetch_add(&failures, 1);
        return NULL;
    }
    while (!over && one(&c))
        atomic_fetch_add(&answers, 1);
    bool done = over || (strcmp(what, "fill") == 0 && next_name >= objects);
    if (!done)
        atomic_fetch_add(&failures, 1);
    return NULL;
}

/* Where a watch begins: now. */
static bool
begin_watch(struct mh_conn *c)
{
    static const char field[] = "\"resourceVersion\":\"";
    char path[200];
    size_t n = 0;
    if (!dial(c) || !send_request(c, "GET", CONFIGMAPS "?limit=1", "") || !(n = head(c)))
        return false;
    const char *at;
    while (!(at = strstr(c->in + n, field)) || !strchr(at + sizeof(field), '"'))
        if (!more(c))
            return false;
    (void)snprintf(path, sizeof(path), CONFIGMAPS "?watch=true&resourceVersion=%ld",
                   strtol(at + sizeof(field) - 1, NULL, 10));
    return take_answer(c) && send_request(c, "GET", path, "");
}

static void *
look(void *arg)
{
    struct mh_conn c = { .seed = (unsigned)(size_t)arg };
    size_t n = 0;
    if (!begin_watch(&c) || !(n = head(&c))) {
        (void)fprintf(stderr, "requests: no watch\n");
        atomic_fetch_add(&failures, 1);
        return NULL;
    }
    drop(&c, n);
    do {
        long count = 0;
        for (const char *p = c.in; c.len && (p = memchr(p, '\n', c.len - (size_t)(p - c.in))); p++)
            count += p > c.in && p[-1] != '\r'; /* the ends of chunks are no lines */
        atomic_fetch_add(&events, count);
        c.len = 0;
    } while (!over && more(&c));
    if (!over)
        (void)fprintf(stderr, "requests: a watch has ended\n");
    return NULL;
}

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
    pthread_t threads[256];
    token = getenv("TOKEN");
    if (argc != 7 || !token) {
        (void)fprintf(stderr,
                      "usage: TOKEN=... requests ADDRESS PORT WHAT SECONDS CONNECTIONS OBJECTS\n");
        return 2;
    }
    address = argv[1], port = (int)strtol(argv[2], NULL, 10), what = argv[3];
    double seconds = strtod(argv[4], NULL);
    long n = strtol(argv[5], NULL, 10);
    objects = strtol(argv[6], NULL, 10);
    (void)signal(SIGPIPE, SIG_IGN);
    ctx = SSL_CTX_new(TLS_client_method());
    bool watch = strcmp(what, "watch") == 0, fill = strcmp(what, "fill") == 0;
    for (long i = 0; i < WATCHERS && watch; i++)
        (void)pthread_create(&threads[200 + i], NULL, look, (void *)(size_t)(i + 1));
    if (watch)
        (void)sleep(1);
    events = 0;
    double t0 = now();
    for (long i = 0; i < n; i++)
        (void)pthread_create(&threads[i], NULL, ask, (void *)(size_t)(i + 1));
    for (; !fill && now() - t0 < seconds && !failures;)
        (void)usleep(10000);
    long answered = answers, seen = events;
    double took = now() - t0;
    over = !fill;
    for (long i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
    if (fill) {
        answered = answers;
        took = now() - t0;
    }
    (void)printf("%.0f %.0f\n", (double)answered / took, (double)seen / took);
    (void)fflush(stdout);
    _exit(failures ? 1 : 0); /* watchers still read: nothing may be taken down under them */
}
