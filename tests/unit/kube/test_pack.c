/* Texts of the cache, packed: every one comes back, whatever models come and go. */
#include <stdlib.h>

#include "harness/test.h"
#include "kube/cache_pack.h"

#define TEXTS 200

struct one {
    char *text;
    char *data;
    size_t len, packed;
    struct mh_cache_model *with;
};

static struct one all[TEXTS];
static struct mh_cache_model *model;

/* An object of a kind, early in its life or late. */
static char *
object(unsigned i, bool late, size_t *len)
{
    char *text = malloc(9000);
    size_t n =
        (size_t)snprintf(text, 9000,
                         "{\"metadata\":{\"name\":\"c-%u\",\"uid\":\"%08x-%08x\",\"labels\":{"
                         "\"cnpg.io/cluster\":\"c-%u\"}},\"spec\":{\"containers\":[",
                         i, i * 2654435761u, ~i * 40503u, i);
    for (unsigned j = 0; j < 20; j++)
        n += (size_t)snprintf(text + n, 9000 - n, "{\"name\":\"x%u\",\"value\":\"%u\"},", j, j * j);
    for (unsigned j = 0; late && j < 40; j++)
        n += (size_t)snprintf(text + n, 9000 - n, "{\"type\":\"T%u\",\"status\":\"True %u\"},", j,
                              j * 7919);
    *len = n;
    return text;
}

static void
keep(struct one *o, char *text, size_t len)
{
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    *o = (struct one){ .text = text, .len = len };
    const char *data = mh_cache_pack(&a, &model, text, len, &o->packed, &o->with);
    CHECK(!data == !o->with);
    if (data) {
        CHECK(o->packed <= len - len / 4);
        o->data = malloc(o->packed);
        memcpy(o->data, data, o->packed);
    }
    mh_arena_release(&a);
}

static void
check(const struct one *o)
{
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    char *back =
        o->with ? mh_cache_unpack(&a, o->with, o->data, o->packed, o->len) : (char *)o->text;
    CHECK(back && memcmp(back, o->text, o->len) == 0);
    CHECK(!o->with || back[o->len] == '\0');
    mh_arena_release(&a);
}

static void
drop(struct one *o)
{
    mh_cache_model_unref(o->with);
    free(o->text);
    free(o->data);
    *o = (struct one){ 0 };
}

TEST(objects_of_a_kind_come_back_and_need_a_fifth)
{
    size_t before = 0, after = 0, len;
    for (unsigned i = 0; i < TEXTS; i++) {
        char *text = object(i, i > TEXTS / 3, &len);
        keep(&all[i], text, len);
        before += len;
        after += all[i].with ? all[i].packed : len;
    }
    CHECK(after * 5 < before);
    for (unsigned i = 0; i < TEXTS; i += 2)
        drop(&all[i]);
    for (unsigned i = 1; i < TEXTS; i += 2)
        check(&all[i]);
    mh_cache_model_unref(model);
    model = NULL;
    for (unsigned i = 1; i < TEXTS; i += 2) {
        check(&all[i]);
        drop(&all[i]);
    }
}

TEST(what_cannot_be_packed_stays_as_it_is)
{
    unsigned seed = 1;
    char *noise = malloc(5000), *small = malloc(100);
    for (size_t i = 0; i < 5000; i++)
        noise[i] = (char)((seed = seed * 1103515245u + 12345u) >> 16);
    memset(small, 'x', 100);
    keep(&all[0], small, 100);
    CHECK(!all[0].with);
    keep(&all[1], noise, 5000); /* it becomes the model, so it packs */
    check(&all[1]);
    noise = malloc(5000);
    for (size_t i = 0; i < 5000; i++)
        noise[i] = (char)((seed = seed * 1103515245u + 12345u) >> 16);
    keep(&all[2], noise, 5000);
    CHECK(!all[2].with);
    for (int i = 0; i < 3; i++) {
        check(&all[i]);
        drop(&all[i]);
    }
    mh_cache_model_unref(model);
    model = NULL;
}

TEST(without_memory_a_text_stays_as_it_is)
{
    size_t len;
    for (int n = 0; n < 8; n++) {
        char *text = object(7, true, &len);
        mh_mem_fail_after(n);
        keep(&all[0], text, len);
        mh_mem_fail_after(-1);
        check(&all[0]);
        drop(&all[0]);
    }
    mh_cache_model_unref(model);
    model = NULL;
}
