#include "lua/policy_ready.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lua/embed.h"
#include "lua/lib.h"
#include "lua/value.h"

static const char *const libs[] = { "policies/lib/words",    "policies/lib/results",
                                    "policies/lib/params",   "policies/lib/decide",
                                    "policies/lib/contract", "policies/lib/check",
                                    "policies/lib/time" };
#define LIBS_DECIDE 4
#define LIBS_CHECK 6
#define LIB_TIME 6 /* only where the text speaks of it */
#define LIBS 7
#define LIB_MAX ((size_t)256 << 10)
#define TEXTS_MAX ((size_t)512 << 10) /* a script, its parameters and what comes of them */
#define SCRIPTS 8                     /* that one process has ready */
#define HEAP_MOST ((size_t)1 << 20)   /* of one that waits */

static char host_key;   /* registry: the host table */
static char script_key; /* registry: what the script returned */

/* Our own files compiled once per process; never bytecode from outside. */
static struct mh_buf compiled[LIBS];

static struct mh_ready *plain;            /* no script has run in it; NULL: none */
static struct mh_ready *scripts[SCRIPTS]; /* one has, with nothing but its parameters */
static struct mh_ready *spent;            /* served its decision */
static bool ahead;                        /* somebody calls mh_policy_prepare between decisions */
static bool again;                        /* what `spent` ran is made ready once more */
static uint64_t uses;

/* --- our part of the VM ----------------------------------------------------------------------- */

static int
keep_bytes(lua_State *L, const void *p, size_t n, void *arg)
{
    (void)L;
    return mh_buf_add(arg, p, n) ? 0 : 1;
}

/* Pushes the function of one of our files. */
static void
load_lib(lua_State *L, struct mh_policy_run *run, int i)
{
    const char *dir = getenv("MOONHERD_SCRIPTS");
    struct mh_buf *b = &compiled[i];
    if (b->len && !dir) {
        int status = luaL_loadbufferx(L, b->data, b->len, libs[i], "b");
        if (status != LUA_OK) {
            mh_vm_after_pcall(L, status);
            lua_error(L);
        }
        mh_vm_push_env(L);
        if (!lua_setupvalue(L, -2, 1))
            lua_pop(L, 1);
        return;
    }
    const struct mh_script *s = mh_script_find(run->arena, libs[i]);
    if (!s) {
        luaL_error(L, "%s is missing", libs[i]);
        return;
    }
    mh_vm_load(L, lua_pushfstring(L, "%s.lua", libs[i]), s->text, s->len);
    lua_remove(L, -2);
    mh_buf_init(b, LIB_MAX);
    if (lua_dump(L, keep_bytes, b, 0) != 0)
        mh_buf_release(b);
}

static void
run_lib(lua_State *L, struct mh_policy_run *run, int i)
{
    load_lib(L, run, i);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
    lua_call(L, 1, 0);
}

/* Argument: the run. What needs no script. */
static int
plain_fn(lua_State *L)
{
    struct mh_policy_run *run = lua_touserdata(L, 1);
    int n = run->job->op == MH_POLICY_CHECK ? LIBS_CHECK : LIBS_DECIDE;
    mh_policy_push_host(L, run);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
    for (int i = 0; i < n; i++)
        run_lib(L, run, i);
    return 0;
}

/* Compiles and runs the text; leaves what it returned. */
static void
run_script(lua_State *L, struct mh_policy_run *run)
{
    const struct mh_policy_job *job = run->job;
    struct mh_vm *vm = mh_vm_of(L);
    mh_vm_begin(vm, NULL);
    mh_vm_load(L, job->name, job->script, job->script_len);
    if (job->op == MH_POLICY_CHECK) {
        int line;
        const char *bad = mh_vm_undefined(L, &line);
        vm->kind = "contract";
        if (bad)
            luaL_error(L, "%s:%d: undefined name '%s'", job->name, line,
                       bad); /* C called: no place */
    }
    vm->kind = "runtime";
    lua_call(L, 0, 1);
}

/* Argument: the run. All that needs no input. */
static int
load_fn(lua_State *L)
{
    struct mh_policy_run *run = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key); /* 2 */
    mh_policy_tell_host(L, run);
    if (memmem(run->job->script, run->job->script_len, "time", 4))
        run_lib(L, run, LIB_TIME);
    run_script(L, run); /* 3: what it returned */
    lua_pushvalue(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &script_key);
    mh_vm_of(L)->kind = "contract";
    lua_getfield(L, 2, "point");
    run->declared = mh_arena_strdup(run->arena, lua_tostring(L, -1));
    if (run->job->point && run->declared && strcmp(run->job->point, run->declared) != 0)
        return luaL_error(L, "%s:%d: decides %s, not %s", run->job->name, run->line ? run->line : 1,
                          run->declared, run->job->point);
    if (run->job->op == MH_POLICY_CHECK)
        return 0;
    lua_getfield(L, 2, "prepare");
    lua_getfield(L, 2, "definition");
    lua_pushvalue(L, 3);
    mh_value_push(L, run->params);
    lua_call(L, 3, 0);
    return 0;
}

void
mh_ready_push(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &script_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
}

/* --- making ----------------------------------------------------------------------------------- */

static void
drop(struct mh_ready *w)
{
    if (!w)
        return;
    mh_vm_free(w->vm);
    mh_arena_release(&w->own);
    mh_free(w);
}

/* NULL with the error in the result. */
static struct mh_ready *
make_plain(struct mh_arena *a, const struct mh_policy_job *job, struct mh_policy_result *r)
{
    struct mh_ready *w = mh_calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    mh_arena_init(&w->own, TEXTS_MAX);
    w->vm = mh_vm_new(&mh_limits_policy);
    if (w->vm) {
        w->run = (struct mh_policy_run){ .job = job, .arena = a };
        mh_vm_begin(w->vm, NULL);
        if (mh_vm_call(w->vm, a, plain_fn, &w->run, &r->error, NULL) == MH_OK)
            return w;
    }
    drop(w);
    return NULL;
}

