/* plugin_child.h - the parent of one plugin's child (plugin_worker.h).
 *
 * Lives on one event_base. Jobs run one after the other; each is answered once: by the child, or
 * with an error when it ends, says nonsense, or computes longer than its deadline (time that an
 * effect takes is not its own). The child is started when there is work and again after a kill, and
 * what it says is hostile: frames are capped and parsed with limits.
 * Owner: whoever called new. */
#ifndef MH_LUA_PLUGIN_CHILD_H
#define MH_LUA_PLUGIN_CHILD_H

#include <event2/event.h>

#include "base/json.h"

#define MH_PLUGIN_ASKS_MAX 60 /* effects in one observe */

struct mh_plugin_child;

struct mh_plugin_job {
    /* set by the caller, who keeps it until done or cancel */
    const char *request; /* JSON, copied */
    size_t request_len;
    struct mh_arena *arena;
    /* Observe asks: mh_plugin_child_answer follows, now or later. NULL: it may not ask. */
    void (*effect)(struct mh_plugin_job *job, const char *name, yyjson_val *args);
    void (*done)(struct mh_plugin_job *job);
    void *arg;
    /* set before done */
    struct mh_err err; /* SCRIPT: the plugin's fault, file:line in it; LIMIT; CHILD */
    yyjson_val *value;
    const char *traceback; /* may be NULL */
    /* private */
    struct mh_plugin_child *child;
    struct mh_plugin_job *next;
    char *frame;
    size_t frame_len;
    unsigned asked;
};

/* argv NULL: {"/proc/self/exe", "plugin-worker", NULL}; kept by reference. NULL: no memory. */
struct mh_plugin_child *mh_plugin_child_new(struct event_base *base, const char *const *argv);
/* Kills it; open jobs are forgotten without done. */
void mh_plugin_child_free(struct mh_plugin_child *c);
/* done comes from the loop, never from inside. */
void mh_plugin_child_start(struct mh_plugin_child *c, struct mh_plugin_job *job);
/* The answer to the effect that was asked: a JSON object of the protocol, copied. */
void mh_plugin_child_answer(struct mh_plugin_job *job, const char *json, size_t len);
/* done does not come any more; a job that runs costs the child its life. */
void mh_plugin_child_cancel(struct mh_plugin_job *job);
/* Its process (0: none now), and how many were killed. */
int mh_plugin_child_pid(const struct mh_plugin_child *c);
unsigned mh_plugin_child_kills(const struct mh_plugin_child *c);

#endif
