#include "ha/swap.h"

#include <stdio.h>

static bool
note(yyjson_mut_doc *d, yyjson_mut_val *notes, const char *key, const char *value)
{
    if (!value)
        return true;
    if (!*value)
        return yyjson_mut_obj_add_null(d, notes, key);
    return yyjson_mut_obj_add_strcpy(d, notes, key, value);
}

bool
mh_ha_swap_notes(yyjson_mut_doc *d, yyjson_mut_val *notes, const struct mh_ha_lease *lease,
                 const struct mh_ha_swap *to)
{
    char lineage[64];
    (void)snprintf(lineage, sizeof(lineage), "%u:%llu:%llu", to->lineage.timeline,
                   (unsigned long long)to->lineage.made,
                   (unsigned long long)(to->term ? to->term : lease->term));
    return note(d, notes, "moonherd.io/phase", mh_ha_phase_name(to->phase)) &&
           note(d, notes, "moonherd.io/lineage", to->has_lineage ? lineage : NULL) &&
           note(d, notes, "moonherd.io/address", to->address) &&
           note(d, notes, "moonherd.io/candidate", to->candidate) &&
           note(d, notes, "moonherd.io/served", to->served) &&
           note(d, notes, "moonherd.io/incarnation", to->incarnation);
}

char *
mh_ha_swap_patch(struct mh_arena *a, const struct mh_ha_lease *lease, const struct mh_ha_swap *to)
{
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    yyjson_mut_val *meta = root ? yyjson_mut_obj_add_obj(d, root, "metadata") : NULL;
    yyjson_mut_val *notes = meta ? yyjson_mut_obj_add_obj(d, meta, "annotations") : NULL;
    yyjson_mut_val *spec = notes ? yyjson_mut_obj_add_obj(d, root, "spec") : NULL;
    if (!spec || !lease->resource_version || !*lease->resource_version ||
        !yyjson_mut_obj_add_strcpy(d, meta, "resourceVersion", lease->resource_version) ||
        !mh_ha_swap_notes(d, notes, lease, to) ||
        (to->holder && !yyjson_mut_obj_add_strcpy(d, spec, "holderIdentity", to->holder)) ||
        (to->term && !yyjson_mut_obj_add_uint(d, spec, "leaseTransitions", to->term)))
        return NULL;
    return mh_json_mut_text(a, root, NULL);
}
