#include "instance/initdb.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/initdb_in.h"
#include "instance/params.h"

#define START_NS (120 * 1000000000LL)
#define STOP_NS (300 * 1000000000LL)
#define POLL_NS 50000000LL
#define STATEMENT_MS 3600000

static void run_next(struct mh_initdb *j);
static void poll_server(void *arg);

/* --- the end ---------------------------------------------------------------------------------- */

static void
finish(struct mh_initdb *j)
{
    void (*done)(void *, int, const struct mh_err *) = j->done;
    void *arg = j->arg;
    int code = j->exit_code;
    struct mh_err err = j->job.err;
    struct mh_world *w = j->job.w;
    w->clock.cancel(w->clock.self, j->timer);
    if (j->querying)
        w->pg.cancel(w->pg.self, &j->query);
    mh_arena_release(&j->query_arena);
    mh_job_release(&j->job);
    mh_free(j);
    done(arg, code, &err);
}

static void
on_stop_timer(void *arg)
{
    struct mh_initdb *j = arg;
    struct mh_world *w = j->job.w;
    j->timer = NULL;
    if (!j->job.err.code)
        (void)mh_fail(&j->job.err, MH_E_TIMEOUT, "init: PostgreSQL does not stop");
    j->exit_code = 1;
    w->proc.kill(w->proc.self, &j->server, SIGQUIT);
}

/* Stops the temporary server; on_server_exit goes on. */
static void
stop_server(struct mh_initdb *j)
{
    struct mh_world *w = j->job.w;
    w->pg.disconnect(w->pg.self, NULL);
    w->clock.cancel(w->clock.self, j->timer);
    j->stopping = true;
    j->timer = w->clock.after(w->clock.self, STOP_NS, on_stop_timer, j);
    w->proc.kill(w->proc.self, &j->server, SIGINT);
}

static void
fail(struct mh_initdb *j)
{
    bool terminal = mh_class_of(j->job.err.code) == MH_TERMINAL;
    j->exit_code = terminal ? 2 : 1;
    mh_log_err(MH_LOG_ERROR, "initdb", "the data folder could not be made", &j->job.err);
    if (j->server_up && !j->stopping)
        stop_server(j);
    else if (!j->server_up)
        finish(j);
}

/* The folder is whole: it gets its name. */
static void
conclude(struct mh_initdb *j)
{
    struct mh_world *w = j->job.w;
    const char *marker = mh_arena_printf(&j->job.arena, "%s/.check-empty-wal-archive", j->half);
    if (!marker || w->fs.write(w->fs.self, marker, "", 0, 0600, true, NULL, &j->job.err) != MH_OK ||
        w->fs.rename(w->fs.self, j->half, j->spec.id.pgdata, &j->job.err) != MH_OK) {
        fail(j);
        return;
    }
    mh_info("initdb", "the data folder is made");
    finish(j);
}

static void
on_server_exit(struct mh_child *c)
{
    struct mh_initdb *j = c->arg;
    struct mh_world *w = j->job.w;
    bool asked = j->stopping;
    j->server_up = false;
    w->clock.cancel(w->clock.self, j->timer);
    j->timer = NULL;
    if (j->job.err.code || j->exit_code) {
        finish(j);
    } else if (!asked || c->exit_code) {
        (void)mh_fail(&j->job.err, MH_E_CHILD, "init: PostgreSQL ended with %d", c->exit_code);
        fail(j);
    } else {
        conclude(j);
    }
}

/* --- statements ------------------------------------------------------------------------------- */

static void
query(struct mh_initdb *j, const char *database, const char *sql, int timeout_ms,
      void (*done)(struct mh_pg_call *))
{
    struct mh_world *w = j->job.w;
    mh_arena_release(&j->query_arena);
    j->query = (struct mh_pg_call){ .conninfo = mh_initdb_conninfo(j, database),
                                    .sql = sql,
                                    .timeout_ms = timeout_ms,
                                    .arena = &j->query_arena,
                                    .done = done,
                                    .arg = j };
    if (j->query.conninfo) {
        j->querying = true;
        w->pg.start(w->pg.self, &j->query);
    } else {
        (void)mh_fail(&j->job.err, MH_E_NOMEM, "init: no memory");
        fail(j);
    }
}

