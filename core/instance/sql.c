#include "instance/sql.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/agent.h"
#include "net/http_server.h"
#include "net/pg_text.h"

#define ARENA ((size_t)8 << 20)
#define TEXT_MAX ((size_t)256 << 10)
#define REPLY_MAX ((size_t)2 << 20)
#define PARAMS_MAX 64
#define TIMEOUT_MS 10000
#define OPEN_MAX 8 /* statements at a time */

struct asking {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    struct mh_request *req;
    const char *params[PARAMS_MAX];
};

static int open_now;

/* --- the statement ------------------------------------------------------------------------------ */

static enum mh_code
add_ident(struct mh_arena *a, struct mh_buf *b, yyjson_val *name, struct mh_err *err)
{
    const char *s = yyjson_get_str(name);
    const char *quoted = s && *s && strlen(s) < 64 ? mh_pg_ident(a, s) : NULL;
    if (!quoted)
        return mh_fail(err, MH_E_INVALID, "args: every %%I needs a name of 1 to 63 bytes");
    (void)mh_buf_str(b, quoted);
    return MH_OK;
}

/* Only ever a verifier: what is hashed already cannot be read back. */
static enum mh_code
add_password(struct mh_arena *a, struct mh_buf *b, const char *password, struct mh_err *err)
{
    const char *quoted =
        mh_str_starts(password, "SCRAM-SHA-256$") ? mh_pg_literal(a, password) : NULL;
    if (!quoted)
        return mh_fail(err, MH_E_INVALID, "%%P needs the handle of a password");
    (void)mh_buf_str(b, quoted);
    return MH_OK;
}

enum mh_code
mh_sql_text(struct mh_arena *a, yyjson_val *body, const char **out, struct mh_err *err)
{
    const char *sql = mh_json_str(body, "sql", NULL);
    yyjson_val *args = yyjson_obj_get(body, "args");
    size_t used = 0;
    struct mh_buf b;
    enum mh_code code = sql ? MH_OK : mh_fail(err, MH_E_INVALID, "no statement");
    mh_buf_init(&b, TEXT_MAX);
    for (const char *p = sql; code == MH_OK && *p; p++) {
        if (*p != '%')
            (void)mh_buf_char(&b, *p);
        else if (*++p == '%')
            (void)mh_buf_char(&b, '%');
        else if (*p == 'I')
            code = add_ident(a, &b, yyjson_arr_get(args, used++), err);
        else if (*p == 'P')
            code = add_password(a, &b, mh_json_str(body, "password", NULL), err);
        else
            code = mh_fail(err, MH_E_INVALID, "sql: after %% only I, P or %% may stand");
    }
    if (code == MH_OK && used != yyjson_arr_size(args))
        code =
            mh_fail(err, MH_E_INVALID, "args: %zu names for %zu %%I", yyjson_arr_size(args), used);
    if (code == MH_OK && b.failed)
        code = mh_fail(err, MH_E_INVALID, "sql: longer than 256 KiB");
    *out = code == MH_OK ? mh_arena_strndup(a, mh_buf_text(&b), b.len) : NULL;
    mh_buf_release(&b);
    return code == MH_OK && !*out ? mh_fail(err, MH_E_NOMEM, "no memory for a statement") : code;
}

/* --- who and where ------------------------------------------------------------------------------ */

/* A session of its own each: nothing that a statement sets is there for the next. */
static const char *
conninfo(struct mh_agent *g, struct mh_arena *a, yyjson_val *body, struct mh_err *err)
{
    static unsigned long number;
    const char *owner = NULL, *app = NULL;
    (void)mh_accounts_application(g->know.cluster, &app, &owner);
    const char *as = mh_json_str(body, "as", NULL), *db = mh_json_str(body, "database", NULL);
    db = db ? db : app;
    as = as ? as : owner;
    if (!db || !as || (!mh_str_eq(as, "postgres") && !mh_str_eq(as, owner))) {
        mh_fail(err, MH_E_INVALID, "as: want postgres or the owner of the application's database");
        return NULL;
    }
    bool super = strcmp(as, "postgres") == 0;
    if (yyjson_obj_get(body, "password") && !super) {
        mh_fail(err, MH_E_INVALID, "password: only as postgres");
        return NULL;
    }
    const char *user = mh_pg_conninfo_value(a, as), *name = mh_pg_conninfo_value(a, db);
    const char *quiet = super ? " -c log_statement=none -c log_min_duration_statement=-1"
                                " -c log_min_error_statement=panic -c track_activities=off"
                              : "";
    const char *text =
        user && name
            ? mh_arena_printf(a,
                              "host=%s port=5432 user=%s dbname=%s "
                              "application_name=moonherd-plugin-%lu "
                              "options='-c search_path=pg_catalog -c statement_timeout=8s "
                              "-c lock_timeout=5s -c default_transaction_read_only=%s%s'",
                              g->id.run_dir, user, name, ++number,
                              mh_json_bool(body, false, "read", NULL) ? "on" : "off", quiet)
            : NULL;
    if (!text)
        mh_fail(err, MH_E_NOMEM, "no memory, or no name of a database");
    return text;
}

