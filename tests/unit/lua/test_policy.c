/* Policies in this process: contract, cases, fixtures, guards, parameters. */
#include "harness/test.h"
#include "lua/guard.h"
#include "lua/policy.h"
#include "lua/shape.h"

static struct mh_arena arena;

static struct mh_policy_result
run_on(enum mh_policy_op op, const char *script, const char *params, const char *input,
       const char *point)
{
    struct mh_policy_result r;
    struct mh_policy_job job = { .op = op,
                                 .point = point,
                                 .name = "failover.lua",
                                 .script = script,
                                 .script_len = script ? strlen(script) : 0,
                                 .params = params,
                                 .params_len = params ? strlen(params) : 0,
                                 .input = input,
                                 .input_len = input ? strlen(input) : 0 };
    mh_arena_release(&arena);
    mh_arena_init(&arena, (size_t)32 << 20);
    mh_policy_run(&arena, &job, &r);
    return r;
}

static const char *
check(const char *script, const char *params)
{
    struct mh_policy_result r = run_on(MH_POLICY_CHECK, script, params, NULL, NULL);
    return r.ok ? "ok" : mh_policy_error_text(&arena, &r.error);
}

#define INPUT                                                                                      \
    "{\"candidates\":[{\"name\":\"pg-2\",\"zone\":\"zone1\",\"sync\":true,\"replay_lag\":0},"      \
    "{\"name\":\"pg-3\",\"zone\":\"zone3\",\"sync\":true,\"replay_lag\":5}],\"now\":100,"          \
    "\"cluster\":{\"name\":\"pg\"},\"reason\":\"r\"}"

static const char *
decide(const char *script, const char *params)
{
    struct mh_policy_result r = run_on(MH_POLICY_DECIDE, script, params, INPUT, "failover/v1");
    return r.ok ? r.answer
                : mh_arena_printf(&arena, "%s: %s", r.error.kind,
                                  mh_policy_error_text(&arena, &r.error));
}

static const char zone_policy[] =
    "return policy \"failover/v1\" {\n"
    "  params = { zone = str },\n"
    "  decide = function(ctx)\n"
    "    local ranked = {}\n"
    "    for _, c in ipairs(ctx.candidates) do\n"
    "      ranked[#ranked + 1] = { name = c.name, key = { c.zone == ctx.params.zone, -c.replay_lag "
    "} }\n"
    "    end\n"
    "    if #ranked == 0 then return hold('Nobody', 'none of %d', 0) end\n"
    "    return promote(rank(ranked))\n"
    "  end,\n"
    "  cases = { { name = 'zone first', params = { zone = 'b' },\n"
    "    given = { candidates = { { name = 'x', zone = 'a' }, { name = 'y', zone = 'b' } } },\n"
    "    expect = { order = { 'y', 'x' } } } },\n"
    "}\n";

TEST(the_built_in_policies_pass_their_own_check)
{
    struct mh_policy_result r = run_on(MH_POLICY_CHECK, NULL, NULL, NULL, "failover/v1");
    CHECK_STR(r.ok ? "ok" : mh_policy_error_text(&arena, &r.error), "ok");
    CHECK_INT(r.cases, 16);
    for (const struct mh_point *p = mh_points; p->name; p++) {
        r = run_on(MH_POLICY_CHECK, NULL, NULL, NULL, p->name);
        CHECK_STR(r.ok ? "ok" : mh_policy_error_text(&arena, &r.error), "ok");
        CHECK(r.cases >= 13); /* twelve fixtures and a case */
    }
    r = run_on(MH_POLICY_DECIDE, NULL, NULL, INPUT, "failover/v1");
    CHECK_STR(r.answer,
              "{\"action\":\"promote\",\"order\":[\"pg-2\",\"pg-3\"],\"target\":\"pg-2\"}");
    r = run_on(MH_POLICY_DECIDE, NULL, NULL, "{\"zones\":[\"a\",\"b\"],\"nodes\":[],\"now\":1}",
               "placement/v1");
    CHECK_STR(r.answer, "{\"preferred\":[],\"required\":[],\"spread\":[{\"key\":"
                        "\"topology.kubernetes.io/zone\",\"max_skew\":1,\"when_unsatisfiable\":"
                        "\"ScheduleAnyway\"}]}");
}

