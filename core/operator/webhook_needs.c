#include "operator/webhook_needs.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/webhook_needs_in.h"

#define WARNINGS_MAX ((size_t)16 << 10)
#define WARNING_LEN 250 /* an API server cuts longer ones */

void
mh_needs_token(char out[MH_SHA256_HEX], const char *key_pem)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)64 << 10);
    (void)mh_buf_printf(&b, "moonherd needs\n%s", key_pem);
    if (b.failed)
        out[0] = '\0'; /* no path is believed */
    else
        mh_sha256_hex(out, b.data, b.len);
    mh_buf_release(&b);
}

/* --- the answer --------------------------------------------------------------------------------- */

static void
warn(struct mh_needs_review *c, const char *key, const char *what)
{
    const char *text = mh_arena_printf(c->req->arena, "%.60s: %.180s", key, what);
    if (!text)
        return;
    (void)mh_buf_char(&c->warnings, c->warnings.len ? ',' : '[');
    (void)mh_json_quote(&c->warnings, text, strnlen(text, WARNING_LEN));
}

static void
answer(struct mh_needs_review *c)
{
    struct mh_review_verdict verdict = { .message = c->refusal };
    if (c->warnings.len) {
        (void)mh_buf_char(&c->warnings, ']');
        if (!c->warnings.failed)
            (void)mh_json_parse(c->req->arena, c->warnings.data, c->warnings.len, &verdict.warnings,
                                NULL);
    }
    mh_buf_release(&c->warnings);
    char *text = mh_review_answer(c->req->arena, &c->review, &verdict);
    if (c->conf->on_review && c->n)
        c->conf->on_review(c->conf->arg, "needs", !c->refusal,
                           c->conf->mono_ns(c->conf->clock) - c->began_ns);
    if (text)
        mh_reply(c->req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(c->req, 500, "no memory for this review");
}

void
mh_needs_recorded(struct mh_needs_review *c, const struct mh_err *err)
{
    if (err->code != MH_OK) {
        c->refusal = mh_arena_printf(c->req->arena,
                                     "what the script needs cannot be recorded: %.300s", err->msg);
        if (!c->refusal)
            c->refusal = "no memory";
    }
    answer(c);
}

void
mh_needs_judged(struct mh_needs_review *c)
{
    bool any = false;
    for (size_t i = 0; i < c->n; i++)
        any = any || (c->list[i]->asked && c->list[i]->brought);
    if (c->refusal || c->review.dry_run || !any)
        answer(c);
    else
        mh_needs_record(c);
}

/* --- what the edit is --------------------------------------------------------------------------- */

static bool
is_labelled(yyjson_val *o)
{
    return mh_json_get(o, "metadata", "labels", MH_PLUGIN_LABEL, NULL) != NULL;
}

static bool
same(yyjson_val *a, yyjson_val *b)
{
    return a == b || (a && b && yyjson_equals(a, b));
}

/* Every annotation of ours that a has, b has too. */
static bool
has_ours(yyjson_val *a, yyjson_val *b)
{
    yyjson_obj_iter i = yyjson_obj_iter_with(a);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        const char *key = yyjson_get_str(k);
        if (mh_str_starts(key, "moonherd.io/") &&
            !same(yyjson_obj_iter_get_val(k), yyjson_obj_get(b, key)))
            return false;
    }
    return true;
}

static bool
is_relevant(yyjson_val *now, yyjson_val *old)
{
    yyjson_val *notes = mh_json_get(now, "metadata", "annotations", NULL);
    yyjson_val *old_notes = mh_json_get(old, "metadata", "annotations", NULL);
    return !old || !is_labelled(old) ||
           !same(yyjson_obj_get(now, "data"), yyjson_obj_get(old, "data")) ||
           !same(yyjson_obj_get(now, "binaryData"), yyjson_obj_get(old, "binaryData")) ||
           !has_ours(notes, old_notes) || !has_ours(old_notes, notes);
}

