/* plugin_secret.h - handles of secrets in what a plugin makes (see plugin_secret.c). */
#ifndef MH_OPERATOR_PLUGIN_SECRET_H
#define MH_OPERATOR_PLUGIN_SECRET_H

#include "operator/plugin_guard.h"

/* {"secret","key","handle":true} */
bool mh_plugin_is_handle(yyjson_val *v);
/* Under data or stringData of an object. */
bool mh_plugin_has_handle(yyjson_val *object);
/* Anywhere in a value that people may read. */
bool mh_plugin_tells_handle(yyjson_val *v);
/* Whether each handle of an action stands where one may, and leads where t may read; own_ns is the
 * namespace of the object whose pass it is. REFUSED, SCRIPT. */
enum mh_code mh_plugin_may_handles(const struct mh_plugin *p, const struct mh_plugin_text *t,
                                   yyjson_val *action, const char *own_ns, struct mh_err *err);
/* Whether a write may have handles in it. */
bool mh_plugin_fills(const struct mh_api_call *call);
/* Carries out g->call with the values; mh_plugin_guarded_done follows, maybe from inside. */
void mh_plugin_fill_start(struct mh_guarded *g);
void mh_plugin_fill_cancel(struct mh_guarded *g);

#endif
