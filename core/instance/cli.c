#include "instance/cli.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "io/loop.h"
#include "net/http_client.h"

/* --- help ------------------------------------------------------------------------------------- */

#define COMMON                                                                                     \
    "  --pg-data DIR        the data folder (default: PGDATA)\n"                                   \
    "  --pod-name NAME      this pod (default: POD_NAME)\n"                                        \
    "  --namespace NAME     its namespace (default: NAMESPACE)\n"                                  \
    "  --cluster-name NAME  its Cluster (default: CLUSTER_NAME)\n"                                 \
    "  --log-level LEVEL    error, warning, info, debug or trace (default: info)\n"

static const struct {
    const char *name;
    const char *text;
} helps[] = {
    { "run",
      "usage: moonherd instance run [FLAG...]\n"
      "\n"
      "The instance manager, PID 1 of a pod: keeps PostgreSQL as the Cluster wants it, serves\n"
      "its status on port 8000 and metrics on port 9187. Ends on SIGTERM, and with code 4 when\n"
      "there is no room for one more WAL segment.\n"
      "\n" COMMON "  --status-port-tls    port 8000 speaks TLS (always so)\n"
      "\n"
      "MOONHERD_POD_IP: the only address to listen on, for pods that share a network.\n" },
    { "init",
      "usage: moonherd instance init [FLAG...]\n"
      "\n"
      "Makes the data folder of a cluster's first instance. One that is there is put aside.\n"
      "\n"
      "  --initdb-flags TEXT                flags of initdb, quoted as for a shell\n"
      "  --app-db-name NAME                 the application's database\n"
      "  --app-user NAME                    its owner\n"
      "  --post-init-sql TEXT               statements for postgres, each one word\n"
      "  --post-init-application-sql TEXT   the same for the application's database\n"
      "  --post-init-template-sql TEXT      the same for template1\n"
      "  --pg-wal DIR                       where pg_wal lies, on a volume of its own\n" COMMON },
    { "join", "usage: moonherd instance join --parent-node HOST [FLAG...]\n"
              "\n"
              "Copies the data folder of a running instance and makes it a standby.\n"
              "\n"
              "  --parent-node HOST   name or address of the instance to copy\n"
              "  --pg-wal DIR         where pg_wal lies, on a volume of its own\n" COMMON },
    { "status", "usage: moonherd instance status [--timeout SECONDS]\n"
                "\n"
                "Prints as JSON what the manager of this pod says of its instance: the answer to\n"
                "GET /pg/status. Exit code 1 when it does not answer.\n" },
};

static const char usage[] = "usage: moonherd instance COMMAND [FLAG...]\n"
                            "\n"
                            "  run     the instance manager, PID 1 of a pod\n"
                            "  init    makes the data folder of the first instance\n"
                            "  join    copies the data folder of the primary: --parent-node HOST\n"
                            "  status  prints what the manager of this pod says of its instance\n"
                            "\n"
                            "moonherd instance COMMAND --help tells more.\n";

const char *
mh_cli_help(const char *command)
{
    for (size_t i = 0; command && i < sizeof(helps) / sizeof(*helps); i++) {
        if (strcmp(helps[i].name, command) == 0)
            return helps[i].text;
    }
    return usage;
}

bool
mh_cli_wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* --- run -------------------------------------------------------------------------------------- */

/* variable NULL: taken and not needed; "": a switch without a value. */
static const struct {
    const char *flag;
    const char *variable;
} run_flags[] = {
    { "--pg-data", "PGDATA" },      { "--pod-name", "POD_NAME" },
    { "--namespace", "NAMESPACE" }, { "--cluster-name", "CLUSTER_NAME" },
    { "--log-level", NULL },        { "--log-destination", NULL },
    { "--log-field-level", NULL },  { "--log-field-timestamp", NULL },
    { "--status-port-tls", "" },    { "--metrics-port-tls", "" },
    { "--pprof-server", "" },
};

static bool
refuse(const char *what, const char *word)
{
    (void)fprintf(stderr, "moonherd instance run: %s %.100s, see --help\n", what, word);
    return false;
}

bool
mh_cli_run_args(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        size_t n = strcspn(word, "=");
        const char *value = word[n] ? word + n + 1 : NULL;
        size_t k = 0;
        while (k < sizeof(run_flags) / sizeof(*run_flags) &&
               (strlen(run_flags[k].flag) != n || strncmp(run_flags[k].flag, word, n) != 0))
            k++;
        if (k == sizeof(run_flags) / sizeof(*run_flags))
            return refuse("unknown argument", word);
        const char *variable = run_flags[k].variable;
        bool is_switch = variable && !*variable;
        if (!value && !is_switch)
            value = i + 1 < argc ? argv[++i] : NULL;
        if (!value && !is_switch)
            return refuse("this argument wants a value:", word);
        if (variable && *variable && setenv(variable, value, 1) != 0)
            return refuse("no memory for", word);
    }
    return true;
}

/* --- status ----------------------------------------------------------------------------------- */

struct asking {
    struct event_base *base;
    struct mh_http_call call;
    bool done;
};

static void
on_done(struct mh_http_call *call)
{
    struct asking *k = call->arg;
    k->done = true;
    (void)event_base_loopbreak(k->base);
}

static int
print(const struct mh_http_call *call)
{
    if (call->err.code == MH_OK && call->status == 200 && call->body_text) {
        (void)puts(call->body_text);
        return 0;
    }
    if (call->err.code != MH_OK)
        (void)fprintf(stderr, "moonherd instance status: no answer: %s\n", call->err.msg);
    else
        (void)fprintf(stderr, "moonherd instance status: answered %d: %s\n", call->status,
                      call->body_text ? call->body_text : "");
    return 1;
}

static int
ask(struct asking *k, struct mh_arena *a, int timeout_s)
{
    const char *address = getenv("MOONHERD_POD_IP");
    const char *dir = getenv("MOONHERD_CERT_DIR");
    struct mh_http_tls tls = { .any_name = true };
    tls.ca_file =
        mh_arena_printf(a, "%s/server-ca.crt", dir && *dir ? dir : "/controller/certificates");
    k->call = (struct mh_http_call){ .method = "GET",
                                     .tls = &tls,
                                     .timeout_ms = timeout_s * 1000,
                                     .connect_timeout_ms = timeout_s * 1000,
                                     .arena = a,
                                     .done = on_done,
                                     .arg = k };
    k->call.url = mh_arena_printf(a, "https://%s:8000/pg/status",
                                  address && *address ? address : "127.0.0.1");
    struct mh_http *http = mh_http_new(k->base);
    if (!http || !tls.ca_file || !k->call.url)
        return 1;
    mh_http_start(http, &k->call);
    while (!k->done)
        (void)event_base_dispatch(k->base);
    int code = print(&k->call);
    mh_http_free(http);
    return code;
}

int
mh_cli_status(int argc, char **argv)
{
    int64_t timeout_s = 10;
    for (int i = 0; i < argc; i++) {
        bool known = strcmp(argv[i], "--timeout") == 0 && i + 1 < argc;
        if (!known || !mh_str_int(argv[++i], 1, 600, &timeout_s)) {
            (void)fprintf(stderr, "moonherd instance status: unknown argument %.100s, see --help\n",
                          argv[i]);
            return 2;
        }
    }
    struct mh_arena a;
    struct asking k = { .base = mh_loop_new() };
    if (!k.base)
        return 1;
    mh_arena_init(&a, 16u << 20);
    int code = ask(&k, &a, (int)timeout_s);
    mh_arena_release(&a);
    event_base_free(k.base);
    return code;
}
