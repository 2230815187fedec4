/* accounts.c - passwords that follow their secrets: of the application's owner, and of postgres, which has
 * one only with enableSuperuserAccess. Done by the primary.
 *
 * A password is never in a statement where a verifier can be made here; and the session that sets it
 * writes no statements to the server's log, statistics or audit. What is set already is left alone. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/secret.h"
#include "instance/sql.h"
#include "net/crypto.h"
#include "net/pg_text.h"

#define FAILED_NS (10 * MH_NS_PER_S)

/* Under which name, and where its password is; secret NULL: no password. */
struct wish {
    const char *role;
    const char *secret;
    const char *version; /* of the secret, as the operator saw it */
};

struct asking {
    struct mh_pg_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    struct mh_account *account;
    const char *role;
    const char *password; /* NULL: none shall be set */
    bool passthrough;
    const char *params[1];
};

static const char *
conninfo(const struct mh_agent *g)
{
    static char text[MH_PATH + 600];
    if (!text[0])
        (void)snprintf(text, sizeof(text),
                       "host=%s port=5432 user=postgres dbname=postgres "
                       "application_name=moonherd-accounts options='-c synchronous_commit=local "
                       "-c log_statement=none -c log_min_duration_statement=-1 "
                       "-c log_min_duration_sample=-1 -c log_duration=off "
                       "-c log_min_error_statement=panic -c debug_print_parse=off "
                       "-c debug_print_rewritten=off -c debug_print_plan=off "
                       "-c track_activities=off -c pg_stat_statements.track=none "
                       "-c pgaudit.log=none'",
                       g->id.run_dir);
    return text;
}

/* --- what the Cluster wants ------------------------------------------------------------------- */

yyjson_val *
mh_accounts_application(yyjson_val *cluster, const char **database, const char **owner)
{
    static const char *const sections[] = { "recovery", "pg_basebackup", "initdb" };
    yyjson_val *bootstrap = mh_json_get(cluster, "spec", "bootstrap", NULL);
    yyjson_val *section = NULL;
    for (size_t i = 0; !section && i < sizeof(sections) / sizeof(*sections); i++)
        section = mh_json_get(bootstrap, sections[i], NULL);
    *database = mh_json_str(section, "database", NULL);
    const char *given = mh_json_str(section, "owner", NULL);
    bool monolith = mh_str_eq(mh_json_str(section, "import", "type", NULL), "monolith");
    if ((!*database || !**database) && monolith)
        *database = NULL;
    else if (!*database || !**database)
        *database = "app";
    *owner = given && *given ? given : *database;
    return section;
}

static struct wish
app_wish(const struct mh_agent *g, struct mh_arena *a)
{
    const char *owner = NULL, *database = NULL;
    yyjson_val *section = mh_accounts_application(g->know.cluster, &database, &owner);
    const char *secret = mh_json_str(section, "secret", "name", NULL);
    if (!owner || strcmp(owner, "postgres") == 0)
        return (struct wish){ 0 };
    return (struct wish){
        .role = owner,
        .secret = secret && *secret ? secret : mh_arena_printf(a, "%s-app", g->id.cluster),
        .version = mh_json_str(g->know.cluster, "status", "secretsResourceVersion",
                               "applicationSecretVersion", NULL)
    };
}

static struct wish
superuser_wish(const struct mh_agent *g, struct mh_arena *a)
{
    struct wish w = { .role = "postgres" };
    const char *secret = mh_json_str(g->know.cluster, "spec", "superuserSecret", "name", NULL);
    if (!mh_json_bool(g->know.cluster, false, "spec", "enableSuperuserAccess", NULL))
        return w;
    w.secret = secret && *secret ? secret : mh_arena_printf(a, "%s-superuser", g->id.cluster);
    w.version = mh_json_str(g->know.cluster, "status", "secretsResourceVersion",
                            "superuserSecretVersion", NULL);
    return w;
}

/* --- steps ------------------------------------------------------------------------------------ */

static void
end(struct asking *k, bool done)
{
    struct mh_agent *g = k->g;
    struct mh_account *account = k->account;
    account->asking = false;
    account->done = done;
    account->next_ns = mh_agent_now(g) + FAILED_NS;
    mh_arena_release(&k->arena);
    mh_free(k);
    if (!g->app.asking && !g->superuser.asking)
        g->w.pg.disconnect(g->w.pg.self, conninfo(g));
}

static void
on_set(struct mh_pg_call *c)
{
    struct asking *k = c->arg;
    bool ok = c->err.code == MH_OK;
    if (ok && k->password)
        mh_info("accounts", "the password of a role follows its secret", "role", k->role);
    else if (ok)
        mh_info("accounts", "the role has no password any more", "role", k->role);
    else
        mh_log_err(MH_LOG_WARNING, "accounts", "a password cannot be set", &c->err, "role", k->role,
                   "sqlstate", c->sqlstate);
    end(k, ok);
}

