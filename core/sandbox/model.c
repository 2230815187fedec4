/* model.c - which pods are modelled. */
#include "sandbox/model.h"

#include "base/str.h"

bool
mh_sb_is_modelled(yyjson_val *pod)
{
    return mh_str_eq(mh_json_str(pod, "metadata", "annotations", MH_SB_MODELLED, NULL), "true");
}
