#include "net/x509.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "net/crypto.h"
#include "net/ssl.h"

#define NAMES_MAX 512

enum mh_code
mh_ssl_fail(struct mh_err *err, enum mh_code code, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    char why[160] = "no memory";
    if (e)
        ERR_error_string_n(e, why, sizeof(why));
    ERR_clear_error();
    return mh_fail(err, code, "%s: %s", what, why);
}

/* An encrypted key must not make OpenSSL ask on the terminal. */
int
mh_ssl_no_password(char *buf, int size, int rw, void *arg)
{
    (void)buf, (void)size, (void)rw, (void)arg;
    return -1;
}

static X509 *
cert_of(const char *pem)
{
    BIO *b = pem ? BIO_new_mem_buf(pem, -1) : NULL;
    X509 *x = b ? PEM_read_bio_X509(b, NULL, mh_ssl_no_password, NULL) : NULL;
    BIO_free(b);
    return x;
}

static EVP_PKEY *
key_of(const char *pem)
{
    BIO *b = pem ? BIO_new_mem_buf(pem, -1) : NULL;
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, mh_ssl_no_password, NULL) : NULL;
    BIO_free(b);
    return k;
}

static const char *
bio_text(struct mh_arena *a, BIO *b)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b, &p);
    return n > 0 ? mh_arena_strndup(a, p, (size_t)n) : NULL;
}

static bool
add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool
add_name(GENERAL_NAMES *names, const char *text, int type)
{
    unsigned char ip[16];
    int iplen = 0;
    if (type == GEN_DNS && inet_pton(AF_INET, text, ip) == 1)
        iplen = 4;
    else if (type == GEN_DNS && inet_pton(AF_INET6, text, ip) == 1)
        iplen = 16;
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *s = iplen ? (ASN1_STRING *)ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!g || !s ||
        !ASN1_STRING_set(s, iplen ? (const void *)ip : text, iplen ? iplen : (int)strlen(text))) {
        GENERAL_NAME_free(g);
        ASN1_STRING_free(s);
        return false;
    }
    GENERAL_NAME_set0_value(g, iplen ? GEN_IPADD : type, s);
    if (sk_GENERAL_NAME_push(names, g) > 0)
        return true;
    GENERAL_NAME_free(g);
    return false;
}

static bool
add_names(X509 *x, const char *const *dns, const char *const *uris)
{
    if ((!dns || !*dns) && (!uris || !*uris))
        return true;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool ok = names != NULL;
    for (; ok && dns && *dns; dns++)
        ok = add_name(names, *dns, GEN_DNS);
    for (; ok && uris && *uris; uris++)
        ok = add_name(names, *uris, GEN_URI);
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static bool
set_subject(X509 *x, const char *cn, const char *ou)
{
    X509_NAME *name = X509_get_subject_name(x);
    size_t n = cn ? strlen(cn) : 0;
    size_t m = ou ? strlen(ou) : 0;
    if (m &&
        X509_NAME_add_entry_by_NID(name, NID_organizationalUnitName, MBSTRING_UTF8,
                                   (const unsigned char *)ou, m > 64 ? 64 : (int)m, -1, 0) != 1)
        return false;
    return !n ||
           X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)cn, n > 64 ? 64 : (int)n, -1, 0) == 1;
}

/* A certificate with all but issuer, extensions and signature. */
static X509 *
begin(const char *cn, const char *ou, int64_t from, int64_t to, EVP_PKEY *key)
{
    unsigned char serial[16];
    X509 *x = X509_new();
    BIGNUM *n = NULL;
    bool ok = x && RAND_bytes(serial, sizeof(serial)) == 1;
    if (ok) {
        serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40);
        n = BN_bin2bn(serial, sizeof(serial), NULL);
        ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) && X509_set_version(x, 2) == 1 &&
             ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from) &&
             ASN1_TIME_set(X509_getm_notAfter(x), (time_t)to) && X509_set_pubkey(x, key) == 1 &&
             set_subject(x, cn, ou);
    }
    BN_free(n);
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}