/* --- the texts ---------------------------------------------------------------------------------- */

static struct mh_needs_text
text_of(const struct mh_needs_script *s)
{
    yyjson_val *o = s->all->review.object;
    return (struct mh_needs_text){ .name_space = mh_json_str(o, "metadata", "namespace", NULL),
                                   .name = mh_json_str(o, "metadata", "name", NULL),
                                   .uid = mh_json_str(o, "metadata", "uid", NULL),
                                   .key = s->call.job.name,
                                   .script = s->call.job.script,
                                   .script_len = s->call.job.script_len,
                                   .kept = s->all->review.dry_run }; /* then nothing is marked */
}

/* A text that says what it needs: whether somebody's rights are asked for. */
static void
judge_text(struct mh_needs_script *s, yyjson_val *declared)
{
    struct mh_needs_review *c = s->all;
    struct mh_needs_text t = text_of(s);
    struct mh_needs_set known;
    if (s->brought) {
        s->asked = c->believed;
        if (!c->believed)
            warn(c, t.key,
                 "what it needs was not checked, for this review did not come by the "
                 "operator's path; it will not run");
    } else if (mh_needs_granted(c->needs, &t, declared, c->req->arena, &known)) {
        s->asked = c->relevant;
        if (s->asked && !c->believed)
            c->refusal = "this review did not come by the operator's path";
    } else {
        warn(c, t.key,
             "what it needs was not checked when it was written; it does not run. Delete "
             "the ConfigMap and apply it again");
    }
}

static void
read_one(struct mh_needs_script *s)
{
    struct mh_needs_review *c = s->all;
    struct mh_arena *a = c->req->arena;
    const struct mh_policy_result *r = &s->call.result;
    const char *ns = mh_json_str(c->review.object, "metadata", "namespace", NULL);
    const char *key = s->call.job.name;
    yyjson_val *declared = NULL;
    struct mh_err err = { .code = MH_OK };
    if (!r->ok) {
        const char *why = mh_policy_error_text(a, &r->error);
        warn(c, key, why ? why : "no memory");
        return;
    }
    if (mh_json_parse(a, r->answer, r->answer_len, &declared, &err) == MH_OK)
        (void)mh_needs_parse(a, declared, mh_str_eq(ns, c->needs->name_space) ? NULL : ns, &s->set,
                             &err);
    if (err.code != MH_OK && !c->refusal)
        c->refusal = mh_arena_printf(a, "%.60s: %.300s", key, err.msg);
    if (err.code != MH_OK && !c->refusal)
        c->refusal = "no memory";
    if (err.code == MH_OK && !mh_needs_empty(&s->set))
        judge_text(s, declared);
}

static void
on_declared(struct mh_policy_call *call)
{
    struct mh_needs_script *s = call->arg;
    struct mh_needs_review *c = s->all;
    if (--c->open > 0)
        return;
    for (size_t i = 0; i < c->n; i++)
        read_one(c->list[i]);
    if (c->refusal)
        answer(c);
    else
        mh_needs_ask_rights(c);
}

static bool
add(struct mh_needs_review *c, const char *key, yyjson_val *script)
{
    yyjson_val *old = c->review.old;
    yyjson_val *stored = is_labelled(old) ? mh_json_get(old, "data", key, NULL) : NULL;
    struct mh_needs_script *s =
        c->n < MH_NEEDS_SCRIPTS_MAX ? mh_arena_alloc(c->req->arena, sizeof(*s)) : NULL;
    if (!s)
        return false;
    s->all = c;
    s->brought = !same(script, stored);
    s->stored = yyjson_get_str(stored);
    s->stored_len = yyjson_get_len(stored);
    s->call = (struct mh_policy_call){
        .job = { .name = key,
                 .script = yyjson_get_str(script),
                 .script_len = yyjson_get_len(script) },
        .tenant = mh_json_str(c->review.object, "metadata", "namespace", NULL),
        .arena = c->req->arena,
        .done = on_declared,
        .arg = s,
    };
    c->list[c->n++] = s;
    return true;
}

