#include "operator/owner.h"

#include <string.h>

#include "base/str.h"

static const struct mh_kind *
kind_of_ref(const struct mh_kinds *kinds, yyjson_val *ref)
{
    const char *version = mh_json_str(ref, "apiVersion", NULL);
    const char *kind = mh_json_str(ref, "kind", NULL);
    const char *slash = version ? strchr(version, '/') : NULL;
    size_t n = slash ? (size_t)(slash - version) : 0;
    for (int i = 0; kind && i < kinds->len; i++) {
        const struct mh_kind *k = kinds->items[i];
        if (mh_str_eq(k->kind, kind) && strlen(k->group) == n &&
            strncmp(k->group, version ? version : "", n) == 0)
            return k;
    }
    return NULL;
}

bool
mh_owner_of(const struct mh_kinds *kinds, yyjson_val *object, struct mh_owner *out)
{
    yyjson_arr_iter i =
        yyjson_arr_iter_with(mh_json_get(object, "metadata", "ownerReferences", NULL));
    yyjson_val *ref;
    while ((ref = yyjson_arr_iter_next(&i))) {
        if (!mh_json_bool(ref, false, "controller", NULL))
            continue;
        *out = (struct mh_owner){ .kind = kind_of_ref(kinds, ref),
                                  .name = mh_json_str(ref, "name", NULL),
                                  .uid = mh_json_str(ref, "uid", NULL) };
        return out->kind && out->name;
    }
    return false;
}
