/* gc.h - inside of the garbage collector. */
#ifndef MH_SANDBOX_GC_H
#define MH_SANDBOX_GC_H

#include "sandbox/rest_in.h"

struct mh_sb_gc_item {
    struct mh_sb_gc_item *next;
    struct mh_sb_resource *r;
    char key[];
};

struct mh_sb_gc_list {
    struct mh_sb_gc_item *first;
};

struct mh_sb_gc {
    struct mh_api user;
    struct mh_sb_gc_list check;   /* have owners: are they there? */
    struct mh_sb_gc_list waiting; /* held by foregroundDeletion or orphan */
    struct mh_sb_gc_list empty;   /* namespaces and CRDs that end */
    uint64_t *gone;               /* uids of owners that went */
    size_t ngone;
    size_t size_gone;
    struct mh_sb_gc_task *tasks;
    int running; /* requests under way */
    bool all;    /* notes were lost, or requests failed: look at everything */
    bool look;   /* something changed that the waiting ones wait for */
    bool failed;
};

/* A request of the collector; its failure makes everything be looked at again after a second. */
void mh_sb_gc_ask(struct mh_sb_api *api, const char *method, const char *type, const char *path,
                  const char *body);
/* Path of an object; sub is "" or "/status". NULL: no memory. */
char *mh_sb_gc_path(struct mh_arena *a, const struct mh_sb_resource *r, const char *key,
                    const char *sub);
void mh_sb_gc_drop_finalizer(struct mh_sb_api *api, struct mh_sb_resource *r,
                             const struct mh_sb_obj *o, const char *name);
/* --- gc_empty.c: goes on with namespaces and CRDs that end --- */
void mh_sb_gc_empty(struct mh_sb_api *api);

#endif
