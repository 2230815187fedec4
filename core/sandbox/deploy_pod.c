/* deploy_pod.c - pods from templates, and what their owners ask about them. */
#include "base/log.h"
#include "sandbox/deploy_in.h"

static bool
add_pairs(yyjson_mut_doc *d, yyjson_mut_val *meta, const char *key, const char *const *pairs)
{
    yyjson_mut_val *o = yyjson_mut_obj_get(meta, key);
    if (!pairs || !pairs[0])
        return true;
    if (!o)
        o = yyjson_mut_obj_add_obj(d, meta, key);
    for (; o && pairs[0]; pairs += 2) {
        if (!yyjson_mut_obj_put(o, yyjson_mut_strcpy(d, pairs[0]), yyjson_mut_strcpy(d, pairs[1])))
            return false;
    }
    return o != NULL;
}

static bool
add_owner(yyjson_mut_doc *d, yyjson_mut_val *meta, const struct mh_sb_pod_from *from)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, meta, "ownerReferences");
    yyjson_mut_val *o = list ? yyjson_mut_arr_add_obj(d, list) : NULL;
    return o && yyjson_mut_obj_add_str(d, o, "apiVersion", from->api_version) &&
           yyjson_mut_obj_add_str(d, o, "kind", from->kind) &&
           yyjson_mut_obj_add_str(d, o, "name", mh_sb_name(from->owner)) &&
           yyjson_mut_obj_add_str(d, o, "uid", mh_sb_uid_of(from->owner)) &&
           yyjson_mut_obj_add_bool(d, o, "controller", true) &&
           yyjson_mut_obj_add_bool(d, o, "blockOwnerDeletion", true);
}

static void
on_created(struct mh_sb_task *t, struct mh_api_call *call)
{
    const char *name = mh_json_str(call->reply, "metadata", "name", NULL);
    bool job = t->worker == MH_SB_W_JOB;
    yyjson_val *owner = mh_sb_object(t->c, job ? MH_SB_JOBS : MH_SB_REPLICASETS, t->ns, t->name);
    char note[600];
    if (!owner)
        return;
    if (call->err.code == MH_OK)
        (void)snprintf(note, sizeof(note), "Created pod: %s", name ? name : "");
    else
        (void)snprintf(note, sizeof(note), "Error creating: %.500s", call->err.msg);
    mh_sb_event(t->c, job ? "job-controller" : "replicaset-controller", owner,
                call->err.code == MH_OK ? "Normal" : "Warning",
                call->err.code == MH_OK ? "SuccessfulCreate" : "FailedCreate", note);
}

void
mh_sb_create_pod(struct mh_sb_task *t, const struct mh_sb_pod_from *from)
{
    yyjson_val *template = mh_json_get(from->owner, "spec", "template", NULL);
    yyjson_mut_doc *d = mh_json_doc(&t->arena);
    yyjson_mut_val *o = d ? yyjson_mut_obj(d) : NULL;
    yyjson_mut_val *meta = o ? yyjson_val_mut_copy(d, yyjson_obj_get(template, "metadata")) : NULL;
    yyjson_mut_val *spec = o ? yyjson_val_mut_copy(d, yyjson_obj_get(template, "spec")) : NULL;
    if (!meta || !yyjson_mut_is_obj(meta))
        meta = o ? yyjson_mut_obj(d) : NULL;
    (void)yyjson_mut_obj_remove_key(meta, "creationTimestamp");
    (void)yyjson_mut_obj_remove_key(meta, "name");
    char *base = mh_sb_text(t, "%s-", mh_sb_name(from->owner));
    bool ok =
        meta && spec && base && yyjson_mut_obj_add_str(d, o, "apiVersion", "v1") &&
        yyjson_mut_obj_add_str(d, o, "kind", "Pod") &&
        yyjson_mut_obj_add_val(d, o, "metadata", meta) &&
        yyjson_mut_obj_add_val(d, o, "spec", spec) &&
        yyjson_mut_obj_put(meta, yyjson_mut_str(d, "generateName"), yyjson_mut_str(d, base)) &&
        yyjson_mut_obj_put(meta, yyjson_mut_str(d, "namespace"), yyjson_mut_str(d, t->ns)) &&
        add_pairs(d, meta, "labels", from->labels) &&
        add_pairs(d, meta, "annotations", from->annotations) && add_owner(d, meta, from);
    mh_sb_ctl_write_then(t, "POST", mh_sb_path(t->c, &t->arena, MH_SB_PODS, t->ns, NULL, NULL),
                         NULL, ok ? mh_json_mut_text(&t->arena, o, NULL) : NULL, on_created);
}

