#include "sandbox/connect.h"

void
mh_sb_connect(const struct mh_sb_connect_env *env, struct mh_sb_req *req,
              const struct mh_sb_attrs *at, yyjson_val *object)
{
    (void)env, (void)at, (void)object;
    mh_sb_refuse(req, 501, "NotImplemented", "not yet");
    req->done(req);
}

void
mh_sb_connect_stop(void)
{
}