/* What shall be stored; NULL: no memory. */
static const char *
to_store(struct asking *k, const char *encryption)
{
    struct mh_arena *a = &k->arena;
    if (k->passthrough || mh_pg_is_verifier(k->password))
        return k->password;
    if (strcmp(encryption, "md5") == 0)
        return mh_pg_md5(a, k->role, k->password);
    const char *verifier = mh_pg_scram(a, &k->g->w.rand, k->password);
    return verifier ? verifier : k->password; /* the server hashes what needs SASLprep */
}

static bool
is_set(struct asking *k, const char *stored)
{
    if (!k->password || !stored)
        return !k->password && !stored;
    if (mh_secret_eq(stored, k->password) || mh_pg_scram_matches(&k->arena, stored, k->password))
        return true;
    const char *md5 =
        mh_str_starts(stored, "md5") ? mh_pg_md5(&k->arena, k->role, k->password) : NULL;
    return md5 && mh_secret_eq(stored, md5);
}

static void
on_stored(struct mh_pg_call *c)
{
    struct asking *k = c->arg;
    if (c->err.code != MH_OK || c->rows != 1 || c->cols != 2) {
        if (c->err.code == MH_OK)
            mh_warn("accounts", "the role of a secret is not there", "role", k->role);
        end(k, false);
        return;
    }
    const char *encryption = c->values[1] ? c->values[1] : "";
    if (is_set(k, c->values[0])) {
        end(k, true);
        return;
    }
    const char *name = mh_pg_ident(&k->arena, k->role);
    const char *text = k->password ? to_store(k, encryption) : NULL;
    const char *value = text ? mh_pg_literal(&k->arena, text) : k->password ? NULL : "NULL";
    const char *sql =
        name && value ? mh_arena_printf(&k->arena, "ALTER ROLE %s PASSWORD %s", name, value) : NULL;
    if (!sql) {
        mh_error("accounts", "a password cannot be written as SQL", "role", k->role);
        end(k, false);
        return;
    }
    k->call = (struct mh_pg_call){
        .conninfo = conninfo(k->g), .sql = sql, .arena = &k->arena, .done = on_set, .arg = k
    };
    k->g->w.pg.start(k->g->w.pg.self, &k->call);
}

static void
ask_stored(struct asking *k)
{
    k->params[0] = k->role;
    k->call = (struct mh_pg_call){
        .conninfo = conninfo(k->g),
        .sql = "select rolpassword, current_setting('password_encryption') from pg_authid where "
               "rolname = $1",
        .params = k->params,
        .nparams = 1,
        .arena = &k->arena,
        .done = on_stored,
        .arg = k
    };
    k->g->w.pg.start(k->g->w.pg.self, &k->call);
}

static void
on_secret(struct mh_agent *g, void *arg, yyjson_val *secret, struct mh_arena *a)
{
    struct asking *k = arg;
    const char *user = secret ? mh_secret_value(a, secret, "username") : NULL;
    const char *password = secret ? mh_secret_value(a, secret, "password") : NULL;
    (void)g;
    if (!secret) {
        end(k, false);
        return;
    }
    if (!user || strcmp(user, k->role) != 0 || !password || !*password) {
        mh_warn("accounts", "a secret is not used: it must hold this username, and a password",
                "username", k->role);
        end(k, false);
        return;
    }
    k->passthrough = mh_str_eq(
        mh_json_str(secret, "metadata", "annotations", "cnpg.io/passwordPassthrough", NULL),
        "enabled");
    k->password = mh_arena_strdup(&k->arena, password);
    if (k->password)
        ask_stored(k);
    else
        end(k, false);
}

static void
begin(struct mh_agent *g, struct mh_account *account, const struct wish *w)
{
    struct asking *k = mh_calloc(1, sizeof(*k));
    if (!k)
        return;
    mh_arena_init(&k->arena, 256 << 10);
    k->g = g;
    k->account = account;
    k->role = mh_arena_strdup(&k->arena, w->role);
    account->asking = true;
    if (!k->role)
        end(k, false);
    else if (!w->secret)
        ask_stored(k);
    else if (!mh_secret_read(g, w->secret, on_secret, k))
        end(k, false);
}

static void
follow(struct mh_agent *g, struct mh_account *account,
       struct wish (*wish)(const struct mh_agent *g, struct mh_arena *a))
{
    struct mh_arena a;
    char of[sizeof(account->seen)];
    if (account->asking)
        return;
    mh_arena_init(&a, 16384);
    struct wish w = wish(g, &a);
    (void)snprintf(of, sizeof(of), "%s|%s|%s", w.role ? w.role : "", w.secret ? w.secret : "",
                   w.version ? w.version : "");
    bool same = strcmp(of, account->seen) == 0;
    bool rests = same && (account->done || mh_agent_now(g) < account->next_ns);
    if (w.role && !rests) {
        mh_str_copy(account->seen, sizeof(account->seen), of);
        begin(g, account, &w);
    }
    mh_arena_release(&a);
}

void
mh_accounts_tick(struct mh_agent *g)
{
    follow(g, &g->app, app_wish);
    follow(g, &g->superuser, superuser_wish);
}
