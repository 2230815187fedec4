#include "net/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/str.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
mh_hex(char *out, const unsigned char *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

void
mh_sha256_hex(char out[MH_SHA256_HEX], const void *p, size_t n)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    out[0] = '\0';
    if (EVP_Digest(n ? p : "", n, md, &len, EVP_sha256(), NULL) == 1)
        mh_hex(out, md, len);
}

void
mh_sha1(unsigned char out[20], const void *p, size_t n)
{
    unsigned char md[EVP_MAX_MD_SIZE] = { 0 };
    unsigned len = 0;
    (void)EVP_Digest(n ? p : "", n, md, &len, EVP_sha1(), NULL);
    memcpy(out, md, 20);
}

char *
mh_base64_encode(struct mh_arena *a, const void *p, size_t n)
{
    const unsigned char *in = p;
    if (n > SIZE_MAX / 2)
        return NULL;
    char *out = mh_arena_alloc(a, (n + 2) / 3 * 4 + 1);
    if (!out)
        return NULL;
    size_t k = 0;
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)in[i] << 16;
        v |= i + 1 < n ? (unsigned)in[i + 1] << 8 : 0;
        v |= i + 2 < n ? (unsigned)in[i + 2] : 0;
        out[k++] = alphabet[v >> 18];
        out[k++] = alphabet[v >> 12 & 63];
        out[k++] = i + 1 < n ? alphabet[v >> 6 & 63] : '=';
        out[k++] = i + 2 < n ? alphabet[v & 63] : '=';
    }
    out[k] = '\0';
    return out;
}

static int
digit_of(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

char *
mh_base64_decode(struct mh_arena *a, const char *text, size_t n, size_t *len)
{
    char *out = mh_arena_alloc(a, n / 4 * 3 + 4);
    if (!out)
        return NULL;
    unsigned v = 0;
    int have = 0;
    int pad = 0;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '\n' || c == '\r')
            continue;
        int d = c == '=' ? 0 : digit_of(c);
        if (d < 0 || (c == '=' && have < 2) || (c != '=' && pad))
            return NULL;
        pad += c == '=';
        v = v << 6 | (unsigned)d;
        if (++have < 4)
            continue;
        out[k++] = (char)(v >> 16);
        if (pad < 2)
            out[k++] = (char)(v >> 8 & 255);
        if (pad < 1)
            out[k++] = (char)(v & 255);
        if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
            return NULL; /* bits that mean nothing: not what an encoder makes */
        have = 0;
        v = 0;
        while (pad && i + 1 < n) { /* only line ends may follow */
            i++;
            if (text[i] != '\n' && text[i] != '\r')
                return NULL;
        }
    }
    if (have)
        return NULL;
    out[k] = '\0';
    if (len)
        *len = k;
    return out;
}

/* A number below n (n <= 256) without bias; false when randomness fails. */
static bool
below(const struct mh_rand *rand, unsigned n, unsigned *out)
{
    unsigned limit = 256 - 256 % n;
    for (int i = 0; i < 200; i++) {
        unsigned char c;
        if (!rand->fill(rand->self, &c, 1))
            return false;
        if (c < limit) {
            *out = c % n;
            return true;
        }
    }
    return false;
}

enum mh_code
mh_password(struct mh_arena *a, const struct mh_rand *rand, const char **out, struct mh_err *err)
{
    char *p = mh_arena_alloc(a, MH_PASSWORD_LEN + 1);
    if (!p)
        return mh_fail(err, MH_E_NOMEM, "password: no memory");
    for (unsigned i = 0; i < MH_PASSWORD_LEN; i++) {
        unsigned v;
        bool is_digit = i < 10;
        if (!below(rand, is_digit ? 10 : 52, &v))
            return mh_fail(err, MH_E_UNAVAILABLE, "password: no random numbers");
        p[i] = is_digit ? (char)('0' + v) : alphabet[v];
    }
    for (unsigned i = MH_PASSWORD_LEN - 1; i > 0; i--) {
        unsigned j;
        if (!below(rand, i + 1, &j))
            return mh_fail(err, MH_E_UNAVAILABLE, "password: no random numbers");
        char c = p[i];
        p[i] = p[j];
        p[j] = c;
    }
    *out = p;
    return MH_OK;
}