static enum mh_code
to_pem(struct mh_arena *a, X509 *x, EVP_PKEY *key, const char *kept_key, const char **cert_pem,
       const char **key_pem, struct mh_err *err)
{
    BIO *b = BIO_new(BIO_s_mem());
    BIO *c = BIO_new(BIO_s_mem());
    bool ok = b && c && PEM_write_bio_X509(b, x) == 1 &&
              PEM_write_bio_PrivateKey(c, key, NULL, NULL, 0, NULL, NULL) == 1;
    *cert_pem = ok ? bio_text(a, b) : NULL;
    *key_pem = !ok ? NULL : kept_key ? mh_arena_strdup(a, kept_key) : bio_text(a, c);
    BIO_free(b);
    if (c) { /* the buffer held the key */
        char *p = NULL;
        long n = BIO_get_mem_data(c, &p);
        if (n > 0)
            OPENSSL_cleanse(p, (size_t)n);
    }
    BIO_free(c);
    if (*cert_pem && *key_pem)
        return MH_OK;
    return mh_fail(err, MH_E_NOMEM, "certificate: no memory");
}

static enum mh_code
get_key(const char *kept, EVP_PKEY **out, struct mh_err *err)
{
    *out = kept ? key_of(kept) : EVP_EC_gen("P-256");
    if (*out)
        return MH_OK;
    return mh_ssl_fail(err, kept ? MH_E_INVALID : MH_E_INTERNAL, "private key");
}

enum mh_code
mh_x509_make_ca(struct mh_arena *a, const struct mh_x509_ca_spec *spec, const char **cert_pem,
                const char **key_pem, struct mh_err *err)
{
    EVP_PKEY *key = NULL;
    enum mh_code code = get_key(spec->key_pem, &key, err);
    if (code)
        return code;
    X509 *x = begin(spec->cn, spec->ou, spec->not_before, spec->not_after, key);
    if (x && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
        add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE") &&
        add_ext(x, x, NID_key_usage, "critical,keyCertSign,digitalSignature") &&
        add_ext(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, key, EVP_sha256()) > 0)
        code = to_pem(a, x, key, spec->key_pem, cert_pem, key_pem, err);
    else
        code = mh_ssl_fail(err, MH_E_INTERNAL, "ca certificate");
    X509_free(x);
    EVP_PKEY_free(key);
    return code;
}

static bool
sign_leaf(X509 *x, X509 *ca, EVP_PKEY *ca_key, const struct mh_x509_spec *spec)
{
    X509 *issuer = ca ? ca : x;
    return X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
           add_ext(x, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_ext(x, issuer, NID_key_usage, "critical,digitalSignature,keyAgreement") &&
           add_ext(x, issuer, NID_ext_key_usage,
                   spec->usage == MH_X509_SERVER ? "serverAuth" : "clientAuth") &&
           add_ext(x, issuer, NID_subject_key_identifier, "hash") &&
           (!ca || X509_get_ext_by_NID(ca, NID_subject_key_identifier, -1) < 0 ||
            add_ext(x, issuer, NID_authority_key_identifier, "keyid")) &&
           add_names(x, spec->dns_names, spec->uris) && X509_sign(x, ca_key, EVP_sha256()) > 0;
}

enum mh_code
mh_x509_issue(struct mh_arena *a, const struct mh_x509_spec *spec, const char **cert_pem,
              const char **key_pem, struct mh_err *err)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY *ca_key = NULL;
    X509 *ca = NULL;
    X509 *x = NULL;
    enum mh_code code = get_key(spec->key_pem, &key, err);
    if (code)
        return code;
    if (spec->ca_cert_pem) {
        ca = cert_of(spec->ca_cert_pem);
        ca_key = key_of(spec->ca_key_pem);
        if (!ca || !ca_key)
            code = mh_ssl_fail(err, MH_E_INVALID, "ca certificate or its key");
        else if (X509_check_private_key(ca, ca_key) != 1)
            code = mh_ssl_fail(err, MH_E_INVALID, "ca certificate and key do not belong together");
    }
    if (!code) {
        x = begin(spec->cn, spec->ou, spec->not_before, spec->not_after, key);
        if (x && sign_leaf(x, ca, ca_key ? ca_key : key, spec))
            code = to_pem(a, x, key, spec->key_pem, cert_pem, key_pem, err);
        else
            code = mh_ssl_fail(err, MH_E_INTERNAL, "certificate");
    }
    X509_free(x);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return code;
}

