/* replay.c - replay FILE [ahead]: every decision of FILE (made by inputs.lua) once more; what comes out, answers
 * and errors, as lines of JSON. Two builds of the same tree must print the same bytes. With "ahead" as a worker
 * does it: each decision is the second of its kind, so that its script has run before the input is there. Run
 * in the root of the tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "lua/policy.h"

#define TEXT_MAX ((size_t)1 << 20)

static bool ahead;

/* The text of a file on the arena; NULL: none. */
static const char *
read_file(struct mh_arena *a, const char *path, size_t *len)
{
    char *text = mh_arena_alloc(a, TEXT_MAX);
    FILE *f = fopen(path, "re");
    *len = f && text ? fread(text, 1, TEXT_MAX - 1, f) : 0;
    if (f)
        (void)fclose(f);
    return f ? text : NULL;
}

/* "docs/policies/x/y.lua": its parameters are beside it. */
static void
add_params(struct mh_arena *a, const char *path, struct mh_policy_job *job)
{
    const char *name = mh_arena_printf(a, "%.*s.params.yaml", (int)(strlen(path) - 4), path);
    job->params = name ? read_file(a, name, &job->params_len) : NULL;
}

/* One decision; false when the line is none. Fuel is counted in a fresh VM, so it is the same too. */
static bool
replay(struct mh_arena *a, const char *line, size_t len, long n)
{
    yyjson_val *v = NULL;
    struct mh_policy_result r;
    struct mh_policy_job job = { .op = MH_POLICY_DECIDE };
    if (mh_json_parse(a, line, len, &v, NULL) != MH_OK)
        return false;
    const char *path = mh_json_str(v, "script", NULL);
    job.point = mh_json_str(v, "point", NULL);
    job.input = mh_json_canonical(a, yyjson_obj_get(v, "input"), &job.input_len);
    if (path) {
        const char *slash = strrchr(path, '/');
        job.name = slash ? slash + 1 : path;
        job.script = read_file(a, path, &job.script_len);
        add_params(a, path, &job);
        if (!job.script)
            return false;
    }
    if (ahead) {
        mh_policy_run(a, &job, &r);
        mh_policy_prepare();
    }
    mh_policy_run(a, &job, &r);
    printf("%ld %s %s fuel=%lld ", n, job.point, path ? path : "built-in", (long long)r.fuel);
    if (r.ok)
        (void)fwrite(r.answer, 1, r.answer_len, stdout);
    else
        (void)fputs(mh_policy_error_json(a, &r.error), stdout);
    (void)putchar('\n');
    return true;
}

int
main(int argc, char **argv)
{
    FILE *f = argc > 1 ? fopen(argv[1], "re") : NULL;
    static char line[TEXT_MAX];
    long n = 0;
    mh_log_set_fd(-1);
    mh_vm_set_patience(200);
    ahead = argc > 2 && strcmp(argv[2], "ahead") == 0;
    if (ahead)
        mh_policy_prepare();
    while (f && fgets(line, sizeof(line), f)) {
        struct mh_arena a;
        mh_arena_init(&a, (size_t)64 << 20);
        bool ok = replay(&a, line, strlen(line), ++n);
        mh_arena_release(&a);
        if (!ok) {
            (void)fprintf(stderr, "line %ld: no decision, or its script is missing\n", n);
            return 2;
        }
    }
    if (!f || n == 0) {
        (void)fputs("usage: replay FILE [ahead]\n", stderr);
        return 2;
    }
    mh_policy_unprepare();
    (void)fclose(f);
    (void)fflush(stdout);
    return 0;
}
