/* live.h - what a running sandbox looks like now: clusters, instances, lag, decisions and reasons. */
#ifndef MH_SANDBOX_LIVE_H
#define MH_SANDBOX_LIVE_H

#include "sandbox/cli_client.h"

struct mh_sb_live {
    const char *ns;      /* NULL: all namespaces */
    const char *cluster; /* NULL: all */
    int events;          /* at most so many of each cluster */
};

/* {"sandbox":{...},"nodes":[...],"clusters":[{...,"instances":[...],"decisions":[...]}]}, on the
 * arena. */
enum mh_code mh_sb_live_gather(struct mh_sb_client *c, const struct mh_sb_live *live,
                               struct mh_arena *a, yyjson_mut_doc **doc, yyjson_mut_val **out,
                               struct mh_err *err);
/* Is this event of a Cluster one that people want to see? What it owns is made without a word. */
bool mh_sb_live_is_decision(yyjson_val *event);

struct mh_sb_look {
    int width; /* of the terminal; 0: lines are as long as they are */
    bool color;
};
/* The same as text for people. */
void mh_sb_live_print(yyjson_val *view, const struct mh_sb_look *look, struct mh_buf *b);

#endif
