/* webhook_needs_ask.c - the API server judges the needs; what is granted is written down. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "kube/client.h"
#include "operator/webhook_needs_in.h"

#define REVIEWS_PATH "/apis/authorization.k8s.io/v1/subjectaccessreviews"
#define ASK_MS 2000 /* of the 5 s that the API server waits for us */
#define TRIES 4
#define TOLD 4 /* refusals in one message */

/* --- questions ---------------------------------------------------------------------------------- */

static bool
add_question(struct mh_needs_review *c, const struct mh_needs_question *like)
{
    struct mh_needs_question *q =
        c->nquestions < MH_NEEDS_ASKS_MAX ? mh_arena_alloc(c->req->arena, sizeof(*q)) : NULL;
    if (!q)
        return false;
    *q = *like;
    q->all = c;
    c->questions[c->nquestions++] = q;
    return true;
}

static bool
add_api(struct mh_needs_review *c, const char *key, const struct mh_need_api *n)
{
    struct mh_needs_question q = { .key = key,
                                   .group = n->group,
                                   .resource = n->resource,
                                   .subresource = n->subresource,
                                   .name_space = n->name_space };
    bool ok = true;
    for (const char *const *v = n->verbs; *v; v++) {
        q.verb = *v;
        q.name = NULL;
        if (!n->names[0])
            ok = add_question(c, &q) && ok;
        for (const char *const *name = n->names; *name; name++) {
            q.name = *name;
            ok = add_question(c, &q) && ok;
        }
    }
    return ok;
}

/* SQL on clusters, in each API group that serves them. */
static bool
add_sql(struct mh_needs_review *c, const char *key, const struct mh_need_sql *n)
{
    bool ok = true;
    for (const char *const *g = c->conf->groups; *g; g++) {
        struct mh_needs_question q = { .key = key,
                                       .verb = "sql",
                                       .group = *g,
                                       .resource = "clusters",
                                       .subresource = "sql",
                                       .name_space = n->name_space,
                                       .name = n->cluster };
        ok = add_question(c, &q) && ok;
    }
    return ok;
}

static void
add_text(yyjson_mut_doc *doc, yyjson_mut_val *to, const char *key, const char *text)
{
    if (text && *text)
        (void)yyjson_mut_obj_add_str(doc, to, key, text);
}

/* A SubjectAccessReview of the editor, whole: also what only other authorizers than RBAC look at. */
static const char *
question_body(const struct mh_needs_question *q, size_t *len)
{
    static const char *const whole[] = { "uid", "groups", "extra" };
    struct mh_arena *a = q->all->req->arena;
    yyjson_val *by = q->all->review.by;
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    if (!root)
        return NULL;
    (void)yyjson_mut_obj_add_str(doc, root, "apiVersion", "authorization.k8s.io/v1");
    (void)yyjson_mut_obj_add_str(doc, root, "kind", "SubjectAccessReview");
    yyjson_mut_val *spec = yyjson_mut_obj_add_obj(doc, root, "spec");
    add_text(doc, spec, "user", mh_json_str(by, "username", NULL));
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        yyjson_val *v = yyjson_obj_get(by, whole[i]);
        if (v && !yyjson_is_null(v))
            (void)yyjson_mut_obj_add_val(doc, spec, whole[i], yyjson_val_mut_copy(doc, v));
    }
    yyjson_mut_val *what = yyjson_mut_obj_add_obj(doc, spec, "resourceAttributes");
    if (!what)
        return NULL;
    add_text(doc, what, "verb", q->verb);
    add_text(doc, what, "group", q->group);
    add_text(doc, what, "resource", q->resource);
    add_text(doc, what, "subresource", q->subresource);
    add_text(doc, what, "namespace", q->name_space);
    add_text(doc, what, "name", q->name);
    return mh_json_mut_text(a, root, len);
}

/* --- answers ------------------------------------------------------------------------------------ */

