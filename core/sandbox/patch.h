/* patch.h - the three patches that need no field ownership (apply is in fields.h).
 *
 * Each takes the object as it is and returns the object as it becomes, in `doc` (NULL is no
 * possible result). The patch is not trusted.
 * Fails: MH_E_INVALID - the patch itself is malformed (the server answers 400 BadRequest);
 * MH_E_REFUSED - it does not apply to this object (422 Invalid, err->msg is the message);
 * MH_E_LIMIT - too many operations (413); MH_E_NOMEM. err->msg is as the real server words it. */
#ifndef MH_SANDBOX_PATCH_H
#define MH_SANDBOX_PATCH_H

#include "sandbox/schema.h"
#include "sandbox/shape.h"

#define MH_SB_PATCH_OPS_MAX 10000

/* RFC 6902: application/json-patch+json. */
enum mh_code mh_sb_patch_json(yyjson_mut_doc *doc, yyjson_val *obj, yyjson_val *patch,
                              yyjson_mut_val **out, struct mh_err *err);
/* RFC 7386: application/merge-patch+json. */
enum mh_code mh_sb_patch_merge(yyjson_mut_doc *doc, yyjson_val *obj, yyjson_val *patch,
                               yyjson_mut_val **out, struct mh_err *err);
/* application/strategic-merge-patch+json; schema: of the whole object (merge keys and strategies
 * from x-kubernetes-patch-*). CRDs have none: the server answers 415 and does not come here. */
enum mh_code mh_sb_patch_strategic(yyjson_mut_doc *doc, const struct mh_sb_schema *schema,
                                   yyjson_val *obj, yyjson_val *patch, yyjson_mut_val **out,
                                   struct mh_err *err);

#endif
