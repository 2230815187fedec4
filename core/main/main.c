/* main.c - one binary, many names: chooses the subcommand. */
#include "main/main.h"

#include <stdio.h>
#include <string.h>

#include "base/modules.h"
#include "main/rooms.h"

#if MH_HAVE_OPERATOR
#include "operator/operator.h"
#endif
#if MH_HAVE_BIND
#include "bind/bind.h"
#endif
#if MH_HAVE_LUA
#include "lua/plugin_worker.h"
#include "lua/worker.h"
#endif
#if MH_HAVE_SANDBOX
#include "sandbox/cli.h"
#endif
#if MH_HAVE_INSTANCE
/* of core/instance; its headers are not needed for more than this */
int mh_instance_main(int argc, char **argv);
int mh_bootstrap_main(int argc, char **argv);
int mh_wal_main(int argc, char **argv);
#endif

static const char usage[] =
    "moonherd " MH_VERSION " - PostgreSQL on Kubernetes\n"
    "\n"
    "usage: moonherd COMMAND [ARGUMENT...]\n"
    "\n"
    "  operator       watches Cluster objects and makes them true (also: controller)\n"
    "  instance       run | init | join | status: what runs in a pod of PostgreSQL\n"
    "  bootstrap DIR  copies this program to DIR, for the pod's other containers\n"
    "  wal-archive    stores a WAL file; PostgreSQL calls it\n"
    "  wal-restore    fetches a WAL file; PostgreSQL calls it\n"
    "  policy         check | test FILE...: tries policy scripts without a cluster\n"
    "  plugin         check | test | crd | plan: tries plugins without a cluster\n"
    "  policy-worker  runs policies, locked down; the operator starts it\n"
    "  plugin-worker  runs one plugin, locked down; the operator starts it\n"
    "  sandbox        up | status | fault | down: the whole system on this machine, for trying it\n"
    "  chaos          run | list: breaks things on purpose and checks what the cluster does\n"
    "  version        prints the version and native modules; -o json: with what they add\n"
    "\n"
    "moonherd COMMAND --help tells more. Under the name kubectl-moonherd it is a plugin of "
    "kubectl.\n";

static int
print_usage(int argc, char **argv)
{
    (void)argc, (void)argv;
    (void)fputs(usage, stdout);
    return 0;
}

/* {"version","interface","modules"} */
static int
print_version_json(void)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)1 << 20);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *out = doc ? yyjson_mut_obj(doc) : NULL;
    const char *text = NULL;
    if (out && yyjson_mut_obj_add_str(doc, out, "version", MH_VERSION) &&
        mh_modules_describe(doc, out))
        text = mh_json_mut_text(&a, out, NULL);
    (void)puts(text ? text : "{}");
    mh_arena_release(&a);
    return text ? 0 : 1;
}

static int
print_version(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[0], "-o") == 0 && strcmp(argv[1], "json") == 0)
        return print_version_json();
    (void)puts("Build: {Version:" MH_VERSION " Commit:none Date:none}");
    for (const struct mh_module *const *m = mh_modules(); *m; m++)
        printf("native module: %s%s%s\n", (*m)->name, (*m)->summary ? " - " : "",
               (*m)->summary ? (*m)->summary : "");
    return 0;
}

#if MH_HAVE_LUA
static int
run_worker(int argc, char **argv)
{
    (void)argc, (void)argv;
    return mh_worker_main();
}

static int
run_plugin_worker(int argc, char **argv)
{
    (void)argc, (void)argv;
    return mh_plugin_worker_main();
}
#else
#define run_worker not_built
#define run_plugin_worker not_built
#define mh_plugin_main not_built
#define mh_policy_main not_built
#define mh_chaos_main not_built
#endif
#if !MH_HAVE_OPERATOR
#define mh_operator_main not_built
#endif
#if !MH_HAVE_INSTANCE
#define mh_instance_main not_built
#define mh_bootstrap_main not_built
#define mh_wal_main not_built
#endif

#if !MH_HAVE_SANDBOX
#define mh_sandbox_main not_built
#endif

#if !MH_HAVE_OPERATOR || !MH_HAVE_INSTANCE || !MH_HAVE_LUA || !MH_HAVE_SANDBOX
static int
not_built(int argc, char **argv)
{
    (void)argc, (void)argv;
    (void)fputs("moonherd: this build does not have the command\n", stderr);
    return 2;
}
#endif

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    bool whole; /* argv begins with the command's own name */
} commands[] = {
    { "operator", mh_operator_main, false },
    { "controller", mh_operator_main, false },
    { "instance", mh_instance_main, true },
    { "bootstrap", mh_bootstrap_main, true },
    { "wal-archive", mh_wal_main, true },
    { "wal-restore", mh_wal_main, true },
    { "policy", mh_policy_main, false },
    { "plugin", mh_plugin_main, false },
    { "policy-worker", run_worker, false },
    { "plugin-worker", run_plugin_worker, false },
    { "sandbox", mh_sandbox_main, false },
    { "chaos", mh_chaos_main, false },
    { "version", print_version, false },
    { "--version", print_version, false },
    { "help", print_usage, false },
    { "--help", print_usage, false },
    { "-h", print_usage, false },
};

int
main(int argc, char **argv)
{
    struct mh_err err;
    if (mh_modules_set(mh_modules_table, &err) != MH_OK) {
        (void)fprintf(stderr, "moonherd: %s\n", err.msg);
        return 2;
    }
#if MH_HAVE_BIND
    mh_bind_init(); /* all commands that run scripts give them the same modules */
#endif
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *self = slash ? slash + 1 : (argc > 0 ? argv[0] : "");
    if (strcmp(self, "kubectl-moonherd") == 0)
        return mh_kubectl_main(argc - 1, argv + 1);
    if (argc < 2) {
        (void)fputs(usage, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, argv[1]) != 0)
            continue;
        int skip = commands[i].whole ? 1 : 2;
        return commands[i].run(argc - skip, argv + skip);
    }
    (void)fprintf(stderr, "moonherd: unknown command \"%s\", see moonherd --help\n", argv[1]);
    return 2;
}
