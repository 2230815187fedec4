/* Delete: preconditions, grace, finalizers, propagation. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/fields.h"
#include "sandbox/rest_in.h"

/* The options, from body or query. */
struct options {
    const char *propagation; /* NULL: none */
    int orphan;              /* -1: not said */
    bool has_grace;
    int64_t grace;
    const char *uid;
    const char *version;
    const char *dry_run;
    const char *bad_grace; /* of the query: no number */
};

static void
read_options(struct mh_sb_op *op, struct options *o)
{
    const struct mh_sb_query *q = &op->t.q;
    yyjson_val *body = op->body;
    *o = (struct options){ .orphan = -1 };
    if (yyjson_is_obj(body)) {
        yyjson_val *grace = yyjson_obj_get(body, "gracePeriodSeconds");
        yyjson_val *orphan = yyjson_obj_get(body, "orphanDependents");
        o->has_grace = yyjson_is_int(grace);
        o->grace = yyjson_get_sint(grace);
        o->propagation = mh_json_str(body, "propagationPolicy", NULL);
        o->orphan = yyjson_is_bool(orphan) ? yyjson_get_bool(orphan) : -1;
        o->uid = mh_json_str(body, "preconditions", "uid", NULL);
        o->version = mh_json_str(body, "preconditions", "resourceVersion", NULL);
        o->dry_run = yyjson_get_str(yyjson_arr_get_first(yyjson_obj_get(body, "dryRun")));
        return;
    }
    o->has_grace = q->grace && mh_str_int(q->grace, INT64_MIN, INT64_MAX, &o->grace);
    o->bad_grace = q->grace && *q->grace && !o->has_grace ? q->grace : NULL;
    o->propagation = q->propagation;
    if (q->orphan)
        o->orphan = mh_sb_is_true(q->orphan);
}

/* False: answered. */
static bool
check_options(struct mh_sb_op *op, struct options *o)
{
    struct mh_sb_causes causes;
    mh_sb_causes_init(&causes, op->arena);
    if (o->bad_grace) {
        mh_sb_bad_request(op->req, "strconv.ParseInt: parsing \"%s\": invalid syntax",
                          o->bad_grace);
        return false;
    }
    if (mh_str_eq(o->dry_run, "All"))
        op->dry_run = true;
    else if (o->dry_run)
        mh_sb_cause_add(&causes, "FieldValueNotSupported", "dryRun",
                        "Unsupported value: [\"%s\"]: supported values: \"All\"", o->dry_run);
    if (o->propagation && o->orphan >= 0)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "propagationPolicy",
                        "Invalid value: \"%s\": orphanDependents and deletionPropagation cannot be "
                        "both set",
                        o->propagation);
    else if (o->propagation && strcmp(o->propagation, "Foreground") != 0 &&
             strcmp(o->propagation, "Background") != 0 && strcmp(o->propagation, "Orphan") != 0)
        mh_sb_cause_add(&causes, "FieldValueNotSupported", "propagationPolicy",
                        "Unsupported value: \"%s\": supported values: \"Foreground\", "
                        "\"Background\", \"Orphan\", \"nil\"",
                        o->propagation);
    if (causes.count)
        mh_sb_invalid(op->req, "meta.k8s.io", "DeleteOptions", "", &causes);
    return causes.count == 0;
}

static bool
precondition(struct mh_sb_op *op, const struct options *o)
{
    const char *uid = mh_json_str(op->old, "metadata", "uid", NULL);
    const char *version = mh_json_str(op->old, "metadata", "resourceVersion", NULL);
    const char *why = NULL;
    if (o->uid && !mh_str_eq(o->uid, uid))
        why = mh_arena_printf(op->arena,
                              "the UID in the precondition (%s) does not match the UID in record "
                              "(%s). The object might have been deleted and then recreated",
                              o->uid, uid ? uid : "");
    else if (o->version && !mh_str_eq(o->version, version))
        why = mh_arena_printf(op->arena,
                              "the ResourceVersion in the precondition (%s) does not match the "
                              "ResourceVersion in record (%s). The object might have been modified",
                              o->version, version ? version : "");
    if (!why)
        return true;
    if (!op->t.r->custom && (strcmp(op->t.r->kind, "Namespace") == 0 ||
                             strcmp(op->t.r->kind, "CustomResourceDefinition") == 0)) {
        bool other = o->uid && !mh_str_eq(o->uid, uid);
        mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                       mh_arena_printf(op->arena,
                                       "Precondition failed: %s in precondition: %s, %s in object "
                                       "meta: %s",
                                       other ? "UID" : "ResourceVersion",
                                       other ? o->uid : o->version,
                                       other ? "UID" : "ResourceVersion", other ? uid : version));
        return false;
    }
    struct mh_sb_resource named = { .group = op->t.r->group, .plural = op->t.r->kind };
    mh_sb_conflict(op->req, &named, op->t.at.name, why);
    return false;
}

