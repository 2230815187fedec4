/* The log on disk. */
#include "sandbox/rest_in.h"

enum mh_code
mh_sb_disk_open(struct mh_sb_api *api, const char *dir, struct mh_err *err)
{
    (void)api;
    return mh_fail(err, MH_E_IO, "no data directory yet: %s", dir);
}

void
mh_sb_disk_free(struct mh_sb_api *api)
{
    (void)api;
}

void
mh_sb_disk_log(struct mh_sb_api *api, const struct mh_sb_resource *r, const struct mh_sb_obj *o,
               bool removed)
{
    (void)api, (void)r, (void)o, (void)removed;
}

bool
mh_sb_disk_synced(const struct mh_sb_api *api, uint64_t version)
{
    (void)api, (void)version;
    return true;
}

void
mh_sb_disk_flush(struct mh_sb_api *api)
{
    (void)api;
}
