/* policy.c - moonherd policy: tries policy scripts where no cluster is. */
#include "lua/policy.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/file.h"
#include "main/main.h"

static const char usage[] = "usage: moonherd policy check|test FILE.lua...\n"
                            "\n"
                            "Compiles each script, runs the fixtures of its decision point and the "
                            "script's own cases, with\n"
                            "the limits of the real worker. FILE.params.yaml beside it gives its "
                            "parameters. Exit code 1 if\n"
                            "one is not accepted.\n";

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* NAME.params.yaml beside NAME.lua, if there is one. */
static void
read_params(struct mh_fs *fs, struct mh_arena *a, const char *path, struct mh_policy_job *job)
{
    char *text;
    size_t len, n = strlen(path) - (mh_str_ends(path, ".lua") ? 4 : 0);
    const char *name = mh_arena_printf(a, "%.*s.params.yaml", (int)n, path);
    if (name && fs->exists(fs->self, name) &&
        fs->read(fs->self, a, name, MH_POLICY_PARAMS_MAX, &text, &len, NULL) == MH_OK) {
        job->params = text;
        job->params_len = len;
    }
}

static int
check_file(struct mh_fs *fs, const char *path)
{
    struct mh_arena a;
    struct mh_err err;
    struct mh_policy_result result;
    char hash[MH_POLICY_HASH];
    char *text;
    size_t len;
    int rc = 1;
    mh_arena_init(&a, (size_t)16 << 20);
    if (fs->read(fs->self, &a, path, MH_POLICY_OUTPUT_MAX, &text, &len, &err) != MH_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        mh_arena_release(&a);
        return 1;
    }
    struct mh_policy_job job = {
        .op = MH_POLICY_CHECK, .name = base_name(path), .script = text, .script_len = len
    };
    read_params(fs, &a, path, &job);
    mh_policy_run(&a, &job, &result);
    mh_policy_hash(hash, text, len);
    if (result.ok) {
        printf("%s: ok, %s, %d cases, %s\n", path, result.point ? result.point : "?", result.cases,
               hash);
        rc = 0;
    } else {
        const char *why = mh_policy_error_text(&a, &result.error);
        printf("%s: refused: %s\n", path, why ? why : "no memory");
        if (result.error.traceback)
            printf("%s\n", result.error.traceback);
    }
    mh_arena_release(&a);
    return rc;
}

int
mh_policy_main(int argc, char **argv)
{
    struct mh_fs fs = mh_fs_real();
    int rc = 0;
    if (argc < 1 || strcmp(argv[0], "--help") == 0) {
        (void)fputs(usage, argc < 1 ? stderr : stdout);
        return argc < 1 ? 2 : 0;
    }
    if ((strcmp(argv[0], "check") != 0 && strcmp(argv[0], "test") != 0) || argc < 2) {
        (void)fputs(usage, stderr);
        return 2;
    }
    for (int i = 1; i < argc; i++)
        rc |= check_file(&fs, argv[i]);
    return rc;
}
