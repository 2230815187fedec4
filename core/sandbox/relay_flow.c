/* relay_flow.c - bytes from one connection to the other, at once or later. */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "sandbox/relay_in.h"

#define PIECE ((size_t)64 << 10)
#define WAITING_MAX ((size_t)256 << 10)
#define DELAYED_MAX ((size_t)4 << 20) /* what is under way on a slow line */

void
mh_sb_sock_deafen(int fd, bool deaf)
{
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog prog = { 1, &drop };
    int none = 0;
    if (deaf)
        (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
    else
        (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
}

static int64_t
now(const struct mh_sb_flow *f)
{
    const struct mh_clock *c = &f->link->relay->spec.clock;
    return c->mono_ns(c->self);
}

static void
set_reading(struct mh_sb_flow *f, bool yes)
{
    if (yes == f->reading || !f->readable)
        return;
    f->reading = yes;
    (void)(yes ? event_add(f->readable, NULL) : event_del(f->readable));
}

static bool
keep(struct mh_sb_flow *f, const char *data, size_t len, int64_t due)
{
    struct mh_sb_chunk *c = mh_malloc(sizeof(*c) + len);
    if (!c)
        return false;
    *c = (struct mh_sb_chunk){ .due = due, .len = len };
    memcpy(c->data, data, len);
    if (f->tail)
        f->tail->next = c;
    else
        f->head = c;
    f->tail = c;
    f->bytes += len;
    return true;
}

static void on_flush(void *arg);

/* The timer for what becomes due next in both directions. */
static void
set_timer(struct mh_sb_link *l)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        const struct mh_sb_flow *f = &l->flows[i];
        int64_t due = f->head ? f->head->due : f->ended && !f->shut ? f->end_due : INT64_MAX;
        next = due < next ? due : next;
    }
    if (next == INT64_MAX || l->flush || l->ms == 0)
        return;
    int64_t wait = next - now(&l->flows[0]);
    l->flush =
        l->relay->spec.clock.after(l->relay->spec.clock.self, wait > 0 ? wait : 0, on_flush, l);
}

/* Writes what is due. False: the link is to end. */
static bool
flush(struct mh_sb_flow *f)
{
    int64_t at = now(f);
    while (f->head && f->head->due <= at) {
        struct mh_sb_chunk *c = f->head;
        ssize_t n = send(*f->to, c->data + c->at, c->len - c->at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            (void)event_add(f->writable, NULL);
            return true;
        }
        if (n < 0)
            return false;
        c->at += (size_t)n;
        f->bytes -= (size_t)n;
        if (c->at < c->len)
            continue;
        f->head = c->next;
        if (!f->head)
            f->tail = NULL;
        mh_free(c);
    }
    if (f->ended && !f->head && !f->shut && f->end_due <= at) {
        f->shut = true;
        (void)shutdown(*f->to, SHUT_WR);
    }
    if (!f->ended && f->bytes < (f->link->ms > 0 ? DELAYED_MAX : WAITING_MAX))
        set_reading(f, true);
    return true;
}

static bool
is_done(const struct mh_sb_link *l)
{
    return l->flows[0].shut && l->flows[1].shut;
}

/* False: the link is gone. */
static bool
flush_both(struct mh_sb_link *l)
{
    if (!flush(&l->flows[0]) || !flush(&l->flows[1])) {
        mh_sb_link_free(l, true);
        return false;
    }
    if (is_done(l)) {
        mh_sb_link_free(l, false);
        return false;
    }
    set_timer(l);
    return true;
}

static void
on_flush(void *arg)
{
    struct mh_sb_link *l = arg;
    l->flush = NULL;
    if (!l->cut)
        (void)flush_both(l);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct mh_sb_flow *f = arg;
    (void)fd;
    (void)what;
    if (!f->link->cut)
        (void)flush_both(f->link);
}

/* Reads, and passes on at once where nothing waits. False: the link is to end. */
static bool
pump(struct mh_sb_flow *f)
{
    static char piece[PIECE];
    int ms = f->link->ms;
    for (int i = 0; i < 4; i++) {
        ssize_t n = recv(*f->from, piece, sizeof(piece), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        int64_t due = now(f) + ms * MH_NS_PER_MS;
        if (n == 0) {
            f->ended = true;
            f->end_due = ms ? due : 0;
            set_reading(f, false);
            return true;
        }
        ssize_t sent = 0;
        if (!f->head && ms == 0) {
            sent = send(*f->to, piece, (size_t)n, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN && errno != EINTR)
                return false;
            sent = sent < 0 ? 0 : sent;
        }
        if (sent < n && !keep(f, piece + sent, (size_t)(n - sent), ms ? due : 0))
            return false;
        if (f->bytes >= (ms > 0 ? DELAYED_MAX : WAITING_MAX)) {
            set_reading(f, false);
            return true;
        }
    }
    return true;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct mh_sb_flow *f = arg;
    (void)fd;
    (void)what;
    if (!pump(f))
        mh_sb_link_free(f->link, true);
    else
        (void)flush_both(f->link);
}

bool
mh_sb_flow_begin(struct mh_sb_link *l)
{
    for (int i = 0; i < 2; i++) {
        struct mh_sb_flow *f = &l->flows[i];
        f->link = l;
        f->from = i == 0 ? &l->a : &l->b;
        f->to = i == 0 ? &l->b : &l->a;
        struct event_base *base = l->relay->spec.base;
        f->readable = event_new(base, *f->from, EV_READ | EV_PERSIST, on_readable, f);
        f->writable = event_new(base, *f->to, EV_WRITE, on_writable, f);
        if (!f->readable || !f->writable)
            return false;
    }
    return true;
}

void
mh_sb_flow_pause(struct mh_sb_link *l, bool pause)
{
    for (int i = 0; i < 2; i++) {
        struct mh_sb_flow *f = &l->flows[i];
        set_reading(f, !pause && !f->ended);
        if (pause && f->writable)
            (void)event_del(f->writable);
    }
    if (!pause)
        (void)flush_both(l);
}

void
mh_sb_flow_release(struct mh_sb_link *l)
{
    if (l->flush)
        l->relay->spec.clock.cancel(l->relay->spec.clock.self, l->flush);
    l->flush = NULL;
    for (int i = 0; i < 2; i++) {
        struct mh_sb_flow *f = &l->flows[i];
        if (f->readable)
            event_free(f->readable);
        if (f->writable)
            event_free(f->writable);
        f->readable = f->writable = NULL;
        while (f->head) {
            struct mh_sb_chunk *c = f->head;
            f->head = c->next;
            mh_free(c);
        }
        f->tail = NULL;
    }
}
