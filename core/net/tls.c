#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "net/ssl.h"

#define CHAIN_MAX 10
#define CHAIN_BYTES ((long)32 << 10)

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

static int chain_error(X509 *x, STACK_OF(X509) * chain, X509_STORE *store, int purpose);

/* Judges with a context of its own: what that finds on the way is not kept with the connection. */
static int
judge_server(X509_STORE_CTX *ctx, void *arg)
{
    (void)arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct mh_tls_hello *hello = ssl ? SSL_get_app_data(ssl) : NULL;
    X509_STORE *store = hello ? hello->store : NULL;
    X509 *x = X509_STORE_CTX_get0_cert(ctx);
    int e = store && x
                ? chain_error(x, X509_STORE_CTX_get0_untrusted(ctx), store, X509_PURPOSE_SSL_SERVER)
                : X509_V_ERR_INVALID_CALL;
    X509_STORE_CTX_set_error(ctx, e);
    return e == X509_V_OK;
}

/* "LABEL RANDOM SECRET" in hex, of each secret of a handshake: keeps the one that is needed. */
static void
keep_secret(const SSL *ssl, const char *line)
{
    static const char label[] = "SERVER_TRAFFIC_SECRET_0 ";
    struct mh_tls_hello *hello = SSL_get_app_data(ssl);
    const char *hex = strrchr(line, ' ');
    size_t n = 0;
    if (!hello || strncmp(line, label, sizeof(label) - 1) != 0 || !hex)
        return;
    hello->has_secret =
        OPENSSL_hexstr2buf_ex(hello->secret, sizeof(hello->secret), &n, hex + 1, '\0') == 1 &&
        n == sizeof(hello->secret);
}

enum mh_code
mh_tls_client_ctx(const char *cert_pem, const char *key_pem, SSL_CTX **out, struct mh_err *err)
{
    int groups[] = { NID_X25519, NID_X9_62_prime256v1 };
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return mh_ssl_fail(err, MH_E_NOMEM, "tls context");
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, judge_server, NULL);
    SSL_CTX_set_max_cert_list(ctx, CHAIN_BYTES);
    SSL_CTX_set_keylog_callback(ctx, keep_secret);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set_ciphersuites(ctx, MH_TLS_RECORD_SUITE) == 1 &&
        SSL_CTX_set1_groups(ctx, groups, 2) == 1 && use_chain(ctx, cert_pem) &&
        use_key(ctx, key_pem)) {
        ERR_clear_error(); /* the end of the PEM text */
        *out = ctx;
        return MH_OK;
    }
    SSL_CTX_free(ctx);
    return mh_ssl_fail(err, MH_E_INVALID, "client certificate or its key");
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
    return mh_ssl_fail(err, MH_E_INVALID, "ca certificate");
}

/* X509_V_OK, or why the chain leads to none of the store. */
static int
chain_error(X509 *x, STACK_OF(X509) * chain, X509_STORE *store, int purpose)
{
    int e = X509_V_ERR_OUT_OF_MEM;
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    if (c && X509_STORE_CTX_init(c, store, x, chain) == 1) {
        X509_STORE_CTX_set_depth(c, CHAIN_MAX);
        if (X509_STORE_CTX_set_purpose(c, purpose) == 1 && X509_verify_cert(c) == 1)
            e = X509_V_OK;
        else if (X509_STORE_CTX_get_error(c) != X509_V_OK)
            e = X509_STORE_CTX_get_error(c);
    }
    X509_STORE_CTX_free(c);
    return e;
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
    peer->verified = store && chain_error(x, SSL_get_peer_cert_chain(ssl), store,
                                          X509_PURPOSE_SSL_CLIENT) == X509_V_OK;
    X509_free(x);
    ERR_clear_error();
}
