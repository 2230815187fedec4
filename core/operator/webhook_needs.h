/* webhook_needs.h - the review of a ConfigMap whose scripts need something: has the editor the rights?
 *
 * Before that every text that the edit brings is checked and run against its own cases, as the operator
 * will do it again (plugin_review.h): a fault refuses the edit, with file and line.
 * Asked are the rights of whoever brings a text (creates it, changes it, puts the label on it), and
 * of whoever changes what goes with a text that was granted something: other keys, parameters,
 * annotations of moonherd.io. An edit of anything else leaves all as it is. What is neither brought
 * nor granted is let through with a warning: it will not run.
 *
 * An API server shows no certificate, so that anybody in the cluster can send us a review: only those
 * that come by a path that the operator chose and wrote into its webhook configuration, which users
 * cannot read, are believed. */
#ifndef MH_OPERATOR_WEBHOOK_NEEDS_H
#define MH_OPERATOR_WEBHOOK_NEEDS_H

#include "net/crypto.h"
#include "operator/webhook.h"

#define MH_NEEDS_PATH "/validate-needs/"
#define MH_NEEDS_HOOKS "vneeds" /* names of the webhooks that get the path begin so */

/* The path's last part, made from the key of the certificate, so that all replicas have the same. */
void mh_needs_token(char out[MH_SHA256_HEX], const char *key_pem);
/* Answers req, now or when all was asked and written. believed: it came by the chosen path. */
void mh_webhook_needs(const struct mh_webhook_conf *conf, struct mh_request *req,
                      const struct mh_review *review, bool believed);

#endif
