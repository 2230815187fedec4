/* controller.h - inside core/lua: one controller, its versions in memory, what task.c needs. */
#ifndef MH_LUA_CONTROLLER_H
#define MH_LUA_CONTROLLER_H

#include "lua/task.h"

/* One loaded version. Lives until it is neither current nor in use by a pass. */
struct mh_generation {
    struct mh_vm *vm;
    int refs;
};

/* Whose text it is, and so which names it sees beside the libraries. */
enum mh_controller_sort {
    MH_CONTROLLER_OTHER,  /* ours, of whatever kind: require */
    MH_CONTROLLER_IMAGE,  /* of scripts/controllers: require, words of plugins and of needs.core */
    MH_CONTROLLER_PLUGIN, /* a user's: words of plugins; limits from the first instruction on */
};

struct mh_controller {
    char *name;
    char *text; /* NULL: from mh_script_find */
    size_t text_len;
    enum mh_controller_sort sort;
    struct mh_generation *gen; /* NULL after a load that failed for good */
    struct mh_arena facts;     /* kind, owns, watches, declaration */
    const char *kind;
    const char *const *owns;
    const char *const *watches;
    const char *declaration;
};

/* The current version, loaded again when the last one is broken; NULL and *err if that fails. */
struct mh_generation *mh_controller_ref(struct mh_controller *c, struct mh_err *err);
void mh_controller_unref(struct mh_generation *g);
/* Pushes a field of what the script returned. Inside a protected call. */
void mh_controller_push(lua_State *L, const char *field);

#endif