/* A text that hides the word from us declares needs that nobody has checked: it will not run. */
static bool
speaks_of_needs(yyjson_val *script)
{
    return yyjson_is_str(script) &&
           memmem(yyjson_get_str(script), yyjson_get_len(script), "needs", 5);
}

static void
judge_needs(struct mh_needs_review *c)
{
    c->open = c->n;
    if (!c->n || c->refusal) {
        answer(c);
        return;
    }
    for (size_t n = 0; n < c->n; n++)
        mh_policy_declared_start(c->conf->policies, &c->list[n]->call);
}

/* --- what it does -------------------------------------------------------------------------------- */

static void
on_tested(struct mh_plugin_review *r)
{
    struct mh_needs_review *c = r->arg;
    if (r->late)
        warn(c, r->late,
             "its check and its cases did not end in time; the operator begins with them anew, and "
             "notes on the ConfigMap what comes of it");
    if (r->refusal)
        c->refusal = r->refusal;
    if (c->conf->on_review && r->ntexts)
        c->conf->on_review(c->conf->arg, c->review.dry_run ? "plugin-dry-run" : "plugin",
                           !r->refusal, c->conf->mono_ns(c->conf->clock) - c->began_ns);
    judge_needs(c);
}

/* Texts that are stored already are not tested again: whoever edits something else is not to blame. */
static bool
add_text(struct mh_needs_review *c, const char *key, yyjson_val *script)
{
    struct mh_plugin_review *r = &c->plugins;
    yyjson_val *old = c->review.old;
    if (!c->conf->plugins || !yyjson_is_str(script) ||
        (is_labelled(old) && same(script, mh_json_get(old, "data", key, NULL))))
        return true;
    if (r->ntexts == MH_PLUGIN_REVIEWED_MAX)
        return false;
    r->texts[r->ntexts++] = (struct mh_plugin_reviewed){ key, script };
    return true;
}

static void
test_texts(struct mh_needs_review *c)
{
    struct mh_plugin_review *r = &c->plugins;
    r->ns = mh_json_str(c->review.object, "metadata", "namespace", NULL);
    r->name = mh_json_str(c->review.object, "metadata", "name", NULL);
    r->arena = c->req->arena;
    r->done = on_tested;
    r->arg = c;
    if (r->ntexts && !c->refusal)
        mh_plugin_review_start(c->conf->plugins, r);
    else
        judge_needs(c);
}

void
mh_webhook_needs(const struct mh_webhook_conf *conf, struct mh_request *req,
                 const struct mh_review *review, bool believed)
{
    struct mh_needs_review *c = mh_arena_alloc(req->arena, sizeof(*c));
    bool ours = conf->needs && conf->policies && is_labelled(review->object);
    yyjson_obj_iter i = yyjson_obj_iter_with(ours ? yyjson_obj_get(review->object, "data") : NULL);
    yyjson_val *k;
    if (!c) {
        mh_reply_text(req, 500, "no memory for this review");
        return;
    }
    c->conf = conf;
    c->needs = conf->needs;
    c->req = req;
    c->review = *review;
    c->believed = believed;
    c->relevant = is_relevant(review->object, review->old);
    c->began_ns = conf->mono_ns(conf->clock);
    mh_buf_init(&c->warnings, WARNINGS_MAX);
    while ((k = yyjson_obj_iter_next(&i))) {
        yyjson_val *script = yyjson_obj_iter_get_val(k);
        if (!mh_str_ends(yyjson_get_str(k), ".lua"))
            continue;
        if ((speaks_of_needs(script) && !add(c, yyjson_get_str(k), script)) ||
            !add_text(c, yyjson_get_str(k), script))
            c->refusal = "data: too many scripts, or no memory for them";
    }
    test_texts(c);
}
