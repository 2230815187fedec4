/* ops.c - what each op of a plan does: one function a row, called again after every answer with
 * act->step raised and the outcome in act->err. */
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "net/crypto.h"
#include "operator/actions.h"
#include "operator/fill.h"
#include "operator/plugin_secret.h"

#define APPLIED_MAX 20000

/* --- what was applied -------------------------------------------------------------------------- */

struct mh_applied {
    struct mh_map map; /* "kind ns name" -> "hash rv" */
};

struct mh_applied *
mh_applied_new(void)
{
    struct mh_applied *p = mh_calloc(1, sizeof(*p));
    if (p)
        mh_map_init(&p->map, APPLIED_MAX);
    return p;
}

void
mh_applied_free(struct mh_applied *p)
{
    for (size_t i = 0; p && i < p->map.len; i++)
        mh_free(p->map.entries[i].value);
    if (p)
        mh_map_release(&p->map);
    mh_free(p);
}

static const char *
applied_key(struct mh_arena *a, const char *kind, const char *ns, const char *name)
{
    return mh_arena_printf(a, "%s %s %s", kind, ns ? ns : "", name);
}

void
mh_applied_forget(struct mh_applied *p, const char *kind, const char *ns, const char *name)
{
    struct mh_arena a;
    mh_arena_init(&a, 4096);
    const char *key = applied_key(&a, kind, ns, name);
    if (p && key)
        mh_free(mh_map_remove(&p->map, key));
    mh_arena_release(&a);
}

static char *
applied_value(struct mh_arena *a, const char *hash, const char *rv)
{
    return mh_arena_printf(a, "%.24s %s", hash, rv);
}

void
mh_applied_put(struct mh_applied *p, const char *key, const char *hash, const char *rv)
{
    struct mh_arena a;
    void *old = NULL;
    mh_arena_init(&a, 4096);
    char *text = applied_value(&a, hash, rv), *kept = text ? mh_strdup(text) : NULL;
    if (kept && !mh_map_put(&p->map, key, kept, &old))
        old = kept;
    mh_free(old);
    mh_arena_release(&a);
}

bool
mh_applied_is(const struct mh_applied *p, const char *key, const char *hash, const char *rv)
{
    struct mh_arena a;
    mh_arena_init(&a, 4096);
    const char *have = mh_map_get(&p->map, key), *want = applied_value(&a, hash, rv);
    bool same = have && want && strcmp(have, want) == 0;
    mh_arena_release(&a);
    return same;
}

/* --- helpers ----------------------------------------------------------------------------------- */

/* Aims at action.object. */
static bool
target_object(struct mh_act *act, yyjson_val *action)
{
    yyjson_val *o = yyjson_obj_get(action, "object");
    return mh_act_target(act, mh_kind_of(act->env->kinds, o),
                         mh_json_str(o, "metadata", "namespace", NULL),
                         mh_json_str(o, "metadata", "name", NULL));
}

/* Aims at action.kind (or `kind`), namespace and name. */
static bool
target_named(struct mh_act *act, yyjson_val *action, const char *kind)
{
    const char *k = mh_json_str(action, "kind", NULL);
    const char *ns = mh_json_str(action, "namespace", NULL);
    k = k ? k : kind;
    ns = ns ? ns : mh_json_str(act->object, "metadata", "namespace", NULL);
    return mh_act_target(act, k ? mh_kind_find(act->env->kinds, k) : NULL, ns,
                         mh_json_str(action, "name", NULL));
}

static const char *
path_of(struct mh_act *act, const char *sub)
{
    return mh_kube_path(act->arena, act->kind, act->ns, act->name, sub);
}

static const char *
managed(struct mh_act *act, const char *path)
{
    const char *who = act->env->field_manager; /* of a plugin */
    return path ? mh_kube_query(act->arena, path, "fieldManager", who ? who : MH_FIELD_MANAGER)
                : NULL;
}

/* A copy of v in doc under key, if v is there. */
static void
copy_as(yyjson_mut_doc *doc, yyjson_mut_val *to, const char *key, yyjson_val *v)
{
    if (v)
        yyjson_mut_obj_add(to, yyjson_mut_strcpy(doc, key), yyjson_val_mut_copy(doc, v));
}

static enum mh_act_step
no_memory(struct mh_act *act)
{
    return mh_act_fail(act, MH_E_NOMEM, "no memory for action %s", act->op);
}

