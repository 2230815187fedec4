/* Controllers: observe with effects that wait, plan, budgets, generations. */
#include "harness/test.h"
#include "lua/task.h"

static const char script[] =
    "return controller 'Thing' {\n"
    "  owns = {'Pod', 'Service'}, watches = {{kind = 'Secret'}},\n"
    "  observe = function(ctx, obj)\n"
    "    if obj.mode == 'loop' then while true do end end\n"
    "    if obj.mode == 'eat' then local t = {} while true do t[#t + 1] = ('x'):rep(4000000) .. #t "
    "end end\n"
    "    if obj.mode == 'keep' then error 'no' end\n"
    "    local a = ctx.read('Secret', 'ns', obj.name)\n"
    "    local ok, b = pcall(ctx.read, 'Secret', 'ns', 'second')\n"
    "    if obj.mode == 'sort' then table.sort({2, 1}, function() ctx.read('x') end) end\n"
    "    return {now = ctx.now, a = a, ok = ok, b = b, list = ctx.list('Pod', {cluster = 'c'})}\n"
    "  end,\n"
    "  plan = function(seen)\n"
    "    if seen.call then seen.call() end\n"
    "    return {actions = array {}, reason = 'saw ' .. tostring(seen.a and seen.a.v)}\n"
    "  end,\n"
    "}\n";

static struct mh_effect_call *waiting;
static int cancelled;

static void
on_cancel(struct mh_effect_call *call)
{
    (void)call;
    cancelled++;
    waiting = NULL;
}

static enum mh_effect_result
fx_read(struct mh_effect_call *call)
{
    waiting = call;
    call->cancel = on_cancel;
    return MH_EFFECT_WAIT;
}

static enum mh_effect_result
fx_list(struct mh_effect_call *call)
{
    static yyjson_val *items[2];
    CHECK_STR(mh_effect_str(call, 0), "Pod");
    CHECK_STR(mh_json_str(mh_effect_arg(call, 1), "cluster", NULL), "c");
    CHECK(mh_json_parse(call->arena, "{\"n\":1}", 7, &items[0], NULL) == MH_OK);
    items[1] = items[0];
    call->items = items;
    call->nitems = 2;
    call->is_list = true;
    return MH_EFFECT_DONE;
}

static const struct mh_effect effects[] = { { "read", fx_read },
                                            { "list", fx_list },
                                            { NULL, NULL } };
static int done_count;

static void
on_done(struct mh_observe *o)
{
    (void)o;
    done_count++;
}

static struct mh_controller *
load(const char *text)
{
    struct mh_controller *c = NULL;
    struct mh_err err = { .code = MH_OK };
    if (mh_controller_new_text("thing", text, strlen(text), &c, &err) != MH_OK)
        printf("# %s\n", err.msg);
    return c;
}

static enum mh_step
start(struct mh_controller *c, struct mh_arena *a, struct mh_observe *o, const char *object)
{
    yyjson_val *obj = NULL;
    yyjson_val *ctx = NULL;
    CHECK(mh_json_parse(a, object, strlen(object), &obj, NULL) == MH_OK);
    CHECK(mh_json_parse(a, "{\"now\":5}", 9, &ctx, NULL) == MH_OK);
    *o = (struct mh_observe){
        .arena = a, .object = obj, .ctx = ctx, .effects = effects, .done = on_done
    };
    done_count = 0;
    return mh_observe_start(c, o);
}

TEST(an_observe_waits_for_effects_and_its_result_feeds_plan)
{
    struct mh_arena a;
    struct mh_observe o;
    mh_arena_init(&a, (size_t)4 << 20);
    struct mh_controller *c = load(script);
    CHECK_STR(mh_controller_kind(c), "Thing");
    CHECK_STR(mh_controller_owns(c)[1], "Service");
    CHECK_STR(mh_controller_watches(c)[0], "Secret");
    CHECK(mh_controller_watches(c)[1] == NULL);
    CHECK_INT(start(c, &a, &o, "{\"name\":\"first\"}"), MH_STEP_WAIT);
    CHECK_STR(mh_effect_str(waiting, 2), "first");
    waiting->text = "{\"v\":7}";
    waiting->text_len = 7;
    mh_effect_finish(waiting);
    CHECK_INT(done_count, 0);
    CHECK_STR(mh_effect_str(waiting, 2), "second");
    (void)mh_fail(&waiting->err, MH_E_UNREACHABLE, "nobody there");
    mh_effect_finish(waiting);
    CHECK_INT(done_count, 1);
    CHECK_STR(o.seen,
              "{\"a\":{\"v\":7},\"b\":\"ctx.read: nobody there\",\"list\":[{\"n\":1},{\"n\":1}],"
              "\"now\":5,\"ok\":false}");
    const char *plan = NULL;
    size_t len;
    CHECK(mh_controller_plan(c, &a, o.seen, o.seen_len, &plan, &len, NULL, NULL) == MH_OK);
    CHECK_STR(plan, "{\"actions\":[],\"reason\":\"saw 7\"}");
    mh_arena_release(&a);
    mh_controller_free(c);
}

