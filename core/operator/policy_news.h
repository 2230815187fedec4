/* policy_news.h - tells the authors of policies: annotation and event on their ConfigMap; and the
 * log of decisions. */
#ifndef MH_OPERATOR_POLICY_NEWS_H
#define MH_OPERATOR_POLICY_NEWS_H

#include "base/map.h"
#include "kube/event.h"
#include "kube/kinds.h"
#include "operator/notebook.h"

struct mh_policy_writer {
    /* set by the caller */
    struct mh_api api;
    const struct mh_kind *kind; /* of the ConfigMaps */
    struct mh_events *events;
    bool (*may_write)(void *arg); /* only the leader writes; NULL: always */
    struct mh_notebook *notebook; /* NULL: nothing outlives us */
    struct mh_policies *policies; /* hears of a write that failed; may be NULL */
    void *arg;
    /* private */
    struct mh_annotation *open;
    struct mh_map decided; /* "kind ns name point" -> last answer */
};

void mh_policy_writer_init(struct mh_policy_writer *w);
/* Writes under way are cancelled. */
void mh_policy_writer_release(struct mh_policy_writer *w);
/* For mh_policies_new; arg is the writer. */
void mh_policy_writer_news(void *arg, const struct mh_policy_news *news);
/* Logs a decision with its input: at info if it is another one than the last for this object and
 * decision point; whether it is. (The event is the controller's.) */
bool mh_policy_writer_decision(struct mh_policy_writer *w, const struct mh_decision *d,
                               const char *name);

#endif
