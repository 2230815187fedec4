#include "sandbox/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "sandbox/cli_client.h"
#include "sandbox/live.h"
#include "sandbox/sandbox.h"
#include "sandbox/up.h"

#define ARENA_MAX ((size_t)64 << 20)
#define WORDS_MAX 5

static const char usage[] =
    "usage: moonherd sandbox COMMAND [ARGUMENT...]\n"
    "\n"
    "A Kubernetes-compatible API with nodes that run pods as processes of this machine, and the\n"
    "operator in it. For trying and testing only: it listens on loopback, and nothing in it is "
    "safe\n"
    "against its own user.\n"
    "\n"
    "  up       starts one and stays until Ctrl-C, SIGTERM or `down`\n"
    "  status   instances, roles, lag, last decisions with their reasons\n"
    "  fault    kills, freezes, cuts, slows, switches off, fills\n"
    "  down     ends it\n"
    "\n"
    "moonherd sandbox COMMAND --help tells more.\n";

static const char usage_up[] =
    "usage: moonherd sandbox up [OPTION...]\n"
    "\n"
    "  -f FILE            applies FILE (YAML or JSON; - is standard input) once the operator is\n"
    "                     ready; may be given several times\n"
    "  --nodes N          how many nodes (3); each is a zone of its own\n"
    "  --data DIR         keeps everything in DIR: a second start goes on where this one stopped\n"
    "  --kubeconfig FILE  where the kubeconfig goes (in DIR, or ~/.cache/moonherd/sandbox)\n"
    "  --bare             the API server and its controllers only: no nodes, no operator\n"
    "  --api-only         the API server only: no controllers, either\n"
    "  -v, --verbose      the sandbox's own log on standard error (else in sandbox.log)\n"
    "\n"
    "Exit code: 0 ended as asked, 1 failed, 2 wrong usage, 3 a sandbox runs there already.\n";

static const char usage_status[] =
    "usage: moonherd sandbox status [CLUSTER] [OPTION...]\n"
    "\n"
    "  -n NAMESPACE       clusters of this namespace only\n"
    "  -w                 shows it again each second until Ctrl-C\n"
    "  -o json            as JSON (with -w: one line each time)\n"
    "  --events N         at most N decisions of each cluster (8)\n"
    "  --data DIR, --kubeconfig FILE\n"
    "                     which sandbox; if neither is given that of $KUBECONFIG, else the only\n"
    "                     one that runs\n"
    "\n"
    "Exit code: 0, 1 failed, 2 wrong usage, 3 no sandbox answers.\n";

static const char usage_fault[] =
    "usage: moonherd sandbox fault VERB [ARGUMENT...] [OPTION...]\n"
    "\n"
    "  kill POD                the pod's first process gets SIGKILL (--signal TERM, INT, ...);\n"
    "                          --process postgres: the oldest process of that name\n"
    "  freeze POD, thaw POD    all its processes stand still (SIGSTOP), go on\n"
    "  cut A B                 nothing passes between the two any more\n"
    "  slow A B MS             bytes take MS milliseconds more\n"
    "  heal [A [B]]            takes cuts and delays away\n"
    "  off NODE, on NODE       a node loses its power, gets it back\n"
    "  fill CLAIM              its disk is full (--free BYTES left); class memory only\n"
    "  unfill CLAIM            its space is back\n"
    "  api KIND                the API server: down, slow MS, conflict, throttle, error, lose "
    "(events\n"
    "                          of watches), stale (reads); --user GLOB, --resource PLURAL,\n"
    "                          --percent P, --for SECONDS\n"
    "  list                    what is on\n"
    "  clear [NUMBER]          takes one fault of the API server away, or all and every cut\n"
    "\n"
    "A POD is a name or primary:CLUSTER. A and B: a pod, node:NAME, api, or '*' for everybody.\n"
    "Options: -n NAMESPACE (default), --container NAME, -o json, --data DIR, --kubeconfig FILE\n"
    "(which sandbox; else that of $KUBECONFIG, else the only one that runs).\n"
    "Exit code: 0, 1 failed, 2 wrong usage, 3 no sandbox answers.\n";

static const char usage_down[] = "usage: moonherd sandbox down [--data DIR | --kubeconfig FILE]\n"
                                 "\n"
                                 "Ends a running sandbox and waits until it is gone: that which is "
                                 "named,\nelse that of $KUBECONFIG, else the only one that runs.\n"
                                 "Exit code: 0, 1 failed, 2 wrong usage, 3 no sandbox answers.\n";

