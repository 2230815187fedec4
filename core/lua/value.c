#include "lua/value.h"

#include <lauxlib.h>
#include <string.h>

#include "lua/lib.h"
#include "lua/vm.h"

static char array_key; /* registry: the metatable that is the array tag */
static char null_tag;  /* its address is null */

static int
array_add(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
    return 1;
}

static int
array_has(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
    mh_vm_charge(L, (size_t)n);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        if (lua_rawequal(L, -1, 2)) {
            lua_pushboolean(L, 1);
            return 1;
        }
        lua_pop(L, 1);
    }
    lua_pushboolean(L, 0);
    return 1;
}

static int
null_index(lua_State *L)
{
    return luaL_error(L, "null has no fields");
}

void
mh_value_open(lua_State *L)
{
    static const luaL_Reg methods[] = { { "add", array_add },
                                        { "has", array_has },
                                        { NULL, NULL } };
    lua_createtable(L, 0, 2);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);

    mh_value_push_null(L); /* all light userdata share one metatable */
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, null_index);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

void
mh_value_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, &null_tag);
}

bool
mh_value_is_null(lua_State *L, int idx)
{
    return lua_islightuserdata(L, idx) && lua_touserdata(L, idx) == &null_tag;
}

void
mh_value_tag_array(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_setmetatable(L, -2);
}

bool
mh_value_is_array(lua_State *L, int idx)
{
    if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static void
push_array(lua_State *L, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    lua_createtable(L, yyjson_arr_size(v) > 1 << 20 ? 0 : (int)yyjson_arr_size(v), 0);
    mh_value_tag_array(L);
    yyjson_arr_foreach(v, i, max, item)
    {
        mh_value_push(L, item);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void
push_object(lua_State *L, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    lua_createtable(L, 0, yyjson_obj_size(v) > 1 << 20 ? 0 : (int)yyjson_obj_size(v));
    yyjson_obj_foreach(v, i, max, key, item)
    {
        if (yyjson_is_null(item))
            continue;
        lua_pushlstring(L, yyjson_get_str(key), yyjson_get_len(key));
        mh_value_push(L, item);
        lua_rawset(L, -3);
    }
}

static bool
is_left_out(const char *const *keys, const char *key, bool below)
{
    for (; *keys; keys++) {
        if ((**keys == '.') == below && strcmp(*keys + below, key) == 0)
            return true;
    }
    return false;
}

static void
push_object_without(lua_State *L, yyjson_val *v, const char *const *keys, bool below)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    luaL_checkstack(L, 6, "value is nested too deeply");
    lua_createtable(L, 0, (int)yyjson_obj_size(v) & 0xffff);
    yyjson_obj_foreach(v, i, max, key, item)
    {
        if (yyjson_is_null(item) || is_left_out(keys, yyjson_get_str(key), below))
            continue;
        lua_pushlstring(L, yyjson_get_str(key), yyjson_get_len(key));
        if (!below && yyjson_is_obj(item))
            push_object_without(L, item, keys, true);
        else
            mh_value_push(L, item);
        lua_rawset(L, -3);
    }
}

void
mh_value_push_without(lua_State *L, yyjson_val *v, const char *const *keys)
{
    if (yyjson_is_obj(v))
        push_object_without(L, v, keys, false);
    else
        mh_value_push(L, v);
}

void
mh_value_push(lua_State *L, yyjson_val *v)
{
    luaL_checkstack(L, 6, "value is nested too deeply");
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_OBJ:
        push_object(L, v);
        break;
    case YYJSON_TYPE_ARR:
        push_array(L, v);
        break;
    case YYJSON_TYPE_STR:
        lua_pushlstring(L, yyjson_get_str(v), yyjson_get_len(v));
        break;
    case YYJSON_TYPE_BOOL:
        lua_pushboolean(L, yyjson_get_bool(v));
        break;
    case YYJSON_TYPE_NULL:
        mh_value_push_null(L);
        break;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX)
            luaL_error(L, "an integer is outside 64 bits");
        if (yyjson_is_int(v))
            lua_pushinteger(L, yyjson_get_sint(v));
        else
            lua_pushnumber(L, yyjson_get_real(v));
        break;
    default:
        lua_pushnil(L);
    }
}

void
mh_value_push_list(lua_State *L, yyjson_val *const *items, size_t n)
{
    lua_createtable(L, n > 1 << 20 ? 0 : (int)n, 0);
    mh_value_tag_array(L);
    for (size_t i = 0; i < n; i++) {
        mh_value_push(L, items[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* array(t): tags t, or a new table, as a JSON array. */
static int
global_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!mh_value_is_array(L, 1) && lua_getmetatable(L, 1))
        return luaL_error(L, "a table with a metatable cannot become an array");
    lua_settop(L, 1);
    mh_value_tag_array(L);
    return 1;
}

void
mh_lib_array_open(lua_State *L)
{
    lua_pushcfunction(L, global_array);
    mh_vm_set_global(L, "array");
    mh_value_push_null(L);
    mh_vm_set_global(L, "null");
}