/* "sql clusters/sql.postgresql.cnpg.io pg in namespace web" */
static const char *
question_text(const struct mh_needs_question *q)
{
    return mh_arena_printf(q->all->req->arena, "%s %s%s%s%s%s%s%s in %s%s", q->verb, q->resource,
                           q->subresource ? "/" : "", q->subresource ? q->subresource : "",
                           *q->group ? "." : "", q->group, q->name ? " " : "",
                           q->name ? q->name : "", q->name_space ? "namespace " : "all namespaces",
                           q->name_space ? q->name_space : "");
}

static const char *
refusal_of(struct mh_needs_review *c, const char *failure)
{
    struct mh_arena *a = c->req->arena;
    const char *user = mh_json_str(c->review.by, "username", NULL), *out = NULL;
    size_t n = 0;
    if (failure)
        return failure;
    for (size_t i = 0; i < c->nquestions; i++) {
        const struct mh_needs_question *q = c->questions[i];
        const char *what = q->allowed ? NULL : question_text(q);
        if (q->allowed || n++ >= TOLD)
            continue;
        out = out ? mh_arena_printf(a, "%s, %s", out, what ? what : "?")
                  : mh_arena_printf(a, "%.60s needs what user %.100s has no right to: %s", q->key,
                                    user ? user : "?", what ? what : "?");
    }
    if (n > TOLD && out)
        out = mh_arena_printf(a, "%s and %zu more", out, n - TOLD);
    return n && !out ? "no memory" : out;
}

static void
on_asked(struct mh_api_call *call)
{
    struct mh_needs_question *q = call->arg;
    struct mh_needs_review *c = q->all;
    q->allowed = call->err.code == MH_OK &&
                 mh_json_bool(call->reply, false, "status", "allowed", NULL) &&
                 !mh_json_bool(call->reply, false, "status", "denied", NULL);
    if (call->err.code != MH_OK && !c->refusal)
        c->refusal =
            mh_arena_printf(c->req->arena,
                            "whether user %.100s has the rights that %.60s needs cannot be "
                            "told now, try again later: %.200s",
                            mh_json_str(c->review.by, "username", NULL), q->key, call->err.msg);
    if (--c->open > 0)
        return;
    c->refusal = refusal_of(c, c->refusal);
    mh_needs_judged(c);
}

static void
send_questions(struct mh_needs_review *c)
{
    for (size_t i = 0; i < c->nquestions; i++) {
        struct mh_needs_question *q = c->questions[i];
        size_t len = 0;
        const char *body = question_body(q, &len);
        q->call = (struct mh_api_call){ .method = "POST",
                                        .path = REVIEWS_PATH,
                                        .body = body,
                                        .body_len = len,
                                        .timeout_ms = ASK_MS,
                                        .arena = c->req->arena,
                                        .done = on_asked,
                                        .arg = q };
        if (!body) {
            mh_fail(&q->call.err, MH_E_NOMEM, "no memory");
            on_asked(&q->call);
            continue;
        }
        c->needs->api.start(c->needs->api.self, &q->call);
    }
}

void
mh_needs_ask_rights(struct mh_needs_review *c)
{
    bool ok = true;
    for (size_t i = 0; i < c->n; i++) {
        const struct mh_needs_script *s = c->list[i];
        for (size_t k = 0; s->asked && k < s->set.napi; k++)
            ok = add_api(c, s->call.job.name, &s->set.api[k]) && ok;
        for (size_t k = 0; s->asked && k < s->set.nsql; k++)
            ok = add_sql(c, s->call.job.name, &s->set.sql[k]) && ok;
    }
    if (!ok || (c->nquestions && !mh_json_str(c->review.by, "username", NULL)))
        c->refusal =
            ok ? "the review does not say who writes"
               : "the scripts need too many things, at most 128 of verb, resource and name";
    c->open = c->nquestions;
    if (c->refusal || !c->nquestions)
        mh_needs_judged(c);
    else
        send_questions(c);
}

/* --- the record --------------------------------------------------------------------------------- */

static void read_record(struct mh_needs_review *c);

static void
end_record(struct mh_needs_review *c, enum mh_code code, const char *what)
{
    struct mh_err err = { .code = MH_OK };
    if (code != MH_OK)
        mh_fail(&err, code, "%s", what);
    mh_needs_recorded(c, &err);
}

