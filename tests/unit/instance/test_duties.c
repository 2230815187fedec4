/* What a manager does beside its role: fencing by hand, limits of a standby, passwords, slots, the gate's
 * login. Driven. */
#include <signal.h>

#include "agent_helper.h"
#include "base/str.h"
#include "harness/test.h"
#include "instance/params.h"
#include "net/crypto.h"

#define CONTROL                                                                                    \
    "Database cluster state:               in archive recovery\n"                                  \
    "max_connections setting:              300\n"                                                  \
    "max_worker_processes setting:         32\n"                                                   \
    "max_wal_senders setting:              10\n"                                                   \
    "max_prepared_xacts setting:           0\n"                                                    \
    "max_locks_per_xact setting:           64\n"
#define LOWERED                                                                                    \
    "Database cluster state:               in archive recovery\n"                                  \
    "max_connections setting:              100\n"                                                  \
    "max_worker_processes setting:         32\n"                                                   \
    "max_wal_senders setting:              10\n"                                                   \
    "max_prepared_xacts setting:           0\n"                                                    \
    "max_locks_per_xact setting:           64\n"

/* Puts the Cluster there anew: metadata and spec have these members added. */
static void
cluster(struct ta *t, const char *metadata, const char *spec, const char *status)
{
    tw_put(
        t->tw, TA_CLUSTER,
        mh_arena_printf(&t->tw->arena,
                        "{\"metadata\":{\"name\":\"db\",\"uid\":\"uid-db\"%s},\"spec\":{"
                        "\"instances\":2%s},\"status\":{\"instanceNames\":[\"db-1\",\"db-2\"]%s}}",
                        metadata, spec, status));
}

static void
fence(struct ta *t, const char *value)
{
    cluster(t,
            mh_arena_printf(&t->tw->arena, ",\"annotations\":{\"cnpg.io/fencedInstances\":\"%s\"}",
                            value),
            "", "");
    tw_advance(t->tw, MH_NS_PER_S);
}

/* The primary db-1, as it is after its first election. */
static struct ta *
primary(void)
{
    struct ta *t = ta_new("db-1", 2, NULL);
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    return t;
}

static struct ta *
standby(const char *control)
{
    struct ta *t = ta_new("db-2", 2, NULL);
    t->control = control;
    t->pg.receiving = true;
    ta_data(t, true);
    ta_term(t, 3, 3, "vol-2");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, MH_NS_PER_S);
    return t;
}

static bool
runs(struct ta *t)
{
    const struct tw_process *p = tw_process(t->tw, "postgres -D");
    return p && p->running;
}

static int
last_signal(struct ta *t)
{
    const struct tw_process *p = tw_process(t->tw, "postgres -D");
    return p && p->nsignals ? p->signals[p->nsignals - 1] : 0;
}

static const char *
conf(struct ta *t, const char *file)
{
    const char *text = tw_file_text(t->tw, mh_arena_printf(&t->tw->arena, TA_DATA "/%s", file));
    return text ? text : "";
}

/* --- fencing by hand -------------------------------------------------------------------------- */

TEST(a_fenced_primary_stops_and_starts_again_when_it_is_not_fenced_any_more)
{
    struct ta *t = primary();
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    fence(t, "[\\\"db-1\\\"]");
    CHECK(!runs(t));
    CHECK_INT(last_signal(t), SIGINT);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "none");
    tw_advance(t->tw, 30 * MH_NS_PER_S);
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 1);
    CHECK(t->g->ready); /* the manager is still there */
    fence(t, "[]");
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 2);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    ta_end(t);
}

TEST(a_star_fences_all_and_other_names_nobody_here)
{
    struct ta *t = primary();
    fence(t, "[\\\"db-2\\\",\\\"db-10\\\"]");
    CHECK(runs(t));
    fence(t, "[\\\"*\\\"]");
    CHECK(!runs(t));
    ta_end(t);
}

TEST(a_value_that_is_no_list_changes_nothing)
{
    struct ta *t = primary();
    fence(t, "db-1");
    CHECK(runs(t));
    fence(t, "[\\\"db-1\\\"]");
    CHECK(!runs(t));
    fence(t, "[\\\"db-1\\\", 5]");
    tw_advance(t->tw, 5 * MH_NS_PER_S);
    CHECK(!runs(t));
    fence(t, "");
    CHECK(runs(t));
    ta_end(t);
}

