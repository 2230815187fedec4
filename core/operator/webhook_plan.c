#include "operator/webhook_plan.h"

#include <string.h>

#include "base/str.h"

#define PLAN_MAX ((size_t)200 << 10) /* annotations of an object have 256 KiB together */
#define PATH "/metadata/annotations/moonherd.io~1plan"

/* One review; lives on the request's arena, which lives until the reply. */
struct asked {
    struct mh_request *req;
    struct mh_review review;
    struct mh_review_verdict verdict;
    struct mh_foresee foresee;
};

bool
mh_webhook_plans(const struct mh_webhook_conf *conf, const struct mh_review *review)
{
    return conf->foresee && review->dry_run && review->object &&
           mh_str_eq(
               mh_json_str(review->object, "metadata", "annotations", MH_PLAN_ANNOTATION, NULL),
               "requested");
}

/* The script's patch and one operation more. */
static bool
add_plan(struct asked *q, const char *plan)
{
    struct mh_review_verdict *v = &q->verdict;
    struct mh_buf b;
    mh_buf_init(&b, PLAN_MAX * 4);
    if (v->patch && v->patch_len > 2) {
        (void)mh_buf_add(&b, v->patch, v->patch_len - 1);
        (void)mh_buf_char(&b, ',');
    } else {
        (void)mh_buf_char(&b, '[');
    }
    (void)mh_buf_str(&b, "{\"op\":\"replace\",\"path\":\"" PATH "\",\"value\":");
    (void)mh_json_quote(&b, plan, strlen(plan));
    (void)mh_buf_str(&b, "}]");
    char *text = b.failed ? NULL : mh_arena_strndup(q->req->arena, mh_buf_text(&b), b.len);
    if (text) {
        v->patch = text;
        v->patch_len = b.len;
    }
    mh_buf_release(&b);
    return text != NULL;
}

/* {"error":"..."} */
static const char *
error_of(struct mh_arena *a, const char *message)
{
    struct mh_buf b;
    mh_buf_init(&b, 8192);
    (void)mh_buf_str(&b, "{\"error\":");
    (void)mh_json_quote(&b, message, strlen(message));
    (void)mh_buf_char(&b, '}');
    char *out = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static void
on_foreseen(struct mh_foresee *f)
{
    struct asked *q = f->arg;
    struct mh_arena *a = q->req->arena;
    const char *plan = f->err.code == MH_OK ? f->result : error_of(a, f->err.msg);
    if (plan && strlen(plan) > PLAN_MAX)
        plan = error_of(a, "the plan is too long to be told");
    char *text = plan && add_plan(q, plan) ? mh_review_answer(a, &q->review, &q->verdict) : NULL;
    if (text)
        mh_reply(q->req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(q->req, 500, "no memory for this review");
}

void
mh_webhook_plan(const struct mh_webhook_conf *conf, struct mh_request *req,
                const struct mh_review *review, const struct mh_review_verdict *verdict)
{
    struct asked *q = mh_arena_alloc(req->arena, sizeof(*q));
    if (!q) {
        mh_reply_text(req, 500, "no memory for this review");
        return;
    }
    q->req = req;
    q->review = *review;
    q->verdict = *verdict;
    q->foresee = (struct mh_foresee){ .object = review->object,
                                      .old = review->old,
                                      .arena = req->arena,
                                      .done = on_foreseen,
                                      .arg = q };
    conf->foresee(conf->arg, &q->foresee);
}
