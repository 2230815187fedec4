#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/test.h"
#include "instance/hba.h"
#include "instance/params.h"
#include "instance/syncnames.h"
#include "net/crypto.h"

static struct mh_arena arena;

static yyjson_val *
json(const char *text)
{
    yyjson_val *v = NULL;
    struct mh_err err = { 0 };
    CHECK_INT(mh_json_parse(&arena, text, strlen(text), &v, &err), MH_OK);
    return v;
}

static const char *
custom(const char *cluster, int major, char hash[65])
{
    struct mh_params_in in = { .cluster = json(cluster), .major = major };
    const char *text = NULL;
    CHECK_INT(mh_params_custom(&arena, &in, &text, hash, NULL), MH_OK);
    return text;
}

static void
begin(void)
{
    mh_arena_init(&arena, 64 << 20);
}

static void
end(void)
{
    mh_arena_release(&arena);
}

/* --- which configuration ------------------------------------------------------------------------ */

static void
is_config(const char *cluster, const char *want)
{
    char text[MH_CONFIG_OF];
    begin();
    mh_params_config_of(json(cluster), text);
    CHECK_STR(text, want);
    end();
}

/* The same texts stand in tests/lua/controllers/rollout_spec.lua. */
TEST(the_manager_names_its_configuration_as_the_operator_does)
{
    is_config("{\"metadata\":{\"generation\":7}}", "7");
    is_config(
        "{\"metadata\":{\"generation\":7,\"annotations\":{\"moonherd.io/instance-policy\":\"\"}}}",
        "7");
    is_config("{\"metadata\":{\"generation\":7,\"annotations\":{\"moonherd.io/instance-policy\":"
              "\"{\\\"pg-2\\\":{\\\"parameters\\\":{\\\"work_mem\\\":\\\"77MB\\\"}}}\"}}}",
              "7-d115df99854aee6e");
}

/* --- parameters ---------------------------------------------------------------------------------- */

static void
compare(const char *cluster, int major, FILE *f, char *line, size_t size, bool *more)
{
    struct mh_params_in in = { .cluster = json(cluster), .major = major };
    struct mh_params p = { 0 };
    int seen = 0;
    CHECK_INT(mh_params_effective(&arena, &in, &p, NULL), MH_OK);
    while ((*more = fgets(line, (int)size, f) != NULL) && line[0] != '=') {
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, '\t');
        *value++ = '\0';
        CHECK_STR(mh_params_get(&p, line), value);
        seen++;
    }
    for (int i = 0; i < p.len; i++)
        seen += strcmp(p.items[i].name, "synchronous_standby_names") == 0;
    CHECK_INT(seen, p.len);
}

TEST(parameters_are_those_of_the_script)
{
    FILE *f = popen(MH_LUA " tests/unit/instance/params_expect.lua", "r");
    char line[65536];
    int cases = 0;
    CHECK(f != NULL);
    bool more = f && fgets(line, sizeof(line), f);
    while (more) {
        begin();
        char *cluster = mh_arena_strdup(&arena, strchr(line + 2, ' ') + 1);
        cluster[strcspn(cluster, "\n")] = '\0';
        compare(cluster, atoi(line + 2), f, line, sizeof(line), &more);
        cases++;
        end();
    }
    CHECK_INT(pclose(f), 0);
    CHECK(cases >= 16);
}

TEST(the_hash_is_that_of_the_lines_before_it)
{
    char hash[65];
    char again[65];
    begin();
    const char *text = custom("{\"metadata\":{\"name\":\"demo\"}}", 15, hash);
    const char *at = strstr(text, "cnpg.config_sha256");
    CHECK(at != NULL);
    mh_sha256_hex(again, text, (size_t)(at - text));
    CHECK_STR(hash, again);
    CHECK(strstr(at, hash) != NULL);
    CHECK(strstr(text, "\ncluster_name = 'demo'\n") != NULL);
    CHECK(strstr(text, "archive_command = '/controller/manager wal-archive --log-destination "
                       "/controller/log/postgres.json %p'\n") != NULL);
    CHECK(strstr(text, "\nwal_retrieve_retry_interval = '200ms'\n") != NULL);
    end();
}

