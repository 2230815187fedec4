/* webhook_policy.h - the review of a labelled ConfigMap: every script in it is checked by a worker. */
#ifndef MH_OPERATOR_WEBHOOK_POLICY_H
#define MH_OPERATOR_WEBHOOK_POLICY_H

#include "operator/webhook.h"

#define MH_POLICY_SCRIPTS_MAX 32

/* Answers req, now or when the last check is over; a dry run after the replay too. */
void mh_webhook_policy(const struct mh_webhook_conf *conf, struct mh_request *req,
                       const struct mh_review *review);

#endif
