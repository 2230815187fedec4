/* Every policy of docs/ passes its check: those of the pages, with the parameters that stand below
 * them, and the samples, with their parameters and cases beside them. */
#include <dirent.h>
#include <stdlib.h>

#include "base/str.h"
#include "harness/test.h"
#include "lua/policy.h"
#include "lua/shape.h"

static char text[1 << 17];

/* The block that begins at "```lang\n"; its end, or NULL. */
static char *
block_end(char *start)
{
    return strstr(start, "\n```");
}

static void
check(const struct mh_policy_job *job)
{
    struct mh_arena a;
    struct mh_policy_result r;
    mh_arena_init(&a, (size_t)64 << 20);
    mh_policy_run(&a, job, &r);
    const char *why = r.ok ? "ok" : mh_policy_error_text(&a, &r.error);
    if (!r.ok)
        printf("# %s\n", job->name);
    CHECK_STR(why, "ok");
    mh_arena_release(&a);
}

static size_t
read_file(const char *path, char *to, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(to, 1, size - 1, f) : 0;
    if (f)
        (void)fclose(f);
    to[n] = 0;
    return n;
}

/* The policies of one page; how many. */
static int
check_page(const char *path)
{
    int n = 0;
    CHECK(read_file(path, text, sizeof(text)) > 0);
    for (char *at = text; (at = strstr(at, "\n```lua\n"));) {
        static const char mark[] = "\n\n```yaml\n# params\n";
        char *script = at + 8;
        char *end = block_end(script);
        CHECK(end != NULL);
        if (!end)
            return n;
        char *params =
            strncmp(end + 4, mark, sizeof(mark) - 1) == 0 ? end + 4 + sizeof(mark) - 1 : NULL;
        char *params_end = params ? block_end(params) : NULL;
        struct mh_policy_job job = { .op = MH_POLICY_CHECK,
                                     .name = path,
                                     .script = script,
                                     .script_len = (size_t)(end - script),
                                     .params = params,
                                     .params_len = params ? (size_t)(params_end - params) : 0 };
        check(&job);
        n++;
        at = end;
    }
    return n;
}

TEST(the_policies_of_the_pages_are_accepted)
{
    char path[100];
    CHECK_INT(check_page("docs/policies.md"), 3);
    for (const struct mh_point *p = mh_points; p->name; p++) {
        (void)snprintf(path, sizeof(path), "docs/policies/%.*s.md", (int)strcspn(p->name, "/"),
                       p->name);
        CHECK(check_page(path) >= 1);
    }
}

/* One sample with what stands beside it. */
static void
check_sample(const char *dir, const char *name)
{
    static char params[20000], cases[70000];
    char path[700];
    int stem = (int)strlen(name) - 4;
    struct mh_policy_job job = { .op = MH_POLICY_CHECK, .name = name, .script = text };
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    job.script_len = read_file(path, text, sizeof(text));
    (void)snprintf(path, sizeof(path), "%s/%.*s.params.yaml", dir, stem, name);
    job.params_len = read_file(path, params, sizeof(params));
    job.params = job.params_len ? params : NULL;
    (void)snprintf(path, sizeof(path), "%s/%.*s.cases.yaml", dir, stem, name);
    job.cases_len = read_file(path, cases, sizeof(cases));
    job.cases = cases;
    CHECK(job.cases_len > 0);
    check(&job);
}

TEST(each_decision_point_has_three_samples_whose_cases_pass)
{
    for (const struct mh_point *p = mh_points; p->name; p++) {
        char dir[100];
        int n = 0;
        (void)snprintf(dir, sizeof(dir), "docs/policies/%.*s", (int)strcspn(p->name, "/"), p->name);
        DIR *d = opendir(dir);
        CHECK(d != NULL);
        for (const struct dirent *e; d && (e = readdir(d));) {
            if (!mh_str_ends(e->d_name, ".lua"))
                continue;
            check_sample(dir, e->d_name);
            n++;
        }
        if (d)
            (void)closedir(d);
        CHECK(n >= 3);
    }
}