struct given {
    struct mh_sb_up_options up;
    const char *words[WORDS_MAX];
    int nwords;
    const char *ns, *output, *container, *process, *signal, *user, *resource;
    int64_t free_bytes, percent, seconds, events;
    bool watch, help;
};

/* --- arguments ------------------------------------------------------------------------------------------ */

struct option_text {
    const char *name;
    size_t at;
};
#define TEXT(name, field)                                                                          \
    {                                                                                              \
        name, offsetof(struct given, field)                                                        \
    }

static const struct option_text texts[] = {
    TEXT("--data", up.data),
    TEXT("--kubeconfig", up.kubeconfig),
    TEXT("-n", ns),
    TEXT("--namespace", ns),
    TEXT("-o", output),
    TEXT("--output", output),
    TEXT("--container", container),
    TEXT("-c", container),
    TEXT("--process", process),
    TEXT("--signal", signal),
    TEXT("--user", user),
    TEXT("--resource", resource),
};
static const struct option_text numbers[] = {
    TEXT("--free", free_bytes),
    TEXT("--percent", percent),
    TEXT("--for", seconds),
    TEXT("--events", events),
};

static bool
wrong(const char *why, const char *what)
{
    (void)fprintf(stderr, "moonherd sandbox: %s: %s, see --help\n", why, what);
    return false;
}

/* "--name=value" or "--name value". NULL: not this option. */
static const char *
value_of(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=' && name[1] == '-')
        return argv[*i] + n + 1;
    if (argv[*i][n] || *i + 1 >= argc)
        return NULL;
    return argv[++*i];
}

static bool
take_flag(struct given *g, const char *s)
{
    if (mh_str_eq(s, "-w") || mh_str_eq(s, "--watch"))
        g->watch = true;
    else if (mh_str_eq(s, "-h") || mh_str_eq(s, "--help"))
        g->help = true;
    else if (mh_str_eq(s, "-v") || mh_str_eq(s, "--verbose"))
        g->up.verbose = true;
    else if (mh_str_eq(s, "--bare"))
        g->up.bare = true;
    else if (mh_str_eq(s, "--api-only"))
        g->up.bare = g->up.api_only = true;
    else
        return false;
    return true;
}

static bool
take_one(struct given *g, int argc, char **argv, int *i)
{
    const char *v;
    int64_t n;
    if (take_flag(g, argv[*i]))
        return true;
    for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
        if ((v = value_of(texts[k].name, argc, argv, i))) {
            memcpy((char *)g + texts[k].at, &v, sizeof(v));
            return true;
        }
    }
    for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        if (!(v = value_of(numbers[k].name, argc, argv, i)))
            continue;
        if (!mh_str_int(v, 0, INT64_MAX, &n))
            return wrong("no number", v);
        memcpy((char *)g + numbers[k].at, &n, sizeof(n));
        return true;
    }
    if ((v = value_of("-f", argc, argv, i)) || (v = value_of("--filename", argc, argv, i))) {
        if (g->up.nfiles == MH_SB_FILES_MAX)
            return wrong("too many files", v);
        g->up.files[g->up.nfiles++] = v;
        return true;
    }
    if ((v = value_of("--nodes", argc, argv, i))) {
        if (!mh_str_int(v, 0, MH_SB_NODES_MAX, &n))
            return wrong("no number of nodes", v);
        g->up.nodes = (int)n;
        return true;
    }
    if (argv[*i][0] == '-' && argv[*i][1])
        return wrong("unknown option, or its value is missing", argv[*i]);
    if (g->nwords == WORDS_MAX)
        return wrong("too many arguments", argv[*i]);
    g->words[g->nwords++] = argv[*i];
    return true;
}

static bool
read_given(struct given *g, int argc, char **argv)
{
    *g = (struct given){ .up = { .nodes = 3 }, .percent = 100, .events = 8 };
    for (int i = 0; i < argc; i++)
        if (!take_one(g, argc, argv, &i))
            return false;
    if (g->output && !mh_str_eq(g->output, "json"))
        return wrong("no such output", g->output);
    return true;
}

static bool
as_json(const struct given *g)
{
    return g->output != NULL;
}

