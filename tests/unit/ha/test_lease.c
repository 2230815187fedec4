/* Reading the Lease: what people and API servers may have put there. */
#include "ha/lease.h"
#include "harness/test.h"

static struct mh_arena arena;

static enum mh_code
read_text(const char *text, struct mh_ha_lease *l)
{
    struct mh_err err;
    yyjson_val *v = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 1 << 20);
    if (text && mh_json_parse(&arena, text, strlen(text), &v, &err))
        return err.code;
    return mh_ha_lease_read(&arena, v, l, &err);
}

static enum mh_code
read_configs(const char *configs, struct mh_ha_lease *l)
{
    char text[4096];
    (void)snprintf(text, sizeof(text),
                   "{\"metadata\":{\"annotations\":{\"moonherd.io/configs\":%s}},"
                   "\"spec\":{\"holderIdentity\":\"a\",\"leaseTransitions\":4}}",
                   configs);
    return read_text(text, l);
}

TEST(a_lease_is_read_whole)
{
    struct mh_ha_lease l;
    CHECK_INT(read_text("{\"metadata\":{\"resourceVersion\":\"77\",\"annotations\":{"
                        "\"moonherd.io/phase\":\"fencing\",\"moonherd.io/incarnation\":\"v\","
                        "\"moonherd.io/address\":\"10.0.0.1\",\"moonherd.io/candidate\":\"b\","
                        "\"moonherd.io/configs\":\"[{\\\"names\\\":[\\\"b\\\",\\\"c\\\"],"
                        "\\\"number\\\":1,\\\"method\\\":\\\"first\\\"}]\"}},"
                        "\"spec\":{\"holderIdentity\":\"a\",\"leaseTransitions\":4}}",
                        &l),
              MH_OK);
    CHECK(l.exists && l.configs_known);
    CHECK_STR(l.resource_version, "77");
    CHECK_STR(l.holder, "a");
    CHECK_INT(l.term, 4);
    CHECK_INT(l.phase, MH_HA_FENCING);
    CHECK_STR(l.incarnation, "v");
    CHECK_STR(l.address, "10.0.0.1");
    CHECK_STR(l.candidate, "b");
    CHECK_INT(l.nconfigs, 1);
    CHECK_INT(l.configs[0].nnames, 2);
    CHECK_INT(l.configs[0].number, 1);
    CHECK(l.configs[0].first);
    CHECK_INT(mh_ha_fence_quorum(&l.configs[0]), 2);
}

TEST(absent_and_empty_leases_name_nobody)
{
    struct mh_ha_lease l;
    CHECK_INT(read_text(NULL, &l), MH_OK);
    CHECK(!l.exists);
    CHECK_INT(read_text("{}", &l), MH_OK);
    CHECK(l.exists && !l.holder && l.term == 0 && l.phase == MH_HA_STABLE && !l.configs_known);
    CHECK_INT(read_text("{\"metadata\":{\"annotations\":{\"moonherd.io/address\":\"\","
                        "\"moonherd.io/candidate\":\"\"}},\"spec\":{\"holderIdentity\":\"\"}}",
                        &l),
              MH_OK);
    CHECK(!l.holder && !l.address && !l.candidate);
}

TEST(an_empty_list_of_configurations_is_not_the_same_as_none)
{
    struct mh_ha_lease l;
    CHECK_INT(read_configs("\"[]\"", &l), MH_OK); /* asynchronous, and it says so */
    CHECK(l.configs_known && l.nconfigs == 0);
    CHECK_INT(read_configs("\"\"", &l), MH_OK); /* H3, H4 */
    CHECK(!l.configs_known && l.nconfigs == 0);
}

#define NOBODY "{\\\"names\\\":[],\\\"number\\\":0}"

