/* fill.h - the values of secrets that scripts ask for but never see: passwords, CAs, certificates.
 *
 * A plan says {type = "password", username, dbname, host, port, namespace, cluster_domain},
 * {type = "ca", cn, ou}, {type = "certificate", ca = secret name, cn, dns_names, usage} (with
 * duration_s where 90 days do not fit) or {type = "copy", namespace, name} of another Secret.
 * Results are data of a Secret (base64) on the arena. */
#ifndef MH_OPERATOR_FILL_H
#define MH_OPERATOR_FILL_H

#include "base/json.h"
#include "base/world.h"

struct mh_fill_env {
    const struct mh_rand *rand;
    int64_t now_s;
    int64_t duration_s; /* of certificates, unless the fill says otherwise */
};

/* What is already there: PEM texts, NULL where not. */
struct mh_fill_have {
    const char *ca_cert;
    const char *ca_key;
    const char *key;    /* of the certificate or CA to renew: kept */
    yyjson_val *source; /* the Secret to copy, as read */
};

/* A Secret that must be read first: whose key signs, or which is copied. */
struct mh_fill_source {
    const char *ns; /* NULL: that of the Secret to be made */
    const char *name;
};

/* Where the keys go: data is an object of doc. */
struct mh_fill_out {
    yyjson_mut_doc *doc;
    yyjson_mut_val *data;
};

/* False if nothing has to be read. */
bool mh_fill_source(yyjson_val *fill, struct mh_fill_source *out);
/* Adds the keys to out. INVALID for an unknown fill, UNAVAILABLE without
 * randomness, NOMEM, INTERNAL. */
enum mh_code mh_fill_make(struct mh_arena *a, const struct mh_fill_env *env, yyjson_val *fill,
                          const struct mh_fill_have *have, const struct mh_fill_out *out,
                          struct mh_err *err);
/* Decodes one key of a Secret read from the API; NULL if absent or bad. */
const char *mh_fill_decode(struct mh_arena *a, yyjson_val *secret, const char *key);

#endif
