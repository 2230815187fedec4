/* relay_link.c - from the question to two connections. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "sandbox/relay_in.h"

static void begin(struct mh_sb_link *l);
static void arrived(struct mh_sb_link *l, int fd);
static void close_wall(struct mh_sb_link *l);

static int64_t
now(const struct mh_sb_relay *r)
{
    return r->spec.clock.mono_ns(r->spec.clock.self);
}

static void
stop_timer(struct mh_sb_link *l)
{
    if (l->timer)
        l->relay->spec.clock.cancel(l->relay->spec.clock.self, l->timer);
    l->timer = NULL;
}

static void
close_reset(int *fd, bool reset)
{
    struct linger at_once = { 1, 0 };
    if (*fd < 0)
        return;
    if (reset)
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(*fd);
    *fd = -1;
}

void
mh_sb_link_free(struct mh_sb_link *l, bool reset)
{
    struct mh_sb_link **at = &l->relay->links;
    while (*at && *at != l)
        at = &(*at)->next;
    if (*at)
        *at = l->next;
    stop_timer(l);
    close_wall(l);
    if (l->connecting)
        event_free(l->connecting);
    mh_sb_flow_release(l);
    mh_sb_ask_answer(&l->ask, ECONNREFUSED);
    close_reset(&l->a, reset);
    close_reset(&l->b, reset);
    mh_free(l);
}

/* --- walls ----------------------------------------------------------------------------------- */

static void
close_wall(struct mh_sb_link *l)
{
    if (l->on_wall)
        event_free(l->on_wall);
    l->on_wall = NULL;
    close_reset(&l->wall_full, true);
    close_reset(&l->wall, false);
}

/* A connect of one who is cut off gets no answer at all: it goes to a listener whose queue is
 * full, which drops every SYN. The port, 0 on failure. */
static in_port_t
make_wall(struct mh_sb_link *l)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = l->asked.sin_addr };
    socklen_t len = sizeof(in);
    l->wall = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    l->wall_full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->wall < 0 || l->wall_full < 0 ||
        bind(l->wall, (const struct sockaddr *)&in, sizeof(in)) != 0 || listen(l->wall, 0) != 0 ||
        getsockname(l->wall, (struct sockaddr *)&in, &len) != 0 ||
        (connect(l->wall_full, (const struct sockaddr *)&in, sizeof(in)) != 0 &&
         errno != EINPROGRESS))
        return 0;
    return in.sin_port;
}

static void
on_wall(evutil_socket_t fd, short what, void *arg)
{
    struct mh_sb_link *l = arg;
    struct sockaddr_in from = { 0 };
    socklen_t len = sizeof(from);
    (void)what;
    int one = accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (one < 0)
        return;
    if (from.sin_port != l->port || from.sin_addr.s_addr != l->from) {
        close_reset(&one, true); /* what filled the queue */
        return;
    }
    close_wall(l);
    arrived(l, one);
}

/* The next SYN that comes again is heard. */
static void
open_wall(struct mh_sb_link *l)
{
    if (l->wall < 0 || l->on_wall)
        return;
    l->on_wall = event_new(l->relay->spec.base, l->wall, EV_READ | EV_PERSIST, on_wall, l);
    if (l->on_wall)
        (void)event_add(l->on_wall, NULL);
}

/* --- towards the pod ------------------------------------------------------------------------- */

