#include "net/jwt.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "net/crypto.h"

#define SIGNATURE_LEN 32

static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

/* Base64 of the URL alphabet without padding. */
static char *
encode(struct mh_arena *a, const void *p, size_t n)
{
    char *s = mh_base64_encode(a, p, n);
    for (char *c = s; c && *c; c++) {
        if (*c == '+')
            *c = '-';
        else if (*c == '/')
            *c = '_';
        else if (*c == '=')
            *c = '\0';
    }
    return s;
}

static char *
decode(struct mh_arena *a, const char *p, size_t n, size_t *len)
{
    size_t padded = (n + 3) / 4 * 4;
    char *s = mh_arena_alloc(a, padded + 1);
    if (!s || n % 4 == 1)
        return NULL;
    for (size_t i = 0; i < padded; i++) {
        char c = i < n ? p[i] : '=';
        if (c == '+' || c == '/' || (i < n && c == '=') || c == '\n' || c == '\r')
            return NULL;
        s[i] = c;
        if (c == '-')
            s[i] = '+';
        else if (c == '_')
            s[i] = '/';
    }
    return mh_base64_decode(a, s, padded, len);
}

static bool
sign(unsigned char out[SIGNATURE_LEN], const char *key, size_t key_len, const char *p, size_t n)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)p, n, md, &len) ||
        len != SIGNATURE_LEN)
        return false;
    memcpy(out, md, SIGNATURE_LEN);
    return true;
}

char *
mh_jwt_sign(struct mh_arena *a, const char *key, size_t key_len, const char *claims,
            size_t claims_len)
{
    unsigned char mac[SIGNATURE_LEN];
    char *h = encode(a, header, sizeof(header) - 1);
    char *c = encode(a, claims, claims_len);
    char *head = h && c ? mh_arena_printf(a, "%s.%s", h, c) : NULL;
    if (!head || !sign(mac, key, key_len, head, strlen(head)))
        return NULL;
    char *s = encode(a, mac, sizeof(mac));
    return s ? mh_arena_printf(a, "%s.%s", head, s) : NULL;
}

enum mh_code
mh_jwt_verify(struct mh_arena *a, const char *key, size_t key_len, const char *token,
              yyjson_val **claims, struct mh_err *err)
{
    unsigned char mac[SIGNATURE_LEN];
    size_t n = strnlen(token, MH_JWT_MAX + 1);
    const char *dot = n <= MH_JWT_MAX ? strchr(token, '.') : NULL;
    const char *last = dot ? strchr(dot + 1, '.') : NULL;
    if (!last)
        return mh_fail(err, MH_E_INVALID, "no token");
    size_t got_len = 0, len = 0;
    char *got = decode(a, last + 1, n - (size_t)(last + 1 - token), &got_len);
    if (!got || got_len != SIGNATURE_LEN ||
        !sign(mac, key, key_len, token, (size_t)(last - token)) ||
        CRYPTO_memcmp(mac, got, SIGNATURE_LEN) != 0)
        return mh_fail(err, MH_E_INVALID, "the token's signature is not ours");
    char *text = decode(a, dot + 1, (size_t)(last - dot - 1), &len);
    if (!text)
        return mh_fail(err, MH_E_NOMEM, "no memory for a token");
    return mh_json_parse(a, text, len, claims, err);
}