/* Sends root as body. */
static enum mh_act_step
send_json(struct mh_act *act, const char *method, const char *path, const char *type,
          yyjson_mut_val *root)
{
    const char *body = root ? mh_json_mut_text(act->arena, root, NULL) : NULL;
    return body ? mh_act_send(act, method, path, type, body) : no_memory(act);
}

static enum mh_act_step
outcome(const struct mh_act *act)
{
    return act->err.code == MH_OK ? MH_ACT_DONE : MH_ACT_FAILED;
}

/* --- apply, patch, label, delete --------------------------------------------------------------- */

/* True if nobody touched the object since this very text was applied. */
static bool
applied_before(struct mh_act *act, const char *key)
{
    if (!act->env->applied || !act->env->cache || !key)
        return false;
    yyjson_val *have =
        mh_cache_get(act->env->cache, act->arena, act->kind, act->ns, act->name, NULL);
    const char *rv = mh_json_str(have, "metadata", "resourceVersion", NULL);
    return rv && mh_applied_is(act->env->applied, key, act->text_hash, rv);
}

static enum mh_act_step
op_apply(struct mh_act *act, yyjson_val *action)
{
    if (act->step == 0) {
        yyjson_val *object = yyjson_obj_get(action, "object");
        if (!target_object(act, action))
            return MH_ACT_FAILED;
        size_t len;
        char *body = mh_json_text(act->arena, object, &len);
        char *hash = mh_arena_alloc(act->arena, MH_SHA256_HEX);
        if (!body || !hash)
            return no_memory(act);
        mh_sha256_hex(hash, body, len);
        act->text_hash = hash;
        if (!mh_plugin_has_handle(object) && /* else the text says nothing of the values */
            applied_before(act, applied_key(act->arena, act->kind->key, act->ns, act->name)))
            return MH_ACT_DONE;
        const char *path = managed(act, path_of(act, NULL));
        path = path ? mh_kube_query(act->arena, path, "force", "true") : NULL;
        return mh_act_send(act, "PATCH", path, MH_PATCH_APPLY, body);
    }
    const char *rv = mh_json_str(act->call.reply, "metadata", "resourceVersion", NULL);
    const char *key = applied_key(act->arena, act->kind->key, act->ns, act->name);
    if (act->err.code == MH_OK && rv && key && act->env->applied)
        mh_applied_put(act->env->applied, key, act->text_hash, rv);
    return outcome(act);
}

static enum mh_act_step
op_patch(struct mh_act *act, yyjson_val *action)
{
    if (act->step > 0)
        return outcome(act);
    const char *type = mh_json_str(action, "type", NULL);
    yyjson_val *body = yyjson_obj_get(action, "body");
    if (!target_named(act, action, NULL))
        return MH_ACT_FAILED;
    bool json = mh_str_eq(type, "json");
    if (!(json ? yyjson_is_arr(body) : yyjson_is_obj(body)))
        return mh_act_fail(act, MH_E_SCRIPT, "action patch: no body that fits its type");
    const char *text = mh_json_text(act->arena, body, NULL);
    const char *path = managed(act, path_of(act, mh_json_str(action, "subresource", NULL)));
    return text ? mh_act_send(act, "PATCH", path, json ? MH_PATCH_JSON : MH_PATCH_MERGE, text)
                : no_memory(act);
}

static enum mh_act_step
op_label(struct mh_act *act, yyjson_val *action)
{
    if (act->step > 0)
        return outcome(act);
    yyjson_mut_doc *doc = mh_json_doc(act->arena);
    if (!target_named(act, action, NULL))
        return MH_ACT_FAILED;
    if (!doc)
        return no_memory(act);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    copy_as(doc, meta, "labels", yyjson_obj_get(action, "labels"));
    copy_as(doc, meta, "annotations", yyjson_obj_get(action, "annotations"));
    copy_as(doc, meta, "uid", yyjson_obj_get(action, "uid"));
    return send_json(act, "PATCH", managed(act, path_of(act, NULL)), MH_PATCH_MERGE, root);
}

static enum mh_act_step
delete_done(struct mh_act *act)
{
    bool gone = act->err.code == MH_E_NOTFOUND ||
                (act->err.code == MH_OK && !mh_kind_of(act->env->kinds, act->call.reply));
    if (gone)
        mh_act_gone(act, act->uid);
    return gone ? MH_ACT_DONE : outcome(act);
}

