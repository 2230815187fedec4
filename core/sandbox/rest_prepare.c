/* Between the object that came and the object that is stored: what the server itself decides. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/fields.h"
#include "sandbox/rest_check.h"
#include "sandbox/rest_default.h"

/* --- field ownership ------------------------------------------------------------------------- */

/* Built-in kinds whose status is all that a status update changes. */
static bool
resets_meta(const struct mh_sb_op *op)
{
    return !op->t.r->custom && strcmp(op->t.r->kind, "ValidatingAdmissionPolicy") == 0;
}

static bool
write_of(struct mh_sb_op *op, struct mh_sb_write *w)
{
    static const char *const main_of_status[] = { "status", NULL };
    static const char *const status_of_main[] = { "spec", NULL };
    static const char *const status_of_deployment[] = { "spec", "metadata.labels", NULL };
    static const char *const status_of_reset[] = { "spec", "metadata", NULL };
    bool deployment = mh_sb_is_kind(op, "Deployment");
    bool reset = resets_meta(op) || mh_sb_is_kind(op, "CustomResourceDefinition");
    char now[40];
    mh_sb_now(op->api, now);
    *w = (struct mh_sb_write){ .arena = op->arena,
                               .doc = op->doc,
                               .schema = mh_sb_version_schema(op->api, op->t.v),
                               .api_version = op->t.v->api_version,
                               .kind = op->t.r->kind,
                               .manager = mh_sb_fields_manager(op->arena, op->t.q.field_manager,
                                                               op->req->user_agent),
                               .subresource = op->t.at.subresource,
                               .now = mh_arena_strdup(op->arena, now),
                               .force = mh_sb_is_true(op->t.q.force),
                               .live = mh_sb_stored_live(op),
                               .applied = op->sub && op->verb == MH_SB_PATCH && mh_sb_is_apply(op),
                               .reset = op->status && reset              ? status_of_reset
                                        : op->status && deployment       ? status_of_deployment
                                        : op->status                     ? status_of_main
                                        : op->t.v->traits & MH_SB_STATUS ? main_of_status
                                                                         : NULL };
    return w->manager && w->now;
}

bool
mh_sb_own_fields(struct mh_sb_op *op)
{
    struct mh_sb_write w;
    struct mh_err err = { 0 };
    if (op->apply || op->binding)
        return true;
    if (write_of(op, &w) && mh_sb_fields_update(&w, op->obj, &err) == MH_OK)
        return true;
    if (err.code == MH_E_INVALID)
        mh_sb_bad_request(op->req, "%s", err.msg);
    else
        mh_sb_no_memory(op->req);
    return false;
}

/* Applied objects may have no fields that the schema does not know, whatever the client says
 * about validation. False: answered. */
static bool
declared(struct mh_sb_op *op)
{
    const struct mh_sb_schema *s = mh_sb_version_schema(op->api, op->t.v);
    struct mh_sb_texts dropped;
    struct mh_buf b;
    mh_sb_texts_init(&dropped, op->arena);
    if (s)
        mh_sb_schema_prune(s, op->obj, &dropped);
    if (!dropped.count)
        return true;
    mh_buf_init(&b, (size_t)64 << 10);
    for (size_t i = 0; i < dropped.count; i++)
        mh_buf_printf(&b, "%s.%s: field not declared in schema", dropped.count > 1 ? "\n  " : "",
                      dropped.items[i]);
    const char *ns = mh_sb_mstr(op->obj, "metadata", "namespace", NULL);
    const char *name = mh_sb_mstr(op->obj, "metadata", "name", NULL);
    mh_sb_refuse(op->req, 500, NULL,
                 mh_arena_printf(op->arena,
                                 "failed to create typed patch object (%s/%s; %s%s, Kind=%s): %s%s",
                                 ns ? ns : "", name ? name : "", op->t.r->group[0] ? "" : "/",
                                 op->t.v->api_version, op->t.r->kind,
                                 dropped.count > 1 ? "errors:" : "", mh_buf_text(&b)));
    mh_buf_release(&b);
    return false;
}

