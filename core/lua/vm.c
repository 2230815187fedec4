#include "lua/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "lua/alarm.h"
#include "lua/lib.h"
#include "lua/value.h"

#define HOOK_EVERY 100
#define FREE_NS (5 * MH_NS_PER_MS) /* of trusted scripts, before their instructions are counted */
#define FULL_MAX 64                /* collections of a full heap that one budget pays for */
#define BUSY 8                     /* times the wall time, while others have the processor */
#define LARGE ((size_t)64 << 10)   /* a block that is worth a look at the clock */

const struct mh_vm_limits mh_limits_policy = {
    .fuel = 1000000,
    .wall_ns = 50 * MH_NS_PER_MS,
    .heap = (size_t)4 << 20,
    .block = (size_t)1 << 20,
    .source = (size_t)64 << 10,
    .gc = false,
    .counted = true,
};
const struct mh_vm_limits mh_limits_controller = {
    .fuel = 50000000,
    .wall_ns = 200 * MH_NS_PER_MS,
    .heap = (size_t)16 << 20,
    .block = (size_t)4 << 20,
    .source = (size_t)256 << 10,
    .gc = true,
    .counted = false,
};
const struct mh_vm_limits mh_limits_plugin = {
    .fuel = 10000000,
    .wall_ns = 200 * MH_NS_PER_MS,
    .heap = (size_t)16 << 20,
    .block = (size_t)1 << 20,
    .source = (size_t)256 << 10,
    .gc = true,
    .counted = true,
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MH_ASAN
#endif

static const struct mh_vm_module *modules;
#ifdef MH_ASAN /* where the same script takes several times as long */
static int64_t patience = 4;
#else
static int64_t patience = 1;
#endif
static char kill_key;      /* its address is the error value of a kill */
static char globals_key;   /* registry: what scripts may read */
static char env_key;       /* registry: their _ENV, empty, read-only */
static char traceback_key; /* registry: traceback of the last error */

void
mh_vm_set_modules(const struct mh_vm_module *list)
{
    modules = list;
}

void
mh_vm_set_patience(int n)
{
    patience = n;
}

struct mh_vm *
mh_vm_of(lua_State *L)
{
    return *(struct mh_vm **)lua_getextraspace(L);
}

static int64_t
now_ns(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * MH_NS_PER_S + ts.tv_nsec;
}

/* --- memory ---------------------------------------------------------------------------------- */

/* On a busy machine time passes without the script: it has the processor's time too, for a while. */
static bool
is_late(const struct mh_vm *vm)
{
    int64_t most = vm->limits.wall_ns * patience;
    int64_t wall = vm->began_ns ? now_ns(CLOCK_MONOTONIC) - vm->began_ns : 0;
    if (wall <= most)
        return false;
    return wall > BUSY * most || now_ns(CLOCK_THREAD_CPUTIME_ID) - vm->began_cpu_ns > most;
}

/* May the heap grow? A heap that is full again and again is a script that only collects. */
static bool
may_grow(struct mh_vm *vm, size_t block, size_t more)
{
    /* Large texts are made by single instructions: a hundred of them, between two looks of the hook
     * at the clock, can take long. */
    bool large = block >= LARGE && vm->limits.counted;
    if (block <= vm->limits.block && vm->used + more <= vm->limits.heap &&
        !(large && (vm->dead == MH_KILL_WALL || is_late(vm))))
        return true;
    vm->full++;
    if (vm->dead == MH_KILL_NONE && is_late(vm))
        vm->dead = MH_KILL_WALL;
    if (vm->dead == MH_KILL_NONE && vm->full > FULL_MAX)
        vm->dead = MH_KILL_MEMORY;
    return false;
}

static void *
vm_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
    struct mh_vm *vm = ud;
    if (!p)
        osize = 0; /* a type tag */
    if (nsize > osize && !may_grow(vm, nsize, nsize - osize))
        return NULL;
    void *q = NULL;
    if (vm->small)
        q = mh_slab_resize(&vm->slab, p, osize, nsize);
    else if (nsize)
        q = mh_realloc(p, nsize);
    else
        mh_free(p);
    if (!q && nsize)
        return nsize <= osize ? p : NULL; /* shrinking never fails */
    vm->used = vm->used - osize + nsize;
    if (vm->used > vm->peak)
        vm->peak = vm->used;
    return q;
}