static enum mh_act_step
op_delete(struct mh_act *act, yyjson_val *action)
{
    if (act->step > 0)
        return delete_done(act);
    if (!target_named(act, action, NULL))
        return MH_ACT_FAILED;
    act->uid = mh_json_str(action, "uid", NULL);
    if (!act->uid)
        return mh_act_fail(act, MH_E_SCRIPT, "action delete: without uid nothing is deleted");
    yyjson_mut_doc *doc = mh_json_doc(act->arena);
    if (!doc)
        return no_memory(act);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    copy_as(doc, root, "gracePeriodSeconds", yyjson_obj_get(action, "grace_s"));
    copy_as(doc, root, "propagationPolicy", yyjson_obj_get(action, "propagation"));
    yyjson_mut_val *pre = yyjson_mut_obj_add_obj(doc, root, "preconditions");
    copy_as(doc, pre, "uid", yyjson_obj_get(action, "uid"));
    copy_as(doc, pre, "resourceVersion", yyjson_obj_get(action, "resourceVersion"));
    return send_json(act, "DELETE", path_of(act, NULL), NULL, root);
}

/* --- create and renew, with values made here --------------------------------------------------- */

static enum mh_act_step
get_source(struct mh_act *act, const struct mh_fill_source *from)
{
    const char *ns = from->ns ? from->ns : act->ns;
    return mh_act_send(act, "GET", mh_kube_path(act->arena, act->kind, ns, from->name, NULL), NULL,
                       NULL);
}

/* Makes the values; `source` is the Secret that signs or is copied, read from the API, or NULL. */
static bool
fill_into(struct mh_act *act, yyjson_val *fill, yyjson_val *source, const char *key,
          const struct mh_fill_out *out)
{
    struct mh_fill_env env = { .rand = &act->env->rand,
                               .now_s = act->env->clock.wall_us(act->env->clock.self) / 1000000,
                               .duration_s = act->env->certificate_s };
    struct mh_fill_have have = { .ca_cert = mh_fill_decode(act->arena, source, "ca.crt"),
                                 .ca_key = mh_fill_decode(act->arena, source, "ca.key"),
                                 .key = key,
                                 .source = source };
    return mh_fill_make(act->arena, &env, fill, &have, out, &act->err) == MH_OK;
}

static enum mh_act_step
post_object(struct mh_act *act, yyjson_val *action, yyjson_val *source)
{
    yyjson_mut_doc *doc = mh_json_doc(act->arena);
    yyjson_mut_val *root = yyjson_val_mut_copy(doc, yyjson_obj_get(action, "object"));
    yyjson_val *fill = yyjson_obj_get(action, "fill");
    if (!root)
        return no_memory(act);
    if (fill) {
        struct mh_fill_out out = { doc, yyjson_mut_obj_get(root, "data") };
        if (!out.data)
            out.data = yyjson_mut_obj_add_obj(doc, root, "data");
        if (!fill_into(act, fill, source, NULL, &out))
            return MH_ACT_FAILED;
    }
    return send_json(act, "POST",
                     managed(act, mh_kube_path(act->arena, act->kind, act->ns, NULL, NULL)), NULL,
                     root);
}

static enum mh_act_step
op_create(struct mh_act *act, yyjson_val *action)
{
    struct mh_fill_source from;
    bool reads = mh_fill_source(yyjson_obj_get(action, "fill"), &from);
    if (act->step == 0) {
        if (!target_object(act, action))
            return MH_ACT_FAILED;
        return reads ? get_source(act, &from) : post_object(act, action, NULL);
    }
    if (act->step == 1 && reads)
        return act->err.code == MH_OK ? post_object(act, action, act->call.reply) : MH_ACT_FAILED;
    return act->err.code == MH_E_EXISTS ? MH_ACT_DONE : outcome(act);
}

/* The private key that the secret has: certificates first, else a CA's. */
static const char *
key_of(struct mh_act *act, yyjson_val *secret)
{
    const char *key = mh_fill_decode(act->arena, secret, "tls.key");
    return key ? key : mh_fill_decode(act->arena, secret, "ca.key");
}

/* null takes a key away, unless a value comes for it. */
static void
forget_keys(yyjson_mut_doc *doc, yyjson_mut_val *data, yyjson_val *old)
{
    yyjson_obj_iter i = yyjson_obj_iter_with(yyjson_obj_get(old, "data"));
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i)))
        yyjson_mut_obj_add(data, yyjson_val_mut_copy(doc, k), yyjson_mut_null(doc));
}