enum mh_code
mh_ready_load(struct mh_ready *w, struct mh_policy_result *r)
{
    if (w->loaded) {
        mh_vm_pause(w->vm);
        return MH_OK;
    }
    mh_vm_begin(w->vm, NULL);
    return mh_vm_call(w->vm, w->run.arena, load_fn, &w->run, &r->error, NULL);
}

static bool
keep_text(struct mh_arena *a, const char **out, const char *s, size_t n)
{
    *out = s ? mh_arena_strndup(a, s, n) : NULL;
    return !s || *out;
}

/* Copies of what makes a script, on the arena of w. */
static bool
keep_job(struct mh_ready *w, const struct mh_policy_job *job)
{
    struct mh_arena *a = &w->own;
    w->job = (struct mh_policy_job){ .op = MH_POLICY_DECIDE,
                                     .script_len = job->script_len,
                                     .params_len = job->params_len };
    return job->script && job->name && job->point && /* a job that names all three */
           keep_text(a, &w->job.script, job->script, job->script_len) &&
           keep_text(a, &w->job.name, job->name, strlen(job->name)) &&
           keep_text(a, &w->job.point, job->point, strlen(job->point)) &&
           keep_text(a, &w->job.params, job->params, job->params_len);
}

/* --- kept ahead ------------------------------------------------------------------------------- */

static bool
same_text(const char *x, size_t n, const char *y, size_t m)
{
    return (!x) == (!y) && (!x || (n == m && memcmp(x, y, n) == 0));
}

static bool
is_for(const struct mh_ready *w, const struct mh_policy_job *job)
{
    return job->script && mh_str_eq(w->job.name, job->name) &&
           mh_str_eq(w->job.point, job->point) &&
           same_text(w->job.script, w->job.script_len, job->script, job->script_len) &&
           same_text(w->job.params, w->job.params_len, job->params, job->params_len);
}

static struct mh_ready **
find(const struct mh_policy_job *job)
{
    for (int i = 0; i < SCRIPTS; i++) {
        if (scripts[i] && is_for(scripts[i], job))
            return &scripts[i];
    }
    return NULL;
}

/* The first that is free, else that which was not asked for longest. */
static struct mh_ready **
oldest(void)
{
    struct mh_ready **best = &scripts[0];
    for (int i = 0; i < SCRIPTS; i++) {
        if (!scripts[i])
            return &scripts[i];
        if (scripts[i]->used < (*best)->used)
            best = &scripts[i];
    }
    return best;
}

struct mh_ready *
mh_ready_take(struct mh_arena *a, const struct mh_policy_job *job, struct mh_policy_result *r)
{
    struct mh_ready **at = NULL;
    if (job->op == MH_POLICY_DECIDE)
        at = find(job);
    if (!at && job->op == MH_POLICY_DECIDE && plain)
        at = &plain;
    struct mh_ready *w = at ? *at : make_plain(a, job, r);
    if (at)
        *at = NULL;
    if (!w)
        return NULL;
    struct mh_policy_run was = w->run;
    w->run = (struct mh_policy_run){ .job = job, .arena = a };
    if (w->loaded) {
        w->run.line = was.line;
        w->run.params = was.params;
        w->run.declared = mh_arena_strdup(a, was.declared);
    }
    return w;
}

void
mh_ready_give(struct mh_ready *w, const struct mh_policy_job *asked, bool quick)
{
    again = false;
    drop(spent);
    spent = NULL;
    if (ahead && asked->op == MH_POLICY_DECIDE) {
        again = quick && (w->job.script || keep_job(w, asked));
        spent = w;
    } else {
        drop(w);
    }
}

/* Lets the script of w run up to its input. */
static bool
load_ahead(struct mh_ready *w)
{
    struct mh_policy_result r = { .ok = false };
    w->run = (struct mh_policy_run){ .job = &w->job, .arena = &w->own };
    w->loaded = mh_policy_read(&w->run, &w->job, &r) && mh_ready_load(w, &r) == MH_OK &&
                w->vm->used <= HEAP_MOST;
    w->used = ++uses;
    mh_vm_pause(w->vm);
    return w->loaded;
}

static void
make_again(struct mh_ready *old)
{
    struct mh_ready *w = plain;
    if (!w || find(&old->job) || !keep_job(w, &old->job))
        return;
    plain = NULL;
    if (load_ahead(w)) {
        struct mh_ready **at = oldest();
        drop(*at);
        *at = w;
    } else {
        drop(w);
    }
}

static void
make_ahead(void)
{
    static const struct mh_policy_job job = { .op = MH_POLICY_DECIDE, .script = "" };
    struct mh_policy_result r;
    struct mh_arena a;
    if (plain)
        return;
    mh_arena_init(&a, LIB_MAX);
    plain = make_plain(&a, &job, &r);
    mh_arena_release(&a);
}

void
mh_policy_prepare(void)
{
    if (getenv("MOONHERD_SCRIPTS"))
        return;
    ahead = true;
    if (spent) {
        mh_vm_free(spent->vm); /* its memory is that of the next */
        spent->vm = NULL;
    }
    make_ahead();
    if (spent && again) {
        make_again(spent);
        make_ahead();
    }
    drop(spent);
    spent = NULL;
}

void
mh_policy_unprepare(void)
{
    for (int i = 0; i < SCRIPTS; i++) {
        drop(scripts[i]);
        scripts[i] = NULL;
    }
    drop(plain);
    drop(spent);
    plain = spent = NULL;
    ahead = false;
}
