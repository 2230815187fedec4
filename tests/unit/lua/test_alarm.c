/* The alarm that turns counting on for trusted scripts: it always comes, for whom it was set, and never
 * for one that is gone. */
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "harness/test.h"
#include "lua/alarm.h"
#include "lua/vm.h"

#define LOOP "while true do end"
#define SLACK_MS 1500 /* a busy machine under sanitizers */

static int64_t
now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Runs for ns, whoever interrupts. */
static void
spend_ns(int64_t ns)
{
    struct timespec left = { .tv_sec = 0, .tv_nsec = (long)ns };
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

struct script {
    const char *text;
    lua_CFunction first; /* NULL: none */
};

static int
script_fn(lua_State *L)
{
    const struct script *s = lua_touserdata(L, 1);
    if (s->first) {
        lua_pushcfunction(L, s->first);
        lua_call(L, 0, 0);
    }
    mh_vm_load(L, "t.lua", s->text, strlen(s->text));
    lua_call(L, 0, 0);
    return 0;
}

/* The kind of error that ends the text, "ok" when none does. */
static const char *
run(struct mh_vm *vm, const char *text, lua_CFunction first)
{
    struct script s = { text, first };
    struct mh_script_error se = { .kind = "ok" };
    struct mh_arena a;
    mh_arena_init(&a, (size_t)1 << 20);
    mh_vm_begin(vm, NULL);
    (void)mh_vm_call(vm, &a, script_fn, &s, &se, NULL);
    mh_vm_end(vm);
    mh_arena_release(&a);
    return se.kind;
}

static struct mh_vm *
trusted(void)
{
    struct mh_vm_limits limits = mh_limits_controller;
    limits.wall_ns = 30 * MH_NS_PER_MS;
    return mh_vm_new(&limits);
}

TEST(a_trusted_script_is_not_counted_at_first_and_ended_all_the_same)
{
    struct mh_vm *vm = trusted();
    mh_vm_begin(vm, NULL);
    CHECK(lua_gethookmask(vm->L) == 0);
    mh_vm_end(vm);
    int64_t t0 = now_ms();
    for (int i = 0; i < 5; i++)
        CHECK_STR(run(vm, LOOP, NULL), "wall");
    CHECK(now_ms() - t0 < 5 * 30 + SLACK_MS);
    CHECK_STR(run(vm, "for i = 1, 10 do end", NULL), "ok");
    CHECK(lua_gethookmask(vm->L) == 0);
    CHECK_STR(run(vm, "while true do pcall(function() while true do end end) end", NULL), "wall");
    CHECK_STR(run(vm, "while true do ('a'):rep(1000):find('b') end", NULL), "wall");
    mh_vm_free(vm);
}

/* --- one script inside another ---------------------------------------------------------------- */

static int
runs_another(lua_State *L)
{
    (void)L;
    struct mh_vm *inner = trusted();
    CHECK_STR(run(inner, "local t = {} for i = 1, 100 do t[i] = i end", NULL), "ok");
    mh_vm_free(inner);
    return 0;
}

static int
loads_another(lua_State *L)
{
    (void)L;
    struct mh_vm *inner = trusted();
    mh_vm_begin(inner, NULL);
    mh_vm_free(inner); /* without an end */
    return 0;
}

static struct mh_vm *idle;

static int
frees_another(lua_State *L)
{
    (void)L;
    mh_vm_free(idle);
    idle = NULL;
    return 0;
}

TEST(a_script_inside_another_does_not_take_its_alarm_away)
{
    struct mh_vm *vm = trusted();
    CHECK_STR(run(vm, LOOP, runs_another), "wall");
    CHECK_STR(run(vm, LOOP, loads_another), "wall");
    idle = trusted();
    CHECK_STR(run(vm, LOOP, frees_another), "wall");
    idle = trusted();
    mh_vm_begin(idle, NULL);
    CHECK_STR(run(vm, LOOP, frees_another), "wall");
    CHECK_STR(run(vm, "local a = 1", runs_another), "ok");
    mh_vm_free(vm);
}

/* --- and what it must not do ------------------------------------------------------------------ */

TEST(nothing_comes_for_a_script_that_is_over_or_gone)
{
    struct mh_vm *vm = trusted();
    struct pollfd none = { .fd = -1 };
    mh_vm_begin(vm, NULL);
    mh_vm_end(vm);
    CHECK_INT(poll(&none, 1, 20), 0); /* EINTR if a signal had come */
    CHECK(lua_gethookmask(vm->L) == 0);
    mh_vm_begin(vm, NULL);
    mh_vm_free(vm);
    CHECK_INT(poll(&none, 1, 20), 0);
    vm = trusted();
    mh_vm_begin(vm, NULL);
    spend_ns(10 * MH_NS_PER_MS);
    CHECK(lua_gethookmask(vm->L) == LUA_MASKCOUNT); /* it does come when nobody ends it */
    mh_vm_end(vm);
    mh_vm_free(vm);
}

TEST(a_read_goes_on_after_the_signal)
{
    int pair[2];
    char c = 0;
    CHECK(pipe(pair) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        spend_ns(20 * MH_NS_PER_MS);
        _exit(write(pair[1], "x", 1) == 1 ? 0 : 1);
    }
    struct mh_vm *vm = trusted();
    mh_vm_begin(vm, NULL);
    CHECK_INT(read(pair[0], &c, 1), 1);
    CHECK(lua_gethookmask(vm->L) == LUA_MASKCOUNT);
    mh_vm_end(vm);
    mh_vm_free(vm);
    CHECK(waitpid(pid, NULL, 0) == pid);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

TEST(a_child_and_a_process_with_blocked_signals_have_it_too)
{
    struct mh_vm *vm = trusted();
    int status = -1;
    CHECK_STR(run(vm, LOOP, NULL), "wall"); /* the timer is the parent's */
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t set;
        (void)sigfillset(&set);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        (void)alarm(0);
        const char *kind = run(vm, LOOP, NULL);
        _exit(strcmp(kind, "wall") == 0 ? 0 : 1);
    }
    int64_t t0 = now_ms();
    while (waitpid(pid, &status, WNOHANG) == 0 && now_ms() - t0 < 5000)
        spend_ns(MH_NS_PER_MS);
    CHECK_INT(status, 0);
    if (status == -1)
        (void)kill(pid, SIGKILL);
    mh_vm_free(vm);
}

/* --- whenever it comes -------------------------------------------------------------------------- */

static volatile int came;

static void
stop(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    luaL_error(L, "stopped");
}

static void
on_tap(lua_State *L)
{
    came++;
    lua_sethook(L, stop, LUA_MASKCOUNT, 1);
}

/* What moves the stack, the frames and the heap most. */
static const char busy[] =
    "local function deep(n) if n > 0 then return 1 + deep(n - 1) end return 0 end "
    "local m = setmetatable({}, {__index = function(t, k) return k end}) "
    "while true do deep(150) local t = {} for i = 1, 50 do t[i] = {i .. 'x', m[i]} end "
    "table.sort(t, function(a, b) return a[2] < b[2] end) "
    "pcall(error, 'x'); (('abc'):rep(20)):gsub('%w', function(c) return c end) "
    "local co = coroutine.wrap(function() coroutine.yield(1) end) co() co() end";

TEST(at_whatever_moment_it_comes_the_script_stops_and_stays_whole)
{
    unsigned seed = 7;
    for (int i = 0; i < 1000; i++) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        CHECK(luaL_loadstring(L, busy) == LUA_OK);
        came = 0;
        seed = seed * 1103515245u + 12345u;
        CHECK(mh_alarm_arm(L, L, (int64_t)(seed >> 8) % 400000, on_tap));
        CHECK(lua_pcall(L, 0, 0, 0) == LUA_ERRRUN);
        CHECK_INT(came, 1);
        CHECK(strstr(lua_tostring(L, -1), "stopped") != NULL);
        mh_alarm_disarm(L);
        lua_close(L);
    }
}

/* The same with the end and the alarm at about the same time. */
TEST(a_script_that_ends_while_the_alarm_comes_is_free_to_go)
{
    unsigned seed = 11;
    int met = 0;
    for (int i = 0; i < 2000; i++) {
        lua_State *L = luaL_newstate();
        CHECK(luaL_loadstring(L, "local t = {} for i = 1, 400 do t[i] = i end") == LUA_OK);
        came = 0;
        seed = seed * 1103515245u + 12345u;
        CHECK(mh_alarm_arm(L, L, (int64_t)(seed >> 8) % 12000, on_tap));
        (void)lua_pcall(L, 0, 0, 0);
        mh_alarm_disarm(L);
        met += came;
        lua_close(L);
    }
    printf("# the alarm came before the end %d times of 2000\n", met);
}