TEST(annotations_that_cannot_be_read_stop_every_decision)
{
    static const char *const bad[] = {
        "\"{}\"",
        "\"nonsense\"",
        "\"[1]\"",
        "\"[{}]\"",
        "\"[{\\\"names\\\":[\\\"b\\\"]}]\"",
        "\"[{\\\"names\\\":[\\\"b\\\"],\\\"number\\\":-1}]\"",
        "\"[{\\\"names\\\":[\\\"b\\\"],\\\"number\\\":33}]\"",
        "\"[{\\\"names\\\":[\\\"b\\\"],\\\"number\\\":1.5}]\"",
        "\"[{\\\"names\\\":[\\\"b\\\"],\\\"number\\\":99999999999999999999}]\"",
        "\"[{\\\"names\\\":[7],\\\"number\\\":1}]\"",
        "\"[{\\\"names\\\":{},\\\"number\\\":1}]\"",
        "\"[" NOBODY "," NOBODY "," NOBODY "," NOBODY "," NOBODY "," NOBODY "," NOBODY "]\"",
        "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"",
    };
    struct mh_ha_lease l;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_INT(read_configs(bad[i], &l), MH_E_INVALID);
    CHECK_INT(read_text("{\"metadata\":{\"annotations\":{\"moonherd.io/phase\":\"paused\"}}}", &l),
              MH_E_INVALID);
    CHECK_INT(read_text("{\"spec\":{\"leaseTransitions\":-1}}", &l), MH_E_INVALID);
}

TEST(sets_are_bounded)
{
    struct mh_ha_lease l;
    char text[1024];
    for (int n = 32; n <= 33; n++) {
        size_t at = (size_t)snprintf(text, sizeof(text), "\"[{\\\"number\\\":1,\\\"names\\\":[");
        for (int i = 0; i < n; i++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\\\"n%d\\\"", i ? "," : "", i);
        (void)snprintf(text + at, sizeof(text) - at, "]}]\"");
        CHECK_INT(read_configs(text, &l), n == 32 ? MH_OK : MH_E_INVALID);
    }
}

TEST(configurations_compare_as_sets)
{
    struct mh_ha_config a = { .names = { "b", "c" }, .nnames = 2, .number = 1 };
    struct mh_ha_config b = { .names = { "c", "b" }, .nnames = 2, .number = 1 };
    CHECK(mh_ha_config_equal(&a, &b));
    b.number = 2;
    CHECK(!mh_ha_config_equal(&a, &b));
    b.number = 1;
    b.first = true;
    CHECK(!mh_ha_config_equal(&a, &b));
    b.first = false;
    b.names[0] = "d";
    CHECK(!mh_ha_config_equal(&a, &b));
    b.nnames = 1;
    CHECK(!mh_ha_config_equal(&a, &b));
    CHECK(mh_ha_config_has(&a, "c") && !mh_ha_config_has(&a, "d"));
}

TEST(written_configurations_read_back_equal)
{
    struct mh_ha_config c[2] = { { .names = { "b", "c" }, .nnames = 2, .number = 1 },
                                 { .number = 0, .first = true } };
    struct mh_ha_lease l;
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    for (int n = 0; n <= 2; n++) {
        char *text = mh_ha_configs_text(&a, c, n);
        struct mh_buf quoted;
        mh_buf_init(&quoted, 4096);
        CHECK(text && mh_json_quote(&quoted, text, strlen(text)));
        CHECK_INT(read_configs(mh_buf_text(&quoted), &l), MH_OK);
        CHECK_INT(l.nconfigs, n);
        CHECK(l.configs_known);
        for (int i = 0; i < n; i++)
            CHECK(mh_ha_config_equal(&l.configs[i], &c[i]));
        mh_buf_release(&quoted);
    }
    for (int k = 0; k < 40; k++) {
        struct mh_arena b;
        mh_arena_init(&b, 1 << 20);
        mh_mem_fail_after(k);
        char *text = mh_ha_configs_text(&b, c, 2);
        bool came = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(text || came);
        mh_arena_release(&b);
        if (!came)
            break;
    }
    mh_arena_release(&a);
}

TEST(fence_quorum_is_the_rest_plus_one)
{
    for (int n = 0; n <= 5; n++) {
        for (int w = 0; w <= 5; w++) {
            struct mh_ha_config c = { .nnames = n, .number = w };
            CHECK_INT(mh_ha_fence_quorum(&c), n - w + 1);
        }
    }
}

TEST(phases_have_names_that_read_back)
{
    for (int p = MH_HA_STABLE; p <= MH_HA_PROMOTING; p++) {
        char text[128];
        struct mh_ha_lease l;
        (void)snprintf(text, sizeof(text),
                       "{\"metadata\":{\"annotations\":{\"moonherd.io/phase\":\"%s\"}}}",
                       mh_ha_phase_name((enum mh_ha_phase)p));
        CHECK_INT(read_text(text, &l), MH_OK);
        CHECK_INT(l.phase, p);
    }
    mh_arena_release(&arena);
}
