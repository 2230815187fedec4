/* Answers: objects and Status. */
#include <stdarg.h>
#include <string.h>

#include "sandbox/rest_in.h"

static const char out_of_memory[] =
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
    "\"message\":\"Internal error occurred: out of memory\",\"reason\":\"InternalError\","
    "\"code\":500}";

void
mh_sb_answer(struct mh_sb_req *req, int status, const char *json, size_t len)
{
    req->status = status;
    req->reply = json;
    req->reply_len = len;
    req->reply_type = "application/json";
}

void
mh_sb_no_memory(struct mh_sb_req *req)
{
    mh_sb_answer(req, 500, out_of_memory, sizeof(out_of_memory) - 1);
}

void
mh_sb_warn(struct mh_sb_req *req, const char *text)
{
    for (int i = 0; text && i < req->nwarnings; i++) {
        if (strcmp(req->warnings[i], text) == 0)
            return;
    }
    const char *copy = text ? mh_arena_strdup(req->arena, text) : NULL;
    if (copy && req->nwarnings < MH_SB_WARNINGS_MAX)
        req->warnings[req->nwarnings++] = copy;
}

const char *
mh_sb_resource_text(struct mh_arena *a, const struct mh_sb_resource *r)
{
    if (!r->group[0])
        return r->plural;
    const char *s = mh_arena_printf(a, "%s.%s", r->plural, r->group);
    return s ? s : r->plural;
}

void
mh_sb_status(struct mh_sb_req *req, int code, const char *reason, const char *message,
             yyjson_mut_val *details, yyjson_mut_doc *doc)
{
    if (!doc)
        doc = mh_json_doc(req->arena);
    yyjson_mut_val *s = doc ? yyjson_mut_obj(doc) : NULL;
    if (!s) {
        mh_sb_no_memory(req);
        return;
    }
    yyjson_mut_obj_add_str(doc, s, "kind", "Status");
    yyjson_mut_obj_add_str(doc, s, "apiVersion", "v1");
    yyjson_mut_obj_add_val(doc, s, "metadata", yyjson_mut_obj(doc));
    yyjson_mut_obj_add_str(doc, s, "status", code < 300 ? "Success" : "Failure");
    if (message && *message)
        yyjson_mut_obj_add_str(doc, s, "message", message);
    if (reason && *reason)
        yyjson_mut_obj_add_str(doc, s, "reason", reason);
    if (details)
        yyjson_mut_obj_add_val(doc, s, "details", details);
    if (code >= 300)
        yyjson_mut_obj_add_int(doc, s, "code", code);
    size_t len = 0;
    char *text = mh_json_mut_text(req->arena, s, &len);
    if (text)
        mh_sb_answer(req, code, text, len);
    else
        mh_sb_no_memory(req);
}

void
mh_sb_refuse(struct mh_sb_req *req, int status, const char *reason, const char *message)
{
    mh_sb_status(req, status, reason, message, NULL, NULL);
}

void
mh_sb_bad_request(struct mh_sb_req *req, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mh_arena_vprintf(req->arena, fmt, ap);
    va_end(ap);
    mh_sb_status(req, 400, "BadRequest", text, NULL, NULL);
}

/* {"name":..,"group":..,"kind":..} */
static yyjson_mut_val *
details(yyjson_mut_doc *doc, const char *name, const char *group, const char *kind)
{
    yyjson_mut_val *d = doc ? yyjson_mut_obj(doc) : NULL;
    if (!d)
        return NULL;
    if (name && *name)
        yyjson_mut_obj_add_str(doc, d, "name", name);
    if (group && *group)
        yyjson_mut_obj_add_str(doc, d, "group", group);
    if (kind && *kind)
        yyjson_mut_obj_add_str(doc, d, "kind", kind);
    return d;
}

static void
about(struct mh_sb_req *req, int code, const char *reason, const struct mh_sb_resource *r,
      const char *name, const char *message)
{
    yyjson_mut_doc *doc = mh_json_doc(req->arena);
    mh_sb_status(req, code, reason, message, details(doc, name, r->group, r->plural), doc);
}

void
mh_sb_not_found(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name)
{
    about(req, 404, "NotFound", r, name,
          mh_arena_printf(req->arena, "%s \"%s\" not found", mh_sb_resource_text(req->arena, r),
                          name));
}

