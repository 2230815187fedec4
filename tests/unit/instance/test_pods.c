/* Two real managers with real PostgreSQL 15, one PID 1 of a PID namespace of its own, one an ordinary
 * process, both on the machine's loopback. Skipped, and said so, where the machine cannot. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "harness/test.h"
#include "pods_helper.h"

static struct pods *p;

/* Does anybody accept there? */
static bool
accepts(const char *address, int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(inet_pton(AF_INET, address, &in.sin_addr), 1);
    bool ok = connect(fd, (const struct sockaddr *)&in, sizeof(in)) == 0;
    close(fd);
    return ok;
}

static yyjson_val *
status(int n)
{
    yyjson_val *v = NULL;
    (void)pods_get(p, p->pod[n - 1].address, "/pg/status", &v);
    return v;
}

static const char *
ours(int n, const char *key)
{
    const char *s = mh_json_str(status(n), "moonherd", key, NULL);
    return s ? s : "";
}

/* Waits for a member of moonherd's part of the status. */
static const char *
wait_ours(int n, const char *key, const char *want)
{
    for (int i = 0; i < 300 && strcmp(ours(n, key), want) != 0; i++)
        pods_pause(p, 100);
    return ours(n, key);
}

static bool
wait_flag(int n, const char *key, bool want)
{
    for (int i = 0; i < 300 && mh_json_bool(status(n), !want, key, NULL) != want; i++)
        pods_pause(p, 100);
    return mh_json_bool(status(n), !want, key, NULL) == want;
}

static const char *
wait_app(const char *password, const char *want)
{
    const char *got = "";
    for (int i = 0; i < 100; i++) {
        got = pods_app(p, 1, password, "select 'in'");
        if (strcmp(got, want) == 0)
            break;
        pods_pause(p, 100);
    }
    return got;
}

TEST(two_instances_come_up_on_one_loopback)
{
    static const char *const init[] = { "init",
                                        "--initdb-flags",
                                        "-N --encoding=UTF8 "
                                        "--lc-collate=C",
                                        "--app-db-name",
                                        "app",
                                        "--app-user",
                                        "app",
                                        NULL };
    const char *join[] = { "join", "--parent-node", "", NULL };
    p = pods_new();
    if (!p)
        return;
    join[2] = p->pod[0].address;
    CHECK_INT(pods_run(p, 1, init), 0);
    pods_start(p, 1, true);
    CHECK_STR(wait_ours(1, "gate", "open"), "open");
    CHECK_INT(pods_run(p, 2, join), 0);
    pods_start(p, 2, false);
    CHECK_STR(wait_ours(2, "role", "standby"), "standby");
    CHECK_STR(pods_wait_local(p, 1,
                              "select count(*) from pg_stat_replication where state = "
                              "'streaming' and application_name = 'demo-2'",
                              "1", 30),
              "1");
}

TEST(each_listens_on_its_own_address_only)
{
    static const int ports[] = { 5432, 8000, 9187 };
    if (!p)
        return;
    for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
        CHECK(accepts(p->pod[0].address, ports[i]) && accepts(p->pod[1].address, ports[i]));
        CHECK(!accepts(p->pod[2].address, ports[i]));
    }
    CHECK_STR(pods_local(p, 1, "show listen_addresses"), p->pod[0].address);
    CHECK_STR(pods_local(p, 2, "show listen_addresses"), p->pod[1].address);
}

TEST(status_prints_what_the_manager_says)
{
    static const char *const ask[] = { "status", NULL };
    if (!p)
        return;
    yyjson_val *v = NULL;
    struct pod *pod = &p->pod[2]; /* a pod without a manager */
    CHECK_INT(pods_run(p, 3, ask), 1);
    CHECK(strstr(mh_buf_text(&pod->log), "no answer") != NULL);
    /* as in the pod of demo-1 */
    char command[600];
    (void)snprintf(command, sizeof(command),
                   "ASAN_OPTIONS=detect_leaks=0 MOONHERD_POD_IP=%s "
                   "MOONHERD_CERT_DIR=%s/demo-1/certificates "
                   "%s/demo-1/manager instance status",
                   p->pod[0].address, p->dir, p->dir);
    FILE *f = popen(command, "r");
    static char text[65536];
    for (int i = 0; i < 20; i++) /* the answer waits in the pipe while other pods are served */
        pods_pause(p, 50);
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f)
        (void)pclose(f); /* the loop has reaped it */
    CHECK_INT(mh_json_parse(&p->arena, text, n, &v, NULL), MH_OK);
    CHECK(mh_json_bool(v, false, "isPrimary", NULL));
    CHECK_STR(mh_json_str(v, "pod", "metadata", "name", NULL), "demo-1");
}

