/* x509.h - certificates of a cluster and of the operator: EC P-256, SHA-256, PEM in and out.
 *
 * Pure functions of their input and OpenSSL's random generator; results are on the arena. Times are
 * unix seconds, given by the caller. Failures: INVALID (text is no certificate or key), NOMEM,
 * INTERNAL (OpenSSL failed for another reason). */
#ifndef MH_NET_X509_H
#define MH_NET_X509_H

#include <stdbool.h>
#include <stdint.h>

#include "moonherd/err.h"

#include "base/mem.h"

enum mh_x509_usage { MH_X509_SERVER, MH_X509_CLIENT };

struct mh_x509_ca_spec {
    const char *cn; /* at most 64 characters count; longer ones are cut */
    const char *ou; /* NULL: none */
    int64_t not_before;
    int64_t not_after;
    const char *key_pem; /* keep this key; NULL: a new one */
};

/* A self-signed CA (CA:TRUE, keyCertSign). */
enum mh_code mh_x509_make_ca(struct mh_arena *a, const struct mh_x509_ca_spec *spec,
                             const char **cert_pem, const char **key_pem, struct mh_err *err);

struct mh_x509_spec {
    const char *ca_cert_pem; /* NULL: self-signed */
    const char *ca_key_pem;
    const char *key_pem; /* keep this key (renewal); NULL: a new P-256 key */
    const char *cn;
    const char *ou;               /* NULL: none */
    const char *const *dns_names; /* ends with NULL; may be NULL. "10.0.0.1" becomes an IP name */
    const char *const *uris;      /* the same */
    enum mh_x509_usage usage;
    int64_t not_before;
    int64_t not_after;
};

enum mh_code mh_x509_issue(struct mh_arena *a, const struct mh_x509_spec *spec,
                           const char **cert_pem, const char **key_pem, struct mh_err *err);

struct mh_x509_info {
    const char *cn; /* "" without */
    const char *ou;
    const char *issuer_cn;
    int64_t not_before;
    int64_t not_after;
    const char *const
        *dns_names;          /* DNS and IP names as texts, in the certificate's order, NULL-ended */
    const char *const *uris; /* NULL-ended */
    bool is_ca;
    char spki_sha256[65]; /* hex of SHA-256 of the DER SubjectPublicKeyInfo */
};

/* Reads the first certificate of the text. */
enum mh_code mh_x509_read(struct mh_arena *a, const char *pem, struct mh_x509_info *info,
                          struct mh_err *err);
/* The first certificate's signature was made by the key of (one of) the CA certificates. */
bool mh_x509_signed_by(const char *cert_pem, const char *ca_pem);
/* The private key belongs to the first certificate. */
bool mh_x509_key_matches(const char *cert_pem, const char *key_pem);

#endif