TEST(an_uncaught_effect_error_keeps_its_code)
{
    struct mh_arena a;
    struct mh_observe o;
    mh_arena_init(&a, (size_t)4 << 20);
    struct mh_controller *c = load(script);
    CHECK_INT(start(c, &a, &o, "{}"), MH_STEP_WAIT);
    (void)mh_fail(&waiting->err, MH_E_UNREACHABLE, "nobody there");
    mh_effect_finish(waiting);
    CHECK_INT(done_count, 1);
    CHECK_INT(o.err.code, MH_E_UNREACHABLE);
    CHECK_STR(o.err.msg, "thing.lua:7: ctx.read: nobody there");
    CHECK(o.se.traceback && strstr(o.se.traceback, "thing.lua:7"));
    mh_arena_release(&a);
    mh_controller_free(c);
}

TEST(a_cancelled_observe_stops_its_effect_and_never_reports)
{
    struct mh_arena a;
    struct mh_observe o;
    mh_arena_init(&a, (size_t)4 << 20);
    struct mh_controller *c = load(script);
    CHECK_INT(start(c, &a, &o, "{}"), MH_STEP_WAIT);
    cancelled = 0;
    mh_observe_cancel(&o);
    mh_observe_cancel(&o);
    CHECK_INT(cancelled, 1);
    CHECK_INT(done_count, 0);
    mh_arena_release(&a);
    mh_controller_free(c);
}

TEST(a_pass_over_its_budget_fails_alone)
{
    struct mh_arena a;
    struct mh_arena b;
    struct mh_observe o;
    struct mh_observe other;
    mh_arena_init(&a, (size_t)4 << 20);
    mh_arena_init(&b, (size_t)4 << 20);
    struct mh_controller *c = load(script);
    CHECK_INT(start(c, &b, &other, "{\"name\":\"x\"}"), MH_STEP_WAIT);
    struct mh_effect_call *kept = waiting;
    CHECK_INT(start(c, &a, &o, "{\"mode\":\"loop\"}"), MH_STEP_FAIL);
    CHECK_INT(o.err.code, MH_E_LIMIT);
    /* whichever of the two is used up first: sanitizers have more time */
    CHECK(strcmp(o.se.kind, "wall") == 0 || strcmp(o.se.kind, "fuel") == 0);
    CHECK_INT(o.se.line, 4);
    CHECK_INT(start(c, &a, &o, "{\"mode\":\"eat\"}"), MH_STEP_FAIL);
    CHECK_INT(o.err.code, MH_E_LIMIT);
    CHECK_STR(o.se.kind, "memory");
    CHECK_INT(start(c, &a, &o, "{\"mode\":\"keep\"}"), MH_STEP_FAIL);
    CHECK_STR(o.err.msg, "thing.lua:6: no");
    mh_effect_finish(kept); /* the pass in the old VM goes on */
    mh_effect_finish(waiting);
    CHECK_INT(other.err.code, MH_OK);
    CHECK(other.seen != NULL);
    mh_arena_release(&a);
    mh_arena_release(&b);
    mh_controller_free(c);
}

TEST(waiting_inside_sort_is_an_error_that_says_so)
{
    struct mh_arena a;
    struct mh_observe o;
    mh_arena_init(&a, (size_t)4 << 20);
    struct mh_controller *c = load(script);
    CHECK_INT(start(c, &a, &o, "{\"mode\":\"sort\"}"), MH_STEP_WAIT);
    mh_effect_finish(waiting);
    mh_effect_finish(waiting);
    CHECK_STR(o.err.msg,
              "thing.lua:9: ctx.read cannot wait here: inside table.sort or string.gsub");
    mh_arena_release(&a);
    mh_controller_free(c);
}

TEST(a_script_with_a_mistake_is_refused_and_a_reload_keeps_the_old)
{
    struct mh_controller *c = NULL;
    struct mh_err err;
    CHECK(mh_controller_new_text("t", "return controlle 'x' {}", 23, &c, &err) == MH_E_SCRIPT);
    CHECK_STR(err.msg, "t.lua:1: undefined name 'controlle'");
    CHECK(mh_controller_new("no/such", &c, &err) == MH_E_NOTFOUND);
    CHECK(mh_controller_new_text("t", "local a = 1\nKEEP = a", 20, &c, &err) == MH_E_SCRIPT);
    CHECK_STR(err.msg, "t.lua:2: undefined name 'KEEP'");
    c = load(script);
    CHECK(mh_controller_reload(c, &err) == MH_OK);
    CHECK_STR(mh_controller_kind(c), "Thing");
    mh_controller_free(c);
}

TEST(load_and_observe_survive_every_failed_allocation)
{
    for (int n = 0; n < 20000; n += n < 400 ? 1 : 13) {
        struct mh_arena a;
        struct mh_observe o = { .arena = &a };
        struct mh_controller *c = NULL;
        struct mh_err err;
        yyjson_val *obj = NULL;
        mh_arena_init(&a, (size_t)4 << 20);
        waiting = NULL;
        mh_mem_fail_after(n);
        if (mh_controller_new_text("thing", script, sizeof(script) - 1, &c, &err) == MH_OK) {
            o.effects = effects;
            o.done = on_done;
            (void)mh_json_parse(&a, "{}", 2, &obj, NULL);
            o.object = obj;
            if (mh_observe_start(c, &o) == MH_STEP_WAIT)
                mh_observe_cancel(&o);
        }
        bool failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        mh_controller_free(c);
        mh_arena_release(&a);
        if (!failed)
            return;
    }
    bool sweep_ended = false;
    CHECK(sweep_ended);
}