/* Every member that the contract names, by its type: t text, b boolean, n number, a list, o object. */
static void
has_members(yyjson_val *v, const char *const *names)
{
    for (; *names; names++) {
        yyjson_val *m = yyjson_obj_get(v, *names + 2);
        bool good = **names == 't'   ? yyjson_is_str(m)
                    : **names == 'b' ? yyjson_is_bool(m)
                    : **names == 'n' ? yyjson_is_num(m)
                    : **names == 'a' ? yyjson_is_arr(m)
                                     : yyjson_is_obj(m);
        if (!good)
            printf("# %s\n", *names);
        CHECK(good);
    }
}

static const char *const status_members[] = { "t currentLsn",
                                              "t receivedLsn",
                                              "t replayLsn",
                                              "t systemID",
                                              "b isPrimary",
                                              "b replayPaused",
                                              "b pendingRestart",
                                              "b pendingRestartForDecrease",
                                              "b isWalReceiverActive",
                                              "b isPgRewindRunning",
                                              "b mightBeUnavailable",
                                              "b isArchivingWAL",
                                              "t node",
                                              "o pod",
                                              "t mightBeUnavailableMaskedError",
                                              "t loadedConfigurationHash",
                                              "t lastArchivedWAL",
                                              "t lastArchivedWALTime",
                                              "t lastFailedWAL",
                                              "t lastFailedWALTime",
                                              "t currentWAL",
                                              "n readyWalFiles",
                                              "n timeLineID",
                                              "a replicationInfo",
                                              "a replicationSlotsInfo",
                                              "a pgStatBasebackupsInfo",
                                              "t executableHash",
                                              "t instanceManagerVersion",
                                              "t instanceArch",
                                              "b isInstanceManagerUpgrading",
                                              "t sessionID",
                                              NULL };

TEST(pg_status_has_all_fields_of_the_contract)
{
    static const char *const replication[] = {
        "t applicationName", "t state",     "t receivedLsn",  "t writeLsn",
        "t flushLsn",        "t replayLsn", "t writeLag",     "t flushLag",
        "t replayLag",       "t syncState", "t syncPriority", NULL
    };
    static const char *const slot[] = {
        "t slotName",    "t plugin",     "t slotType",  "t datoid", "t database", "t xmin",
        "t catalogXmin", "t restartLsn", "t walStatus", "b active", NULL
    };
    if (!p)
        return;
    yyjson_val *v = status(1);
    has_members(v, status_members);
    has_members(status(2), status_members);
    yyjson_val *r = yyjson_arr_get_first(yyjson_obj_get(v, "replicationInfo"));
    has_members(r, replication);
    CHECK_STR(mh_json_str(r, "applicationName", NULL), "demo-2");
    CHECK_STR(mh_json_str(r, "state", NULL), "streaming");
    yyjson_val *s = yyjson_arr_get_first(yyjson_obj_get(v, "replicationSlotsInfo"));
    has_members(s, slot);
    CHECK_STR(mh_json_str(s, "slotName", NULL), "_cnpg_demo_2");
    CHECK_STR(mh_json_str(s, "slotType", NULL), "physical");
    CHECK_INT(strlen(mh_json_str(v, "currentWAL", NULL)), 24);
    CHECK_STR(mh_json_str(status(2), "currentWAL", NULL), "");
    CHECK(strstr(mh_json_str(v, "systemID", NULL),
                 pods_local(p, 1, "select system_identifier from pg_control_system()")));
}

TEST(pg_status_tells_what_the_archiver_does)
{
    if (!p)
        return;
    CHECK_STR(pods_local(p, 1, "select pg_switch_wal() is not null"), "t");
    yyjson_val *v = NULL;
    for (int i = 0; i < 100; i++) {
        v = status(1);
        if (*mh_json_str(v, "lastArchivedWAL", NULL) || *mh_json_str(v, "lastFailedWAL", NULL))
            break;
        pods_pause(p, 100);
    }
    bool good = mh_json_bool(v, false, "isArchivingWAL", NULL);
    const char *wal = mh_json_str(v, good ? "lastArchivedWAL" : "lastFailedWAL", NULL);
    const char *at = mh_json_str(v, good ? "lastArchivedWALTime" : "lastFailedWALTime", NULL);
    CHECK(strlen(wal) >= 24); /* a backup makes a longer name */
    CHECK(strlen(at) == 27 && at[10] == 'T' && at[26] == 'Z');
}