static void
apply_refused(struct mh_sb_op *op, const struct mh_err *err, const struct mh_sb_causes *conflicts)
{
    if (err->code == MH_E_NOMEM) {
        mh_sb_no_memory(op->req);
        return;
    }
    if (err->code != MH_E_CONFLICT && mh_str_starts(err->msg, "failed to create")) {
        mh_sb_refuse(op->req, 500, NULL, mh_arena_strdup(op->arena, err->msg));
        return;
    }
    if (err->code != MH_E_CONFLICT) {
        mh_sb_bad_request(op->req, "%s", err->msg);
        return;
    }
    yyjson_mut_doc *doc = mh_json_doc(op->arena);
    yyjson_mut_val *d = doc ? yyjson_mut_obj(doc) : NULL;
    yyjson_mut_val *list = d ? yyjson_mut_obj_add_arr(doc, d, "causes") : NULL;
    for (const struct mh_sb_cause *c = conflicts->first; list && c; c = c->next) {
        yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_str(doc, v, "reason", c->reason);
        yyjson_mut_obj_add_str(doc, v, "message", c->message);
        yyjson_mut_obj_add_str(doc, v, "field", c->field);
    }
    mh_sb_status(op->req, 409, "Conflict", mh_sb_fields_conflict_text(conflicts), d, doc);
}

bool
mh_sb_apply_fields(struct mh_sb_op *op)
{
    struct mh_sb_write w;
    struct mh_err err = { 0 };
    struct mh_sb_causes conflicts;
    mh_sb_causes_init(&conflicts, op->arena);
    const char *kind = mh_sb_mstr(op->obj, "kind", NULL);
    const char *version = mh_sb_mstr(op->obj, "apiVersion", NULL);
    if (!kind || !version) {
        mh_sb_bad_request(op->req, "couldn't get version/kind; json parse error");
        return false;
    }
    const char *asked = mh_sb_mstr(op->obj, "metadata", "resourceVersion", NULL);
    const char *have = mh_json_str(op->old, "metadata", "resourceVersion", NULL);
    if (asked && *asked && have && strcmp(asked, have) != 0) {
        mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                       "the object has been modified; please apply your changes to the latest "
                       "version and try again");
        return false;
    }
    if (!mh_sb_check_kind(op) || !declared(op))
        return false;
    yyjson_val *applied = mh_sb_freeze(op->arena, op->obj);
    if (!applied || !write_of(op, &w)) {
        mh_sb_no_memory(op->req);
        return false;
    }
    if (mh_sb_fields_apply(&w, applied, &op->obj, NULL, &conflicts, &err) == MH_OK)
        return true;
    apply_refused(op, &err, &conflicts);
    return false;
}

/* Where the real server keeps the object: part of some of its messages. */
static const char *
storage_key(struct mh_sb_op *op)
{
    const struct mh_sb_resource *r = op->t.r;
    bool group = r->custom || strcmp(r->group, "apiextensions.k8s.io") == 0;
    const char *plural = strcmp(r->kind, "Node") == 0        ? "minions"
                         : strcmp(r->kind, "Service") == 0   ? "services/specs"
                         : strcmp(r->kind, "Endpoints") == 0 ? "services/endpoints"
                                                             : r->plural;
    const char *s = mh_arena_printf(op->arena, "%s/%s%s%s/%s", op->dry_run ? "" : "/registry",
                                    group ? r->group : "", group ? "/" : "",
                                    r->custom ? r->plural : plural, op->key);
    return s ? s : "";
}

/* --- create ---------------------------------------------------------------------------------- */

bool
mh_sb_creates_on_update(const struct mh_sb_resource *r)
{
    static const char *const kinds[] = { "Endpoints",   "Event",      "Service",
                                         "Lease",       "Role",       "RoleBinding",
                                         "ClusterRole", "LimitRange", "ClusterRoleBinding" };
    for (size_t i = 0; !r->custom && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i], r->kind) == 0)
            return true;
    }
    return false;
}

static bool
sealed_meta(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    char uid[37];
    char now[40];
    mh_sb_uid(op->api, uid);
    mh_sb_now(op->api, now);
    mh_sb_mdel(meta, "deletionTimestamp");
    mh_sb_mdel(meta, "deletionGracePeriodSeconds");
    mh_sb_mdel(meta, "selfLink");
    if (!op->dry_run)
        mh_sb_mdel(meta, "resourceVersion");
    if (op->t.v->traits & MH_SB_GENERATION)
        mh_sb_mdel(meta, "generation");
    return mh_sb_mset_str(op->doc, meta, "uid", uid) &&
           mh_sb_mset_str(op->doc, meta, "creationTimestamp", now);
}

