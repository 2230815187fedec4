/* The child of a plugin and its parent: one question, one answer, and nothing that it says is believed. */
#include <event2/event.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "harness/test.h"
#include "lua/plugin_child.h"

#define PLUGIN                                                                                     \
    "return controller 'Thing' { api = 'things.example.dev/v1', spec = { n = int(1) },\n"          \
    " observe = function(ctx, o) local a = ctx.get('ConfigMap', o.name)\n"                         \
    "  return { o = o, a = a, b = ctx.list('Secret') } end,\n"                                     \
    " plan = function(seen) return ready({}, seen) end }"

static struct event_base *base;
static struct mh_plugin_child *child;
static struct mh_arena arena;
static struct mh_plugin_job job;
static bool done;
static int asked;
static bool mute; /* effects are not answered */

static void
begin(const char *mode)
{
    static const char *argv[3];
    argv[0] = MH_TEST_WORKER;
    argv[1] = mode;
    argv[2] = NULL;
    mh_log_set_level(MH_LOG_ERROR);
    base = event_base_new();
    mh_arena_init(&arena, (size_t)32 << 20);
    child = mh_plugin_child_new(base, argv);
    asked = 0;
}

static void
end(void)
{
    mh_plugin_child_free(child);
    event_base_free(base);
    mh_arena_release(&arena);
    mh_log_set_level(MH_LOG_INFO);
}

static void
on_done(struct mh_plugin_job *j)
{
    CHECK(j == &job);
    CHECK(!done);
    done = true;
}

static void
on_effect(struct mh_plugin_job *j, const char *name, yyjson_val *args)
{
    static const char one[] = "{\"value\":{\"x\":1}}", none[] = "{}";
    asked++;
    if (mute)
        return;
    if (strcmp(name, "get") == 0) {
        CHECK_STR(yyjson_get_str(yyjson_arr_get(args, 0)), "ConfigMap");
        mh_plugin_child_answer(j, one, sizeof(one) - 1);
    } else {
        mh_plugin_child_answer(j, none, sizeof(none) - 1);
    }
}

static void
ask(const char *op, const char *script, const char *more)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)2 << 20);
    (void)mh_buf_printf(&b, "{\"op\":\"%s\",\"name\":\"t.lua\",\"script\":", op);
    (void)mh_json_quote(&b, script, strlen(script));
    (void)mh_buf_printf(&b, "%s}", more);
    done = false;
    job = (struct mh_plugin_job){ .request = mh_buf_text(&b),
                                  .request_len = b.len,
                                  .arena = &arena,
                                  .effect = on_effect,
                                  .done = on_done };
    mh_plugin_child_start(child, &job);
    mh_buf_release(&b);
    CHECK(!done); /* never from inside */
}

static bool
turn(int most_ms)
{
    struct timespec a, b;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    while (!done) {
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        if ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > most_ms)
            return false;
        (void)usleep(200);
    }
    return true;
}

TEST(a_plugin_says_what_it_is_and_what_it_plans)
{
    begin("plugin-worker");
    ask("declare", PLUGIN, "");
    CHECK(turn(10000));
    CHECK_INT(job.err.code, MH_OK);
    CHECK_STR(mh_json_str(job.value, "kind", NULL), "Thing");
    CHECK_INT(mh_json_int(job.value, 0, "line", NULL), 1);
    ask("observe", PLUGIN, ",\"object\":{\"name\":\"n\"},\"ctx\":{\"now\":1}");
    CHECK(turn(10000));
    CHECK_INT(job.err.code, MH_OK);
    CHECK_INT(asked, 2);
    CHECK_INT(mh_json_int(job.value, 0, "a", "x", NULL), 1);
    CHECK(!mh_json_get(job.value, "b", NULL));
    ask("plan", "return controller 'T' { plan = function(s) return { n = s.n } end }",
        ",\"fn\":\"plan\",\"seen\":{\"n\":9007199254740993}");
    CHECK(turn(10000));
    CHECK_INT(mh_json_int(job.value, 0, "n", NULL), 9007199254740993);
    end();
}

TEST(what_a_plugin_does_wrong_is_told_with_its_line)
{
    static const struct {
        const char *script, *message;
    } bad[] = {
        { "return controller 'T' { plan = function()\n error('oh') end }", "t.lua:2: oh" },
        { "return controller 'T' { plan = function() while true do end end }",
          "t.lua:1: used more" },
        { "return controller 'T' { plan = function() return { ('x'):rep(900000), ('x'):rep(900000) "
          "}"
          " end }",
          "too large" },
        { "return controller 'T' { plan = function() return ('x'):rep(1 << 30) end }", "t.lua:1:" },
        { "return controller 'T' { plan = function() kept = 1 end }", "undefined name 'kept'" },
        { "return controller 'T' { plan = function() return function() end end }", "plan" },
        { "local a = os.execute('true') return a", "undefined name 'os'" },
        { "return require('desired.json')", "undefined name 'require'" },
        { "\x1bLua", "t.lua" },
        { "return controller 'T' { plam = function() end }", "'plam'" },
        { "return controller 'T' { }", "'plan'" },
    };
    begin("plugin-worker");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ask("plan", bad[i].script, ",\"fn\":\"plan\",\"seen\":{}");
        CHECK(turn(10000));
        CHECK(job.err.code == MH_E_SCRIPT || job.err.code == MH_E_LIMIT);
        CHECK(strstr(job.err.msg, bad[i].message) != NULL);
    }
    end();
}

TEST(one_pass_leaves_nothing_for_the_next)
{
    static const char script[] = "local n = 0 return controller 'T' { plan = function()"
                                 " n = n + 1 return { n = n } end }";
    begin("plugin-worker");
    for (int i = 0; i < 3; i++) {
        ask("plan", script, ",\"fn\":\"plan\",\"seen\":{}");
        CHECK(turn(10000));
        CHECK_INT(mh_json_int(job.value, 0, "n", NULL), 1);
    }
    end();
}

TEST(a_child_that_misbehaves_costs_its_job_and_its_life)
{
    static const char *const modes[] = { "garbage", "chatty", "large", "hang" };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        begin(modes[i]);
        ask("declare", PLUGIN, "");
        CHECK(turn(10000));
        CHECK(job.err.code != MH_OK);
        CHECK(mh_plugin_child_kills(child) >= (i == 0 ? 0 : 1));
        end();
    }
}

TEST(who_is_cancelled_hears_nothing_and_the_next_is_served)
{
    begin("plugin-worker");
    mute = true;
    ask("observe", PLUGIN, ",\"object\":{\"name\":\"n\"},\"ctx\":{}");
    CHECK(!turn(500));
    CHECK(asked <= 1);
    mute = false;
    mh_plugin_child_cancel(&job);
    ask("declare", PLUGIN, "");
    CHECK(turn(10000));
    CHECK_INT(job.err.code, MH_OK);
    end();
}

TEST(who_asks_without_end_is_ended)
{
    begin("plugin-worker");
    ask("observe",
        "return controller 'T' { observe = function(ctx) while true do ctx.list('Pod') end end,"
        " plan = function() end }",
        ",\"object\":{},\"ctx\":{}");
    CHECK(turn(10000));
    CHECK_INT(job.err.code, MH_E_LIMIT);
    CHECK_INT(asked, MH_PLUGIN_ASKS_MAX);
    end();
}
