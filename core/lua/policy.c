#include "lua/policy.h"

#include <lauxlib.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/time.h"
#include "lua/embed.h"
#include "lua/guard.h"
#include "lua/lib.h"
#include "lua/policy_host.h"
#include "lua/shape.h"
#include "lua/value.h"
#include "lua/yaml.h"

static const char *const libs[] = { "policies/lib/words",    "policies/lib/results",
                                    "policies/lib/params",   "policies/lib/decide",
                                    "policies/lib/contract", "policies/lib/check",
                                    "policies/lib/time" };
#define LIBS_DECIDE 4
#define LIBS_CHECK 6
#define LIB_TIME 6 /* only where the text speaks of it */
#define LIBS 7
#define LIB_MAX ((size_t)256 << 10)

/* A VM in which our own files have run and no script has; its host functions point to the run. */
struct ready {
    struct mh_vm *vm;
    struct mh_policy_run run;
};
static struct ready *spare; /* for the next decision of this process; NULL: none */
static char host_key;       /* registry: the host table */

/* Our own files compiled once per process; never bytecode from outside. */
static struct mh_buf compiled[LIBS];

bool
mh_policy_point_known(const char *point)
{
    return mh_point_find(point) != NULL;
}

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
ready_fn(lua_State *L)
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

/* Argument: the run. Everything that may raise. */
static int
policy_fn(lua_State *L)
{
    struct mh_policy_run *run = lua_touserdata(L, 1);
    bool check = run->job->op == MH_POLICY_CHECK;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key); /* 2 */
    mh_policy_tell_host(L, run);
    if (memmem(run->job->script, run->job->script_len, "time", 4))
        run_lib(L, run, LIB_TIME);
    run_script(L, run); /* 3: what it returned */
    mh_vm_of(L)->kind = "contract";
    lua_getfield(L, 2, "point");
    run->declared = mh_arena_strdup(run->arena, lua_tostring(L, -1));
    if (run->job->point && run->declared && strcmp(run->job->point, run->declared) != 0)
        return luaL_error(L, "%s:%d: decides %s, not %s", run->job->name, run->line ? run->line : 1,
                          run->declared, run->job->point);
    lua_getfield(L, 2, check ? "check" : "decide");
    lua_getfield(L, 2, "definition");
    lua_pushvalue(L, 3);
    mh_value_push(L, run->params);
    mh_value_push(L, check ? run->beside : run->input);
    lua_call(L, 4, 0);
    return 0;
}

/* --- the run ---------------------------------------------------------------------------------- */

static void
set_error(struct mh_policy_result *r, const char *kind, const char *file, int line,
          const char *message)
{
    r->ok = false;
    r->error = (struct mh_script_error){
        .kind = kind, .file = file, .line = line, .message = message ? message : "no memory"
    };
}

static bool
utf8_text(const char *s, size_t n, int *line)
{
    *line = 1;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t want = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;
        if (c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4 || n - i < want)
            return false;
        for (size_t k = 1; k < want; k++) {
            if (((unsigned char)s[i + k] & 0xc0) != 0x80)
                return false;
        }
        *line += c == '\n';
        i += want;
    }
    return true;
}

/* NAME.cases.yaml: a list of cases. */
static bool
read_cases(struct mh_policy_run *run, const struct mh_policy_job *job, struct mh_policy_result *r)
{
    int line = 1;
    struct mh_err err = { .code = MH_OK };
    size_t stem = strlen(job->name) - (mh_str_ends(job->name, ".lua") ? 4 : 0);
    if (job->cases_len > MH_POLICY_OUTPUT_MAX)
        (void)mh_fail(&err, MH_E_LIMIT, "cases are over %zu bytes", MH_POLICY_OUTPUT_MAX);
    else
        (void)mh_yaml_parse(run->arena, job->cases, job->cases_len, &run->beside, &line, &err);
    if (err.code == MH_OK && !yyjson_is_arr(run->beside) && yyjson_get_len(run->beside) > 0)
        (void)mh_fail(&err, MH_E_INVALID, "want a list of cases");
    if (err.code == MH_OK)
        return true;
    set_error(r, "contract", mh_arena_printf(run->arena, "%.*s.cases.yaml", (int)stem, job->name),
              line, mh_arena_strdup(run->arena, err.msg));
    return false;
}

