/* queue.h - which object gets its next pass when.
 *
 * Keys are (kind, namespace, name). One pass per key at a time; a key that is added while its pass
 * runs gets one more afterwards, however often it was added. Failed keys wait 1 s .. 5 min with
 * jitter. Routine passes share a limit of concurrency; urgent ones start at once beside it, up to 64
 * at a time, and pre-empt a routine pass of the same key.
 * Owner: the queue owns its items; an item lives at least until mh_queue_done for its pass. */
#ifndef MH_OPERATOR_QUEUE_H
#define MH_OPERATOR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/world.h"

struct mh_queue;

struct mh_queue_item {
    const char *kind; /* all three inside key */
    const char *ns;
    const char *name;
    char *key; /* "kind\nns\nname", for the map */
    struct mh_queue *queue;
    struct mh_queue_item *next; /* in the ready list */
    int64_t due_ns;             /* not before then; -1: not waiting */
    int64_t added_ns;           /* since when it has been ready */
    unsigned failures;          /* in a row */
    unsigned rereads;           /* in a row */
    bool ready;                 /* in the ready list */
    bool running;
    bool again;   /* added while running */
    bool urgent;  /* what waits is urgent */
    bool lane;    /* the running pass is in the urgent lane */
    bool backoff; /* due_ns is a back-off */
    void *pass;   /* of the runner, while running */
};

/* How a pass ended. */
enum mh_queue_outcome {
    MH_PASS_DONE,    /* as planned; look again after requeue_ms if that is > 0 */
    MH_PASS_REREAD,  /* the cache was stale: at once, a few times */
    MH_PASS_RETRY,   /* back-off */
    MH_PASS_STOPPED, /* waits for a change (terminal), or for a long back-off */
};

struct mh_queue_conf {
    struct mh_clock clock;
    struct mh_rand rand;
    unsigned limit; /* routine passes at a time */
    /* Starts a pass; mh_queue_done must follow, as the last thing if from inside. */
    void (*run)(void *arg, struct mh_queue_item *item, bool urgent);
    /* An urgent key came while its routine pass runs: end that pass soon. */
    void (*preempt)(void *arg, struct mh_queue_item *item);
    void *arg;
};

struct mh_queue {
    struct mh_queue_conf conf;
    struct mh_map items;
    struct mh_queue_item *head;
    struct mh_queue_item **tail;
    struct mh_timer *timer;
    int64_t timer_ns;
    unsigned running;      /* routine */
    unsigned running_lane; /* urgent */
    bool stopped;
    uint64_t dropped; /* keys that found no memory or no room */
};

void mh_queue_init(struct mh_queue *q, const struct mh_queue_conf *conf);
/* No pass may be running. */
void mh_queue_release(struct mh_queue *q);
/* The object changed, or something it depends on. The pass never starts from inside. False: the
 * key is lost, no memory or over 100 000 keys (the resync brings it again). */
bool mh_queue_add(struct mh_queue *q, const char *kind, const char *ns, const char *name,
                  bool urgent);
void mh_queue_done(struct mh_queue *q, struct mh_queue_item *item, enum mh_queue_outcome outcome,
                   int64_t requeue_ms);
/* No pass starts any more; those that run go on. */
void mh_queue_stop(struct mh_queue *q);
/* Keys that are ready or wait, without those that run. */
size_t mh_queue_depth(const struct mh_queue *q);
/* The wait before try number `failures` (1 is the first), in ns, without jitter. */
int64_t mh_queue_backoff_ns(unsigned failures);

#endif
