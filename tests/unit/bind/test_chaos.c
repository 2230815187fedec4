/* The runner of scenarios, in a world where every request of the API is answered with {} at once. */
#include <string.h>

#include "base/time.h"
#include "bind/bind.h"
#include "bind/chaos.h"
#include "harness/test.h"
#include "io/child.h"
#include "io/loop.h"

struct given {
    const char *text; /* of the scenario */
    const char *params, *without;
    const char *world; /* NULL: sandbox */
    int64_t limit_ns;
    int64_t seed;
    int stop_ms; /* > 0: interrupted after that */
};

struct ran {
    struct event_base *base;
    struct mh_clock clock;
    struct mh_chaos c;
    struct mh_arena a;
    enum mh_code code;
    struct mh_err err;
    yyjson_val *report;
    int asked; /* requests of the API */
};

static void
answer_now(void *arg)
{
    struct mh_api_call *call = arg;
    call->impl = NULL;
    call->status = 200;
    (void)mh_json_parse(call->arena, "{}", 2, &call->reply, &call->err);
    call->err.code = MH_OK;
    call->done(call);
}

static void
api_start(void *self, struct mh_api_call *call)
{
    struct ran *r = self;
    r->asked++;
    call->impl = r->clock.after(r->clock.self, 0, answer_now, call);
}

static void
api_cancel(void *self, struct mh_api_call *call)
{
    struct ran *r = self;
    r->clock.cancel(r->clock.self, call->impl);
}

static void
interrupt(void *arg)
{
    struct ran *r = arg;
    mh_chaos_stop(&r->c, "interrupted");
}

static struct ran *
run(const struct given *g)
{
    struct ran *r = mh_calloc(1, sizeof(*r));
    const char *text = NULL;
    mh_bind_init();
    mh_arena_init(&r->a, (size_t)8 << 20);
    r->base = mh_loop_new();
    r->clock = mh_clock_real(r->base);
    r->c = (struct mh_chaos){ .base = r->base,
                              .clock = r->clock,
                              .api = { .start = api_start, .cancel = api_cancel, .self = r },
                              .proc = mh_proc_real(r->base),
                              .limit_ns = g->limit_ns ? g->limit_ns : 20 * MH_NS_PER_S,
                              .input = mh_arena_printf(
                                  &r->a,
                                  "{\"fiber\":0,\"seed\":%lld,\"world\":\"%s\",\"namespace\":\"n\","
                                  "\"kubectl\":\"kubectl\",\"params\":%s%s%s%s}",
                                  (long long)g->seed, g->world ? g->world : "sandbox",
                                  g->params ? g->params : "{}", g->without ? ",\"without\":\"" : "",
                                  g->without ? g->without : "", g->without ? "\"" : "") };
    if (g->stop_ms)
        (void)r->clock.after(r->clock.self, g->stop_ms * MH_NS_PER_MS, interrupt, r);
    r->code = mh_chaos_run(&r->c, "s", g->text, strlen(g->text), &r->a, &text, &r->err);
    if (r->code == MH_OK)
        (void)mh_json_parse(&r->a, text, strlen(text), &r->report, &r->err);
    return r;
}

static void
done(struct ran *r)
{
    mh_proc_release(&r->c.proc);
    mh_clock_release(&r->clock);
    event_base_free(r->base);
    mh_arena_release(&r->a);
    mh_free(r);
}

static const char *
said(struct ran *r, const char *field)
{
    const char *s = mh_json_str(r->report, "failed", field, NULL);
    return s ? s : "";
}

static bool
passed(struct ran *r)
{
    return mh_json_bool(r->report, false, "passed", NULL);
}

static bool
refused(struct ran *r)
{
    return mh_json_bool(r->report, false, "refused", NULL);
}

#define BROKEN "t.fault('test', 'x', function() return 'seen' end) "
#define SCENARIO(body) "return scenario 's' { run = function(t) " body " end }"

/* --- the end --------------------------------------------------------------------------------- */

TEST(a_scenario_whose_checks_are_true_and_whose_fault_was_seen_passes)
{
    struct ran *r = run(
        &(struct given){ .text = SCENARIO(BROKEN "t.step('one') t.check(1 == 1, 'one is %d', 1) "
                                                 "t.record('n', 7)") });
    CHECK(passed(r));
    CHECK_STR(
        mh_json_str(yyjson_arr_get_first(yyjson_obj_get(r->report, "faults")), "evidence", NULL),
        "seen");
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(r->report, "checks")), 1);
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(r->report, "records")), 1);
    CHECK(strstr(mh_json_str(r->report, "summary", NULL), "PASSED") != NULL);
    done(r);
}

