/* What each decision point lets through: the shape of its answers and its safe set. */
#include "harness/test.h"
#include "lua/guard.h"
#include "lua/shape.h"

static struct mh_arena arena;

static yyjson_val *
parse(const char *text)
{
    yyjson_val *v = NULL;
    CHECK(mh_json_parse(&arena, text, strlen(text), &v, NULL) == MH_OK);
    return v;
}

static const char *
guard(const char *point, const char *input, const char *answer)
{
    static struct mh_err err;
    mh_arena_release(&arena);
    mh_arena_init(&arena, (size_t)32 << 20);
    enum mh_code code = mh_guard_answer(point, parse(input), parse(answer), &err);
    mh_arena_release(&arena);
    return code == MH_OK ? "ok" : err.msg;
}

#define BACKUPS                                                                                    \
    "{\"now\":100,\"backups\":[{\"id\":\"d\",\"chain\":[\"c\"]},{\"id\":\"c\"},"                   \
    "{\"id\":\"b\",\"pinned\":true},{\"id\":\"a\"}]}"
#define RETENTION(answer) guard("retention/v1", BACKUPS, answer)

TEST(retention_keeps_what_has_to_stay)
{
    CHECK_STR(RETENTION("{\"keep\":{\"d\":\"x\",\"c\":\"x\",\"b\":\"x\"},\"expire\":[\"a\"]}"),
              "ok");
    CHECK_STR(RETENTION("{\"keep\":{\"d\":\"x\",\"c\":\"x\",\"a\":\"x\"},\"expire\":[\"b\"]}"),
              "decision.expire: 'b' is pinned");
    CHECK_STR(RETENTION("{\"keep\":{\"d\":\"x\",\"b\":\"x\",\"a\":\"x\"},\"expire\":[\"c\"]}"),
              "decision.expire: 'd' needs 'c'");
    CHECK_STR(RETENTION("{\"keep\":{\"c\":\"x\",\"b\":\"x\",\"a\":\"x\"},\"expire\":[\"d\"]}"),
              "decision.expire: 'd' is the newest one");
    CHECK_STR(RETENTION("{\"keep\":{\"b\":\"x\"},\"expire\":[\"d\",\"c\",\"a\"]}"),
              "decision.expire: 3 of 4 at once, want half at most");
    CHECK_STR(RETENTION("{\"keep\":{\"d\":\"x\",\"c\":\"x\",\"b\":\"x\"},\"expire\":[]}"),
              "decision: 'a' is neither kept nor expires");
    CHECK_STR(
        RETENTION(
            "{\"keep\":{\"d\":\"x\",\"c\":\"x\",\"b\":\"x\",\"a\":\"x\"},\"expire\":[\"a\"]}"),
        "decision.expire[1]: 'a' is there twice");
    CHECK_STR(RETENTION("{\"keep\":{\"z\":\"x\"},\"expire\":[]}"),
              "decision.keep: 'z' is no backup");
    CHECK_STR(guard("retention/v1", "{\"backups\":[]}", "{\"keep\":{},\"expire\":[]}"), "ok");
    CHECK_STR(
        guard("retention/v1", "{\"backups\":[{\"id\":\"a\"}]}", "{\"keep\":{},\"expire\":[\"a\"]}"),
        "decision.expire: 1 of 1 at once, want half at most");
}

#define ROLLOUT                                                                                    \
    "{\"now\":100,\"pending\":[{\"name\":\"p\",\"role\":\"primary\",\"safe\":true},"               \
    "{\"name\":\"r\",\"role\":\"replica\",\"safe\":true},"                                         \
    "{\"name\":\"s\",\"role\":\"replica\",\"safe\":false}],\"updated\":[]}"

TEST(rollouts_take_one_that_can_be_spared)
{
    const char *point = "rollout/v1";
    CHECK_STR(
        guard(point, ROLLOUT, "{\"action\":\"update\",\"target\":\"r\",\"method\":\"restart\"}"),
        "ok");
    CHECK_STR(
        guard(point, ROLLOUT, "{\"action\":\"update\",\"target\":\"s\",\"method\":\"restart\"}"),
        "decision.target: 's' may not be restarted now");
    CHECK_STR(
        guard(point, ROLLOUT, "{\"action\":\"update\",\"target\":\"x\",\"method\":\"restart\"}"),
        "decision.target: 'x' is not pending");
    CHECK_STR(
        guard(point, ROLLOUT, "{\"action\":\"update\",\"target\":\"p\",\"method\":\"switchover\"}"),
        "decision.target: want the replicas before the primary");
    CHECK_STR(
        guard(point, ROLLOUT, "{\"action\":\"update\",\"target\":\"r\",\"method\":\"switchover\"}"),
        "decision.method: only the primary can switch over");
    CHECK_STR(guard(point, ROLLOUT, "{\"action\":\"finish\",\"reason\":\"Done\"}"),
              "decision.action: there are instances pending");
    CHECK_STR(guard(point, ROLLOUT, "{\"action\":\"rollback\",\"reason\":\"Bad\"}"),
              "decision.action: this change cannot be taken back");
    CHECK_STR(guard(point, ROLLOUT, "{\"action\":\"wait\",\"reason\":\"Night\",\"at\":2678500}"),
              "ok");
    CHECK_STR(guard(point, ROLLOUT, "{\"action\":\"wait\",\"reason\":\"Night\",\"at\":2678501}"),
              "decision.at: want 2678400 seconds from now at most, not 2678401");
    CHECK_STR(guard(point, ROLLOUT, "{\"action\":\"wait\",\"reason\":\"Night\",\"at\":100}"),
              "decision.at: want a time after now");
    CHECK_STR(guard(point,
                    "{\"now\":1,\"pending\":[{\"name\":\"r\",\"safe\":true}],"
                    "\"updated\":[{\"name\":\"u\",\"ready\":false}]}",
                    "{\"action\":\"update\",\"target\":\"r\",\"method\":\"restart\"}"),
              "decision.action: 'u' is not well yet");
    CHECK_STR(guard(point, ROLLOUT, "{\"action\":\"dance\"}"),
              "decision.action: want update(...), wait(...), rollback(...) or finish(...)");
}

