/* From a plan's status to the merge patch. */
#include "harness/test.h"
#include "operator/status.h"

#define NOW 1767225600 /* 2026-01-01T00:00:00Z */

static struct mh_arena arena;

static yyjson_val *
parse(const char *text)
{
    yyjson_val *v = NULL;
    struct mh_err err;
    if (text && mh_json_parse(&arena, text, strlen(text), &v, &err) != MH_OK)
        printf("# bad JSON in a test: %s\n", err.msg);
    return v;
}

/* The patch, canonical; NULL if nothing is to be written. */
static const char *
patch(const char *object, const char *wanted, const char *reason)
{
    struct mh_status_in in = { .object = parse(object),
                               .rv = "7",
                               .wanted = parse(wanted),
                               .failure = { reason, reason ? "it broke" : NULL, false },
                               .now_s = NOW };
    char *body = NULL;
    struct mh_err err;
    CHECK_INT(mh_status_patch(&arena, &in, &body, &err), MH_OK);
    return body ? mh_json_canonical(&arena, parse(body), NULL) : NULL;
}

#define BEGIN mh_arena_init(&arena, 1 << 20)
#define END mh_arena_release(&arena)

TEST(nothing_is_written_when_nothing_changes)
{
    BEGIN;
    CHECK_STR(patch("{\"status\":{\"phase\":\"x\",\"n\":3,\"other\":[1]}}",
                    "{\"phase\":\"x\",\"n\":3.0}", NULL),
              NULL);
    CHECK_STR(patch("{}", NULL, NULL), NULL);
    CHECK_STR(patch("{\"status\":{}}", "{\"gone\":null}", NULL), NULL);
    END;
}

TEST(only_what_differs_is_written_with_the_resource_version)
{
    BEGIN;
    CHECK_STR(patch("{\"status\":{\"phase\":\"x\",\"n\":3}}", "{\"phase\":\"y\",\"n\":3}", NULL),
              "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"phase\":\"y\"}}");
    END;
}

TEST(a_named_key_is_replaced_whole_and_null_removes)
{
    BEGIN;
    CHECK_STR(patch("{\"status\":{\"m\":{\"a\":1,\"b\":2},\"old\":1,\"keep\":1}}",
                    "{\"m\":{\"b\":3},\"old\":null}", NULL),
              "{\"metadata\":{\"resourceVersion\":\"7\"},"
              "\"status\":{\"m\":{\"a\":null,\"b\":3},\"old\":null}}");
    END;
}

TEST(a_condition_keeps_its_time_until_its_status_changes)
{
    BEGIN;
    const char *object = "{\"status\":{\"conditions\":["
                         "{\"type\":\"Other\",\"status\":\"True\",\"lastTransitionTime\":\"o\"},"
                         "{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"A\","
                         "\"message\":\"m\",\"lastTransitionTime\":\"then\"}]}}";
    CHECK_STR(patch(object,
                    "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"A\","
                    "\"message\":\"m\"}]}",
                    NULL),
              NULL);
    CHECK_STR(patch(object,
                    "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"B\","
                    "\"message\":\"m\"}]}",
                    NULL),
              "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"conditions\":["
              "{\"lastTransitionTime\":\"o\",\"status\":\"True\",\"type\":\"Other\"},"
              "{\"lastTransitionTime\":\"then\",\"message\":\"m\",\"reason\":\"B\","
              "\"status\":\"False\",\"type\":\"Ready\"}]}}");
    const char *flipped =
        patch(object,
              "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"C\"}]}", NULL);
    CHECK(flipped && strstr(flipped, "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"") &&
          strstr(flipped, "\"message\":\"\""));
    END;
}

TEST(a_failure_is_a_condition_that_goes_away)
{
    BEGIN;
    const char *set = patch("{\"status\":{\"phase\":\"x\"}}", NULL, "ActionFailed");
    CHECK(set && strstr(set, "\"Reconciled\"") && strstr(set, "it broke"));
    const char *failed = "{\"status\":{\"conditions\":[{\"type\":\"Reconciled\",\"status\":"
                         "\"False\",\"reason\":\"ActionFailed\",\"message\":\"it broke\","
                         "\"lastTransitionTime\":\"t\"}]}}";
    CHECK_STR(patch(failed, NULL, "ActionFailed"), NULL);
    CHECK_STR(patch(failed, NULL, NULL),
              "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"conditions\":[]}}");
    END;
}

TEST(a_failure_that_was_cut_within_a_character_is_told)
{
    BEGIN;
    struct mh_err err;
    char long_text[MH_ERR_MSG_MAX + 9], *body = NULL;
    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text + MH_ERR_MSG_MAX - 2, "\xc3\xa4", 3);
    (void)mh_fail(&err, MH_E_PG, "%s", long_text); /* its last byte is the first of two */
    struct mh_status_in in = { .object = parse("{}"),
                               .wanted = parse("{\"phase\":\"x\"}"),
                               .failure = { "ActionFailed", err.msg, false },
                               .now_s = NOW };
    struct mh_err failed = { .code = MH_OK };
    CHECK_INT(mh_status_patch(&arena, &in, &body, &failed), MH_OK);
    CHECK(body && strstr(body, "\"phase\":\"x\"") && strstr(body, "xxxx"));
    END;
}

TEST(hostile_status_is_refused_or_left_out)
{
    BEGIN;
    struct mh_status_in in = { .object = parse("{\"status\":[1]}"), .wanted = parse("[1]") };
    char *body;
    struct mh_err err;
    CHECK_INT(mh_status_patch(&arena, &in, &body, &err), MH_E_INVALID);
    const char *odd =
        patch("{\"status\":[1]}", "{\"conditions\":[1,{},{\"type\":2}],\"a\":1}", NULL);
    CHECK(odd && strstr(odd, "\"a\":1"));
    END;
}

TEST(numbers_compare_by_value_and_big_ones_exactly)
{
    BEGIN;
    CHECK(mh_json_same(parse("1"), parse("1.0")));
    CHECK(!mh_json_same(parse("-1"), parse("18446744073709551615")));
    CHECK(!mh_json_same(parse("9007199254740993"), parse("9007199254740992")));
    CHECK(mh_json_same(parse("{\"a\":1,\"b\":[2]}"), parse("{\"b\":[2],\"a\":1}")));
    CHECK(!mh_json_same(parse("{\"a\":1}"), parse("{\"a\":1,\"b\":2}")));
    END;
}

TEST(every_failed_allocation_is_reported)
{
    for (int n = 0; n < 200; n++) {
        BEGIN;
        struct mh_status_in in = { .object = parse("{\"status\":{\"phase\":\"x\"}}"),
                                   .wanted = parse("{\"phase\":\"y\",\"conditions\":[{\"type\":"
                                                   "\"R\",\"status\":\"True\"}]}") };
        char *body = NULL;
        struct mh_err err;
        mh_mem_fail_after(n);
        enum mh_code code = mh_status_patch(&arena, &in, &body, &err);
        bool came = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(came ? code == MH_E_NOMEM || code == MH_OK : code == MH_OK && body);
        END;
        if (!came)
            break;
    }
}