bool
mh_secret_eq(const char *a, const char *b)
{
    size_t n = a ? strlen(a) : 0;
    return a && b && strlen(b) == n && CRYPTO_memcmp(a, b, n) == 0;
}

char *
mh_pg_md5(struct mh_arena *a, const char *user, const char *password)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char *text = mh_arena_printf(a, "%s%s", password, user);
    char *out = mh_arena_alloc(a, 36);
    if (!text || !out)
        return NULL;
    int ok = EVP_Digest(text, strlen(text), md, &len, EVP_md5(), NULL);
    OPENSSL_cleanse(text, strlen(text));
    if (ok != 1 || len != 16)
        return NULL;
    memcpy(out, "md5", 3);
    mh_hex(out + 3, md, len);
    return out;
}

static bool
hmac_sha256(const unsigned char key[32], const char *text, unsigned char out[32])
{
    unsigned len = 32;
    return HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, strlen(text), out, &len) &&
           len == 32;
}

#define SCRAM_HEAD "SCRAM-SHA-256$"

/* "SCRAM-SHA-256$ROUNDS:SALT$STORED:SERVER" for this salt; NULL: no memory, or not plain ASCII. */
static char *
scram(struct mh_arena *a, const unsigned char *salt, size_t nsalt, int rounds, const char *password)
{
    unsigned char salted[32];
    unsigned char client[32];
    unsigned char stored[32];
    unsigned char server[32];
    unsigned len = 32;
    for (const char *c = password; *c; c++) {
        if ((unsigned char)*c >= 0x80)
            return NULL;
    }
    bool ok = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)nsalt, rounds,
                                EVP_sha256(), sizeof(salted), salted) == 1 &&
              hmac_sha256(salted, "Client Key", client) &&
              EVP_Digest(client, sizeof(client), stored, &len, EVP_sha256(), NULL) == 1 &&
              hmac_sha256(salted, "Server Key", server);
    char *out = NULL;
    if (ok) {
        const char *s = mh_base64_encode(a, salt, nsalt);
        const char *k = mh_base64_encode(a, stored, sizeof(stored));
        const char *v = mh_base64_encode(a, server, sizeof(server));
        if (s && k && v)
            out = mh_arena_printf(a, SCRAM_HEAD "%d:%s$%s:%s", rounds, s, k, v);
    }
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client, sizeof(client));
    return out;
}

char *
mh_pg_scram(struct mh_arena *a, const struct mh_rand *rand, const char *password)
{
    enum { ROUNDS = 4096 };
    unsigned char salt[16];
    if (!rand->fill(rand->self, salt, sizeof(salt)))
        return NULL;
    return scram(a, salt, sizeof(salt), ROUNDS, password);
}

/* A hostile number of rounds must not keep the loop busy. */
#define ROUNDS_MAX 100000

bool
mh_pg_scram_matches(struct mh_arena *a, const char *verifier, const char *password)
{
    const char *at = verifier + strlen(SCRAM_HEAD);
    if (!mh_str_starts(verifier, SCRAM_HEAD))
        return false;
    size_t digits = strspn(at, "0123456789");
    size_t n = at[digits] == ':' ? strcspn(at + digits + 1, "$") : 0;
    char *number = mh_arena_strndup(a, at, digits);
    int64_t rounds = 0;
    size_t nsalt = 0;
    char *salt = n ? mh_base64_decode(a, at + digits + 1, n, &nsalt) : NULL;
    if (!number || !salt || !mh_str_int(number, 1, ROUNDS_MAX, &rounds))
        return false;
    const char *again = scram(a, (const unsigned char *)salt, nsalt, (int)rounds, password);
    return again && mh_secret_eq(again, verifier);
}

bool
mh_pg_is_verifier(const char *text)
{
    if (mh_str_starts(text, "md5"))
        return strlen(text) == 35 && strspn(text + 3, "0123456789abcdef") == 32;
    if (!mh_str_starts(text, SCRAM_HEAD))
        return false;
    text += strlen(SCRAM_HEAD);
    size_t digits = strspn(text, "0123456789");
    const char *salt = text + digits + 1;
    if (digits == 0 || text[digits] != ':')
        return false;
    const char *dollar = strchr(salt, '$');
    return dollar && dollar > salt && strchr(dollar, ':') != NULL;
}