static int
failed(const struct mh_err *err)
{
    (void)fprintf(stderr, "moonherd sandbox: %s\n", err->msg);
    if (err->code == MH_E_REFUSED) { /* of several that run */
        mh_sb_which_print(stderr);
        return 2;
    }
    return err->code == MH_E_UNREACHABLE || err->code == MH_E_NOTFOUND ? 3 : 1;
}

/* --- status ------------------------------------------------------------------------------------------------ */

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

static int
width_of(void)
{
    struct winsize w;
    return isatty(1) && ioctl(1, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static int
show(struct mh_sb_client *c, const struct given *g, bool clear)
{
    struct mh_sb_live live = { g->ns, g->words[0], (int)(g->events > 1000 ? 1000 : g->events) };
    struct mh_arena a;
    struct mh_buf b;
    struct mh_err err = { 0 };
    yyjson_mut_doc *d;
    yyjson_mut_val *view;
    yyjson_val *frozen = NULL;
    size_t n = 0;
    int rc = 0;
    mh_arena_init(&a, ARENA_MAX);
    mh_buf_init(&b, (size_t)4 << 20);
    char *text = NULL;
    if (mh_sb_live_gather(c, &live, &a, &d, &view, &err) != MH_OK)
        rc = failed(&err);
    else
        text = mh_json_mut_text(&a, view, &n);
    if (text && as_json(g)) {
        (void)puts(text);
    } else if (text && mh_json_parse(&a, text, n, &frozen, &err) == MH_OK) {
        struct mh_sb_look look = { width_of(), isatty(1) && !getenv("NO_COLOR") };
        mh_sb_live_print(frozen, &look, &b);
        if (clear && isatty(1))
            (void)fputs("\033[H\033[2J", stdout);
        (void)fputs(mh_buf_text(&b), stdout);
    }
    (void)fflush(stdout);
    mh_buf_release(&b);
    mh_arena_release(&a);
    return rc;
}

static int
run_status(const struct given *g)
{
    struct mh_sb_client c;
    struct mh_err err = { 0 };
    struct sigaction sa = { .sa_handler = on_interrupt };
    if (mh_sb_client_open(&c, g->up.kubeconfig, g->up.data, &err) != MH_OK) {
        mh_sb_client_release(&c);
        return failed(&err);
    }
    if (g->watch)
        (void)sigaction(SIGINT, &sa, NULL);
    int rc = show(&c, g, g->watch);
    while (g->watch && rc == 0 && !interrupted) {
        struct timespec second = { 1, 0 };
        (void)nanosleep(&second, NULL);
        if (!interrupted)
            rc = show(&c, g, true);
    }
    mh_sb_client_release(&c);
    return interrupted ? 0 : rc;
}

/* --- fault, down --------------------------------------------------------------------------------------------- */

static void
add_text(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, const char *value)
{
    if (value)
        (void)yyjson_mut_obj_add_str(d, o, key, value);
}

static char *
fault_body(const struct given *g, struct mh_arena *a)
{
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *o = d ? yyjson_mut_obj(d) : NULL;
    if (!o)
        return NULL;
    add_text(d, o, "verb", g->words[0]);
    add_text(d, o, "namespace", g->ns);
    add_text(d, o, "container", g->container);
    add_text(d, o, "process", g->process);
    add_text(d, o, "signal", g->signal);
    add_text(d, o, "user", g->user);
    add_text(d, o, "resource", g->resource);
    (void)yyjson_mut_obj_add_int(d, o, "free", g->free_bytes);
    (void)yyjson_mut_obj_add_int(d, o, "percent", g->percent);
    (void)yyjson_mut_obj_add_int(d, o, "seconds", g->seconds);
    yyjson_mut_val *args = yyjson_mut_obj_add_arr(d, o, "args");
    for (int i = 1; i < g->nwords; i++)
        (void)yyjson_mut_arr_add_str(d, args, g->words[i]);
    return mh_json_mut_text(a, o, NULL);
}

static void
print_faults(yyjson_val *status, bool json, struct mh_arena *a)
{
    yyjson_val *list = yyjson_obj_get(status, "faults"), *f;
    size_t i, n;
    if (json) {
        char *text = mh_json_text(a, list, NULL);
        (void)puts(text ? text : "[]");
        return;
    }
    yyjson_arr_foreach(list, i, n, f)
    {
        (void)puts(yyjson_get_str(f));
    }
    if (yyjson_arr_size(list) == 0)
        (void)puts("no fault is on");
}

static int
run_fault(const struct given *g)
{
    struct mh_sb_client c;
    struct mh_err err = { 0 };
    struct mh_arena a;
    yyjson_val *reply = NULL;
    bool list = mh_str_eq(g->words[0], "list");
    mh_arena_init(&a, ARENA_MAX);
    enum mh_code code = mh_sb_client_open(&c, g->up.kubeconfig, g->up.data, &err);
    char *body = code == MH_OK && !list ? fault_body(g, &a) : NULL;
    bool asked = code == MH_OK;
    if (asked)
        code = mh_sb_client_ask(&c, &a,
                                list ? "/moonherd/v1/sandbox/status" : "/moonherd/v1/sandbox/fault",
                                body, &reply, &err);
    int rc = 0;
    if (code != MH_OK) {
        const char *said = mh_json_str(reply, "message", NULL);
        if (said)
            (void)fprintf(stderr, "moonherd sandbox: %s\n", said);
        rc = said ? 1 : failed(&err);
        if (!said && asked && err.code == MH_E_NOTFOUND)
            rc = 1;
    } else if (list) {
        print_faults(reply, as_json(g), &a);
    } else if (as_json(g)) {
        char *text = mh_json_text(&a, reply, NULL);
        (void)puts(text ? text : "{}");
    } else {
        (void)puts(mh_json_str(reply, "done", NULL) ? mh_json_str(reply, "done", NULL) : "done");
    }
    mh_sb_client_release(&c);
    mh_arena_release(&a);
    return rc;
}

/* Until the process is gone; it has 20 s. */
static bool
wait_gone(pid_t pid)
{
    struct timespec pause = { 0, 20000000 };
    for (int i = 0; i < 1000; i++) {
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return true;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

static int
run_down(const struct given *g)
{
    struct mh_sb_client c;
    struct mh_err err = { 0 };
    struct mh_arena a;
    yyjson_val *status = NULL, *reply = NULL;
    mh_arena_init(&a, ARENA_MAX);
    enum mh_code code = mh_sb_client_open(&c, g->up.kubeconfig, g->up.data, &err);
    if (code == MH_OK)
        code = mh_sb_client_ask(&c, &a, "/moonherd/v1/sandbox/status", NULL, &status, &err);
    if (code == MH_OK)
        code = mh_sb_client_ask(&c, &a, "/moonherd/v1/sandbox/stop", "{}", &reply, &err);
    pid_t pid = (pid_t)mh_json_int(status, 0, "pid", NULL);
    int rc = code == MH_OK ? 0 : failed(&err);
    if (rc == 0 && pid > 0 && !wait_gone(pid)) {
        (void)fprintf(stderr, "moonherd sandbox: process %d does not end\n", (int)pid);
        rc = 1;
    }
    mh_sb_client_release(&c);
    mh_arena_release(&a);
    return rc;
}

/* --- the command --------------------------------------------------------------------------------------------- */

static int
run_up(const struct given *g)
{
    if (g->nwords > 0) {
        (void)wrong("not expected", g->words[0]);
        return 2;
    }
    return mh_sb_up_main(&g->up);
}

static const struct {
    const char *name;
    const char *usage;
    int (*run)(const struct given *g);
    int min_words, max_words;
} commands[] = {
    { "up", usage_up, run_up, 0, 0 },
    { "status", usage_status, run_status, 0, 1 },
    { "fault", usage_fault, run_fault, 1, 4 },
    { "down", usage_down, run_down, 0, 0 },
};

int
mh_sandbox_main(int argc, char **argv)
{
    struct given g;
    const char *name = argc > 0 ? argv[0] : NULL;
    if (!name || mh_str_eq(name, "help") || mh_str_eq(name, "--help") || mh_str_eq(name, "-h")) {
        (void)fputs(usage, name ? stdout : stderr);
        return name ? 0 : 2;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!mh_str_eq(name, commands[i].name))
            continue;
        if (!read_given(&g, argc - 1, argv + 1))
            return 2;
        if (g.help) {
            (void)fputs(commands[i].usage, stdout);
            return 0;
        }
        if (g.nwords < commands[i].min_words || g.nwords > commands[i].max_words) {
            (void)fputs(commands[i].usage, stderr);
            return 2;
        }
        if (!mh_str_eq(name, "up"))
            mh_log_set_fd(-1);
        return commands[i].run(&g);
    }
    (void)wrong("no such command", name);
    return 2;
}
