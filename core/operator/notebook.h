/* notebook.h - what must outlive the process, in ClusterRecords (moonherd.io/v1alpha1).
 *
 * Three kinds of them, told apart by the label moonherd.io/record. "policies": the versions in charge
 * of one ConfigMap, named policy.CONFIGMAP. "decisions": the last decisions for one cluster and what
 * its last passes said, with its name. "passes": those of an object of a plugin, named
 * object.KIND.GROUP.NAME. All but these are read at the start. Each is owned by the object that it is about, at most 64 KiB, and
 * written only when something is new. Only the leader writes. A write that fails is tried again a
 * few times, then it is lost with a warning: nothing waits for a note. */
#ifndef MH_OPERATOR_NOTEBOOK_H
#define MH_OPERATOR_NOTEBOOK_H

#include "base/map.h"
#include "kube/event.h"
#include "kube/kinds.h"
#include "lua/policy_store.h"
#include "operator/pass.h"

#define MH_NOTEBOOK_BYTES ((size_t)64 << 10) /* of one object, without what the server adds */
#define MH_NOTEBOOK_DECISIONS 20             /* of one cluster */
#define MH_NOTEBOOK_PASSES 20                /* of one cluster */

struct mh_note;
struct mh_reading;

struct mh_notebook {
    /* set by the caller */
    struct mh_api api;
    struct mh_clock clock;
    const struct mh_kind *kind;    /* ClusterRecord */
    const char *const *namespaces; /* to read; empty: all */
    bool (*may_write)(void *arg);  /* NULL: always */
    void (*on_policies)(void *arg, const struct mh_record_of *of, yyjson_val *policies);
    /* A cluster's decisions, oldest first; may be NULL. */
    void (*on_decisions)(void *arg, const char *ns, const char *cluster, yyjson_val *decisions);
    void (*on_read)(void *arg); /* all records were given */
    void *arg;
    /* private */
    struct mh_note *notes;
    struct mh_reading *reading;
    struct mh_map written; /* "namespace/name" of a policy record -> hash of its text */
    struct mh_timer *timer;
};

void mh_notebook_init(struct mh_notebook *nb);
/* What is not written yet is lost. */
void mh_notebook_release(struct mh_notebook *nb);
/* Reads the records; on_policies or on_decisions for each, then on_read once, also where none is.
 * As long as the API server gives no answer it is asked again; until all are read the versions in
 * charge are not written, so that no record is lost unread. */
void mh_notebook_read(struct mh_notebook *nb);
/* Keeps the versions in charge of a ConfigMap (news->record). */
void mh_notebook_policies(struct mh_notebook *nb, const struct mh_policy_news *news);
/* Notes a decision about an object; several are written together some seconds later. */
void mh_notebook_decision(struct mh_notebook *nb, const struct mh_event_ref *about,
                          const struct mh_decision *d);
/* Notes what a pass said; these wait longer. */
void mh_notebook_pass(struct mh_notebook *nb, const struct mh_event_ref *about,
                      const struct mh_pass_said *said);

#endif