static enum mh_act_step
patch_secret(struct mh_act *act, yyjson_val *fill, yyjson_val *old, yyjson_val *source)
{
    yyjson_mut_doc *doc = mh_json_doc(act->arena);
    if (!doc)
        return no_memory(act);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    copy_as(doc, meta, "resourceVersion", mh_json_get(old, "metadata", "resourceVersion", NULL));
    struct mh_fill_out out = { doc, yyjson_mut_obj_add_obj(doc, root, "data") };
    if (mh_str_eq(mh_json_str(fill, "type", NULL), "copy"))
        forget_keys(doc, out.data, old);
    if (!fill_into(act, fill, source, key_of(act, old), &out))
        return MH_ACT_FAILED;
    return send_json(act, "PATCH", managed(act, path_of(act, NULL)), MH_PATCH_MERGE, root);
}

static enum mh_act_step
op_renew(struct mh_act *act, yyjson_val *action)
{
    yyjson_val *fill = yyjson_obj_get(action, "fill");
    struct mh_fill_source from;
    bool reads = mh_fill_source(fill, &from);
    if (act->step == 0) {
        bool aimed = yyjson_obj_get(action, "object") ? target_object(act, action)
                                                      : target_named(act, action, "Secret");
        return aimed ? mh_act_send(act, "GET", path_of(act, NULL), NULL, NULL) : MH_ACT_FAILED;
    }
    if (act->err.code != MH_OK)
        return MH_ACT_FAILED;
    if (act->step == 1) {
        act->memo = act->call.reply;
        return reads ? get_source(act, &from) : patch_secret(act, fill, act->memo, NULL);
    }
    if (act->step == 2 && reads)
        return patch_secret(act, fill, act->memo, act->call.reply);
    return MH_ACT_DONE;
}

/* --- status, event, instance, lease ------------------------------------------------------------ */

static enum mh_act_step
op_status(struct mh_act *act, yyjson_val *action)
{
    if (act->step > 0)
        return outcome(act);
    const struct mh_kind *kind = mh_kind_of(act->env->kinds, act->object);
    if (!mh_act_target(act, kind, mh_json_str(act->object, "metadata", "namespace", NULL),
                       mh_json_str(act->object, "metadata", "name", NULL)))
        return MH_ACT_FAILED;
    struct mh_status_in in = {
        .object = act->object,
        .rv = mh_json_str(act->object, "metadata", "resourceVersion", NULL),
        .wanted = yyjson_obj_get(action, "status"),
        .failure = act->failure,
        .now_s = act->env->clock.wall_us(act->env->clock.self) / 1000000,
    };
    char *body;
    if (mh_status_patch(act->arena, &in, &body, &act->err) != MH_OK)
        return MH_ACT_FAILED;
    if (!body)
        return MH_ACT_DONE;
    return mh_act_send(act, "PATCH", managed(act, path_of(act, "status")), MH_PATCH_MERGE, body);
}

static enum mh_act_step
op_event(struct mh_act *act, yyjson_val *action)
{
    const char *type = mh_json_str(action, "type", NULL);
    const char *reason = mh_json_str(action, "reason", NULL);
    const char *note = mh_json_str(action, "note", NULL);
    if (!reason)
        return mh_act_fail(act, MH_E_SCRIPT, "action event: no reason given");
    struct mh_event_ref ref = mh_event_ref_of(act->object);
    if (act->env->events)
        mh_kube_event(act->env->events, &ref, type ? type : "Normal", reason, note ? note : "");
    if (act->env->on_event)
        act->env->on_event(act->env->arg, act->object, type, reason, note);
    return MH_ACT_DONE;
}

static enum mh_act_step
op_instance(struct mh_act *act, yyjson_val *action)
{
    struct mh_instance_sender *to = &act->env->instance;
    struct mh_instance_order order = {
        .ns = mh_json_str(act->object, "metadata", "namespace", NULL),
        .pod = mh_json_str(action, "pod", NULL),
        .command = mh_json_str(action, "command", NULL),
        .crash = &act->env->crash,
    };
    if (!order.pod || !order.ns || !order.command)
        return mh_act_fail(act, MH_E_SCRIPT, "action instance: no pod or command given");
    yyjson_mut_doc *doc = mh_json_doc(act->arena);
    yyjson_mut_val *root = yyjson_val_mut_copy(doc, action);
    if (!root)
        return no_memory(act);
    yyjson_mut_obj_remove_key(root, "op");
    yyjson_mut_obj_remove_key(root, "pod");
    copy_as(doc, root, "clusterUID", mh_json_get(act->object, "metadata", "uid", NULL));
    order.body = mh_json_mut_text(act->arena, root, NULL);
    if (!order.body)
        return no_memory(act);
    mh_crash_point(order.crash, act->op, "-", true);
    if (to->post)
        to->post(to->self, &order);
    return MH_ACT_DONE;
}

