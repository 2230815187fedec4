/* chaos_effects.c - what a scenario can ask: API, PostgreSQL, a program, sleep, clock, a fiber.
 *
 * An effect that fails answers {error: "...", code: "NOTFOUND"}; it raises only for bad arguments. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "bind/chaos_in.h"

#define PARAMS_MAX 16
#define ARGV_MAX 32
#define OUTPUT_MAX ((size_t)1 << 20)

static struct mh_chaos *
chaos_of(const struct mh_effect_call *call)
{
    const struct mh_chaos_fiber *f = call->observe->self;
    return f->c;
}

static enum mh_effect_result
raise(struct mh_effect_call *call, const char *why)
{
    (void)mh_fail(&call->err, MH_E_INVALID, "%s", why);
    return MH_EFFECT_DONE;
}

static yyjson_val *
field(const struct mh_effect_call *call, const char *name)
{
    return yyjson_obj_get(mh_effect_arg(call, 0), name);
}

static int
timeout_of(const struct mh_effect_call *call)
{
    double s = yyjson_get_num(field(call, "timeout"));
    return s > 0 && s < 3600 ? (int)(s * 1000) : 0;
}

/* The answer is the text in b. */
static void
answer(struct mh_effect_call *call, struct mh_buf *b)
{
    call->text = mh_arena_strndup(call->arena, mh_buf_text(b), b->len);
    call->text_len = b->len;
    if (b->failed || !call->text)
        (void)mh_fail(&call->err, MH_E_LIMIT, "the answer is too large");
    mh_buf_release(b);
}

static void
put_error(struct mh_buf *b, const struct mh_err *err)
{
    if (err->code == MH_OK)
        return;
    (void)mh_buf_str(b, ",\"error\":");
    (void)mh_json_quote(b, err->msg, strlen(err->msg));
    (void)mh_buf_printf(b, ",\"code\":\"%s\"", mh_code_name(err->code));
}

/* --- the API --------------------------------------------------------------------------------- */

static void
on_api(struct mh_api_call *api)
{
    struct mh_effect_call *call = api->arg;
    struct mh_buf b;
    size_t n = 0;
    char *reply = api->reply ? mh_json_text(call->arena, api->reply, &n) : NULL;
    mh_buf_init(&b, (size_t)16 << 20);
    (void)mh_buf_printf(&b, "{\"status\":%d", api->status);
    if (reply) {
        (void)mh_buf_str(&b, ",\"body\":");
        (void)mh_buf_add(&b, reply, n);
    }
    put_error(&b, &api->err);
    (void)mh_buf_char(&b, '}');
    answer(call, &b);
    mh_chaos_ready(call);
}

static void
cancel_api(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    c->api.cancel(c->api.self, call->impl);
}

/* api{method=, path=, body=, type=, timeout=}: {status=, body=, error=, code=} */
static enum mh_effect_result
fx_api(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    struct mh_api_call *api = mh_arena_alloc(call->arena, sizeof(*api));
    yyjson_val *body = field(call, "body");
    if (!api)
        return raise(call, "no memory");
    const char *method = yyjson_get_str(field(call, "method"));
    *api = (struct mh_api_call){ .method = method ? method : "GET",
                                 .path = yyjson_get_str(field(call, "path")),
                                 .content_type = yyjson_get_str(field(call, "type")),
                                 .timeout_ms = timeout_of(call),
                                 .arena = call->arena,
                                 .done = on_api,
                                 .arg = call };
    if (!api->path)
        return raise(call, "path is missing");
    if (yyjson_is_str(body)) {
        api->body = yyjson_get_str(body);
        api->body_len = yyjson_get_len(body);
    } else if (body) {
        api->body = mh_json_text(call->arena, body, &api->body_len);
    }
    call->impl = api;
    call->cancel = cancel_api;
    c->api.start(c->api.self, api);
    return MH_EFFECT_WAIT;
}

/* --- PostgreSQL ------------------------------------------------------------------------------ */

static void
put_rows(struct mh_buf *b, const struct mh_pg_call *pg)
{
    (void)mh_buf_str(b, ",\"rows\":[");
    for (int r = 0; r < pg->rows; r++) {
        (void)mh_buf_str(b, r ? ",[" : "[");
        for (int i = 0; i < pg->cols; i++) {
            const char *v = pg->values[r * pg->cols + i];
            if (i)
                (void)mh_buf_char(b, ',');
            if (v)
                (void)mh_json_quote(b, v, strlen(v));
            else
                (void)mh_buf_str(b, "null");
        }
        (void)mh_buf_char(b, ']');
    }
    (void)mh_buf_char(b, ']');
}

