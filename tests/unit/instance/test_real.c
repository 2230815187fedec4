/* init and join against a real PostgreSQL 15 of this machine; skipped where there is none. */
#include <event2/event.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "harness/test.h"
#include "instance/hba.h"
#include "instance/initdb.h"
#include "instance/join.h"
#include "instance/params.h"
#include "io/child.h"
#include "io/file.h"
#include "io/loop.h"
#include "net/crypto.h"
#include "net/pg.h"
#include "net/x509.h"

#define BIN "/usr/lib/postgresql/15/bin"
#define ONE "127.86.19.1" /* the port is always 5432 */
#define TWO "127.86.19.2"

static char dir[] = "/tmp/mh-real-XXXXXX";
static struct event_base *base;
static struct mh_world w;
static struct mh_arena arena;
static const char *ca, *ca_key, *server_cert, *server_key, *client_cert, *client_key;

/* --- an API server that knows three secrets and a cluster ----------------------------------------- */

struct reply {
    struct mh_api_call *call;
    char *json;
};

static const char *
b64(const char *text)
{
    return mh_base64_encode(&arena, text, strlen(text));
}

static void
answer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct mh_api_call *c = arg;
    const char *json = NULL;
    c->status = 200;
    if (strstr(c->path, "/clusters/demo"))
        json = "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"instances\":2,\"postgresql\":{"
               "\"parameters\":{"
               "\"max_connections\":\"42\",\"fsync\":\"off\"}}}}";
    else if (strstr(c->path, "/secrets/demo-app"))
        json = mh_arena_printf(&arena, "{\"data\":{\"username\":\"%s\",\"password\":\"%s\"}}",
                               b64("app"), b64("it's a \\secret"));
    else if (strstr(c->path, "/secrets/demo-replication"))
        json = mh_arena_printf(&arena, "{\"data\":{\"tls.crt\":\"%s\",\"tls.key\":\"%s\"}}",
                               b64(client_cert), b64(client_key));
    else if (strstr(c->path, "/secrets/demo-ca"))
        json = mh_arena_printf(&arena, "{\"data\":{\"ca.crt\":\"%s\"}}", b64(ca));
    c->err = (struct mh_err){ 0 };
    CHECK(json != NULL);
    if (json)
        CHECK_INT(mh_json_parse(c->arena, json, strlen(json), &c->reply, NULL), MH_OK);
    c->done(c);
}

static void
api_start(void *self, struct mh_api_call *call)
{
    struct timeval now = { 0, 1000 };
    (void)self;
    event_base_once(base, -1, EV_TIMEOUT, answer, call, &now);
}

static void
api_cancel(void *self, struct mh_api_call *call)
{
    (void)self, (void)call;
}

/* --- helpers --------------------------------------------------------------------------------------- */

static const char *
at(const char *name)
{
    return mh_arena_printf(&arena, "%s/%s", dir, name);
}

static bool
exists(const char *name)
{
    return access(at(name), F_OK) == 0;
}

static int job_code;
static char job_error[500];

static void
on_job(void *arg, int exit_code, const struct mh_err *err)
{
    (void)arg;
    job_code = exit_code;
    (void)snprintf(job_error, sizeof(job_error), "%s", err->msg);
    event_base_loopbreak(base);
}

static void
on_query(struct mh_pg_call *c)
{
    (void)c;
    event_base_loopbreak(base);
}

/* The first value, "" for none or null, or the error. */
static const char *
ask(const char *conninfo, const char *sql)
{
    struct mh_pg_call c = { .conninfo = conninfo, .sql = sql, .arena = &arena, .done = on_query };
    w.pg.start(w.pg.self, &c);
    event_base_dispatch(base);
    if (c.err.code)
        return mh_arena_strdup(&arena, c.err.msg);
    return c.rows && c.values[0] ? c.values[0] : "";
}

static void
on_server_exit(struct mh_child *c)
{
    int *ended = c->arg;
    *ended = 1;
    event_base_loopbreak(base);
}

struct server {
    struct mh_child child;
    const char *argv[40];
    int ended;
};

static void
server_start(struct server *s, const char *data, const char *address)
{
    const char *settings[] = {
        mh_arena_printf(&arena, "listen_addresses=%s", address),
        mh_arena_printf(&arena, "unix_socket_directories=%s-run", at(data)),
        mh_arena_printf(&arena, "ssl_cert_file=%s", at("server.crt")),
        mh_arena_printf(&arena, "ssl_key_file=%s", at("server.key")),
        mh_arena_printf(&arena, "ssl_ca_file=%s", at("ca.crt")),
        "logging_collector=off",
        "log_destination=stderr",
        "archive_mode=off",
        "restore_command=false",
        mh_arena_printf(&arena, "hba_file=%s", at("pg_hba.conf")),
        mh_arena_printf(&arena, "ident_file=%s", at("pg_ident.conf")),
    };
    int n = 0;
    *s = (struct server){ 0 };
    s->argv[n++] = BIN "/postgres";
    s->argv[n++] = "-D";
    s->argv[n++] = at(data);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        s->argv[n++] = "-c";
        s->argv[n++] = settings[i];
    }
    s->child = (struct mh_child){
        .argv = s->argv, .name = "postgres", .on_exit = on_server_exit, .arg = &s->ended
    };
    CHECK_INT(w.proc.start(w.proc.self, &s->child, NULL), MH_OK);
}

