/* probe.h - startup, liveness and readiness probes of a container, as the kubelet runs them.
 *
 * The first is made at once (after initialDelaySeconds), then one each period. While a startup or
 * readiness probe has not succeeded yet it is also tried ten times a second for some seconds:
 * these extra failures do not count. Owner: whoever makes it; free stops it at once. */
#ifndef MH_SANDBOX_PROBE_H
#define MH_SANDBOX_PROBE_H

#include "base/json.h"
#include "base/world.h"

struct mh_http;
struct mh_sb_probe;

enum mh_sb_probe_kind { MH_SB_STARTUP, MH_SB_READINESS, MH_SB_LIVENESS };

struct mh_sb_probe_spec {
    enum mh_sb_probe_kind kind;
    yyjson_val *probe; /* read in new only */
    yyjson_val *ports; /* of the container, for named ones */
    const char *address;
    struct mh_clock clock;
    struct mh_http *http;
    struct event_base *base;
    /* Runs a command in the container; it calls done with the exit code (-1: could not) unless
     * stop was called. */
    void *(*exec)(void *arg, const char *const *argv, void (*done)(void *probe, int code),
                  void *probe);
    void (*exec_stop)(void *arg, void *handle);
    /* The threshold was reached: what the probe says has changed. First call: when it first says
     * something; note tells why not. */
    void (*on_result)(void *arg, enum mh_sb_probe_kind kind, bool good, const char *note);
    /* Every single failure. May be NULL. */
    void (*on_failure)(void *arg, enum mh_sb_probe_kind kind, const char *note);
    void *arg;
};

/* NULL: no memory, or a probe without a handler that is known here. */
struct mh_sb_probe *mh_sb_probe_new(const struct mh_sb_probe_spec *spec);
void mh_sb_probe_free(struct mh_sb_probe *p);
/* Asks now. */
void mh_sb_probe_hurry(struct mh_sb_probe *p);

#endif