static void
on_sql(struct mh_pg_call *pg)
{
    struct mh_effect_call *call = pg->arg;
    struct mh_buf b;
    mh_buf_init(&b, (size_t)4 << 20);
    (void)mh_buf_printf(&b, "{\"sqlstate\":\"%s\"", pg->sqlstate);
    if (pg->err.code == MH_OK)
        put_rows(&b, pg);
    put_error(&b, &pg->err);
    (void)mh_buf_char(&b, '}');
    answer(call, &b);
    mh_chaos_ready(call);
}

static void
cancel_sql(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    c->pg.cancel(c->pg.self, call->impl);
}

/* sql{conninfo=, sql=, params=, timeout=}: {rows=, sqlstate=, error=, code=} */
static enum mh_effect_result
fx_sql(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    struct mh_pg_call *pg = mh_arena_alloc(call->arena, sizeof(*pg));
    const char **params = mh_arena_alloc(call->arena, PARAMS_MAX * sizeof(*params));
    yyjson_val *list = field(call, "params");
    if (!pg || !params)
        return raise(call, "no memory");
    *pg = (struct mh_pg_call){ .conninfo = yyjson_get_str(field(call, "conninfo")),
                               .sql = yyjson_get_str(field(call, "sql")),
                               .params = params,
                               .timeout_ms = timeout_of(call),
                               .arena = call->arena,
                               .done = on_sql,
                               .arg = call };
    if (!pg->conninfo || !pg->sql)
        return raise(call, "conninfo or sql is missing");
    for (size_t i = 0; i < yyjson_arr_size(list) && i < PARAMS_MAX; i++)
        params[pg->nparams++] = yyjson_get_str(yyjson_arr_get(list, i));
    call->impl = pg;
    call->cancel = cancel_sql;
    c->pg.start(c->pg.self, pg);
    return MH_EFFECT_WAIT;
}

/* disconnect(conninfo) */
static enum mh_effect_result
fx_disconnect(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    const char *conninfo = mh_effect_str(call, 0);
    if (!conninfo)
        return raise(call, "conninfo is missing");
    c->pg.disconnect(c->pg.self, conninfo);
    return MH_EFFECT_DONE;
}

/* --- programs -------------------------------------------------------------------------------- */

struct run {
    struct mh_child child;
    struct mh_chaos *c;
    struct mh_effect_call *call; /* NULL: nobody waits any more */
    struct mh_timer *timer;
    struct mh_buf out, err;
    bool late;
    struct mh_arena arena; /* argv: outlives the effect when that is cancelled */
};

static void
on_line(struct mh_child *child, int fd, const char *line, size_t len)
{
    struct run *r = child->arg;
    struct mh_buf *b = fd == 2 ? &r->err : &r->out;
    (void)mh_buf_add(b, line, len);
    (void)mh_buf_char(b, '\n');
}

static void
run_free(struct run *r)
{
    r->c->clock.cancel(r->c->clock.self, r->timer);
    mh_buf_release(&r->out);
    mh_buf_release(&r->err);
    mh_arena_release(&r->arena);
    mh_free(r);
}

static void
on_exit_of(struct mh_child *child)
{
    struct run *r = child->arg;
    struct mh_effect_call *call = r->call;
    if (call) {
        struct mh_buf b;
        mh_buf_init(&b, 4 * OUTPUT_MAX);
        (void)mh_buf_printf(&b, "{\"exit\":%d,\"late\":%s,\"out\":", child->exit_code,
                            r->late ? "true" : "false");
        (void)mh_json_quote(&b, mh_buf_text(&r->out), r->out.len);
        (void)mh_buf_str(&b, ",\"err\":");
        (void)mh_json_quote(&b, mh_buf_text(&r->err), r->err.len);
        (void)mh_buf_char(&b, '}');
        answer(call, &b);
        mh_chaos_ready(call);
    }
    run_free(r);
}

static void
on_late(void *arg)
{
    struct run *r = arg;
    r->timer = NULL;
    r->late = true;
    r->c->proc.kill(r->c->proc.self, &r->child, 9);
}

static void
cancel_run(struct mh_effect_call *call)
{
    struct run *r = call->impl;
    r->call = NULL;
    r->c->proc.kill(r->c->proc.self, &r->child, 9);
}