void
mh_sb_exists(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name)
{
    const struct mh_sb_op *op = req->impl;
    const char *ns = op && r->namespaced ? op->t.at.ns : NULL;
    const char *key = mh_sb_key(req->arena, ns, name);
    const struct mh_sb_obj *o = key && r->table ? mh_sb_table_get(r->table, key) : NULL;
    about(req, 409, "AlreadyExists", r, name,
          mh_arena_printf(req->arena, "%s%s \"%s\" already exists",
                          o && o->deleting ? "object is being deleted: " : "",
                          mh_sb_resource_text(req->arena, r), name));
}

void
mh_sb_conflict(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name,
               const char *why)
{
    about(req, 409, "Conflict", r, name,
          mh_arena_printf(req->arena, "Operation cannot be fulfilled on %s \"%s\": %s",
                          mh_sb_resource_text(req->arena, r), name, why));
}

void
mh_sb_forbidden(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name,
                const char *why)
{
    const char *what = mh_sb_resource_text(req->arena, r);
    char *text = name && *name
                     ? mh_arena_printf(req->arena, "%s \"%s\" is forbidden: %s", what, name, why)
                     : mh_arena_printf(req->arena, "%s is forbidden: %s", what, why);
    about(req, 403, "Forbidden", r, name, text);
}

void
mh_sb_no_method(struct mh_sb_req *req)
{
    yyjson_mut_doc *doc = mh_json_doc(req->arena);
    mh_sb_status(req, 405, "MethodNotAllowed",
                 "the server does not allow this method on the requested resource",
                 details(doc, NULL, NULL, NULL), doc);
}

static yyjson_mut_val *
cause_list(yyjson_mut_doc *doc, const struct mh_sb_causes *causes)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    for (const struct mh_sb_cause *c = causes->first; c; c = c->next) {
        yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
        if (!v)
            return NULL;
        yyjson_mut_obj_add_str(doc, v, "reason", c->reason);
        yyjson_mut_obj_add_str(doc, v, "message", c->message);
        if (c->field && *c->field)
            yyjson_mut_obj_add_str(doc, v, "field", c->field);
    }
    return list;
}

void
mh_sb_invalid(struct mh_sb_req *req, const char *group, const char *kind, const char *name,
              const struct mh_sb_causes *causes)
{
    struct mh_arena *a = req->arena;
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *d = details(doc, name, group, kind);
    char *text = mh_arena_printf(a, "%s%s%s \"%s\" is invalid: %s", kind, *group ? "." : "", group,
                                 name, mh_sb_causes_text(causes));
    if (!d || causes->failed) {
        mh_sb_no_memory(req);
        return;
    }
    yyjson_mut_obj_add_val(doc, d, "causes", cause_list(doc, causes));
    mh_sb_status(req, 422, "Invalid", text, d, doc);
}

void
mh_sb_answer_created(struct mh_sb_req *req)
{
    static const char text[] = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
                               "\"status\":\"Success\",\"code\":201}\n";
    mh_sb_answer(req, 201, text, sizeof(text) - 1);
}

void
mh_sb_answer_deleted(struct mh_sb_req *req, const struct mh_sb_resource *r, const char *name,
                     const char *uid)
{
    yyjson_mut_doc *doc = mh_json_doc(req->arena);
    yyjson_mut_val *d = details(doc, name, r->group, r->plural);
    if (d && uid && *uid)
        yyjson_mut_obj_add_str(doc, d, "uid", uid);
    mh_sb_status(req, 200, NULL, NULL, d, doc);
}

void
mh_sb_answer_object(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_version *v,
                    const char *text, size_t len, int status)
{
    if (text && mh_sb_wants_table(req->accept)) {
        struct mh_sb_query q;
        if (!mh_sb_query_parse(req->arena, req->path, &q))
            q.include_object = NULL;
        const struct mh_sb_table_of of = { &text, &len, 1, NULL, q.include_object };
        text = mh_sb_table_text(api, req->arena, v, &of, &len);
    } else if (text && mh_sb_wants_partial(req->accept)) {
        text = mh_sb_partial_text(req->arena, text, &len);
    }
    if (text)
        mh_sb_answer(req, status, text, len);
    else
        mh_sb_no_memory(req);
}
