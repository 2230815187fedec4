/* ssl.h - what the certificate code and the server share: OpenSSL's own types. Only for core/net. */
#ifndef MH_NET_SSL_H
#define MH_NET_SSL_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "moonherd/err.h"

#include "base/mem.h"
#include "net/http_server.h"
#include "net/tls_record.h"

/* Fails with OpenSSL's last error as reason; empties its queue. */
enum mh_code mh_ssl_fail(struct mh_err *err, enum mh_code code, const char *what);
/* pem_password_cb: never asks. */
int mh_ssl_no_password(char *buf, int size, int rw, void *arg);
void mh_x509_spki_hex(X509 *x, char out[65]);
/* "" when absent or with a NUL inside; NULL: no memory. */
const char *mh_x509_name_part(struct mh_arena *a, X509_NAME *name, int nid);

/* A context of a TLS 1.3 server with optional client certificates. */
enum mh_code mh_tls_server_ctx(const struct mh_server_tls *tls, SSL_CTX **out, struct mh_err *err);
/* What a client's handshake needs and leaves. */
struct mh_tls_hello {
    X509_STORE *store; /* the server's chain must lead to a CA here; NULL: nobody is trusted */
    unsigned char secret[MH_TLS_RECORD_HASH]; /* of what the server sends afterwards */
    bool has_secret;
};

/* A context of TLS 1.3 clients with this certificate, of the suite that tls_record.h reads. Each SSL made
 * from it has its own mh_tls_hello as app data until the handshake is over. Names of servers are not
 * compared, sessions not kept. */
enum mh_code mh_tls_client_ctx(const char *cert_pem, const char *key_pem, SSL_CTX **out,
                               struct mh_err *err);
/* The trusted CAs; NULL out without any. */
enum mh_code mh_tls_store(const char *ca_pem, X509_STORE **out, struct mh_err *err);
/* Who is at the other end of ssl, judged by the store (may be NULL). */
void mh_tls_peer(struct mh_arena *a, SSL *ssl, X509_STORE *store, struct mh_peer *peer);

#endif