static bool
orphans_by_default(const struct mh_sb_resource *r)
{
    return !r->custom && strcmp(r->group, "batch") == 0 && strcmp(r->kind, "Job") == 0;
}

/* Jobs keep their pods by default: said to whoever did not choose. */
static void
warn_of_orphans(struct mh_sb_op *op, const struct options *o)
{
    if (!o->propagation && o->orphan < 0 && orphans_by_default(op->t.r))
        mh_sb_warn(op->req,
                   "child pods are preserved by default when jobs are deleted; set "
                   "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to "
                   "suppress this warning");
}

/* --- finalizers ------------------------------------------------------------------------------ */

static bool
has_finalizer(yyjson_mut_val *list, const char *name)
{
    for (size_t i = 0; i < yyjson_mut_arr_size(list); i++) {
        if (yyjson_mut_equals_str(yyjson_mut_arr_get(list, i), name))
            return true;
    }
    return false;
}

bool
mh_sb_is_over(yyjson_mut_val *obj)
{
    yyjson_mut_val *meta = yyjson_mut_obj_get(obj, "metadata");
    yyjson_mut_val *grace = yyjson_mut_obj_get(meta, "deletionGracePeriodSeconds");
    return yyjson_mut_obj_get(meta, "deletionTimestamp") &&
           yyjson_mut_arr_size(yyjson_mut_obj_get(meta, "finalizers")) == 0 &&
           yyjson_mut_get_sint(grace) == 0 &&
           yyjson_mut_arr_size(mh_sb_mget(obj, "spec", "finalizers", NULL)) == 0;
}

/* Orphan and foregroundDeletion as the options want them. True: the list changed. */
static bool
set_finalizers(struct mh_sb_op *op, yyjson_mut_val *meta, const struct options *o)
{
    static const char orphan_name[] = "orphan";
    static const char foreground_name[] = "foregroundDeletion";
    yyjson_mut_val *old = yyjson_mut_obj_get(meta, "finalizers");
    bool has_orphan = has_finalizer(old, orphan_name);
    bool has_foreground = has_finalizer(old, foreground_name);
    bool orphan = o->orphan >= 0   ? o->orphan == 1
                  : o->propagation ? strcmp(o->propagation, "Orphan") == 0
                  : has_orphan     ? true
                  : has_foreground ? false
                                   : orphans_by_default(op->t.r);
    bool foreground = o->orphan >= 0   ? false
                      : o->propagation ? strcmp(o->propagation, "Foreground") == 0
                                       : has_foreground;
    if (strcmp(op->t.r->kind, "Event") == 0 ||
        (orphan == has_orphan && foreground == has_foreground))
        return false;
    yyjson_mut_val *list = yyjson_mut_arr(op->doc);
    for (size_t i = 0; i < yyjson_mut_arr_size(old); i++) {
        yyjson_mut_val *f = yyjson_mut_arr_get(old, i);
        if (!yyjson_mut_equals_str(f, orphan_name) && !yyjson_mut_equals_str(f, foreground_name))
            yyjson_mut_arr_add_val(list, yyjson_mut_val_mut_copy(op->doc, f));
    }
    if (orphan)
        yyjson_mut_arr_add_str(op->doc, list, orphan_name);
    if (foreground)
        yyjson_mut_arr_add_str(op->doc, list, foreground_name);
    if (yyjson_mut_arr_size(list))
        mh_sb_mset(op->doc, meta, "finalizers", list);
    else
        mh_sb_mdel(meta, "finalizers");
    return true;
}

/* --- grace ----------------------------------------------------------------------------------- */

enum grace { IMMEDIATE, GRACEFUL, PENDING };

static void
bump_generation(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    int64_t generation = yyjson_mut_get_sint(yyjson_mut_obj_get(meta, "generation"));
    if (generation > 0)
        mh_sb_mset(op->doc, meta, "generation", yyjson_mut_sint(op->doc, generation + 1));
}

