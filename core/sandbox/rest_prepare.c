/* Between the object that came and the object that is stored: what the server itself decides. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/fields.h"
#include "sandbox/rest_check.h"

/* --- decode: kind, name, unknown fields, defaults --------------------------------------------- */

static bool
is_strategic(const struct mh_sb_op *op)
{
    const char *type = op->req->content_type ? op->req->content_type : "";
    return op->verb == MH_SB_PATCH && strncmp(type, "application/strategic", 21) == 0;
}

/* A patch whose result does not decode: 422 about the patch itself. */
static void
bad_patch(struct mh_sb_op *op, const char *why)
{
    struct mh_sb_causes causes;
    struct mh_buf b;
    mh_sb_causes_init(&causes, op->arena);
    mh_buf_init(&b, (size_t)1 << 20);
    if (is_strategic(op)) {
        mh_sb_go_print(op->arena, &b, op->body);
    } else {
        yyjson_val *obj = mh_sb_freeze(op->arena, op->obj);
        char *text = obj ? mh_sb_go_json(op->arena, obj) : NULL;
        mh_buf_str(&b, text ? text : "");
    }
    struct mh_buf quoted;
    mh_buf_init(&quoted, (size_t)2 << 20);
    mh_json_quote(&quoted, mh_buf_text(&b), b.len);
    mh_sb_cause_add(&causes, "FieldValueInvalid", "patch", "Invalid value: %s: %s",
                    mh_buf_text(&quoted), why);
    mh_buf_release(&quoted);
    mh_buf_release(&b);
    mh_sb_invalid(op->req, "", "", "", &causes);
}

static bool
check_kind(struct mh_sb_op *op)
{
    const struct mh_sb_version *v = op->t.v;
    const char *kind = mh_sb_mstr(op->obj, "kind", NULL);
    const char *api = mh_sb_mstr(op->obj, "apiVersion", NULL);
    if (!kind && op->t.r->custom) {
        mh_sb_bad_request(op->req, "Object 'Kind' is missing in '%.200s'",
                          op->req->body ? op->req->body : "");
        return false;
    }
    if (api && *api && strcmp(api, v->api_version) != 0) {
        mh_sb_bad_request(op->req,
                          "the API version in the data (%s) does not match the expected API "
                          "version (%s)",
                          api, v->api_version);
        return false;
    }
    if (kind && strcmp(kind, op->t.r->kind) != 0 && op->verb == MH_SB_PATCH && !op->apply &&
        !op->t.r->custom) {
        if (!is_strategic(op)) {
            bad_patch(op, mh_arena_printf(op->arena,
                                          "no kind \"%s\" is registered for version \"%s\" in "
                                          "scheme \"pkg/runtime/scheme.go:110\"",
                                          kind, v->api_version));
            return false;
        }
    } else if (kind && *kind && strcmp(kind, op->t.r->kind) != 0) {
        mh_sb_bad_request(op->req,
                          "%s in version \"%s\" cannot be handled as a %s: no kind \"%s\" is "
                          "registered for version \"%s\" in scheme \"pkg/runtime/scheme.go:110\"",
                          kind, v->name, op->t.r->kind, kind, v->api_version);
        return false;
    }
    return mh_sb_mset_str(op->doc, op->obj, "kind", op->t.r->kind) &&
           mh_sb_mset_str(op->doc, op->obj, "apiVersion", v->api_version);
}

static bool
check_name(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    const char *name = mh_sb_mstr(meta, "name", NULL);
    const char *ns = mh_sb_mstr(meta, "namespace", NULL);
    const char *want = op->t.at.name;
    const char *where = op->t.r->namespaced ? op->t.at.ns : "";
    if (op->generated && !mh_sb_mset_str(op->doc, meta, "name", op->generated))
        return false;
    if (op->verb != MH_SB_CREATE && (!name || !*name)) {
        mh_sb_bad_request(op->req,
                          "the name of the object (%s based on URL) was undeterminable: name must "
                          "be provided",
                          want);
        return false;
    }
    if (op->verb != MH_SB_CREATE && strcmp(name, want) != 0) {
        mh_sb_bad_request(op->req,
                          "the name of the object (%s) does not match the name on the URL (%s)",
                          name, want);
        return false;
    }
    if (*where && ns && *ns && strcmp(ns, where) != 0) {
        if (op->verb == MH_SB_CREATE)
            mh_sb_bad_request(op->req, "the namespace of the provided object does not match the "
                                       "namespace sent on the request");
        else
            mh_sb_bad_request(op->req,
                              "the namespace of the object (%s) does not match the namespace on "
                              "the request (%s)",
                              ns, where);
        return false;
    }
    if (*where)
        return mh_sb_mset_str(op->doc, meta, "namespace", where);
    mh_sb_mdel(meta, "namespace");
    return true;
}

