/* crypto.h - hashes, base64, passwords. Results on the arena; NULL when it is full. */
#ifndef MH_NET_CRYPTO_H
#define MH_NET_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#include "moonherd/err.h"

#include "base/mem.h"
#include "base/world.h"

#define MH_SHA256_HEX 65
#define MH_PASSWORD_LEN 64

/* Lower-case hex of SHA-256, NUL-terminated. */
void mh_sha256_hex(char out[MH_SHA256_HEX], const void *p, size_t n);
/* Only for the handshake of WebSocket, which asks for it. */
void mh_sha1(unsigned char out[20], const void *p, size_t n);
void mh_hex(char *out, const unsigned char *p, size_t n); /* out has 2n+1 bytes */

/* Standard alphabet with padding, no line breaks, NUL-terminated. */
char *mh_base64_encode(struct mh_arena *a, const void *p, size_t n);
/* Strict: the standard alphabet, padded, white space allowed only at line ends. NULL: not base64, or
 * no memory. The result is NUL-terminated too; *len (may be NULL) is without it. */
char *mh_base64_decode(struct mh_arena *a, const char *text, size_t n, size_t *len);

/* 64 characters, exactly 10 of them digits, the others letters, at random places, without modulo
 * bias. UNAVAILABLE when there is no randomness, NOMEM. */
enum mh_code mh_password(struct mh_arena *a, const struct mh_rand *rand, const char **out,
                         struct mh_err *err);
/* Compares without telling where they differ. */
bool mh_secret_eq(const char *a, const char *b);
/* "md5" + hex as PostgreSQL 13 stores it, and a SCRAM-SHA-256 verifier (4096 rounds): a password
 * need never travel in SQL. Scram: NULL too for a password with bytes beyond ASCII (PostgreSQL would
 * normalise it first: let the server hash that one). */
char *mh_pg_md5(struct mh_arena *a, const char *user, const char *password);
char *mh_pg_scram(struct mh_arena *a, const struct mh_rand *rand, const char *password);
/* Was this SCRAM-SHA-256 verifier made from this password? False too for one beyond ASCII. */
bool mh_pg_scram_matches(struct mh_arena *a, const char *verifier, const char *password);
/* Is this text what PostgreSQL stores (either kind), and so no password? */
bool mh_pg_is_verifier(const char *text);

#endif