TEST(who_asks_often_for_the_status_leaves_no_sessions_behind)
{
    if (!p)
        return;
    for (int i = 0; i < 20; i++)
        has_members(status(1), status_members);
    CHECK_STR(pods_local(p, 1,
                         "select (count(*) <= 1)::text from pg_stat_activity where "
                         "application_name = 'moonherd-status'"),
              "true");
}

TEST(probes_and_metrics_answer_without_a_certificate)
{
    if (!p)
        return;
    for (int n = 1; n <= 2; n++) {
        CHECK_INT(pods_ask_as(p, PODS_NOBODY, n, "/healthz", NULL), 200);
        CHECK_INT(pods_ask_as(p, PODS_NOBODY, n, "/startupz", NULL), 200);
        CHECK_INT(pods_ask_as(p, PODS_NOBODY, n, "/failsafe", NULL), 200);
        CHECK(strstr(pods_metrics(p, n), "\ncnpg_collector_up{cluster=\"demo\"} 1\n") != NULL);
        CHECK(strstr(pods_metrics(p, n), "\ncnpg_collector_fencing_on 0\n") != NULL);
    }
    CHECK(strstr(pods_metrics(p, 1), "\nmoonherd_instance_primary 1\n") != NULL);
    CHECK(strstr(pods_metrics(p, 2), "\nmoonherd_instance_primary 0\n") != NULL);
}

TEST(only_the_operator_commands_and_only_this_cluster)
{
    static const char reload[] = "{\"clusterUID\":\"uid-demo\",\"command\":\"reload\"}";
    static const char other[] = "{\"clusterUID\":\"uid-other\",\"command\":\"reload\"}";
    static const char unknown[] = "{\"clusterUID\":\"uid-demo\",\"command\":\"dance\"}";
    const char *path = "/moonherd/v1/command";
    if (!p)
        return;
    CHECK_INT(pods_ask_as(p, PODS_OPERATOR, 1, path, reload), 200);
    CHECK_INT(pods_ask_as(p, PODS_NOBODY, 1, path, reload), 401);
    CHECK_INT(pods_ask_as(p, PODS_REPLICA, 1, path, reload), 503);
    CHECK_INT(pods_ask_as(p, PODS_OPERATOR, 1, path, other), 403);
    CHECK_INT(pods_ask_as(p, PODS_OPERATOR, 1, path, unknown), 400);
    CHECK_INT(pods_ask_as(p, PODS_OPERATOR, 1, path, "{"), 400);
    CHECK_INT(pods_ask_as(p, PODS_NOBODY, 1, "/pg/status", NULL), 200);
    CHECK_INT(pods_ask_as(p, PODS_NOBODY, 1, "/readyz", NULL), 200);
    CHECK_INT(pods_ask_as(p, PODS_NOBODY, 1, "/moonherd/v1/peer", NULL), 401);
    CHECK_INT(pods_ask_as(p, PODS_REPLICA, 1, "/moonherd/v1/peer", NULL), 200);
    CHECK_INT(pods_ask_as(p, PODS_NOBODY, 1, "/moonherd/v1/member", NULL), 401);
    CHECK_INT(pods_ask_as(p, PODS_REPLICA, 1, "/moonherd/v1/member", NULL), 200);
    CHECK_INT(pods_ask_as(p, PODS_NOBODY, 1, "/moonherd/v1/stream", NULL), 401);
    CHECK_INT(pods_ask_as(p, PODS_REPLICA, 1, "/moonherd/v1/stream", NULL), 503);
    CHECK_INT(pods_ask_as(p, PODS_NOBODY, 1, "/etc/passwd", NULL), 404);
}

