/* vm.h - one Lua 5.4 state under limits: fuel, wall time, heap, largest block.
 *
 * A VM belongs to its creator and to one thread. Scripts get own base, string, table and utf8
 * libraries that charge fuel; a kill cannot be caught by pcall. After a kill for memory the VM is
 * only good for mh_vm_free. Everything that may raise runs inside mh_vm_call or a task. */
#ifndef MH_LUA_VM_H
#define MH_LUA_VM_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moonherd/err.h"

#include "base/mem.h"
#include "lua/slab.h"

struct mh_task;

struct mh_vm_limits {
    int64_t fuel;    /* VM instructions and charges of the libraries, per mh_vm_begin */
    int64_t wall_ns; /* per mh_vm_begin; up to 8 times that while other processes run instead */
    size_t heap;
    size_t block;  /* largest single allocation, so also the longest string */
    size_t source; /* longest text of one script */
    bool gc;       /* false: only when the heap is full */
    bool counted;  /* from the first instruction on; false: once a call takes longer than 5 ms */
};

extern const struct mh_vm_limits mh_limits_policy;     /* 1 M, 50 ms, 4 MiB, 1 MiB */
extern const struct mh_vm_limits mh_limits_controller; /* 50 M, 200 ms, 16 MiB, 4 MiB */
extern const struct mh_vm_limits mh_limits_plugin;     /* 10 M, 200 ms, 16 MiB, 1 MiB */

enum mh_kill { MH_KILL_NONE, MH_KILL_FUEL, MH_KILL_WALL, MH_KILL_MEMORY };

/* What a failed script leaves behind. Texts are on the arena that the call was given. */
struct mh_script_error {
    const char *kind; /* syntax contract runtime fuel wall memory output guard */
    const char *file; /* "failover.lua", NULL when unknown */
    int line;         /* 0 when unknown */
    const char *message;
    const char *traceback; /* NULL when there is none */
};

struct mh_vm {
    lua_State *L; /* main state; hooks are inherited by every thread of it */
    struct mh_vm_limits limits;
    size_t used;
    size_t peak;
    bool small; /* small blocks come from the slab */
    struct mh_slab slab;
    int64_t fuel;     /* used since mh_vm_begin */
    int64_t began_ns; /* CLOCK_MONOTONIC */
    int64_t began_cpu_ns;
    enum mh_kill dead;
    bool broken;             /* killed for memory: close it */
    int full;                /* times the heap was full since mh_vm_begin */
    const char *kind;        /* what a plain error means now: "syntax", "contract", "runtime" */
    int log_lines;           /* since mh_vm_begin */
    char where[80];          /* of the kill: "failover.lua:8" */
    struct mh_task *running; /* of the step that runs, NULL outside */
};

/* Further modules of every VM, from rooms above this one (core/bind). */
struct mh_vm_module {
    const char *name;   /* the global */
    lua_CFunction open; /* leaves one value */
};
/* The list ends with a NULL name and is kept by reference. Called once, at the start. */
void mh_vm_set_modules(const struct mh_vm_module *list);

/* For replays, whose result must not depend on how busy the machine is: from now on all wall times
 * of this process count n-fold. Fuel ends what does not end. */
void mh_vm_set_patience(int n);

/* The VM of a state. */
struct mh_vm *mh_vm_of(lua_State *L);
/* Libraries are in place, no script is loaded. NULL: no memory. */
struct mh_vm *mh_vm_new(const struct mh_vm_limits *limits);
void mh_vm_free(struct mh_vm *vm);
/* A fresh budget of fuel and wall time, for one thread (NULL: the main state). Call before each
 * entry into scripts; threads made later inherit it from the main state. */
void mh_vm_begin(struct mh_vm *vm, lua_State *thread);
/* That entry is over. The thread may be freed only after it. */
void mh_vm_end(struct mh_vm *vm);
/* The wall time stands still, for one that is not running; called again it goes on. */
void mh_vm_pause(struct mh_vm *vm);
/* Runs fn(L) with arg as its light userdata, protected; what it leaves on its stack is dropped.
 * On failure fills *err (SCRIPT, LIMIT or NOMEM; message has file:line) and *se (may be NULL). */
enum mh_code mh_vm_call(struct mh_vm *vm, struct mh_arena *a, lua_CFunction fn, void *arg,
                        struct mh_script_error *se, struct mh_err *err);
/* Inside a protected call: pays n units; raises when the budget is empty. */
void mh_vm_charge(lua_State *L, size_t n);
/* Inside a protected call: compiles text (never bytecode), strips a BOM, lints; pushes the
 * function or raises. name is shown in messages, "failover.lua". */
void mh_vm_load(lua_State *L, const char *name, const char *text, size_t len);
/* Inside a protected call: the globals of scripts (read-only to them), for adding to. */
void mh_vm_push_globals(lua_State *L);
/* Inside a protected call: the table that scripts see as their globals (_ENV). */
void mh_vm_push_env(lua_State *L);
/* Inside a protected call: puts the value on the top of the stack into the globals; pops it. */
void mh_vm_set_global(lua_State *L, const char *name);
/* What error the status and value on the top of L mean; pops nothing, never raises. */
enum mh_code mh_vm_explain(struct mh_vm *vm, struct mh_arena *a, lua_State *L, int status,
                           struct mh_script_error *se, struct mh_err *err);
/* Message handler that keeps the traceback for mh_vm_explain. */
int mh_vm_traceback(lua_State *L);
/* Name of the first global that the function on the top reads or writes and that does not exist;
 * NULL if there is none. *line is where. The name lives as long as the function. */
const char *mh_vm_undefined(lua_State *L, int *line);

#endif
