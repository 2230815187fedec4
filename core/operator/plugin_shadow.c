/* plugin_shadow.c - a version that only watches: it plans what the one in charge planned, and both plans are
 * compared. It observes with its own needs; what the one in charge was told it is told, too, so that
 * only the texts differ and not the moment. Nothing of its plans is carried out. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "lua/policy_diff.h"
#include "operator/plugin_in.h"

#define ARENA ((size_t)32 << 20)
#define RUNS_MAX 4 /* at a time */
#define LATER_NS (5 * MH_NS_PER_S)

struct run {
    struct run *next;
    struct mh_plugin_shade *shade;
    struct mh_arena arena;
    struct mh_planner_call call;
    const char *plan; /* of the version in charge */
    size_t plan_len;
};

struct mh_plugin_shade {
    struct mh_plugin *of;
    struct mh_plugin as; /* of, as if its latest text were in charge */
    struct mh_plugin_work *work;
    struct mh_timer *later;
    struct run *runs;
    int n;
    unsigned asked, differ, failed;
    char last[280];
};

struct mh_plugin_heard *
mh_plugin_heard_add(struct mh_arena *a, struct mh_plugin_heard *list, const char *question,
                    const char *answer)
{
    struct mh_plugin_heard *h = mh_arena_alloc(a, sizeof(*h));
    if (!h)
        return list;
    *h = (struct mh_plugin_heard){ .next = list,
                                   .question = mh_arena_strdup(a, question),
                                   .answer = mh_arena_strdup(a, answer) };
    return h->question && h->answer ? h : list;
}

/* --- one plan ------------------------------------------------------------------------------------- */

static void
end(struct run *run, bool cancel)
{
    struct mh_plugin_shade *s = run->shade;
    struct mh_planner planner = mh_plugin_planner(s->work);
    struct run **at = &s->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    s->n--;
    if (cancel)
        planner.cancel(planner.self, &run->call);
    mh_arena_release(&run->arena);
    mh_free(run);
}

static void
on_later(void *arg)
{
    struct mh_plugin_shade *s = arg;
    s->later = NULL;
    if (s->of->trial && s->of->trial->waits)
        mh_plugin_say_waiting(s->of);
}

static void
note(struct run *run, const char *what)
{
    struct mh_plugin_shade *s = run->shade;
    struct mh_clock *clock = &s->of->all->clock;
    (void)snprintf(s->last, sizeof(s->last), "%.60s/%.60s: %.150s", run->call.ns, run->call.name,
                   what);
    mh_info("plugin", "a plan in the shadow differs", "namespace", s->of->ns, "name", s->of->name,
            "key", s->of->key, "note", s->last);
    if (!s->later)
        s->later = clock->after(clock->self, LATER_NS, on_later, s);
}

static void
compare(struct run *run)
{
    struct mh_planner_call *call = &run->call;
    yyjson_val *was = NULL, *is = NULL;
    struct mh_buf b;
    if (call->plan_len == run->plan_len && memcmp(call->plan, run->plan, run->plan_len) == 0)
        return;
    run->shade->differ++;
    mh_buf_init(&b, 4096);
    if (mh_json_parse(&run->arena, run->plan, run->plan_len, &was, NULL) == MH_OK &&
        mh_json_parse(&run->arena, call->plan, call->plan_len, &is, NULL) == MH_OK)
        (void)mh_policy_diff(&b, was, is);
    note(run, mh_buf_text(&b));
    mh_buf_release(&b);
}

static void
on_planned(struct mh_planner_call *call)
{
    struct run *run = call->arg;
    struct mh_plugin_shade *s = run->shade;
    enum mh_code code = call->err.code;
    bool fault = code == MH_E_SCRIPT || code == MH_E_LIMIT || code == MH_E_REFUSED;
    s->asked += code == MH_OK || fault;
    if (code == MH_OK) {
        compare(run);
    } else if (fault) {
        s->failed++;
        note(run, call->err.msg);
    }
    end(run, false);
}

