/* json.h - JSON values: yyjson (RFC 8259, exact 64-bit integers) on an arena.
 *
 * Read: an immutable yyjson_val, alive as long as the arena. Build: a yyjson_mut_doc of the same
 * arena. No value is ever freed by itself. Every getter takes NULL for "absent" and passes it on,
 * so that lookups chain without checks. */
#ifndef MH_BASE_JSON_H
#define MH_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "moonherd/err.h"

#include "base/buf.h"
#include "base/mem.h"

#define MH_JSON_DEPTH_MAX 64
#define MH_JSON_SIZE_MAX ((size_t)4 << 20)

/* The allocator of an arena, for yyjson calls. */
yyjson_alc mh_json_alc(struct mh_arena *a);
/* Parses all of text (no trailing bytes). Fails: INVALID for bad text, too deep or too large
 * (over MH_JSON_SIZE_MAX), NOMEM. Strings with an embedded NUL are refused. */
enum mh_code mh_json_parse(struct mh_arena *a, const char *text, size_t len, yyjson_val **out,
                           struct mh_err *err);
/* An empty document to build values in; NULL when there is no memory. */
yyjson_mut_doc *mh_json_doc(struct mh_arena *a);
/* Compact text, on the arena. NULL when there is no memory. len may be NULL. */
char *mh_json_text(struct mh_arena *a, const yyjson_val *v, size_t *len);
char *mh_json_mut_text(struct mh_arena *a, const yyjson_mut_val *v, size_t *len);
/* The same with object keys sorted by bytes, at every depth: equal values give equal text. */
char *mh_json_canonical(struct mh_arena *a, const yyjson_val *v, size_t *len);

/* Walks object keys, up to NULL: mh_json_get(v, "metadata", "name", NULL). NULL where absent. */
yyjson_val *mh_json_get(yyjson_val *v, ...) __attribute__((sentinel));
/* As mh_json_get; the text, or NULL if absent or no string. */
const char *mh_json_str(yyjson_val *v, ...) __attribute__((sentinel));
/* As mh_json_get; the value, or `absent` if it is no integer (bool). */
int64_t mh_json_int(yyjson_val *v, int64_t absent, ...) __attribute__((sentinel));
bool mh_json_bool(yyjson_val *v, int absent, ...) __attribute__((sentinel));

/* Appends s as a JSON string, quoted and escaped; invalid UTF-8 becomes U+FFFD. */
bool mh_json_quote(struct mh_buf *b, const char *s, size_t n);

#endif