TEST(who_is_fenced_at_the_start_never_starts_and_still_promises)
{
    struct ta *t = ta_new("db-2", 2, NULL);
    cluster(t, ",\"annotations\":{\"cnpg.io/fencedInstances\":\"[\\\"db-2\\\"]\"}", "", "");
    ta_data(t, true);
    ta_term(t, 3, 3, "vol-2");
    ta_lease(t, "db-1", 4, "fencing", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, 12 * MH_NS_PER_S);
    CHECK_INT(tw_proc_count(t->tw, "postgres"), 0);
    CHECK(strstr(tw_file_text(t->tw, "/data/moonherd/term"), "\"promise\":4") != NULL);
    CHECK(!mh_json_bool(ta_status(t), true, "fenced", NULL)); /* no candidate */
    ta_end(t);
}

TEST(a_deposed_primary_is_stopped_at_once_even_if_it_is_fenced_by_hand)
{
    struct ta *t = primary();
    ta_lease(t, "db-2", 4, "promoting", "vol-2", "[]");
    fence(t, "[\\\"db-1\\\"]");
    CHECK_INT(last_signal(t), SIGQUIT);
    ta_end(t);
}

/* --- limits ----------------------------------------------------------------------------------- */

TEST(a_standby_has_no_lower_limit_than_its_log_was_written_under)
{
    struct ta *t = standby(CONTROL);
    CHECK(runs(t));
    CHECK(strstr(conf(t, "custom.conf"), "max_connections = '300'\n") != NULL);
    CHECK(strstr(conf(t, "custom.conf"), "max_wal_senders") == NULL); /* the default is enough */
    CHECK_INT(last_signal(t), 0); /* it was so at the start: nothing had to be loaded again */
    t->control = LOWERED;         /* the primary has restarted with less */
    tw_advance(t->tw, 11 * MH_NS_PER_S);
    CHECK(strstr(conf(t, "custom.conf"), "max_connections") == NULL);
    int asked = tw_proc_count(t->tw, "pg_controldata");
    tw_advance(t->tw, 60 * MH_NS_PER_S);
    CHECK_INT(tw_proc_count(t->tw, "pg_controldata"), asked); /* nothing is lifted any more */
    ta_end(t);
}

TEST(a_primary_has_what_it_is_asked_for)
{
    struct ta *t = primary();
    CHECK(strstr(conf(t, "custom.conf"), "max_connections") == NULL);
    CHECK(strstr(conf(t, "custom.conf"), "listen_addresses = '*'\n") != NULL);
    ta_end(t);
}

static void
edited(struct ta *t, const char *generation, const char *work_mem)
{
    const char *metadata = mh_arena_printf(&t->tw->arena, ",\"generation\":%s", generation);
    const char *spec = mh_arena_printf(
        &t->tw->arena, ",\"postgresql\":{\"parameters\":{\"work_mem\":\"%s\"}}", work_mem);
    cluster(t, metadata, spec, "");
    tw_advance(t->tw, MH_NS_PER_S);
}

static void
reads(struct ta *t)
{
    mh_str_copy(t->pg.config_hash, sizeof(t->pg.config_hash), t->g->conf_hash);
    tw_advance(t->tw, MH_NS_PER_S);
}

TEST(the_manager_says_which_configuration_its_postgresql_has_read)
{
    struct ta *t = primary();
    edited(t, "7", "8MB");
    CHECK_STR(mh_json_str(ta_status(t), "configRead", NULL), "");
    reads(t);
    CHECK_STR(mh_json_str(ta_status(t), "configRead", NULL), "7");
    edited(t, "8", "16MB"); /* written, but PostgreSQL answers with the former one */
    CHECK_STR(mh_json_str(ta_status(t), "configRead", NULL), "7");
    reads(t);
    CHECK_STR(mh_json_str(ta_status(t), "configRead", NULL), "8");
    edited(t, "9", "16MB"); /* nothing that concerns it */
    CHECK_STR(mh_json_str(ta_status(t), "configRead", NULL), "9");
    ta_end(t);
}

TEST(a_standby_starts_even_if_pg_controldata_says_nothing)
{
    struct ta *t = standby("no such thing\n");
    CHECK(runs(t));
    ta_end(t);
}

TEST(with_an_address_of_its_own_postgresql_listens_there_only)
{
    struct ta *t = ta_new("db-2", 2, NULL);
    t->g->id.bind = "127.3.16.2";
    t->control = CONTROL;
    ta_data(t, true);
    ta_term(t, 3, 3, "vol-2");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(strstr(conf(t, "custom.conf"), "listen_addresses = '127.3.16.2'\n") != NULL);
    CHECK(strstr(conf(t, "custom.conf"), "max_connections = '300'\n") != NULL);
    ta_end(t);
}