static void
server_stop(struct server *s)
{
    if (!s->child.pid)
        return;
    w.pg.disconnect(w.pg.self, NULL);
    w.proc.kill(w.proc.self, &s->child, SIGQUIT);
    while (!s->ended)
        event_base_dispatch(base);
}

static void
wait_for(const char *conninfo, const char *sql, const char *want)
{
    struct timeval pause = { 0, 50000 };
    for (int i = 0; i < 200 && strcmp(ask(conninfo, sql), want) != 0; i++) {
        event_base_loopexit(base, &pause);
        event_base_dispatch(base);
    }
    CHECK_STR(ask(conninfo, sql), want);
}

static void
put(const char *name, const char *text)
{
    CHECK_INT(w.fs.write(w.fs.self, at(name), text, strlen(text), 0600, false, NULL, NULL), MH_OK);
}

static void
certificates(void)
{
    int64_t now = (int64_t)time(NULL);
    struct mh_x509_ca_spec spec = { "demo", "space", now - 300, now + 3600, NULL };
    CHECK_INT(mh_x509_make_ca(&arena, &spec, &ca, &ca_key, NULL), MH_OK);
    struct mh_x509_spec leaf = { .ca_cert_pem = ca,
                                 .ca_key_pem = ca_key,
                                 .cn = "demo-rw",
                                 .not_before = now - 300,
                                 .not_after = now + 3600 };
    CHECK_INT(mh_x509_issue(&arena, &leaf, &server_cert, &server_key, NULL), MH_OK);
    leaf.cn = "streaming_replica";
    leaf.usage = MH_X509_CLIENT;
    CHECK_INT(mh_x509_issue(&arena, &leaf, &client_cert, &client_key, NULL), MH_OK);
    put("server.crt", server_cert);
    put("server.key", server_key);
    put("ca.crt", ca);
}

static struct mh_job_ident
ident(const char *instance, const char *data)
{
    return (struct mh_job_ident){ .instance = instance,
                                  .ns = "space",
                                  .cluster = "demo",
                                  .group = "postgresql.cnpg.io",
                                  .pgdata = at(data),
                                  .cert_dir = at("certs"),
                                  .run_dir = at("init"),
                                  .bin_dir = BIN };
}

static void
begin(void)
{
    mh_arena_init(&arena, 64 << 20);
    if (getenv("MH_TEST_LOG"))
        mh_log_set_level(MH_LOG_INFO);
    base = mh_loop_new();
    w = (struct mh_world){ .clock = mh_clock_real(base),
                           .pg = mh_pg_real(base),
                           .proc = mh_proc_real(base),
                           .fs = mh_fs_real(),
                           .rand = mh_rand_real() };
    w.api = (struct mh_api){ .start = api_start, .cancel = api_cancel };
}

static void
end(void)
{
    mh_pg_real_free(&w.pg);
    mh_proc_release(&w.proc);
    mh_clock_release(&w.clock);
    event_base_free(base);
    mh_arena_release(&arena);
}

static bool
have(void)
{
    const struct passwd *p = getpwnam("postgres");
    if (access(BIN "/postgres", X_OK) != 0 || (geteuid() == 0 && !p)) {
        printf("# SKIPPED: no PostgreSQL 15 server in " BIN "\n");
        return false;
    }
    if (geteuid() == 0) /* PostgreSQL does not run as root */
        CHECK(setgid(p->pw_gid) == 0 && setuid(p->pw_uid) == 0);
    return true;
}

static void
init_job(struct mh_initdb_spec *spec)
{
    job_code = -1;
    CHECK_INT(mh_initdb_start(&w, spec, on_job, NULL, NULL), MH_OK);
    while (job_code < 0)
        event_base_dispatch(base);
}

static struct mh_initdb_spec
init_spec(void)
{
    return (struct mh_initdb_spec){ .id = ident("demo-1", "one"),
                                    .initdb_flags =
                                        "-k --encoding=UTF8 --lc-collate=C --lc-ctype=C -N",
                                    .post_init_sql = "'CREATE TABLE a AS SELECT 1 AS x' 'INSERT "
                                                     "INTO a VALUES (2); INSERT INTO a VALUES (3)'",
                                    .post_init_application_sql = "'CREATE TABLE b(x int)'",
                                    .post_init_template_sql = "'CREATE TABLE of_template(x int)'",
                                    .app_db = "a\"pp",
                                    .app_user = "app" };
}

