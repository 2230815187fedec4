#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "instance/initdb.h"
#include "instance/job.h"
#include "instance/join.h"

#define PGDATA "/data/pgdata"

static struct tw *tw;
static int code;
static char message[400];
static int failures; /* of the API server, before it answers */
static char statements[64][600];
static int nstatements;

static void
on_done(void *arg, int exit_code, const struct mh_err *err)
{
    (void)arg;
    code = exit_code;
    (void)snprintf(message, sizeof(message), "%s", err->msg);
}

static bool
on_api(struct tw *t, void *arg, const struct tw_request *r, struct tw_answer *a)
{
    (void)t, (void)arg;
    if (failures > 0) {
        failures--;
        a->status = 503;
        return true;
    }
    if (strstr(r->path, "/clusters/demo"))
        a->json = "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"certificates\":{"
                  "\"serverCASecret\":\"mine\"}}}";
    else if (strstr(r->path, "/secrets/demo-app"))
        a->json = "{\"data\":{\"username\":\"YXBw\",\"password\":\"c2VjcmV0\"}}"; /* secret */
    else if (strstr(r->path, "/secrets/demo-replication"))
        a->json = "{\"data\":{\"tls.crt\":\"Q1JU\",\"tls.key\":\"S0VZ\"}}";
    else if (strstr(r->path, "/secrets/mine"))
        a->json = "{\"data\":{\"ca.crt\":\"Q0E=\"}}";
    else
        a->status = 403;
    return true;
}

static bool
on_proc(struct tw *t, void *arg, const struct mh_child *c, struct tw_fate *fate)
{
    (void)arg;
    if (strcmp(c->name, "postgres") == 0) {
        fate->ignores = 1 << SIGINT; /* the test says how it ends */
        return true;
    }
    if (strcmp(c->name, "initdb") == 0 || strcmp(c->name, "pg_basebackup") == 0) {
        tw_file(t, PGDATA ".new", "folder");
        tw_file(t, PGDATA ".new/PG_VERSION", "15\n");
        tw_file(t, PGDATA ".new/postgresql.conf", "# made\n");
        tw_file(t, PGDATA ".new/global/pg_control", "x");
    }
    fate->ends = true;
    return true;
}

static bool
on_pg(struct tw *t, void *arg, const struct mh_pg_call *c, struct tw_rows *rows)
{
    (void)t, (void)arg, (void)rows;
    if (nstatements < 64 && strcmp(c->sql, "SELECT 1") != 0)
        (void)snprintf(statements[nstatements++], sizeof(statements[0]), "%s", c->sql);
    return true;
}

static void
begin(void)
{
    tw = tw_new(1);
    tw_api_on(tw, on_api, NULL);
    tw_proc_on(tw, on_proc, NULL);
    tw_pg_on(tw, on_pg, NULL);
    code = -1;
    failures = 0;
    nstatements = 0;
    message[0] = '\0';
}

static struct mh_job_ident
ident(void)
{
    return (struct mh_job_ident){ .instance = "demo-2",
                                  .ns = "space",
                                  .cluster = "demo",
                                  .group = "postgresql.cnpg.io",
                                  .pgdata = PGDATA,
                                  .cert_dir = "/certs",
                                  .run_dir = "/run/job",
                                  .bin_dir = "/bin" };
}

static void
init(const char *sql)
{
    static struct mh_initdb_spec spec;
    spec = (struct mh_initdb_spec){ .id = ident(),
                                    .initdb_flags = "--encoding=UTF8",
                                    .post_init_sql = sql,
                                    .post_init_template_sql = "'IN TEMPLATE'",
                                    .post_init_application_sql = "'IN APP'",
                                    .app_db = "app",
                                    .app_user = "app" };
    CHECK_INT(mh_initdb_start(&tw->world, &spec, on_done, NULL, NULL), MH_OK);
}

