/* Texts in little memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "harness/test.h"
#include "io/pack.h"

#define LEN 6000
static char text[LEN + 1], packed[LEN], back[LEN];

static void
write_text(const char *what)
{
    int n = 0;
    for (int i = 0; n < LEN - 60; i++)
        n += snprintf(text + n, (size_t)(LEN + 1 - n), "{\"name\":\"%s%d\",\"zone\":\"zone%d\"},",
                      what, i, i % 3);
    memset(text + n, '.', (size_t)(LEN - n));
}

TEST(a_text_comes_back_as_it_was_from_a_third_of_its_size)
{
    struct mh_pack_model none = { NULL, 0 };
    write_text("node");
    size_t n = mh_pack(packed, LEN, text, LEN, none);
    CHECK(n > 0 && n < LEN / 3);
    CHECK(mh_unpack(back, LEN, packed, n, none));
    CHECK(memcmp(back, text, LEN) == 0);
}

TEST(a_model_makes_it_smaller_and_both_sides_need_it)
{
    struct mh_pack_model none = { NULL, 0 };
    static char like[LEN];
    write_text("node");
    memcpy(like, text, LEN);
    struct mh_pack_model model = { like, LEN };
    write_text("nodf");
    size_t alone = mh_pack(packed, LEN, text, LEN, none);
    size_t n = mh_pack(packed, LEN, text, LEN, model);
    CHECK(n > 0 && n < alone);
    CHECK(mh_unpack(back, LEN, packed, n, model));
    CHECK(memcmp(back, text, LEN) == 0);
    CHECK(!mh_unpack(back, LEN, packed, n, none));
}

TEST(what_does_not_fit_or_is_damaged_is_refused)
{
    struct mh_pack_model none = { NULL, 0 };
    for (int i = 0; i < LEN; i++)
        text[i] = (char)(rand() & 0xff);
    CHECK_INT((long)mh_pack(packed, LEN - 1, text, LEN, none), 0);
    write_text("node");
    size_t n = mh_pack(packed, LEN, text, LEN, none);
    CHECK(!mh_unpack(back, LEN - 1, packed, n, none));
    CHECK(!mh_unpack(back, LEN, packed, n - 1, none));
    for (size_t i = 0; i < n; i++) { /* whatever it is: no byte is written outside */
        packed[i] = (char)(packed[i] ^ 0x40);
        (void)mh_unpack(back, LEN, packed, n, none);
        packed[i] = (char)(packed[i] ^ 0x40);
    }
    CHECK(mh_unpack(back, LEN, packed, n, none));
}
