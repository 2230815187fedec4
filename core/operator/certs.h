/* certs.h - the certificate of our webhook server: made, kept in secrets, renewed, announced.
 *
 * Secrets cnpg-ca-secret and cnpg-webhook-cert of our namespace are created if absent and read
 * back otherwise (also when another replica was first); caBundle of both webhook configurations is
 * patched when it is not the certificate that we serve, likewise the path by which reviews of needs
 * come. Repeated every hour, after a failure with back-off, and a second after somebody else has
 * written or made one of the configurations (watches; later when that happens again and again). With
 * WEBHOOK_CERT_DIR the files tls.crt and tls.key there are used instead. */
#ifndef MH_OPERATOR_CERTS_H
#define MH_OPERATOR_CERTS_H

#include "base/world.h"
#include "kube/kinds.h"

#define MH_CERTS_HOOKS 2

struct mh_certs {
    /* set by the caller */
    struct mh_clock clock;
    struct mh_api api;
    struct mh_fs fs;
    const struct mh_kinds *kinds;
    const char *name_space;
    const char *service;   /* "cnpg-webhook-service" */
    const char *ca_name;   /* "cnpg-ca-secret" */
    const char *cert_name; /* "cnpg-webhook-cert" */
    const char *dir;       /* WEBHOOK_CERT_DIR or NULL */
    const char *const
        *hooks; /* paths of webhook configurations, NULL-ended, at most MH_CERTS_HOOKS; or NULL */
    int64_t duration_s; /* of certificates */
    int64_t renew_s;    /* renewed when less is left */
    /* A certificate to serve from now on. */
    void (*on_ready)(void *arg, const char *cert_pem, const char *key_pem);
    void *arg;
    /* private */
    int step;
    size_t hook;
    const char *ca_cert, *ca_key; /* on the arena */
    const char *cert, *key;
    const char *secret_rv; /* of a cert secret to replace; NULL: to create */
    char *served;          /* what on_ready got last, the certificate and then the key */
    size_t served_cert;    /* length of the first */
    struct mh_arena arena;
    struct mh_api_call call;
    struct mh_timer *timer;
    int64_t due; /* when the timer fires */
    struct mh_watch *watches[MH_CERTS_HOOKS];
    int64_t disturbed_at;
    unsigned disturbed; /* how often one was changed lately */
    unsigned failures;
    bool calling;
    bool again; /* one was changed while a round was under way */
};

/* Begins; the fields above are set. */
void mh_certs_start(struct mh_certs *c);
void mh_certs_release(struct mh_certs *c);

#endif