static void
server_ends(int exit_code)
{
    struct tw_process *p = tw_process(tw, "/bin/postgres -D");
    CHECK(p && p->running);
    if (p)
        tw_process_exit(tw, p, exit_code);
    tw_advance(tw, MH_NS_PER_S);
}

TEST(init_makes_the_folder_and_names_it_last)
{
    begin();
    init("'CREATE TABLE \"a b\"()' SECOND");
    tw_advance(tw, 5 * MH_NS_PER_S);
    struct tw_process *p = tw_process(tw, "/bin/postgres -D");
    CHECK(p && p->nsignals == 1 && p->signals[0] == SIGINT);
    CHECK(p && strstr(p->command, "-D " PGDATA ".new -c listen_addresses= ") != NULL);
    CHECK(tw_process(tw, "/bin/initdb --username postgres -D " PGDATA ".new --encoding=UTF8") !=
          NULL);
    CHECK(!tw_file_text(tw, PGDATA));
    server_ends(0);
    CHECK_INT(code, 0);
    CHECK(tw_file_text(tw, PGDATA) != NULL);
    CHECK(tw_file_text(tw, PGDATA ".new/.check-empty-wal-archive") != NULL);
    CHECK(strstr(tw_file_text(tw, PGDATA ".new/postgresql.conf"), "include 'custom.conf'\n") !=
          NULL);
    CHECK(strstr(statements[0], "CREATE ROLE streaming_replica") != NULL);
    CHECK(strstr(statements[1], "CREATE ROLE \"app\" LOGIN PASSWORD 'SCRAM-SHA-256$4096:") != NULL);
    CHECK_STR(statements[2], "CREATE TABLE \"a b\"()");
    CHECK_STR(statements[3], "SECOND");
    CHECK_STR(statements[4], "IN TEMPLATE");
    CHECK_STR(statements[5], "CREATE DATABASE \"app\" OWNER \"app\"");
    CHECK_STR(statements[6], "IN APP");
    CHECK_INT(nstatements, 7);
    tw_free(tw);
}

TEST(init_waits_for_the_api_server)
{
    begin();
    failures = 20;
    init(NULL);
    tw_advance(tw, 15 * MH_NS_PER_S);
    CHECK_INT(tw_proc_count(tw, "initdb"), 0);
    CHECK_INT(code, -1);
    tw_advance(tw, 15 * MH_NS_PER_S);
    CHECK_INT(tw_proc_count(tw, "initdb"), 1);
    server_ends(0);
    CHECK_INT(code, 0);
    tw_free(tw);
}

TEST(a_valid_folder_is_put_aside_and_never_removed)
{
    begin();
    tw_file(tw, PGDATA, "folder");
    tw_file(tw, PGDATA "/PG_VERSION", "15\n");
    tw_file(tw, PGDATA "/global/pg_control", "x");
    init(NULL);
    tw_advance(tw, 2 * MH_NS_PER_S);
    CHECK(tw_file_text(tw, PGDATA "_20260101T000000Z") != NULL);
    CHECK_INT(tw_proc_count(tw, "/bin/rm"), 0);
    server_ends(0);
    CHECK_INT(code, 0);
    tw_free(tw);
}

TEST(rubbish_and_what_an_earlier_try_left_is_removed)
{
    begin();
    tw_file(tw, PGDATA "/PG_VERSION", "15\n"); /* no pg_control */
    tw_file(tw, PGDATA ".new/x", "");
    init(NULL);
    tw_advance(tw, 2 * MH_NS_PER_S);
    CHECK(tw_process(tw, "/bin/rm -rf -- " PGDATA ".new " PGDATA) != NULL);
    server_ends(0);
    tw_free(tw);
}

TEST(a_server_that_dies_fails_the_job)
{
    begin();
    init(NULL);
    for (int i = 0; i < 100 && !tw_process(tw, "/bin/postgres -D"); i++)
        tw_advance(tw, 1000000);
    server_ends(1);
    CHECK_INT(code, 1);
    CHECK_STR(message, "init: PostgreSQL ended with 1");
    CHECK(!tw_file_text(tw, PGDATA));
    tw_free(tw);
}

