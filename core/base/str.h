/* str.h - small text helpers. */
#ifndef MH_BASE_STR_H
#define MH_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Equal, both may be NULL (NULL equals NULL only). */
bool mh_str_eq(const char *a, const char *b);
bool mh_str_starts(const char *s, const char *prefix);
bool mh_str_ends(const char *s, const char *suffix);
/* Whole text as a number in [min, max]; false otherwise (no leading space, no trailing bytes). */
bool mh_str_int(const char *s, int64_t min, int64_t max, int64_t *out);
/* "16/B374D848" as one integer; false if it is no LSN. */
bool mh_lsn_parse(const char *s, uint64_t *out);
#define MH_LSN_TEXT 18
void mh_lsn_text(char out[MH_LSN_TEXT], uint64_t lsn);
/* Copies with truncation; always terminated. */
void mh_str_copy(char *out, size_t size, const char *s);

#endif