TEST(limits_are_read_as_postgresql_reads_numbers)
{
    struct mh_arena a;
    struct mh_param extra[MH_LIMITS];
    yyjson_val *v = NULL;
    static const char text[] =
        "{\"spec\":{\"postgresql\":{\"parameters\":{\"Max_Connections\":\"0x10\",\"max_wal_"
        "senders\":"
        "\"1e2\",\"max_prepared_transactions\":\"what\",\"max_locks_per_transaction\":\"64 \"}}}}";
    const int64_t least[MH_LIMITS] = { 17, 33, 100, 1, 64 };
    mh_arena_init(&a, 1 << 20);
    CHECK_INT(mh_json_parse(&a, text, strlen(text), &v, NULL), MH_OK);
    struct mh_params_in in = { .cluster = v, .major = 15 };
    CHECK_INT(mh_params_lift(&a, &in, least, extra), 3);
    CHECK_STR(extra[0].name, "max_connections");
    CHECK_STR(extra[0].value, "17");
    CHECK_STR(extra[1].name, "max_worker_processes"); /* 32 is the default here */
    CHECK_STR(extra[2].name, "max_prepared_transactions");
    CHECK_INT(mh_params_limit_of("max_xid"), -1);
    mh_arena_release(&a);
}

/* --- passwords -------------------------------------------------------------------------------- */

struct accounts {
    const char *app; /* stored, NULL: none */
    const char *superuser;
    const char *encryption;
    char last[600]; /* statement */
    int altered;
};
static struct accounts stored;

static bool
on_accounts(struct ta *t, const struct mh_pg_call *call, struct tw_rows *rows)
{
    static const char *row[2];
    (void)t;
    if (strstr(call->sql, "rolpassword")) {
        CHECK(strstr(call->conninfo, "log_statement=none") != NULL);
        row[0] = strcmp(call->params[0], "postgres") == 0 ? stored.superuser : stored.app;
        row[1] = stored.encryption;
        rows->rows = 1;
        rows->cols = 2;
        rows->values = row;
        return true;
    }
    if (strstr(call->sql, "ALTER ROLE")) {
        CHECK(strstr(call->conninfo, "log_statement=none") != NULL);
        mh_str_copy(stored.last, sizeof(stored.last), call->sql);
        stored.altered++;
        return true;
    }
    return false;
}

static void
put_user(struct ta *t, const char *secret, const char *user, const char *password)
{
    struct mh_arena *a = &t->tw->arena;
    tw_put(t->tw, mh_arena_printf(a, "/api/v1/namespaces/" TA_NS "/secrets/%s", secret),
           mh_arena_printf(a, "{\"data\":{\"username\":\"%s\",\"password\":\"%s\"}}",
                           mh_base64_encode(a, user, strlen(user)),
                           mh_base64_encode(a, password, strlen(password))));
}

static void
app_version(struct ta *t, const char *version, const char *spec)
{
    cluster(t, "", spec,
            mh_arena_printf(&t->tw->arena,
                            ",\"secretsResourceVersion\":{\"applicationSecretVersion\":\"%s\"}",
                            version));
    tw_advance(t->tw, 2 * MH_NS_PER_S);
}

TEST(the_applications_password_follows_its_secret)
{
    struct ta *t = primary();
    stored = (struct accounts){ .encryption = "scram-sha-256" };
    t->also = on_accounts;
    put_user(t, "db-app", "app", "first");
    tw_advance(t->tw, 15 * MH_NS_PER_S);
    CHECK_INT(stored.altered, 1);
    CHECK(mh_str_starts(stored.last, "ALTER ROLE \"app\" PASSWORD 'SCRAM-SHA-256$4096:"));
    CHECK(!strstr(stored.last, "first"));
    char *verifier = mh_arena_strdup(&t->tw->arena, strchr(stored.last, '\'') + 1);
    verifier[strlen(verifier) - 1] = '\0';
    CHECK(mh_pg_scram_matches(&t->tw->arena, verifier, "first"));
    stored.app = verifier;
    app_version(t, "7", ""); /* the same password: nothing to do */
    CHECK_INT(stored.altered, 1);
    put_user(t, "db-app", "app", "second");
    app_version(t, "8", "");
    CHECK_INT(stored.altered, 2);
    tw_advance(t->tw, 60 * MH_NS_PER_S);
    CHECK_INT(stored.altered, 2);
    ta_end(t);
}