TEST(a_denied_secret_is_no_reason_to_go_on)
{
    begin();
    static struct mh_initdb_spec spec;
    spec = (struct mh_initdb_spec){ .id = ident(), .app_db = "app", .app_user = "app" };
    spec.id.cluster = "demo";
    spec.id.ns = "space";
    CHECK_INT(mh_initdb_start(&tw->world, &spec, on_done, NULL, NULL), MH_OK);
    tw_advance(tw, 2 * MH_NS_PER_S);
    CHECK_INT(tw_proc_count(tw, "initdb"), 1);
    server_ends(0);
    tw_free(tw);

    begin();
    spec.id.cluster = "demox"; /* its app secret is refused */
    CHECK_INT(mh_initdb_start(&tw->world, &spec, on_done, NULL, NULL), MH_OK);
    tw_advance(tw, 400 * MH_NS_PER_S);
    CHECK_INT(code, 1);
    CHECK_INT(tw_proc_count(tw, "initdb"), 0);
    tw_free(tw);
}

TEST(join_copies_with_certificates_and_becomes_a_standby)
{
    begin();
    struct mh_join_spec spec = { .id = ident(), .parent = "demo-rw" };
    spec.id.wal_dir = "/wal/pg_wal";
    CHECK_INT(mh_join_start(&tw->world, &spec, on_done, NULL, NULL), MH_OK);
    tw_advance(tw, 2 * MH_NS_PER_S);
    CHECK_INT(code, 0);
    CHECK_STR(tw_file_text(tw, "/certs/streaming_replica.crt"), "CRT");
    CHECK_STR(tw_file_text(tw, "/certs/streaming_replica.key"), "KEY");
    CHECK_STR(tw_file_text(tw, "/certs/server-ca.crt"), "CA");
    CHECK_INT(tw_file_mode(tw, "/certs/streaming_replica.key"), 0600);
    struct tw_process *p = tw_process(tw, "pg_basebackup");
    CHECK(p && strstr(p->command,
                      "-D " PGDATA ".new -v -P --no-password -X stream -c fast -d host=demo-rw "
                      "user=streaming_replica port=5432") != NULL);
    CHECK(p && strstr(p->command, "application_name=demo-2-join sslmode=verify-ca") != NULL);
    CHECK(p &&
          strstr(p->command, "options='-c wal_sender_timeout=0s' --waldir /wal/pg_wal") != NULL);
    CHECK(tw_file_text(tw, PGDATA) != NULL);
    CHECK_STR(tw_file_text(tw, PGDATA ".new/standby.signal"), "");
    CHECK(strstr(tw_file_text(tw, PGDATA ".new/override.conf"),
                 "application_name=demo-2 sslmode=verify-ca"));
    tw_free(tw);
}

TEST(a_copy_that_breaks_off_leaves_no_data_folder)
{
    begin();
    struct mh_join_spec spec = { .id = ident(), .parent = "10.0.0.1", .certs_ready = true };
    tw_fs_fail(tw, "write", "standby.signal", MH_E_DISKFULL, 0, 1);
    CHECK_INT(mh_join_start(&tw->world, &spec, on_done, NULL, NULL), MH_OK);
    tw_advance(tw, 2 * MH_NS_PER_S);
    CHECK_INT(code, 2);
    CHECK(!tw_file_text(tw, PGDATA));
    CHECK_INT(tw_api_count(tw, "GET", "/secrets/"), 0);
    tw_free(tw);
}

