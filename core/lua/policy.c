#include "lua/policy.h"

#include <lauxlib.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/time.h"
#include "lua/embed.h"
#include "lua/guard.h"
#include "lua/policy_ready.h"
#include "lua/shape.h"
#include "lua/value.h"
#include "lua/yaml.h"

#define QUICK_US 5000 /* a decision that is worth being made ready for */

bool
mh_policy_point_known(const char *point)
{
    return mh_point_find(point) != NULL;
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

bool
mh_policy_read(struct mh_policy_run *run, struct mh_policy_job *job, struct mh_policy_result *r)
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
    return !job->cases || read_cases(run, job, r);
}

static bool
read_input(struct mh_policy_run *run, struct mh_policy_result *r)
{
    const struct mh_policy_job *job = run->job;
    if (job->op != MH_POLICY_DECIDE)
        return true;
    if (job->input_len <= MH_POLICY_INPUT_MAX &&
        mh_json_parse(run->arena, job->input, job->input_len, &run->input, NULL) == MH_OK &&
        yyjson_is_obj(run->input))
        return true;
    set_error(r, "contract", NULL, 0,
              "the input of the decision is no JSON object of 512 KiB at most");
    return false;
}

/* Argument: the run. What is left when the script has run. */
static int
decide_fn(lua_State *L)
{
    const struct mh_policy_run *run = lua_touserdata(L, 1);
    bool check = run->job->op == MH_POLICY_CHECK;
    mh_ready_push(L); /* 2: what the script returned, 3: ours */
    lua_getfield(L, 3, check ? "check" : "decide");
    lua_getfield(L, 3, "definition");
    if (check) {
        lua_pushvalue(L, 2);
        mh_value_push(L, run->params);
    }
    mh_value_push(L, check ? run->beside : run->input);
    lua_call(L, check ? 4 : 2, 0);
    return 0;
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
run_all(struct mh_ready *w, struct mh_policy_result *r)
{
    struct mh_arena *a = w->run.arena;
    enum mh_code code = mh_ready_load(w, r);
    if (code == MH_OK)
        code = mh_vm_call(w->vm, a, decide_fn, &w->run, &r->error, NULL);
    finish(&w->run, code, r);
    r->fuel = w->run.fuel + w->vm->fuel;
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
    struct mh_ready *w = mh_ready_take(a, &job, r);
    if (w) {
        if ((w->loaded || mh_policy_read(&w->run, &job, r)) && read_input(&w->run, r))
            run_all(w, r);
        mh_ready_give(w, given, r->ok && now_us() - began < QUICK_US);
    }
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
