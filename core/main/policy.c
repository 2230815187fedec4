/* policy.c - moonherd policy: tries policy scripts where no cluster is, with the evaluator and the
 * limits of the worker. */
#include "lua/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/file.h"
#include "main/main.h"
#include "main/policy.h"

#define ARENA_MAX ((size_t)64 << 20)

static const char usage[] =
    "usage: moonherd policy check FILE.lua...     is it accepted?\n"
    "       moonherd policy test FILE.lua...      every case and every fixture, told one by one\n"
    "       moonherd policy types [POINT...]      what editors and validators need to know\n"
    "\n"
    "check compiles each script, runs its own cases, those of NAME.cases.yaml beside it, and the\n"
    "fixtures of its decision point, up to the first mistake; test runs all of them. Both have "
    "the\n"
    "limits of the real worker. NAME.params.yaml beside NAME.lua gives its parameters.\n"
    "types prints the stubs of all words for LuaLS; with -o json the JSON Schemas of input and\n"
    "answers, of the decision points that are named (\"retention/v1\") or of all.\n"
    "\n"
    "  -o json    the result as JSON\n"
    "\n"
    "Exit code: 0 all is well, 1 a script is not accepted, 2 wrong usage.\n";

/* --- one file --------------------------------------------------------------------------------- */

struct file {
    struct mh_arena arena;
    const char *path;
    struct mh_policy_job job;
    struct mh_policy_result result;
    char hash[MH_POLICY_HASH];
};

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The file NAME.ENDING beside NAME.lua, if there is one. False: it is there and cannot be read. */
static bool
read_beside(struct file *f, const char *ending, size_t max, const char **text, size_t *len,
            struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    char *got = NULL;
    size_t n = strlen(f->path) - (mh_str_ends(f->path, ".lua") ? 4 : 0);
    const char *name = mh_arena_printf(&f->arena, "%.*s.%s", (int)n, f->path, ending);
    if (!name || !fs.exists(fs.self, name))
        return true;
    if (fs.read(fs.self, &f->arena, name, max, &got, len, err) != MH_OK)
        return false;
    *text = got;
    return true;
}

static void
fail(struct file *f, const struct mh_err *err)
{
    f->result = (struct mh_policy_result){ .ok = false };
    f->result.error.kind = "file";
    f->result.error.message = mh_arena_strdup(&f->arena, err->msg);
    if (!f->result.error.message)
        f->result.error.message = "no memory";
}

static void
run_file(struct file *f, const char *path, bool all)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_err err;
    char *text;
    mh_arena_init(&f->arena, ARENA_MAX);
    f->path = path;
    f->job = (struct mh_policy_job){ .op = MH_POLICY_CHECK, .name = base_name(path), .all = all };
    if (fs.read(fs.self, &f->arena, path, MH_POLICY_OUTPUT_MAX, &text, &f->job.script_len, &err) !=
            MH_OK ||
        !read_beside(f, "params.yaml", MH_POLICY_PARAMS_MAX, &f->job.params, &f->job.params_len,
                     &err) ||
        !read_beside(f, "cases.yaml", MH_POLICY_OUTPUT_MAX, &f->job.cases, &f->job.cases_len,
                     &err)) {
        fail(f, &err);
        return;
    }
    f->job.script = text;
    mh_policy_hash(f->hash, text, f->job.script_len);
    mh_policy_run(&f->arena, &f->job, &f->result);
}

/* --- what is told ----------------------------------------------------------------------------- */

static void
tell_text(struct file *f)
{
    const struct mh_policy_result *r = &f->result;
    for (const struct mh_policy_step *s = r->steps; s; s = s->next)
        printf("%s - %s: %s%s%s\n", s->ok ? "ok" : "not ok", f->job.name, s->name,
               s->ok ? "" : "\n    ", s->ok || !s->message ? "" : s->message);
    if (r->ok) {
        printf("%s: ok, %s, %d cases, %s\n", f->path, r->point ? r->point : "?", r->cases, f->hash);
        return;
    }
    const char *why = mh_policy_error_text(&f->arena, &r->error);
    printf("%s: refused: %s\n", f->path, why ? why : "no memory");
    if (r->error.traceback)
        printf("%s\n", r->error.traceback);
}