TEST(a_discarded_folder_is_removed)
{
    begin();
    struct mh_join_spec spec = {
        .id = ident(), .parent = "10.0.0.1", .certs_ready = true, .discard_old = true
    };
    tw_file(tw, PGDATA "/PG_VERSION", "15\n");
    tw_file(tw, PGDATA "/global/pg_control", "x");
    CHECK_INT(mh_join_start(&tw->world, &spec, on_done, NULL, NULL), MH_OK);
    tw_advance(tw, 2 * MH_NS_PER_S);
    CHECK(tw_process(tw, "/bin/rm -rf -- " PGDATA) != NULL);
    CHECK_INT(code, 0);
    tw_free(tw);
}

/* --- arguments ------------------------------------------------------------------------------------- */

TEST(words_are_split_as_a_shell_does)
{
    struct mh_arena a;
    const char *words[10];
    int n = 0;
    mh_arena_init(&a, 1 << 20);
    CHECK_INT(mh_job_split(&a, " a 'b c' \"d \\\"e\\\" \\x\" f\\ g'' '' 'it'\\''s' \t\n", words, 9,
                           &n, NULL),
              MH_OK);
    CHECK_INT(n, 6);
    CHECK_STR(words[1], "b c");
    CHECK_STR(words[2], "d \"e\" \\x");
    CHECK_STR(words[3], "f g");
    CHECK_STR(words[4], "");
    CHECK_STR(words[5], "it's");
    CHECK(!words[6]);
    CHECK_INT(mh_job_split(&a, "'a", words, 9, &n, NULL), MH_E_INVALID);
    CHECK_INT(mh_job_split(&a, "a\\", words, 9, &n, NULL), MH_E_INVALID);
    CHECK_INT(mh_job_split(&a, "1 2 3", words, 2, &n, NULL), MH_E_LIMIT);
    CHECK_INT(mh_job_split(&a, NULL, words, 2, &n, NULL), MH_OK);
    CHECK_INT(n, 0);
    mh_arena_release(&a);
}

static char *
word(const char *s)
{
    return mh_arena_strdup(&tw->arena, s);
}

TEST(arguments_and_environment_say_who_this_is)
{
    struct mh_initdb_spec init_spec;
    struct mh_join_spec join_spec;
    struct mh_err err = { 0 };
    begin();
    setenv("POD_NAME", "demo-1-initdb", 1);
    setenv("NAMESPACE", "space", 1);
    setenv("CLUSTER_NAME", "demo", 1);
    char *some[] = { word("--initdb-flags"),   word("-k"),       word("--app-db-name=app"),
                     word("--log-level=info"), word("--pg-wal"), word("/wal"),
                     word("--app-user"),       word("") };
    CHECK_INT(mh_initdb_args(&init_spec, 8, some, &err), MH_OK);
    CHECK_STR(init_spec.id.instance, "demo-1");
    CHECK_STR(init_spec.id.pgdata, "/var/lib/postgresql/data/pgdata");
    CHECK_STR(init_spec.id.wal_dir, "/wal");
    CHECK_STR(init_spec.initdb_flags, "-k");
    CHECK_STR(init_spec.app_db, "app");
    CHECK(!init_spec.app_user);
    char *bad[] = { word("--what"), word("x") };
    CHECK_INT(mh_initdb_args(&init_spec, 2, bad, &err), MH_E_INVALID);
    setenv("POD_NAME", "demo-2-join", 1);
    char *parent[] = { word("--parent-node"), word("demo-rw") };
    CHECK_INT(mh_join_args(&join_spec, 2, parent, &err), MH_OK);
    CHECK_STR(join_spec.id.instance, "demo-2");
    CHECK_STR(join_spec.parent, "demo-rw");
    CHECK_INT(mh_join_args(&join_spec, 1, parent, &err), MH_E_INVALID);
    CHECK_INT(mh_join_args(&join_spec, 0, NULL, &err), MH_E_INVALID);
    unsetenv("CLUSTER_NAME");
    CHECK_INT(mh_join_args(&join_spec, 2, parent, &err), MH_E_INVALID);
    tw_free(tw);
}