bool
mh_sb_prepare_create(struct mh_sb_op *op)
{
    yyjson_mut_val *meta = mh_sb_mobj(op->doc, op->obj, "metadata");
    const char *uid = mh_sb_mstr(meta, "uid", NULL);
    if (op->verb == MH_SB_PATCH && uid && *uid) {
        mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                       mh_arena_printf(op->arena,
                                       "uid mismatch: the provided object specified uid %s, and no "
                                       "existing object was found",
                                       uid));
        return false;
    }
    if (op->verb != MH_SB_CREATE && uid && *uid) {
        mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                       mh_arena_printf(op->arena,
                                       "StorageError: invalid object, Code: 4, Key: %s, "
                                       "ResourceVersion: 0, AdditionalErrorMsg: Precondition "
                                       "failed: UID in precondition: %s, UID in object meta: ",
                                       storage_key(op), uid));
        return false;
    }
    const char *version = mh_sb_mstr(meta, "resourceVersion", NULL);
    if (version && !op->dry_run && strtoull(version, NULL, 10) &&
        !version[strspn(version, "0123456789")]) {
        mh_sb_refuse(op->req, 500, NULL,
                     "resourceVersion should not be set on objects to be "
                     "created");
        return false;
    }
    if (!mh_sb_namespace_open(op->api, op->req, op->t.r, op->t.at.ns, op->t.at.name))
        return false;
    bool ok = meta && sealed_meta(op, meta);
    if (ok && op->t.v->traits & MH_SB_GENERATION)
        ok = mh_sb_mset(op->doc, meta, "generation", yyjson_mut_int(op->doc, 1));
    if (ok && op->t.v->traits & MH_SB_STATUS && strcmp(op->t.r->kind, "Node") != 0)
        mh_sb_mdel(op->obj, "status");
    ok = ok && mh_sb_first_status(op);
    if (!ok && !op->req->status)
        mh_sb_no_memory(op->req);
    return ok;
}

/* --- update ---------------------------------------------------------------------------------- */

static void
keep(struct mh_sb_op *op, yyjson_mut_val *meta, const char *key)
{
    yyjson_val *old = mh_json_get(op->old, "metadata", key, NULL);
    if (old)
        mh_sb_mset(op->doc, meta, key, yyjson_val_mut_copy(op->doc, old));
    else
        mh_sb_mdel(meta, key);
}

/* 409 or 422 for what the client says it saw; false: answered. */
static bool
check_version(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    const char *asked = mh_sb_mstr(meta, "resourceVersion", NULL);
    const char *have = mh_json_str(op->old, "metadata", "resourceVersion", NULL);
    const char *uid = mh_sb_mstr(meta, "uid", NULL);
    const char *live = mh_json_str(op->old, "metadata", "uid", NULL);
    bool other = uid && *uid && live && strcmp(uid, live) != 0;
    if (other && op->verb == MH_SB_PATCH) {
        op->other_uid = uid;
    } else if (other) {
        mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                       mh_arena_printf(op->arena,
                                       "StorageError: invalid object, Code: 4, Key: %s, "
                                       "ResourceVersion: 0, AdditionalErrorMsg: Precondition "
                                       "failed: UID in precondition: %s, UID in object meta: %s",
                                       storage_key(op), uid, live));
        return false;
    }
    bool none = !asked || !*asked || strcmp(asked, "0") == 0;
    if (none && op->verb == MH_SB_UPDATE && !mh_sb_updates_unseen(op->t.r)) {
        struct mh_sb_causes causes;
        mh_sb_causes_init(&causes, op->arena);
        mh_sb_cause_add(&causes, "FieldValueInvalid", "metadata.resourceVersion",
                        "Invalid value: 0: must be specified for an update");
        mh_sb_invalid(op->req, op->t.r->group, op->t.r->plural, op->t.at.name, &causes);
        return false;
    }
    if (none || mh_str_eq(asked, have))
        return true;
    if (asked[strspn(asked, "0123456789")]) {
        mh_sb_refuse(
            op->req, 500, NULL,
            mh_arena_printf(op->arena, "strconv.ParseUint: parsing \"%s\": invalid syntax", asked));
        return false;
    }
    mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                   "the object has been modified; please apply your changes to the latest version "
                   "and try again");
    return false;
}

