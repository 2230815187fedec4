/* JSON to Lua and back; the libraries; what may be loaded. */
#include <lauxlib.h>
#include <stdlib.h>

#include "harness/test.h"
#include "lua/lib.h"
#include "lua/value.h"
#include "lua/vm.h"

struct run {
    const char *text;
    yyjson_val *input;
    struct mh_buf out;
    struct mh_err encode;
};

/* Runs text with `x` as its argument, keeps the result as JSON. */
static int
run_fn(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    mh_vm_load(L, "t.lua", r->text, strlen(r->text));
    mh_value_push(L, r->input);
    lua_call(L, 1, 1);
    (void)mh_value_encode(L, -1, "out", &r->out, &r->encode);
    return 0;
}

static struct mh_arena arena;

/* JSON of what text returns, or "error: ...". */
static const char *
eval(const char *text, const char *input)
{
    struct mh_vm *vm = mh_vm_new(&mh_limits_policy);
    struct run r = { .text = text };
    struct mh_err err = { .code = MH_OK };
    const char *result = "no VM";
    mh_arena_init(&arena, (size_t)16 << 20); /* what the last one held is in the leak check */
    mh_buf_init(&r.out, (size_t)1 << 20);
    if (vm && (!input || mh_json_parse(&arena, input, strlen(input), &r.input, &err) == MH_OK)) {
        mh_vm_begin(vm, NULL);
        if (mh_vm_call(vm, &arena, run_fn, &r, NULL, &err) == MH_OK)
            err = r.encode;
        result = err.code == MH_OK ? mh_buf_text(&r.out) : err.msg;
        static char text_out[65536];
        (void)snprintf(text_out, sizeof(text_out), "%s%s",
                       err.code == MH_OK ? "" : "error: ", result);
        result = text_out;
    }
    mh_buf_release(&r.out);
    mh_vm_free(vm);
    mh_arena_release(&arena);
    return result;
}

#define EVAL(text, want) CHECK_STR(eval(text, NULL), want)

