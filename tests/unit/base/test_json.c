#include "base/json.h"
#include "harness/test.h"

static enum mh_code
parse(struct mh_arena *a, const char *s, yyjson_val **v)
{
    struct mh_err err;
    return mh_json_parse(a, s, strlen(s), v, &err);
}

TEST(sixty_four_bit_integers_stay_exact)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    mh_arena_init(&a, 1 << 20);
    CHECK_INT(parse(&a, "{\"id\":7312345678901234567,\"u\":18446744073709551615}", &v), MH_OK);
    CHECK_INT(mh_json_int(v, 0, "id", NULL), 7312345678901234567);
    CHECK_STR(mh_json_text(&a, v, NULL), "{\"id\":7312345678901234567,\"u\":18446744073709551615}");
    CHECK_INT(mh_json_int(v, -1, "u", NULL), -1);
    mh_arena_release(&a);
}

TEST(bad_texts_are_refused)
{
    static const char *const bad[] = { "",         "{",       "{\"a\":1}x",
                                       "[1,]",     "{'a':1}", "\"a\\u0000b\"",
                                       "\"\xff\"", "nul",     "[1e999]" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct mh_arena a;
        yyjson_val *v = NULL;
        mh_arena_init(&a, 1 << 20);
        CHECK_INT(parse(&a, bad[i], &v), MH_E_INVALID);
        mh_arena_release(&a);
    }
}

TEST(deep_nesting_is_refused)
{
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    struct mh_arena a;
    yyjson_val *v = NULL;
    mh_arena_init(&a, 1 << 20);
    CHECK_INT(parse(&a, deep, &v), MH_E_INVALID);
    mh_arena_release(&a);
}

TEST(canonical_text_has_sorted_keys_at_every_depth)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    mh_arena_init(&a, 1 << 20);
    CHECK_INT(parse(&a, "{\"b\":[{\"z\":1,\"y\":null}],\"a\":\"x\"}", &v), MH_OK);
    CHECK_STR(mh_json_canonical(&a, v, NULL), "{\"a\":\"x\",\"b\":[{\"y\":null,\"z\":1}]}");
    mh_arena_release(&a);
}

TEST(absent_paths_are_null_all_the_way)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    mh_arena_init(&a, 1 << 20);
    CHECK_INT(parse(&a, "{\"metadata\":{\"name\":\"c\"}}", &v), MH_OK);
    CHECK_STR(mh_json_str(v, "metadata", "name", NULL), "c");
    CHECK_STR(mh_json_str(v, "spec", "x", "y", NULL), NULL);
    CHECK_INT(mh_json_bool(v, true, "spec", "on", NULL), 1);
    mh_arena_release(&a);
}

TEST(every_allocation_of_a_parse_may_fail)
{
    enum mh_code code = MH_E_NOMEM;
    for (int n = 0; code != MH_OK; n++) {
        struct mh_arena a;
        yyjson_val *v = NULL;
        mh_arena_init(&a, 1 << 20);
        mh_mem_fail_after(n);
        code = parse(&a, "{\"a\":[1,2,3,{\"b\":\"text\"}]}", &v);
        mh_mem_fail_after(-1);
        CHECK(code == MH_OK || code == MH_E_NOMEM);
        mh_arena_release(&a);
    }
}

TEST(quoting_escapes_controls_and_mends_bad_utf8)
{
    struct mh_buf b;
    mh_buf_init(&b, 100);
    mh_json_quote(&b, "a\"\n\x01\xff", 5);
    CHECK_STR(mh_buf_text(&b), "\"a\\\"\\n\\u0001\xef\xbf\xbd\"");
    mh_buf_release(&b);
}
