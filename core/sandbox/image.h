/* image.h - what an image's name means without images: moonherd's own is this binary as /manager,
 * every other one is PostgreSQL of the major version in its tag, as installed here. */
#ifndef MH_SANDBOX_IMAGE_H
#define MH_SANDBOX_IMAGE_H

#include <stdbool.h>

#include "base/mem.h"

struct mh_sb_image {
    bool manager;     /* has /manager */
    int major;        /* of PostgreSQL; 0: none */
    const char *path; /* PATH */
    unsigned uid;     /* whom it runs as by itself */
    const char *home;
    const char *user;
    const char *id; /* "sandbox://postgresql:15" */
};

/* False: *why is the sentence for ErrImagePull. operator_image may be NULL or "". */
bool mh_sb_image_resolve(struct mh_arena *a, const char *reference, const char *operator_image,
                         struct mh_sb_image *out, const char **why);
/* The major in "ghcr.io/x/postgresql:16.4-bookworm@sha256:..."; 0: none. */
int mh_sb_image_major(const char *reference);

#endif
