/* rest_default.h - inside of the built-in kinds' defaults and first states. */
#ifndef MH_SANDBOX_REST_DEFAULT_H
#define MH_SANDBOX_REST_DEFAULT_H

#include "sandbox/rest_in.h"

struct mh_sb_default_rule {
    const char *kind; /* or POD, WEBHOOKS */
    const char *path;
    const char *json;
};
extern const struct mh_sb_default_rule mh_sb_default_rules[];
extern const size_t mh_sb_ndefault_rules;

/* The spec of the pods of a kind: "spec", "spec.template.spec", ...; NULL: it has none. */
const char *mh_sb_pod_path(const struct mh_sb_resource *r);
/* Is this the built-in kind of that name? */
/* What is there now as it is stored: a Service by name has one field that nobody is shown, as long
 * as somebody owns it. NULL: nothing is there, or no memory. */
yyjson_val *mh_sb_stored_live(struct mh_sb_op *op);
bool mh_sb_is_kind(const struct mh_sb_op *op, const char *kind);
/* Parses into the object's document; NULL: no memory. */
yyjson_mut_val *mh_sb_mjson(struct mh_sb_op *op, const char *json);

/* --- rest_pod.c --- */
/* Defaults of a pod's spec that depend on other fields. */
bool mh_sb_pod_defaults(struct mh_sb_op *op, yyjson_mut_val *spec);
/* What admission and the server give a new pod. */
bool mh_sb_pod_first(struct mh_sb_op *op);

#endif