TEST(passwords_follow_their_secrets_and_are_written_nowhere)
{
    if (!p)
        return;
    CHECK_STR(wait_app("first", "in"), "in");
    CHECK_STR(pods_local(p, 1, "create extension pg_stat_statements schema public"), "");
    pods_secret(p, "demo-app", "app", "qualle-7");
    pods_patch(p, PODS_CLUSTER "/status",
               "{\"status\":{\"secretsResourceVersion\":{\"applicationSecretVersion\":\"2\"}}}");
    CHECK_STR(wait_app("qualle-7", "in"), "in");
    CHECK(strcmp(pods_app(p, 1, "first", "select 'in'"), "in") != 0);
    pods_secret(p, "demo-app", "app", "gr\xc3\xbc\xc3\x9f-gott"); /* the server hashes this one */
    pods_patch(p, PODS_CLUSTER "/status",
               "{\"status\":{\"secretsResourceVersion\":{\"applicationSecretVersion\":\"3\"}}}");
    CHECK_STR(wait_app("gr\xc3\xbc\xc3\x9f-gott", "in"), "in");
    CHECK_STR(pods_local(p, 1, "select left(rolpassword, 14) from pg_authid where rolname='app'"),
              "SCRAM-SHA-256$");
    /* log_statement is all, log_min_duration_statement 0: others' statements are there */
    for (int i = 0; i < 50 && !strstr(mh_buf_text(&p->pod[0].log), "left(rolpassword, 14)"); i++)
        pods_pause(p, 100);
    const char *log = mh_buf_text(&p->pod[0].log);
    CHECK(strstr(log, "left(rolpassword, 14)") != NULL);
    CHECK(!strstr(log, "qualle") && !strstr(log, "gott"));
    CHECK(!strstr(log, "ALTER ROLE") && !strstr(log, "SCRAM-SHA-256$4096"));
    CHECK_STR(pods_local(p, 1,
                         "select count(*) from public.pg_stat_statements where query ilike '%alter "
                         "role%'"),
              "0");
    CHECK(strcmp(pods_local(p, 1, "select count(*) from public.pg_stat_statements"), "0") != 0);
}

TEST(postgres_gets_a_password_and_loses_it_again)
{
    if (!p)
        return;
    static const char has[] =
        "select (rolpassword is not null)::text from pg_authid where rolname = 'postgres'";
    CHECK_STR(pods_wait_local(p, 1, has, "false", 20), "false");
    pods_secret(p, "demo-superuser", "postgres", "boss");
    pods_patch(p, PODS_CLUSTER, "{\"spec\":{\"enableSuperuserAccess\":true}}");
    CHECK_STR(pods_wait_local(p, 1, has, "true", 20), "true");
    CHECK_STR(
        pods_ask(p,
                 mh_arena_printf(&p->arena, "host=%s user=postgres dbname=postgres password=boss",
                                 p->pod[0].address),
                 "select 'in'"),
        "in");
    pods_patch(p, PODS_CLUSTER, "{\"spec\":{\"enableSuperuserAccess\":false}}");
    CHECK_STR(pods_wait_local(p, 1, has, "false", 20), "false");
}

TEST(the_primarys_slots_are_on_the_standby_and_go_on)
{
    if (!p)
        return;
    static const char names[] =
        "select string_agg(slot_name, ',' order by slot_name) from pg_replication_slots";
    (void)pods_local(p, 1, "select pg_create_physical_replication_slot('mine', true)");
    (void)pods_local(p, 1, "select pg_create_physical_replication_slot('tmp_1', true)");
    (void)pods_local(p, 1, "select pg_create_physical_replication_slot('lazy')");
    CHECK_STR(pods_wait_local(p, 2, names, "_cnpg_demo_3,lazy,mine", 20), "_cnpg_demo_3,lazy,mine");
    CHECK_STR(pods_local(p, 2,
                         "select (restart_lsn is null)::text from pg_replication_slots where "
                         "slot_name = 'lazy'"),
              "true");
    (void)pods_local(p, 1, "create table public.t as select generate_series(1,100000) x");
    const char *lsn = pods_local(
        p, 1, "select pg_replication_slot_advance('mine', pg_current_wal_lsn()) is null");
    CHECK_STR(lsn, "f");
    lsn = pods_local(p, 1, "select restart_lsn from pg_replication_slots where slot_name = 'mine'");
    CHECK_STR(pods_wait_local(p, 2,
                              "select restart_lsn from pg_replication_slots where slot_name = "
                              "'mine'",
                              lsn, 20),
              lsn);
    (void)pods_local(p, 1, "select pg_drop_replication_slot('lazy')");
    pods_patch(p, PODS_CLUSTER "/status",
               "{\"status\":{\"instanceNames\":[\"demo-1\",\"demo-2\"]}}");
    CHECK_STR(pods_wait_local(p, 2, names, "mine", 20), "mine");
    CHECK_STR(pods_wait_local(p, 1, names, "_cnpg_demo_2,mine,tmp_1", 20),
              "_cnpg_demo_2,mine,tmp_1");
    pods_patch(p, PODS_CLUSTER,
               "{\"spec\":{\"replicationSlots\":{\"highAvailability\":{\"enabled\":false},"
               "\"synchronizeReplicas\":{\"excludePatterns\":[\"^mi\",\"^tmp_\"]}}}}");
    CHECK_STR(pods_local(p, 2, "select pg_drop_replication_slot('mine')"), "");
    pods_pause(p, 900);
    pods_pause(p, 900);
    CHECK_STR(pods_local(p, 2, names), "");
    pods_patch(p, PODS_CLUSTER,
               "{\"spec\":{\"replicationSlots\":{\"highAvailability\":{\"enabled\":true},"
               "\"synchronizeReplicas\":{\"excludePatterns\":[]}}}}");
}