TEST(a_policy_with_parameters_decides)
{
    CHECK_STR(check(zone_policy, "zone: zone3\n"), "ok");
    CHECK_STR(decide(zone_policy, "zone: zone3\n"),
              "{\"action\":\"promote\",\"order\":[\"pg-3\",\"pg-2\"],\"target\":\"pg-3\"}");
    CHECK_STR(check(zone_policy, NULL),
              "failover.lua:1: params.zone has no value: give it a default or set it in "
              "failover.params.yaml");
}

TEST(parameters_are_checked_and_typed)
{
    static const char script[] =
        "return policy 'failover/v1' { params = { lag = bytes '16MiB', wait = duration '5s',\n"
        " never = list(str), how = choice('a', 'b'), n = int(3), f = flag(true), o = "
        "optional(str), x = num(1.5) },\n"
        " decide = function(ctx) local p = ctx.params\n"
        " return hold('P', '%d %d %d %s %d %s %s %s', p.lag, p.wait, #p.never, p.how, p.n, p.f, "
        "p.o, p.x) end }";
    CHECK_STR(decide(script, NULL),
              "{\"action\":\"hold\",\"at\":130,\"message\":\"16777216 5 0 a 3 true nil 1.5\","
              "\"reason\":\"P\",\"until_s\":30}");
    CHECK_STR(
        decide(script, "lag: 1KiB\nwait: 60\nnever: [x, y]\nhow: b\nf: false\no: 'true'\nx: 2\n"),
        "{\"action\":\"hold\",\"at\":130,\"message\":\"1024 60 2 b 3 false true "
        "2\",\"reason\":\"P\","
        "\"until_s\":30}");
    CHECK_STR(decide(script, "lag: soon"),
              "contract: failover.lua:1: params.lag: want a size as in \"16MiB\", got \"soon\"");
    CHECK_STR(decide(script, "how: c"),
              "contract: failover.lua:1: params.how: want one of a, b, got \"c\"");
    CHECK_STR(decide(script, "never: [1]"),
              "contract: failover.lua:1: params.never[1]: want a text, got 1");
    CHECK_STR(decide(script, "zone: x"),
              "contract: failover.lua:1: params.zone is not declared by the policy");
    CHECK_STR(decide(script, "a: &x 1\nb: *x"),
              "contract: failover.params.yaml:1: anchors, aliases and tags are not allowed");
    CHECK_STR(decide(script, "n: !!int 1"),
              "contract: failover.params.yaml:1: anchors, aliases and tags are not allowed");
    CHECK_STR(decide(script, "n: 1\nn: 2"),
              "contract: failover.params.yaml:2: key 'n' is there twice");
    CHECK_STR(decide(script, "- 1"),
              "contract: failover.params.yaml:1: want names and values, as in 'zone: zone3'");
    CHECK(strstr(decide(script, "n: [1"), "failover.params.yaml:") != NULL);
}

/* A comment as long as it takes. */
static char *
of_length(const char *before, const char *begin, size_t n)
{
    char *text = mh_calloc(1, n + 1);
    CHECK(text && strlen(before) + strlen(begin) < n);
    (void)snprintf(text, n + 1, "%s%s", before, begin);
    memset(text + strlen(text), 'x', n - strlen(text));
    return text;
}

TEST(scripts_and_parameters_have_a_length)
{
    static const char script[] = "return policy 'failover/v1' { params = { n = int(1) }, decide = "
                                 "function(ctx) return hold('P') end }\n";
    char *longest = of_length("n: 2\n", "#", MH_POLICY_PARAMS_MAX);
    char *too_long = of_length("n: 2\n", "#", MH_POLICY_PARAMS_MAX + 1);
    CHECK_STR(check(script, longest), "ok");
    CHECK(strstr(check(script, too_long), "parameters are over 16384 bytes") != NULL);
    mh_free(longest);
    mh_free(too_long);
    too_long = of_length(script, "--", 300000);
    CHECK(strstr(check(too_long, NULL), "failover.lua:1: script of 300000 bytes is over") != NULL);
    mh_free(too_long);
}

