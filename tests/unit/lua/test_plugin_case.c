/* How a version comes into charge, and how a case of a plugin that fails is told. */
#include "harness/test.h"
#include "lua/plugin_case.h"
#include "lua/rollout.h"

TEST(a_mode_is_for_all_keys_or_for_those_that_it_names)
{
    static const struct {
        const char *text, *key;
        enum mh_rollout want;
    } is[] = {
        { NULL, "a.lua", MH_ROLLOUT_AUTO },
        { "", "a.lua", MH_ROLLOUT_AUTO },
        { "auto", "a.lua", MH_ROLLOUT_AUTO },
        { "manual", "a.lua", MH_ROLLOUT_MANUAL },
        { "shadow", "a.lua", MH_ROLLOUT_SHADOW },
        { "Shadow", "a.lua", MH_ROLLOUT_BAD },
        { "shadows", "a.lua", MH_ROLLOUT_BAD },
        { "a.lua=shadow", "a.lua", MH_ROLLOUT_SHADOW },
        { "a.lua=shadow", "b.lua", MH_ROLLOUT_AUTO },
        { "a.lua=shadow", "aa.lua", MH_ROLLOUT_AUTO },
        { "aa.lua=shadow, a.lua=manual", "a.lua", MH_ROLLOUT_MANUAL },
        { "b.lua=auto,a.lua=manual,c.lua=shadow", "a.lua", MH_ROLLOUT_MANUAL },
        { "a.lua=", "a.lua", MH_ROLLOUT_AUTO },
        { "a.lua=never", "a.lua", MH_ROLLOUT_BAD },
    };
    for (size_t i = 0; i < sizeof(is) / sizeof(is[0]); i++)
        CHECK_INT(mh_rollout_of(is[i].text, is[i].key), is[i].want);
}

static struct mh_arena arena;

static yyjson_val *
parse(const char *text)
{
    yyjson_val *v = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, (size_t)1 << 20);
    CHECK_INT(mh_json_parse(&arena, text, strlen(text), &v, NULL), MH_OK);
    return v;
}

/* How a failure of the case is told. */
static const char *
told(const char *why, const char *script, const char *name)
{
    static struct mh_err err;
    yyjson_val *d = parse("{\"line\":3}");
    (void)mh_fail(&err, MH_E_SCRIPT, "%s", why);
    mh_plugin_case_failed(&err, "t.lua", script, d, name);
    CHECK_INT(err.code, MH_E_SCRIPT);
    mh_arena_release(&arena);
    return err.msg;
}

TEST(a_case_that_fails_is_told_with_the_line_that_names_it)
{
    CHECK_STR(told("plan.n: want 1, got 2", "a\nb { name = \"one\" }", "one"),
              "t.lua:2: plan.n: want 1, got 2 (in case 'one')");
    CHECK_STR(told("x", "\n\n\nname = 'one'", "one"), "t.lua:4: x (in case 'one')");
    CHECK_STR(told("x", "a \"one or two\"\n\"one'\n", "one"), "t.lua:3: x (in case 'one')");
    CHECK_STR(told("x", "", "2"), "t.lua:3: x (in case '2')");
    CHECK_STR(told("t.lua:9: oh", "'one'", "one"), "t.lua:9: oh (in case 'one')");
}

TEST(a_message_that_is_too_long_keeps_its_case)
{
    char long_one[390];
    memset(long_one, 'x', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    CHECK(strstr(told(long_one, "", "one"), "(in case 'one')") != NULL);
}

TEST(cases_are_counted_and_named)
{
    yyjson_val *d = parse("{\"cases\":[{\"name\":\"one\"},{}],\"api\":\"a/v1\",\"plural\":\"x\"}");
    yyjson_val *one = mh_plugin_case(d, 0), *two = mh_plugin_case(d, 1);
    CHECK_STR(mh_plugin_case_name(&arena, one, 0), "one");
    CHECK_STR(mh_plugin_case_name(&arena, two, 1), "2");
    CHECK(!mh_plugin_case(d, 2));
    yyjson_val *arg = mh_plugin_case_arg(&arena, d, one, NULL);
    CHECK_STR(mh_json_str(arg, "case", "name", NULL), "one");
    CHECK_STR(mh_json_str(arg, "api", NULL), "a/v1");
    CHECK(!mh_json_get(arg, "plan", NULL) && !mh_json_get(arg, "plural", NULL));
    CHECK(mh_json_get(mh_plugin_case_arg(&arena, d, one, d), "plan", NULL) != NULL);
    CHECK(!mh_plugin_case(parse("{}"), 0));
    mh_arena_release(&arena);
}
