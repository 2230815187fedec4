/* chaos.c - moonherd chaos run|list: arguments, the world, the report, the exit code. */
#include "bind/chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "io/child.h"
#include "io/file.h"
#include "io/loop.h"
#include "kube/client.h"
#include "lua/embed.h"
#include "main/main.h"
#include "net/pg.h"

#define SCRIPT_MAX ((size_t)256 << 10)
#define ARENA_MAX ((size_t)64 << 20)
#define PARAMS_MAX 32
#define CANNOT_RUN 2

static const char usage[] =
    "usage: moonherd chaos run SCENARIO --world sandbox|cluster [OPTION...]\n"
    "       moonherd chaos list [-o json]\n"
    "\n"
    "Breaks things on purpose and checks that the cluster behaves. SCENARIO is a file (with a "
    "slash or\n"
    ".lua) or a name that `list` shows. In a cluster the namespace must carry the label\n"
    "moonherd.io/chaos=allowed.\n"
    "\n"
    "  --world sandbox|cluster  what it runs in: a sandbox of `moonherd sandbox up`, or "
    "Kubernetes\n"
    "  --param NAME=VALUE       a parameter of the scenario; may be given several times\n"
    "  --seed N                 of its dice (from the clock if not given; the report names it)\n"
    "  -n, --namespace NS       where (that of the kubeconfig)\n"
    "  --kubeconfig FILE        which API ($KUBECONFIG, or from inside the cluster)\n"
    "  --faults PROGRAM         does what an API cannot: PROGRAM VERB ARGUMENT... (docs/chaos.md)\n"
    "  --without DEFENCE        sandbox only: with this defence of the scenario switched off, its "
    "check\n"
    "                           must then fail\n"
    "  --limit SECONDS          for all of it (900)\n"
    "  -o json                  the report as JSON on standard output, the steps on standard "
    "error\n"
    "\n"
    "Exit code: 0 passed, 1 a check failed, 2 it could not run.\n";

struct given {
    const char *script, *world, *ns, *kubeconfig, *faults, *without, *output;
    const char *params[PARAMS_MAX];
    int nparams;
    int64_t seed, limit_s;
};

struct run {
    struct event_base *base;
    struct mh_http *http;
    struct mh_kube_config config;
    struct mh_kube *kube;
    struct mh_signal *signals[2];
    struct mh_chaos chaos;
    struct mh_arena arena;
    FILE *steps;
};

static int
wrong(const char *why, const char *what)
{
    (void)fprintf(stderr, "moonherd chaos: %s%s%s, see --help\n", why, what ? ": " : "",
                  what ? what : "");
    return CANNOT_RUN;
}

static int
failed(const struct mh_err *err)
{
    (void)fprintf(stderr, "moonherd chaos: %s\n", err->msg);
    return CANNOT_RUN;
}

/* --- arguments ------------------------------------------------------------------------------- */

/* Where the value of this option goes, NULL if it is none. */
static const char **
text_of(struct given *g, const char *name)
{
    static const struct {
        const char *name;
        size_t at;
    } known[] = {
        { "--world", offsetof(struct given, world) },
        { "-n", offsetof(struct given, ns) },
        { "--namespace", offsetof(struct given, ns) },
        { "--kubeconfig", offsetof(struct given, kubeconfig) },
        { "--faults", offsetof(struct given, faults) },
        { "--without", offsetof(struct given, without) },
        { "-o", offsetof(struct given, output) },
        { "--output", offsetof(struct given, output) },
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (mh_str_eq(known[i].name, name))
            return (const char **)(void *)((char *)g + known[i].at);
    if (mh_str_eq(name, "--param") && g->nparams < PARAMS_MAX)
        return &g->params[g->nparams++];
    return NULL;
}

static bool
read_given(struct given *g, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char **to = text_of(g, argv[i]);
        int64_t *number = mh_str_eq(argv[i], "--seed")    ? &g->seed
                          : mh_str_eq(argv[i], "--limit") ? &g->limit_s
                                                          : NULL;
        if ((to || number) && i + 1 >= argc)
            return wrong("no value", argv[i]) == 0;
        if (to) {
            *to = argv[++i];
        } else if (number) {
            if (!mh_str_int(argv[++i], 0, INT64_MAX / MH_NS_PER_S, number))
                return wrong("no number", argv[i]) == 0;
        } else if (argv[i][0] == '-' || g->script) {
            return wrong("not expected", argv[i]) == 0;
        } else {
            g->script = argv[i];
        }
    }
    if (g->output && !mh_str_eq(g->output, "json"))
        return wrong("no such output", g->output) == 0;
    return true;
}

/* Where the shell would find this program; as it is when nobody would. */
static const char *
program_of(struct mh_arena *a, const char *name)
{
    const char *dirs = strchr(name, '/') ? NULL : getenv("PATH");
    while (dirs && *dirs) {
        size_t n = strcspn(dirs, ":");
        char *path = n ? mh_arena_printf(a, "%.*s/%s", (int)n, dirs, name) : NULL;
        if (path && access(path, X_OK) == 0)
            return path;
        dirs += n + (dirs[n] == ':');
    }
    return name;
}

