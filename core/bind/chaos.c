/* chaos.c - the fibers of a scenario: who begins, who goes on, how all of it ends. */
#include "bind/chaos.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "bind/chaos_in.h"

#define FIBER_MAX ((size_t)16 << 20)
#define EFFECT_MAX ((size_t)64 << 20)
#define CLEANING_NS (60 * MH_NS_PER_S)

/* The words of scenarios stand before the first line, so that lines keep their numbers. */
static const char words[] =
    "local scenario,str,int,num,flag,duration=(require 'chaos.lib.words').all() ";

#define MAIN_FIBER 0
#define CLEANING_FIBER (-1)

/* --- fibers ---------------------------------------------------------------------------------- */

static void
fiber_free(struct mh_chaos_fiber *f)
{
    if (f->started && !f->ended)
        mh_observe_cancel(&f->o);
    if (f->turn)
        event_free(f->turn);
    mh_arena_release(&f->fx);
    mh_arena_release(&f->arena);
    mh_free(f);
}

static void
free_fibers(struct mh_chaos *c)
{
    while (c->fibers) {
        struct mh_chaos_fiber *f = c->fibers;
        c->fibers = f->next;
        fiber_free(f);
    }
}

static void
on_end(struct mh_observe *o)
{
    struct mh_chaos_fiber *f = o->self;
    struct mh_chaos *c = f->c;
    f->ended = true;
    if (o->err.code != MH_OK && c->why.code == MH_OK) {
        c->why = o->err;
        c->where = mh_arena_strdup(&c->arena, o->se.traceback);
    }
    /* The first fiber is last in the list: when it ends, or any one fails, all do. */
    if (o->err.code != MH_OK || !f->next)
        event_base_loopbreak(c->base);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct mh_chaos_fiber *f = arg;
    struct mh_effect_call *call = f->ready;
    (void)fd, (void)what;
    f->ready = NULL;
    if (call) {
        mh_effect_finish(call);
    } else if (!f->started) {
        f->started = true;
        if (mh_observe_start(f->c->script, &f->o) != MH_STEP_WAIT)
            on_end(&f->o);
    }
}

void
mh_chaos_ready(struct mh_effect_call *call)
{
    struct mh_chaos_fiber *f = call->observe->self;
    f->ready = call;
    call->cancel = NULL;
    event_active(f->turn, EV_TIMEOUT, 0);
}

static void
reap(struct mh_chaos *c)
{
    struct mh_chaos_fiber **at = &c->fibers;
    while (*at) {
        struct mh_chaos_fiber *f = *at;
        if (f->ended && f->next) {
            *at = f->next;
            fiber_free(f);
        } else {
            at = &f->next;
        }
    }
}

/* {"fiber": id}; what the caller gave is there for the first one, and for the last: its VM may be new. */
static yyjson_val *
object_of(struct mh_chaos_fiber *f, int64_t id, struct mh_err *err)
{
    yyjson_val *v = NULL;
    const char *text = f->c->input;
    if (id == CLEANING_FIBER)
        text = mh_arena_printf(&f->arena, "{\"fiber\":%d,\"given\":%s}", CLEANING_FIBER, text);
    else if (id != MAIN_FIBER)
        text = mh_arena_printf(&f->arena, "{\"fiber\":%lld}", (long long)id);
    if (!text)
        (void)mh_fail(err, MH_E_NOMEM, "no memory for a fiber");
    else
        (void)mh_json_parse(&f->arena, text, strlen(text), &v, err);
    return v;
}

bool
mh_chaos_spawn(struct mh_chaos *c, int64_t id)
{
    struct mh_err err;
    reap(c);
    struct mh_chaos_fiber *f = mh_calloc(1, sizeof(*f));
    if (!f)
        return false;
    f->c = c;
    mh_arena_init(&f->arena, FIBER_MAX);
    mh_arena_init(&f->fx, EFFECT_MAX);
    f->o = (struct mh_observe){ .arena = &f->arena,
                                .effects_arena = &f->fx,
                                .object = object_of(f, id, &err),
                                .effects = mh_chaos_effects,
                                .self = f,
                                .done = on_end };
    f->turn = event_new(c->base, -1, 0, on_turn, f);
    if (!f->o.object || !f->turn) {
        fiber_free(f);
        return false;
    }
    f->next = c->fibers;
    c->fibers = f;
    event_active(f->turn, EV_TIMEOUT, 0);
    return true;
}

