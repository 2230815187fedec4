/* policy.h - inside core/main: the verbs of moonherd policy. */
#ifndef MH_MAIN_POLICY_H
#define MH_MAIN_POLICY_H

#include <stdbool.h>

struct mh_policy_args {
    const char **names; /* what is no option */
    int n;
    bool json;
};

/* The exit code. */
int mh_policy_types(const struct mh_policy_args *args);

#endif
