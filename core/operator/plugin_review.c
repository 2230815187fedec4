#include "operator/plugin_review.h"

#include "base/str.h"
#include "base/time.h"
#include "lua/plugin_worker.h"
#include "operator/plugin_in.h"

#define SEATS 4
#define ARENA ((size_t)16 << 20)
#define REQUEST_MAX ((size_t)2 << 20)
#define IDLE_NS (60 * MH_NS_PER_S)

/* One child, and the review that it works for. Outlives requests: a review is touched only while it is
 * in its seat. */
struct mh_plugin_seat {
    struct mh_plugin plugin; /* what cases look at: all, child, key, ns, name */
    struct mh_plugin_review *review;
    struct mh_plugin_text *text;
    struct mh_plugin_job job;
    struct mh_plugin_cases cases;
    bool declaring, testing;
    struct mh_arena arena;  /* of one text */
    struct mh_timer *timer; /* its time is up; without a review: nobody came */
};

static void next(struct mh_plugin_seat *s);

static void
leave_text(struct mh_plugin_seat *s)
{
    if (s->declaring)
        mh_plugin_child_cancel(&s->job);
    if (s->testing)
        mh_plugin_cases_cancel(&s->cases);
    s->declaring = s->testing = false;
    mh_plugin_text_unref(s->text);
    s->text = NULL;
    mh_arena_release(&s->arena);
}

static void
on_idle(void *arg)
{
    struct mh_plugin_seat *s = arg;
    s->timer = NULL;
    mh_plugin_child_free(s->plugin.child);
    s->plugin.child = NULL;
}

static void
finish(struct mh_plugin_seat *s)
{
    struct mh_plugin_review *r = s->review;
    struct mh_clock *clock = &s->plugin.all->clock;
    leave_text(s);
    s->review = NULL;
    s->plugin.key = s->plugin.ns = s->plugin.name = NULL;
    clock->cancel(clock->self, s->timer);
    s->timer = clock->after(clock->self, IDLE_NS, on_idle, s);
    r->done(r);
}

static void
is_late(struct mh_plugin_review *r)
{
    if (!r->late && r->at < r->ntexts)
        r->late = r->texts[r->at].key;
}

static void
on_time(void *arg)
{
    struct mh_plugin_seat *s = arg;
    s->timer = NULL;
    is_late(s->review);
    finish(s);
}

/* The text's own fault refuses it. What may be ours, or for want of memory (LIMIT says both), lets it in,
 * to be looked at again. */
static void
judged(struct mh_plugin_seat *s, const struct mh_err *err)
{
    struct mh_plugin_review *r = s->review;
    const char *key = r->texts[r->at].key, *why = err->msg;
    if (err->code != MH_OK && err->code != MH_E_SCRIPT) {
        is_late(r);
    } else if (err->code != MH_OK) {
        if (!mh_str_starts(why, key))
            why = mh_arena_printf(r->arena, "%.60s: %.400s", key, why);
        r->refusal = mh_arena_printf(r->arena, "%s%s%s", r->refusal ? r->refusal : "",
                                     r->refusal ? "; " : "", why ? why : key);
        if (!r->refusal)
            r->refusal = "the plugin is refused";
    }
    leave_text(s);
    r->at++;
    next(s);
}

static void
on_tested(struct mh_plugin_cases *c)
{
    struct mh_plugin_seat *s = c->arg;
    struct mh_err err = c->err;
    s->testing = false;
    judged(s, &err);
}

static void
on_declared(struct mh_plugin_job *job)
{
    struct mh_plugin_seat *s = job->arg;
    struct mh_err err = job->err;
    yyjson_val *out = NULL;
    s->declaring = false;
    if (err.code == MH_OK &&
        mh_plugin_declare(&s->plugin, &s->arena, job->value, &out, &err) == MH_OK) {
        s->testing = true;
        s->cases = (struct mh_plugin_cases){ .plugin = &s->plugin,
                                             .text = s->text,
                                             .declaration = job->value,
                                             .done = on_tested,
                                             .arg = s };
        mh_plugin_cases_next(&s->cases);
        return;
    }
    judged(s, &err);
}

