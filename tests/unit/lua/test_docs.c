/* Every policy of docs/policies.md passes its check, with the parameters that stand below it. */
#include <stdlib.h>

#include "harness/test.h"
#include "lua/policy.h"

static char text[1 << 17];

/* The block that begins at "```lang\n"; its end, or NULL. */
static char *
block_end(char *start)
{
    return strstr(start, "\n```");
}

static void
check(const char *script, size_t len, const char *params, size_t params_len)
{
    struct mh_arena a;
    struct mh_policy_result r;
    struct mh_policy_job job = { .op = MH_POLICY_CHECK,
                                 .name = "failover.lua",
                                 .script = script,
                                 .script_len = len,
                                 .params = params,
                                 .params_len = params_len };
    mh_arena_init(&a, (size_t)16 << 20);
    mh_policy_run(&a, &job, &r);
    CHECK_STR(r.ok ? "ok" : mh_policy_error_text(&a, &r.error), "ok");
    mh_arena_release(&a);
}

TEST(the_policies_of_the_tutorial_are_accepted)
{
    int n = 0;
    FILE *f = fopen("docs/policies.md", "re");
    CHECK(f != NULL);
    size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f)
        (void)fclose(f);
    text[len] = 0;
    for (char *at = text; (at = strstr(at, "\n```lua\n"));) {
        char *script = at + 8;
        char *end = block_end(script);
        CHECK(end != NULL);
        if (!end)
            return;
        static const char mark[] = "\n\n```yaml\n# params\n";
        char *params =
            strncmp(end + 4, mark, sizeof(mark) - 1) == 0 ? end + 4 + sizeof(mark) - 1 : NULL;
        char *params_end = params ? block_end(params) : NULL;
        check(script, (size_t)(end - script), params, params ? (size_t)(params_end - params) : 0);
        n++;
        at = end;
    }
    CHECK_INT(n, 3);
}
