/* live.h - what a running sandbox looks like now: clusters, instances, lag, decisions and reasons. */
#ifndef MH_SANDBOX_LIVE_H
#define MH_SANDBOX_LIVE_H

#include "sandbox/cli_client.h"

struct mh_sb_live {
    const char *ns;      /* NULL: all namespaces */
    const char *cluster; /* NULL: all */
    int events;          /* at most so many of each cluster */
};

/* {"sandbox":{...},"clusters":[{...,"instances":[...],"decisions":[...]}]}, on the arena. */
enum mh_code mh_sb_live_gather(struct mh_sb_client *c, const struct mh_sb_live *live,
                               struct mh_arena *a, yyjson_mut_doc **doc, yyjson_mut_val **out,
                               struct mh_err *err);
/* The same as text for people; width: of the terminal, 0: not cut. */
void mh_sb_live_print(yyjson_val *view, int width, struct mh_buf *b);

#endif
