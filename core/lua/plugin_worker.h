/* plugin_worker.h - `moonherd plugin-worker`: the child of one plugin.
 *
 * Locked down as the policy worker (worker.h): one socket, no file, no network, no token. Frames are
 * a length of four bytes, little endian, and JSON. The parent asks, the child answers once:
 *
 *     {"op":"declare","name","script"}                      its declaration, without functions
 *     {"op":"observe","name","script","ctx","object"}       what observe returned
 *     {"op":"plan","fn":"plan"|"finalize","name","script","seen"}
 *     {"ok":true,"value":...} or {"ok":false,"kind","message","traceback"}
 *
 * Between question and answer of an observe: {"effect":"get","args":[...]}, which the parent answers
 * with {"value":...}, {"error":"..."} or {} for nothing. Every question gets a VM of its own, so no
 * object leaves a trace that another one's pass could see, and plan is pure whatever it does. */
#ifndef MH_LUA_PLUGIN_WORKER_H
#define MH_LUA_PLUGIN_WORKER_H

#include <stddef.h>

#define MH_PLUGIN_FRAME_MAX ((size_t)4 << 20)
#define MH_PLUGIN_TEXT_MAX ((size_t)256 << 10)

/* What ctx offers to a plugin's observe. */
extern const char *const mh_plugin_effects[];

/* The whole program; returns its exit code. */
int mh_plugin_worker_main(void);

#endif
