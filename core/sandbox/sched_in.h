/* sched_in.h - what the files of the scheduler's decision share. */
#ifndef MH_SANDBOX_SCHED_IN_H
#define MH_SANDBOX_SCHED_IN_H

#include "base/map.h"
#include "base/str.h"
#include "sandbox/sched.h"

#define MH_SB_REASONS_MAX 4

struct mh_sb_sched_node {
    yyjson_val *node;
    const char *name;
    yyjson_val *labels;
    int64_t cpu, memory, pods;                /* allocatable */
    int64_t used_cpu, used_memory, used_pods; /* requests of its pods */
    int64_t score_cpu, score_memory;          /* the same, at least a little for each pod */
    const char *reasons[MH_SB_REASONS_MAX];   /* why it cannot; on the arena */
    int nreasons;
    bool final; /* evicting others would not help */
    int64_t score;
};

/* Numbers per node, to be summed over the nodes that share the value of a label. */
struct mh_sb_tally {
    const char *key; /* the label */
    int64_t *n;      /* per node */
};

#define MH_SB_TERMS_MAX 32
struct mh_sb_tallies {
    struct mh_sb_tally items[MH_SB_TERMS_MAX];
    int len;
};

struct mh_sb_sched_run {
    const struct mh_sb_sched *s;
    struct mh_arena *a;
    yyjson_val *pod;
    yyjson_val *labels; /* of the pod */
    const char *ns;
    struct mh_sb_sched_node *nodes;
    size_t n;
    int *at; /* per placed pod: index of its node, -1: gone */
    int64_t cpu, memory;
    /* other pods (sched_pods.c) */
    struct mh_sb_tallies affinity;  /* one per required affinity term */
    bool self_affinity;             /* the pod matches all of its own terms, and nobody else one */
    struct mh_sb_tallies apart;     /* one per required anti-affinity term */
    struct mh_sb_tallies forbidden; /* by others' required anti-affinity, per label */
    struct mh_sb_tallies wishes;    /* preferred terms of both sides, per label */
    bool failed;                    /* no memory */
};

/* sched_node.c: what a node alone says. Each returns false after noting why not. */
void mh_sb_sched_refuse(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n, bool final,
                        const char *why);
bool mh_sb_sched_fits_node(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n);
bool mh_sb_sched_fits_volumes(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n);
/* nodeSelector and required node affinity. */
bool mh_sb_sched_selected(yyjson_val *pod, yyjson_val *node);
/* matchExpressions and matchFields of one term. */
bool mh_sb_sched_term(yyjson_val *term, yyjson_val *node);
/* Before any node is looked at: NULL, or why the pod's claims do not let it be scheduled. */
const char *mh_sb_sched_claims(struct mh_sb_sched_run *r);

/* sched_pods.c: what the other pods say. */
void mh_sb_sched_count_pods(struct mh_sb_sched_run *r);
bool mh_sb_sched_fits_spread(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n);
bool mh_sb_sched_fits_pods(struct mh_sb_sched_run *r, struct mh_sb_sched_node *n);
/* The tally of a label's key, made if absent; NULL: no memory or full. */
struct mh_sb_tally *mh_sb_tally_of(struct mh_sb_sched_run *r, struct mh_sb_tallies *all,
                                   const char *key);
/* Sum over the nodes with the same value; -1: this node lacks the label. */
int64_t mh_sb_tally_sum(const struct mh_sb_sched_run *r, const struct mh_sb_tally *t,
                        const struct mh_sb_sched_node *n);
/* How many pods of the constraint's selector each node has. */
bool mh_sb_sched_spread_count(struct mh_sb_sched_run *r, yyjson_val *constraint,
                              struct mh_sb_tally *out);

/* sched_score.c */
void mh_sb_sched_score(struct mh_sb_sched_run *r);

#endif