static void
on_statement(struct mh_pg_call *c)
{
    struct mh_initdb *j = c->arg;
    struct mh_world *w = j->job.w;
    const struct mh_initdb_statement *s = &j->list[j->next];
    j->querying = false;
    if (j->stopping)
        return;
    if (c->err.code) {
        j->job.err = c->err;
        (void)mh_wrap(&j->job.err, "%s", s->what);
        if (c->err.code == MH_E_PG)
            j->job.err.code = MH_E_INVALID; /* the same statement fails the same way again */
        fail(j);
        return;
    }
    /* A session in the way of CREATE DATABASE would make it fail: one at a time. */
    bool same = j->next + 1 < j->nlist && mh_str_eq(j->list[j->next + 1].database, s->database);
    if (!same)
        w->pg.disconnect(w->pg.self, c->conninfo);
    j->next++;
    run_next(j);
}

static void
run_next(struct mh_initdb *j)
{
    if (j->next >= j->nlist) {
        stop_server(j);
        return;
    }
    const struct mh_initdb_statement *s = &j->list[j->next];
    mh_info("initdb", "statement", "of", s->what, "database", s->database);
    query(j, s->database, s->sql, STATEMENT_MS, on_statement);
}

static void
on_first_answer(struct mh_pg_call *c)
{
    struct mh_initdb *j = c->arg;
    struct mh_world *w = j->job.w;
    j->querying = false;
    if (j->stopping)
        return;
    if (c->err.code == MH_OK) {
        run_next(j);
    } else if (w->clock.mono_ns(w->clock.self) > j->deadline_ns) {
        j->job.err = c->err;
        fail(j);
    } else {
        j->timer = w->clock.after(w->clock.self, POLL_NS, poll_server, j);
    }
}

static void
poll_server(void *arg)
{
    struct mh_initdb *j = arg;
    j->timer = NULL;
    query(j, "postgres", "SELECT 1", 1000, on_first_answer);
}

/* --- the temporary server --------------------------------------------------------------------- */

static enum mh_code
write_configuration(struct mh_initdb *j)
{
    struct mh_world *w = j->job.w;
    struct mh_arena *a = &j->job.arena;
    struct mh_params_in in = { .cluster = j->cluster, .major = j->major };
    const struct mh_override over = { .restore_command = MH_RESTORE_COMMAND };
    const char *custom = NULL;
    enum mh_code code = mh_params_custom(a, &in, &custom, NULL, &j->job.err);
    const char *override = mh_params_override(a, &over);
    const char *custom_path = mh_arena_printf(a, "%s/custom.conf", j->half);
    const char *override_path = mh_arena_printf(a, "%s/override.conf", j->half);
    if (!code && (!override || !custom_path || !override_path))
        code = mh_fail(&j->job.err, MH_E_NOMEM, "init: no memory");
    if (!code)
        code = w->fs.write(w->fs.self, custom_path, custom, strlen(custom), 0600, true, NULL,
                           &j->job.err);
    if (!code)
        code = w->fs.write(w->fs.self, override_path, override, strlen(override), 0600, true, NULL,
                           &j->job.err);
    return code ? code : mh_job_includes(w, j->half, &j->job.err);
}

static bool
start_server(struct mh_initdb *j)
{
    struct mh_world *w = j->job.w;
    struct mh_arena *a = &j->job.arena;
    const char *sockets = mh_arena_printf(a, "unix_socket_directories=%s", j->spec.id.run_dir);
    static const char *const settings[] = {
        "listen_addresses=",
        /* a verifier is no password, but nobody's business either */
        "log_statement=none",
        "log_min_duration_statement=-1",
        "log_min_duration_sample=-1",
        "log_min_error_statement=panic",
        "port=5432",
        "ssl=off",
        "archive_mode=off",
        "logging_collector=off",
        "log_destination=stderr",
        "unix_socket_permissions=0700",
        "cluster_name=init",
    };
    int n = 0;
    j->server_argv[n++] = mh_job_bin(a, &j->spec.id, "postgres");
    j->server_argv[n++] = "-D";
    j->server_argv[n++] = j->half;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        j->server_argv[n++] = "-c";
        j->server_argv[n++] = settings[i];
    }
    j->server_argv[n++] = "-c";
    j->server_argv[n++] = sockets;
    if (!j->server_argv[0] || !sockets) {
        (void)mh_fail(&j->job.err, MH_E_NOTFOUND, "postgres: no such program in PATH");
        return false;
    }
    j->server = (struct mh_child){ .argv = j->server_argv,
                                   .name = "postgres",
                                   .on_line = mh_job_log_line,
                                   .on_exit = on_server_exit,
                                   .arg = j };
    if (w->fs.mkdir(w->fs.self, j->spec.id.run_dir, 0700, &j->job.err) != MH_OK ||
        w->proc.start(w->proc.self, &j->server, &j->job.err) != MH_OK)
        return false;
    j->server_up = true;
    j->deadline_ns = w->clock.mono_ns(w->clock.self) + START_NS;
    j->timer = w->clock.after(w->clock.self, POLL_NS, poll_server, j);
    return true;
}

