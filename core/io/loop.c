#include "io/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TURN_NS 1000000 /* so long timers may run before the loop looks at its sockets */

/* Timers are a binary heap by due time; one timerfd is armed for the first of them. */
struct mh_timer {
    int64_t due;
    uint64_t order; /* equal times fire in the order of creation */
    size_t index;
    void (*fn)(void *);
    void *arg;
};

struct real_clock {
    struct event_base *base;
    struct event *event;
    int fd;
    struct mh_timer **heap;
    size_t len;
    size_t size;
    uint64_t order;
};

struct mh_signal {
    struct event *event;
    void (*fn)(void *arg, int sig);
    void *arg;
};

struct event_base *
mh_loop_new(void)
{
    struct event_config *cfg = event_config_new();
    if (!cfg)
        return NULL;
    struct event_base *base = NULL;
    if (event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    (void)signal(SIGPIPE, SIG_IGN);
    return base;
}

static int64_t
read_clock(clockid_t id)
{
    struct timespec ts = { 0 };
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int64_t
mono_ns(void *self)
{
    (void)self;
    return read_clock(CLOCK_BOOTTIME);
}

static int64_t
wall_us(void *self)
{
    (void)self;
    return read_clock(CLOCK_REALTIME) / 1000;
}

static bool
before(const struct mh_timer *a, const struct mh_timer *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void
place(struct real_clock *c, size_t i, struct mh_timer *t)
{
    c->heap[i] = t;
    t->index = i;
}

static void
sift_up(struct real_clock *c, size_t i)
{
    struct mh_timer *t = c->heap[i];
    while (i > 0 && before(t, c->heap[(i - 1) / 2])) {
        place(c, i, c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(c, i, t);
}

static void
sift_down(struct real_clock *c, size_t i)
{
    struct mh_timer *t = c->heap[i];
    for (;;) {
        size_t k = 2 * i + 1;
        if (k >= c->len)
            break;
        if (k + 1 < c->len && before(c->heap[k + 1], c->heap[k]))
            k++;
        if (!before(c->heap[k], t))
            break;
        place(c, i, c->heap[k]);
        i = k;
    }
    place(c, i, t);
}

static void
take_out(struct real_clock *c, struct mh_timer *t)
{
    size_t i = t->index;
    struct mh_timer *last = c->heap[--c->len];
    if (last == t)
        return;
    place(c, i, last);
    sift_up(c, i);
    sift_down(c, last->index);
}

/* Arms the timerfd for the first timer; without timers the event leaves the loop. */
static void
arm(struct real_clock *c)
{
    struct itimerspec its = { 0 };
    if (c->len == 0) {
        (void)timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &its, NULL);
        event_del(c->event);
        return;
    }
    int64_t due = c->heap[0]->due > 0 ? c->heap[0]->due : 1;
    its.it_value.tv_sec = (time_t)(due / 1000000000LL);
    its.it_value.tv_nsec = (long)(due % 1000000000LL);
    (void)timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &its, NULL);
    event_add(c->event, NULL);
}

static void
on_timerfd(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct real_clock *c = arg;
    uint64_t n;
    if (read((int)fd, &n, sizeof(n)) < 0 && errno != EAGAIN && errno != ECANCELED)
        n = 0;
    /* Timers that are made by the ones that fire now wait for the next round. */
    int64_t now = mono_ns(NULL);
    uint64_t made_before = c->order;
    while (c->len > 0 && c->heap[0]->due <= now && c->heap[0]->order < made_before) {
        struct mh_timer *t = c->heap[0];
        take_out(c, t);
        void (*fn)(void *) = t->fn;
        void *fn_arg = t->arg;
        mh_free(t);
        fn(fn_arg);
        if (mono_ns(NULL) - now > TURN_NS) /* who waits on a socket comes first now */
            break;
    }
    arm(c);
}

static struct mh_timer *
after(void *self, int64_t ns, void (*fn)(void *), void *arg)
{
    struct real_clock *c = self;
    if (c->len == c->size) {
        size_t size = c->size ? c->size * 2 : 16;
        struct mh_timer **heap = mh_realloc(c->heap, size * sizeof(struct mh_timer *));
        if (!heap)
            return NULL;
        c->heap = heap;
        c->size = size;
    }
    struct mh_timer *t = mh_malloc(sizeof(*t));
    if (!t)
        return NULL;
    int64_t now = mono_ns(NULL);
    int64_t due = ns > INT64_MAX - now ? INT64_MAX : now + (ns > 0 ? ns : 0);
    *t = (struct mh_timer){ .due = due, .order = c->order++, .fn = fn, .arg = arg };
    place(c, c->len++, t);
    sift_up(c, t->index);
    if (t->index == 0)
        arm(c);
    return t;
}

static void
cancel(void *self, struct mh_timer *t)
{
    if (!t)
        return;
    struct real_clock *c = self;
    bool first = t->index == 0;
    take_out(c, t);
    mh_free(t);
    if (first)
        arm(c);
}

struct mh_clock
mh_clock_real(struct event_base *base)
{
    struct mh_clock clock = { mono_ns, wall_us, after, cancel, NULL };
    struct real_clock *c = mh_calloc(1, sizeof(*c));
    if (!c)
        return clock;
    c->base = base;
    c->fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    c->event = c->fd < 0 ? NULL : event_new(base, c->fd, EV_READ | EV_PERSIST, on_timerfd, c);
    if (!c->event) {
        if (c->fd >= 0)
            close(c->fd);
        mh_free(c);
        return clock;
    }
    clock.self = c;
    return clock;
}

void
mh_clock_release(struct mh_clock *clock)
{
    struct real_clock *c = clock->self;
    clock->self = NULL;
    if (!c)
        return;
    for (size_t i = 0; i < c->len; i++)
        mh_free(c->heap[i]);
    mh_free(c->heap);
    event_free(c->event);
    close(c->fd);
    mh_free(c);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    struct mh_signal *s = arg;
    s->fn(s->arg, (int)sig);
}

struct mh_signal *
mh_loop_on_signal(struct event_base *base, int sig, void (*fn)(void *arg, int sig), void *arg)
{
    struct mh_signal *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct mh_signal){ .fn = fn, .arg = arg };
    s->event = evsignal_new(base, sig, on_signal, s);
    if (!s->event || event_add(s->event, NULL) != 0) {
        mh_loop_off_signal(s);
        return NULL;
    }
    return s;
}

void
mh_loop_off_signal(struct mh_signal *s)
{
    if (!s)
        return;
    if (s->event)
        event_free(s->event);
    mh_free(s);
}
