/* Reviews and requests for tokens: decoded as what is created, then others answer. */
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

#define TOKEN_REQUEST "io.k8s.api.authentication.v1.TokenRequest"

/* The body as an object of its kind: checked, without what the kind does not know, with what it
 * has by itself. False: answered. */
static bool
decode(struct mh_sb_op *op)
{
    op->verb = MH_SB_CREATE;
    op->doc = mh_json_doc(op->arena);
    op->obj = op->doc ? yyjson_val_mut_copy(op->doc, op->body) : NULL;
    if (!op->obj) {
        mh_sb_no_memory(op->req);
        return false;
    }
    if (!mh_sb_decode(op) || !mh_sb_own_fields(op))
        return false;
    op->body = mh_sb_freeze(op->arena, op->obj);
    if (!op->body)
        mh_sb_no_memory(op->req);
    return op->body != NULL;
}

void
mh_sb_review_ask(struct mh_sb_op *op)
{
    struct mh_sb_api *api = op->api;
    if (api->hooks.review) {
        api->hooks.review(api->hooks.arg, op->req, &op->t.at, op->body);
        return;
    }
    mh_sb_refuse(op->req, 501, "NotImplemented", "nobody answers reviews here");
    mh_sb_answered(op);
}

void
mh_sb_review(struct mh_sb_op *op)
{
    if (decode(op))
        mh_sb_review_ask(op);
    else
        mh_sb_answered(op);
}

bool
mh_sb_token_decode(struct mh_sb_op *op)
{
    struct mh_sb_place accounts = op->t;
    struct mh_sb_resource r = *op->t.r;
    struct mh_sb_version v = *op->t.v;
    r.group = "authentication.k8s.io";
    r.kind = "TokenRequest";
    v.resource = &r;
    v.api_version = "authentication.k8s.io/v1";
    v.schema = mh_sb_kinds_component(&op->api->kinds, TOKEN_REQUEST);
    v.compiled = NULL;
    v.traits = 0;
    op->t.r = &r;
    op->t.v = &v;
    bool ok = decode(op);
    op->t = accounts;
    return ok;
}