TEST(json_comes_back_the_same_with_sorted_keys)
{
    static const char *const same[] = {
        "{}",
        "[]",
        "[[],{}]",
        "{\"a\":{},\"b\":[]}",
        "7312345678901234567",
        "-9223372036854775808",
        "1.5",
        "0.1",
        "1.0",
        "\"\\u0001 \xc3\xa9 \\\"\"",
        "[1,null,3]",
        "true",
        "{\"a\":[{\"x\":1},{\"y\":[]}]}",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        CHECK_STR(eval("return ...", same[i]), same[i]);
    CHECK_STR(eval("return ...", "{\"b\":1,\"a\":2,\"aa\":3,\"A\":null}"),
              "{\"a\":2,\"aa\":3,\"b\":1}");
    CHECK_STR(eval("return ...", "18446744073709551615"), "error: an integer is outside 64 bits");
}

TEST(what_json_has_not_is_an_error_that_names_the_path)
{
    EVAL("local t = {a = {}} t.a.b = t return t", "error: out.a.b contains itself");
    EVAL("return {a = {1, 2, nil, 4}}",
         "error: out.a is neither a list without holes nor an object");
    EVAL("return {x = {1, y = 2}}", "error: out.x is neither a list without holes nor an object");
    EVAL("return array {1, nil, 3}", "error: out is an array with a hole or a named field");
    EVAL("return {[1e9 // 1 | 0] = 1}", "error: out is neither a list without holes nor an object");
    EVAL("return {a = {{b = 0/0}}}",
         "error: out.a[1].b is no number that JSON has (NaN or infinite)");
    EVAL("return {1/0}", "error: out[1] is no number that JSON has (NaN or infinite)");
    EVAL("return {f = print == nil}", "error: t.lua:1: undefined name 'print'");
    EVAL("return {f = pairs}", "error: out.f is a function or userdata");
    EVAL("return {'\\xff'}", "error: out[1] is no valid UTF-8 text");
    EVAL("return 'a\\0b'", "error: out is no valid UTF-8 text");
    EVAL("local t = {} for i = 1, 100 do t = {t} end return t",
         "error: out"
         "[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1]"
         "[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1]"
         "[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1]"
         "[1][1][1][1][1][1][1][1][1][1][1][1][1][1][1][1]"
         " is nested deeper than 64");
    EVAL("return {[true] = 1}", "error: out is neither a list without holes nor an object");
    EVAL("return {1, null, array {}, {}}", "[1,null,[],{}]");
}

TEST(iteration_is_sorted_and_texts_have_no_addresses)
{
    EVAL("local k = array {} for key in pairs {b = 1, a = 2, [3] = 1, [1] = 1, [2.5] = 1, [true] = "
         "1} "
         "do k:add(tostring(key)) end return k",
         "[\"1\",\"2.5\",\"3\",\"a\",\"b\",\"true\"]");
    EVAL("local t = {z = 1, y = 2} return {next(t), next(t, 'y'), (next(t, 'z')), next {} == nil}",
         "error: out is neither a list without holes nor an object");
    EVAL("local t = {z = 1, y = 2} return {(next(t)), (next(t, 'y')), next(t, 'z') == nil}",
         "[\"y\",\"z\",true]");
    EVAL("return {tostring {}, tostring(pairs), tostring(null), tostring(1.5), ('%s'):format({})}",
         "[\"table\",\"function\",\"null\",\"1.5\",\"table\"]");
    EVAL("return ('%p'):format({})", "error: t.lua:1: invalid conversion '%p' to 'format'");
    EVAL("for k in pairs {[{}] = 1} do end",
         "error: t.lua:1: keys of type table have no order: a table with them cannot be walked");
    EVAL("local t = {} for i = 1, 5 do t[i] = {k = i // 3, n = i} end "
         "table.sort(t, function(a, b) return a.k < b.k end) "
         "local o = array {} for _, x in ipairs(t) do o:add(x.n) end return o",
         "[1,2,3,4,5]");
}

TEST(strings_and_patterns_work_as_in_lua)
{
    EVAL("return {('hello world'):find('o w'), ('hello'):find('l+'), ('x'):find('y')}", "[5,3]");
    EVAL("return {('hello'):match('(h)(.-)(l+)')}", "[\"h\",\"e\",\"ll\"]");
    EVAL("return {('key = value'):match('^(%w+)%s*=%s*(%w+)$')}", "[\"key\",\"value\"]");
    EVAL("local o = array {} for w in ('one two  three'):gmatch('%a+') do o:add(w) end return o",
         "[\"one\",\"two\",\"three\"]");
    EVAL("return {('abc'):gsub('%w', '%0%0')}", "[\"aabbcc\",3]");
    EVAL("return {('hello world'):gsub('o', {o = '0'})}", "[\"hell0 w0rld\",2]");
    EVAL("return {('abc'):gsub('', '-')}", "[\"-a-b-c-\",4]");
    EVAL("return {('THE (quick) fox'):find('%((%a+)%)')}", "[5,11,\"quick\"]");
    EVAL("return {('f(a(b)c)d'):match('%b()')}", "[\"(a(b)c)\"]");
    EVAL("return {('THE (quick) fox'):gsub('%f[%a]%a+', string.lower)}", "[\"the (quick) fox\",3]");
    EVAL("return {('a-b]c'):gsub('[%-%]]', '.')}", "[\"a.b.c\",2]");
    EVAL("return {('x=1,y=2'):gsub('(%w)=(%w)', '%2=%1')}", "[\"1=x,2=y\",2]");
    EVAL("return {('abcabc'):match('(abc)%1')}", "[\"abc\"]");
    EVAL("return {('  trim '):match('^%s*(.-)%s*$'), ('x'):rep(3, ','), ('abc'):sub(-2), "
         "('abc'):byte(1, -1)}",
         "[\"trim\",\"x,x,x\",\"bc\",97,98,99]");
    EVAL("return {('%5.2f|%-4d|%04x|%s|%q|%%'):format(1.239, 7, 255, true, 'a\\nb')}",
         "[\" 1.24|7   |00ff|true|\\\"a\\\\\\nb\\\"|%\"]");
    EVAL("return {('[]]'):find('[]]'), ('a'):match('()a()')}", "[2,1,2]");
    EVAL("return ('a'):match('[a')", "error: t.lua:1: pattern has a '[' without ']'");
    EVAL("return ('a'):match('a%')", "error: t.lua:1: pattern ends with '%'");
    EVAL("return ('aaa'):find('a', -2) .. '' .. tostring(('a.b'):find('.', 1, true))", "\"22\"");
    EVAL("return {table.unpack({1, 2, 3}, 2), table.concat({1, 'a', 2.5}, '-')}",
         "[2,\"1-a-2.5\"]");
    EVAL("local t = {1, 2, 3} table.insert(t, 1, 0) table.insert(t, 4) table.remove(t, 2) "
         "return table.move(t, 1, 2, 2)",
         "[0,0,2,4]");
    EVAL("return {utf8.len('\xc3\xa9x'), utf8.char(233, 8364), utf8.codepoint('\xe2\x82\xac'), "
         "utf8.offset('\xc3\xa9x', 2)}",
         "[2,\"\xc3\xa9\xe2\x82\xac\",8364,3]");
    EVAL("local s = 'a\xc3\xa9\xe2\x82\xac' return {utf8.offset(s, 0, 3), utf8.offset(s, 2, 2), "
         "utf8.offset(s, -1), utf8.offset(s, -2, 4), utf8.offset(s, 4), utf8.offset(s, 5) or "
         "'none', "
         "utf8.offset('', 1), (pcall(utf8.offset, s, 1, 3)), (pcall(utf8.offset, s, 1, 8))}",
         "[2,4,4,1,7,\"none\",1,false,false]");
    EVAL("local o = array {} for p, c in utf8.codes('\xc3\xa9x') do o:add(p):add(c) end return o",
         "[1,233,3,120]");
}

TEST(a_kill_is_not_caught_and_errors_are)
{
    EVAL("return {pcall(error, 'x')}", "[false,\"x\"]");
    EVAL("return {pcall(function() error {code = 1} end)}", "[false,{\"code\":1}]");
    EVAL("return {xpcall(function() error('x', 0) end, function(m) return m .. '!' end)}",
         "[false,\"x!\"]");
    EVAL("return {xpcall(function(...) return ... end, tostring, 1, 2)}", "[true,1,2]");
    EVAL("return {select('#', 1, 2), select(-1, 1, 2)}", "[2,2]");
    const char *said = NULL;
    for (int n = 0; n < 20 && (!said || strstr(said, "longer than")); n++) /* a busy machine */
        said = eval(
            "while true do pcall(function() while true do string.rep('x', 100000) end end) end",
            NULL);
    CHECK_STR(said, "error: t.lua:1: used more than 1000000 units of fuel");
    EVAL("x = 1", "error: t.lua:1: global 'x' cannot be set: declare it local");
    EVAL("return setmetatable({}, {__gc = 1})", "error: t.lua:1: a metatable with __gc is refused");
    EVAL("return setmetatable(array {}, {})",
         "error: t.lua:1: cannot change a protected metatable");
    EVAL("return getmetatable('')", "false");
    EVAL("string.rep = nil return ('x'):rep(2)", "\"xx\"");
}

TEST(text_that_may_not_be_compiled_is_refused_with_a_line)
{
    EVAL("\x1bLua", "error: t.lua:1: bytecode is refused");
    EVAL("\xef\xbb\xbfreturn 1", "1");
    EVAL("return {", "error: t.lua:1: unexpected symbol near <eof>");
    EVAL("\n\nlocal x = = 1", "error: t.lua:3: unexpected symbol near '='");
    char *deep = malloc(2000);
    memset(deep, 0, 2000);
    memset(deep, '(', 300);
    CHECK_STR(eval(deep, NULL), "error: t.lua:1: brackets are nested too deeply");
    strcpy(deep, "local t = {} return t");
    for (int i = 0; i < 400; i++)
        strcat(deep, ".x");
    CHECK_STR(eval(deep, NULL), "error: t.lua:1: too long a chain of indexes");
    free(deep);
}

static int
undefined_fn(lua_State *L)
{
    const char **out = lua_touserdata(L, 1);
    int line = 0;
    mh_vm_load(L, "t.lua", out[0], strlen(out[0]));
    const char *name = mh_vm_undefined(L, &line);
    static char text[80];
    (void)snprintf(text, sizeof(text), "%s:%d", name ? name : "-", line);
    out[1] = text;
    return 0;
}

TEST(undefined_globals_are_found_without_running)
{
    struct mh_vm *vm = mh_vm_new(&mh_limits_policy);
    const char *io[2] = { "local a = 1\nreturn function()\n  return string.rep(a, lenght)\nend",
                          NULL };
    CHECK(mh_vm_call(vm, NULL, undefined_fn, io, NULL, NULL) == MH_OK);
    CHECK_STR(io[1], "lenght:3");
    io[0] = "for k in pairs({}) do local x = k end";
    CHECK(mh_vm_call(vm, NULL, undefined_fn, io, NULL, NULL) == MH_OK);
    CHECK_STR(io[1], "-:0");
    mh_vm_free(vm);
}

TEST(every_failed_allocation_is_survived)
{
    for (int n = 0; n < 3000; n++) {
        mh_mem_fail_after(n);
        const char *got = eval("local t = {} for i = 1, 20 do t[i] = ('x'):rep(i) end "
                               "return {n = #t, s = table.concat(t)}",
                               "{\"a\":[1,2]}");
        bool failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        if (!failed) {
            CHECK(strstr(got, "\"n\":20") != NULL);
            return;
        }
        CHECK(strcmp(got, "no VM") == 0 || strncmp(got, "error", 5) == 0 || got[0] == '{');
    }
    bool sweep_ended = false;
    CHECK(sweep_ended);
}
