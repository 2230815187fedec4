/* webhook_plan.h - inside core/operator: a dry run that asks what an edit would do. */
#ifndef MH_OPERATOR_WEBHOOK_PLAN_H
#define MH_OPERATOR_WEBHOOK_PLAN_H

#include "operator/webhook.h"

#define MH_PLAN_PATH "/plan/" /* and the token of webhook_needs.h: for objects of plugins */
#define MH_PLAN_HOOKS "mplan" /* names of the webhooks that get that path begin so */

/* Does this review ask for a plan? */
bool mh_webhook_plans(const struct mh_webhook_conf *conf, const struct mh_review *review);
/* Answers later, with the patch of the verdict and the plan in its annotation. */
void mh_webhook_plan(const struct mh_webhook_conf *conf, struct mh_request *req,
                     const struct mh_review *review, const struct mh_review_verdict *verdict);

#endif