TEST(a_synchronous_set_is_never_too_small_nor_all_new)
{
    const char *in = "{\"required\":2,\"candidates\":[{\"name\":\"a\",\"member\":true},"
                     "{\"name\":\"b\"},{\"name\":\"c\"}]}";
    CHECK_STR(guard("sync/v1", in, "{\"names\":[\"a\",\"b\"]}"), "ok");
    CHECK_STR(guard("sync/v1", in, "{\"names\":[\"a\"]}"), "decision.names: want 2 names at least");
    CHECK_STR(guard("sync/v1", in, "{\"names\":[\"b\",\"c\"]}"),
              "decision.names: want one of the present members");
    CHECK_STR(guard("sync/v1", in, "{\"names\":[\"a\",\"a\"]}"),
              "decision.names[2]: 'a' is there twice");
    CHECK_STR(guard("sync/v1", in, "{\"names\":[\"a\",\"z\"]}"),
              "decision.names[2]: 'z' is no candidate");
    CHECK_STR(guard("sync/v1", "{\"required\":3,\"candidates\":[{\"name\":\"a\"}]}",
                    "{\"names\":[\"a\"]}"),
              "ok");
}

static const char *
instance(const char *answer)
{
    return guard("instance/v1", "{}", answer);
}

TEST(an_instance_differs_in_what_may_differ)
{
    CHECK_STR(instance("{}"), "ok");
    CHECK_STR(
        instance("{\"parameters\":{\"work_mem\":\"64MB\",\"jit\":false,\"temp_buffers\":100}}"),
        "ok");
    static const char *const refused[] = { "max_connections",  "archive_command", "port",
                                           "wal_level",        "Work_Mem",        "fsync",
                                           "primary_conninfo", "ssl_key_file" };
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        char answer[200];
        (void)snprintf(answer, sizeof(answer), "{\"parameters\":{\"%s\":\"1\"}}", refused[i]);
        CHECK(strstr(instance(answer), "may not differ between instances") != NULL);
    }
    CHECK_STR(instance("{\"parameters\":{\"recovery_min_apply_delay\":\"4h\"}}"), "ok");
    CHECK_STR(instance("{\"parameters\":{\"recovery_min_apply_delay\":\"30 d\"}}"), "ok");
    CHECK(strstr(instance("{\"parameters\":{\"recovery_min_apply_delay\":\"31d\"}}"), "30 days") !=
          NULL);
    CHECK(strstr(instance("{\"parameters\":{\"recovery_min_apply_delay\":\"soon\"}}"), "30 days") !=
          NULL);
    CHECK(strstr(instance("{\"parameters\":{\"recovery_min_apply_delay\":true}}"), "30 days") !=
          NULL);
    CHECK_STR(instance("{\"parameters\":{\"work_mem\":\"1\\n2\"}}"),
              "decision.parameters.work_mem: has a control character");
    CHECK_STR(instance("{\"resources\":{\"requests\":{\"cpu\":\"1500m\"},\"limits\":{\"cpu\":2}}}"),
              "ok");
    CHECK_STR(
        instance(
            "{\"resources\":{\"requests\":{\"memory\":\"2Gi\"},\"limits\":{\"memory\":\"2G\"}}}"),
        "decision.resources.limits.memory: want at least what is requested");
    CHECK_STR(instance("{\"resources\":{\"requests\":{\"memory\":\"much\"}}}"),
              "decision.resources.requests.memory: want an amount as in \"500m\" or \"2Gi\"");
    CHECK_STR(instance("{\"resources\":{\"claims\":[]}}"),
              "decision.resources: unknown key 'claims'");
    CHECK_STR(instance("{\"env\":{}}"), "decision: unknown key 'env'");
    CHECK_STR(instance("{\"action\":\"wait\"}"), "decision: unknown key 'action'");
}

