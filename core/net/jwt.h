/* jwt.h - signed texts (JSON Web Tokens, HMAC-SHA256). Results on the arena. */
#ifndef MH_NET_JWT_H
#define MH_NET_JWT_H

#include "moonherd/err.h"

#include "base/json.h"

#define MH_JWT_MAX 8192

/* "HEADER.CLAIMS.SIGNATURE". NULL: no memory. */
char *mh_jwt_sign(struct mh_arena *a, const char *key, size_t key_len, const char *claims,
                  size_t claims_len);
/* The claims of a token that this key signed. INVALID: no such token, or another's; times are the
 * caller's to look at. NOMEM. */
enum mh_code mh_jwt_verify(struct mh_arena *a, const char *key, size_t key_len, const char *token,
                           yyjson_val **claims, struct mh_err *err);

#endif
