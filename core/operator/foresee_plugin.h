/* foresee_plugin.h - what an edit of an object of a plugin would do: one dry pass of the version in charge.
 *
 * The edited object is observed and planned as in a pass, with what the plugin was granted; nothing is
 * carried out, no event told, nothing remembered. The result is
 *
 *     {"by":"NAMESPACE/CONFIGMAP/KEY@HASH","steps":[{"verb","kind","name",...}],
 *      "rest":{"phase","reason","again_s"}}      or {"none":true}: no plugin serves this kind
 *
 * A step names what it is about and which fields it touches, never what is in them: who may edit an
 * object need not have the right to read what its plugin reads. */
#ifndef MH_OPERATOR_FORESEE_PLUGIN_H
#define MH_OPERATOR_FORESEE_PLUGIN_H

#include "operator/foresee.h"
#include "operator/plugin.h"

struct mh_plugin_work;

/* As mh_foresee_start; it sets planner and kind. done may come from inside. */
void mh_foresee_plugin(struct mh_plugins *all, struct mh_foresee *f);
/* The work ends: what was asked of it fails. */
void mh_foresee_plugin_stop(struct mh_plugin_work *w);

#endif
