#include "lua/pool.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "lua/declared.h"
#include "lua/frame.h"
#include "lua/pool_queue.h"
#include "lua/spawn.h"

#define WORKERS_MAX 16
#define WORKERS_DEFAULT 6
#define DEADLINE_MS 100
#define CHECK_FACTOR 10
#define LEFT_MIN_MS 2 /* less is not worth a worker */
#define START_MS 5000 /* until a worker says "ready" */
#define START_LATER_MS 2
#define BACK_OFF_MS 1000 /* after one that did not */
#define REAP_MS 20
#define QUEUE_MS 60000
#define SPARE_MAX 3
#define END_MS 200 /* a killed worker is reaped sooner */

enum state { NONE, STARTING, IDLE, BUSY, DYING };

struct worker {
    struct mh_pool *pool;
    enum state state;
    struct mh_spawned proc;
    struct bufferevent *io;
    struct event *deadline; /* of the start or of the job */
    struct job *job;        /* NULL while BUSY: the call was cancelled */
    struct mh_turn turn;    /* while BUSY: whose */
    uint64_t rested;        /* while IDLE: since which answer of the pool */
    int64_t rested_ms;
    struct mh_known known;
};

struct job {
    struct mh_turn turn;
    struct job *next;
    struct mh_policy_call *call;
    struct event *deadline; /* while it waits */
    int64_t due_ms;         /* of a decision: with all waiting */
    struct worker *worker;
    struct mh_pool *pool;
    yyjson_val *input; /* of a decision, for the guard; read while the worker works */
};

struct mh_pool {
    struct event_base *base;
    const char *const *argv;
    int most;
    int deadline_ms;
    int kills;
    bool resting; /* after a worker that did not start */
    struct event *rest;
    struct event *pump;
    struct mh_policy_call *failed; /* linked by impl: answered, done not called yet */
    struct event *reap;
    struct job *waiting; /* in order */
    struct mh_turns turns;
    uint64_t answers;
    bool in_process;
    bool used; /* there are scripts: one to run the next and one to go on after a kill are ready */
    struct worker workers[WORKERS_MAX];
};

static const char *const default_argv[] = { "/proc/self/exe", "policy-worker", NULL };

static struct timeval
ms(int n)
{
    return (struct timeval){ n / 1000, n % 1000 * 1000 };
}

static int64_t
now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
wake(struct mh_pool *p, int after_ms)
{
    struct timeval tv = ms(after_ms);
    (void)evtimer_add(p->pump, &tv);
}

static void
rest(struct mh_pool *p)
{
    struct timeval tv = ms(BACK_OFF_MS);
    p->resting = true;
    (void)evtimer_add(p->rest, &tv);
}

static void
on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct mh_pool *p = arg;
    (void)fd;
    (void)what;
    p->resting = false;
    wake(p, 0);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void
unlink_job(struct mh_pool *p, struct job *j)
{
    for (struct job **at = &p->waiting; *at; at = &(*at)->next) {
        if (*at == j) {
            *at = j->next;
            break;
        }
    }
    if (j->deadline)
        event_free(j->deadline);
    j->deadline = NULL;
}

/* The call is over; nothing of it is touched after done. */
static void
finish_job(struct job *j)
{
    struct mh_policy_call *call = j->call;
    call->impl = NULL;
    mh_free(j);
    call->done(call);
}

static void
fail_job(struct job *j, const char *kind, const char *message)
{
    j->call->result = (struct mh_policy_result){
        .error = { .kind = kind, .file = j->call->job.name, .message = message }
    };
    finish_job(j);
}

static int
budget_of(const struct mh_pool *p, const struct mh_policy_call *call)
{
    return call->job.op == MH_POLICY_DECIDE ? p->deadline_ms : p->deadline_ms * CHECK_FACTOR;
}

/* --- workers ---------------------------------------------------------------------------------- */

static void
on_reap(evutil_socket_t fd, short what, void *arg)
{
    struct mh_pool *p = arg;
    bool more = false;
    (void)fd;
    (void)what;
    for (int i = 0; i < p->most; i++) {
        struct worker *w = &p->workers[i];
        if (w->state != DYING)
            continue;
        if (mh_spawn_reap(&w->proc))
            w->state = NONE;
        else
            more = true;
    }
    struct timeval tv = ms(REAP_MS);
    if (more)
        (void)evtimer_add(p->reap, &tv);
    wake(p, 0);
}

