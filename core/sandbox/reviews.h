/* reviews.h - questions that are asked by creating an object: may I, who is this, give me a token.
 *
 * The review hook of rest.h. Nothing is stored. */
#ifndef MH_SANDBOX_REVIEWS_H
#define MH_SANDBOX_REVIEWS_H

#include "sandbox/auth.h"
#include "sandbox/rbac.h"

struct mh_sb_reviews {
    struct mh_sb_api *api;
    struct mh_sb_auth *auth;
    struct mh_sb_rbac *rbac;
};

/* Answers and calls req->done. */
void mh_sb_reviews_answer(struct mh_sb_reviews *v, struct mh_sb_req *req,
                          const struct mh_sb_attrs *at, yyjson_val *body);

#endif