struct mh_sb_item **
mh_sb_owned(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *owner, size_t *n)
{
    yyjson_val *labels = mh_json_get(owner, "spec", "template", "metadata", "labels", NULL);
    size_t count, kept = 0;
    struct mh_sb_item **all = mh_sb_candidates(t->c, &t->arena, id, t->ns, labels, &count);
    for (size_t i = 0; all && i < count; i++) {
        yyjson_val *by = mh_sb_controller(all[i]->object);
        if (mh_str_eq(mh_json_str(by, "uid", NULL), mh_sb_uid_of(owner)))
            all[kept++] = all[i];
    }
    *n = kept;
    if (!all)
        mh_sb_failed(t);
    return all;
}

bool
mh_sb_pod_available(struct mh_sb_control *c, yyjson_val *pod, int64_t min_s, int64_t *wait_s)
{
    yyjson_val *ready = mh_sb_condition_of(pod, "Ready");
    if (!mh_sb_pod_ready(pod))
        return false;
    int64_t since = mh_sb_when(yyjson_obj_get(ready, "lastTransitionTime"), 0);
    int64_t left = since + min_s - mh_sb_wall_s(c);
    if (min_s <= 0 || left <= 0)
        return true;
    if (left < *wait_s)
        *wait_s = left;
    return false;
}

/* --- conditions ------------------------------------------------------------------------------ */

static void
add_condition(struct mh_sb_task *t, struct mh_buf *b, yyjson_val *old, const struct mh_sb_cond *now)
{
    char when[MH_TIME_TEXT];
    mh_sb_now_text(t->c, when);
    bool same = mh_str_eq(mh_json_str(old, "status", NULL), now->status);
    bool equal = same && mh_str_eq(mh_json_str(old, "reason", NULL), now->reason) &&
                 mh_str_eq(mh_json_str(old, "message", NULL), now->message);
    const char *since = same ? mh_json_str(old, "lastTransitionTime", NULL) : NULL;
    const char *updated = equal ? mh_json_str(old, "lastUpdateTime", NULL) : NULL;
    const char *probed = same ? mh_json_str(old, "lastProbeTime", NULL) : NULL;
    mh_buf_printf(b, "{\"type\":%s,\"status\":%s", mh_sb_quote(t, now->type),
                  mh_sb_quote(t, now->status));
    if (now->reason)
        mh_buf_printf(b, ",\"reason\":%s", mh_sb_quote(t, now->reason));
    if (now->message)
        mh_buf_printf(b, ",\"message\":%s", mh_sb_quote(t, now->message));
    if (now->update_time)
        mh_buf_printf(b, ",\"lastUpdateTime\":%s", mh_sb_quote(t, updated ? updated : when));
    else
        mh_buf_printf(b, ",\"lastProbeTime\":%s", mh_sb_quote(t, probed ? probed : when));
    mh_buf_printf(b, ",\"lastTransitionTime\":%s}", mh_sb_quote(t, since ? since : when));
}

const char *
mh_sb_conditions(struct mh_sb_task *t, yyjson_val *object, const struct mh_sb_cond *changes,
                 size_t n)
{
    struct mh_buf b;
    size_t i, max;
    int added = 0;
    yyjson_val *one, *list = mh_json_get(object, "status", "conditions", NULL);
    mh_buf_init(&b, 256 << 10);
    yyjson_arr_foreach(list, i, max, one)
    {
        const struct mh_sb_cond *change = NULL;
        for (size_t k = 0; k < n; k++) {
            if (mh_str_eq(changes[k].type, mh_json_str(one, "type", NULL)))
                change = &changes[k];
        }
        if (change && !change->status)
            continue;
        mh_buf_str(&b, added++ ? "," : "");
        if (change)
            add_condition(t, &b, one, change);
        else
            mh_buf_str(&b, mh_sb_json(t, one));
    }
    for (size_t k = 0; k < n; k++) {
        if (!changes[k].status || mh_sb_condition_of(object, changes[k].type))
            continue;
        mh_buf_str(&b, added++ ? "," : "");
        add_condition(t, &b, NULL, &changes[k]);
    }
    const char *out = b.failed ? NULL : mh_sb_text(t, "[%s]", mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

void
mh_sb_put_status(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *object,
                 const char *status)
{
    yyjson_val *want = NULL, *key, *v, *have = yyjson_obj_get(object, "status");
    size_t i, max;
    bool differs = false;
    if (!status || mh_json_parse(&t->arena, status, strlen(status), &want, NULL) != MH_OK) {
        mh_sb_failed(t);
        return;
    }
    yyjson_obj_foreach(want, i, max, key, v)
    {
        yyjson_val *old = yyjson_obj_get(have, yyjson_get_str(key));
        bool none = yyjson_is_null(v) || (yyjson_is_int(v) && yyjson_get_int(v) == 0) ||
                    (yyjson_is_arr(v) && yyjson_arr_size(v) == 0);
        differs = differs || (none && !old ? false : !mh_sb_same(old, v));
    }
    if (differs)
        mh_sb_ctl_write(t, "PATCH", mh_sb_path(t->c, &t->arena, id, t->ns, t->name, "status"),
                        MH_PATCH_MERGE, mh_sb_text(t, "{\"status\":%s}", status));
}