TEST(a_verifier_is_stored_as_it_is_and_md5_where_the_server_wants_it)
{
    struct ta *t = primary();
    stored = (struct accounts){ .encryption = "md5" };
    t->also = on_accounts;
    put_user(t, "mine", "owner", "md5d41d8cd98f00b204e9800998ecf8427e");
    app_version(t, "1",
                ",\"bootstrap\":{\"initdb\":{\"database\":\"d\",\"owner\":\"owner\",\"secret\":{"
                "\"name\":\"mine\"}}}");
    CHECK_STR(stored.last, "ALTER ROLE \"owner\" PASSWORD 'md5d41d8cd98f00b204e9800998ecf8427e'");
    put_user(t, "mine", "owner", "plain");
    app_version(t, "2",
                ",\"bootstrap\":{\"initdb\":{\"database\":\"d\",\"owner\":\"owner\",\"secret\":{"
                "\"name\":\"mine\"}}}");
    CHECK(mh_str_starts(stored.last, "ALTER ROLE \"owner\" PASSWORD 'md5"));
    CHECK_STR(stored.last, mh_arena_printf(&t->tw->arena, "ALTER ROLE \"owner\" PASSWORD '%s'",
                                           mh_pg_md5(&t->tw->arena, "owner", "plain")));
    ta_end(t);
}

TEST(a_secret_of_another_user_is_not_used)
{
    struct ta *t = primary();
    stored = (struct accounts){ .encryption = "scram-sha-256" };
    t->also = on_accounts;
    put_user(t, "db-app", "postgres", "evil");
    tw_advance(t->tw, 30 * MH_NS_PER_S);
    CHECK_INT(stored.altered, 0);
    ta_end(t);
}

TEST(postgres_has_a_password_only_with_superuser_access)
{
    struct ta *t = primary();
    stored = (struct accounts){ .encryption = "scram-sha-256" };
    t->also = on_accounts;
    put_user(t, "db-superuser", "postgres", "boss");
    cluster(t, "", ",\"enableSuperuserAccess\":true", "");
    tw_advance(t->tw, 15 * MH_NS_PER_S);
    CHECK_INT(stored.altered, 1);
    CHECK(mh_str_starts(stored.last, "ALTER ROLE \"postgres\" PASSWORD 'SCRAM-SHA-256$"));
    stored.superuser = "SCRAM-SHA-256$4096:AA==$AA==:AA==";
    cluster(t, "", ",\"enableSuperuserAccess\":false", "");
    tw_advance(t->tw, 15 * MH_NS_PER_S);
    CHECK_STR(stored.last, "ALTER ROLE \"postgres\" PASSWORD NULL");
    CHECK_INT(stored.altered, 2);
    ta_end(t);
}

TEST(a_standby_sets_no_passwords)
{
    struct ta *t = standby(CONTROL);
    stored = (struct accounts){ .encryption = "scram-sha-256" };
    t->also = on_accounts;
    put_user(t, "db-app", "app", "first");
    tw_advance(t->tw, 15 * MH_NS_PER_S);
    CHECK_INT(stored.altered, 0);
    CHECK_INT(tw_pg_count(t->tw, "rolpassword"), 0);
    ta_end(t);
}

/* --- LDAP ------------------------------------------------------------------------------------- */

TEST(the_directorys_password_gets_into_pg_hba_and_follows_its_secret)
{
    static const char ldap[] =
        ",\"postgresql\":{\"ldap\":{\"server\":\"l\",\"bindSearchAuth\":{\"baseDN\":\"dc=x\","
        "\"bindDN\":\"cn=b\",\"bindPassword\":{\"name\":\"dir\",\"key\":\"password\"}}}}";
    struct ta *t = primary();
    put_user(t, "dir", "x", "one");
    cluster(t, "", ldap, "");
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(strstr(conf(t, "pg_hba.conf"), " ldapbindpasswd=\"one\"") != NULL);
    put_user(t, "dir", "x", "two");
    tw_advance(t->tw, 61 * MH_NS_PER_S);
    CHECK(strstr(conf(t, "pg_hba.conf"), " ldapbindpasswd=\"two\"") != NULL);
    cluster(t, "", "", "");
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(!strstr(conf(t, "pg_hba.conf"), "ldap"));
    ta_end(t);
}

/* --- slots ------------------------------------------------------------------------------------ */

struct slots {
    int asked, made, moved;
    char conninfo[600];
    char params[6][200];
};
static struct slots rounds;