static void
set_deletion(struct mh_sb_op *op, yyjson_mut_val *meta, int64_t at_s, int64_t grace)
{
    char text[MH_TIME_TEXT];
    mh_time_rfc3339(text, at_s);
    mh_sb_mset_str(op->doc, meta, "deletionTimestamp", text);
    mh_sb_mset(op->doc, meta, "deletionGracePeriodSeconds", yyjson_mut_sint(op->doc, grace));
}

/* How long a pod has: its own period unless the client says another. */
static int64_t
pod_period(struct mh_sb_op *op, const struct options *o)
{
    const char *phase = mh_json_str(op->old, "status", "phase", NULL);
    const char *node = mh_json_str(op->old, "spec", "nodeName", NULL);
    int64_t period = mh_json_int(op->old, 0, "spec", "terminationGracePeriodSeconds", NULL);
    if (o->has_grace)
        period = o->grace;
    if (!node || !*node || mh_str_eq(phase, "Succeeded") || mh_str_eq(phase, "Failed"))
        period = 0;
    return period < 0 ? 1 : period;
}

static enum grace
graceful(struct mh_sb_op *op, yyjson_mut_val *meta, const struct options *o, int64_t *period)
{
    int64_t now = op->api->clock.wall_us(op->api->clock.self) / 1000000;
    bool pod = !op->t.r->custom && strcmp(op->t.r->kind, "Pod") == 0;
    const char *deletion = mh_sb_mstr(meta, "deletionTimestamp", NULL);
    yyjson_mut_val *have = yyjson_mut_obj_get(meta, "deletionGracePeriodSeconds");
    int64_t was = yyjson_mut_get_sint(have);
    int64_t at_us = 0;
    *period = 0;
    if (deletion) {
        if (!have || was == 0)
            return IMMEDIATE;
        if (!o->has_grace)
            return PENDING;
        *period = pod ? pod_period(op, o) : o->grace;
        if (*period >= was || !mh_time_parse(deletion, &at_us))
            return PENDING;
        set_deletion(op, meta, at_us / 1000000 - was + *period, *period);
        return GRACEFUL;
    }
    if (!pod)
        return IMMEDIATE;
    *period = pod_period(op, o);
    set_deletion(op, meta, now + *period, *period);
    bump_generation(op, meta);
    return GRACEFUL;
}

static void
mark(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    int64_t now = op->api->clock.wall_us(op->api->clock.self) / 1000000;
    int64_t at_us = 0;
    const char *deletion = mh_sb_mstr(meta, "deletionTimestamp", NULL);
    if (!yyjson_mut_obj_get(meta, "deletionGracePeriodSeconds"))
        bump_generation(op, meta);
    if (!deletion || !mh_time_parse(deletion, &at_us) || at_us / 1000000 > now)
        set_deletion(op, meta, now, 0);
    else
        mh_sb_mset(op->doc, meta, "deletionGracePeriodSeconds", yyjson_mut_sint(op->doc, 0));
}

/* --- the steps ------------------------------------------------------------------------------- */

static bool
returns_object(const struct mh_sb_resource *r)
{
    static const char *const kinds[] = {
        "Pod",       "PersistentVolume", "PersistentVolumeClaim", "ServiceAccount",
        "Service",   "ResourceQuota",    "StorageClass",          "CSINode",
        "CSIDriver", "VolumeAttachment"
    };
    for (size_t i = 0; !r->custom && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i], r->kind) == 0)
            return true;
    }
    return false;
}

static void
answer_state(struct mh_sb_op *op, const struct mh_sb_obj *o)
{
    size_t len = 0;
    char *text = op->dry_run && op->obj ? mh_json_mut_text(op->arena, op->obj, &len)
                                        : mh_sb_obj_text(op->arena, op->t.v, o, &len);
    op->synced = op->dry_run ? 0 : o->version;
    if (op->evicting)
        mh_sb_answer_created(op->req);
    else
        mh_sb_answer_object(op->api, op->req, op->t.v, text, len, 200);
}

static void
answer_gone(struct mh_sb_op *op, const struct mh_sb_obj *o)
{
    op->synced = op->dry_run ? 0 : o->version;
    if (returns_object(op->t.r))
        answer_state(op, o);
    else
        mh_sb_answer_deleted(op->req, op->t.r, op->t.at.name,
                             mh_json_str(op->old, "metadata", "uid", NULL));
}

