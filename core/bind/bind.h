/* bind.h - what C gives to Lua beside the language: one file a module, one stub in scripts/meta.
 *
 * The modules are pure (but log, which only writes): same argument, same result, on every machine.
 * mh_bind_init is called once, after mh_modules_set and before the first VM is made. */
#ifndef MH_BIND_H
#define MH_BIND_H

#include <lua.h>

void mh_bind_init(void);

int mh_bind_json(lua_State *L);
int mh_bind_log(lua_State *L);
int mh_bind_lsn(lua_State *L);
int mh_bind_time(lua_State *L);
/* native.c: the modules of mh_modules(), of which there is one at least. */
int mh_bind_native(lua_State *L);

#endif
