/* lib.h - inside core/lua: the libraries of a VM. Each open function adds globals; may raise. */
#ifndef MH_LUA_LIB_H
#define MH_LUA_LIB_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct mh_vm;

void mh_lib_base_open(lua_State *L);
void mh_lib_string_open(lua_State *L);
void mh_lib_table_open(lua_State *L);
void mh_lib_utf8_open(lua_State *L);
void mh_lib_math_open(lua_State *L);
void mh_lib_array_open(lua_State *L);

/* Raises the kill if the VM is dead, else returns. */
void mh_vm_check_dead(lua_State *L);
/* Marks the VM as killed for memory when status says so; then as mh_vm_check_dead. */
void mh_vm_after_pcall(lua_State *L, int status);
/* Keeps the traceback of a coroutine that failed, for mh_vm_explain. Never raises. */
void mh_vm_keep_traceback(struct mh_vm *vm, lua_State *co);
/* tostring() without addresses; pushes a string. */
const char *mh_lib_tostring(lua_State *L, int idx, size_t *len);
/* Sorts the keys of the table at idx into a new array that it pushes: numbers, then strings, then
 * booleans. Raises on other keys. */
void mh_lib_sorted_keys(lua_State *L, int idx);
/* find, match, gmatch, gsub; in lib_match.c */
int mh_lib_find(lua_State *L);
int mh_lib_match(lua_State *L);
int mh_lib_gmatch(lua_State *L);
int mh_lib_gsub(lua_State *L);
/* In lib_format.c */
int mh_lib_format(lua_State *L);

/* Refuses text that is bytecode, nested too deeply or has an endless chain of indexes. Returns the
 * line and fills msg, 0 when the text may be compiled. */
int mh_lint_source(const char *text, size_t len, const char **msg);

#endif