static void
check_primary(const char *local)
{
    CHECK_STR(ask(local, "SELECT string_agg(x::text, ',' ORDER BY x) FROM public.a"), "1,2,3");
    CHECK_STR(ask(local, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'a\"pp'"),
              "app");
    CHECK_STR(ask(local, "SHOW max_connections"), "42");
    CHECK_STR(ask(local, "SHOW data_checksums"), "on");
    CHECK_STR(ask(local, "SELECT has_function_privilege('streaming_replica', "
                         "'pg_read_binary_file(text)', 'EXECUTE')"),
              "t");
    CHECK_STR(ask(local, "SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = 'app'"),
              "SCRAM-SHA-256$");
    const char *app = mh_arena_printf(
        &arena, "host=%s user=app dbname='a\"pp' password='it\\'s a \\\\secret' sslmode=require",
        ONE);
    CHECK_STR(
        ask(app,
            "SELECT (SELECT count(*) FROM public.b) + (SELECT count(*) FROM public.of_template)"),
        "permission denied for table b (42501)");
    CHECK_STR(ask(app, "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "TLSv1.3");
    const char *wrong = mh_arena_printf(&arena, "host=%s user=app dbname='a\"pp' password=x", ONE);
    CHECK(strstr(ask(wrong, "SELECT 1"), "password authentication failed") != NULL);
}

static void
check_join(const char *local)
{
    struct server two = { 0 };
    struct mh_join_spec join = { .id = ident("demo-2", "two"), .parent = ONE };
    join.id.wal_dir = at("wal2");
    CHECK_STR(ask(local, "SELECT pg_create_physical_replication_slot('_cnpg_demo_2') IS NULL"),
              "f");
    CHECK_INT(mkdir(at("two"), 0700), 0); /* what a join that broke off leaves */
    put("two/PG_VERSION", "15\n");
    job_code = -1;
    CHECK_INT(mh_join_start(&w, &join, on_job, NULL, NULL), MH_OK);
    while (job_code < 0)
        event_base_dispatch(base);
    CHECK_STR(job_error, "");
    CHECK_INT(job_code, 0);
    CHECK(exists("two/standby.signal") && exists("two/override.conf") && exists("wal2"));
    CHECK(!exists("two.new") && !exists("two/.check-empty-wal-archive"));
    CHECK_STR(ask(local, "SELECT count(*) FROM pg_stat_replication"), "0");
    server_start(&two, "two", TWO);
    wait_for(local, "SELECT application_name || state FROM pg_stat_replication", "demo-2streaming");
    CHECK_STR(ask(local, "SELECT active FROM pg_replication_slots"), "t");
    server_stop(&two);
}

TEST(init_and_join_make_a_primary_and_a_standby)
{
    struct server one = { 0 };
    if (!have() || !mkdtemp(dir))
        return;
    begin();
    certificates();
    CHECK_INT(mkdir(at("one-run"), 0700), 0);
    CHECK_INT(mkdir(at("two-run"), 0700), 0);
    struct mh_hba_in hba = { NULL, 15, true, false, NULL, NULL };
    put("pg_hba.conf", mh_hba_text(&arena, &hba));
    put("pg_ident.conf", mh_ident_text(&arena, NULL, mh_ident_user(&arena)));
    struct mh_initdb_spec spec = init_spec();
    init_job(&spec);
    CHECK_STR(job_error, "");
    CHECK_INT(job_code, 0);
    CHECK(exists("one/PG_VERSION") && exists("one/.check-empty-wal-archive") && !exists("one.new"));
    CHECK(!exists("one/postmaster.pid"));
    const char *local =
        mh_arena_printf(&arena, "host=%s user=postgres dbname=postgres", at("one-run"));
    server_start(&one, "one", ONE);
    wait_for(local, "SELECT 'up'", "up");
    check_primary(local);
    check_join(local);
    server_stop(&one);

    init_job(&spec); /* again: the valid folder is put aside, never removed */
    CHECK_INT(job_code, 0);
    CHECK_INT(system(mh_arena_printf(&arena, "test -f %s_2*/PG_VERSION", at("one"))), 0);
    end();
}

TEST(sql_that_fails_ends_the_job_and_leaves_no_data_folder)
{
    if (!have() || dir[9] == 'X')
        return;
    begin();
    struct mh_initdb_spec spec = init_spec();
    spec.id.pgdata = at("bad");
    spec.post_init_sql = "'SELECT 1/0'";
    init_job(&spec);
    CHECK_INT(job_code, 2);
    CHECK_STR(job_error, "postInitSQL: division by zero (22012)");
    CHECK(!exists("bad") && !exists("bad.new/postmaster.pid"));
    spec.initdb_flags = "--no-such-flag";
    init_job(&spec);
    CHECK_INT(job_code, 1);
    spec.initdb_flags = "'open";
    init_job(&spec);
    CHECK_INT(job_code, 2);
    CHECK_INT(system(mh_arena_printf(&arena, "rm -rf %s", dir)), 0);
    end();
}
