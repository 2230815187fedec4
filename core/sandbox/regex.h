/* regex.h - regular expressions in RE2 syntax (schema patterns, CEL's matches and find).
 *
 * A simulation of the automaton: time is linear in pattern times text, whatever the pattern.
 * UTF-8 throughout. Refused with a message: \p classes other than the general categories that the
 * C library tells apart (L, Lu, Ll, N, Nd, P, S, Z), and programs over the size limit. */
#ifndef MH_SANDBOX_REGEX_H
#define MH_SANDBOX_REGEX_H

#include "moonherd/err.h"

#include "base/mem.h"

struct mh_sb_regex;

/* Lives on the arena. Fails: INVALID (err->msg as Go: "error parsing regexp: ..."), NOMEM. */
enum mh_code mh_sb_regex_compile(struct mh_arena *a, const char *pattern, size_t len,
                                 struct mh_sb_regex **out, struct mh_err *err);
/* True if the text has a match anywhere (leftmost, first alternative wins); *from and *to (may be
 * NULL) are its bytes, searched from `at` on. scratch memory comes from the arena given. */
bool mh_sb_regex_find(const struct mh_sb_regex *re, struct mh_arena *scratch, const char *text,
                      size_t len, size_t at, size_t *from, size_t *to);
/* Number of capturing groups (without the whole). */
int mh_sb_regex_groups(const struct mh_sb_regex *re);

#endif