/* Reads script, parameters and input of the job; false with the error in the result. */
static bool
prepare(struct mh_policy_run *run, struct mh_policy_job *job, struct mh_policy_result *r)
{
    int line = 1;
    struct mh_err err = { .code = MH_OK };
    if (!job->script) {
        const char *slash = job->point ? strchr(job->point, '/') : NULL;
        const char *name = slash ? mh_arena_printf(run->arena, "policies/%.*s",
                                                   (int)(slash - job->point), job->point)
                                 : NULL;
        const struct mh_script *s =
            name && mh_policy_point_known(job->point) ? mh_script_find(run->arena, name) : NULL;
        if (!s) {
            set_error(r, "contract", NULL, 0, "there is no such decision point");
            return false;
        }
        job->script = s->text;
        job->script_len = s->len;
        job->name =
            job->name ? job->name : mh_arena_printf(run->arena, "%s.lua", strchr(name, '/') + 1);
    }
    if (!job->name)
        job->name = "policy.lua";
    if (!utf8_text(job->script, job->script_len, &line)) {
        set_error(r, "syntax", job->name, line, "the text is not UTF-8");
        return false;
    }
    size_t stem = strlen(job->name) - (mh_str_ends(job->name, ".lua") ? 4 : 0);
    run->params_file = mh_arena_printf(run->arena, "%.*s.params.yaml", (int)stem, job->name);
    if (job->params_len > MH_POLICY_PARAMS_MAX)
        (void)mh_fail(&err, MH_E_LIMIT, "parameters are over %zu bytes", MH_POLICY_PARAMS_MAX);
    else
        (void)mh_yaml_parse(run->arena, job->params ? job->params : "", job->params_len,
                            &run->params, &line, &err);
    if (err.code == MH_OK && yyjson_is_null(run->params))
        (void)mh_json_parse(run->arena, "{}", 2, &run->params, &err);
    if (err.code == MH_OK && !yyjson_is_obj(run->params) && (line = 1))
        (void)mh_fail(&err, MH_E_INVALID, "want names and values, as in 'zone: zone3'");
    if (err.code != MH_OK) {
        set_error(r, "contract", run->params_file, line, mh_arena_strdup(run->arena, err.msg));
        return false;
    }
    if (job->cases && !read_cases(run, job, r))
        return false;
    if (job->op == MH_POLICY_DECIDE &&
        (job->input_len > MH_POLICY_INPUT_MAX ||
         mh_json_parse(run->arena, job->input, job->input_len, &run->input, &err) != MH_OK ||
         !yyjson_is_obj(run->input))) {
        set_error(r, "contract", NULL, 0,
                  "the input of the decision is no JSON object of 512 KiB at most");
        return false;
    }
    return true;
}

static void
finish(struct mh_policy_run *run, enum mh_code code, struct mh_policy_result *r)
{
    r->point = run->declared;
    r->cases = run->cases;
    r->ok = code == MH_OK;
    if (r->ok && run->job->op == MH_POLICY_DECIDE) {
        r->answer = run->answer;
        r->answer_len = run->answer_len;
        r->ok = run->answer != NULL;
        if (!r->ok)
            set_error(r, "output", run->job->name, 0, "no answer");
    }
    if (!r->ok)
        mh_policy_told(run, false, r->error.message);
    r->steps = run->steps;
    if (r->ok && run->failed_steps > 0) {
        const struct mh_policy_step *s = run->steps;
        while (s->ok)
            s = s->next;
        set_error(r, "contract", run->job->name, run->line,
                  mh_arena_printf(run->arena, "%d of %d cases and fixtures failed, the first: %s",
                                  run->failed_steps, run->cases, s->name));
    }
    if (!r->ok && run->step[0])
        r->error.message = mh_arena_printf(run->arena, "%s (in %s)", r->error.message, run->step)
                               ?: r->error.message;
    if (!r->ok && !r->error.file)
        r->error.file = run->job->name;
}

static int64_t
now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The built-in policy of some decision points always says the same: no VM is needed to hear it. */
static bool
answer_constant(const struct mh_policy_job *job, struct mh_policy_result *r)
{
    const struct mh_point *p = mh_point_find(job->point);
    if (job->op != MH_POLICY_DECIDE || job->script || !p || !p->built_in)
        return false;
    *r = (struct mh_policy_result){ .ok = true, .point = p->name, .answer = p->built_in };
    r->answer_len = strlen(p->built_in);
    return true;
}