TEST(a_parameter_cannot_be_smuggled_in)
{
    begin();
    const char *text =
        custom("{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"postgresql\":{\"parameters\":{"
               "\"PORT\":\"1\",\"Data_Directory\":\"/x\",\"include\":\"/etc/passwd\","
               "\"work_mem\":\"1MB'\\nport = '7\",\"a "
               "b\":\"c\",\"x.y.z\":\"1\",\"cnpg.config_sha256\":\"0\","
               "\"log_line_prefix\":\"it's \\\\m "
               "\",\"Work_Mem\":\"2MB\",\"wal_retrieve_retry_interval\":\"3s\"}}}}",
               15, NULL);
    CHECK(!strstr(text, "PORT") && !strstr(text, "Data_Directory") && !strstr(text, "include"));
    CHECK(!strstr(text, "'7") && !strstr(text, "a b") && !strstr(text, "x.y.z"));
    CHECK(strstr(text, "log_line_prefix = 'it''s \\\\m '\n") != NULL);
    CHECK(strstr(text, "Work_Mem = '2MB'\n") != NULL);
    CHECK(strstr(text, "wal_retrieve_retry_interval = '3s'\n") != NULL);
    CHECK(strstr(text, "port = '5432'\n") != NULL);
    end();
}

/* The annotation of instance/v1, as text in JSON. */
#define OWN(list)                                                                                  \
    "{\"metadata\":{\"name\":\"demo\",\"annotations\":{\"moonherd.io/instance-policy\":\"" list    \
    "\"}},"                                                                                        \
    "\"spec\":{\"postgresql\":{\"parameters\":{\"work_mem\":\"4MB\"}}}}"

static const char *
own_value(const char *cluster, const char *instance, const char *name)
{
    static char value[100];
    struct mh_params p = { 0 };
    mh_arena_release(&arena);
    mh_arena_init(&arena, (size_t)8 << 20);
    struct mh_params_in in = { .cluster = json(cluster), .instance = instance, .major = 15 };
    CHECK_INT(mh_params_effective(&arena, &in, &p, NULL), MH_OK);
    const char *got = mh_params_get(&p, name);
    (void)snprintf(value, sizeof(value), "%s", got ? got : "none");
    return value;
}

TEST(an_instance_has_parameters_of_its_own)
{
    begin();
    static const char cluster[] =
        OWN("{\\\"demo-3\\\":{\\\"parameters\\\":{\\\"work_mem\\\":\\\"64MB\\\",\\\"jit\\\":false,"
            "\\\"recovery_min_apply_delay\\\":\\\"4h\\\",\\\"temp_buffers\\\":100,"
            "\\\"archive_command\\\":\\\"rm\\\",\\\"Port\\\":1,\\\"hba_file\\\":\\\"x\\\"}}}");
    CHECK_STR(own_value(cluster, "demo-3", "work_mem"), "64MB");
    CHECK_STR(own_value(cluster, "demo-3", "jit"), "off");
    CHECK_STR(own_value(cluster, "demo-3", "temp_buffers"), "100");
    CHECK_STR(own_value(cluster, "demo-3", "recovery_min_apply_delay"), "4h");
    CHECK_STR(own_value(cluster, "demo-3", "port"), "5432");
    CHECK_STR(own_value(cluster, "demo-3", "hba_file"), "none");
    CHECK_STR(own_value(cluster, "demo-3", "include"), "none");
    CHECK_STR(own_value(cluster, "demo-3", "a b"), "none");
    CHECK(strstr(own_value(cluster, "demo-3", "archive_command"), "/controller/manager") != NULL);
    CHECK_STR(own_value(cluster, "demo-2", "work_mem"), "4MB");
    CHECK_STR(own_value(cluster, NULL, "work_mem"), "4MB");
    CHECK_STR(own_value(OWN("no json"), "demo-3", "work_mem"), "4MB");
    CHECK_STR(own_value(OWN("[1]"), "demo-3", "work_mem"), "4MB");
    end();
}

