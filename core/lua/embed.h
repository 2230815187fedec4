/* embed.h - the scripts that are part of the binary (scripts/, all .lua below it).
 *
 * MOONHERD_SCRIPTS=DIR in the environment takes files of DIR instead, for work on scripts. */
#ifndef MH_LUA_EMBED_H
#define MH_LUA_EMBED_H

#include <stddef.h>

#include "base/mem.h"

struct mh_script {
    const char *name; /* "controllers/cluster": path below scripts/ without ".lua" */
    const char *text; /* NUL-terminated */
    size_t len;
};

/* All embedded scripts, sorted by name, ended by a NULL name. */
extern const struct mh_script mh_scripts[];

/* The script of this name; from MOONHERD_SCRIPTS (text on the arena) when that has it. NULL if
 * there is none. */
const struct mh_script *mh_script_find(struct mh_arena *a, const char *name);

#endif
