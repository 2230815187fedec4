/* cli.h - inside core/main: options and one API call at a time, for the plugin of kubectl.
 *
 * Exit codes: 0 done, 1 it did not go (or there is a difference, where one is asked for), 2 the
 * command line is wrong. */
#ifndef MH_MAIN_CLI_H
#define MH_MAIN_CLI_H

#include <event2/event.h>

#include "kube/client.h"
#include "kube/kinds.h"

#define MH_CLI_WORDS 16

struct mh_cli {
    /* from the command line */
    const char *words[MH_CLI_WORDS]; /* what is no option */
    int nwords;
    const char *name_space; /* NULL: that of the kubeconfig */
    const char *kubeconfig;
    const char *group;
    const char *file;        /* -f */
    const char *kind;        /* --kind */
    const char *operator_ns; /* where policies of all clusters are */
    int rounds;              /* -N */
    bool json;
    bool all; /* -A */
    bool help;
    /* mh_cli_open */
    struct event_base *base;
    struct mh_http *http;
    struct mh_kube_config config;
    struct mh_kinds kinds;
    struct mh_kube *kube;
    struct mh_arena arena;
};

/* False with a message on stderr: an unknown option, one without its value, too many words. */
bool mh_cli_read(struct mh_cli *c, int argc, char **argv);
/* Connects; false with a message. mh_cli_close in any case. */
bool mh_cli_open(struct mh_cli *c);
void mh_cli_close(struct mh_cli *c);
/* Runs the loop until the answer is there; the reply is on the arena. err says what went wrong. */
yyjson_val *mh_cli_call(struct mh_cli *c, struct mh_api_call *call, struct mh_err *err);
yyjson_val *mh_cli_get(struct mh_cli *c, const char *path, struct mh_err *err);
const struct mh_kind *mh_cli_cluster_kind(struct mh_cli *c);
/* The kind of an object, or one that people call so ("greeting", "greetings.example.dev"), of groups that are
 * neither Kubernetes' nor ours. NULL: the API server knows none of this name with namespaces. */
const struct mh_kind *mh_cli_kind_of(struct mh_cli *c, yyjson_val *object);
const struct mh_kind *mh_cli_kind_named(struct mh_cli *c, const char *word);
const char *mh_cli_namespace(const struct mh_cli *c);
/* The ClusterRecord of this name; NULL: there is none, or it may not be read. */
yyjson_val *mh_cli_record(struct mh_cli *c, const char *ns, const char *name);
/* A message on stderr; returns 1. */
int mh_cli_fail(const char *fmt, ...) MH_PRINTF(1, 2);
/* Prints a value with indentation; the exit code. */
int mh_cli_print(struct mh_cli *c, yyjson_mut_val *v);
/* A file up to 1 MiB, "-" is standard input; NULL with a message. */
char *mh_cli_file(struct mh_cli *c, const char *path, size_t *len);

/* Subcommands; each takes options and words as read. */
int mh_cli_explain(struct mh_cli *c);
/* For an object of a plugin's kind. */
int mh_cli_explain_object(struct mh_cli *c, const char *kind, const char *name);
/* "10:02:11" of today's times, "2026-11-21 10:02:11" of others. */
const char *mh_cli_clock(const char *at, char out[32]);
/* The last passes of a record, those on the end. */
void mh_cli_print_passes(yyjson_val *list);
int mh_cli_plan(struct mh_cli *c);
int mh_cli_policy(struct mh_cli *c, int argc, char **argv);

#endif