/* Stores op->obj; NULL: no memory, answered. A dry run gives the live object. */
static struct mh_sb_obj *
put(struct mh_sb_op *op)
{
    if (op->dry_run)
        return op->live;
    yyjson_val *next = mh_sb_freeze(op->arena, op->obj);
    if (next && mh_sb_fields_same(op->arena, op->old, next))
        return op->live;
    struct mh_sb_obj *o = mh_sb_commit(op->api, op->t.r, op->key, op->arena, op->doc, op->obj);
    if (!o)
        mh_sb_no_memory(op->req);
    return o;
}

static void
take_away(struct mh_sb_op *op)
{
    if (op->dry_run) {
        answer_gone(op, op->live);
        return;
    }
    struct mh_sb_obj *now = mh_sb_table_get(op->t.r->table, op->key);
    yyjson_val *value = now ? mh_sb_obj_value(op->arena, op->t.v, now) : NULL;
    yyjson_mut_val *last = value ? yyjson_val_mut_copy(op->doc, value) : NULL;
    struct mh_sb_obj *o =
        last ? mh_sb_commit_removal(op->api, op->t.r, op->key, op->arena, op->doc, last) : NULL;
    if (o)
        answer_gone(op, o);
    else
        mh_sb_no_memory(op->req);
}

/* A namespace is emptied first: the collector does that and then takes it away. */
static bool
terminate_namespace(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    if (op->t.r->custom || strcmp(op->t.r->kind, "Namespace") != 0 ||
        yyjson_arr_size(mh_json_get(op->old, "spec", "finalizers", NULL)) == 0)
        return false;
    if (!yyjson_mut_obj_get(meta, "deletionTimestamp")) {
        int64_t now = op->api->clock.wall_us(op->api->clock.self) / 1000000;
        char text[MH_TIME_TEXT];
        mh_time_rfc3339(text, now);
        mh_sb_mset_str(op->doc, meta, "deletionTimestamp", text);
    }
    mh_sb_mset_str(op->doc, mh_sb_mobj(op->doc, op->obj, "status"), "phase", "Terminating");
    struct mh_sb_obj *o = put(op);
    if (o)
        answer_state(op, o);
    return true;
}

static void
carry_out(struct mh_sb_op *op)
{
    struct options o;
    int64_t period = 0;
    read_options(op, &o);
    op->obj = yyjson_val_mut_copy(op->doc, op->old);
    yyjson_mut_val *meta = yyjson_mut_obj_get(op->obj, "metadata");
    if (!meta) {
        mh_sb_no_memory(op->req);
        return;
    }
    if (mh_sb_crd_terminate(op)) {
        struct mh_sb_obj *crd = put(op);
        if (crd)
            answer_state(op, crd);
        return;
    }
    enum grace how = graceful(op, meta, &o, &period);
    if (how == PENDING) {
        answer_gone(op, op->live);
        return;
    }
    bool changed = set_finalizers(op, meta, &o);
    if (terminate_namespace(op, meta))
        return;
    bool held = yyjson_mut_arr_size(yyjson_mut_obj_get(meta, "finalizers")) > 0;
    if (held && how == IMMEDIATE)
        mark(op, meta);
    if (how == GRACEFUL || held || changed) {
        struct mh_sb_obj *now = put(op);
        if (!now)
            return;
        if (held || period > 0) {
            answer_state(op, now);
            if (o.orphan == 0)
                op->req->status = 202;
            return;
        }
    }
    take_away(op);
}

static void
admitted(struct mh_sb_admit *ad)
{
    struct mh_sb_op *op = ad->arg;
    if (ad->code) {
        yyjson_mut_doc *doc = mh_json_doc(op->arena);
        mh_sb_status(op->req, ad->code, ad->reason, ad->message,
                     doc && ad->details ? yyjson_val_mut_copy(doc, ad->details) : NULL, doc);
    } else if (!ad->validating && op->api->hooks.admit) {
        ad->validating = true;
        op->api->hooks.admit(op->api->hooks.arg, ad);
        return;
    } else if (mh_sb_table_get(op->t.r->table, op->key) != op->live) {
        mh_sb_obj_unref(op->live);
        op->live = NULL;
        op->t.r->busy--;
        mh_sb_delete(op);
        return;
    } else {
        carry_out(op);
    }
    mh_sb_finish(op);
}

