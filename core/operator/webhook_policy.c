#include "operator/webhook_policy.h"

#include <string.h>

#include "base/str.h"

#define REPLAY_MS 1000 /* of one text: the API server waits 5 s for all */

struct check;

/* One review; lives on the request's arena, which lives until the reply. */
struct checks {
    const struct mh_webhook_conf *conf;
    struct mh_policies *policies;
    int64_t began_ns;
    struct mh_request *req;
    struct mh_review review;
    struct check *list[MH_POLICY_SCRIPTS_MAX];
    size_t n;
    size_t open;
    size_t replayed; /* of list */
};

struct check {
    struct checks *all;
    struct mh_policy_call call;
    struct mh_replay replay; /* of a dry run */
    bool again;
};

static void
answer(struct checks *c, const char *message, yyjson_val *warnings)
{
    struct mh_review_verdict verdict = { .message = message, .warnings = warnings };
    char *text = mh_review_answer(c->req->arena, &c->review, &verdict);
    if (c->conf->on_review && c->n)
        c->conf->on_review(c->conf->arg, c->review.dry_run ? "policy-dry-run" : "policy", !message,
                           c->conf->mono_ns(c->conf->clock) - c->began_ns);
    if (text)
        mh_reply(c->req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(c->req, 500, "no memory for this review");
}

/* --- a dry run: what the recorded decisions would have become --------------------------------- */

static void
add_warning(struct checks *c, struct mh_buf *b, const char *key, const char *text)
{
    const char *line = mh_arena_printf(c->req->arena, "%.60s: %.180s", key, text);
    if (!line)
        return;
    (void)mh_buf_char(b, b->len ? ',' : '[');
    (void)mh_json_quote(b, line, strlen(line));
}

/* What the replays say, as warnings; each has at most 256 bytes, or an API server cuts it. */
static yyjson_val *
warnings_of(struct checks *c)
{
    struct mh_buf b;
    char sentence[160];
    yyjson_val *out = NULL;
    mh_buf_init(&b, (size_t)32 << 10);
    for (size_t i = 0; i < c->n; i++) {
        struct mh_replay *r = &c->list[i]->replay;
        const char *key = c->list[i]->call.job.name;
        mh_replay_sentence(r, sentence, sizeof(sentence));
        if (r->failure)
            add_warning(c, &b, key, r->failure);
        else
            add_warning(c, &b, key, sentence);
        for (unsigned k = 0; k < r->nlines; k++)
            add_warning(c, &b, key, r->lines[k]);
        mh_replay_release(r);
    }
    (void)mh_buf_char(&b, ']');
    if (!b.failed)
        (void)mh_json_parse(c->req->arena, b.data, b.len, &out, NULL);
    mh_buf_release(&b);
    return out;
}

static void replay_next(struct checks *c);

static void
on_replayed(struct mh_replay *r)
{
    replay_next(r->arg);
}

static void
replay_next(struct checks *c)
{
    yyjson_val *o = c->review.object;
    const char *ns = mh_json_str(o, "metadata", "namespace", NULL);
    if (c->replayed == c->n) {
        answer(c, NULL, warnings_of(c));
        return;
    }
    struct check *one = c->list[c->replayed++];
    bool everywhere = mh_str_eq(ns, mh_policies_home(c->policies));
    one->replay = (struct mh_replay){
        .job = one->call.job,
        .point = one->call.result.point,
        .ns = everywhere ? NULL : ns,
        .selector = mh_json_str(o, "metadata", "annotations", MH_POLICY_SELECTOR, NULL),
        .tenant = ns,
        .budget_ms = REPLAY_MS,
        .done = on_replayed,
        .arg = c,
    };
    mh_replay_start(c->policies, &one->replay);
}

/* All are over: one message with every fault, in the order of the keys. */
static void
finish(struct checks *c)
{
    struct mh_arena *a = c->req->arena;
    const char *message = NULL;
    for (size_t i = 0; i < c->n; i++) {
        struct mh_policy_result *r = &c->list[i]->call.result;
        if (r->ok)
            continue;
        const char *one = mh_policy_error_text(a, &r->error);
        const char *name = c->list[i]->call.job.name;
        if (!one)
            one = "no memory";
        if (!mh_str_starts(one, name))
            one = mh_arena_printf(a, "%s: %s", name, one);
        message = message ? mh_arena_printf(a, "%s; %s", message, one) : one;
        if (!message)
            message = "the policy is refused";
    }
    if (!message && c->review.dry_run)
        replay_next(c);
    else
        answer(c, message, NULL);
}

static void
on_checked(struct mh_policy_call *call)
{
    struct check *one = call->arg;
    if (!call->result.ok && mh_str_eq(call->result.error.kind, "wall") && !one->again) {
        one->again = true; /* a busy machine must not look like a slow script */
        mh_policy_check_start(one->all->policies, call);
        return;
    }
    if (--one->all->open == 0)
        finish(one->all);
}

/* data["NAME.params.yaml"] for "NAME.lua" */
static yyjson_val *
params_of(struct mh_arena *a, yyjson_val *data, const char *key)
{
    size_t n = strlen(key) - strlen(".lua");
    const char *name = mh_arena_printf(a, "%.*s.params.yaml", (int)n, key);
    return name ? yyjson_obj_get(data, name) : NULL;
}

static bool
add(struct checks *c, yyjson_val *data, const char *key, yyjson_val *script)
{
    struct mh_arena *a = c->req->arena;
    struct check *one = mh_arena_alloc(a, sizeof(*one));
    if (!one)
        return false;
    yyjson_val *params = params_of(a, data, key);
    one->all = c;
    one->call = (struct mh_policy_call){
        .job = { .op = MH_POLICY_CHECK,
                 .name = key,
                 .script = yyjson_get_str(script),
                 .script_len = yyjson_get_len(script),
                 .params = yyjson_get_str(params),
                 .params_len = yyjson_get_len(params) },
        .tenant = mh_json_str(c->review.object, "metadata", "namespace", NULL),
        .arena = a,
        .done = on_checked,
        .arg = one,
    };
    c->list[c->n++] = one;
    return true;
}

void
mh_webhook_policy(const struct mh_webhook_conf *conf, struct mh_request *req,
                  const struct mh_review *review)
{
    struct mh_policies *policies = conf->policies;
    struct checks *c = mh_arena_alloc(req->arena, sizeof(*c));
    if (!c) {
        mh_reply_text(req, 500, "no memory for this review");
        return;
    }
    c->conf = conf;
    c->policies = policies;
    c->began_ns = conf->mono_ns(conf->clock);
    c->req = req;
    c->review = *review;
    yyjson_val *data = mh_json_get(review->object, "data", NULL);
    bool labelled = mh_json_get(review->object, "metadata", "labels", MH_POLICY_LABEL, NULL);
    yyjson_obj_iter i = yyjson_obj_iter_with(labelled && policies ? data : NULL);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        yyjson_val *script = yyjson_obj_iter_get_val(k);
        if (!mh_str_ends(yyjson_get_str(k), ".lua") || !yyjson_is_str(script))
            continue;
        if (c->n == MH_POLICY_SCRIPTS_MAX || !add(c, data, yyjson_get_str(k), script)) {
            answer(c, "data: too many scripts in one ConfigMap, at most 32 are taken", NULL);
            return;
        }
    }
    c->open = c->n;
    if (!c->n) {
        answer(c, NULL, NULL);
        return;
    }
    for (size_t n = 0; n < c->n; n++)
        mh_policy_check_start(policies, &c->list[n]->call);
}