/* Lets the process's own connect arrive at our listener. */
static void
let_in(struct mh_sb_link *l)
{
    struct sockaddr_in to = l->asked;
    to.sin_port = l->relay->port;
    if (!mh_sb_ask_valid(&l->ask) || (l->port = mh_sb_ask_bind(l->ask.sock, l->from)) == 0) {
        mh_sb_ask_answer(&l->ask, EADDRNOTAVAIL);
        mh_sb_link_free(l, true);
        return;
    }
    if (l->cut)
        to.sin_port = make_wall(l);
    int failed = connect(l->ask.sock, (const struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
    mh_sb_ask_answer(&l->ask, failed);
    if (failed && failed != EINPROGRESS)
        mh_sb_link_free(l, true);
}

static void
run_on(struct mh_sb_link *l)
{
    int one = 1;
    (void)setsockopt(l->a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(l->b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    mh_sb_sock_deafen(l->a, l->cut);
    mh_sb_sock_deafen(l->b, l->cut);
    stop_timer(l);
    if (!mh_sb_flow_begin(l)) {
        mh_sb_link_free(l, true);
        return;
    }
    mh_sb_flow_pause(l, l->cut);
}

static struct mh_sb_link *
find(struct mh_sb_relay *r, const struct sockaddr_in *from)
{
    struct mh_sb_link *l = r->links;
    while (l && (l->a >= 0 || l->port != from->sin_port || l->from != from->sin_addr.s_addr))
        l = l->next;
    return l;
}

static void
arrived(struct mh_sb_link *l, int fd)
{
    l->a = fd;
    if (l->connected)
        run_on(l);
    else if (!l->connecting && l->b < 0)
        begin(l); /* it was cut off until now */
}

void
mh_sb_link_accept(struct mh_sb_relay *r)
{
    for (int i = 0; i < 64; i++) {
        struct sockaddr_in from = { 0 };
        socklen_t len = sizeof(from);
        int fd = accept4(r->listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct mh_sb_link *l = find(r, &from);
        if (!l) {
            close_reset(&fd, true); /* no pod, or one that gave up */
            continue;
        }
        arrived(l, fd);
    }
}

static bool
blocks(const struct mh_sb_link *l)
{
    return l->ask.sock >= 0 && !(fcntl(l->ask.sock, F_GETFL) & O_NONBLOCK);
}

/* --- towards the target ---------------------------------------------------------------------- */

static void
connected(struct mh_sb_link *l, int error)
{
    if (error) {
        mh_sb_ask_answer(&l->ask, error);
        mh_sb_link_free(l, true);
        return;
    }
    l->connected = true;
    if (l->a >= 0)
        run_on(l);
    else if (l->ask.notify_fd >= 0 && !(l->cut && blocks(l)))
        let_in(l);
}

static void
on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct mh_sb_link *l = arg;
    int error = 0;
    socklen_t len = sizeof(error);
    (void)what;
    event_free(l->connecting);
    l->connecting = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    connected(l, error);
}

static void
dial(struct mh_sb_link *l)
{
    struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = l->from };
    int one = 1;
    l->b = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->b < 0) {
        connected(l, errno);
        return;
    }
    (void)setsockopt(l->b, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(l->b, (const struct sockaddr *)&own, sizeof(own)) != 0) {
        connected(l, errno);
        return;
    }
    if (connect(l->b, (const struct sockaddr *)&l->to, sizeof(l->to)) == 0) {
        connected(l, 0);
        return;
    }
    if (errno != EINPROGRESS) {
        connected(l, errno);
        return;
    }
    l->connecting = event_new(l->relay->spec.base, l->b, EV_WRITE, on_connected, l);
    if (!l->connecting || event_add(l->connecting, NULL) != 0)
        connected(l, ENOMEM);
}

static void
on_delay(void *arg)
{
    struct mh_sb_link *l = arg;
    l->timer = NULL;
    dial(l);
}

/* Nobody answered, and the process has heard so from its kernel or hears it now. */
static void
on_patience(void *arg)
{
    struct mh_sb_link *l = arg;
    l->timer = NULL;
    mh_sb_ask_answer(&l->ask, ETIMEDOUT);
    mh_sb_link_free(l, true);
}

static void
later(struct mh_sb_link *l, int ms, void (*fn)(void *))
{
    stop_timer(l);
    l->timer = l->relay->spec.clock.after(l->relay->spec.clock.self, ms * MH_NS_PER_MS, fn, l);
    if (!l->timer)
        mh_sb_link_free(l, true);
}

/* The first step, or the next one after a cut. */
static void
begin(struct mh_sb_link *l)
{
    if (l->cut) {
        later(l, MH_SB_HELD_MS, on_patience);
        /* A call that blocks would block us: it waits for its answer instead. */
        if (l->ask.notify_fd >= 0 && !blocks(l))
            let_in(l);
        return;
    }
    if (l->ms > 0)
        later(l, l->ms, on_delay);
    else
        dial(l);
}

void
mh_sb_link_start(struct mh_sb_relay *r, in_addr_t from, const struct sockaddr_in *asked,
                 const struct sockaddr_in *to, struct mh_sb_ask ask)
{
    struct mh_sb_link *l = mh_calloc(1, sizeof(*l));
    if (!l) {
        mh_sb_ask_answer(&ask, ENOMEM);
        return;
    }
    l->relay = r;
    l->from = from;
    l->asked = *asked;
    l->to = *to;
    l->ask = ask;
    l->a = l->b = l->wall = l->wall_full = -1;
    l->since = now(r);
    l->cut = mh_sb_relay_is_cut(r, from, to->sin_addr.s_addr);
    l->ms = mh_sb_relay_delay(r, from, to->sin_addr.s_addr);
    l->next = r->links;
    r->links = l;
    begin(l);
}

/* --- rules ----------------------------------------------------------------------------------- */

static void
set_cut(struct mh_sb_link *l, bool cut)
{
    l->cut = cut;
    if (l->a >= 0 && l->connected) {
        mh_sb_sock_deafen(l->a, cut);
        mh_sb_sock_deafen(l->b, cut);
        mh_sb_flow_pause(l, cut);
    } else if (!cut && l->ask.notify_fd >= 0 && !l->connecting) {
        stop_timer(l);
        if (l->connected || !mh_sb_ask_valid(&l->ask))
            let_in(l);
        else
            begin(l);
    } else if (!cut && l->a >= 0 && l->b < 0 && !l->connecting) {
        stop_timer(l);
        begin(l);
    } else if (!cut) {
        open_wall(l);
    }
}

void
mh_sb_link_obey(struct mh_sb_relay *r)
{
    for (struct mh_sb_link *l = r->links; l;) {
        struct mh_sb_link *next = l->next;
        bool cut = mh_sb_relay_is_cut(r, l->from, l->to.sin_addr.s_addr);
        l->ms = mh_sb_relay_delay(r, l->from, l->to.sin_addr.s_addr);
        if (cut != l->cut)
            set_cut(l, cut);
        l = next;
    }
}
