/* bench.h - the parts of bench_policy. */
#ifndef MH_BENCH_POLICY_H
#define MH_BENCH_POLICY_H

#include <stdbool.h>

/* A policy as people write them, of about 1.5 KiB; %d makes each text another one. */
extern const char mh_bench_text[];

/* What 200 policies and 10 plugins cost in the process that has them. False: it could not be measured. */
bool mh_bench_loaded(const char *self);
/* What n reloads of a policy and of a plugin leave behind. */
bool mh_bench_reloads(int n);

#endif