/* --- budget ---------------------------------------------------------------------------------- */

static void
note_where(struct mh_vm *vm, lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; level < 20 && lua_getstack(L, level, &ar); level++) {
        if (lua_getinfo(L, "Sl", &ar) && ar.currentline > 0) {
            (void)snprintf(vm->where, sizeof(vm->where), "%s:%d", ar.short_src, ar.currentline);
            return;
        }
    }
}

static void on_count(lua_State *L, lua_Debug *ar);

static void
raise_kill(lua_State *L)
{
    /* From now on each instruction looks here, whoever catches what. */
    lua_sethook(L, on_count, LUA_MASKCOUNT | LUA_MASKLINE, 1);
    lua_pushlightuserdata(L, &kill_key);
    (void)lua_error(L);
}

static void
spend(lua_State *L, int64_t n)
{
    struct mh_vm *vm = mh_vm_of(L);
    if (vm->dead == MH_KILL_NONE) {
        vm->fuel += n;
        if (vm->fuel > vm->limits.fuel)
            vm->dead = MH_KILL_FUEL;
        else if (is_late(vm))
            vm->dead = MH_KILL_WALL;
        else
            return;
        note_where(vm, L);
    }
    raise_kill(L);
}

static void
on_count(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    spend(L, HOOK_EVERY);
}

void
mh_vm_charge(lua_State *L, size_t n)
{
    struct mh_vm *vm = mh_vm_of(L);
    /* Small sums do not pay for a look at the clock. */
    if (n < 32 && vm->dead == MH_KILL_NONE && vm->fuel + (int64_t)n <= vm->limits.fuel)
        vm->fuel += (int64_t)n;
    else
        spend(L, n > INT32_MAX ? INT32_MAX : (int64_t)n);
}

void
mh_vm_check_dead(lua_State *L)
{
    if (mh_vm_of(L)->dead != MH_KILL_NONE)
        raise_kill(L);
}

void
mh_vm_after_pcall(lua_State *L, int status)
{
    struct mh_vm *vm = mh_vm_of(L);
    if (status == LUA_ERRMEM || status == LUA_ERRERR) {
        vm->broken = true;
        if (vm->dead == MH_KILL_NONE)
            vm->dead = MH_KILL_MEMORY;
    }
    mh_vm_check_dead(L);
}

/* Also runs inside the handler of the alarm's signal. */
static void
count_from_now(lua_State *L)
{
    if (mh_vm_of(L)->dead == MH_KILL_NONE) /* else each instruction is looked at already */
        lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_EVERY);
}

static void
set_hook(lua_State *L, bool counted)
{
    if (counted)
        count_from_now(L);
    else if (lua_gethookmask(L))
        lua_sethook(L, NULL, 0, 0);
}

void
mh_vm_begin(struct mh_vm *vm, lua_State *thread)
{
    vm->fuel = 0;
    vm->began_ns = now_ns(CLOCK_MONOTONIC);
    vm->began_cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    vm->dead = MH_KILL_NONE;
    vm->full = 0;
    vm->log_lines = 0;
    vm->where[0] = 0;
    vm->kind = "runtime";
    if (!thread)
        thread = vm->L;
    /* The hooks first: once it is armed, the alarm may come at any moment and set one. */
    bool counted = vm->limits.counted;
    if (counted || thread != vm->L)
        set_hook(vm->L, counted);
    set_hook(thread, counted);
    if (!counted && !mh_alarm_arm(vm, thread, FREE_NS, count_from_now)) {
        set_hook(vm->L, true);
        set_hook(thread, true);
    }
}

void
mh_vm_end(struct mh_vm *vm)
{
    if (!vm->limits.counted)
        mh_alarm_disarm(vm);
}