/* 400 or warnings for fields that are there twice, or that the schema does not know. */
static bool
odd_fields(struct mh_sb_op *op, const struct mh_sb_texts *odd)
{
    const char *how = op->t.q.field_validation;
    struct mh_buf b;
    if (!odd->count || mh_str_eq(how, "Ignore"))
        return true;
    if (!mh_str_eq(how, "Strict")) {
        for (size_t i = 0; i < odd->count; i++)
            mh_sb_warn(op->req, odd->items[i]);
        return true;
    }
    mh_buf_init(&b, (size_t)64 << 10);
    mh_buf_str(&b, "strict decoding error: ");
    for (size_t i = 0; i < odd->count; i++)
        mh_buf_printf(&b, "%s%s", i ? ", " : "", odd->items[i]);
    if (op->verb == MH_SB_PATCH && !op->apply)
        bad_patch(op, mh_buf_text(&b));
    else
        mh_sb_bad_request(op->req, "%s in version \"%s\" cannot be handled as a %s: %s",
                          op->t.r->kind, op->t.v->name, op->t.r->kind, mh_buf_text(&b));
    mh_buf_release(&b);
    return false;
}

static void
say_odd(struct mh_sb_op *op, const char *what, const struct mh_sb_texts *paths,
        struct mh_sb_texts *odd)
{
    for (size_t i = 0; i < paths->count; i++) {
        const char *text = mh_arena_printf(op->arena, "%s field \"%s\"", what, paths->items[i]);
        if (text)
            mh_sb_texts_add(odd, text);
    }
}

static bool
shape(struct mh_sb_op *op)
{
    const struct mh_sb_schema *s = mh_sb_version_schema(op->api, op->t.v);
    struct mh_sb_texts twice, dropped, odd;
    mh_sb_texts_init(&twice, op->arena);
    mh_sb_texts_init(&dropped, op->arena);
    mh_sb_texts_init(&odd, op->arena);
    mh_sb_drop_duplicates(op->obj, &twice);
    if (s)
        mh_sb_schema_prune(s, op->obj, &dropped);
    say_odd(op, "duplicate", &twice, &odd);
    say_odd(op, "unknown", &dropped, &odd);
    return odd_fields(op, &odd);
}

static bool
fill(struct mh_sb_op *op)
{
    const struct mh_sb_schema *s = mh_sb_version_schema(op->api, op->t.v);
    if (op->t.r->custom)
        return !s || mh_sb_schema_default(s, op->doc, op->obj);
    return mh_sb_defaults(op) && (!s || mh_sb_schema_native(s, op->doc, op->obj));
}

/* Values that the kind's Go type could not hold. */
static bool
check_types(struct mh_sb_op *op)
{
    if (op->t.r->custom)
        return true;
    yyjson_val *obj = mh_sb_freeze(op->arena, op->obj);
    bool strategic = is_strategic(op);
    const char *why =
        obj ? mh_sb_type_error(op->api, op->arena, op->t.v->schema, op->t.r->kind, obj, strategic)
            : NULL;
    if (!why)
        return true;
    const char *ns = mh_sb_mstr(op->obj, "metadata", "namespace", NULL);
    if (op->apply)
        mh_sb_refuse(
            op->req, 500, NULL,
            mh_arena_printf(op->arena,
                            "failed to convert new object (%s/%s; %s%s, Kind=%s) to proper "
                            "version: unable to convert unstructured object to %s%s, "
                            "Kind=%s: error decoding from json: %s",
                            ns ? ns : "", op->t.at.name, op->t.r->group[0] ? "" : "/",
                            op->t.v->api_version, op->t.r->kind, op->t.r->group[0] ? "" : "/",
                            op->t.v->api_version, op->t.r->kind, why));
    else if (op->verb == MH_SB_PATCH)
        bad_patch(op, why);
    else
        mh_sb_bad_request(op->req, "%s in version \"%s\" cannot be handled as a %s: %s",
                          op->t.r->kind, op->t.v->name, op->t.r->kind, why);
    return false;
}