TEST(a_check_that_is_not_true_ends_the_scenario)
{
    struct ran *r = run(&(struct given){
        .text = SCENARIO(BROKEN "t.check(false, '%d rows are missing', 3) t.record('never', 1)") });
    CHECK(!passed(r) && !refused(r));
    CHECK_STR(said(r, "kind"), "check");
    CHECK_STR(said(r, "text"), "3 rows are missing");
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(r->report, "records")), 0);
    done(r);
}

TEST(a_check_in_a_spawned_fiber_ends_all)
{
    struct ran *r = run(&(struct given){
        .text = SCENARIO(BROKEN "t.spawn(function() t.sleep(0.05) t.check(false, 'beside') end) "
                                "t.sleep(30)") });
    CHECK_STR(said(r, "text"), "beside");
    done(r);
}

TEST(what_does_not_come_true_in_time_is_a_failed_check)
{
    struct ran *r = run(&(struct given){
        .text =
            SCENARIO(BROKEN "t.eventually('200ms', function() return false end, 'a wonder')") });
    CHECK_STR(said(r, "kind"), "check");
    CHECK_STR(said(r, "text"), "a wonder: not within 0.2 s");
    done(r);
}

TEST(a_scenario_without_a_fault_fails)
{
    struct ran *r = run(&(struct given){ .text = SCENARIO("t.check(true, 'fine')") });
    CHECK(!passed(r));
    CHECK_STR(said(r, "kind"), "evidence");
    done(r);
}

TEST(an_error_of_the_script_has_file_and_line)
{
    struct ran *r = run(&(struct given){
        .text = "return scenario 's' { run = function(t)\n  local x = nil\n  return x.y\nend }" });
    CHECK(refused(r));
    CHECK_STR(said(r, "kind"), "error");
    CHECK(strstr(said(r, "text"), "s.lua:3:") != NULL);
    CHECK(strstr(said(r, "traceback"), "s.lua:3") != NULL);
    done(r);
}

TEST(text_that_is_no_lua_cannot_be_run)
{
    struct ran *r = run(&(struct given){ .text = "return scenario 's' {\n  run = = 1 }" });
    CHECK(r->code != MH_OK);
    CHECK(strstr(r->err.msg, "s.lua:2:") != NULL);
    done(r);
}

TEST(a_name_that_does_not_exist_cannot_be_run)
{
    struct ran *r = run(&(struct given){ .text = SCENARIO("os.execute('true')") });
    CHECK(r->code != MH_OK);
    CHECK(strstr(r->err.msg, "undefined name 'os'") != NULL);
    done(r);
}

/* --- limits ---------------------------------------------------------------------------------- */

TEST(an_endless_loop_is_ended_and_what_it_broke_is_mended)
{
    struct ran *r = run(&(struct given){
        .text =
            SCENARIO("t.on_end('it', function() t.record('mended', 1) end)\nwhile true do end") });
    CHECK(refused(r));
    CHECK(strstr(said(r, "text"), "s.lua:2") != NULL);
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(r->report, "records")), 1);
    done(r);
}

TEST(a_script_cannot_catch_the_end_of_its_loop)
{
    struct ran *r = run(&(struct given){
        .text = SCENARIO("while true do pcall(function() while true do end end) end") });
    CHECK(refused(r));
    done(r);
}

TEST(memory_is_limited_and_the_world_is_mended_by_a_new_vm)
{
    struct ran *r = run(&(struct given){
        .text = SCENARIO("local s = {} for i = 1, 1e7 do s[i] = ('x'):rep(100000) .. i end") });
    CHECK(r->code == MH_OK && !passed(r));
    CHECK(r->asked >= 2); /* the sandbox was asked to take all faults away */
    done(r);
}

TEST(a_scenario_that_takes_too_long_is_ended)
{
    struct ran *r = run(
        &(struct given){ .text = SCENARIO("t.on_end('it', function() t.record('mended', 1) end) "
                                          "t.sleep(1000)"),
                         .limit_ns = 100 * MH_NS_PER_MS });
    CHECK(!passed(r));
    CHECK(strstr(said(r, "text"), "takes too long") != NULL);
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(r->report, "records")), 1);
    done(r);
}

TEST(an_interrupt_ends_it_and_what_it_broke_is_mended)
{
    struct ran *r = run(
        &(struct given){ .text = SCENARIO("t.on_end('it', function() t.record('mended', 1) end) "
                                          "t.sleep(1000)"),
                         .stop_ms = 50 });
    CHECK(strstr(said(r, "text"), "interrupted") != NULL);
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(r->report, "records")), 1);
    done(r);
}

/* --- seeds, parameters ------------------------------------------------------------------------ */

#define DRAWS BROKEN "for i = 1, 20 do t.record('d', t.rand(1000)) end"

