/* value.h - JSON to Lua and back.
 *
 * Into Lua: integers stay exact, arrays carry the array tag, null fields of objects are left out,
 * null elements of arrays become the null sentinel. Out of Lua: canonical text (keys sorted by
 * bytes, no spaces), raw access only, no metamethods; cycles, holes, mixed keys, NaN, invalid
 * UTF-8, functions and depth over 64 are errors that name the path. */
#ifndef MH_LUA_VALUE_H
#define MH_LUA_VALUE_H

#include <lua.h>

#include "moonherd/err.h"

#include "base/buf.h"
#include "base/json.h"

/* Makes the array metatable and null of a new VM. Raises. */
void mh_value_open(lua_State *L);
/* Pushes v (NULL: nil). Raises: no memory, integer outside int64. */
void mh_value_push(lua_State *L, yyjson_val *v);
/* The same without some keys: "status" of v itself, ".managedFields" of the objects right below it.
 * The list ends with NULL. */
void mh_value_push_without(lua_State *L, yyjson_val *v, const char *const *keys);
/* Pushes an array of n values. Raises as mh_value_push. */
void mh_value_push_list(lua_State *L, yyjson_val *const *items, size_t n);
void mh_value_push_null(lua_State *L);
bool mh_value_is_null(lua_State *L, int idx);
/* Sets the array tag of the table on the top. */
void mh_value_tag_array(lua_State *L);
bool mh_value_is_array(lua_State *L, int idx);
/* Appends the value at idx to out. `what` begins the path in messages ("plan.actions[2]...").
 * Never raises, pushes nothing. Fails: INVALID with the path; LIMIT over out's cap; NOMEM. */
enum mh_code mh_value_encode(lua_State *L, int idx, const char *what, struct mh_buf *out,
                             struct mh_err *err);
/* Shortest text that reads back as d, always with '.' or 'e'. out has at least 32 bytes. */
void mh_value_float_text(char *out, size_t size, double d);

#endif
