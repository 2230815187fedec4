/* notebook_in.h - inside core/operator: the texts of ClusterRecords. Pure: bytes and values. */
#ifndef MH_OPERATOR_NOTEBOOK_IN_H
#define MH_OPERATOR_NOTEBOOK_IN_H

#include "operator/notebook.h"

#define MH_RECORD_LABEL "moonherd.io/record"
#define MH_OBJECT_PREFIX "object." /* names of records of objects of plugins begin so */

/* A ClusterRecord to write. */
struct mh_notebook_page {
    const char *type; /* value of the label */
    const char *ns;
    const char *name;
    const struct mh_event_ref *owner;
};

/* One decision as JSON text on the arena; its input only where it is short. NULL: no memory. */
char *mh_notebook_decision_text(struct mh_arena *a, const struct mh_decision *d, int64_t wall_us);
/* Name of the record of an object of a plugin: "object.greeting.greetings.example.dev.hello", as
 * kubectl moonherd explain has it, too. NULL: no memory, or too long. */
char *mh_notebook_object(struct mh_arena *a, const struct mh_event_ref *about);
/* Appends ,"saw":[...]: what observe of a plugin returned, in words that give nothing away that only
 * the plugin may read: which objects in which version, numbers, how many. */
void mh_notebook_saw(struct mh_arena *a, struct mh_buf *b, const char *seen);
/* What a pass said, likewise. */
char *mh_notebook_pass_text(struct mh_arena *a, const struct mh_pass_said *said, int64_t wall_us);
/* The decisions and passes of the record as it is (NULL: there is none) and those of texts behind them, the
 * oldest left out where they are too many. NULL when none of texts says something new, or without
 * memory. */
yyjson_mut_val *mh_notebook_decisions(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_val *record,
                                      char *const *texts, size_t n);
/* The body of an apply patch; record becomes part of it. NULL: no memory or too large. */
char *mh_notebook_body(struct mh_arena *a, yyjson_mut_doc *doc, const struct mh_notebook_page *page,
                       yyjson_mut_val *record);

#endif