static void
free_ready(struct ready *w)
{
    if (!w)
        return;
    mh_vm_free(w->vm);
    mh_free(w);
}

/* NULL with the error in the result. */
static struct ready *
make_ready(struct mh_arena *a, const struct mh_policy_job *job, struct mh_policy_result *r)
{
    struct ready *w = mh_calloc(1, sizeof(*w));
    if (w)
        w->vm = mh_vm_new(&mh_limits_policy);
    if (w && w->vm) {
        w->run = (struct mh_policy_run){ .job = job, .arena = a };
        mh_vm_begin(w->vm, NULL);
        if (mh_vm_call(w->vm, a, ready_fn, &w->run, &r->error, NULL) == MH_OK)
            return w;
    }
    free_ready(w);
    return NULL;
}

void
mh_policy_prepare(void)
{
    static const struct mh_policy_job job = { .op = MH_POLICY_DECIDE, .script = "" };
    struct mh_policy_result r;
    struct mh_arena a;
    if (spare || getenv("MOONHERD_SCRIPTS"))
        return;
    mh_arena_init(&a, LIB_MAX);
    spare = make_ready(&a, &job, &r);
    mh_arena_release(&a);
}

void
mh_policy_unprepare(void)
{
    free_ready(spare);
    spare = NULL;
}

void
mh_policy_run(struct mh_arena *a, const struct mh_policy_job *given, struct mh_policy_result *r)
{
    int64_t began = now_us();
    struct mh_policy_job job = *given;
    *r = (struct mh_policy_result){ .ok = false };
    set_error(r, "memory", NULL, 0, NULL);
    if (answer_constant(&job, r))
        return;
    bool decide = job.op == MH_POLICY_DECIDE;
    struct ready *w = decide && spare ? spare : make_ready(a, &job, r);
    if (decide && w == spare)
        spare = NULL;
    if (w) {
        w->run = (struct mh_policy_run){ .job = &job, .arena = a };
        if (prepare(&w->run, &job, r)) {
            mh_vm_begin(w->vm, NULL);
            finish(&w->run, mh_vm_call(w->vm, a, policy_fn, &w->run, &r->error, NULL), r);
            r->fuel = w->run.fuel + w->vm->fuel;
        }
    }
    free_ready(w);
    r->took_us = now_us() - began;
}

/* --- texts ------------------------------------------------------------------------------------ */

char *
mh_policy_error_json(struct mh_arena *a, const struct mh_script_error *e)
{
    struct mh_buf b;
    char *out = NULL;
    mh_buf_init(&b, MH_POLICY_OUTPUT_MAX);
    (void)mh_buf_str(&b, "{\"kind\":");
    (void)mh_json_quote(&b, e->kind, strlen(e->kind));
    if (e->file) {
        (void)mh_buf_str(&b, ",\"file\":");
        (void)mh_json_quote(&b, e->file, strlen(e->file));
    }
    if (e->line)
        (void)mh_buf_printf(&b, ",\"line\":%d", e->line);
    (void)mh_buf_str(&b, ",\"message\":");
    (void)mh_json_quote(&b, e->message, strnlen(e->message, 4096));
    if (e->traceback) {
        (void)mh_buf_str(&b, ",\"traceback\":");
        (void)mh_json_quote(&b, e->traceback, strnlen(e->traceback, 4096));
    }
    if (mh_buf_char(&b, '}') && !b.failed)
        out = mh_arena_strndup(a, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    return out;
}

char *
mh_policy_error_text(struct mh_arena *a, const struct mh_script_error *e)
{
    if (e->file && e->line)
        return mh_arena_printf(a, "%s:%d: %.600s", e->file, e->line, e->message);
    if (e->file)
        return mh_arena_printf(a, "%s: %.600s", e->file, e->message);
    return mh_arena_printf(a, "%.600s", e->message);
}

void
mh_policy_hash(char out[MH_POLICY_HASH], const char *text, size_t len)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    if (!EVP_Digest(text, len, sum, &n, EVP_sha256(), NULL))
        memset(sum, 0, sizeof(sum));
    for (int i = 0; i < 6; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", sum[i]);
}