static bool
on_slots(struct ta *t, const struct mh_pg_call *call, struct tw_rows *rows)
{
    static const char *row[2];
    (void)t;
    rows->rows = 1;
    if (strstr(call->sql, "json_agg(")) {
        rounds.asked++;
        mh_str_copy(rounds.conninfo, sizeof(rounds.conninfo), call->conninfo);
        row[0] = "[[\"_cnpg_db_2\",\"0/3000000\"],[\"_cnpg_db_3\",\"0/3000000\"]]";
        rows->cols = 1;
    } else if (strstr(call->sql, "pg_create_physical_replication_slot(name, lsn")) {
        rounds.made++;
        for (int i = 0; i < 6; i++)
            mh_str_copy(rounds.params[i], sizeof(rounds.params[i]), call->params[i]);
        row[0] = "0";
        row[1] = "1";
        rows->cols = 2;
    } else if (strstr(call->sql, "pg_replication_slot_advance")) {
        rounds.moved++;
        row[0] = "1";
        rows->cols = 1;
    } else {
        rows->rows = 0;
        return false;
    }
    rows->values = row;
    return true;
}

TEST(a_standby_keeps_the_primarys_slots)
{
    struct ta *t = standby(CONTROL);
    rounds = (struct slots){ 0 };
    t->also = on_slots;
    cluster(t, "",
            ",\"replicationSlots\":{\"updateInterval\":10,\"highAvailability\":{\"slotPrefix\":"
            "\"_x_\"},\"synchronizeReplicas\":{\"enabled\":true,\"excludePatterns\":[\"^tmp\"]}}",
            "");
    tw_advance(t->tw, 70 * MH_NS_PER_S);
    CHECK(rounds.asked >= 4 && rounds.asked <= 7);
    CHECK_INT(rounds.made, rounds.asked);
    CHECK_INT(rounds.moved, rounds.asked);
    CHECK(mh_str_starts(rounds.conninfo, "host=10.0.0.1 user=streaming_replica "));
    CHECK_STR(rounds.params[1], "_x_");
    CHECK_STR(rounds.params[2], "_x_db_2");
    CHECK_STR(rounds.params[3], "[\"^tmp\"]");
    CHECK_STR(rounds.params[4], "t");
    CHECK_STR(rounds.params[5], "t");
    ta_end(t);
}

TEST(a_primary_asks_nobody_for_slots)
{
    struct ta *t = primary();
    rounds = (struct slots){ 0 };
    t->also = on_slots;
    tw_advance(t->tw, 60 * MH_NS_PER_S);
    CHECK_INT(rounds.asked, 0);
    ta_end(t);
}

/* --- the gate's login ------------------------------------------------------------------------- */

static bool tcp_refuses;
static char tcp_conninfo[600];

static bool
on_login(struct ta *t, const struct mh_pg_call *call, struct tw_rows *rows)
{
    (void)t;
    if (strcmp(call->sql, "select pg_is_in_recovery()::text") != 0)
        return false;
    mh_str_copy(tcp_conninfo, sizeof(tcp_conninfo), call->conninfo);
    if (tcp_refuses) {
        rows->code = MH_E_UNREACHABLE;
        rows->message = "connection refused";
    }
    return true;
}

TEST(the_gate_stays_closed_until_a_login_over_tcp_has_worked)
{
    struct ta *t = ta_new("db-1", 2, NULL);
    t->also = on_login;
    tcp_refuses = true;
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, 5 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "closed");
    CHECK(mh_str_starts(tcp_conninfo, "host=10.0.0.1 user=streaming_replica port=5432 "));
    CHECK(strstr(conf(t, "pg_hba.conf"), "# closed") != NULL);
    tcp_refuses = false;
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    int logins = tw_pg_count(t->tw, "pg_is_in_recovery()::text");
    tw_advance(t->tw, 10 * MH_NS_PER_S);
    CHECK_INT(tw_pg_count(t->tw, "pg_is_in_recovery()::text"), logins);
    ta_end(t);
}

/* --- a full disk ------------------------------------------------------------------------------ */

TEST(a_configuration_that_does_not_fit_before_a_start_is_exit_code_4)
{
    struct ta *t = ta_new("db-1", 2, NULL);
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    tw_fs_fail(t->tw, "write", "pg_hba.conf", MH_E_DISKFULL, 0, -1);
    ta_start(t);
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK_INT(t->g->exit_code, 4);
    CHECK(!t->g->ready); /* told to end */
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 0);
    ta_end(t);
}