static void
max_connections(const char *n)
{
    pods_patch(p, PODS_CLUSTER,
               mh_arena_printf(&p->arena,
                               "{\"spec\":{\"postgresql\":{\"parameters\":{\"max_connections\":"
                               "\"%s\"}}}}",
                               n));
}

/* The standby has replayed all that there is. */
static void
caught_up(void)
{
    const char *sql =
        "select count(*) from pg_stat_replication where replay_lsn >= pg_current_wal_lsn()";
    CHECK_STR(pods_wait_local(p, 1, sql, "1", 30), "1");
}

static void
fence(const char *value)
{
    pods_patch(p, PODS_CLUSTER,
               mh_arena_printf(&p->arena,
                               "{\"metadata\":{\"annotations\":{\"cnpg.io/fencedInstances\":%s}}}",
                               value));
}

TEST(a_higher_limit_waits_for_a_restart_everywhere)
{
    if (!p)
        return;
    max_connections("120");
    CHECK(wait_flag(1, "pendingRestart", true) && wait_flag(2, "pendingRestart", true));
    CHECK(!mh_json_bool(status(1), true, "pendingRestartForDecrease", NULL));
    CHECK_INT(pods_command(p, 2, "restart"), 200);
    CHECK_STR(pods_wait_local(p, 2, "show max_connections", "120", 20), "120");
    CHECK_INT(pods_command(p, 1, "restart"), 200);
    CHECK_STR(pods_wait_local(p, 1, "show max_connections", "120", 20), "120");
    CHECK(wait_flag(1, "pendingRestart", false) && wait_flag(2, "pendingRestart", false));
    CHECK_STR(wait_ours(1, "gate", "open"), "open");
    caught_up();
}

TEST(a_lower_limit_reaches_the_primary_first)
{
    if (!p)
        return;
    max_connections("110");
    CHECK(wait_flag(1, "pendingRestartForDecrease", true));
    pods_pause(p, 900);
    CHECK(!mh_json_bool(status(2), true, "pendingRestart", NULL));
    CHECK_INT(pods_command(p, 2, "restart"), 200); /* even then it keeps what it needs */
    pods_pause(p, 500);
    CHECK_STR(pods_wait_local(p, 2, "show max_connections", "120", 20), "120");
    CHECK_INT(pods_command(p, 1, "restart"), 200);
    CHECK_STR(pods_wait_local(p, 1, "show max_connections", "110", 20), "110");
    CHECK(wait_flag(2, "pendingRestart", true));
    CHECK_INT(pods_command(p, 2, "restart"), 200);
    CHECK_STR(pods_wait_local(p, 2, "show max_connections", "110", 20), "110");
    CHECK(wait_flag(2, "pendingRestart", false));
}

/* PostgreSQL stops replaying where its primary got more than it has. */
TEST(a_standby_that_slept_through_a_higher_limit_helps_itself)
{
    if (!p)
        return;
    caught_up();
    fence("\"[\\\"demo-2\\\"]\"");
    CHECK_STR(wait_ours(2, "role", "none"), "none");
    max_connections("130");
    CHECK(wait_flag(1, "pendingRestart", true));
    CHECK_INT(pods_command(p, 1, "restart"), 200);
    CHECK_STR(pods_wait_local(p, 1, "show max_connections", "130", 20), "130");
    CHECK_STR(wait_ours(1, "gate", "open"), "open");
    max_connections("115");
    CHECK(wait_flag(1, "pendingRestartForDecrease", true));
    fence("null");
    CHECK_STR(pods_wait_local(p, 2, "show max_connections", "130", 30), "130");
    caught_up();
    CHECK(strstr(mh_buf_text(&p->pod[1].log), "replay waits for higher limits") != NULL);
}