/* Takes a worker out of service; its job, if any, is the caller's. */
static struct job *
drop_worker(struct worker *w)
{
    struct job *j = w->job;
    struct timeval tv = ms(1);
    w->job = NULL;
    if (w->io)
        bufferevent_free(w->io);
    w->io = NULL;
    (void)evtimer_del(w->deadline);
    mh_spawn_kill(&w->proc);
    w->state = DYING;
    (void)evtimer_add(w->pool->reap, &tv);
    return j;
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    struct mh_pool *p = w->pool;
    bool starting = w->state == STARTING;
    (void)fd;
    (void)what;
    p->kills++;
    struct job *j = drop_worker(w);
    if (starting) {
        mh_warn("policy", "worker was not ready in time");
        rest(p);
        return;
    }
    wake(p, 0);
    if (j)
        fail_job(j, "wall", "no answer before the deadline");
}

static void
on_lost(struct bufferevent *io, short what, void *arg)
{
    struct worker *w = arg;
    struct mh_pool *p = w->pool;
    bool starting = w->state == STARTING;
    (void)io;
    (void)what;
    struct job *j = drop_worker(w);
    if (starting) {
        mh_warn("policy", "worker ended before it was ready");
        rest(p);
    }
    wake(p, 0);
    if (j)
        fail_job(j, "memory", "the worker ended while the script ran");
}

static void
on_frame(struct worker *w, const char *data, size_t len)
{
    struct mh_pool *p = w->pool;
    struct job *j = w->job;
    (void)evtimer_del(w->deadline);
    if (w->state == STARTING) {
        w->state = IDLE;
        wake(p, 0);
        return;
    }
    if (j)
        mh_frame_get_result(
            j->call->arena, &j->call->job,
            &(struct mh_frame_answer){ .data = data, .len = len, .input = j->input },
            &j->call->result);
    w->job = NULL;
    w->state = IDLE;
    w->rested = ++p->answers;
    w->rested_ms = now_ms();
    wake(p, 0);
    if (j)
        finish_job(j);
}

static void
on_readable(struct bufferevent *io, void *arg)
{
    struct worker *w = arg;
    struct evbuffer *in = bufferevent_get_input(io);
    char head[4];
    if (evbuffer_copyout(in, head, 4) < 4)
        return;
    uint32_t len = mh_frame_length(head);
    if (len > MH_FRAME_MAX || (w->state != STARTING && w->state != BUSY)) {
        w->pool->kills++;
        on_lost(io, 0, w);
        return;
    }
    if (evbuffer_get_length(in) < 4 + (size_t)len)
        return;
    (void)evbuffer_drain(in, 4);
    char *data = mh_malloc((size_t)len + 1);
    if (!data) {
        on_lost(io, 0, w);
        return;
    }
    (void)evbuffer_remove(in, data, len);
    bool more = evbuffer_get_length(in) > 0;
    if (more) { /* who says more than it is asked does not get another question */
        w->pool->kills++;
        on_lost(io, 0, w);
    } else {
        on_frame(w, data, len);
    }
    mh_free(data);
}

static bool
start_worker(struct worker *w)
{
    struct mh_err err;
    struct timeval tv = ms(START_MS);
    if (mh_spawn(w->pool->argv, &w->proc, &err) != MH_OK) {
        mh_log_err(MH_LOG_WARNING, "policy", "no worker", &err);
        return false;
    }
    w->state = STARTING;
    w->known = (struct mh_known){ .next = 0 };
    w->io = bufferevent_socket_new(w->pool->base, w->proc.fd, 0);
    if (!w->io) {
        (void)drop_worker(w);
        return false;
    }
    bufferevent_setwatermark(w->io, EV_READ, 0, MH_FRAME_MAX + 4);
    bufferevent_setcb(w->io, on_readable, NULL, on_lost, w);
    (void)bufferevent_enable(w->io, EV_READ | EV_WRITE);
    (void)evtimer_add(w->deadline, &tv);
    return true;
}