void
mh_sb_delete(struct mh_sb_op *op)
{
    struct options o;
    op->key = mh_sb_key(op->arena, op->t.r->namespaced ? op->t.at.ns : NULL, op->t.at.name);
    op->doc = mh_json_doc(op->arena);
    struct mh_sb_obj *live = op->key ? mh_sb_table_get(op->t.r->table, op->key) : NULL;
    op->old = live ? mh_sb_obj_value(op->arena, op->t.v, live) : NULL;
    read_options(op, &o);
    if (!op->key || !op->doc || (live && !op->old)) {
        mh_sb_no_memory(op->req);
    } else if (!check_options(op, &o)) {
        ;
    } else if (warn_of_orphans(op, &o), !live) {
        mh_sb_not_found(op->req, op->t.r, op->t.at.name);
    } else if (precondition(op, &o)) {
        op->live = mh_sb_obj_ref(live);
        op->t.r->busy++;
        op->operation = "DELETE";
        op->admit = (struct mh_sb_admit){ .api = op->api,
                                          .req = op->req,
                                          .at = &op->t.at,
                                          .kind = op->t.r->kind,
                                          .operation = "DELETE",
                                          .dry_run = op->dry_run,
                                          .doc = op->doc,
                                          .old = op->old,
                                          .options = op->body,
                                          .arena = op->arena,
                                          .done = admitted,
                                          .arg = op };
        if (op->api->hooks.admit)
            op->api->hooks.admit(op->api->hooks.arg, &op->admit);
        else
            admitted(&op->admit);
        return;
    }
    mh_sb_answered(op);
}

/* --- deletecollection ------------------------------------------------------------------------ */

/* One after the other, each as a delete of its own. */
struct collection {
    struct mh_sb_op *op;
    const char **names;
    const char **spaces;
    size_t n;
    size_t at;
    struct mh_sb_req one;
    struct mh_arena arena;
    bool running;
    bool go_on;
};

static void
one_done(struct mh_sb_req *req)
{
    struct collection *c = req->arg;
    struct mh_sb_op *op = c->op;
    if (c->one.status >= 300 && c->one.status != 404) {
        mh_sb_answer(op->req, c->one.status,
                     mh_arena_strndup(op->arena, c->one.reply, c->one.reply_len), c->one.reply_len);
        c->at = c->n;
    }
    c->go_on = true;
    if (c->running)
        return;
    c->running = true;
    while (c->go_on && c->at < c->n) {
        struct mh_sb_req *r = &c->one;
        mh_arena_release(&c->arena);
        c->go_on = false;
        *r = *op->req;
        r->arena = &c->arena;
        r->path = mh_arena_printf(&c->arena, "%s/%s%s", op->t.at.path, c->names[c->at],
                                  op->dry_run ? "?dryRun=All" : "");
        r->trusted = true;
        r->done = one_done;
        r->arg = c;
        c->at++;
        mh_sb_serve(op->api, r);
    }
    c->running = false;
    if (c->go_on) {
        mh_arena_release(&c->arena);
        mh_sb_answered(op);
    }
}

void
mh_sb_delete_collection(struct mh_sb_op *op)
{
    struct mh_sb_req *req = op->req;
    struct collection *c = mh_arena_alloc(op->arena, sizeof(*c));
    struct options o;
    read_options(op, &o);
    if (!check_options(op, &o)) {
        req->done(req);
        return;
    }
    warn_of_orphans(op, &o);
    mh_sb_list(op->api, req, &op->t);
    if (req->status != 200 || !c) {
        req->done(req);
        return;
    }
    struct mh_err err;
    yyjson_val *list = NULL;
    (void)mh_json_parse(op->arena, req->reply, req->reply_len, &list, &err);
    yyjson_val *items = yyjson_obj_get(list, "items");
    *c = (struct collection){ .op = op, .n = yyjson_arr_size(items), .go_on = true };
    c->names = mh_arena_alloc(op->arena, (c->n + 1) * sizeof(char *));
    mh_arena_init(&c->arena, (size_t)64 << 20);
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(items, i, max, item)
    {
        if (c->names)
            c->names[i] = mh_json_str(item, "metadata", "name", NULL);
    }
    if (!c->names) {
        mh_sb_no_memory(req);
        req->done(req);
        return;
    }
    c->one.arg = c;
    c->one.status = 200;
    one_done(&c->one);
}