TEST(mistakes_are_named_with_file_and_line)
{
    CHECK_STR(check("return policy 'failover/v1' {\n  decide = function(ctx)\n    return "
                    "promot(ctx)\n  end }",
                    NULL),
              "failover.lua:3: undefined name 'promot'");
    CHECK_STR(
        check("return policy 'failover/v1' {\n decide = function(ctx) return promote( end }", NULL),
        "failover.lua:2: unexpected symbol near 'end'");
    CHECK_STR(
        check("local x = 1", NULL),
        "failover.lua:1: the script declares nothing: want return policy \"failover/v1\" { ... }");
    CHECK_STR(check("\nreturn policy 'oracle/v1' { decide = function() end }", NULL),
              "failover.lua:2: there is no decision point 'oracle/v1'");
    CHECK_STR(check("return policy 'failover/v1' { decid = function() end }", NULL),
              "failover.lua:1: policy: unknown key 'decid'");
    const char *got = check("return policy 'failover/v1' { decide = function(ctx)\n"
                            " return promote(ctx.candidates[1].name) end }",
                            NULL);
    CHECK(strstr(got, "failover.lua:2: attempt to index a nil value (field '") == got);
    CHECK(strstr(got, "(in fixture 'no candidate')") != NULL);
    CHECK_STR(
        check("return policy 'failover/v1' { decide = function(ctx) return hold('X', 'y') end,\n"
              "cases = { { name = 'c', given = { candidate = {} } } } }",
              NULL),
        "failover.lua:1: given: unknown key 'candidate' (in case 'c')");
    CHECK_STR(
        check("return policy 'failover/v1' { decide = function(ctx) return hold('X', 'y') end,\n"
              "cases = { { name = 'c', expect = { action = 'promote' } } } }",
              NULL),
        "failover.lua:1: decision.action: want \"promote\", got \"hold\" (in case 'c')");
    CHECK_STR(check("\x1bLua", NULL), "failover.lua:1: bytecode is refused");
    CHECK_STR(
        check("return policy 'failover/v1' { decide = function() return hold('X') end } -- \xff",
              NULL),
        "failover.lua:1: the text is not UTF-8");
}

TEST(limits_end_a_decision)
{
    const char *said = NULL;
    for (int n = 0; n < 20 && (!said || strncmp(said, "wall", 4) == 0); n++) /* a busy machine */
        said = decide("return policy 'failover/v1' { decide = function()\n"
                      " while true do string.rep('x', 100000) end end }",
                      NULL);
    CHECK_STR(said, "fuel: failover.lua:2: used more than 1000000 units of fuel");
    CHECK_STR(decide("return policy 'failover/v1' { decide = function()\n"
                     "local t = {} while true do t[#t + 1] = ('x'):rep(900000) .. #t end end }",
                     NULL),
              "memory: failover.lua: needs more memory than 4096 KiB, or one value of more than "
              "1024 KiB");
    CHECK_STR(decide("return policy 'failover/v1' { decide = function()\n"
                     "return { action = 'hold', reason = 'X', until_s = 1, message = "
                     "('x'):rep(70000) } end }",
                     NULL),
              "output: failover.lua:1: decision.message makes the whole too large (over 64 KiB)");
}

TEST(an_answer_outside_the_safe_set_is_refused)
{
#define DECIDE(body)                                                                               \
    decide("return policy 'failover/v1' { decide = function(ctx) " body " end }", NULL)
    CHECK_STR(DECIDE("return promote { 'pg-1' }"),
              "guard: failover.lua:1: decision.order[1]: 'pg-1' is no candidate");
    CHECK_STR(DECIDE("ctx.candidates:add { name = 'pg-1' } return promote { 'pg-1' }"),
              "guard: failover.lua:1: decision.order[1]: 'pg-1' is no candidate");
    CHECK_STR(DECIDE("return promote { 'pg-2', 'pg-2' }"),
              "guard: failover.lua:1: decision.order[2]: 'pg-2' is there twice");
    CHECK_STR(DECIDE("return hold { reason = 'X', until_s = 31 }"),
              "guard: failover.lua:1: decision.until_s: want 0 to 30");
    CHECK_STR(DECIDE("return { action = 'promote', order = { 'pg-2' }, target = 'pg-3' }"),
              "guard: failover.lua:1: decision.target: want the first of the order");
    CHECK_STR(
        DECIDE("return { action = 'promote', order = { 'pg-2' }, target = 'pg-2', force = true }"),
        "guard: failover.lua:1: decision: unknown key 'force'");
    CHECK_STR(DECIDE("return 1"), "output: failover.lua:1: decide returned a number, want a table");
    CHECK_STR(DECIDE("local t = {} t.t = t return t"),
              "output: failover.lua:1: decision.t contains itself");
}