static void
on_written(struct mh_api_call *call)
{
    struct mh_needs_review *c = call->arg;
    enum mh_code code = call->err.code;
    if ((code == MH_E_CONFLICT || code == MH_E_EXISTS || code == MH_E_NOTFOUND) &&
        ++c->tries < TRIES) {
        read_record(c); /* somebody else writes it now */
        return;
    }
    if (code == MH_OK)
        mh_cache_wrote(c->needs->cache, c->needs->kind, call->reply);
    end_record(c, code, call->err.msg);
}

static void
send_call(struct mh_needs_review *c, const char *method, const char *name, const char *body,
          void (*done)(struct mh_api_call *))
{
    const struct mh_needs *n = c->needs;
    const char *path = mh_kube_path(c->req->arena, n->kind, n->name_space, name, NULL);
    if (!path) {
        end_record(c, MH_E_NOMEM, "no memory");
        return;
    }
    c->call = (struct mh_api_call){ .method = method,
                                    .path = path,
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0,
                                    .timeout_ms = ASK_MS,
                                    .arena = c->req->arena,
                                    .done = done,
                                    .arg = c };
    n->api.start(n->api.self, &c->call);
}

static void
on_record(struct mh_api_call *call)
{
    struct mh_needs_review *c = call->arg;
    struct mh_arena *a = c->req->arena;
    yyjson_val *o = c->review.object;
    bool there = call->err.code == MH_OK;
    if (!there && call->err.code != MH_E_NOTFOUND) {
        end_record(c, call->err.code, call->err.msg);
        return;
    }
    struct mh_needs_page page = { .name_space = mh_json_str(o, "metadata", "namespace", NULL),
                                  .name = mh_json_str(o, "metadata", "name", NULL),
                                  .uid = mh_json_str(o, "metadata", "uid", NULL),
                                  .data = yyjson_obj_get(o, "data"),
                                  .old_data = mh_json_get(c->review.old, "data", NULL),
                                  .by = mh_json_str(c->review.by, "username", NULL),
                                  .wall_us = c->needs->clock.wall_us(c->needs->clock.self),
                                  .given = c->given,
                                  .ngiven = c->ngiven };
    const char *name = mh_needs_record_name(a, page.name_space, page.name);
    const char *body =
        mh_needs_record_body(a, c->needs->name_space, there ? call->reply : NULL, &page);
    if (body && name)
        send_call(c, there ? "PUT" : "POST", there ? name : NULL, body, on_written);
    else
        end_record(c, MH_E_LIMIT, "the record is too large, or there is no memory");
}

static void
read_record(struct mh_needs_review *c)
{
    const char *ns = mh_json_str(c->review.object, "metadata", "namespace", NULL);
    const char *name = mh_json_str(c->review.object, "metadata", "name", NULL);
    name = mh_needs_record_name(c->req->arena, ns, name);
    if (name)
        send_call(c, "GET", name, NULL, on_record);
    else
        end_record(c, MH_E_NOMEM, "no memory");
}

void
mh_needs_record(struct mh_needs_review *c)
{
    const struct mh_review *r = &c->review;
    c->ngiven = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct mh_needs_script *s = c->list[i];
        struct mh_needs_given *g = &c->given[c->ngiven];
        if (!s->asked || !s->brought)
            continue;
        g->key = s->call.job.name;
        g->set = s->set;
        mh_sha256_hex(g->sha, s->call.job.script, s->call.job.script_len);
        g->stored[0] = '\0';
        if (s->stored)
            mh_sha256_hex(g->stored, s->stored, s->stored_len);
        c->ngiven++;
    }
    if (!mh_json_str(r->object, "metadata", "namespace", NULL) ||
        !mh_json_str(r->object, "metadata", "name", NULL) ||
        !mh_json_str(r->object, "metadata", "uid", NULL))
        end_record(c, MH_E_INVALID, "the review names no namespace, name or uid of the object");
    else
        read_record(c);
}