/* What the script is told. NULL: *err. */
static const char *
input_of(struct run *r, const struct given *g, struct mh_err *err)
{
    yyjson_mut_doc *d = mh_json_doc(&r->arena);
    yyjson_mut_val *o = d ? yyjson_mut_obj(d) : NULL;
    yyjson_mut_val *params = o ? yyjson_mut_obj_add_obj(d, o, "params") : NULL;
    const char *ns = g->ns ? g->ns : mh_kube_namespace(r->kube);
    const char *kubectl = getenv("KUBECTL");
    if (!params) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory");
        return NULL;
    }
    (void)yyjson_mut_obj_add_int(d, o, "fiber", 0);
    (void)yyjson_mut_obj_add_int(d, o, "seed", g->seed);
    (void)yyjson_mut_obj_add_str(d, o, "world", g->world);
    (void)yyjson_mut_obj_add_str(d, o, "namespace", ns);
    (void)yyjson_mut_obj_add_str(d, o, "kubectl",
                                 program_of(&r->arena, kubectl ? kubectl : "kubectl"));
    if (g->kubeconfig)
        (void)yyjson_mut_obj_add_str(d, o, "kubeconfig", g->kubeconfig);
    if (g->faults)
        (void)yyjson_mut_obj_add_str(d, o, "faults", program_of(&r->arena, g->faults));
    if (g->without)
        (void)yyjson_mut_obj_add_str(d, o, "without", g->without);
    for (int i = 0; i < g->nparams; i++) {
        const char *eq = strchr(g->params[i], '=');
        char *name =
            eq ? mh_arena_strndup(&r->arena, g->params[i], (size_t)(eq - g->params[i])) : NULL;
        if (!name || !*name) {
            (void)mh_fail(err, MH_E_INVALID, "a parameter is NAME=VALUE, not %s", g->params[i]);
            return NULL;
        }
        (void)yyjson_mut_obj_add_str(d, params, name, eq + 1);
    }
    return mh_json_mut_text(&r->arena, o, NULL);
}

/* A file, or one of the library. */
static enum mh_code
read_script(struct mh_arena *a, const char *given, const char **name, const char **text,
            size_t *len, struct mh_err *err)
{
    if (strchr(given, '/') || mh_str_ends(given, ".lua")) {
        const char *slash = strrchr(given, '/');
        char *own = NULL;
        *name = mh_arena_strdup(a, slash ? slash + 1 : given);
        if (*name && mh_str_ends(*name, ".lua"))
            *name = mh_arena_strndup(a, *name, strlen(*name) - 4);
        struct mh_fs fs = mh_fs_real();
        enum mh_code code = fs.read(fs.self, a, given, SCRIPT_MAX, &own, len, err);
        *text = own;
        return code;
    }
    const char *path = mh_arena_printf(a, "chaos/%s", given);
    const struct mh_script *s = path ? mh_script_find(a, path) : NULL;
    if (!s)
        return mh_fail(err, MH_E_NOTFOUND,
                       "there is no scenario '%s'. HINT: moonherd chaos list, or a file", given);
    *name = given;
    *text = s->text;
    *len = s->len;
    return MH_OK;
}

/* --- run ------------------------------------------------------------------------------------- */

static void
say(void *arg, const char *line)
{
    struct run *r = arg;
    (void)fprintf(r->steps, "%s\n", line);
    (void)fflush(r->steps);
}

static void
on_signal(void *arg, int sig)
{
    struct run *r = arg;
    (void)sig;
    mh_chaos_stop(&r->chaos, "interrupted");
}

static enum mh_code
run_open(struct run *r, const struct given *g, struct mh_err *err)
{
    mh_arena_init(&r->arena, ARENA_MAX);
    r->base = mh_loop_new();
    r->http = r->base ? mh_http_new(r->base) : NULL;
    if (!r->http)
        return mh_fail(err, MH_E_NOMEM, "no memory");
    enum mh_code code = mh_kube_config_load(&r->config, g->kubeconfig, err);
    if (code != MH_OK)
        return code;
    r->kube = mh_kube_new(r->base, r->http, &r->config);
    r->chaos = (struct mh_chaos){ .base = r->base,
                                  .clock = mh_clock_real(r->base),
                                  .pg = mh_pg_real(r->base),
                                  .proc = mh_proc_real(r->base),
                                  .limit_ns = g->limit_s * MH_NS_PER_S,
                                  .say = say,
                                  .arg = r };
    if (!r->kube || !r->chaos.clock.self || !r->chaos.pg.self || !r->chaos.proc.self)
        return mh_fail(err, MH_E_NOMEM, "no memory");
    mh_kube_set_rate(r->kube, 500, 500);
    r->chaos.api = mh_kube_api(r->kube);
    r->chaos.input = input_of(r, g, err);
    r->signals[0] = mh_loop_on_signal(r->base, SIGINT, on_signal, r);
    r->signals[1] = mh_loop_on_signal(r->base, SIGTERM, on_signal, r);
    return r->chaos.input ? MH_OK : err->code;
}

