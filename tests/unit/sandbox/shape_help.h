/* shape_help.h - JSON in single quotes, for tests of the shape of objects. */
#ifndef MH_TEST_SHAPE_HELP_H
#define MH_TEST_SHAPE_HELP_H

#include "harness/test.h"
#include "sandbox/shape.h"

static struct mh_arena arena;

/* Parses JSON whose strings stand in single quotes. */
static inline yyjson_val *
J(const char *text)
{
    struct mh_err err;
    yyjson_val *v = NULL;
    char *copy = mh_arena_strdup(&arena, text);
    for (char *c = copy; c && *c; c++) {
        if (*c == '\'')
            *c = '"';
    }
    if (!copy || mh_json_parse(&arena, copy, strlen(copy), &v, &err) != MH_OK)
        printf("# bad JSON in a test: %s: %s\n", text, err.msg);
    return v;
}

/* Keys sorted, strings in single quotes. */
static inline const char *
quoted(char *s)
{
    for (char *c = s; c && *c; c++) {
        if (*c == '"')
            *c = '\'';
    }
    return s;
}

static inline const char *
T(yyjson_val *v)
{
    return v ? quoted(mh_sb_go_json(&arena, v)) : NULL;
}

static inline const char *
MT(const yyjson_mut_val *v)
{
    return v ? T(mh_sb_freeze(&arena, v)) : NULL;
}

#define ARENA_TEST(id)                                                                             \
    static void body_##id(void);                                                                   \
    TEST(id)                                                                                       \
    {                                                                                              \
        mh_arena_init(&arena, (size_t)64 << 20);                                                   \
        body_##id();                                                                               \
        mh_arena_release(&arena);                                                                  \
    }                                                                                              \
    static void body_##id(void)

#endif