static bool
copy_heard(struct run *run, const struct mh_plugin_heard *heard, struct mh_plugin_heard **out)
{
    for (; heard; heard = heard->next) {
        struct mh_plugin_heard *more =
            mh_plugin_heard_add(&run->arena, *out, heard->question, heard->answer);
        if (more == *out)
            return false;
        *out = more;
    }
    return true;
}

void
mh_plugin_shade_ask(struct mh_plugin *p, const struct mh_planner_call *call,
                    const struct mh_plugin_heard *heard, int64_t now_s)
{
    struct mh_plugin_shade *s = p->shade;
    struct run *run = s && s->n < RUNS_MAX ? mh_calloc(1, sizeof(*run)) : NULL;
    struct mh_plugin_heard *copy = NULL;
    size_t len = 0;
    if (!run)
        return;
    mh_arena_init(&run->arena, ARENA);
    run->shade = s;
    run->next = s->runs;
    s->runs = run;
    s->n++;
    const char *object = mh_json_text(&run->arena, call->object, &len);
    run->plan = mh_arena_strndup(&run->arena, call->plan, call->plan_len);
    run->plan_len = call->plan_len;
    run->call = (struct mh_planner_call){ .kind = s->work->kind->key,
                                          .ns = mh_arena_strdup(&run->arena, call->ns),
                                          .name = mh_arena_strdup(&run->arena, call->name),
                                          .arena = &run->arena,
                                          .dry = true,
                                          .done = on_planned,
                                          .arg = run };
    if (!object || !run->plan || !run->call.ns || !run->call.name ||
        mh_json_parse(&run->arena, object, len, &run->call.object, NULL) != MH_OK ||
        !copy_heard(run, heard, &copy)) {
        end(run, false);
        return;
    }
    mh_plugin_plan_like(s->work, &run->call, copy, now_s);
}

/* --- life ----------------------------------------------------------------------------------------- */

void
mh_plugin_shade_begin(struct mh_plugin *p, struct mh_plugin_text *t)
{
    const struct mh_plugin_text *old = p->active;
    if (p->shade || !old || !mh_str_eq(old->kind, t->kind) || !mh_str_eq(old->group, t->group))
        return;
    struct mh_plugin_shade *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return;
    p->shade = s;
    s->of = p;
    s->as = (struct mh_plugin){ .all = p->all,
                                .ns = p->ns,
                                .name = p->name,
                                .uid = p->uid,
                                .key = p->key,
                                .home = p->home,
                                .active = mh_plugin_text_ref(t),
                                .child = mh_plugin_child_new(p->all->base, p->all->child_argv) };
    s->work = mh_plugin_work_still(&s->as, t);
    if (!s->as.child || !s->work) {
        mh_warn("plugin", "no memory for a version in the shadow", "namespace", p->ns, "name",
                p->name, "key", p->key);
        mh_plugin_shade_end(p);
    }
}

void
mh_plugin_shade_end(struct mh_plugin *p)
{
    struct mh_plugin_shade *s = p->shade;
    if (!s)
        return;
    p->shade = NULL;
    while (s->runs)
        end(s->runs, true);
    p->all->clock.cancel(p->all->clock.self, s->later);
    mh_plugin_work_free(s->work);
    mh_plugin_child_free(s->as.child);
    mh_plugin_text_unref(s->as.active);
    mh_free(s);
}

void
mh_plugin_shade_sentence(const struct mh_plugin *p, char *out, size_t size)
{
    const struct mh_plugin_shade *s = p->shade;
    if (!s)
        mh_str_copy(out, size,
                    "; no version of this kind is in charge, so there is nothing to compare");
    else if (s->differ + s->failed == 0)
        mh_str_copy(out, size, "");
    else
        (void)snprintf(out, size, "; %u plan%s and %u failed so far, the last: %.200s", s->differ,
                       s->differ == 1 ? " differs" : "s differ", s->failed, s->last);
}