/* The spec, or whatever counts: all but metadata and status. */
static bool
same_spec(struct mh_sb_op *op)
{
    yyjson_val *next = mh_sb_freeze(op->arena, op->obj);
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *value;
    size_t count = 0;
    bool with_status = !(op->t.v->traits & MH_SB_STATUS);
    yyjson_obj_foreach(next, i, max, key, value)
    {
        const char *k = yyjson_get_str(key);
        if (strcmp(k, "metadata") == 0 || (strcmp(k, "status") == 0 && !with_status))
            continue;
        count++;
        if (!mh_sb_equal(value, yyjson_obj_get(op->old, k)))
            return false;
    }
    yyjson_obj_foreach(op->old, i, max, key, value)
    {
        const char *k = yyjson_get_str(key);
        count -= strcmp(k, "metadata") != 0 && (strcmp(k, "status") != 0 || with_status);
    }
    return count == 0;
}

/* A status update changes status, and of built-in kinds labels and annotations. */
static bool
only_status(struct mh_sb_op *op)
{
    yyjson_mut_val *next = yyjson_val_mut_copy(op->doc, op->old);
    yyjson_mut_val *status = yyjson_mut_obj_get(op->obj, "status");
    yyjson_mut_val *meta = yyjson_mut_obj_get(op->obj, "metadata");
    if (!next)
        return false;
    if (status)
        mh_sb_mset(op->doc, next, "status", yyjson_mut_val_mut_copy(op->doc, status));
    else
        mh_sb_mdel(next, "status");
    yyjson_mut_val *to = yyjson_mut_obj_get(next, "metadata");
    if (op->t.r->custom || resets_meta(op)) {
        yyjson_mut_val *fields = yyjson_mut_obj_get(meta, "managedFields");
        if (fields)
            mh_sb_mset(op->doc, to, "managedFields", yyjson_mut_val_mut_copy(op->doc, fields));
    } else {
        mh_sb_mset(op->doc, next, "metadata", yyjson_mut_val_mut_copy(op->doc, meta));
        yyjson_val *labels = mh_json_get(op->old, "metadata", "labels", NULL);
        to = yyjson_mut_obj_get(next, "metadata");
        if (strcmp(op->t.r->kind, "Deployment") == 0 && labels)
            mh_sb_mset(op->doc, to, "labels", yyjson_val_mut_copy(op->doc, labels));
        else if (strcmp(op->t.r->kind, "Deployment") == 0)
            mh_sb_mdel(to, "labels");
    }
    op->obj = next;
    return true;
}

static bool
keep_status(struct mh_sb_op *op)
{
    yyjson_val *status = yyjson_obj_get(op->old, "status");
    if (!status) {
        mh_sb_mdel(op->obj, "status");
        return true;
    }
    return mh_sb_mset(op->doc, op->obj, "status", yyjson_val_mut_copy(op->doc, status));
}

static bool
same_texts(struct mh_sb_op *op, yyjson_mut_val *meta, const char *field)
{
    yyjson_mut_val *now = yyjson_mut_obj_get(meta, field);
    yyjson_val *old = mh_json_get(op->old, "metadata", field, NULL);
    if (!yyjson_mut_obj_size(now) || !yyjson_obj_size(old))
        return yyjson_mut_obj_size(now) == yyjson_obj_size(old);
    return mh_sb_equal(mh_sb_freeze(op->arena, now), old);
}

static bool
count_generation(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    int64_t generation = mh_json_int(op->old, 0, "metadata", "generation", NULL);
    if (!(op->t.v->traits & MH_SB_GENERATION) || op->binding)
        return true;
    if (!same_spec(op) && strcmp(op->t.r->kind, "PriorityClass") != 0)
        generation++;
    else if (strcmp(op->t.r->kind, "Deployment") == 0 && !op->t.r->custom && !op->status &&
             !same_texts(op, meta, "annotations"))
        generation++;
    else if (strcmp(op->t.r->kind, "EndpointSlice") == 0 && !same_texts(op, meta, "labels"))
        generation++;
    return mh_sb_mset(op->doc, meta, "generation", yyjson_mut_sint(op->doc, generation));
}

