#include "operator/queue.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

#define KEYS_MAX 100000
#define LANE_MAX 64 /* urgent passes at a time: each needs memory */
#define BACKOFF_MIN_NS (1 * MH_NS_PER_S)
#define BACKOFF_MAX_NS (300 * MH_NS_PER_S)
#define REREADS_FREE 5                  /* that many at once, then with back-off */
#define CHANGE_GAP_NS (1 * MH_NS_PER_S) /* a change in the back-off shortens it to this */
#define STOPPED_NS (300 * MH_NS_PER_S)  /* terminal: look again all the same */

static void on_timer(void *arg);

void
mh_queue_init(struct mh_queue *q, const struct mh_queue_conf *conf)
{
    *q = (struct mh_queue){ .conf = *conf };
    mh_map_init(&q->items, KEYS_MAX);
    q->tail = &q->head;
}

static int64_t
now_of(struct mh_queue *q)
{
    return q->conf.clock.mono_ns(q->conf.clock.self);
}

static void
item_free(struct mh_queue_item *item)
{
    if (!item)
        return;
    mh_free(item->key);
    mh_free(item);
}

void
mh_queue_release(struct mh_queue *q)
{
    q->conf.clock.cancel(q->conf.clock.self, q->timer);
    for (size_t i = 0; i < q->items.len; i++)
        item_free(q->items.entries[i].value);
    mh_map_release(&q->items);
    *q = (struct mh_queue){ .conf = q->conf, .stopped = true };
    q->tail = &q->head;
}

/* "kind\nns\nname" and, behind it, the three texts on their own. */
static char *
key_new(const char *kind, const char *ns, const char *name, size_t *whole)
{
    *whole = strlen(kind) + strlen(ns) + strlen(name) + 3;
    char *p = mh_malloc(2 * *whole);
    if (!p)
        return NULL;
    (void)snprintf(p, *whole, "%s\n%s\n%s", kind, ns, name);
    (void)snprintf(p + *whole, *whole, "%s%c%s%c%s", kind, '\0', ns, '\0', name);
    return p;
}

static struct mh_queue_item *
item_of(struct mh_queue *q, const char *kind, const char *ns, const char *name)
{
    size_t whole;
    char *key = key_new(kind, ns, name, &whole);
    if (!key)
        return NULL;
    struct mh_queue_item *item = mh_map_get(&q->items, key);
    if (item) {
        mh_free(key);
        return item;
    }
    item = mh_calloc(1, sizeof(*item));
    if (item && mh_map_put(&q->items, key, item, NULL)) {
        char *parts = key + whole;
        *item = (struct mh_queue_item){ .key = key, .queue = q, .due_ns = -1 };
        item->kind = parts;
        item->ns = parts + strlen(kind) + 1;
        item->name = item->ns + strlen(ns) + 1;
        return item;
    }
    mh_free(item);
    mh_free(key);
    return NULL;
}

/* Forgets an item that nothing waits for. */
static void
settle(struct mh_queue *q, struct mh_queue_item *item)
{
    if (item->running || item->ready || item->due_ns >= 0 || item->failures || item->rereads)
        return;
    mh_map_remove(&q->items, item->key);
    item_free(item);
}

static void
arm(struct mh_queue *q, int64_t at)
{
    if (q->stopped || (q->timer && q->timer_ns <= at))
        return;
    q->conf.clock.cancel(q->conf.clock.self, q->timer);
    int64_t in = at - now_of(q);
    q->timer_ns = at;
    q->timer = q->conf.clock.after(q->conf.clock.self, in > 0 ? in : 0, on_timer, q);
    if (!q->timer)
        mh_warn("queue", "no memory for the timer of the queue");
}

static void
make_ready(struct mh_queue *q, struct mh_queue_item *item)
{
    item->due_ns = -1;
    item->backoff = false;
    if (!item->ready) {
        item->ready = true;
        item->added_ns = now_of(q);
        item->next = NULL;
        *q->tail = item;
        q->tail = &item->next;
    }
    arm(q, now_of(q));
}

static void
wait_until(struct mh_queue *q, struct mh_queue_item *item, int64_t at, bool backoff)
{
    item->due_ns = at;
    item->backoff = backoff;
    arm(q, at);
}

bool
mh_queue_add(struct mh_queue *q, const char *kind, const char *ns, const char *name, bool urgent)
{
    if (q->stopped)
        return false;
    struct mh_queue_item *item = item_of(q, kind, ns ? ns : "", name);
    if (!item) {
        q->dropped++;
        mh_warn("queue", "key dropped, no memory or too many keys", "kind", kind, "namespace", ns,
                "name", name);
        return false;
    }
    if (item->running) {
        bool first = urgent && !item->urgent;
        item->again = true;
        item->urgent = item->urgent || urgent;
        if (first && !item->lane && q->conf.preempt)
            q->conf.preempt(q->conf.arg, item);
        return true;
    }
    item->urgent = item->urgent || urgent;
    if (item->ready) {
        arm(q, now_of(q));
        return true;
    }
    int64_t gap = now_of(q) + CHANGE_GAP_NS;
    if (item->backoff && !urgent)
        wait_until(q, item, item->due_ns < gap ? item->due_ns : gap, true);
    else
        make_ready(q, item);
    return true;
}