static void
on_initdb_end(void *arg, int exit_code)
{
    struct mh_initdb *j = arg;
    struct mh_world *w = j->job.w;
    char *version = NULL;
    size_t len = 0;
    if (exit_code) {
        (void)mh_fail(&j->job.err, MH_E_CHILD, "initdb ended with %d", exit_code);
        fail(j);
        return;
    }
    const char *path = mh_arena_printf(&j->job.arena, "%s/PG_VERSION", j->half);
    enum mh_code code =
        path ? w->fs.read(w->fs.self, &j->job.arena, path, 64, &version, &len, &j->job.err)
             : mh_fail(&j->job.err, MH_E_NOMEM, "init: no memory");
    if (!code && (sscanf(version, "%d", &j->major) != 1 || j->major < 10))
        code = mh_fail(&j->job.err, MH_E_INVALID, "init: PG_VERSION cannot be read");
    if (!code)
        code = mh_initdb_statements(j, &j->job.err);
    if (!code)
        code = write_configuration(j);
    if (code || !start_server(j))
        fail(j);
}

/* --- initdb ----------------------------------------------------------------------------------- */

static void
on_room(void *arg)
{
    struct mh_initdb *j = arg;
    const char *flags[MH_JOB_ARGS_MAX + 1];
    int nflags = 0;
    int n = 0;
    if (j->job.err.code || mh_job_split(&j->job.arena, j->spec.initdb_flags, flags,
                                        MH_JOB_ARGS_MAX - 10, &nflags, &j->job.err) != MH_OK) {
        fail(j);
        return;
    }
    const char *head[] = { "initdb", "--username", "postgres", "-D", j->half };
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        j->job.argv[n++] = head[i];
    if (j->spec.id.wal_dir) {
        j->job.argv[n++] = "--waldir";
        j->job.argv[n++] = j->spec.id.wal_dir;
    }
    for (int i = 0; i < nflags; i++)
        j->job.argv[n++] = flags[i];
    j->job.argv[n] = NULL;
    (void)umask(077);
    if (!mh_job_exec(&j->job, NULL, on_initdb_end))
        fail(j);
}

static void
on_secret(void *arg, yyjson_val *secret)
{
    struct mh_initdb *j = arg;
    if (secret)
        j->password = mh_job_secret_value(&j->job, secret, "password");
    if (secret && (!j->password || !*j->password))
        (void)mh_fail(&j->job.err, MH_E_INVALID, "init: the application's secret has no password");
    if (!secret || j->job.err.code) {
        fail(j);
        return;
    }
    mh_job_make_room(&j->job, j->half, false, on_room);
}

static void
on_cluster(void *arg, yyjson_val *cluster)
{
    struct mh_initdb *j = arg;
    const char *name = mh_json_str(cluster, "spec", "bootstrap", "initdb", "secret", "name", NULL);
    if (!cluster) {
        fail(j);
        return;
    }
    j->job.err = (struct mh_err){ 0 };
    j->cluster = cluster;
    if (!j->spec.app_user)
        mh_job_make_room(&j->job, j->half, false, on_room);
    else
        mh_job_get_secret(
            &j->job,
            name && *name ? name : mh_arena_printf(&j->job.arena, "%s-app", j->spec.id.cluster),
            on_secret);
}

enum mh_code
mh_initdb_start(struct mh_world *w, const struct mh_initdb_spec *spec,
                void (*done)(void *arg, int exit_code, const struct mh_err *err), void *arg,
                struct mh_err *err)
{
    struct mh_initdb *j = mh_calloc(1, sizeof(*j));
    if (!j)
        return mh_fail(err, MH_E_NOMEM, "init: no memory");
    j->spec = *spec;
    j->done = done;
    j->arg = arg;
    mh_job_init(&j->job, w, &j->spec.id, j);
    mh_arena_init(&j->query_arena, (size_t)16 << 20);
    j->half = mh_arena_printf(&j->job.arena, "%s.new", spec->id.pgdata);
    if (!j->half) {
        mh_job_release(&j->job);
        mh_free(j);
        return mh_fail(err, MH_E_NOMEM, "init: no memory");
    }
    mh_job_get_cluster(&j->job, on_cluster);
    return MH_OK;
}