bool
mh_sb_prepare_update(struct mh_sb_op *op)
{
    static const char *const kept[] = {
        "uid",      "creationTimestamp", "deletionTimestamp",         "generation",
        "selfLink", "resourceVersion",   "deletionGracePeriodSeconds"
    };
    yyjson_mut_val *meta = mh_sb_mobj(op->doc, op->obj, "metadata");
    if (!meta || !check_version(op, meta))
        return false;
    bool ok = op->status                                                 ? only_status(op)
              : op->t.v->traits & MH_SB_STATUS && !op->keep_given_status ? keep_status(op)
                                                                         : true;
    meta = mh_sb_mobj(op->doc, op->obj, "metadata");
    for (size_t i = 0; meta && i < sizeof(kept) / sizeof(kept[0]); i++)
        keep(op, meta, kept[i]);
    ok = ok && meta && mh_sb_next_spec(op) && count_generation(op, meta);
    if (!ok && !op->req->status)
        mh_sb_no_memory(op->req);
    return ok;
}

/* --- validate -------------------------------------------------------------------------------- */

/* What a Scale is made of must be numbers: one cause more, before the one about rules. */
static void
check_scale_at(struct mh_sb_op *op, yyjson_val *obj, const char *path, struct mh_sb_causes *causes)
{
    yyjson_val *v = path ? mh_sb_val(obj, path + (*path == '.')) : NULL;
    if (!v || yyjson_is_int(v))
        return;
    struct mh_sb_causes one;
    mh_sb_causes_init(&one, op->arena);
    mh_sb_cause_add(&one, "FieldValueInvalid", path,
                    "Invalid value: 0: %s accessor error: %s is of the type %s, expected int64",
                    path, yyjson_is_str(v) ? yyjson_get_str(v) : mh_sb_go_json(op->arena, v),
                    yyjson_is_str(v)    ? "string"
                    : yyjson_is_bool(v) ? "bool"
                    : yyjson_is_num(v)  ? "float64"
                    : yyjson_is_obj(v)  ? "map[string]interface {}"
                                        : "[]interface {}");
    struct mh_sb_cause **at = &causes->first;
    while (*at && strcmp((*at)->field, "<nil>") != 0)
        at = &(*at)->next;
    if (!one.first)
        return;
    one.first->next = *at;
    if (!*at)
        causes->last = &one.first->next;
    *at = one.first;
    causes->count++;
}

static void
check_scale(struct mh_sb_op *op, yyjson_val *obj, struct mh_sb_causes *causes)
{
    const struct mh_sb_version *v = op->t.v;
    if (v->traits & MH_SB_SCALE)
        check_scale_at(op, obj, op->status ? v->scale_status : v->scale_spec, causes);
}

bool
mh_sb_validate(struct mh_sb_op *op)
{
    struct mh_sb_causes causes;
    yyjson_val *obj = mh_sb_freeze(op->arena, op->obj);
    mh_sb_causes_init(&causes, op->arena);
    if (!obj) {
        mh_sb_no_memory(op->req);
        return false;
    }
    if (!op->other_kind)
        mh_sb_check_meta(op, obj, &causes);
    if (op->other_uid)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "metadata.uid",
                        "Invalid value: \"%s\": field is immutable", op->other_uid);
    if (op->other_kind)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "kind", "Invalid value: \"%s\": must be %s",
                        op->other_kind, op->t.r->kind);
    if (op->t.r->custom) {
        const struct mh_sb_schema *s = mh_sb_version_schema(op->api, op->t.v);
        struct mh_sb_validate v = { .arena = op->arena,
                                    .causes = &causes,
                                    .skip_types = op->other_kind != NULL,
                                    .now_us = op->api->clock.wall_us(op->api->clock.self) };
        if (s && !mh_sb_schema_validate(s, obj, op->old, op->status ? "status" : "", &v))
            causes.failed = true;
        check_scale(op, obj, &causes);
    } else {
        mh_sb_check(op, obj, &causes);
    }
    if (causes.failed) {
        mh_sb_no_memory(op->req);
        return false;
    }
    if (causes.count)
        mh_sb_invalid(op->req, op->t.r->group, op->other_kind ? op->other_kind : op->t.r->kind,
                      op->t.at.name, &causes);
    return causes.count == 0;
}