/* Go reads 3.0 as a float and writes it as 3. */
static void
whole_numbers(yyjson_mut_val *v)
{
    size_t i;
    size_t max;
    yyjson_mut_val *key;
    yyjson_mut_val *item;
    if (yyjson_mut_is_real(v)) {
        double f = yyjson_mut_get_real(v);
        if (f > -1e15 && f < 1e15 && f <= (double)(int64_t)f && f >= (double)(int64_t)f)
            yyjson_mut_set_sint(v, (int64_t)f);
    }
    yyjson_mut_obj_foreach(v, i, max, key, item)
    {
        (void)key;
        whole_numbers(item);
    }
    yyjson_mut_arr_foreach(v, i, max, item)
    {
        whole_numbers(item);
    }
}

bool
mh_sb_decode(struct mh_sb_op *op)
{
    if (!check_kind(op))
        return false;
    if (op->t.r->custom)
        whole_numbers(op->obj);
    yyjson_mut_val *meta = yyjson_mut_obj_get(op->obj, "metadata");
    if (meta && !yyjson_mut_is_obj(meta) && !yyjson_mut_is_null(meta)) {
        mh_sb_bad_request(op->req,
                          "%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal "
                          "metadata",
                          op->t.r->kind, op->t.v->name, op->t.r->kind);
        return false;
    }
    meta = mh_sb_mobj(op->doc, op->obj, "metadata");
    if (!meta || !check_types(op) || !check_name(op, meta))
        return false;
    yyjson_mut_val *managed = yyjson_mut_obj_get(meta, "managedFields");
    if (yyjson_mut_is_arr(managed) && yyjson_mut_arr_size(managed) == 0)
        (void)yyjson_mut_arr_add_obj(op->doc, managed); /* the same: forgets all owners */
    if (!op->apply && !shape(op))
        return false;
    if (fill(op))
        return true;
    mh_sb_no_memory(op->req);
    return false;
}

/* --- field ownership ------------------------------------------------------------------------- */

static bool
write_of(struct mh_sb_op *op, struct mh_sb_write *w)
{
    static const char *const main_of_status[] = { "status", NULL };
    static const char *const status_of_main[] = { "spec", NULL };
    static const char *const status_of_deployment[] = { "spec", "metadata.labels", NULL };
    bool deployment = !op->t.r->custom && strcmp(op->t.r->kind, "Deployment") == 0;
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
                               .live = op->old,
                               .reset = op->status && deployment         ? status_of_deployment
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
    if (op->apply)
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
    mh_sb_refuse(op->req, 500, NULL,
                 mh_arena_printf(op->arena,
                                 "failed to create typed patch object (%s/%s; %s%s, Kind=%s): %s%s",
                                 ns ? ns : "", op->t.at.name, op->t.r->group[0] ? "" : "/",
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
    if (!check_kind(op) || !declared(op))
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
    if (op->verb == MH_SB_UPDATE && uid && *uid) {
        mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                       mh_arena_printf(op->arena,
                                       "StorageError: invalid object, Code: 4, Key: %s, "
                                       "ResourceVersion: 0, AdditionalErrorMsg: Precondition "
                                       "failed: UID in precondition: %s, UID in object meta: ",
                                       storage_key(op), uid));
        return false;
    }
    const char *version = mh_sb_mstr(meta, "resourceVersion", NULL);
    if (version && strtoull(version, NULL, 10) && !version[strspn(version, "0123456789")]) {
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
    if (uid && *uid && live && strcmp(uid, live) != 0) {
        if (op->verb == MH_SB_PATCH) {
            op->other_uid = uid;
            return true;
        }
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
    if (op->t.r->custom) {
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
count_generation(struct mh_sb_op *op, yyjson_mut_val *meta)
{
    int64_t generation = mh_json_int(op->old, 0, "metadata", "generation", NULL);
    if (!(op->t.v->traits & MH_SB_GENERATION))
        return true;
    if (!same_spec(op) && strcmp(op->t.r->kind, "PriorityClass") != 0)
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
    mh_sb_check_meta(op, obj, &causes);
    if (op->other_uid)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "metadata.uid",
                        "Invalid value: \"%s\": field is immutable", op->other_uid);
    if (op->t.r->custom) {
        const struct mh_sb_schema *s = mh_sb_version_schema(op->api, op->t.v);
        struct mh_sb_validate v = { .arena = op->arena,
                                    .causes = &causes,
                                    .now_us = op->api->clock.wall_us(op->api->clock.self) };
        if (s && !mh_sb_schema_validate(s, obj, op->old, "", &v))
            causes.failed = true;
    } else {
        mh_sb_check(op, obj, &causes);
    }
    if (causes.failed) {
        mh_sb_no_memory(op->req);
        return false;
    }
    if (causes.count)
        mh_sb_invalid(op->req, op->t.r->group, op->t.r->kind, op->t.at.name, &causes);
    return causes.count == 0;
}
