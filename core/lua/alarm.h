/* alarm.h - inside core/lua: a tap on the shoulder of a script that runs longer than a moment.
 *
 * A hook that counts instructions costs a fifth of the speed of a script. Trusted scripts run without
 * one until a timer of the process fires; from then on they are counted and watched like all others.
 * The signal (SIGALRM) comes on the thread that armed it, which is the one that runs the VM; setting
 * a hook from a handler is what lua_sethook is made for.
 *
 * There is one alarm. Who arms it while another owner's script is under way (a script that called C,
 * which runs another script) ends the wait of that one: its fn runs at once. */
#ifndef MH_LUA_ALARM_H
#define MH_LUA_ALARM_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* In ns from now fn(L) runs inside a signal handler, unless disarmed or armed anew before. False: no
 * timer can be had here, nothing will come. */
bool mh_alarm_arm(const void *owner, lua_State *L, int64_t ns, void (*fn)(lua_State *L));
/* From now on nothing comes for this owner, and no signal either: L may be freed, and no system call
 * is interrupted. The alarm of another owner stays. */
void mh_alarm_disarm(const void *owner);

#endif