const char *
mh_x509_name_part(struct mh_arena *a, X509_NAME *name, int nid)
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at < 0)
        return "";
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (n < 0 || memchr(utf8, '\0', (size_t)n)) { /* a NUL inside would cut the name: no name */
        OPENSSL_free(utf8);
        return "";
    }
    const char *text = mh_arena_strndup(a, (const char *)utf8, (size_t)n);
    OPENSSL_free(utf8);
    return text;
}

static const char *
general_name(struct mh_arena *a, const GENERAL_NAME *g)
{
    int type;
    const ASN1_STRING *s = GENERAL_NAME_get0_value(g, &type);
    const unsigned char *p = ASN1_STRING_get0_data(s);
    size_t n = (size_t)ASN1_STRING_length(s);
    char text[INET6_ADDRSTRLEN];
    if (type == GEN_IPADD) {
        if ((n != 4 && n != 16) || !inet_ntop(n == 4 ? AF_INET : AF_INET6, p, text, sizeof(text)))
            return NULL;
        return mh_arena_strdup(a, text);
    }
    return memchr(p, '\0', n) ? NULL : mh_arena_strndup(a, (const char *)p, n);
}

static bool
read_names(struct mh_arena *a, X509 *x, struct mh_x509_info *info)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int n = names ? sk_GENERAL_NAME_num(names) : 0;
    if (n > NAMES_MAX)
        n = NAMES_MAX;
    const char **dns = mh_arena_alloc(a, ((size_t)n + 1) * sizeof(*dns));
    const char **uris = mh_arena_alloc(a, ((size_t)n + 1) * sizeof(*uris));
    int d = 0;
    int u = 0;
    for (int i = 0; dns && uris && i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type != GEN_DNS && g->type != GEN_IPADD && g->type != GEN_URI)
            continue;
        const char *text = general_name(a, g);
        if (text && g->type == GEN_URI)
            uris[u++] = text;
        else if (text)
            dns[d++] = text;
    }
    GENERAL_NAMES_free(names);
    info->dns_names = dns;
    info->uris = uris;
    return dns && uris;
}

static int64_t
unix_time(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

void
mh_x509_spki_hex(X509 *x, char out[65])
{
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    out[0] = '\0';
    if (n > 0)
        mh_sha256_hex(out, der, (size_t)n);
    OPENSSL_free(der);
}

enum mh_code
mh_x509_read(struct mh_arena *a, const char *pem, struct mh_x509_info *info, struct mh_err *err)
{
    *info = (struct mh_x509_info){ 0 };
    X509 *x = cert_of(pem);
    if (!x)
        return mh_ssl_fail(err, MH_E_INVALID, "certificate");
    info->cn = mh_x509_name_part(a, X509_get_subject_name(x), NID_commonName);
    info->ou = mh_x509_name_part(a, X509_get_subject_name(x), NID_organizationalUnitName);
    info->issuer_cn = mh_x509_name_part(a, X509_get_issuer_name(x), NID_commonName);
    info->not_before = unix_time(X509_get0_notBefore(x));
    info->not_after = unix_time(X509_get0_notAfter(x));
    info->is_ca = X509_check_ca(x) == 1;
    mh_x509_spki_hex(x, info->spki_sha256);
    bool ok = read_names(a, x, info) && info->cn && info->ou && info->issuer_cn;
    X509_free(x);
    ERR_clear_error();
    return ok ? MH_OK : mh_fail(err, MH_E_NOMEM, "certificate: no memory");
}

bool
mh_x509_signed_by(const char *cert_pem, const char *ca_pem)
{
    X509 *x = cert_of(cert_pem);
    BIO *b = ca_pem ? BIO_new_mem_buf(ca_pem, -1) : NULL;
    bool ok = false;
    X509 *ca;
    while (x && b && !ok && (ca = PEM_read_bio_X509(b, NULL, mh_ssl_no_password, NULL))) {
        ok = X509_verify(x, X509_get0_pubkey(ca)) == 1;
        X509_free(ca);
    }
    BIO_free(b);
    X509_free(x);
    ERR_clear_error();
    return ok;
}

bool
mh_x509_key_matches(const char *cert_pem, const char *key_pem)
{
    X509 *x = cert_of(cert_pem);
    EVP_PKEY *k = key_of(key_pem);
    bool ok = x && k && X509_check_private_key(x, k) == 1;
    X509_free(x);
    EVP_PKEY_free(k);
    ERR_clear_error();
    return ok;
}