static void
add_text(struct mh_buf *b, const char *key, const char *value)
{
    if (!value)
        return;
    (void)mh_buf_printf(b, ",\"%s\":", key);
    (void)mh_json_quote(b, value, strlen(value));
}

static void
tell_json(struct file *f, struct mh_buf *b)
{
    const struct mh_policy_result *r = &f->result;
    (void)mh_buf_printf(b, "{\"ok\":%s,\"cases\":%d,\"fuel\":%lld,\"us\":%lld",
                        r->ok ? "true" : "false", r->cases, (long long)r->fuel,
                        (long long)r->took_us);
    add_text(b, "file", f->path);
    add_text(b, "point", r->point);
    add_text(b, "hash", f->hash[0] ? f->hash : NULL);
    if (!r->ok) {
        const char *error = mh_policy_error_json(&f->arena, &r->error);
        (void)mh_buf_printf(b, ",\"error\":%s", error ? error : "null");
    }
    if (f->job.all) {
        (void)mh_buf_str(b, ",\"steps\":[");
        for (const struct mh_policy_step *s = r->steps; s; s = s->next) {
            (void)mh_buf_printf(b, "%s{\"ok\":%s", s == r->steps ? "" : ",",
                                s->ok ? "true" : "false");
            add_text(b, "name", s->name);
            add_text(b, "message", s->message);
            (void)mh_buf_char(b, '}');
        }
        (void)mh_buf_char(b, ']');
    }
    (void)mh_buf_char(b, '}');
}

static int
try_files(const struct mh_policy_args *args, bool all)
{
    struct mh_buf b;
    int rc = 0;
    if (args->n == 0) {
        (void)fputs("which file?\nHINT: moonherd policy --help\n", stderr);
        return 2;
    }
    mh_buf_init(&b, ARENA_MAX);
    for (int i = 0; i < args->n; i++) {
        struct file f = { .path = NULL };
        run_file(&f, args->names[i], all);
        rc |= !f.result.ok;
        (void)mh_buf_str(&b, i == 0 ? "[" : ",\n");
        if (args->json)
            tell_json(&f, &b);
        else
            tell_text(&f);
        mh_arena_release(&f.arena);
    }
    if (args->json)
        printf("%s]\n", mh_buf_text(&b));
    mh_buf_release(&b);
    return rc;
}

static int
verb_check(const struct mh_policy_args *args)
{
    return try_files(args, false);
}

static int
verb_test(const struct mh_policy_args *args)
{
    return try_files(args, true);
}

/* --- arguments -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(const struct mh_policy_args *args);
} verbs[] = {
    { "check", verb_check },
    { "test", verb_test },
    { "types", mh_policy_types },
};

static bool
read_args(int argc, char **argv, struct mh_policy_args *args)
{
    for (int i = 0; i < argc; i++) {
        const char *format = NULL;
        if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0)
            format = i + 1 < argc ? argv[++i] : "";
        else if (strncmp(argv[i], "-o", 2) == 0)
            format = argv[i] + 2 + (argv[i][2] == '=');
        else if (strncmp(argv[i], "--output=", 9) == 0)
            format = argv[i] + 9;
        else if (argv[i][0] == '-' && argv[i][1])
            format = "";
        if (format && strcmp(format, "json") != 0) {
            (void)fprintf(stderr, "%s is not known, -o json is\n", argv[i]);
            return false;
        }
        args->json = args->json || format;
        if (!format)
            args->names[args->n++] = argv[i];
    }
    return true;
}

int
mh_policy_main(int argc, char **argv)
{
    int rc = 2;
    bool help = false;
    for (int i = 0; i < argc; i++)
        help = help || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    if (argc < 1 || help) {
        (void)fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    struct mh_policy_args args = { .names = mh_calloc((size_t)argc, sizeof(*args.names)) };
    for (size_t i = 0; args.names && i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(argv[0], verbs[i].name) == 0 && read_args(argc - 1, argv + 1, &args)) {
            rc = verbs[i].run(&args);
            mh_free(args.names);
            return rc;
        }
    }
    (void)fputs(usage, stderr);
    mh_free(args.names);
    return rc;
}
