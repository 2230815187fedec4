#include "net/tls_record.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/mem.h"

#define TAG 16
#define RECORDS_MAX (1ull << 23) /* with one key; then the stream is made anew */

enum { ALERT = 21, HANDSHAKE = 22, DATA = 23 };

/* HKDF-Expand-Label(secret, label, "", len) of RFC 8446, for what fits into one block. */
static bool
expand(const unsigned char secret[MH_TLS_RECORD_HASH], const char *label, unsigned char *out,
       size_t len)
{
    unsigned char info[32], block[EVP_MAX_MD_SIZE];
    size_t n = strlen(label);
    unsigned made = 0;
    info[0] = 0;
    info[1] = (unsigned char)len;
    info[2] = (unsigned char)(6 + n);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, n);
    info[9 + n] = 0;  /* no context */
    info[10 + n] = 1; /* the first block */
    bool ok = HMAC(EVP_sha384(), secret, MH_TLS_RECORD_HASH, info, 11 + n, block, &made) != NULL &&
              made >= len;
    if (ok)
        memcpy(out, block, len);
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

bool
mh_tls_record_init(struct mh_tls_record *r, const unsigned char secret[MH_TLS_RECORD_HASH])
{
    *r = (struct mh_tls_record){ .seq = 0 };
    return expand(secret, "key", r->key, sizeof(r->key)) &&
           expand(secret, "iv", r->iv, sizeof(r->iv));
}

void
mh_tls_record_release(struct mh_tls_record *r)
{
    mh_free(r->part);
    OPENSSL_cleanse(r, sizeof(*r));
}

size_t
mh_tls_record_size(const unsigned char *data, size_t len)
{
    if (len < MH_TLS_RECORD_HEAD)
        return 0;
    size_t n = (size_t)data[3] << 8 | data[4];
    if (data[0] != DATA || data[1] != 3 || data[2] != 3 || n <= TAG ||
        n + MH_TLS_RECORD_HEAD > MH_TLS_RECORD_MAX)
        return SIZE_MAX;
    return MH_TLS_RECORD_HEAD + n;
}

static bool
decrypt(struct mh_tls_record *r, EVP_CIPHER_CTX *ctx, unsigned char *data, int n)
{
    unsigned char nonce[sizeof(r->iv)];
    int out = 0, last = 0;
    memcpy(nonce, r->iv, sizeof(nonce));
    for (unsigned i = 0; i < 8; i++)
        nonce[sizeof(nonce) - 1 - i] ^= (unsigned char)(r->seq >> (8 * i));
    unsigned char *body = data + MH_TLS_RECORD_HEAD;
    return EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, r->key, nonce) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &out, data, MH_TLS_RECORD_HEAD) == 1 &&
           EVP_DecryptUpdate(ctx, body, &out, body, n) == 1 && out == n &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, body + n) == 1 &&
           EVP_DecryptFinal_ex(ctx, body + n, &last) == 1;
}

/* close_notify ends the stream; a ticket says nothing; all else may not come. */
static enum mh_tls_record_kind
other(unsigned char type, const unsigned char *body, size_t n)
{
    if (type == ALERT)
        return n == 2 && body[1] == 0 ? MH_TLS_RECORD_END : MH_TLS_RECORD_BAD;
    return type == HANDSHAKE && n >= 4 && body[0] == 4 ? MH_TLS_RECORD_OTHER : MH_TLS_RECORD_BAD;
}

enum mh_tls_record_kind
mh_tls_record_open(struct mh_tls_record *r, EVP_CIPHER_CTX *ctx, unsigned char *data, size_t size,
                   char **text, size_t *len)
{
    size_t n = size - MH_TLS_RECORD_HEAD - TAG;
    bool ok = mh_tls_record_size(data, size) == size && r->seq < RECORDS_MAX &&
              decrypt(r, ctx, data, (int)n);
    (void)EVP_CIPHER_CTX_reset(ctx); /* the key does not stay there */
    if (!ok)
        return MH_TLS_RECORD_BAD;
    r->seq++;
    unsigned char *body = data + MH_TLS_RECORD_HEAD;
    while (n > 0 && body[n - 1] == 0)
        n--;
    if (n == 0)
        return MH_TLS_RECORD_BAD;
    unsigned char type = body[--n];
    *text = (char *)body;
    *len = n;
    return type == DATA ? MH_TLS_RECORD_DATA : other(type, body, n);
}