static void
unlink_ready(struct mh_queue *q, struct mh_queue_item **at)
{
    struct mh_queue_item *item = *at;
    *at = item->next;
    if (!*at)
        q->tail = at;
    item->next = NULL;
    item->ready = false;
}

static void
start(struct mh_queue *q, struct mh_queue_item *item)
{
    item->running = true;
    item->again = false;
    item->lane = item->urgent;
    item->urgent = false;
    if (item->lane)
        q->running_lane++;
    else
        q->running++;
    q->conf.run(q->conf.arg, item, item->lane);
}

/* Starts urgent keys, then one routine key in the order of their coming. The next of these comes
 * with the loop's next turn: a webhook or a failover in between does not wait for ten passes. */
static void
start_ready(struct mh_queue *q)
{
    for (struct mh_queue_item **at = &q->head; *at && !q->stopped;) {
        struct mh_queue_item *item = *at;
        if (!item->urgent) {
            at = &item->next;
            continue;
        }
        if (q->running_lane >= LANE_MAX)
            break;
        unlink_ready(q, at);
        start(q, item);
        at = &q->head; /* run may have changed the list */
    }
    if (q->head && q->running < q->conf.limit && !q->stopped) {
        struct mh_queue_item *item = q->head;
        unlink_ready(q, &q->head);
        start(q, item);
        if (q->head && q->running < q->conf.limit)
            arm(q, now_of(q));
    }
}

static void
on_timer(void *arg)
{
    struct mh_queue *q = arg;
    q->timer = NULL;
    int64_t now = now_of(q), next = -1;
    for (size_t i = 0; i < q->items.len; i++) {
        struct mh_queue_item *item = q->items.entries[i].value;
        if (item->due_ns < 0)
            continue;
        if (item->due_ns <= now)
            make_ready(q, item);
        else if (next < 0 || item->due_ns < next)
            next = item->due_ns;
    }
    start_ready(q);
    if (next >= 0)
        arm(q, next);
}

int64_t
mh_queue_backoff_ns(unsigned failures)
{
    int64_t ns = BACKOFF_MIN_NS;
    for (unsigned i = 1; i < failures && ns < BACKOFF_MAX_NS; i++)
        ns *= 2;
    return ns < BACKOFF_MAX_NS ? ns : BACKOFF_MAX_NS;
}

/* Between 80 % and 120 % of ns, never over the longest back-off. */
static int64_t
jitter(struct mh_queue *q, int64_t ns)
{
    uint32_t r = 0x80000000u;
    if (!q->conf.rand.fill || !q->conf.rand.fill(q->conf.rand.self, &r, sizeof(r)))
        r = 0x80000000u;
    int64_t out = ns * 4 / 5 + (int64_t)((double)ns * 0.4 * ((double)r / 4294967296.0));
    return out < BACKOFF_MAX_NS ? out : BACKOFF_MAX_NS;
}

/* When the item is to run next by the outcome alone: -1 never, 0 at once. */
static int64_t
wait_after(struct mh_queue *q, struct mh_queue_item *item, enum mh_queue_outcome outcome,
           int64_t requeue_ms, bool *backoff)
{
    *backoff = false;
    switch (outcome) {
    case MH_PASS_DONE:
        item->failures = 0;
        item->rereads = 0;
        return requeue_ms > 0 ? requeue_ms * MH_NS_PER_MS : -1;
    case MH_PASS_REREAD:
        if (++item->rereads <= REREADS_FREE)
            return 0;
        *backoff = true;
        return jitter(q, mh_queue_backoff_ns(item->rereads - REREADS_FREE));
    case MH_PASS_RETRY:
        *backoff = true;
        return jitter(q, mh_queue_backoff_ns(++item->failures));
    case MH_PASS_STOPPED:
        break;
    }
    item->rereads = 0;
    return jitter(q, STOPPED_NS);
}

void
mh_queue_done(struct mh_queue *q, struct mh_queue_item *item, enum mh_queue_outcome outcome,
              int64_t requeue_ms)
{
    bool backoff, again = item->again;
    if (item->lane)
        q->running_lane--;
    else
        q->running--;
    item->running = false;
    item->lane = false;
    item->again = false;
    item->pass = NULL;
    int64_t wait = wait_after(q, item, outcome, requeue_ms, &backoff), now = now_of(q);
    if (q->stopped)
        return;
    if (item->urgent || wait == 0 || (again && !backoff))
        make_ready(q, item);
    else if (again && wait > CHANGE_GAP_NS)
        wait_until(q, item, now + CHANGE_GAP_NS, true);
    else if (wait > 0)
        wait_until(q, item, now + wait, backoff);
    else
        settle(q, item);
    if (q->head)
        arm(q, now);
}

void
mh_queue_stop(struct mh_queue *q)
{
    q->stopped = true;
    q->conf.clock.cancel(q->conf.clock.self, q->timer);
    q->timer = NULL;
}

size_t
mh_queue_depth(const struct mh_queue *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->items.len; i++) {
        const struct mh_queue_item *item = q->items.entries[i].value;
        n += item->ready || item->due_ns >= 0;
    }
    return n;
}
