/* From what came to an object of its kind: kind, types, unknown fields, name, defaults. */
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_check.h"

/* --- decode: kind, name, unknown fields, defaults --------------------------------------------- */

bool
mh_sb_is_apply(const struct mh_sb_op *op)
{
    const char *type = op->req->content_type ? op->req->content_type : "";
    return strncmp(type, "application/apply-patch", 23) == 0;
}

static bool
is_strategic(const struct mh_sb_op *op)
{
    const char *type = op->req->content_type ? op->req->content_type : "";
    return op->verb == MH_SB_PATCH && strncmp(type, "application/strategic", 21) == 0;
}

/* A strategic patch loses the nulls of what is new on its way. */
static void
spend_nulls(yyjson_mut_val *patch, yyjson_val *now)
{
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    if (!yyjson_mut_is_obj(patch))
        return;
    yyjson_mut_obj_iter_init(patch, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        yyjson_mut_val *v = yyjson_mut_obj_iter_get_val(key);
        if (!now && yyjson_mut_is_null(v))
            yyjson_mut_obj_iter_remove(&it);
        else
            spend_nulls(v, yyjson_obj_get(now, yyjson_mut_get_str(key)));
    }
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
        yyjson_mut_doc *doc = mh_json_doc(op->arena);
        yyjson_mut_val *patch = doc ? yyjson_val_mut_copy(doc, op->body) : NULL;
        spend_nulls(patch, op->old);
        mh_sb_go_print(op->arena, &b, patch ? mh_sb_freeze(op->arena, patch) : op->body);
    } else {
        yyjson_val *obj = op->patched ? op->patched : mh_sb_freeze(op->arena, op->obj);
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

bool
mh_sb_check_kind(struct mh_sb_op *op)
{
    const struct mh_sb_version *v = op->t.v;
    const char *kind = mh_sb_mstr(op->obj, "kind", NULL);
    const char *api = mh_sb_mstr(op->obj, "apiVersion", NULL);
    if (!kind && op->t.r->custom) {
        mh_sb_bad_request(op->req, "Object 'Kind' is missing in '%.200s'",
                          op->req->body ? op->req->body : "");
        return false;
    }
    if (api && *api && strcmp(api, v->api_version) != 0 && !op->t.r->custom &&
        op->verb != MH_SB_PATCH) {
        mh_sb_bad_request(op->req,
                          "%s in version \"%s\" cannot be handled as a %s: no kind \"%s\" is "
                          "registered for version \"%s\" in scheme \"pkg/runtime/scheme.go:110\"",
                          kind && *kind ? kind : op->t.r->kind, v->name, op->t.r->kind,
                          kind && *kind ? kind : op->t.r->kind, api);
        return false;
    }
    bool none = !api || !*api;
    if (none ? op->t.r->custom && op->verb != MH_SB_PATCH : strcmp(api, v->api_version) != 0) {
        mh_sb_bad_request(op->req,
                          "the API version in the data (%s) does not match the expected API "
                          "version (%s)",
                          none ? "" : api, v->api_version);
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
    } else if (kind && *kind && strcmp(kind, op->t.r->kind) != 0 && op->t.r->custom && !op->apply) {
        op->other_kind = mh_arena_strdup(op->arena, kind); /* refused when all is validated */
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
    if (op->t.r->custom && s && !op->apply)
        mh_sb_schema_drop_nulls(s, op->obj);
    if (op->t.r->custom)
        return !s || mh_sb_schema_default(s, op->doc, op->obj);
    return mh_sb_defaults(op) && (!s || mh_sb_schema_native(s, op->doc, op->obj));
}

/* Values that the kind's Go type could not hold. */
static bool
check_types(struct mh_sb_op *op)
{
    yyjson_val *obj = mh_sb_freeze(op->arena, op->obj);
    if (op->t.r->custom) {
        const char *bad = mh_sb_type_error(
            op->api, op->arena,
            mh_sb_kinds_component(&op->api->kinds,
                                  "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"),
            "ObjectMeta", yyjson_obj_get(obj, "metadata"), false);
        if (!bad || op->verb == MH_SB_PATCH)
            return true;
        mh_sb_bad_request(op->req, "%s in version \"%s\" cannot be handled as a %s: %s",
                          op->t.r->kind, op->t.v->name, op->t.r->kind, bad);
        return false;
    }
    bool strategic = is_strategic(op);
    const char *why =
        obj ? mh_sb_type_error(op->api, op->arena, op->t.v->schema, op->t.r->kind, obj, strategic)
            : NULL;
    if (!why)
        return true;
    const char *ns = mh_json_str(op->body, "metadata", "namespace", NULL);
    const char *decoding = mh_str_starts(why, "illegal base64") ? "error decoding from json: " : "";
    if (op->apply)
        mh_sb_refuse(
            op->req, 500, NULL,
            mh_arena_printf(op->arena,
                            "failed to convert new object (%s/%s; %s%s, Kind=%s) to proper "
                            "version: unable to convert unstructured object to %s%s, "
                            "Kind=%s: %s%s",
                            ns ? ns : "", op->t.at.name, op->t.r->group[0] ? "" : "/",
                            op->t.v->api_version, op->t.r->kind, op->t.r->group[0] ? "" : "/",
                            op->t.v->api_version, op->t.r->kind, decoding, why));
    else if (op->verb == MH_SB_PATCH)
        bad_patch(op, strategic ? mh_arena_printf(op->arena, "%s%s", decoding, why) : why);
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
    if (!mh_sb_check_kind(op))
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
    if (!meta || !check_types(op))
        return false;
    if (op->verb == MH_SB_PATCH && mh_str_eq(op->t.q.field_validation, "Strict"))
        op->patched = mh_sb_freeze(op->arena, op->obj);
    yyjson_mut_val *managed = yyjson_mut_obj_get(meta, "managedFields");
    if (yyjson_mut_is_arr(managed) && yyjson_mut_arr_size(managed) == 0 && op->t.r->custom)
        mh_sb_mdel(meta, "managedFields");
    else if (yyjson_mut_is_arr(managed) && yyjson_mut_arr_size(managed) == 0)
        (void)yyjson_mut_arr_add_obj(op->doc, managed); /* the same: forgets all owners */
    if (!op->apply && !op->other_kind && !shape(op))
        return false;
    if (!check_name(op, mh_sb_mobj(op->doc, op->obj, "metadata")))
        return false;
    if (op->other_kind || fill(op))
        return true;
    mh_sb_no_memory(op->req);
    return false;
}
