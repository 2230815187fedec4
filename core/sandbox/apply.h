/* apply.h - brings manifests into the API server, one object after the other.
 *
 * Server-side apply as field manager "moonherd-sandbox", forced; or create, and what is there stays.
 * The path of a kind is asked from discovery. An object of a kind that is not there yet (a CRD that
 * was made just before) or whose namespace is not, is tried again for a while.
 * Owner: the caller's structure, until on_done ran or cancel. */
#ifndef MH_SANDBOX_APPLY_H
#define MH_SANDBOX_APPLY_H

#include "base/world.h"

#define MH_SB_MANAGER "moonherd-sandbox"

struct mh_sb_apply {
    /* set by the caller */
    struct mh_api api;
    struct mh_clock clock;
    yyjson_val *const *objects; /* live until the end */
    size_t n;
    const char *ns;   /* for objects without one; NULL: default */
    bool create_only; /* what is there stays as it is */
    int patience_ms;  /* how long one object is tried; 0: 10 s */
    /* err->code MH_OK, or what became of the object that failed: its name is in the message. */
    void (*on_done)(struct mh_sb_apply *ap, const struct mh_err *err);
    void *arg;
    /* private */
    size_t at;
    struct mh_arena arena; /* of the object in hand */
    struct mh_api_call call;
    struct mh_timer *timer;
    int64_t since_ns;
    const char *what; /* "Cluster default/first" */
    bool busy;        /* the call is under way */
};

void mh_sb_apply_start(struct mh_sb_apply *ap);
/* on_done does not come. */
void mh_sb_apply_cancel(struct mh_sb_apply *ap);

#endif