TEST(archiving_follows_annotation_and_replica)
{
    begin();
    CHECK(strstr(custom("{\"metadata\":{\"name\":\"d\",\"annotations\":{\"cnpg.io/"
                        "skipWalArchiving\":\"enabled\"}}}",
                        15, NULL),
                 "archive_mode = 'off'\n") != NULL);
    CHECK(strstr(custom("{\"metadata\":{\"name\":\"d\"},\"spec\":{\"replica\":{\"enabled\":true}}}",
                        15, NULL),
                 "archive_mode = 'always'\n") != NULL);
    end();
}

TEST(slots_tablespaces_and_extensions_of_the_cluster)
{
    begin();
    const char *text = custom(
        "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"replicationSlots\":{\"highAvailability\":{"
        "\"synchronizeLogicalDecoding\":true}},\"tablespaces\":[{\"name\":\"t1\",\"temporary\":"
        "true},"
        "{\"name\":\"t2\"},{\"name\":\"t3\",\"temporary\":true}],\"postgresql\":{\"extensions\":["
        "{\"name\":\"one\"},{\"name\":\"two\",\"dynamic_library_path\":[\"lib/a\",\"lib/b\"]}]}},"
        "\"status\":{\"currentPrimary\":\"demo-1\",\"instanceNames\":[\"demo-1\",\"demo-2\",\"demo-"
        "10\"]}}",
        18, NULL);
    CHECK(strstr(text, "synchronized_standby_slots = '_cnpg_demo_2,_cnpg_demo_10'\n") != NULL);
    CHECK(strstr(text, "temp_tablespaces = 't1,t3'\n") != NULL);
    CHECK(strstr(
        text, "extension_control_path = '$system:/extensions/one/share:/extensions/two/share'\n"));
    CHECK(strstr(text,
                 "dynamic_library_path = "
                 "'$libdir:/extensions/one/lib:/extensions/two/lib/a:/extensions/two/lib/b'\n"));
    end();
}

TEST(the_caller_has_the_last_word)
{
    begin();
    const struct mh_param extra[] = { { "max_connections", "500" }, { "max_wal_senders", "20" } };
    struct mh_params_in in = { .cluster = json("{\"metadata\":{\"name\":\"demo\"}}"),
                               .major = 15,
                               .sync_names = "ANY 1 (\"demo-2\")",
                               .sync_metadata = "{\"method\":\"ANY\"}",
                               .extra = extra,
                               .nextra = 2 };
    const char *text = NULL;
    CHECK_INT(mh_params_custom(&arena, &in, &text, NULL, NULL), MH_OK);
    CHECK(strstr(text, "max_connections = '500'\n") != NULL);
    CHECK(strstr(text, "synchronous_standby_names = 'ANY 1 (\"demo-2\")'\n") != NULL);
    CHECK(strstr(text, "cnpg.synchronous_standby_names_metadata = '{\"method\":\"ANY\"}'\n") !=
          NULL);
    end();
}

TEST(override_conf_has_what_a_standby_needs)
{
    begin();
    yyjson_val *cluster = json("{\"metadata\":{\"name\":\"demo\"}}");
    const char *info =
        mh_params_conninfo(&arena, "10.0.0.7", "demo-2", "/controller/certificates", NULL);
    const struct mh_override o = { MH_RESTORE_COMMAND, info,
                                   mh_params_slot(&arena, cluster, "Demo--2") };
    const char *text = mh_params_override(&arena, &o);
    CHECK(strstr(text, "recovery_target_timeline = 'latest'\n") != NULL);
    CHECK(strstr(text, "primary_slot_name = '_cnpg_demo_2'\n") != NULL);
    CHECK(strstr(text, "host=10.0.0.7 user=streaming_replica port=5432 "
                       "sslkey=/controller/certificates/streaming_replica.key ") != NULL);
    CHECK(strstr(text, "sslmode=verify-ca dbname=postgres tcp_user_timeout=''5000'''\n") != NULL);
    CHECK_STR(mh_params_override(&arena, &(struct mh_override){ 0 }),
              "recovery_target_timeline = 'latest'\n");
    yyjson_val *off =
        json("{\"spec\":{\"replicationSlots\":{\"highAvailability\":{\"enabled\":false}}}}");
    CHECK_STR(mh_params_slot(&arena, off, "demo-2"), "");
    end();
}

/* --- pg_hba and pg_ident ------------------------------------------------------------------------- */