static void
declare(struct mh_plugin_seat *s)
{
    struct mh_buf b;
    struct mh_err err = { .code = MH_OK };
    mh_buf_init(&b, REQUEST_MAX);
    mh_plugin_request(&b, "declare", &s->plugin, s->text);
    (void)mh_buf_char(&b, '}');
    if (s->text->len > MH_PLUGIN_TEXT_MAX) {
        mh_fail(&err, MH_E_SCRIPT, "it is over 256 KiB");
    } else if (b.failed) {
        mh_fail(&err, MH_E_NOMEM, "no memory");
    } else {
        s->job = (struct mh_plugin_job){ .request = mh_buf_text(&b),
                                         .request_len = b.len,
                                         .arena = &s->arena,
                                         .done = on_declared,
                                         .arg = s };
        s->declaring = true;
        mh_plugin_child_start(s->plugin.child, &s->job);
    }
    mh_buf_release(&b);
    if (err.code != MH_OK)
        judged(s, &err);
}

/* The next text; judged comes back here, at most once from inside for each. */
static void
next(struct mh_plugin_seat *s)
{
    struct mh_plugin_review *r = s->review;
    if (r->at == r->ntexts) {
        finish(s);
        return;
    }
    const struct mh_plugin_reviewed *one = &r->texts[r->at];
    mh_arena_init(&s->arena, ARENA);
    s->plugin.key = mh_arena_strdup(&s->arena, one->key);
    s->plugin.ns = mh_arena_strdup(&s->arena, r->ns);
    s->plugin.name = mh_arena_strdup(&s->arena, r->name);
    s->text = mh_plugin_text_new(one->script);
    if (!s->plugin.key || !s->text) {
        struct mh_err err;
        mh_fail(&err, MH_E_NOMEM, "no memory");
        judged(s, &err);
        return;
    }
    declare(s);
}

/* A seat with a child; NULL: none is free, or there is no memory. */
static struct mh_plugin_seat *
take_seat(struct mh_plugins *all)
{
    struct mh_plugin_seat *best = NULL;
    if (!all->seats)
        all->seats = mh_calloc(SEATS, sizeof(*all->seats));
    for (size_t i = 0; all->seats && i < SEATS; i++) {
        struct mh_plugin_seat *s = &all->seats[i];
        if (!s->review && (!best || (s->plugin.child && !best->plugin.child)))
            best = s;
    }
    if (best && !best->plugin.child)
        best->plugin.child = mh_plugin_child_new(all->base, all->child_argv);
    return best && best->plugin.child ? best : NULL;
}

void
mh_plugin_review_start(struct mh_plugins *all, struct mh_plugin_review *r)
{
    struct mh_plugin_seat *s = r->ntexts ? take_seat(all) : NULL;
    r->refusal = r->late = NULL;
    r->at = 0;
    if (!s) {
        is_late(r);
        r->done(r);
        return;
    }
    s->plugin.all = all;
    s->review = r;
    int64_t ms = all->review_ms ? all->review_ms : MH_PLUGIN_REVIEW_MS;
    all->clock.cancel(all->clock.self, s->timer);
    s->timer = all->clock.after(all->clock.self, ms * MH_NS_PER_MS, on_time, s);
    next(s);
}

void
mh_plugin_reviews_release(struct mh_plugins *all)
{
    for (size_t i = 0; all->seats && i < SEATS; i++) {
        struct mh_plugin_seat *s = &all->seats[i];
        all->clock.cancel(all->clock.self, s->timer);
        leave_text(s);
        mh_plugin_child_free(s->plugin.child);
    }
    mh_free(all->seats);
    all->seats = NULL;
}