/* What the socket takes goes at once: a turn of the loop takes as long as many a decision. */
static bool
send_job(struct worker *w, struct job *j)
{
    struct mh_buf b;
    mh_buf_init(&b, MH_FRAME_MAX + 64);
    bool ok = mh_frame_put_job(&b, &j->call->job);
    ssize_t put = ok ? send(w->proc.fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
    size_t done = put > 0 ? (size_t)put : 0;
    if (ok && done < b.len)
        ok = bufferevent_write(w->io, b.data + done, b.len - done) == 0;
    mh_buf_release(&b);
    return ok;
}

/* --- the pump: jobs to idle workers, one spare always ------------------------------------------ */

static struct worker *
find_worker(struct mh_pool *p, enum state state)
{
    for (int i = 0; i < p->most; i++) {
        if (p->workers[i].state == state)
            return &p->workers[i];
    }
    return NULL;
}

/* Only a name for the text: what is run is compared by the worker. */
static uint64_t
script_of(const struct job *j)
{
    const struct mh_policy_job *job = &j->call->job;
    return (uint64_t)(uintptr_t)job->script ^ (uint64_t)job->script_len << 48;
}

/* NULL: none is idle. */
static struct worker *
find_idle(struct mh_pool *p, const struct job *j)
{
    struct mh_seat seats[WORKERS_MAX];
    struct worker *of[WORKERS_MAX];
    int n = 0;
    int64_t now = now_ms();
    for (int i = 0; i < p->most; i++) {
        struct worker *w = &p->workers[i];
        if (w->state != IDLE)
            continue;
        of[n] = w;
        seats[n++] = (struct mh_seat){ .known = &w->known,
                                       .rested = w->rested,
                                       .rest_ms = now - w->rested_ms };
    }
    return n > 0 ? of[mh_seat_best(seats, n, script_of(j))] : NULL;
}

static int
count(const struct mh_pool *p, enum state state)
{
    int n = 0;
    for (int i = 0; i < p->most; i++)
        n += p->workers[i].state == state;
    return n;
}

/* The waiting job that is next by right; NULL: none may run now. */
static struct job *
next_job(const struct mh_pool *p)
{
    struct mh_turn busy[WORKERS_MAX];
    struct job *best = NULL;
    int n = 0;
    for (int i = 0; i < p->most; i++) {
        if (p->workers[i].state == BUSY)
            busy[n++] = p->workers[i].turn;
    }
    for (struct job *j = p->waiting; j; j = j->next) {
        if (mh_turn_allowed(&j->turn, busy, n, p->most) &&
            (!best || mh_turn_before(&p->turns, &j->turn, &best->turn)))
            best = j;
    }
    return best;
}

static void
give_job(struct worker *w, struct job *j)
{
    struct mh_pool *p = w->pool;
    bool check = j->turn.check;
    int64_t most = budget_of(p, j->call);
    int64_t left = check ? most : j->due_ms - now_ms();
    struct timeval tv = ms((int)(left < most ? left : most));
    unlink_job(p, j);
    if (left < LEFT_MIN_MS) {
        fail_job(j, "wall", "no worker was free before the deadline");
        return;
    }
    mh_turn_taken(&p->turns, &j->turn);
    p->used = true;
    if (!send_job(w, j)) {
        fail_job(j, "memory", "the job does not fit into one message of 1 MiB");
        return;
    }
    w->state = BUSY;
    w->job = j;
    w->turn = j->turn;
    j->worker = w;
    (void)evtimer_add(w->deadline, &tv);
    mh_known_add(&w->known, script_of(j));
    j->input = mh_frame_input(j->call->arena, &j->call->job);
}

/* Whether there was one to give. */
static bool
give_jobs(struct mh_pool *p)
{
    struct worker *w;
    struct job *j;
    bool any = false;
    while (count(p, IDLE) > 0 && (j = next_job(p)) && (w = find_idle(p, j))) {
        give_job(w, j);
        any = true;
    }
    return any;
}

/* Without a worker between: one job each turn of the loop. */
static void
run_here(struct mh_pool *p)
{
    struct job *j = p->waiting;
    if (!j)
        return;
    unlink_job(p, j);
    wake(p, 0);
    if (j->call->job.op == MH_POLICY_DECLARED)
        mh_declared_run(j->call->arena, &j->call->job, &j->call->result);
    else
        mh_policy_run(j->call->arena, &j->call->job, &j->call->result);
    finish_job(j);
}

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct mh_pool *p = arg;
    (void)fd;
    (void)what;
    while (p->failed) {
        struct mh_policy_call *call = p->failed;
        p->failed = call->impl;
        call->impl = NULL;
        call->done(call);
    }
    if (p->in_process) {
        run_here(p);
        return;
    }
    if (give_jobs(p)) { /* a start takes as long as a decision, which goes first */
        wake(p, START_LATER_MS);
        return;
    }
    while (count(p, IDLE) > SPARE_MAX)
        (void)drop_worker(find_worker(p, IDLE));
    if (p->resting || count(p, IDLE) + count(p, STARTING) > (p->used ? 1 : 0))
        return;
    struct worker *w = find_worker(p, NONE);
    if (w && !start_worker(w))
        rest(p);
}

/* --- interface -------------------------------------------------------------------------------- */

