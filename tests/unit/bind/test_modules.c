/* The modules that C gives to scripts. */
#include "bind/bind.h"
#include "harness/test.h"
#include "lua/task.h"

static const char script[] =
    "return { run = function(x)\n"
    "  local v, why = json.decode('{\"a\":')\n"
    "  log.info('hello', { n = 1 })\n"
    "  return {\n"
    "    json.encode { b = array {}, a = { 1, 2.5 } }, v == nil and why ~= nil,\n"
    "    json.decode('{\"a\":[1,null,{}],\"b\":null}'),\n"
    "    lsn.parse '0/3000060' - lsn.parse '0/3000000', lsn.text(96), lsn.parse 'x' == nil,\n"
    "    time.rfc3339(0), time.parse '2026-11-21T01:02:03.5+01:00', time.parse 'x' == nil,\n"
    "    pcall(json.encode, { f = pairs }),\n"
    "  }\n"
    "end }\n";

TEST(scripts_have_json_log_lsn_and_time)
{
    struct mh_arena a;
    struct mh_controller *c = NULL;
    struct mh_err err = { .code = MH_OK };
    const char *out = NULL;
    size_t len;
    mh_arena_init(&a, (size_t)8 << 20);
    mh_bind_init();
    CHECK(mh_controller_new_text("m", script, sizeof(script) - 1, &c, &err) == MH_OK);
    CHECK(mh_controller_call(c, &a, "run", "null", 4, &out, &len, NULL, &err) == MH_OK);
    CHECK_STR(
        out,
        "[\"{\\\"a\\\":[1,2.5],\\\"b\\\":[]}\",true,{\"a\":[1,null,{}]},96,\"0/60\",true,"
        "\"1970-01-01T00:00:00Z\",1795219323,true,false,\"value.f is a function or userdata\"]");
    mh_controller_free(c);
    mh_arena_release(&a);
}
