/* policy_ring.h - the last decisions of each cluster with their inputs, in memory.
 *
 * At most MH_RING_CLUSTER decisions and MH_RING_CLUSTER_BYTES of one cluster, MH_RING_BYTES of all:
 * the oldest of the largest cluster goes first. A decision that repeats one of the last few (its
 * time aside) only raises the count of that one. Inputs are kept deflated. */
#ifndef MH_LUA_POLICY_RING_H
#define MH_LUA_POLICY_RING_H

#include "lua/policy.h"

#define MH_RING_CLUSTER 200
#define MH_RING_CLUSTER_BYTES ((size_t)1 << 20)
#define MH_RING_BYTES ((size_t)6 << 20)

/* One decision. Its texts are its own; nobody changes them. */
struct mh_taken {
    struct mh_taken *next; /* the one before */
    int refs;
    unsigned count;
    int64_t at_us; /* the last time */
    char id[MH_POLICY_HASH];
    const char *point;
    const char *ns;
    const char *cluster;
    const char *by;
    const char *error;  /* one line; NULL: none */
    const char *input;  /* of what is to be added; in the ring: NULL, mh_taken_input gives it */
    const char *answer; /* NULL: there was none */
    size_t input_len;
    const void *packed;
    size_t packed_len; /* input_len: as it is */
    uint64_t alike;    /* of the input but for its time */
    size_t answer_len;
    size_t bytes;
};

struct mh_ring;

/* NULL: no memory. */
struct mh_ring *mh_ring_new(void);
void mh_ring_free(struct mh_ring *r);
/* Keeps a copy of what `like` says (ns, cluster, point, by, error, input, answer, at_us). What is too
 * large, or finds no memory, is not kept. */
void mh_ring_add(struct mh_ring *r, const struct mh_taken *like);
/* The cluster is gone. */
void mh_ring_forget(struct mh_ring *r, const char *ns, const char *cluster);
/* The newest decisions of a point with an answer, newest first: of one namespace, or (NULL) of all.
 * Each is the caller's until mh_taken_unref. Their number. */
size_t mh_ring_last(struct mh_ring *r, const char *point, const char *ns, struct mh_taken **out,
                    size_t max);
void mh_taken_unref(struct mh_taken *t);
/* The input of a decision of the ring, on the arena, NUL-terminated. NULL: no memory. */
char *mh_taken_input(struct mh_arena *a, const struct mh_taken *t);
size_t mh_ring_bytes(const struct mh_ring *r);
/* Decisions kept of one cluster. */
size_t mh_ring_count(const struct mh_ring *r, const char *ns, const char *cluster);

#endif
