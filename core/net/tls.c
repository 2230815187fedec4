#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "net/ssl.h"

#define CHAIN_MAX 10

/* Any certificate passes the handshake (which proves the key); mh_tls_peer judges it per request. */
static int
accept_any(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

static bool
use_chain(SSL_CTX *ctx, const char *pem)
{
    BIO *b = pem ? BIO_new_mem_buf(pem, -1) : NULL;
    X509 *x = b ? PEM_read_bio_X509(b, NULL, mh_ssl_no_password, NULL) : NULL;
    bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1;
    X509_free(x);
    for (int i = 0;
         ok && i < CHAIN_MAX && (x = PEM_read_bio_X509(b, NULL, mh_ssl_no_password, NULL)); i++) {
        ok = SSL_CTX_add0_chain_cert(ctx, x) == 1;
        if (!ok)
            X509_free(x);
    }
    BIO_free(b);
    return ok;
}

static bool
use_key(SSL_CTX *ctx, const char *pem)
{
    BIO *b = pem ? BIO_new_mem_buf(pem, -1) : NULL;
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, mh_ssl_no_password, NULL) : NULL;
    bool ok = k && SSL_CTX_use_PrivateKey(ctx, k) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(k);
    BIO_free(b);
    return ok;
}

enum mh_code
mh_tls_server_ctx(const struct mh_server_tls *tls, SSL_CTX **out, struct mh_err *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return mh_ssl_fail(err, MH_E_NOMEM, "tls context");
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 0); /* a resumed session would hide the client's chain */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 && use_chain(ctx, tls->cert_pem) &&
        use_key(ctx, tls->key_pem)) {
        ERR_clear_error(); /* the end of the PEM text */
        *out = ctx;
        return MH_OK;
    }
    SSL_CTX_free(ctx);
    return mh_ssl_fail(err, MH_E_INVALID, "server certificate or its key");
}

enum mh_code
mh_tls_store(const char *ca_pem, X509_STORE **out, struct mh_err *err)
{
    *out = NULL;
    if (!ca_pem || !*ca_pem)
        return MH_OK;
    ERR_clear_error();
    X509_STORE *store = X509_STORE_new();
    BIO *b = BIO_new_mem_buf(ca_pem, -1);
    int n = 0;
    X509 *x;
    bool ok = store && b;
    while (ok && (x = PEM_read_bio_X509(b, NULL, mh_ssl_no_password, NULL))) {
        ok = X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
        n++;
    }
    BIO_free(b);
    if (ok && n > 0) {
        ERR_clear_error();
        (void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
        *out = store;
        return MH_OK;
    }
    X509_STORE_free(store);
    return mh_ssl_fail(err, MH_E_INVALID, "client ca certificate");
}

static bool
chain_ok(X509 *x, STACK_OF(X509) * chain, X509_STORE *store)
{
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    bool ok = c && X509_STORE_CTX_init(c, store, x, chain) == 1;
    if (ok) {
        X509_STORE_CTX_set_depth(c, CHAIN_MAX);
        ok =
            X509_STORE_CTX_set_purpose(c, X509_PURPOSE_SSL_CLIENT) == 1 && X509_verify_cert(c) == 1;
    }
    X509_STORE_CTX_free(c);
    return ok;
}

void
mh_tls_peer(struct mh_arena *a, SSL *ssl, X509_STORE *store, struct mh_peer *peer)
{
    *peer = (struct mh_peer){ .cn = "" };
    X509 *x = ssl ? SSL_get1_peer_certificate(ssl) : NULL;
    if (!x)
        return;
    peer->present = true;
    mh_x509_spki_hex(x, peer->spki_sha256);
    const char *cn = mh_x509_name_part(a, X509_get_subject_name(x), NID_commonName);
    peer->cn = cn ? cn : "";
    peer->verified = store && chain_ok(x, SSL_get_peer_cert_chain(ssl), store);
    X509_free(x);
    ERR_clear_error();
}