TEST(a_closed_gate_admits_the_manager_and_replication_only)
{
    begin();
    struct mh_hba_in in = {
        json("{\"spec\":{\"postgresql\":{\"pg_hba\":[\"host all all all trust\"]}}}"),
        15,
        false,
        false,
        NULL,
        NULL
    };
    const char *text = mh_hba_text(&arena, &in);
    CHECK(!strstr(text, "trust") && !strstr(text, "scram") && !strstr(text, "local all all"));
    CHECK(strstr(text, "local all postgres peer map=local\n") != NULL);
    CHECK(strstr(text,
                 "hostssl replication streaming_replica all cert map=cnpg_streaming_replica\n"));
    in.replication_from = "10.0.0.3";
    CHECK(strstr(mh_hba_text(&arena, &in), "hostssl replication streaming_replica 10.0.0.3/32 cert "
                                           "map=cnpg_streaming_replica\n"));
    in.replication_from = "fd00::3";
    CHECK(strstr(mh_hba_text(&arena, &in), "replication streaming_replica fd00::3/128 cert"));
    in.replication_from = "all\nhost all all all trust";
    CHECK(!strstr(mh_hba_text(&arena, &in), "trust"));
    in.no_replication = true;
    CHECK(!strstr(mh_hba_text(&arena, &in), "replication streaming_replica"));
    end();
}

TEST(an_open_gate_has_the_lines_in_order)
{
    begin();
    struct mh_hba_in in = {
        json(
            "{\"spec\":{\"podSelectorRefs\":[{\"name\":\"apps\"},{\"name\":\"none\"}],"
            "\"postgresql\":{\"pg_hba\":["
            "\"hostssl db app ${podselector:apps} scram-sha-256\",\"host x x ${podselector:lost} "
            "md5\","
            "\"host y y ${podselector:none} md5\",\"host z z 1.2.3.4/32 md5\\nhost all all all "
            "trust\"],"
            "\"ldap\":{\"server\":\"ldap.x\",\"port\":636,\"scheme\":\"ldaps\",\"bindSearchAuth\":{"
            "\"baseDN\":\"dc=x\",\"searchFilter\":\"(a=\\\"b\\\")\"}}}},"
            "\"status\":{\"podSelectorRefs\":[{\"name\":\"apps\",\"ips\":[\"10.0.0.1\",\"fd00::1\","
            "\"x\"]}]}}"),
        15,
        true,
        false,
        NULL,
        "se\"cret"
    };
    CHECK_STR(
        mh_hba_text(&arena, &in),
        "local all cnpg_metrics_exporter peer map=cnpg_metrics_exporter\n"
        "local all all peer map=local\n"
        "hostssl postgres streaming_replica all cert map=cnpg_streaming_replica\n"
        "hostssl replication streaming_replica all cert map=cnpg_streaming_replica\n"
        "hostssl all cnpg_pooler_pgbouncer all cert map=cnpg_pooler_pgbouncer\n"
        "hostssl db app 10.0.0.1/32 scram-sha-256\n"
        "hostssl db app fd00::1/128 scram-sha-256\n"
        "# host x x ${podselector:lost} md5\n"
        "# error: podSelectorRefs has no \"lost\"\n"
        "# error: a line of spec.postgresql.pg_hba has a line break\n"
        "host all all 0.0.0.0/0 ldap ldapserver=\"ldap.x\" ldapport=636 ldapscheme=\"ldaps\" "
        "ldapbasedn=\"dc=x\" ldapbindpasswd=\"se\"\"cret\" ldapsearchfilter=\"(a=\"\"b\"\")\"\n"
        "host all all all scram-sha-256\n");
    in.major = 13;
    CHECK(strstr(mh_hba_text(&arena, &in), "host all all all md5\n") != NULL);
    end();
}

TEST(pg_ident_maps_the_local_user_and_the_certificates)
{
    begin();
    CHECK_STR(
        mh_ident_text(&arena, json("{\"spec\":{\"postgresql\":{\"pg_ident\":[\"m a b\"]}}}"), "26"),
        "local \"26\" postgres\n"
        "cnpg_streaming_replica streaming_replica streaming_replica\n"
        "cnpg_pooler_pgbouncer cnpg_pooler_pgbouncer cnpg_pooler_pgbouncer\n"
        "cnpg_metrics_exporter \"26\" cnpg_metrics_exporter\n"
        "local \"26\" \"app\"\n" /* plugins, as the owner */
        "m a b\n");
    end();
}

