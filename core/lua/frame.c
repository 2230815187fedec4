#include "lua/frame.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "lua/guard.h"

#define ABSENT 0xffffffffu

uint32_t
mh_frame_length(const char head[4])
{
    const unsigned char *p = (const unsigned char *)head;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool
put_u32(struct mh_buf *b, uint32_t n)
{
    char bytes[4] = { (char)(n & 0xff), (char)(n >> 8 & 0xff), (char)(n >> 16 & 0xff),
                      (char)(n >> 24 & 0xff) };
    return mh_buf_add(b, bytes, 4);
}

static bool
put_text(struct mh_buf *b, const char *s, size_t n)
{
    if (!s)
        return put_u32(b, ABSENT);
    return n < MH_FRAME_MAX && put_u32(b, (uint32_t)n) && mh_buf_add(b, s, n) && mh_buf_char(b, 0);
}

static size_t
text_len(const char *s)
{
    return s ? strlen(s) : 0;
}

bool
mh_frame_put_job(struct mh_buf *b, const struct mh_policy_job *job)
{
    size_t start = b->len;
    bool ok = put_u32(b, 0) && mh_buf_char(b, (char)job->op) &&
              put_text(b, job->point, text_len(job->point)) &&
              put_text(b, job->name, text_len(job->name)) &&
              put_text(b, job->script, job->script_len) &&
              put_text(b, job->params, job->params_len) && put_text(b, job->input, job->input_len);
    size_t len = b->len - start - 4;
    if (!ok || len > MH_FRAME_MAX)
        return false;
    for (int i = 0; i < 4; i++)
        b->data[start + (size_t)i] = (char)(len >> (8 * i) & 0xff);
    return true;
}

static bool
get_text(const char **p, const char *end, const char **out, size_t *n)
{
    if (end - *p < 4)
        return false;
    uint32_t len = mh_frame_length(*p);
    *p += 4;
    *out = NULL;
    *n = 0;
    if (len == ABSENT)
        return true;
    if ((size_t)(end - *p) <= len || (*p)[len] != 0)
        return false;
    *out = *p;
    *n = len;
    *p += len + 1;
    return true;
}

bool
mh_frame_get_job(const char *data, size_t len, struct mh_policy_job *job)
{
    const char *p = data;
    const char *end = data + len;
    size_t n;
    *job = (struct mh_policy_job){ .op = MH_POLICY_CHECK };
    if (p >= end || *p < MH_POLICY_CHECK || *p > MH_POLICY_DECLARED)
        return false;
    job->op = (enum mh_policy_op) * p++;
    return get_text(&p, end, &job->point, &n) && get_text(&p, end, &job->name, &n) &&
           get_text(&p, end, &job->script, &job->script_len) &&
           get_text(&p, end, &job->params, &job->params_len) &&
           get_text(&p, end, &job->input, &job->input_len) && p == end;
}

static void
put_named(struct mh_buf *b, const char *name, const char *s)
{
    if (!s)
        return;
    (void)mh_buf_printf(b, ",\"%s\":", name);
    (void)mh_json_quote(b, s, strnlen(s, 8192));
}

bool
mh_frame_put_result(struct mh_buf *b, const struct mh_policy_result *r)
{
    size_t start = b->len;
    (void)put_u32(b, 0);
    (void)mh_buf_printf(b, "{\"ok\":%s,\"cases\":%d,\"fuel\":%lld,\"us\":%lld",
                        r->ok ? "true" : "false", r->cases, (long long)r->fuel,
                        (long long)r->took_us);
    put_named(b, "point", r->point);
    if (r->ok && r->answer) {
        (void)mh_buf_str(b, ",\"answer\":");
        (void)mh_buf_add(b, r->answer, r->answer_len);
    }
    if (!r->ok) {
        put_named(b, "kind", r->error.kind);
        put_named(b, "file", r->error.file);
        put_named(b, "message", r->error.message);
        put_named(b, "traceback", r->error.traceback);
        (void)mh_buf_printf(b, ",\"line\":%d", r->error.line);
    }
    if (!mh_buf_char(b, '}') || b->failed)
        return false;
    size_t len = b->len - start - 4;
    for (int i = 0; i < 4; i++)
        b->data[start + (size_t)i] = (char)(len >> (8 * i) & 0xff);
    return true;
}

static void
fail(struct mh_policy_result *r, const char *kind, const char *file, const char *message)
{
    r->ok = false;
    r->error = (struct mh_script_error){ .kind = kind, .file = file, .message = message };
}

/* One of our own words, so that a worker cannot invent kinds. */
static const char *
known_kind(const char *s)
{
    static const char *const kinds[] = { "syntax", "contract", "runtime", "fuel", "wall",
                                         "memory", "output",   "guard",   NULL };
    for (const char *const *k = kinds; *k; k++) {
        if (mh_str_eq(*k, s))
            return *k;
    }
    return "output";
}

yyjson_val *
mh_frame_input(struct mh_arena *a, const struct mh_policy_job *job)
{
    yyjson_val *input = NULL;
    if (job->op != MH_POLICY_DECIDE || !job->input ||
        mh_json_parse(a, job->input, job->input_len, &input, NULL) != MH_OK)
        return NULL;
    return input;
}

void
mh_frame_get_result(struct mh_arena *a, const struct mh_policy_job *job,
                    const struct mh_frame_answer *got, struct mh_policy_result *r)
{
    yyjson_val *v = NULL;
    struct mh_err err = { .code = MH_OK };
    *r = (struct mh_policy_result){ .ok = false };
    if (mh_json_parse(a, got->data, got->len, &v, &err) != MH_OK) {
        fail(r, "output", job->name, "the worker's answer is no JSON");
        return;
    }
    r->point = mh_json_str(v, "point", NULL);
    r->cases = (int)mh_json_int(v, 0, "cases", NULL);
    r->fuel = mh_json_int(v, 0, "fuel", NULL);
    r->took_us = mh_json_int(v, 0, "us", NULL);
    if (!mh_json_bool(v, false, "ok", NULL)) {
        const char *message = mh_json_str(v, "message", NULL);
        fail(r, known_kind(mh_json_str(v, "kind", NULL)), mh_json_str(v, "file", NULL),
             message ? message : "no message");
        r->error.line = (int)mh_json_int(v, 0, "line", NULL);
        r->error.traceback = mh_json_str(v, "traceback", NULL);
        return;
    }
    r->ok = true;
    if (job->op == MH_POLICY_CHECK) {
        r->ok = mh_policy_point_known(r->point);
        if (!r->ok)
            fail(r, "contract", job->name, "the script declares no decision point");
        return;
    }
    yyjson_val *answer = yyjson_obj_get(v, "answer");
    if (job->op == MH_POLICY_DECLARED) { /* its reader trusts nobody */
        r->answer = answer ? mh_json_canonical(a, answer, &r->answer_len) : NULL;
        if (!r->answer)
            fail(r, "output", job->name, "no answer, or no memory for it");
        return;
    }
    if (!got->input || mh_guard_answer(job->point, got->input, answer, &err) != MH_OK) {
        if (!got->input)
            (void)mh_fail(&err, MH_E_INVALID, "the input of the decision cannot be read");
        fail(r, "guard", job->name, mh_arena_strdup(a, err.msg));
        return;
    }
    r->answer = mh_json_canonical(a, answer, &r->answer_len);
    if (!r->answer || r->answer_len > MH_POLICY_OUTPUT_MAX)
        fail(r, "output", job->name, "the answer is over 64 KiB");
}
