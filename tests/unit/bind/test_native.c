/* Functions of native modules, called from Lua. */
#include <string.h>

#include "base/log.h"
#include "base/modules.h"
#include "bind/bind.h"
#include "harness/test.h"
#include "lua/task.h"

/* echo(x): what it was, as JSON */
static enum mh_code
echo(struct mh_call *c, struct mh_err *err)
{
    bool flag;
    int64_t integer;
    double number;
    size_t len = 0;
    const char *text;
    if (mh_call_flag(c, 1, &flag)) {
        mh_give_flag(c, flag);
    } else if (mh_call_int(c, 1, &integer)) {
        CHECK(mh_call_number(c, 1, &number));
        mh_give_int(c, integer);
    } else if (mh_call_number(c, 1, &number)) {
        mh_give_number(c, number);
    } else if ((text = mh_call_text(c, 1, &len))) {
        if (!mh_give_text(c, text, len))
            return mh_fail(err, MH_E_NOMEM, "no memory for a text");
    } else if (mh_call_kind(c, 1) == MH_VALUE_TABLE) {
        text = mh_call_json(c, 1, &len);
        if (!text || !mh_give_json(c, text, len))
            return mh_fail(err, MH_E_INVALID, "argument 1: want a table of plain data");
    } else {
        CHECK_INT(mh_call_kind(c, 1), MH_VALUE_NONE);
    }
    return MH_OK;
}

static enum mh_code
count(struct mh_call *c, struct mh_err *err)
{
    (void)err;
    CHECK(mh_call_text(c, 0, NULL) == NULL && mh_call_json(c, 99, NULL) == NULL);
    mh_give_int(c, mh_call_count(c));
    return MH_OK;
}

static enum mh_code
fail(struct mh_call *c, struct mh_err *err)
{
    bool silent = false;
    if (mh_call_flag(c, 1, &silent) && silent)
        return MH_E_UNAVAILABLE;
    return mh_fail(err, MH_E_INVALID, "want something else");
}

/* fill(n): n bytes of memory, at most what a call gets */
static enum mh_code
fill(struct mh_call *c, struct mh_err *err)
{
    int64_t n = 0;
    if (!mh_call_int(c, 1, &n) || !mh_call_memory(c, (size_t)n))
        return mh_fail(err, MH_E_NOMEM, "no memory for %lld bytes", (long long)n);
    mh_give_flag(c, true);
    return MH_OK;
}

static enum mh_code
work(struct mh_call *c, struct mh_err *err)
{
    int64_t n = 0;
    if (!mh_call_int(c, 1, &n) || !mh_call_spend(c, (size_t)n))
        return mh_fail(err, MH_E_LIMIT, "too much to do");
    mh_give_text(c, "done", 4);
    return MH_OK;
}

static const struct mh_module_function functions[] = {
    { "echo", echo, NULL }, { "count", count, NULL }, { "fail", fail, NULL },
    { "fill", fill, NULL }, { "work", work, NULL },   { NULL, NULL, NULL },
};
static const struct mh_module first = { MH_MODULE_VERSION, "one", NULL, functions, NULL };
static const struct mh_module second = { MH_MODULE_VERSION, "two", NULL, functions + 1, NULL };
static const struct mh_module *const list[] = { &first, &second, NULL };

static struct mh_arena arena;
static struct mh_err err;

static const char *
run(const char *body)
{
    static const char arg[] = "{\"a\":[1,2.5,\"x\"],\"b\":{}}";
    struct mh_controller *c = NULL;
    const char *out = NULL;
    size_t len;
    const char *script = mh_arena_printf(&arena, "return { run = function(x) %s end }", body);
    err.code = MH_OK;
    if (script && mh_controller_new_text("m", script, strlen(script), &c, &err) == MH_OK)
        (void)mh_controller_call(c, &arena, "run", arg, sizeof(arg) - 1, &out, &len, NULL, &err);
    mh_controller_free(c);
    return out;
}

static void
begin(void)
{
    mh_log_set_fd(-1);
    mh_arena_init(&arena, (size_t)32 << 20);
    CHECK_INT(mh_modules_set(list, NULL), MH_OK);
    mh_bind_init();
}

TEST(values_go_in_and_out_as_they_are)
{
    begin();
    CHECK_STR(run("return { one.echo(true), one.echo(9223372036854775807), one.echo(2.5), "
                  "one.echo('a\\0b') == 'a\\0b', one.echo(x), one.echo(nil) == nil, one.echo(null) "
                  "== nil, "
                  "one.count(), one.count(1, nil, 3), two.count(nil) }"),
              "[true,9223372036854775807,2.5,true,{\"a\":[1,2.5,\"x\"],\"b\":{}},true,"
              "true,0,3,1]");
    CHECK_STR(run("return json.encode { type(two.echo) }"), "\"[\\\"nil\\\"]\"");
    mh_arena_release(&arena);
}

TEST(an_error_of_a_module_is_one_of_the_script)
{
    begin();
    CHECK(run("return one.fail()") == NULL);
    CHECK_INT(err.code, MH_E_SCRIPT);
    CHECK(strstr(err.msg, "m.lua:1") && strstr(err.msg, "fail: want something else"));
    CHECK(run("return one.fail(true)") == NULL && strstr(err.msg, "UNAVAILABLE"));
    CHECK_STR(run("local ok, why = pcall(one.echo, { f = pairs }) return { ok, why }"),
              "[false,\"echo: argument 1: want a table of plain data\"]");
    CHECK_STR(run("return pcall(function() one.echo = 1 end)"), "true");
    mh_arena_release(&arena);
}

TEST(memory_and_steps_are_bounded)
{
    begin();
    CHECK_STR(run("return { (pcall(one.fill, 1000)), (pcall(one.fill, 2 << 20)) }"),
              "[true,false]");
    CHECK_STR(run("return one.work(1000)"), "\"done\"");
    CHECK(run("for i = 1, 100 do one.work(1000000) end return 1") == NULL);
    CHECK(err.code == MH_E_LIMIT || err.code == MH_E_SCRIPT);
    CHECK(run("while true do pcall(one.work, 1 << 40) end") == NULL);
    CHECK_INT(err.code, MH_E_LIMIT);
    CHECK(run("while true do pcall(one.echo, x) end") == NULL);
    CHECK_INT(err.code, MH_E_LIMIT);
    mh_arena_release(&arena);
}

TEST(any_allocation_may_fail)
{
    bool failed = true;
    for (int n = 0; failed && n < 100000; n += n < 50 ? 1 : 37) {
        begin();
        mh_mem_fail_after(n);
        (void)run("local t = {} for i = 1, 20 do t[i] = one.echo(x) end return t");
        failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        mh_arena_release(&arena);
    }
    CHECK(!failed);
}
