/* apifault.h - faults of the API server, on demand: what its clients meet.
 *
 * A fault holds for requests of some clients (by user, glob), some verbs and some resources, for all
 * of them or some percent. Owner: the caller's list; texts are copied. */
#ifndef MH_SANDBOX_APIFAULT_H
#define MH_SANDBOX_APIFAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/world.h"
#include "sandbox/rest.h"

#define MH_SB_FAULTS_MAX 64

enum mh_sb_fault_kind {
    MH_SB_FAULT_NONE,
    MH_SB_FAULT_DOWN,     /* connections end without an answer, watches too */
    MH_SB_FAULT_SLOW,     /* answers come ms later */
    MH_SB_FAULT_CONFLICT, /* writes: 409 */
    MH_SB_FAULT_THROTTLE, /* 429 with Retry-After: 1 */
    MH_SB_FAULT_ERROR,    /* 500 */
    MH_SB_FAULT_LOSE,     /* events of watches are left out */
    MH_SB_FAULT_STALE,    /* reads are answered as they were when the fault began, or first read */
};

struct mh_sb_fault {
    int id; /* from 1 */
    enum mh_sb_fault_kind kind;
    char user[256];    /* glob: "system:serviceaccount:*"; "" is everybody but the admin */
    char resource[64]; /* "leases"; "" is all */
    int percent;       /* 1..100 */
    int ms;            /* of SLOW */
    int64_t until_ns;  /* monotonic; 0: until it is taken away */
    unsigned long hits;
};

struct mh_sb_faults {
    struct mh_clock clock;
    struct mh_rand rand;
    struct mh_sb_fault items[MH_SB_FAULTS_MAX];
    int len;
    int last_id;
    /* Told when the list changed, so that watches under way can be cut; may be NULL. */
    void (*on_change)(void *arg);
    void *arg;
};

void mh_sb_faults_init(struct mh_sb_faults *f, struct mh_clock clock, struct mh_rand rand);
/* The new fault's id; 0: the list is full. */
int mh_sb_faults_add(struct mh_sb_faults *f, const struct mh_sb_fault *fault);
/* By id; 0 takes all away. How many were taken. */
int mh_sb_faults_remove(struct mh_sb_faults *f, int id);
/* "down", "slow", ...; NONE for an unknown name. */
enum mh_sb_fault_kind mh_sb_fault_kind_of(const char *name);
const char *mh_sb_fault_name(enum mh_sb_fault_kind kind);
/* The first fault that this request meets now (dice are thrown), NULL: none. Counts it. `write`: no
 * GET; `watch`: a watch or one of its events. */
const struct mh_sb_fault *mh_sb_faults_meet(struct mh_sb_faults *f, const char *user,
                                            const char *resource, bool write, bool watch);

#endif
