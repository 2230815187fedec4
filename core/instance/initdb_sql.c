#include <string.h>

#include "base/str.h"
#include "instance/initdb_in.h"
#include "net/crypto.h"
#include "net/pg_text.h"

static bool
add(struct mh_initdb *j, const char *database, const char *sql, const char *what)
{
    if (!sql || j->nlist >= MH_INITDB_SQL_MAX)
        return false;
    j->list[j->nlist++] = (struct mh_initdb_statement){ database, sql, what };
    return true;
}

/* The user's statements, each a word. */
static enum mh_code
add_words(struct mh_initdb *j, const char *text, const char *database, const char *what,
          struct mh_err *err)
{
    const char *words[MH_INITDB_SQL_MAX + 1];
    int n = 0;
    enum mh_code code = mh_job_split(&j->job.arena, text, words, MH_INITDB_SQL_MAX, &n, err);
    if (code)
        return code;
    for (int i = 0; i < n; i++) {
        if (!add(j, database, words[i], what))
            return mh_fail(err, MH_E_LIMIT, "%s: more than %d statements", what, MH_INITDB_SQL_MAX);
    }
    return MH_OK;
}

/* What is stored for the password: a verifier where we can make it, so that the password is in no
 * statement and no log of the server. */
static const char *
stored_password(struct mh_initdb *j)
{
    struct mh_arena *a = &j->job.arena;
    const char *given =
        mh_json_str(j->cluster, "spec", "postgresql", "parameters", "password_encryption", NULL);
    bool md5 = given ? strcmp(given, "md5") == 0 : j->major < 14;
    const char *verifier = md5 ? mh_pg_md5(a, j->spec.app_user, j->password)
                               : mh_pg_scram(a, &j->job.w->rand, j->password);
    return verifier ? verifier : j->password;
}

static bool
add_roles(struct mh_initdb *j)
{
    struct mh_arena *a = &j->job.arena;
    static const char replica[] =
        "CREATE ROLE streaming_replica LOGIN REPLICATION;"
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean),"
        " pg_catalog.pg_stat_file(text, boolean), pg_catalog.pg_read_binary_file(text),"
        " pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO streaming_replica;"
        "CREATE ROLE cnpg_metrics_exporter LOGIN; GRANT pg_monitor TO cnpg_metrics_exporter";
    if (!add(j, "postgres", replica, "roles of the manager"))
        return false;
    const char *user = j->spec.app_user;
    if (!user || strcmp(user, "postgres") == 0)
        return true;
    const char *name = mh_pg_ident(a, user);
    const char *password = j->password ? mh_pg_literal(a, stored_password(j)) : "NULL";
    if (!name || !password)
        return false;
    return add(j, "postgres",
               mh_arena_printf(a, "CREATE ROLE %s LOGIN PASSWORD %s", name, password),
               "application role");
}

static bool
add_database(struct mh_initdb *j)
{
    struct mh_arena *a = &j->job.arena;
    const char *db = j->spec.app_db;
    if (!db || strcmp(db, "postgres") == 0)
        return true;
    const char *name = mh_pg_ident(a, db);
    const char *owner = mh_pg_ident(a, j->spec.app_user ? j->spec.app_user : "postgres");
    if (!name || !owner)
        return false;
    return add(j, "postgres", mh_arena_printf(a, "CREATE DATABASE %s OWNER %s", name, owner),
               "application database");
}

enum mh_code
mh_initdb_statements(struct mh_initdb *j, struct mh_err *err)
{
    j->nlist = 0;
    j->next = 0;
    if (!add_roles(j))
        return mh_fail(err, MH_E_INVALID,
                       "init: the application role's name or password is unusable");
    enum mh_code code = add_words(j, j->spec.post_init_sql, "postgres", "postInitSQL", err);
    if (!code)
        code =
            add_words(j, j->spec.post_init_template_sql, "template1", "postInitTemplateSQL", err);
    if (code)
        return code;
    if (!add_database(j))
        return mh_fail(err, MH_E_INVALID, "init: the application database's name is unusable");
    if (!j->spec.app_db)
        return MH_OK;
    return add_words(j, j->spec.post_init_application_sql, j->spec.app_db, "postInitApplicationSQL",
                     err);
}

const char *
mh_initdb_conninfo(struct mh_initdb *j, const char *database)
{
    struct mh_arena *a = &j->job.arena;
    const char *host = mh_pg_conninfo_value(a, j->spec.id.run_dir);
    const char *db = mh_pg_conninfo_value(a, database);
    if (!host || !db)
        return NULL;
    return mh_arena_printf(
        a,
        "host=%s port=5432 user=postgres dbname=%s application_name=moonherd-init "
        "options='-c search_path=\"$user\",public'",
        host, db);
}
