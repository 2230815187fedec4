/* plain.c - the attacks in a plain Lua with a textbook sandbox: a cap on memory, a hook that counts and looks
 * at the clock, no load, io, os or debug. What gets through here is what our own VM is for; when too little
 * does, the attacks have lost their teeth. Each attack has a process of its own. */
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attacks/list.h"
#include "base/mem.h"

#define HEAP ((size_t)64 << 20)
#define LIMIT_MS 50.0
#define SLACK_MS 50.0
#define LEAST 29 /* that must get through */

#define CONTEXT                                                                                    \
    "local ctx = {candidates = {{name = 'a'}, {name = 'b'}}, now = 1} local null, str = {}, {} "   \
    "local function promote(o) return {action = 'promote', order = o, target = o[1]} end "         \
    "local function hold(r) return r end local function policy() end local function log() end "

enum verdict { HELD, LATE, KILLED, CRASHED, LEAKED };

static const char *const words[] = { "held", "late", "had to be killed", "crashed", "leaked" };
static size_t used;

/* Milliseconds of the processor, so that a busy machine changes nothing. */
static double
cpu_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void *
cap(void *ud, void *p, size_t osize, size_t nsize)
{
    (void)ud;
    if (!p)
        osize = 0;
    if (nsize == 0) {
        mh_free(p);
        used -= osize;
        return NULL;
    }
    if (nsize > osize && used + nsize - osize > HEAP)
        return NULL;
    void *q = mh_realloc(p, nsize);
    if (q)
        used = used - osize + nsize;
    return q;
}

static void
on_count(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (cpu_ms() > LIMIT_MS)
        (void)luaL_error(L, "budget exceeded");
}

static void
open_some(lua_State *L)
{
    static const luaL_Reg libs[] = { { LUA_GNAME, luaopen_base },
                                     { LUA_STRLIBNAME, luaopen_string },
                                     { LUA_TABLIBNAME, luaopen_table },
                                     { LUA_MATHLIBNAME, luaopen_math },
                                     { LUA_UTF8LIBNAME, luaopen_utf8 },
                                     { LUA_COLIBNAME, luaopen_coroutine },
                                     { NULL, NULL } };
    static const char *const gone[] = { "load",    "loadfile",       "dofile",
                                        "require", "collectgarbage", "print" };
    for (const luaL_Reg *l = libs; l->func; l++) {
        luaL_requiref(L, l->name, l->func, 1);
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++) {
        lua_pushnil(L);
        lua_setglobal(L, gone[i]);
    }
}

/* In the process of its own; the exit code is the verdict. */
static void
run(const struct mh_attack *a)
{
    size_t len;
    char *text = mh_attack_wrap(a, a->decide ? CONTEXT : "", "", &len);
    struct itimerval most = { .it_value = { .tv_usec = (suseconds_t)(3 * LIMIT_MS * 1000) } };
    (void)setitimer(ITIMER_PROF, &most, NULL); /* SIGPROF ends the process */
    lua_State *L = lua_newstate(cap, NULL);
    if (!L)
        _exit(HELD);
    open_some(L);
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1000);
    int rc = luaL_loadbufferx(L, text, len, "=attack", "t");
    if (rc == LUA_OK)
        rc = lua_pcall(L, 0, 1, 0);
    bool leaked = rc == LUA_OK && lua_type(L, -1) == LUA_TSTRING &&
                  strstr(lua_tostring(L, -1), "ESCAPE") != NULL;
    lua_close(L);
    mh_free(text);
    _exit(leaked ? LEAKED : cpu_ms() > LIMIT_MS + SLACK_MS ? LATE : HELD);
}

static enum verdict
judge(const struct mh_attack *a)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        run(a);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGPROF ? KILLED : CRASHED;
    return (enum verdict)WEXITSTATUS(status);
}

int
main(void)
{
    static struct mh_attack list[MH_ATTACKS_MAX];
    int n = mh_attacks_read(list);
    int through = 0;
    if (!n) {
        (void)fputs("tests/attacks/attacks.txt cannot be read from here\n", stderr);
        return 2;
    }
    for (int i = 0; i < n; i++) {
        enum verdict v = judge(&list[i]);
        through += v != HELD;
        if (v != HELD)
            printf("# %s: %s\n", list[i].name, words[v]);
    }
    mh_attacks_free(list, n);
    printf("# %d of %d attacks get through\n", through, n);
    printf("%s 1 - a plain Lua with a textbook sandbox lets at least %d attacks through\n1..1\n",
           through >= LEAST ? "ok" : "not ok", LEAST);
    return through >= LEAST ? 0 : 1;
}