static void
run_close(struct run *r)
{
    mh_loop_off_signal(r->signals[0]);
    mh_loop_off_signal(r->signals[1]);
    if (r->chaos.proc.self)
        mh_proc_release(&r->chaos.proc);
    if (r->chaos.pg.self)
        mh_pg_real_free(&r->chaos.pg);
    if (r->chaos.clock.self)
        mh_clock_release(&r->chaos.clock);
    if (r->kube)
        mh_kube_free(r->kube);
    mh_kube_config_release(&r->config);
    if (r->http)
        mh_http_free(r->http);
    if (r->base)
        event_base_free(r->base);
    mh_arena_release(&r->arena);
}

static int
print_report(struct run *r, const struct given *g, const char *report)
{
    struct mh_err err;
    yyjson_val *v = NULL;
    if (mh_json_parse(&r->arena, report, strlen(report), &v, &err) != MH_OK)
        return failed(&err);
    if (g->output)
        (void)puts(report);
    else
        (void)puts(mh_json_str(v, "summary", NULL) ? mh_json_str(v, "summary", NULL) : "");
    if (mh_json_bool(v, false, "refused", NULL))
        return CANNOT_RUN;
    return mh_json_bool(v, false, "passed", NULL) ? 0 : 1;
}

static int
chaos_run(struct given *g)
{
    struct run r = { .steps = g->output ? stderr : stdout };
    struct mh_err err = { .code = MH_OK };
    const char *name = NULL, *text = NULL, *report = NULL;
    size_t len = 0;
    int rc;
    if (!g->script)
        return wrong("which scenario?", NULL);
    if (!mh_str_eq(g->world, "sandbox") && !mh_str_eq(g->world, "cluster"))
        return wrong("--world is sandbox or cluster", NULL);
    if (run_open(&r, g, &err) != MH_OK ||
        read_script(&r.arena, g->script, &name, &text, &len, &err) != MH_OK ||
        mh_chaos_run(&r.chaos, name, text, len, &r.arena, &report, &err) != MH_OK)
        rc = failed(&err);
    else
        rc = print_report(&r, g, report);
    run_close(&r);
    return rc;
}

/* --- list ------------------------------------------------------------------------------------ */

static void
print_facts(const char *name, yyjson_val *facts)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(facts, "covers"));
    yyjson_val *id;
    (void)printf("%-26s", name);
    for (int n = 0; (id = yyjson_arr_iter_next(&i)); n++)
        (void)printf("%s%s", n ? " " : "", yyjson_get_str(id));
    const char *about = mh_json_str(facts, "about", NULL);
    (void)printf("\n    %s\n", about ? about : "");
}

static int
chaos_list(const struct given *g)
{
    struct mh_arena a;
    struct mh_err err;
    int rc = 0, n = 0;
    mh_arena_init(&a, ARENA_MAX);
    if (g->output)
        (void)putchar('[');
    for (const struct mh_script *s = mh_scripts; s->name; s++) {
        const char *facts = NULL, *name = s->name + 6;
        yyjson_val *v = NULL;
        if (!mh_str_starts(s->name, "chaos/") || strchr(name, '/'))
            continue;
        if (mh_chaos_facts(name, s->text, s->len, &a, &facts, &err) != MH_OK ||
            mh_json_parse(&a, facts, strlen(facts), &v, &err) != MH_OK) {
            rc = failed(&err);
            continue;
        }
        if (g->output)
            (void)printf("%s\n%s", n ? "," : "", facts);
        else
            print_facts(name, v);
        n++;
    }
    if (g->output)
        (void)puts("]");
    mh_arena_release(&a);
    return rc;
}

int
mh_chaos_main(int argc, char **argv)
{
    struct timespec now = { 0, 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct given g = { .seed = (now.tv_sec % 1000000) * 1000 + now.tv_nsec / 1000000,
                       .limit_s = 900 };
    const char *verb = argc > 0 ? argv[0] : "";
    for (int i = 0; i < argc; i++) {
        if (mh_str_eq(argv[i], "--help") || mh_str_eq(argv[i], "-h") ||
            mh_str_eq(argv[i], "help")) {
            (void)fputs(usage, stdout);
            return 0;
        }
    }
    mh_log_set_fd(-1);
    if (!mh_str_eq(verb, "run") && !mh_str_eq(verb, "list")) {
        (void)fputs(usage, stderr);
        return CANNOT_RUN;
    }
    if (!read_given(&g, argc - 1, argv + 1))
        return CANNOT_RUN;
    return mh_str_eq(verb, "run") ? chaos_run(&g) : chaos_list(&g);
}
