/* crash.h - named points at which a test may let the process die, before and after each call.
 *
 * MOONHERD_CRASH_AT="op:kind:n[:before|after]": SIGKILL at the n-th action `op` on an object of
 * `kind` ("*": any), after its reply unless it says before. Unset in production; then it costs
 * one comparison. */
#ifndef MH_OPERATOR_CRASH_H
#define MH_OPERATOR_CRASH_H

#include <stdbool.h>
#include <stdint.h>

struct mh_crash {
    char op[16];
    char kind[64];
    int64_t at; /* 0: never */
    bool before;
    int64_t seen;
    void (*die)(void); /* NULL: SIGKILL to this process */
};

/* text may be NULL. False: it is no point. */
bool mh_crash_init(struct mh_crash *c, const char *text);
/* An action is about to be sent (before) or was answered (!before). */
void mh_crash_point(struct mh_crash *c, const char *op, const char *kind, bool before);

#endif