static bool
same_draws(int64_t a, int64_t b)
{
    struct ran *x = run(&(struct given){ .text = SCENARIO(DRAWS), .seed = a });
    struct ran *y = run(&(struct given){ .text = SCENARIO(DRAWS), .seed = b });
    bool same = true;
    for (size_t i = 0; i < 20; i++)
        same = same && mh_json_int(yyjson_arr_get(yyjson_obj_get(x->report, "records"), i), 0,
                                   "value", NULL) ==
                           mh_json_int(yyjson_arr_get(yyjson_obj_get(y->report, "records"), i), 1,
                                       "value", NULL);
    CHECK_INT(mh_json_int(x->report, 0, "seed", NULL), a);
    done(x);
    done(y);
    return same;
}

TEST(the_same_seed_gives_the_same_draws_and_another_one_others)
{
    CHECK(same_draws(7, 7));
    CHECK(!same_draws(7, 8));
}

#define WITH_PARAMS                                                                                \
    "return scenario 's' { params = { n = int(3), d = duration '1m30s', name = str }, "            \
    "defence = { guard = 'g' }, run = function(t) " BROKEN                                         \
    "t.record('n', t.params.n) t.record('d', t.params.d) "                                         \
    "t.record('w', t.without 'guard') end }"

TEST(parameters_have_types_and_defaults)
{
    struct ran *r = run(
        &(struct given){ .text = WITH_PARAMS, .params = "{\"name\":\"x\"}", .without = "guard" });
    yyjson_val *list = yyjson_obj_get(r->report, "records");
    CHECK(passed(r));
    CHECK_INT(mh_json_int(yyjson_arr_get(list, 0), 0, "value", NULL), 3);
    CHECK_INT((int)yyjson_get_num(yyjson_obj_get(yyjson_arr_get(list, 1), "value")), 90);
    CHECK(mh_json_bool(yyjson_arr_get(list, 2), false, "value", NULL));
    done(r);
}

static void
check_refused(const struct given *g, const char *why)
{
    struct ran *r = run(g);
    CHECK(refused(r));
    CHECK_STR(said(r, "kind"), "refused");
    if (!strstr(said(r, "text"), why))
        CHECK_STR(said(r, "text"), why);
    done(r);
}

TEST(what_cannot_be_is_refused_before_anything_breaks)
{
    check_refused(&(struct given){ .text = WITH_PARAMS }, "parameter 'name' is missing");
    check_refused(
        &(struct given){ .text = WITH_PARAMS, .params = "{\"name\":\"x\",\"n\":\"two\"}" },
        "parameter 'n': 'two' is no int");
    check_refused(
        &(struct given){ .text = WITH_PARAMS, .params = "{\"name\":\"x\",\"d\":\"soon\"}" },
        "'soon' is no duration");
    check_refused(&(struct given){ .text = WITH_PARAMS, .params = "{\"name\":\"x\",\"y\":\"1\"}" },
                  "there is no parameter 'y'");
    check_refused(
        &(struct given){ .text = WITH_PARAMS, .params = "{\"name\":\"x\"}", .without = "walls" },
        "defence 'walls' is unknown here");
}

/* The answer {} has no label, as a namespace that nobody has opened. */
TEST(a_cluster_without_the_label_is_left_alone)
{
    struct given g = { .text = WITH_PARAMS, .params = "{\"name\":\"x\"}", .world = "cluster" };
    check_refused(&g, "kubectl label namespace n moonherd.io/chaos=allowed");
    g.without = "guard";
    check_refused(&g, "--without is for sandboxes only");
}

TEST(its_declaration_can_be_read_without_running_it)
{
    static const char text[] = "return scenario 's' { about = 'a', covers = array { 'A1', 'B2' }, "
                               "run = function() end }";
    const char *facts = "";
    struct mh_arena a;
    struct mh_err err;
    mh_bind_init();
    mh_arena_init(&a, (size_t)8 << 20);
    CHECK(mh_chaos_facts("s", text, sizeof(text) - 1, &a, &facts, &err) == MH_OK);
    CHECK_STR(facts, "{\"about\":\"a\",\"covers\":[\"A1\",\"B2\"],\"kind\":\"s\"}");
    mh_arena_release(&a);
}

/* --- programs --------------------------------------------------------------------------------- */

TEST(a_program_is_given_its_arguments_and_its_time)
{
    struct ran *r = run(&(struct given){
        .text = "local state = require 'chaos.lib.state' " SCENARIO(
            BROKEN "local a = state.ctx.run { argv = array { '/bin/echo', 'one two', '$x' } } "
                   "t.record('out', a.out) "
                   "local b = state.ctx.run { argv = array { '/bin/sleep', '30' }, timeout = 0.1 } "
                   "t.record('late', b.late)") });
    yyjson_val *list = yyjson_obj_get(r->report, "records");
    CHECK(passed(r));
    CHECK_STR(mh_json_str(yyjson_arr_get(list, 0), "value", NULL), "one two $x\n");
    CHECK(mh_json_bool(yyjson_arr_get(list, 1), false, "value", NULL));
    done(r);
}
