/* test.h - the C test harness: TEST(name) { ... }, CHECK*, TAP on stdout. A failed CHECK goes on. */
#ifndef MH_TEST_H
#define MH_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct mh_test {
    const char *name;
    void (*run)(void);
    struct mh_test *next;
};
extern struct mh_test *mh_tests;
extern int mh_test_failures;

#define TEST(id)                                                                                   \
    static void test_##id(void);                                                                   \
    static struct mh_test entry_##id = { #id, test_##id, NULL };                                   \
    __attribute__((constructor)) static void add_##id(void)                                        \
    {                                                                                              \
        struct mh_test **t = &mh_tests;                                                            \
        while (*t)                                                                                 \
            t = &(*t)->next;                                                                       \
        *t = &entry_##id;                                                                          \
    }                                                                                              \
    static void test_##id(void)

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            mh_test_failures++;                                                                    \
            printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #cond);                          \
        }                                                                                          \
    } while (0)

#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long g_ = (long long)(got), w_ = (long long)(want);                                   \
        if (g_ != w_) {                                                                            \
            mh_test_failures++;                                                                    \
            printf("# %s:%d: %s: got %lld, want %lld\n", __FILE__, __LINE__, #got, g_, w_);        \
        }                                                                                          \
    } while (0)

#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *g_ = (got), *w_ = (want);                                                      \
        if (!g_ || !w_ ? g_ != w_ : strcmp(g_, w_) != 0) {                                         \
            mh_test_failures++;                                                                    \
            printf("# %s:%d: %s: got \"%s\", want \"%s\"\n", __FILE__, __LINE__, #got,             \
                   g_ ? g_ : "(null)", w_ ? w_ : "(null)");                                        \
        }                                                                                          \
    } while (0)

#endif
