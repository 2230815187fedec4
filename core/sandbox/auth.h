/* auth.h - who asks: the sandbox's own CA, the admin's token, tokens of service accounts.
 *
 * Keys are files of a directory (0600) and are kept between starts. Owner: the caller's structure;
 * init may be called once, release frees. Nobody without a token is anybody. */
#ifndef MH_SANDBOX_AUTH_H
#define MH_SANDBOX_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/world.h"
#include "sandbox/rest.h"

#define MH_SB_ISSUER "https://kubernetes.default.svc.cluster.local"
#define MH_SB_ADMIN "kubernetes-admin"
#define MH_SB_KEY_LEN 32

struct mh_sb_auth {
    /* ready after init */
    const char *ca_pem;
    const char *cert_pem; /* of the API server */
    const char *key_pem;
    const char *admin_token;
    /* private */
    const char *ca_key_pem;
    char sa_key[MH_SB_KEY_LEN];
    struct mh_clock clock;
    struct mh_rand rand;
    struct mh_sb_api
        *api; /* set by the caller once there is one: accounts and pods are looked up */
    struct mh_arena arena;
};

struct mh_sb_who {
    const char *user;
    const char *uid;           /* NULL: none */
    const char *const *groups; /* ends with NULL */
    /* of a service account's token; NULL: none */
    const char *pod;
    const char *pod_uid;
    const char *node;
    const char *credential; /* "JTI=..." */
    const char *why;        /* of a refused token: for whom it is; NULL: nothing to say */
};

/* Reads or makes the keys in dir, and a certificate for the addresses (NULL-ended; names of the
 * Service kubernetes are added). IO, INVALID (a key file is damaged), NOMEM. */
enum mh_code mh_sb_auth_init(struct mh_sb_auth *auth, const char *dir, const char *const *addresses,
                             struct mh_clock clock, struct mh_rand rand, struct mh_err *err);
void mh_sb_auth_release(struct mh_sb_auth *auth);

/* Whose token is this? Texts of *who are on the arena. False: nobody's (expired, its account or pod
 * is gone, not for one of the audiences; audiences NULL: the API's own). */
bool mh_sb_auth_check(struct mh_sb_auth *auth, struct mh_arena *a, const char *token,
                      const char *const *audiences, struct mh_sb_who *who);
/* The user, groups and all, that a name stands for ("system:serviceaccount:ns:name" has groups).
 * False: no memory. */
bool mh_sb_auth_groups(struct mh_arena *a, const char *user, const char *const *more,
                       struct mh_sb_who *who);

struct mh_sb_token_spec {
    const char *ns;
    const char *account;
    const char *account_uid;
    const char *pod; /* bound to it; NULL: to the account only */
    const char *pod_uid;
    const char *node;             /* of the pod; NULL: none yet */
    const char *const *audiences; /* NULL: the API's own */
    int64_t seconds;
};
/* NULL: no memory or no randomness. *expires: unix seconds. */
char *mh_sb_auth_issue(struct mh_sb_auth *auth, struct mh_arena *a,
                       const struct mh_sb_token_spec *spec, int64_t *expires);

/* The text of a kubeconfig for the admin; NULL: no memory. */
char *mh_sb_auth_kubeconfig(const struct mh_sb_auth *auth, struct mh_arena *a, const char *server);

#endif