TEST(a_fenced_primary_is_down_and_its_manager_up)
{
    if (!p)
        return;
    CHECK_STR(wait_ours(1, "gate", "open"), "open");
    pods_patch(
        p, PODS_CLUSTER,
        "{\"metadata\":{\"annotations\":{\"cnpg.io/fencedInstances\":\"[\\\"demo-1\\\"]\"}}}");
    CHECK_STR(wait_ours(1, "role", "none"), "none");
    CHECK(!accepts(p->pod[0].address, 5432));
    CHECK_INT(pods_get(p, p->pod[0].address, "/readyz", NULL), 500);
    CHECK_INT(pods_get(p, p->pod[0].address, "/healthz", NULL), 200);
    CHECK_INT(pods_get(p, p->pod[0].address, "/startupz", NULL), 200);
    has_members(status(1), status_members);
    CHECK(mh_json_bool(status(1), false, "mightBeUnavailable", NULL));
    CHECK(strstr(pods_metrics(p, 1), "\ncnpg_collector_up{cluster=\"demo\"} 0\n") != NULL);
    CHECK(strstr(pods_metrics(p, 1), "\ncnpg_collector_fencing_on 1\n") != NULL);
    pods_pause(p, 900);
    yyjson_val *lease = tw_object(p->tw, PODS_LEASE);
    CHECK_STR(mh_json_str(lease, "spec", "holderIdentity", NULL), "demo-1");
    CHECK_INT(mh_json_int(lease, 0, "spec", "leaseTransitions", NULL), 1);
    CHECK(accepts(p->pod[1].address, 5432));
    fence("null");
    CHECK_STR(wait_ours(1, "gate", "open"), "open");
    CHECK(!mh_json_bool(status(1), true, "mightBeUnavailable", NULL));
    CHECK_STR(pods_local(p, 1, "select count(*) from public.t"), "100000");
}

/* The postmaster is shot; its backends must not live on. As PID 1 of a namespace, and not. */
static void
shoot(int n)
{
    const char *old = pods_local(p, n, "select pg_backend_pid()");
    char *backend = mh_arena_strdup(&p->arena, old);
    char path[200];
    int pid = 0;
    (void)snprintf(path, sizeof(path), "%s/%s-data/pgdata/postmaster.pid", p->dir,
                   p->pod[n - 1].name);
    FILE *f = fopen(path, "re");
    CHECK(f && fscanf(f, "%d", &pid) == 1 && pid > 1);
    if (f)
        (void)fclose(f);
    if (p->pod[n - 1].own_pids) { /* its number means nothing out here */
        char command[300];
        (void)snprintf(command, sizeof(command),
                       "nsenter -t $(cat /proc/%d/task/%d/children) -p -m kill -9 %d",
                       (int)p->pod[n - 1].child.pid, (int)p->pod[n - 1].child.pid, pid);
        CHECK_INT(system(command), 0);
    } else {
        CHECK_INT(kill(pid, SIGKILL), 0);
    }
    pods_pause(p, 300);
    const char *fresh = pods_wait_local(p, n, "select 'up'", "up", 20);
    CHECK_STR(fresh, "up");
    CHECK(strcmp(pods_local(p, n, "select pg_backend_pid()"), backend) != 0);
}

TEST(a_shot_postmaster_is_started_again_in_place)
{
    if (!p)
        return;
    shoot(2);
    CHECK_STR(wait_ours(2, "role", "standby"), "standby");
    if (geteuid() == 0)
        shoot(1);
    CHECK_STR(wait_ours(1, "gate", "open"), "open");
    CHECK_STR(pods_wait_local(p, 1, "select count(*) from pg_stat_replication", "1", 30), "1");
    CHECK(p->pod[0].running && !p->pod[0].ended && !p->pod[1].ended);
}

TEST(they_end_when_they_are_told_to)
{
    if (!p)
        return;
    pods_stop(p, 2);
    pods_stop(p, 1);
    CHECK_INT(p->pod[0].child.exit_code, 0);
    CHECK_INT(p->pod[1].child.exit_code, 0);
    pods_free(p);
    p = NULL;
}
