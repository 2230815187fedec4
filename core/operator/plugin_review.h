/* plugin_review.h - the texts of one ConfigMap, checked and run against their own cases while somebody
 * waits: the first two steps of a version's life (plugin_trial.c) for the webhook.
 *
 * Each review has a child for itself, four run at a time, and one has MH_PLUGIN_REVIEW_MS for all its
 * texts. What did not end by then, or found no child, is told as a warning: the version's life begins
 * in the operator all the same. A child waits for the next review for a minute. */
#ifndef MH_OPERATOR_PLUGIN_REVIEW_H
#define MH_OPERATOR_PLUGIN_REVIEW_H

#include "operator/plugin.h"

#define MH_PLUGIN_REVIEW_MS 1500 /* the API server waits 10 s, and needs are asked for after this */
#define MH_PLUGIN_REVIEWED_MAX 32

struct mh_plugin_reviewed {
    const char *key;
    yyjson_val *script;
};

struct mh_plugin_review {
    /* set by the caller, who keeps it until done */
    const char *ns, *name; /* of the ConfigMap */
    struct mh_plugin_reviewed texts[MH_PLUGIN_REVIEWED_MAX];
    size_t ntexts;
    struct mh_arena *arena;
    void (*done)(struct mh_plugin_review *r);
    void *arg;
    /* set before done */
    const char *refusal; /* every fault, "greeting.lua:7: ..."; NULL: none was found */
    const char *late;    /* the key of the first text that was not judged; NULL: all were */
    /* private */
    size_t at;
};

/* done may come from inside. */
void mh_plugin_review_start(struct mh_plugins *all, struct mh_plugin_review *r);
/* Of mh_plugins_release: reviews under way are forgotten without done. */
void mh_plugin_reviews_release(struct mh_plugins *all);

#endif