TEST(backups_come_from_one_that_is_well_and_within_a_day)
{
    const char *in = "{\"now\":1000,\"due_at\":1000,\"running\":0,\"instances\":"
                     "[{\"name\":\"a\",\"ready\":true},{\"name\":\"b\",\"ready\":false}]}";
    CHECK_STR(guard("backup/v1", in, "{\"action\":\"backup\",\"from\":\"a\"}"), "ok");
    CHECK_STR(guard("backup/v1", in, "{\"action\":\"backup\",\"from\":\"b\"}"),
              "decision.from: 'b' is no instance that is well");
    CHECK_STR(guard("backup/v1", in, "{\"action\":\"wait\",\"reason\":\"Night\",\"at\":87400}"),
              "ok");
    CHECK(strstr(guard("backup/v1", in, "{\"action\":\"wait\",\"reason\":\"Night\",\"at\":87401}"),
                 "86400 seconds from now") != NULL);
    CHECK_STR(guard("backup/v1", "{\"now\":90000,\"due_at\":1000}",
                    "{\"action\":\"wait\",\"reason\":\"Night\",\"at\":90010}"),
              "decision.action: it was put off for 89000 seconds");
    CHECK_STR(guard("backup/v1", "{\"running\":1,\"instances\":[{\"name\":\"a\",\"ready\":true}]}",
                    "{\"action\":\"backup\",\"from\":\"a\"}"),
              "decision.action: another backup is under way");
}

TEST(healing_takes_safe_steps_and_never_the_last_copy)
{
    const char *in = "{\"now\":1000,\"healthy\":1,\"steps\":[\"restart\",\"reclone\"]}";
    CHECK_STR(guard("heal/v1", in, "{\"action\":\"heal\",\"step\":\"reclone\"}"), "ok");
    CHECK_STR(guard("heal/v1", in, "{\"action\":\"heal\",\"step\":\"rewind\"}"),
              "decision.step: 'rewind' is not among the safe steps");
    CHECK_STR(guard("heal/v1", in, "{\"action\":\"heal\",\"step\":\"explode\"}"),
              "decision.step: want restart, rewind, reclone or recreate");
    CHECK_STR(guard("heal/v1", "{\"healthy\":0,\"steps\":[\"reclone\"]}",
                    "{\"action\":\"heal\",\"step\":\"reclone\"}"),
              "decision.step: this may be the last good copy");
    CHECK(strstr(guard("heal/v1", in, "{\"action\":\"wait\",\"reason\":\"X\",\"at\":4601}"),
                 "3600 seconds") != NULL);
}

TEST(messages_go_to_configured_targets)
{
    const char *in = "{\"targets\":[\"chat\"]}";
#define MESSAGE(target, more)                                                                      \
    "{\"messages\":[{\"target\":\"" target "\",\"key\":\"k\",\"title\":\"t\"" more "}]}"
    CHECK_STR(guard("notify/v1", in, MESSAGE("chat", ",\"text\":\"a\\nb\"")), "ok");
    CHECK_STR(guard("notify/v1", in, MESSAGE("pager", "")),
              "decision.messages[1].target: 'pager' is no configured target");
    CHECK_STR(guard("notify/v1", in, MESSAGE("chat", ",\"text\":\"a\\u001bb\"")),
              "decision.messages[1].text: has a control character");
    CHECK_STR(guard("notify/v1", in, MESSAGE("chat", ",\"url\":\"http://x\"")),
              "decision.messages[1]: unknown key 'url'");
    CHECK_STR(guard("notify/v1", in, "{\"messages\":[]}"), "ok");
    CHECK_STR(guard("notify/v1", in, "{}"), "decision.messages is missing");
}

TEST(inputs_are_checked_with_the_path)
{
    static const struct {
        const char *point;
        const char *input;
        const char *says;
    } rows[] = {
        { "sync/v1", "{\"candidates\":7}", "given.cluster is missing" },
        { "failover/v1",
          "{\"cluster\":{\"name\":\"a\",\"namespace\":\"b\",\"instances\":3,\"labels\":{}},"
          "\"candidates\":[{\"name\":\"x\",\"lag\":1}],\"now\":1,\"reason\":\"r\"}",
          "given.candidates[1]: unknown key 'lag'" },
        { "failover/v1",
          "{\"cluster\":{\"name\":\"a\",\"namespace\":\"b\",\"instances\":3.5,\"labels\":{}},"
          "\"candidates\":[],\"now\":1,\"reason\":\"r\"}",
          "given.cluster.instances: want an integer" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct mh_err err = { .code = MH_OK };
        mh_arena_init(&arena, (size_t)1 << 20);
        (void)mh_shape_input(mh_point_find(rows[i].point), "given", parse(rows[i].input), &err);
        CHECK_STR(err.msg, rows[i].says);
        mh_arena_release(&arena);
    }
    CHECK(mh_point_find("oracle/v1") == NULL);
}
