/* Discovery. */
#include "sandbox/rest_in.h"

bool
mh_sb_discovery(struct mh_sb_api *api, struct mh_sb_req *req, const char *path)
{
    (void)api, (void)req, (void)path;
    return false;
}
