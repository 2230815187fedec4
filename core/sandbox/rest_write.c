/* Create, update, patch: the object is made, admitted, prepared, validated, admitted, stored. When
 * somebody else wrote in between (admission may wait), it begins again. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/fields.h"
#include "sandbox/patch.h"
#include "sandbox/rest_default.h"
#include "sandbox/rest_in.h"

static void start(struct mh_sb_op *op);

static void mutated(struct mh_sb_admit *ad);
static void validated(struct mh_sb_admit *ad);

/* Asks the admission hook, or goes on at once. */
static void
admit(struct mh_sb_op *op, bool validating, void (*then)(struct mh_sb_admit *))
{
    struct mh_sb_admit *ad = &op->admit;
    *ad = (struct mh_sb_admit){ .api = op->api,
                                .req = op->req,
                                .at = &op->t.at,
                                .kind = op->t.r->kind,
                                .operation = op->operation,
                                .validating = validating,
                                .dry_run = op->dry_run,
                                .doc = op->doc,
                                .object = op->obj,
                                .old = op->old,
                                .options = op->options,
                                .arena = op->arena,
                                .done = then,
                                .arg = op };
    if (op->api->hooks.admit && !op->req->at_once)
        op->api->hooks.admit(op->api->hooks.arg, ad);
    else
        then(ad);
}

/* False: answered. */
static bool
admitted(struct mh_sb_op *op, const struct mh_sb_admit *ad)
{
    if (!ad->code)
        return true;
    yyjson_mut_doc *doc = mh_json_doc(op->arena);
    mh_sb_status(op->req, ad->code, ad->reason, ad->message,
                 doc && ad->details ? yyjson_val_mut_copy(doc, ad->details) : NULL, doc);
    return false;
}

/* --- how the new object is made -------------------------------------------------------------- */

static bool
changed_since(const struct mh_sb_op *op)
{
    struct mh_sb_obj *now = mh_sb_table_get(op->t.r->table, op->key);
    return now != op->live;
}

/* Takes a reference of what is there now. False: no memory, answered. */
static bool
read_live(struct mh_sb_op *op)
{
    mh_sb_obj_unref(op->live);
    struct mh_sb_obj *o = mh_sb_table_get(op->t.r->table, op->key);
    op->live = o ? mh_sb_obj_ref(o) : NULL;
    op->old = o ? mh_sb_obj_value(op->arena, op->t.v, o) : NULL;
    op->doc = mh_json_doc(op->arena);
    if (!op->doc || (o && !op->old)) {
        mh_sb_no_memory(op->req);
        return false;
    }
    return true;
}

static bool
patch_failed(struct mh_sb_op *op, const struct mh_err *err)
{
    struct mh_sb_req *req = op->req;
    if (err->code == MH_E_NOMEM) {
        mh_sb_no_memory(req);
    } else if (err->code == MH_E_REFUSED) {
        yyjson_mut_doc *doc = mh_json_doc(op->arena);
        mh_sb_status(req, 422, "Invalid",
                     "the server rejected our request due to an error in our request",
                     doc ? yyjson_mut_obj(doc) : NULL, doc);
    } else if (err->code == MH_E_INTERNAL) {
        mh_sb_refuse(req, 500, NULL, mh_arena_strdup(op->arena, err->msg));
    } else if (err->code == MH_E_LIMIT) {
        mh_sb_refuse(req, 413, "RequestEntityTooLarge", mh_arena_strdup(op->arena, err->msg));
    } else {
        mh_sb_bad_request(req, "%s", err->msg);
    }
    return false;
}

/* What Content-Type says, without parameters. */
static bool
is_type(const struct mh_sb_req *req, const char *type)
{
    size_t n = strlen(type);
    return req->content_type && strncasecmp(req->content_type, type, n) == 0 &&
           (req->content_type[n] == '\0' || req->content_type[n] == ';');
}

bool
mh_sb_patch_any(struct mh_sb_op *op, yyjson_val *now, yyjson_val *patch, yyjson_mut_val **out)
{
    struct mh_err err = { 0 };
    enum mh_code code;
    const struct mh_sb_schema *schema = mh_sb_version_schema(op->api, op->t.v);
    if (is_type(op->req, MH_PATCH_JSON))
        code = mh_sb_patch_json(op->doc, now, patch, out, &err);
    else if (is_type(op->req, MH_PATCH_MERGE))
        code = mh_sb_patch_merge(op->doc, now, patch, out, &err);
    else
        code = mh_sb_patch_strategic(op->doc, schema, now, patch, out, &err);
    return code == MH_OK || patch_failed(op, &err);
}

static bool
make_patched(struct mh_sb_op *op)
{
    return mh_sb_patch_any(op, op->old, op->body, &op->obj);
}

static bool
make_from_body(struct mh_sb_op *op)
{
    op->obj = yyjson_val_mut_copy(op->doc, op->body);
    if (!op->obj)
        mh_sb_no_memory(op->req);
    return op->obj != NULL;
}

