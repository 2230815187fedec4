/* kubectl.c - the plugin of kubectl: kubectl moonherd ... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/kinds.h"
#include "main/main.h"
#include "main/rooms.h"

#define GROUP "postgresql.cnpg.io"

static const char usage[] =
    "usage: kubectl moonherd status CLUSTER [-n NAMESPACE] [--kubeconfig FILE] [--group GROUP]\n"
    "       kubectl moonherd policy check|test FILE.lua...\n"
    "       kubectl moonherd version\n";

struct asked {
    const char *name;
    const char *name_space;
    const char *kubeconfig;
    const char *group;
};

struct run {
    struct event_base *base;
    struct mh_api_call call;
};

static void
on_reply(struct mh_api_call *call)
{
    struct run *r = call->arg;
    event_base_loopexit(r->base, NULL);
}

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

/* Asks for the object and prints it; the exit code. */
static int
ask(struct run *r, struct mh_kube *kube, struct mh_kinds *kinds, const struct asked *asked,
    struct mh_arena *a)
{
    struct mh_api api = mh_kube_api(kube);
    const struct mh_kind *kind =
        mh_kinds_add(kinds, asked->group, "v1", "Cluster", "clusters", true);
    const char *ns = asked->name_space ? asked->name_space : mh_kube_namespace(kube);
    r->call =
        (struct mh_api_call){ .method = "GET",
                              .path = kind ? mh_kube_path(a, kind, ns, asked->name, NULL) : NULL,
                              .arena = a,
                              .done = on_reply,
                              .arg = r };
    if (!r->call.path) {
        (void)fputs("kubectl moonherd: no name of a cluster\n", stderr);
        return 2;
    }
    api.start(api.self, &r->call);
    event_base_dispatch(r->base);
    if (r->call.err.code != MH_OK) {
        (void)fprintf(stderr, "kubectl moonherd: %s\n", r->call.err.msg);
        return 1;
    }
    print_status(r->call.reply);
    return 0;
}

static int
status_of(const struct asked *asked)
{
    struct run r = { .base = mh_loop_new() };
    struct mh_kube_config config = { 0 };
    struct mh_kinds kinds;
    struct mh_arena a;
    struct mh_err err;
    int rc = 1;
    mh_log_set_fd(2);
    mh_log_set_level(MH_LOG_WARNING);
    mh_arena_init(&a, (size_t)16 << 20);
    struct mh_http *http = r.base ? mh_http_new(r.base) : NULL;
    if (!http || !mh_kinds_init(&kinds)) {
        (void)fputs("kubectl moonherd: no memory\n", stderr);
        return 1;
    }
    if (mh_kube_config_load(&config, asked->kubeconfig, &err) != MH_OK) {
        (void)fprintf(stderr, "kubectl moonherd: %s\n", err.msg);
    } else {
        struct mh_kube *kube = mh_kube_new(r.base, http, &config);
        if (kube) {
            rc = ask(&r, kube, &kinds, asked, &a);
            mh_kube_free(kube);
        }
    }
    mh_kube_config_release(&config);
    mh_kinds_release(&kinds);
    mh_http_free(http);
    mh_arena_release(&a);
    event_base_free(r.base);
    return rc;
}

/* Options with a value; false for an unknown one. */
static bool
read_args(struct asked *asked, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char **to = NULL;
        if (strcmp(argv[i], "-n") == 0 || strcmp(argv[i], "--namespace") == 0)
            to = &asked->name_space;
        else if (strcmp(argv[i], "--kubeconfig") == 0)
            to = &asked->kubeconfig;
        else if (strcmp(argv[i], "--group") == 0)
            to = &asked->group;
        if (to && i + 1 >= argc)
            return false;
        if (to)
            *to = argv[++i];
        else if (argv[i][0] == '-' || asked->name)
            return false;
        else
            asked->name = argv[i];
    }
    return asked->name != NULL;
}

int
mh_kubectl_main(int argc, char **argv)
{
    struct asked asked = { .group = GROUP };
    if (argc >= 1 && strcmp(argv[0], "version") == 0) {
        (void)puts("moonherd " MH_VERSION);
        return 0;
    }
#if MH_HAVE_LUA
    if (argc >= 1 && strcmp(argv[0], "policy") == 0)
        return mh_policy_main(argc - 1, argv + 1);
#endif
    if (argc >= 1 && strcmp(argv[0], "status") == 0 && read_args(&asked, argc - 1, argv + 1))
        return status_of(&asked);
    bool help = argc >= 1 && strcmp(argv[0], "--help") == 0;
    (void)fputs(usage, help ? stdout : stderr);
    return help ? 0 : 2;
}
