/* tls_record.h - reads what a TLS 1.3 server sends after the handshake, without OpenSSL's connection.
 *
 * That one needs 26 KB and more for as long as it lives; a stream that is only listened to needs the
 * key, the counter and at most one record that is under way. OpenSSL makes the handshake, judges the
 * certificate, and does the cryptography here too (AES-256-GCM, SHA-384).
 * Only application data, the end (close_notify) and tickets (ignored) are taken. Whatever else comes,
 * an update of the keys too, ends the stream: its owner connects anew.
 * Owner: the caller's struct; release wipes it. */
#ifndef MH_NET_TLS_RECORD_H
#define MH_NET_TLS_RECORD_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MH_TLS_RECORD_SUITE "TLS_AES_256_GCM_SHA384"
#define MH_TLS_RECORD_HASH 48
#define MH_TLS_RECORD_HEAD 5
#define MH_TLS_RECORD_MAX ((size_t)MH_TLS_RECORD_HEAD + 16384 + 256)

struct mh_tls_record {
    unsigned char key[32];
    unsigned char iv[12];
    uint64_t seq;
    unsigned char *part; /* a record that has not come whole */
    size_t part_len;
};

enum mh_tls_record_kind {
    MH_TLS_RECORD_DATA,
    MH_TLS_RECORD_OTHER,
    MH_TLS_RECORD_END,
    MH_TLS_RECORD_BAD
};

/* From the server's first application traffic secret. False: no memory. */
bool mh_tls_record_init(struct mh_tls_record *r, const unsigned char secret[MH_TLS_RECORD_HASH]);
void mh_tls_record_release(struct mh_tls_record *r);
/* How long the record is whose first `len` bytes these are: 0 if that is not known yet, SIZE_MAX if it
 * is none that may come. */
size_t mh_tls_record_size(const unsigned char *data, size_t len);
/* Decrypts one whole record in its place: *text and *len are what it says. ctx is anybody's. */
enum mh_tls_record_kind mh_tls_record_open(struct mh_tls_record *r, EVP_CIPHER_CTX *ctx,
                                           unsigned char *data, size_t size, char **text,
                                           size_t *len);

#endif