static bool
make_applied(struct mh_sb_op *op)
{
    op->obj = yyjson_val_mut_copy(op->doc, op->body);
    if (!op->obj) {
        mh_sb_no_memory(op->req);
        return false;
    }
    return mh_sb_apply_fields(op);
}

/* --- the steps ------------------------------------------------------------------------------- */

static void
again_or_conflict(struct mh_sb_op *op)
{
    const char *asked = mh_json_str(op->body, "metadata", "resourceVersion", NULL);
    bool bound = op->verb == MH_SB_UPDATE && asked && *asked && strcmp(asked, "0") != 0;
    if (!bound && ++op->tries < MH_SB_RETRIES) {
        start(op);
        return;
    }
    mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                   "the object has been modified; please apply your changes to the latest version "
                   "and try again");
    mh_sb_finish(op);
}

static void
answer(struct mh_sb_op *op, const struct mh_sb_obj *o, int status)
{
    size_t len = 0;
    op->synced = op->dry_run ? 0 : o->version;
    char *text = mh_sb_obj_text(op->arena, op->t.v, o, &len);
    if (op->finish && text) {
        struct mh_err err;
        yyjson_val *value = NULL;
        if (mh_json_parse(op->arena, text, len, &value, &err) == MH_OK) {
            op->finish(op, value, status);
            mh_sb_finish(op);
            return;
        }
    }
    mh_sb_answer_object(op->api, op->req, op->t.v, text, len, status);
    mh_sb_finish(op);
}

/* A dry run answers what would be there, with the resourceVersion it has now. */
static void
answer_dry(struct mh_sb_op *op, int status)
{
    size_t len = 0;
    yyjson_mut_val *meta = yyjson_mut_obj_get(op->obj, "metadata");
    const char *version = mh_json_str(op->old, "metadata", "resourceVersion", NULL);
    if (version)
        mh_sb_mset_str(op->doc, meta, "resourceVersion", version);
    else if (op->verb != MH_SB_CREATE)
        mh_sb_mdel(meta, "resourceVersion");
    char *text = mh_json_mut_text(op->arena, op->obj, &len);
    if (op->finish && text) {
        yyjson_val *value = mh_sb_freeze(op->arena, op->obj);
        op->finish(op, value, status);
    } else {
        mh_sb_answer_object(op->api, op->req, op->t.v, text, len, status);
    }
    mh_sb_finish(op);
}

/* The last finalizer went: watchers are told the state before, the client gets the one it made. */
static void
take_away(struct mh_sb_op *op)
{
    size_t len = 0;
    const char *version = mh_json_str(op->old, "metadata", "resourceVersion", NULL);
    yyjson_mut_val *last = yyjson_val_mut_copy(op->doc, op->old);
    struct mh_sb_obj *o =
        last ? mh_sb_commit_removal(op->api, op->t.r, op->key, op->arena, op->doc, last) : NULL;
    bool ok = o && version &&
              mh_sb_mset_str(op->doc, yyjson_mut_obj_get(op->obj, "metadata"), "resourceVersion",
                             version);
    char *text = ok ? mh_json_mut_text(op->arena, op->obj, &len) : NULL;
    op->synced = o ? o->version : 0;
    if (text)
        mh_sb_answer_object(op->api, op->req, op->t.v, text, len, 200);
    else
        mh_sb_no_memory(op->req);
    mh_sb_finish(op);
}

static void
store(struct mh_sb_op *op)
{
    struct mh_sb_resource *r = op->t.r;
    int status = op->updating ? 200 : 201;
    yyjson_val *next = op->updating ? mh_sb_freeze(op->arena, op->obj) : NULL;
    bool over = op->updating && mh_sb_is_over(op->obj);
    if (op->dry_run) {
        answer_dry(op, status);
        return;
    }
    if (op->updating && !over && !op->live->rewritten &&
        mh_sb_fields_same(op->arena, op->old, next)) {
        answer(op, op->live, 200);
        return;
    }
    if (over) {
        take_away(op);
        return;
    }
    struct mh_sb_obj *o = mh_sb_commit(op->api, r, op->key, op->arena, op->doc, op->obj);
    if (!o) {
        mh_sb_no_memory(op->req);
        mh_sb_finish(op);
        return;
    }
    answer(op, o, status);
}

static void
validated(struct mh_sb_admit *ad)
{
    struct mh_sb_op *op = ad->arg;
    if (!admitted(op, ad)) {
        mh_sb_finish(op);
        return;
    }
    if (changed_since(op)) {
        if (op->verb == MH_SB_CREATE) {
            mh_sb_exists(op->req, op->t.r, op->t.at.name);
            mh_sb_finish(op);
            return;
        }
        again_or_conflict(op);
        return;
    }
    store(op);
}

