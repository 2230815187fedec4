/* log.c - log.info and so on: a line of the log with the script's text. Stub: scripts/meta/log.lua. */
#include "base/log.h"

#include <lauxlib.h>

#include "bind/bind.h"
#include "lua/value.h"
#include "lua/vm.h"

#define LINES_MAX 50 /* between two waits */
#define FIELDS_MAX 4096

static int
log_at(lua_State *L, enum mh_log_level level)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    struct mh_vm *vm = mh_vm_of(L);
    struct mh_buf b;
    mh_vm_charge(L, 20 + n / 8);
    if (++vm->log_lines > LINES_MAX || n > FIELDS_MAX)
        return 0;
    mh_buf_init(&b, FIELDS_MAX);
    bool fields = lua_istable(L, 2) && mh_value_encode(L, 2, "fields", &b, NULL) == MH_OK;
    mh_log(level, "script", "message of a script", "text", text, "=fields",
           fields ? mh_buf_text(&b) : NULL);
    mh_buf_release(&b);
    return 0;
}

static int
log_info(lua_State *L)
{
    return log_at(L, MH_LOG_INFO);
}

static int
log_warn(lua_State *L)
{
    return log_at(L, MH_LOG_WARNING);
}

static int
log_debug(lua_State *L)
{
    return log_at(L, MH_LOG_DEBUG);
}

int
mh_bind_log(lua_State *L)
{
    static const luaL_Reg fns[] = {
        { "info", log_info }, { "warn", log_warn }, { "debug", log_debug }, { NULL, NULL }
    };
    luaL_newlib(L, fns);
    return 1;
}
