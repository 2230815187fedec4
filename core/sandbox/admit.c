#include "sandbox/admit.h"

struct mh_sb_admitter {
    struct mh_sb_admitter_config config;
};

struct mh_sb_admitter *
mh_sb_admitter_new(const struct mh_sb_admitter_config *config)
{
    struct mh_sb_admitter *a = mh_calloc(1, sizeof(*a));
    if (a)
        a->config = *config;
    return a;
}

void
mh_sb_admitter_free(struct mh_sb_admitter *a)
{
    mh_free(a);
}

void
mh_sb_admit_one(struct mh_sb_admitter *a, struct mh_sb_admit *ad)
{
    (void)a;
    ad->done(ad);
}