TEST(a_configuration_that_does_not_fit_later_ends_nothing)
{
    struct ta *t = primary();
    tw_fs_fail(t->tw, "write", "custom.conf", MH_E_DISKFULL, 0, -1);
    cluster(t, "", ",\"postgresql\":{\"parameters\":{\"work_mem\":\"9MB\"}}", "");
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(runs(t));
    CHECK_INT(t->g->exit_code, 0);
    tw_fs_fail(t->tw, "write", "custom.conf", MH_OK, 0, -1);
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(strstr(conf(t, "custom.conf"), "work_mem = '9MB'") != NULL);
    ta_end(t);
}

/* --- the first moments of a postmaster -------------------------------------------------------- */

/* SIGHUP ends a process that has no handler for it yet. */
TEST(a_postmaster_is_told_to_reload_only_when_it_can_listen)
{
    struct ta *t = ta_new("db-1", 2, NULL);
    t->pg.refuses = true;
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, MH_NS_PER_S);
    cluster(t, "", ",\"postgresql\":{\"parameters\":{\"work_mem\":\"9MB\"}}", "");
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(runs(t));
    CHECK_INT(last_signal(t), 0);
    tw_file(t->tw, TA_DATA "/postmaster.pid", "5\n");
    tw_advance(t->tw, 100 * MH_NS_PER_MS);
    CHECK_INT(last_signal(t), SIGHUP);
    t->pg.refuses = false;
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    ta_end(t);
}

TEST(a_cluster_of_one_is_not_kept_closed_for_ever)
{
    struct ta *t = ta_new("db-1", 1, NULL);
    t->also = on_login;
    tcp_refuses = true;
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, 20 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "closed");
    tw_advance(t->tw, 20 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    ta_end(t);
}

/* --- no memory -------------------------------------------------------------------------------- */

static bool
on_all(struct ta *t, const struct mh_pg_call *call, struct tw_rows *rows)
{
    return on_accounts(t, call, rows) || on_slots(t, call, rows);
}

/* One allocation fails while passwords, the directory's password and fencing are looked at; later all is
 * as it would have been. False: nothing failed any more. */
static bool
starve_primary(int n)
{
    struct ta *t = primary();
    stored = (struct accounts){ .encryption = "scram-sha-256" };
    t->also = on_all;
    put_user(t, "db-app", "app", "first");
    put_user(t, "dir", "x", "one");
    cluster(t, "",
            ",\"postgresql\":{\"ldap\":{\"server\":\"l\",\"bindSearchAuth\":{\"baseDN\":\"dc=x\","
            "\"bindPassword\":{\"name\":\"dir\",\"key\":\"password\"}}}}",
            "");
    mh_mem_fail_after(n);
    tw_advance(t->tw, 3 * MH_NS_PER_S);
    bool more = mh_mem_failed();
    mh_mem_fail_after(-1);
    /* What is not known is asked again: the Cluster after its next change. */
    cluster(t, ",\"labels\":{\"a\":\"b\"}",
            ",\"postgresql\":{\"ldap\":{\"server\":\"l\",\"bindSearchAuth\":{\"baseDN\":\"dc=x\","
            "\"bindPassword\":{\"name\":\"dir\",\"key\":\"password\"}}}}",
            "");
    tw_advance(t->tw, 15 * MH_NS_PER_S);
    CHECK(stored.altered >= 1);
    CHECK(strstr(conf(t, "pg_hba.conf"), " ldapbindpasswd=\"one\"") != NULL);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    ta_end(t);
    return more;
}

static bool
starve_standby(int n)
{
    struct ta *t = standby(CONTROL);
    rounds = (struct slots){ 0 };
    t->also = on_all;
    t->control = LOWERED;
    cluster(t, "", ",\"replicationSlots\":{\"updateInterval\":2}", "");
    mh_mem_fail_after(n);
    tw_advance(t->tw, 6 * MH_NS_PER_S);
    bool more = mh_mem_failed();
    mh_mem_fail_after(-1);
    tw_advance(t->tw, 15 * MH_NS_PER_S);
    CHECK(rounds.moved >= 1);
    CHECK(strstr(conf(t, "custom.conf"), "max_connections") == NULL);
    ta_end(t);
    return more;
}

TEST(without_memory_duties_wait_and_are_done_later)
{
    int n = 0;
    while (n < 400 && starve_primary(n))
        n += 1 + n / 10;
    for (n = 0; n < 400 && starve_standby(n);)
        n += 1 + n / 10;
}