/* --- synchronous names --------------------------------------------------------------------------- */

static struct mh_sync_names
names(const char *cluster, int n, const struct mh_sync_instance *list)
{
    struct mh_sync_in in = { json(cluster), "demo-1", list, n, NULL, 0 };
    struct mh_sync_names out;
    CHECK_INT(mh_sync_names(&arena, &in, &out, NULL), MH_OK);
    return out;
}

static const struct mh_sync_instance three[] = { { "demo-3", false, false, false },
                                                 { "demo-1", true, false, false },
                                                 { "demo-2", true, false, false } };

TEST(required_lists_the_healthy_first_and_the_primary_last)
{
    begin();
    struct mh_sync_names o =
        names("{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"postgresql\":{\"synchronous\":{"
              "\"method\":\"any\",\"number\":1}}}}",
              3, three);
    CHECK_STR(o.text, "ANY 1 (\"demo-2\",\"demo-3\",\"demo-1\")");
    CHECK_INT(o.number, 1);
    CHECK_INT(o.nnames, 2); /* the primary cannot acknowledge its own commits */
    CHECK_STR(o.names[0], "demo-2");
    CHECK_STR(
        o.metadata,
        "{\"method\":\"ANY\",\"number\":1,\"standbyNames\":[\"demo-2\",\"demo-3\",\"demo-1\"]}");
    o = names("{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"postgresql\":{\"synchronous\":{"
              "\"method\":\"first\",\"number\":2,\"maxStandbyNamesFromCluster\":1,"
              "\"standbyNamesPre\":[\"a\\\"b\"],"
              "\"standbyNamesPost\":[\"z\"]}}}}",
              3, three);
    CHECK_STR(o.text, "FIRST 2 (\"a\"\"b\",\"demo-2\",\"z\")");
    CHECK_INT(o.nnames, 3);
    end();
}

/* A policy chose these of four standbys; "23" stream. */
static const char *
chosen(const char *method, int number, const char *streaming, int n, const char *const *of)
{
    static struct mh_sync_instance list[5];
    static const char *const all[] = { "demo-1", "demo-2", "demo-3", "demo-4", "demo-5" };
    for (int i = 0; i < 5; i++)
        list[i] = (struct mh_sync_instance){ .name = all[i],
                                             .healthy = true,
                                             .streams = strchr(streaming, all[i][5]) != NULL };
    const char *cluster =
        mh_arena_printf(&arena,
                        "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"postgresql\":{"
                        "\"synchronous\":{\"method\":\"%s\",\"number\":%d}}}}",
                        method, number);
    struct mh_sync_in in = { json(cluster), "demo-1", list, 5, of, n };
    struct mh_sync_names out;
    CHECK_INT(mh_sync_names(&arena, &in, &out, NULL), MH_OK);
    return out.text;
}

TEST(a_policy_narrows_and_orders_the_synchronous_set)
{
    begin();
    const char *const two[] = { "demo-4", "demo-2" };
    CHECK_STR(chosen("any", 1, "2345", 2, two), "ANY 1 (\"demo-4\",\"demo-2\",\"demo-1\")");
    CHECK_STR(chosen("first", 2, "2345", 2, two), "FIRST 2 (\"demo-4\",\"demo-2\",\"demo-1\")");
    CHECK_STR(chosen("any", 1, "4", 2, two), "ANY 1 (\"demo-4\",\"demo-2\",\"demo-1\")");
    end();
}

TEST(a_policy_never_makes_commits_wait_that_others_could_let_go_on)
{
    begin();
    const char *const two[] = { "demo-4", "demo-2" };
    const char *const odd[] = { "demo-1", "nobody", "demo-9" };
    const char *all = "ANY 1 (\"demo-4\",\"demo-2\",\"demo-3\",\"demo-5\",\"demo-1\")";
    CHECK_STR(chosen("any", 1, "35", 2, two), all);
    CHECK_STR(chosen("any", 3, "2345", 2, two),
              "ANY 3 (\"demo-4\",\"demo-2\",\"demo-3\",\"demo-5\",\"demo-1\")");
    CHECK_STR(chosen("any", 1, "2345", 3, odd),
              "ANY 1 (\"demo-2\",\"demo-3\",\"demo-4\",\"demo-5\",\"demo-1\")");
    end();
}

