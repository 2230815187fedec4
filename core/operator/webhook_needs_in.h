/* webhook_needs_in.h - inside core/operator: one review of needs, from the text to the record. */
#ifndef MH_OPERATOR_WEBHOOK_NEEDS_IN_H
#define MH_OPERATOR_WEBHOOK_NEEDS_IN_H

#include "operator/needs_record.h"
#include "operator/plugin_review.h"
#include "operator/webhook_needs.h"

#define MH_NEEDS_ASKS_MAX 128 /* questions of one review */

struct mh_needs_review;

/* One right, one question. */
struct mh_needs_question {
    struct mh_needs_review *all;
    const char *key; /* of the script that needs it */
    const char *verb, *group, *resource, *subresource, *name_space, *name;
    struct mh_api_call call;
    bool allowed;
};

struct mh_needs_script {
    struct mh_needs_review *all;
    struct mh_policy_call call;
    const char *stored; /* the text under this key now; NULL: none */
    size_t stored_len;
    bool brought; /* by this edit */
    bool asked;   /* rights are asked for; and recorded, where it is brought */
    struct mh_needs_set set;
};

/* Lives on the request's arena, which lives until the reply. */
struct mh_needs_review {
    const struct mh_webhook_conf *conf;
    struct mh_needs *needs;
    struct mh_request *req;
    struct mh_review review;
    int64_t began_ns;
    bool believed;
    bool relevant; /* the edit changes what a granted script works with */
    struct mh_needs_script *list[MH_NEEDS_SCRIPTS_MAX];
    size_t n;
    size_t open;
    struct mh_needs_question *questions[MH_NEEDS_ASKS_MAX];
    size_t nquestions;
    const char *refusal; /* the first that came; NULL: none */
    struct mh_buf warnings;
    struct mh_needs_given given[MH_NEEDS_SCRIPTS_MAX];
    size_t ngiven;
    struct mh_plugin_review plugins; /* texts that this edit brings */
    struct mh_api_call call;         /* of the record */
    int tries;
};

/* Asks the API server about every need of the scripts that are `asked`; then done. */
void mh_needs_ask_rights(struct mh_needs_review *c);
/* Comes back from there: with c->refusal, or all is allowed. */
void mh_needs_judged(struct mh_needs_review *c);
/* Writes the record for the scripts that were brought; then mh_needs_recorded. */
void mh_needs_record(struct mh_needs_review *c);
void mh_needs_recorded(struct mh_needs_review *c, const struct mh_err *err);

#endif