/* The spec of the lease: all of `to` but metadata; true stands for "now". */
static void
lease_spec(struct mh_act *act, yyjson_mut_doc *doc, yyjson_mut_val *spec, yyjson_val *to)
{
    char now[MH_TIME_TEXT];
    mh_time_rfc3339_micro(now, act->env->clock.wall_us(act->env->clock.self));
    yyjson_obj_iter i = yyjson_obj_iter_with(to);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        const char *key = yyjson_get_str(k);
        yyjson_val *v = yyjson_obj_iter_get_val(k);
        if (mh_str_eq(key, "annotations") || mh_str_eq(key, "labels"))
            continue;
        if (yyjson_is_true(v))
            yyjson_mut_obj_add(spec, yyjson_mut_strcpy(doc, key), yyjson_mut_strcpy(doc, now));
        else
            copy_as(doc, spec, key, v);
    }
}

static enum mh_act_step
op_lease(struct mh_act *act, yyjson_val *action)
{
    if (act->step > 0)
        return outcome(act);
    yyjson_val *to = yyjson_obj_get(action, "to");
    yyjson_val *rv = mh_json_get(action, "from", "resourceVersion", NULL);
    yyjson_mut_doc *doc = mh_json_doc(act->arena);
    if (!target_named(act, action, "Lease"))
        return MH_ACT_FAILED;
    if (!yyjson_is_str(rv) || !to)
        return mh_act_fail(act, MH_E_SCRIPT, "action lease: it needs from.resourceVersion and to");
    if (!doc)
        return no_memory(act);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    copy_as(doc, meta, "resourceVersion", rv);
    copy_as(doc, meta, "annotations", yyjson_obj_get(to, "annotations"));
    copy_as(doc, meta, "labels", yyjson_obj_get(to, "labels"));
    lease_spec(act, doc, yyjson_mut_obj_add_obj(doc, root, "spec"), to);
    return send_json(act, "PATCH", managed(act, path_of(act, NULL)), MH_PATCH_MERGE, root);
}

/* For plugins: the guard of their calls (plugin_guard.c) takes this path for what it is. */
static enum mh_act_step
op_sql(struct mh_act *act, yyjson_val *action)
{
    if (act->step > 0)
        return outcome(act);
    const char *body = mh_json_text(act->arena, action, NULL);
    if (!act->env->field_manager)
        return mh_act_fail(act, MH_E_SCRIPT, "action sql: only plugins have it");
    return body ? mh_act_send(act, "POST", "/moonherd/v1/sql", NULL, body) : no_memory(act);
}

/* --- the table --------------------------------------------------------------------------------- */

static const struct {
    const char *op;
    mh_act_fn fn;
} table[] = {
    { "apply", op_apply },   { "create", op_create }, { "renew", op_renew },
    { "patch", op_patch },   { "label", op_label },   { "delete", op_delete },
    { "status", op_status }, { "event", op_event },   { "instance", op_instance },
    { "lease", op_lease },   { "sql", op_sql },
};

mh_act_fn
mh_act_find(const char *op)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].op, op) == 0)
            return table[i].fn;
    return NULL;
}

const char *const *
mh_act_ops(void)
{
    static const char *ops[sizeof(table) / sizeof(table[0]) + 1];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        ops[i] = table[i].op;
    return ops;
}

const char *
mh_act_describe(struct mh_arena *a, yyjson_val *action)
{
    const char *op = mh_json_str(action, "op", NULL);
    yyjson_val *o = yyjson_obj_get(action, "object");
    const char *kind = mh_json_str(o ? o : action, "kind", NULL);
    const char *name =
        o ? mh_json_str(o, "metadata", "name", NULL) : mh_json_str(action, "name", NULL);
    const char *what = mh_json_str(action, "command", NULL);
    if (!what)
        what = mh_json_str(action, "reason", NULL);
    if (!name)
        name = mh_json_str(action, mh_str_eq(op, "sql") ? "cluster" : "pod", NULL);
    const char *s =
        mh_arena_printf(a, "%s%s%s%s%s%s%s", op ? op : "?", kind ? " " : "", kind ? kind : "",
                        what ? " " : "", what ? what : "", name ? " " : "", name ? name : "");
    return s ? s : "action";
}
