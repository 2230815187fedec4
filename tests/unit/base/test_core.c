#include <string.h>

#include "moonherd/err.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"

TEST(an_arena_keeps_its_limit)
{
    struct mh_arena a;
    mh_arena_init(&a, 10000);
    CHECK(mh_arena_alloc(&a, 6000) != NULL);
    CHECK(mh_arena_alloc(&a, 6000) == NULL);
    CHECK(mh_arena_alloc(&a, 100) != NULL);
    mh_arena_release(&a);
}

TEST(an_arena_that_is_cleared_keeps_its_largest_chunk_and_what_it_gives_is_zeroed)
{
    struct mh_arena a;
    mh_arena_init(&a, 100000);
    mh_arena_clear(&a);
    CHECK(a.chunks == NULL);
    for (int i = 0; i < 5; i++)
        CHECK(mh_arena_alloc(&a, 3000) != NULL);
    char *large = mh_arena_alloc(&a, 40000);
    CHECK(large != NULL);
    if (large)
        memset(large, 'x', 40000);
    mh_arena_clear(&a);
    CHECK_INT(a.used, 0);
    const char *again = mh_arena_alloc(&a, 30000);
    CHECK(again == large);
    for (int i = 0; again && i < 30000; i++)
        CHECK(again[i] == 0);
    CHECK(mh_arena_alloc(&a, 90000) == NULL); /* the limit stays */
    mh_arena_release(&a);
}

static int order[2];
static int norder;

static void
note(void *p)
{
    order[norder++] = *(int *)p;
}

TEST(deferred_releases_run_newest_first)
{
    struct mh_arena a;
    int one = 1;
    int two = 2;
    norder = 0;
    mh_arena_init(&a, 10000);
    CHECK(mh_arena_defer(&a, note, &one));
    CHECK(mh_arena_defer(&a, note, &two));
    mh_arena_release(&a);
    CHECK_INT(order[0], 2);
    CHECK_INT(order[1], 1);
}

TEST(a_buffer_never_passes_its_cap)
{
    struct mh_buf b;
    mh_buf_init(&b, 5);
    CHECK(mh_buf_str(&b, "abc"));
    CHECK(!mh_buf_str(&b, "def"));
    CHECK(!mh_buf_str(&b, "d"));
    CHECK_STR(mh_buf_text(&b), "abc");
    mh_buf_reset(&b);
    CHECK(mh_buf_str(&b, "12345"));
    mh_buf_drop(&b, 2);
    CHECK_STR(mh_buf_text(&b), "345");
    mh_buf_release(&b);
}

TEST(a_map_finds_what_was_put_and_not_what_was_removed)
{
    struct mh_map m;
    static int values[1000];
    char key[16];
    mh_map_init(&m, 1000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        CHECK(mh_map_put(&m, key, &values[i], NULL));
    }
    CHECK(!mh_map_put(&m, "one too many", &values[0], NULL));
    for (int i = 0; i < 1000; i += 2) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        CHECK(mh_map_remove(&m, key) == &values[i]);
    }
    CHECK(mh_map_get(&m, "k10") == NULL);
    CHECK(mh_map_get(&m, "k11") == &values[11]);
    CHECK_INT(m.len, 500);
    mh_map_release(&m);
}

TEST(an_lsn_is_read_and_written)
{
    uint64_t v;
    char s[MH_LSN_TEXT];
    CHECK(mh_lsn_parse("16/B374D848", &v));
    CHECK_INT(v, 0x16B374D848);
    mh_lsn_text(s, v);
    CHECK_STR(s, "16/B374D848");
    CHECK(!mh_lsn_parse("16", &v));
    CHECK(!mh_lsn_parse("1/2x", &v));
    CHECK(!mh_lsn_parse("111111111/2", &v));
}

TEST(times_survive_a_round_trip)
{
    int64_t us;
    char s[MH_TIME_TEXT];
    CHECK(mh_time_parse("2026-11-21T01:02:03.000004Z", &us));
    mh_time_rfc3339_micro(s, us);
    CHECK_STR(s, "2026-11-21T01:02:03.000004Z");
    CHECK(mh_time_parse("2026-11-21T03:02:03+02:00", &us));
    mh_time_rfc3339(s, us / 1000000);
    CHECK_STR(s, "2026-11-21T01:02:03Z");
    CHECK(!mh_time_parse("yesterday", &us));
}

TEST(a_wrapped_error_keeps_code_and_text)
{
    struct mh_err e;
    (void)mh_fail(&e, MH_E_CONFLICT, "lease %s changed", "c");
    CHECK_INT(mh_wrap(&e, "promote %s", "c-2"), MH_E_CONFLICT);
    CHECK_STR(e.msg, "promote c-2: lease c changed");
    CHECK_INT(mh_class_of(e.code), MH_REREAD);
}

TEST(integers_are_whole_texts_within_bounds)
{
    int64_t v;
    CHECK(mh_str_int("42", 0, 100, &v) && v == 42);
    CHECK(!mh_str_int("42x", 0, 100, &v));
    CHECK(!mh_str_int(" 42", 0, 100, &v));
    CHECK(!mh_str_int("101", 0, 100, &v));
    CHECK(!mh_str_int("", 0, 100, &v));
}
