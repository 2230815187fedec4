/* owner.h - to which object another one belongs. */
#ifndef MH_OPERATOR_OWNER_H
#define MH_OPERATOR_OWNER_H

#include "kube/kinds.h"

struct mh_owner {
    const struct mh_kind *kind;
    const char *name; /* of the object's own texts */
    const char *uid;
};

/* The controlling owner; false if there is none of a known kind. */
bool mh_owner_of(const struct mh_kinds *kinds, yyjson_val *object, struct mh_owner *out);

#endif