/* --- the whole ------------------------------------------------------------------------------- */

void
mh_chaos_stop(struct mh_chaos *c, const char *why)
{
    if (c->why.code == MH_OK)
        (void)mh_fail(&c->why, MH_E_CANCELLED, "%s", why);
    event_base_loopbreak(c->base);
}

static void
on_deadline(void *arg)
{
    struct mh_chaos *c = arg;
    c->deadline = NULL;
    mh_chaos_stop(c, c->ending ? "the cleaning up takes too long" : "the scenario takes too long");
}

static enum mh_code
load(const char *name, const char *text, size_t len, struct mh_controller **out, struct mh_err *err)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)1 << 20);
    (void)mh_buf_str(&b, words);
    (void)mh_buf_add(&b, text, len);
    enum mh_code code = b.failed ? mh_fail(err, MH_E_LIMIT, "scenario %s is too long", name)
                                 : mh_controller_new_text(name, mh_buf_text(&b), b.len, out, err);
    mh_buf_release(&b);
    return code;
}

enum mh_code
mh_chaos_facts(const char *name, const char *text, size_t len, struct mh_arena *a,
               const char **facts, struct mh_err *err)
{
    struct mh_controller *script = NULL;
    enum mh_code code = load(name, text, len, &script, err);
    if (code != MH_OK)
        return code;
    *facts = mh_arena_strdup(a, mh_controller_declaration(script));
    mh_controller_free(script);
    return *facts ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for scenario %s", name);
}

/* Runs from fiber `id` until that one ends or something fails. */
static void
run_until_end(struct mh_chaos *c, int64_t id, int64_t limit_ns)
{
    c->deadline = c->clock.after(c->clock.self, limit_ns, on_deadline, c);
    if (!c->deadline || !mh_chaos_spawn(c, id))
        (void)mh_fail(&c->why, MH_E_NOMEM, "no memory for the scenario");
    else
        (void)event_base_dispatch(c->base);
    c->clock.cancel(c->clock.self, c->deadline);
    c->deadline = NULL;
    free_fibers(c);
}

static enum mh_code
read_report(struct mh_chaos *c, struct mh_arena *a, const char **report, struct mh_err *err)
{
    struct mh_script_call of = { .field = "report", .nargs = 1 };
    yyjson_val *v = NULL;
    if (c->why.code != MH_OK) {
        struct mh_buf b;
        mh_buf_init(&b, 64u << 10);
        (void)mh_buf_str(&b, "{\"message\":");
        (void)mh_json_quote(&b, c->why.msg, strlen(c->why.msg));
        (void)mh_buf_str(&b, ",\"traceback\":");
        (void)mh_json_quote(&b, c->where ? c->where : "", c->where ? strlen(c->where) : 0);
        (void)mh_buf_char(&b, '}');
        enum mh_code code = mh_json_parse(a, mh_buf_text(&b), b.len, &v, err);
        mh_buf_release(&b);
        if (code != MH_OK)
            return code;
    }
    of.args[0].value = v;
    enum mh_code code = mh_controller_run(c->script, a, &of, err);
    *report = of.out;
    return code;
}

enum mh_code
mh_chaos_run(struct mh_chaos *c, const char *name, const char *text, size_t len, struct mh_arena *a,
             const char **report, struct mh_err *err)
{
    enum mh_code code = load(name, text, len, &c->script, err);
    if (code != MH_OK)
        return code;
    mh_arena_init(&c->arena, FIBER_MAX);
    c->why = (struct mh_err){ .code = MH_OK };
    c->began_ns = c->clock.mono_ns(c->clock.self);
    run_until_end(c, MAIN_FIBER, c->limit_ns);
    c->ending = true;
    run_until_end(c, CLEANING_FIBER, CLEANING_NS);
    code = read_report(c, a, report, err);
    mh_controller_free(c->script);
    mh_arena_release(&c->arena);
    return code;
}
