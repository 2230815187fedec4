/* kinds_in.h - inside of the registry of kinds. */
#ifndef MH_SANDBOX_KINDS_IN_H
#define MH_SANDBOX_KINDS_IN_H

#include "sandbox/kinds.h"

struct mh_sb_builtin {
    const char *group;
    const char *kind;
    const char *plural;
    const char *short_names; /* "a,b" */
    const char *categories;
    bool namespaced;
    unsigned traits;
};
extern const struct mh_sb_builtin mh_sb_builtins[];
extern const int mh_sb_nbuiltins;

/* The components of the built-in kinds by name, on the arena. Fails NOMEM. */
enum mh_code mh_sb_kinds_schemas(struct mh_arena *a, yyjson_val **out, struct mh_err *err);

#endif
