/* kubectl.c - the plugin of kubectl: kubectl moonherd ... */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "main/cli.h"
#include "main/main.h"

static const char usage[] =
    "usage: kubectl moonherd status CLUSTER     how a cluster is\n"
    "       kubectl moonherd explain CLUSTER    what it is doing, why, and what it waits for\n"
    "       kubectl moonherd explain KIND/NAME  the same for an object of a plugin\n"
    "       kubectl moonherd plan -f FILE       what an edit would do, step by step; nothing is "
    "done\n"
    "       kubectl moonherd policy ...         list, approve, check, test, diff, replay, bench\n"
    "       kubectl moonherd version\n"
    "\n"
    "options: -n NAMESPACE, --kubeconfig FILE, --group GROUP, -o json, --help\n"
    "exit code: 0 done, 1 it did not go, 2 the command line is wrong\n";

static const char status_usage[] =
    "usage: kubectl moonherd status CLUSTER [-n NAMESPACE] [-o json]\n";

static void
line(const char *what, const char *value)
{
    printf("%-20s%s\n", what, value ? value : "-");
}

static void
print_conditions(yyjson_val *status)
{
    yyjson_arr_iter i = yyjson_arr_iter_with(yyjson_obj_get(status, "conditions"));
    yyjson_val *c;
    while ((c = yyjson_arr_iter_next(&i))) {
        const char *type = mh_json_str(c, "type", NULL), *is = mh_json_str(c, "status", NULL);
        const char *message = mh_json_str(c, "message", NULL);
        printf("  %-26s%-8s%s\n", type ? type : "?", is ? is : "?", message ? message : "");
    }
}

static void
print_status(yyjson_val *o)
{
    yyjson_val *s = yyjson_obj_get(o, "status");
    line("name", mh_json_str(o, "metadata", "name", NULL));
    line("namespace", mh_json_str(o, "metadata", "namespace", NULL));
    line("image", mh_json_str(s, "image", NULL));
    line("phase", mh_json_str(s, "phase", NULL));
    line("reason", mh_json_str(s, "phaseReason", NULL));
    line("primary", mh_json_str(s, "currentPrimary", NULL));
    line("target primary", mh_json_str(s, "targetPrimary", NULL));
    printf("%-20s%lld of %lld\n", "ready instances",
           (long long)mh_json_int(s, 0, "readyInstances", NULL),
           (long long)mh_json_int(o, 0, "spec", "instances", NULL));
    (void)puts("conditions");
    print_conditions(s);
}

static int
status_of(struct mh_cli *c)
{
    struct mh_err err;
    if (c->help || c->nwords != 1) {
        (void)fputs(status_usage, c->help ? stdout : stderr);
        return c->help ? 0 : 2;
    }
    if (!mh_cli_open(c))
        return 1;
    const struct mh_kind *kind = mh_cli_cluster_kind(c);
    const char *path =
        kind ? mh_kube_path(&c->arena, kind, mh_cli_namespace(c), c->words[0], NULL) : NULL;
    yyjson_val *o = mh_cli_get(c, path, &err);
    if (!o)
        return mh_cli_fail("%s", err.msg);
    if (c->json) {
        yyjson_mut_doc *doc = mh_json_doc(&c->arena);
        yyjson_val *s = yyjson_obj_get(o, "status");
        return doc && s ? mh_cli_print(c, yyjson_val_mut_copy(doc, s))
                        : mh_cli_fail("the cluster has no status yet");
    }
    print_status(o);
    return 0;
}

static int
run(struct mh_cli *c, int argc, char **argv)
{
    if (strcmp(argv[0], "policy") == 0)
        return mh_cli_policy(c, argc - 1, argv + 1);
    if (!mh_cli_read(c, argc - 1, argv + 1))
        return 2;
    if (strcmp(argv[0], "status") == 0)
        return status_of(c);
    if (strcmp(argv[0], "explain") == 0)
        return mh_cli_explain(c);
    if (strcmp(argv[0], "plan") == 0)
        return mh_cli_plan(c);
    bool help = strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "help") == 0;
    (void)fputs(usage, help ? stdout : stderr);
    return help ? 0 : 2;
}

int
mh_kubectl_main(int argc, char **argv)
{
    struct mh_cli c = { .nwords = 0 };
    if (argc >= 1 && strcmp(argv[0], "version") == 0) {
        (void)puts("moonherd " MH_VERSION);
        return 0;
    }
    if (argc < 1) {
        (void)fputs(usage, stderr);
        return 2;
    }
    int rc = run(&c, argc, argv);
    mh_cli_close(&c);
    return rc;
}
