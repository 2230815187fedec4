/* Expressions over a JSON value: the first line is the expression, the rest the value of x. Never
 * more than the cost limit, the same twice. */
#include <stdlib.h>
#include <string.h>

#include "sandbox/cel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *
run_once(struct mh_arena *a, const struct mh_sb_cel *c, yyjson_val *x)
{
    struct mh_err err;
    yyjson_mut_val *out = NULL;
    yyjson_mut_doc *doc = mh_json_doc(a);
    struct mh_sb_cel_var var = { .name = "x", .json = x };
    struct mh_sb_cel_run run = { .arena = a, .vars = &var, .cost = 100000 };
    if (!doc || mh_sb_cel_json(c, &run, doc, &out, &err) != MH_OK)
        return mh_arena_strdup(a, err.msg);
    return mh_json_mut_text(a, out, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const vars[] = { "x", NULL };
    struct mh_arena a;
    struct mh_err err;
    struct mh_sb_cel *c = NULL;
    yyjson_val *x = NULL;
    mh_arena_init(&a, (size_t)64 << 20);
    const char *newline = memchr(data, '\n', size);
    size_t n = newline ? (size_t)(newline - (const char *)data) : size;
    char *text = size < 8192 ? mh_arena_strndup(&a, (const char *)data, n) : NULL;
    if (newline && text)
        mh_json_parse(&a, newline + 1, size - n - 1, &x, NULL);
    if (text && mh_sb_cel_compile(&a, text, vars, &c, &err) == MH_OK) {
        char *first = run_once(&a, c, x);
        char *second = run_once(&a, c, x);
        if (first && second && a.used < a.limit / 2 && strcmp(first, second) != 0)
            abort();
    }
    mh_arena_release(&a);
    return 0;
}