static struct run *
run_new(struct mh_effect_call *call)
{
    struct run *r = mh_calloc(1, sizeof(*r));
    yyjson_val *argv = field(call, "argv");
    size_t n = yyjson_arr_size(argv);
    if (!r)
        return NULL;
    r->c = chaos_of(call);
    r->call = call;
    mh_buf_init(&r->out, OUTPUT_MAX);
    mh_buf_init(&r->err, OUTPUT_MAX);
    mh_arena_init(&r->arena, OUTPUT_MAX);
    const char **list = mh_arena_alloc(&r->arena, (ARGV_MAX + 1) * sizeof(*list));
    for (size_t i = 0; list && i < n && i < ARGV_MAX; i++)
        list[i] = mh_arena_strdup(&r->arena, yyjson_get_str(yyjson_arr_get(argv, i)));
    r->child = (struct mh_child){ .argv = list,
                                  .name = "chaos",
                                  .input = mh_arena_strdup(&r->arena,
                                                           yyjson_get_str(field(call, "input"))),
                                  .on_line = on_line,
                                  .on_exit = on_exit_of,
                                  .arg = r };
    if (list && list[0])
        return r;
    run_free(r);
    return NULL;
}

/* run{argv=, input=, timeout=}: {exit=, out=, err=, late=} or {error=, code=} */
static enum mh_effect_result
fx_run(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    struct mh_err err = { .code = MH_OK };
    struct run *r = run_new(call);
    int ms = timeout_of(call);
    if (!r)
        return raise(call, "argv is missing");
    if (c->proc.start(c->proc.self, &r->child, &err) != MH_OK) {
        struct mh_buf b;
        mh_buf_init(&b, 4096);
        (void)mh_buf_str(&b, "{\"exit\":-1");
        put_error(&b, &err);
        (void)mh_buf_char(&b, '}');
        answer(call, &b);
        run_free(r);
        return MH_EFFECT_DONE;
    }
    r->timer = c->clock.after(c->clock.self, (ms ? ms : 30000) * MH_NS_PER_MS, on_late, r);
    call->impl = r;
    call->cancel = cancel_run;
    return MH_EFFECT_WAIT;
}

/* --- time, fibers, words --------------------------------------------------------------------- */

struct nap {
    struct mh_effect_call *call;
    struct mh_timer *timer;
};

static void
on_nap(void *arg)
{
    struct nap *nap = arg;
    mh_chaos_ready(nap->call);
}

static void
cancel_nap(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    struct nap *nap = call->impl;
    c->clock.cancel(c->clock.self, nap->timer);
}

/* sleep(seconds) */
static enum mh_effect_result
fx_sleep(struct mh_effect_call *call)
{
    struct mh_chaos *c = chaos_of(call);
    struct nap *nap = mh_arena_alloc(call->arena, sizeof(*nap));
    double s = yyjson_get_num(mh_effect_arg(call, 0));
    if (!nap || !(s >= 0 && s < 86400))
        return raise(call, "sleep takes seconds");
    nap->call = call;
    nap->timer = c->clock.after(c->clock.self, (int64_t)(s * 1e9), on_nap, nap);
    if (!nap->timer)
        return raise(call, "no memory");
    call->impl = nap;
    call->cancel = cancel_nap;
    return MH_EFFECT_WAIT;
}

/* clock(): seconds since the scenario began */
static enum mh_effect_result
fx_clock(struct mh_effect_call *call)
{
    const struct mh_chaos *c = chaos_of(call);
    int64_t ns = c->clock.mono_ns(c->clock.self) - c->began_ns;
    call->text = mh_arena_printf(call->arena, "%lld.%03lld", (long long)(ns / MH_NS_PER_S),
                                 (long long)(ns % MH_NS_PER_S / MH_NS_PER_MS));
    call->text_len = call->text ? strlen(call->text) : 0;
    return MH_EFFECT_DONE;
}

/* spawn(id): function `id` of the script runs beside */
static enum mh_effect_result
fx_spawn(struct mh_effect_call *call)
{
    int64_t id = yyjson_get_sint(mh_effect_arg(call, 0));
    if (id <= 0 || !mh_chaos_spawn(chaos_of(call), id))
        return raise(call, "no further fiber");
    return MH_EFFECT_DONE;
}

/* say(line) */
static enum mh_effect_result
fx_say(struct mh_effect_call *call)
{
    const struct mh_chaos *c = chaos_of(call);
    const char *line = mh_effect_str(call, 0);
    if (c->say && line)
        c->say(c->arg, line);
    return MH_EFFECT_DONE;
}

const struct mh_effect mh_chaos_effects[] = {
    { "api", fx_api },     { "sql", fx_sql },     { "disconnect", fx_disconnect },
    { "run", fx_run },     { "sleep", fx_sleep }, { "clock", fx_clock },
    { "spawn", fx_spawn }, { "say", fx_say },     { NULL, NULL },
};
