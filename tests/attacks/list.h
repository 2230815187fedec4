/* list.h - the attacks: those of attacks.txt, and those that are too long to be written down. */
#ifndef MH_ATTACKS_LIST_H
#define MH_ATTACKS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define MH_ATTACKS_MAX 400

struct mh_attack {
    char name[80];
    char flags[40]; /* what stands behind the name */
    char *text;     /* ends with a zero; may hold others */
    size_t len;
    bool decide;   /* the body of decide(ctx) of a failover policy */
    bool harmless; /* its answer may be taken */
};

/* Fills list from the working directory's tests/attacks/attacks.txt; how many. 0: not to be read. */
int mh_attacks_read(struct mh_attack list[MH_ATTACKS_MAX]);
/* Fills list from another file of the same form. */
int mh_attacks_read_from(const char *path, struct mh_attack list[MH_ATTACKS_MAX]);
void mh_attacks_free(struct mh_attack *list, int n);
/* before, text of a, after; the caller frees. */
char *mh_attack_wrap(const struct mh_attack *a, const char *before, const char *after, size_t *len);

#endif