static const char *
guard(const char *answer)
{
    static struct mh_err err;
    yyjson_val *v = NULL;
    yyjson_val *input = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, (size_t)32 << 20);
    CHECK(mh_json_parse(&arena, answer, strlen(answer), &v, NULL) == MH_OK);
    CHECK(mh_json_parse(&arena, "{}", 2, &input, NULL) == MH_OK);
    return mh_guard_answer("placement/v1", input, v, &err) == MH_OK ? "ok" : err.msg;
}

TEST(a_placement_is_bounded)
{
    CHECK_STR(guard("{}"), "ok");
    CHECK_STR(
        guard("{\"required\":[{\"node\":{\"key\":\"z\",\"op\":\"In\",\"values\":[\"zone3\"]}}]}"),
        "ok");
    CHECK_STR(guard("{\"required\":[{\"node\":{\"key\":\"z\",\"op\":\"In\"}}]}"),
              "decision.required[1].node.values: wrong number of values for In");
    CHECK_STR(guard("{\"preferred\":[{\"node\":{\"key\":\"z\",\"op\":\"Exists\"}}]}"),
              "decision.preferred[1].weight is missing");
    CHECK_STR(guard("{\"spread\":[{\"key\":\"z\",\"max_skew\":1,\"when_unsatisfiable\":\"x\"}]}"),
              "decision.spread[1].when_unsatisfiable: want DoNotSchedule or ScheduleAnyway");
    CHECK_STR(guard("{\"node_selector\":{\"a\":1}}"),
              "decision.node_selector.a: want a text of 0 to 63 bytes");
    CHECK_STR(guard("{\"action\":\"reject\",\"reason\":\"TooFewZones\",\"message\":\"m\"}"), "ok");
    CHECK_STR(guard("{\"action\":\"reject\",\"reason\":\"too few\"}"),
              "decision.reason: want one word that begins with a capital, at most 64 letters");
    CHECK_STR(guard("{\"tolerations\":[]}"), "decision: unknown key 'tolerations'");
    CHECK_STR(guard("[]"), "decision: want a table with named fields");
    mh_arena_release(&arena);
}

TEST(every_failed_allocation_leaves_an_error_and_no_wrong_answer)
{
    for (int n = 0; n < 20000; n += n < 300 ? 1 : 17) {
        mh_mem_fail_after(n);
        struct mh_policy_result r =
            run_on(MH_POLICY_DECIDE, zone_policy, "zone: zone3", INPUT, "failover/v1");
        bool failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        if (r.ok)
            CHECK_STR(r.answer,
                      "{\"action\":\"promote\",\"order\":[\"pg-3\",\"pg-2\"],\"target\":\"pg-3\"}");
        else
            CHECK(r.error.kind && r.error.message);
        mh_arena_release(&arena);
        if (!failed)
            return;
    }
    bool sweep_ended = false;
    CHECK(sweep_ended);
}

#define COUNTING                                                                                   \
    "local n, seen = 0, {}\n"                                                                      \
    "string.seen = string.seen and 2 or 1\n"                                                       \
    "return policy 'failover/v1' { params = { zone = str 'z' }, decide = function(ctx)\n"          \
    "  n = n + 1 seen[ctx.now] = true ctx.candidates[1].name = 'x' ctx.params.more = n\n"          \
    "  local all = 0 for _ in pairs(seen) do all = all + 1 end\n"                                  \
    "  return hold('Count', '%d %d %s %d', n, all, ctx.params.zone, string.seen) end }"

TEST(a_script_that_ran_before_its_input_was_there_decides_as_a_fresh_one_and_remembers_nothing)
{
    static const char *const params[] = { "zone: a", "zone: b", NULL };
    const char *want[] = { "1 1 a 1", "1 1 b 1", "1 1 z 1" };
    int64_t fuel[3] = { 0 };
    for (int i = 0; i < 12; i++) {
        struct mh_policy_result r =
            run_on(MH_POLICY_DECIDE, COUNTING, params[i / 2 % 3], INPUT, "failover/v1");
        CHECK(r.ok && strstr(r.answer, want[i / 2 % 3]));
        CHECK_STR(r.point, "failover/v1");
        int64_t *of = &fuel[i / 2 % 3];
        *of = *of ? *of : r.fuel;
        CHECK_INT(r.fuel, *of);
        mh_policy_prepare();
    }
    mh_policy_unprepare();
}