static void
mutated(struct mh_sb_admit *ad)
{
    struct mh_sb_op *op = ad->arg;
    bool ok = admitted(op, ad);
    if (ok && ad->object)
        op->obj = ad->object;
    if (ok && !op->t.r->custom)
        mh_sb_schema_stored(mh_sb_version_schema(op->api, op->t.v), op->obj);
    if (ok)
        ok = op->updating ? mh_sb_prepare_update(op) : mh_sb_prepare_create(op);
    if (!ok || !mh_sb_validate(op) || !mh_sb_advise(op)) {
        mh_sb_finish(op);
        return;
    }
    if (op->verb == MH_SB_CREATE && op->live) {
        mh_sb_exists(op->req, op->t.r, op->t.at.name);
        mh_sb_finish(op);
        return;
    }
    admit(op, true, validated);
}

/* From what is there now to mutating admission. */
static void
start(struct mh_sb_op *op)
{
    bool ok = read_live(op);
    if (ok && !op->live && op->verb != MH_SB_CREATE && !op->apply && !op->force_create) {
        /* what came is decoded first */
        if (op->verb != MH_SB_UPDATE || op->make != make_from_body ||
            (op->make(op) && mh_sb_decode(op)))
            mh_sb_not_found(op->req, op->t.r, op->t.at.name);
        ok = false;
    } else if (ok && !op->live && op->apply && op->status && !mh_sb_is_kind(op, "Service")) {
        mh_sb_not_found(op->req, op->t.r, op->t.at.name);
        ok = false;
    }
    op->updating = op->live && op->verb != MH_SB_CREATE;
    op->operation = op->updating ? "UPDATE" : "CREATE";
    if (!op->updating)
        op->old = NULL;
    if (!ok || !op->make(op) || !mh_sb_decode(op) || !mh_sb_own_fields(op)) {
        mh_sb_finish(op);
        return;
    }
    admit(op, false, mutated);
}

/* --- which kind of write --------------------------------------------------------------------- */

/* apply-patch+yaml: JSON is YAML too, but not the other way round. */
static bool
body_of_patch(struct mh_sb_op *op)
{
    struct mh_sb_req *req = op->req;
    op->apply = is_type(req, MH_PATCH_APPLY);
    bool strategic = is_type(req, "application/strategic-merge-patch+json");
    if ((strategic && op->t.r->custom) ||
        (!op->apply && !strategic && !is_type(req, MH_PATCH_JSON) &&
         !is_type(req, MH_PATCH_MERGE))) {
        yyjson_mut_doc *doc = mh_json_doc(op->arena);
        mh_sb_status(
            req, 415, "UnsupportedMediaType",
            mh_arena_printf(op->arena,
                            "the body of the request was in an unknown format - accepted media "
                            "types include: application/json-patch+json, "
                            "application/merge-patch+json, %sapplication/apply-patch+yaml",
                            op->t.r->custom ? "" : "application/strategic-merge-patch+json, "),
            doc && !op->t.r->custom ? yyjson_mut_obj(doc) : NULL, doc);
        return false;
    }
    op->make = op->apply ? make_applied : make_patched;
    return true;
}

/* A created object's name may have to be made first: it is part of the key. */
static bool
name_created(struct mh_sb_op *op)
{
    struct mh_sb_attrs *at = &op->t.at;
    const char *name = mh_json_str(op->body, "metadata", "name", NULL);
    const char *prefix = mh_json_str(op->body, "metadata", "generateName", NULL);
    if ((!name || !*name) && prefix && *prefix) {
        char random[6];
        mh_sb_random_name(op->api, random);
        name = mh_arena_printf(op->arena, "%.*s%s", 58, prefix, random);
        op->generated = name;
    }
    at->name = name ? name : "";
    return true;
}

void
mh_sb_write(struct mh_sb_op *op)
{
    struct mh_sb_req *req = op->req;
    bool ok = true;
    if (!op->make)
        op->make = make_from_body;
    if (op->verb == MH_SB_PATCH && op->make == make_from_body)
        ok = body_of_patch(op);
    if (ok && !yyjson_is_obj(op->body) && (op->make == make_from_body || op->apply)) {
        mh_sb_bad_request(req,
                          "the object provided is unrecognized (must be of type %s): "
                          "unexpected end of JSON input (<empty>)",
                          op->t.r->kind);
        ok = false;
    }
    if (ok && op->t.v->traits & MH_SB_REVIEW) {
        mh_sb_review(op);
        return;
    }
    if (ok && op->verb == MH_SB_CREATE)
        ok = name_created(op);
    op->force_create = op->verb == MH_SB_UPDATE && mh_sb_creates_on_update(op->t.r);
    op->key =
        ok ? mh_sb_key(op->arena, op->t.r->namespaced ? op->t.at.ns : NULL, op->t.at.name) : NULL;
    if (!op->key) {
        if (ok)
            mh_sb_no_memory(req);
        req->done(req);
        return;
    }
    op->t.r->busy++;
    start(op);
}