void
mh_vm_pause(struct mh_vm *vm)
{
    /* Of a time that it began at this makes how long it has run, and the other way round. */
    vm->began_ns = now_ns(CLOCK_MONOTONIC) - vm->began_ns;
    vm->began_cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - vm->began_cpu_ns;
}

/* --- globals --------------------------------------------------------------------------------- */

void
mh_vm_push_globals(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
}

void
mh_vm_push_env(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key);
}

void
mh_vm_set_global(lua_State *L, const char *name)
{
    mh_vm_push_globals(L);
    lua_insert(L, -2);
    lua_pushstring(L, name);
    lua_insert(L, -2);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static int
undefined_read(lua_State *L)
{
    return luaL_error(L, "undefined name '%s'", lua_tostring(L, 2));
}

static int
refused_write(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    return luaL_error(L, "global '%s' cannot be set: declare it local", name);
}

static void
make_globals(lua_State *L)
{
    lua_newtable(L); /* the globals */
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, undefined_read);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);

    lua_newtable(L); /* what scripts hold */
    lua_createtable(L, 0, 3);
    lua_rotate(L, -3, 2); /* env meta globals */
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refused_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
}

static int
open_all(lua_State *L)
{
    make_globals(L);
    mh_value_open(L);
    mh_lib_base_open(L);
    mh_lib_string_open(L);
    mh_lib_table_open(L);
    mh_lib_utf8_open(L);
    mh_lib_math_open(L);
    mh_lib_array_open(L);
    for (const struct mh_vm_module *m = modules; m && m->name; m++) {
        lua_pushcfunction(L, m->open);
        lua_call(L, 0, 1);
        mh_vm_set_global(L, m->name);
    }
    return 0;
}

static int
on_panic(lua_State *L)
{
    const char *msg = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no message";
    mh_error("lua", "unprotected error, this is a defect", "error", msg);
    abort();
}

struct mh_vm *
mh_vm_new(const struct mh_vm_limits *limits)
{
    struct mh_vm *vm = mh_calloc(1, sizeof(*vm));
    if (!vm)
        return NULL;
    vm->limits = *limits;
    vm->small = limits->counted && mh_slab_wanted();
    vm->L = lua_newstate(vm_alloc, vm);
    if (!vm->L) {
        mh_slab_release(&vm->slab);
        mh_free(vm);
        return NULL;
    }
    *(struct mh_vm **)lua_getextraspace(vm->L) = vm;
    lua_atpanic(vm->L, on_panic);
    if (!limits->gc)
        lua_gc(vm->L, LUA_GCSTOP);
    mh_vm_begin(vm, NULL);
    if (mh_vm_call(vm, NULL, open_all, NULL, NULL, NULL) != MH_OK) {
        mh_vm_free(vm);
        return NULL;
    }
    mh_vm_end(vm);
    return vm;
}

void
mh_vm_free(struct mh_vm *vm)
{
    if (!vm)
        return;
    mh_vm_end(vm);
    if (!vm->small) /* nothing in a VM outlives its memory: no value has a finalizer of ours */
        lua_close(vm->L);
    mh_slab_release(&vm->slab);
    mh_free(vm);
}

/* --- calls and their errors ------------------------------------------------------------------ */

