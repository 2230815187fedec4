/* scripts_finish.c - plans of controllers of the image that want no more than a plugin: what they return
 * is checked, owned and worded by plugins/lib/host, as a plugin's is. */
#include "operator/plugin.h"
#include "operator/scripts_in.h"

static yyjson_val *
argument(const struct mh_scripts_run *run, yyjson_val *plan)
{
    const struct mh_planner_call *call = run->call;
    yyjson_alc alc = mh_json_alc(call->arena);
    yyjson_mut_doc *doc = mh_json_doc(call->arena);
    yyjson_mut_val *given = yyjson_mut_obj(doc);
    if (!given)
        return NULL;
    yyjson_mut_obj_add_str(doc, given, "finalizer", MH_PLUGIN_FINALIZER);
    yyjson_mut_obj_add_bool(doc, given, "finalizes", run->needs->finalizes);
    yyjson_mut_obj_add_strcpy(doc, given, "kind_key", call->kind);
    yyjson_mut_obj_add_strcpy(doc, given, "name", run->needs->name);
    if (plan)
        yyjson_mut_obj_add_val(doc, given, "plan", yyjson_val_mut_copy(doc, plan));
    yyjson_mut_obj_add_val(doc, given, "object", yyjson_val_mut_copy(doc, call->object));
    return yyjson_doc_get_root(yyjson_mut_val_imut_copy(given, &alc));
}

bool
mh_scripts_finish(struct mh_scripts_run *run, yyjson_val *plan)
{
    struct mh_planner_call *call = run->call;
    struct mh_script_call of = { .field = "finish", .nargs = 1 };
    yyjson_val *out = NULL;
    of.args[0].value = argument(run, plan);
    if (!of.args[0].value) {
        mh_fail(&call->err, MH_E_NOMEM, "no memory for a plan");
        return false;
    }
    if (mh_controller_run(run->needs->host, call->arena, &of, &call->err) != MH_OK ||
        mh_json_parse(call->arena, of.out, of.out_len, &out, &call->err) != MH_OK)
        return false;
    const char *error = mh_json_str(out, "error", NULL);
    if (error)
        mh_fail(&call->err, MH_E_SCRIPT, "controllers/%s.lua: plan: %s", run->needs->name, error);
    else if (!mh_json_bool(out, false, "ask", NULL))
        call->plan = mh_json_canonical(call->arena, out, &call->plan_len);
    return call->plan != NULL;
}
