/* secrets.h - what the cache may keep of a Secret: no value, only its hash; and certificates.
 *
 * data.KEY becomes the first 12 hex digits of the SHA-256 of the value, certificates.KEY tells of
 * each value that is a certificate: {not_before, not_after, cn, issuer, dns_names, spki}. The PEM of
 * every ca.crt is kept aside for our own TLS. */
#ifndef MH_OPERATOR_SECRETS_H
#define MH_OPERATOR_SECRETS_H

#include "base/json.h"
#include "base/map.h"

struct mh_secrets {
    struct mh_map cas; /* "namespace/name" -> PEM of ca.crt */
};

void mh_secrets_init(struct mh_secrets *s);
void mh_secrets_release(struct mh_secrets *s);
/* For mh_cache_source.trim; arg is the struct mh_secrets, or NULL. */
bool mh_secrets_trim(void *arg, yyjson_mut_doc *doc, yyjson_mut_val *object);
/* The PEM, NULL if unknown; valid until the secret changes. */
const char *mh_secrets_ca(const struct mh_secrets *s, const char *ns, const char *name);
/* Keeps one that was read from the API; NULL forgets it. */
void mh_secrets_put_ca(struct mh_secrets *s, const char *ns, const char *name, const char *pem);

#endif
