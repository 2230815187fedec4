/* regex.h - regular expressions in RE2 syntax (schema patterns, CEL's matches and find).
 *
 * A simulation of the automaton: time is linear in program times text, whatever the pattern, and
 * the same with every C library. UTF-8 throughout. Refused with a message: \p classes and programs
 * over MH_SB_REGEX_MAX instructions. A compiled expression has its own scratch memory: one thread. */
#ifndef MH_SANDBOX_REGEX_H
#define MH_SANDBOX_REGEX_H

#include "moonherd/err.h"

#include "base/mem.h"

#define MH_SB_REGEX_MAX 20000

struct mh_sb_regex;

/* Lives on the arena. Fails: INVALID (err->msg as Go: "error parsing regexp: ..."), NOMEM. */
enum mh_code mh_sb_regex_compile(struct mh_arena *a, const char *pattern, size_t len,
                                 struct mh_sb_regex **out, struct mh_err *err);
/* True if the text has a match that starts at byte `at` or later: the leftmost, of those the one
 * that a backtracking search meets first. *from and *to (may be NULL) are its bytes. */
bool mh_sb_regex_find(struct mh_sb_regex *re, const char *text, size_t len, size_t at, size_t *from,
                      size_t *to);

#endif