/* --- the answer --------------------------------------------------------------------------------- */

static void
refuse(struct mh_request *req, int status, const char *code, const char *message)
{
    struct mh_buf b;
    mh_buf_init(&b, 8192);
    (void)mh_buf_printf(&b, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    (void)mh_json_quote(&b, message, strnlen(message, 2000));
    (void)mh_buf_str(&b, "}}");
    if (b.failed)
        mh_reply_text(req, 500, "no memory\n");
    else
        mh_reply(req, status, "application/json", mh_buf_text(&b), b.len);
    mh_buf_release(&b);
}

static void
answer(struct mh_request *req, const struct mh_pg_call *c)
{
    struct mh_buf b;
    mh_buf_init(&b, REPLY_MAX);
    (void)mh_buf_printf(&b, "{\"count\":%d,\"rows\":[", c->rows);
    for (int r = 0; r < c->rows && r < MH_SQL_ROWS_MAX; r++) {
        (void)mh_buf_str(&b, r ? ",{" : "{");
        for (int k = 0; k < c->cols; k++) {
            const char *v = c->values[r * c->cols + k];
            (void)mh_buf_str(&b, k ? "," : "");
            (void)mh_json_quote(&b, c->names[k], strlen(c->names[k]));
            (void)mh_buf_char(&b, ':');
            if (v)
                (void)mh_json_quote(&b, v, strlen(v));
            else
                (void)mh_buf_str(&b, "null");
        }
        (void)mh_buf_char(&b, '}');
    }
    (void)mh_buf_str(&b, "]}");
    if (b.failed)
        refuse(req, 422, "LIMIT", "the result is over 2 MiB");
    else
        mh_reply(req, 200, "application/json", mh_buf_text(&b), b.len);
    mh_buf_release(&b);
}

static void
end(struct asking *k)
{
    mh_arena_release(&k->arena);
    mh_free(k);
}

static void
on_result(struct mh_pg_call *c)
{
    struct asking *k = c->arg;
    open_now--;
    if (c->err.code == MH_OK)
        answer(k->req, c);
    else if (c->err.code == MH_E_PG)
        refuse(k->req, 422, c->sqlstate[0] ? c->sqlstate : "PG", c->err.msg);
    else
        refuse(k->req, 503, mh_code_name(c->err.code), c->err.msg);
    k->g->w.pg.disconnect(k->g->w.pg.self, c->conninfo);
    end(k);
}

static bool
take_params(struct asking *k, yyjson_val *list)
{
    size_t n = yyjson_arr_size(list);
    if (n > PARAMS_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *s = yyjson_get_str(yyjson_arr_get(list, i));
        k->params[i] = s ? mh_arena_strdup(&k->arena, s) : NULL;
    }
    k->call.nparams = (int)n;
    return true;
}

void
mh_sql_serve(struct mh_agent *g, struct mh_request *req, yyjson_val *body)
{
    struct mh_err err = { .code = MH_OK };
    if (!mh_agent_is_primary(g) || !mh_agent_pg_up(g) || !mh_gate_is_open(g)) {
        refuse(req, 409, "NOT_PRIMARY", "this instance is no primary that lets clients in");
        return;
    }
    struct asking *k = open_now < OPEN_MAX ? mh_calloc(1, sizeof(*k)) : NULL;
    if (!k) {
        refuse(req, 503, "BUSY", "too many statements at a time");
        return;
    }
    mh_arena_init(&k->arena, ARENA);
    k->g = g;
    k->req = req;
    k->call = (struct mh_pg_call){ .conninfo = conninfo(g, &k->arena, body, &err),
                                   .params = k->params,
                                   .one = true,
                                   .timeout_ms = TIMEOUT_MS,
                                   .arena = &k->arena,
                                   .done = on_result,
                                   .arg = k };
    if (!k->call.conninfo || mh_sql_text(&k->arena, body, &k->call.sql, &err) != MH_OK ||
        !take_params(k, yyjson_obj_get(body, "params"))) {
        refuse(req, 400, "BAD_REQUEST", err.code != MH_OK ? err.msg : "params: more than 64");
        end(k);
        return;
    }
    open_now++;
    g->w.pg.start(g->w.pg.self, &k->call);
}