TEST(mistakes_are_the_same_in_a_vm_made_before)
{
    static const char *const bodies[] = {
        "return nil .. 'x'",
        "return hold('no reason')",
        "while true do end",
        "return 7",
        "local t = {} while true do t[#t + 1] = ('x'):rep(900000) .. #t end",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        /* good first, so that it is worth being made ready, then bad for the same script */
        char script[512];
        (void)snprintf(script, sizeof(script),
                       "return policy 'failover/v1' { decide = function(ctx)\n"
                       " if ctx.reason == 'good' then return promote {} end\n %s end }",
                       bodies[i]);
        struct mh_arena keep;
        mh_arena_init(&keep, (size_t)1 << 20);
        const char *fresh = mh_arena_strdup(&keep, decide(script, NULL));
        mh_policy_prepare();
        for (int n = 0; n < 3; n++) {
            static const char good[] = "{\"candidates\":[],\"now\":1,\"reason\":\"good\"}";
            CHECK(run_on(MH_POLICY_DECIDE, script, NULL, good, "failover/v1").ok);
            mh_policy_prepare();
            CHECK_STR(decide(script, NULL), fresh);
            mh_policy_prepare();
        }
        mh_arena_release(&keep);
    }
    mh_policy_unprepare();
}

/* A key with a metatable of its own, even an empty one, is what only the comparison in Lua looks at. */
static const char both_ways[] =
    "local function pick(seed, n) return (seed * 7919 + n * 104729) % 5 end\n"
    "local kinds = {\n"
    "  function(k) return k end, function(k) return k / 4 end, function(k) return k > 2 end,\n"
    "  function(k) return ('abc'):sub(1, k) .. (k % 2 == 0 and '\\0x' or '') end,\n"
    "  function(k) return -k * 1e15 end, function(k) return k % 2 == 0 and k or k + 0.5 end,\n"
    "}\n"
    "local function items(seed, slow)\n"
    "  local out = {}\n"
    "  for i = 1, seed % 40 do\n"
    "    local key = {}\n"
    "    for at = 1, seed % 4 do key[at] = kinds[(seed + at) % #kinds + 1](pick(seed + at, i)) "
    "end\n"
    "    if slow then setmetatable(key, {}) end\n"
    "    out[i] = { name = 'pg-' .. (i * 7 % 23), key = key }\n"
    "  end\n"
    "  return out\n"
    "end\n"
    "return policy 'failover/v1' { decide = function(ctx)\n"
    "  local seed = ctx.now\n"
    "  local a, b = rank(items(seed)), rank(items(seed, true))\n"
    "  if table.concat(a, ' ') == table.concat(b, ' ') and #a == seed % 40 then return promote {} "
    "end\n"
    "  return hold('Differ', '%s and %s', table.concat(a, ' '), table.concat(b, ' ')) end }";

TEST(rank_has_one_order_in_c_and_in_lua)
{
    for (int seed = 1; seed < 240; seed++) {
        char input[128];
        (void)snprintf(input, sizeof(input), "{\"candidates\":[],\"now\":%d,\"reason\":\"r\"}",
                       seed);
        struct mh_policy_result r = run_on(MH_POLICY_DECIDE, both_ways, NULL, input, "failover/v1");
        CHECK_STR(r.ok ? r.answer : r.error.message, "{\"action\":\"promote\",\"order\":[]}");
    }
    CHECK_STR(decide("return policy 'failover/v1' { decide = function(ctx) return promote(rank {\n"
                     " { name = 'a', key = { 1 } }, { name = 'b', key = { 'x' } } }) end }",
                     NULL),
              "runtime: failover.lua: rank: element 1 of the keys of b and a: want two numbers, "
              "texts or flags");
}

TEST(many_scripts_in_turn_each_decide_for_themselves)
{
    for (int i = 0; i < 60; i++) {
        char script[256];
        char want[32];
        (void)snprintf(want, sizeof(want), "\"until_s\":%d", i % 12);
        (void)snprintf(script, sizeof(script),
                       "return policy 'failover/v1' { decide = function(ctx)"
                       " return hold { reason = 'R', until_s = %d } end }",
                       i % 12);
        CHECK(strstr(decide(script, NULL), want));
        mh_policy_prepare();
    }
    mh_policy_unprepare();
    mh_arena_release(&arena);
}
