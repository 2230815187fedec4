/* replan.c - reads tests/lua/recorded/passes.jsonl on standard input and writes it with the plans that
 * the scripts of now make of what was seen, in the VM of the operator. For wanted changes of scripts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "lua/task.h"

static const char seen_key[] = ",\"seen\":";

/* The text of "seen", the last member of the line. */
static char *
seen_of(char *line, size_t len, size_t *seen_len)
{
    char *at = strstr(line, seen_key);
    if (!at || line[len - 1] != '}')
        return NULL;
    at += sizeof(seen_key) - 1;
    *seen_len = (size_t)(line + len - 1 - at);
    return at;
}

static bool
replan(struct mh_controller *c, char *line, size_t len)
{
    struct mh_arena a;
    struct mh_err err = { .code = MH_OK };
    const char *plan = NULL;
    size_t n = 0, seen_len = 0;
    const char *seen = seen_of(line, len, &seen_len);
    mh_arena_init(&a, (size_t)32 << 20);
    if (!seen)
        mh_fail(&err, MH_E_INVALID, "a line has no \"seen\" at its end");
    else
        mh_controller_plan(c, &a, seen, seen_len, &plan, &n, NULL, &err);
    if (err.code == MH_OK)
        (void)printf("%s\n%.*s\n", line, (int)n, plan);
    else
        (void)fprintf(stderr, "replan: %s\n", err.msg);
    mh_arena_release(&a);
    return err.code == MH_OK;
}

int
main(void)
{
    struct mh_controller *c = NULL;
    struct mh_err err = { .code = MH_OK };
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    bool ok = true;
    mh_bind_init();
    if (mh_controller_new_image("controllers/cluster", &c, &err) != MH_OK) {
        (void)fprintf(stderr, "replan: %s\n", err.msg);
        return 1;
    }
    for (size_t n = 0; ok && (len = getline(&line, &cap, stdin)) > 1; n++) {
        line[--len] = '\0';
        if (n % 2 == 0) /* every second line is a plan of before */
            ok = replan(c, line, (size_t)len);
    }
    free(line);
    mh_controller_free(c);
    return ok ? 0 : 1;
}