static bool
make_events(struct mh_pool *p)
{
    p->pump = evtimer_new(p->base, on_pump, p);
    p->rest = evtimer_new(p->base, on_rested, p);
    p->reap = evtimer_new(p->base, on_reap, p);
    for (int i = 0; i < p->most; i++) {
        struct worker *w = &p->workers[i];
        *w = (struct worker){ .pool = p, .proc = { .pidfd = -1, .fd = -1 } };
        w->deadline = evtimer_new(p->base, on_deadline, w);
        if (!w->deadline)
            return false;
    }
    return p->pump && p->rest && p->reap;
}

struct mh_pool *
mh_pool_new(struct event_base *base, const struct mh_pool_options *opt)
{
    struct mh_pool *p = mh_calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->base = base;
    p->argv = opt && opt->argv ? opt->argv : default_argv;
    p->most =
        opt && opt->workers > 0 && opt->workers < WORKERS_MAX ? opt->workers : WORKERS_DEFAULT;
    p->deadline_ms = opt && opt->deadline_ms > 0 ? opt->deadline_ms : DEADLINE_MS;
    p->in_process = opt ? opt->in_process : getenv(MH_POOL_IN_PROCESS) != NULL;
    if (p->in_process)
        mh_warn("policy", "policies run inside the operator: for debugging only");
    if (!make_events(p)) {
        mh_pool_free(p);
        return NULL;
    }
    wake(p, 0);
    return p;
}

void
mh_pool_free(struct mh_pool *p)
{
    if (!p)
        return;
    while (p->waiting) {
        struct job *j = p->waiting;
        unlink_job(p, j);
        j->call->impl = NULL;
        mh_free(j);
    }
    for (int i = 0; i < p->most; i++) {
        struct worker *w = &p->workers[i];
        if (w->deadline && w->state != NONE && w->state != DYING) {
            struct job *j = drop_worker(w);
            if (j)
                j->call->impl = NULL;
            mh_free(j);
        }
        for (int n = 0; w->state == DYING && !mh_spawn_reap(&w->proc) && n < END_MS; n++)
            (void)usleep(1000);
        if (w->deadline)
            event_free(w->deadline);
    }
    if (p->pump)
        event_free(p->pump);
    if (p->rest)
        event_free(p->rest);
    if (p->reap)
        event_free(p->reap);
    mh_free(p);
}

/* The deadline of a job that no worker took. */
static void
on_waited(evutil_socket_t fd, short what, void *arg)
{
    struct job *j = arg;
    (void)fd;
    (void)what;
    unlink_job(j->pool, j);
    fail_job(j, "wall", "no worker was free before the deadline");
}

void
mh_policy_start(struct mh_pool *p, struct mh_policy_call *call)
{
    struct job *j = mh_calloc(1, sizeof(*j));
    struct event *timer = j ? evtimer_new(p->base, on_waited, j) : NULL;
    if (!timer) { /* no memory even for this: the loop's next turn says so */
        mh_free(j);
        call->result =
            (struct mh_policy_result){ .error = { .kind = "memory", .message = "no memory" } };
        call->impl = p->failed;
        p->failed = call;
        wake(p, 0);
        return;
    }
    *j = (struct job){ .call = call, .pool = p, .deadline = timer };
    j->turn = mh_turn_of(call->tenant, call->job.op != MH_POLICY_DECIDE);
    j->due_ms = now_ms() + budget_of(p, call);
    call->impl = j;
    /* A check may queue for long: only a decision is waited for. */
    struct timeval tv = ms(j->turn.check ? QUEUE_MS : budget_of(p, call));
    (void)evtimer_add(timer, &tv);
    struct job **at = &p->waiting;
    while (*at)
        at = &(*at)->next;
    *at = j;
    wake(p, 0);
}

void
mh_policy_cancel(struct mh_pool *p, struct mh_policy_call *call)
{
    for (struct mh_policy_call **at = &p->failed; *at;
         at = (struct mh_policy_call **)&(*at)->impl) {
        if (*at == call) {
            *at = call->impl;
            call->impl = NULL;
            return;
        }
    }
    struct job *j = call->impl;
    if (!j)
        return;
    call->impl = NULL;
    if (j->worker)
        j->worker->job = NULL; /* its answer is dropped, its deadline stays */
    else
        unlink_job(p, j);
    mh_free(j);
}

int
mh_pool_alive(const struct mh_pool *p)
{
    return count(p, IDLE) + count(p, BUSY);
}

int
mh_pool_kills(const struct mh_pool *p)
{
    return p->kills;
}