int
mh_vm_traceback(lua_State *L)
{
    const struct mh_vm *vm = mh_vm_of(L);
    if (vm->dead == MH_KILL_MEMORY || vm->broken)
        return 1;
    luaL_traceback(L, L, NULL, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    return 1;
}

static int
traceback_of(lua_State *L)
{
    luaL_traceback(L, lua_touserdata(L, 1), NULL, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    return 0;
}

void
mh_vm_keep_traceback(struct mh_vm *vm, lua_State *co)
{
    enum mh_kill dead = vm->dead;
    if (dead == MH_KILL_MEMORY || vm->broken)
        return;
    (void)mh_vm_call(vm, NULL, traceback_of, co, NULL, NULL);
    vm->dead = dead;
}

/* Takes "file:line: " off the front of msg. */
static const char *
split_where(struct mh_arena *a, const char *msg, struct mh_script_error *se)
{
    const char *colon = strchr(msg, ':');
    if (!colon || colon == msg || colon - msg > 60 || memchr(msg, ' ', (size_t)(colon - msg)))
        return msg;
    char *end;
    long line = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end != ':' || line <= 0 || line > 10000000)
        return msg;
    se->file = mh_arena_strndup(a, msg, (size_t)(colon - msg));
    se->line = (int)line;
    return end[1] == ' ' ? end + 2 : end + 1;
}

static const char *
kill_message(const struct mh_vm *vm, struct mh_arena *a, const char **kind)
{
    switch (vm->dead) {
    case MH_KILL_FUEL:
        *kind = "fuel";
        return mh_arena_printf(a, "used more than %lld units of fuel", (long long)vm->limits.fuel);
    case MH_KILL_WALL:
        *kind = "wall";
        return mh_arena_printf(a, "ran longer than %lld ms",
                               (long long)(vm->limits.wall_ns / MH_NS_PER_MS));
    case MH_KILL_MEMORY:
    case MH_KILL_NONE:
        break;
    }
    *kind = "memory";
    return mh_arena_printf(a, "needs more memory than %zu KiB, or one value of more than %zu KiB",
                           vm->limits.heap >> 10, vm->limits.block >> 10);
}

/* A string on the top of L without raising; other values have no text. */
static const char *
top_text(lua_State *L)
{
    if (lua_type(L, -1) == LUA_TSTRING)
        return lua_tostring(L, -1);
    return lua_type(L, -1) == LUA_TNIL     ? "error without a message"
           : lua_type(L, -1) == LUA_TTABLE ? "the error is a table"
                                           : "the error is no text";
}

static void
keep_traceback(struct mh_arena *a, lua_State *L, struct mh_script_error *se)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key) == LUA_TSTRING)
        se->traceback = mh_arena_strdup(a, lua_tostring(L, -1));
    lua_pop(L, 1);
}

enum mh_code
mh_vm_explain(struct mh_vm *vm, struct mh_arena *a, lua_State *L, int status,
              struct mh_script_error *se, struct mh_err *err)
{
    struct mh_script_error own = { .kind = vm->kind };
    if (!lua_checkstack(L, 2))
        status = LUA_ERRMEM;
    if (status == LUA_ERRMEM || status == LUA_ERRERR) {
        vm->broken = true;
        if (vm->dead == MH_KILL_NONE)
            vm->dead = MH_KILL_MEMORY;
    }
    if (!a)
        return mh_fail(err, vm->dead ? MH_E_NOMEM : MH_E_SCRIPT, "script failed");
    if (vm->dead != MH_KILL_NONE) {
        own.message = kill_message(vm, a, &own.kind);
        (void)split_where(a, mh_arena_printf(a, "%s: ", vm->where) ?: "", &own);
    } else {
        own.message = mh_arena_strdup(a, split_where(a, top_text(L), &own));
    }
    if (!vm->broken)
        keep_traceback(a, L, &own);
    if (!own.message)
        own.message = "no memory for the message";
    if (se)
        *se = own;
    enum mh_code code = vm->dead == MH_KILL_NONE ? MH_E_SCRIPT : MH_E_LIMIT;
    if (own.file)
        return mh_fail(err, code, "%s:%d: %s", own.file, own.line, own.message);
    return mh_fail(err, code, "%s", own.message);
}

enum mh_code
mh_vm_call(struct mh_vm *vm, struct mh_arena *a, lua_CFunction fn, void *arg,
           struct mh_script_error *se, struct mh_err *err)
{
    lua_State *L = vm->L;
    int base = lua_gettop(L);
    if (!lua_checkstack(L, 10))
        return mh_fail(err, MH_E_NOMEM, "no memory for a call");
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key); /* nil into the registry allocates nothing */
    lua_pushcfunction(L, mh_vm_traceback);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, base + 1);
    enum mh_code code = MH_OK;
    if (status != LUA_OK)
        code = mh_vm_explain(vm, a, L, status, se, err);
    lua_settop(L, base);
    return code;
}