TEST(nobody_to_wait_for_means_waiting_for_ever_if_required)
{
    begin();
    struct mh_sync_names o =
        names("{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"postgresql\":{\"synchronous\":{"
              "\"method\":\"any\",\"number\":1,\"maxStandbyNamesFromCluster\":0}}}}",
              3, three);
    CHECK_STR(o.text, "ANY 1 (\"demo-placeholder\")");
    CHECK_INT(o.nnames, 0);
    CHECK_INT(o.number, 1);
    end();
}

TEST(preferred_shrinks_to_the_healthy)
{
    begin();
    const char *cluster =
        "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"postgresql\":{\"synchronous\":{"
        "\"method\":\"any\",\"number\":2,\"dataDurability\":\"preferred\"}}}}";
    struct mh_sync_names o = names(cluster, 3, three);
    CHECK_STR(o.text, "ANY 1 (\"demo-2\")");
    CHECK(o.preferred);
    o = names(cluster, 2, three); /* demo-3 is not healthy */
    CHECK_STR(o.text, "");
    CHECK_INT(o.number, 0);
    end();
}

TEST(legacy_numbers_follow_the_healthy_between_min_and_max)
{
    begin();
    struct mh_sync_names o = names(
        "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"minSyncReplicas\":1,\"maxSyncReplicas\":2}}",
        3, three);
    CHECK_STR(o.text, "ANY 1 (\"demo-2\")");
    o = names(
        "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"minSyncReplicas\":2,\"maxSyncReplicas\":2}}",
        3, three);
    CHECK_STR(o.text, "ANY 2 (\"demo-2\",\"demo-3\")");
    CHECK(!o.metadata);
    o = names("{\"metadata\":{\"name\":\"demo\"},\"spec\":{}}", 3, three);
    CHECK_STR(o.text, "");
    end();
}

TEST(who_shares_the_primarys_failure_domain_is_left_out)
{
    begin();
    const struct mh_sync_instance list[] = { { "demo-1", true, true, false },
                                             { "demo-2", true, true, false },
                                             { "demo-3", true, false, false } };
    struct mh_sync_names o =
        names("{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"postgresql\":{\"synchronous\":{"
              "\"method\":\"any\",\"number\":1}}}}",
              3, list);
    CHECK_INT(o.nnames, 1);
    CHECK_STR(o.names[0], "demo-3");
    end();
}

TEST(without_memory_they_fail_and_nothing_breaks)
{
    static const char text[] =
        "{\"metadata\":{\"name\":\"demo\"},\"spec\":{\"replicationSlots\":{\"highAvailability\":{"
        "\"synchronizeLogicalDecoding\":true}},\"postgresql\":{\"pg_hba\":[\"host a a a md5\"],"
        "\"synchronous\":{\"method\":\"any\",\"number\":1},\"parameters\":{\"work_mem\":\"4MB\"}}},"
        "\"status\":{\"instanceNames\":[\"demo-1\",\"demo-2\"]}}";
    bool more = true;
    for (int n = 0; more && n < 500; n++) {
        struct mh_arena a;
        begin();
        struct mh_params_in in = { .cluster = json(text), .major = 17 };
        struct mh_hba_in hba = { in.cluster, 17, true, false, NULL, NULL };
        struct mh_sync_in sync = { in.cluster, "demo-1", three, 3, NULL, 0 };
        struct mh_sync_names names_out;
        const char *out = NULL;
        mh_arena_init(&a, 16 << 20);
        mh_mem_fail_after(n);
        enum mh_code one = mh_params_custom(&a, &in, &out, NULL, NULL);
        char *two = mh_hba_text(&a, &hba);
        enum mh_code third = mh_sync_names(&a, &sync, &names_out, NULL);
        more = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK_INT(one == MH_OK && two && third == MH_OK, !more);
        mh_arena_release(&a);
        end();
    }
    CHECK(!more);
}
