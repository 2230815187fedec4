/* cli_client.h - the command line's way to a running sandbox: its kubeconfig, questions one by one.
 *
 * Each question blocks until its answer is there: for programs that do nothing else meanwhile. */
#ifndef MH_SANDBOX_CLI_CLIENT_H
#define MH_SANDBOX_CLI_CLIENT_H

#include <event2/event.h>

#include "io/loop.h"
#include "kube/client.h"
#include "sandbox/up.h"

struct mh_sb_client {
    struct event_base *base;
    struct mh_http *http;
    struct mh_kube_config config;
    struct mh_kube *kube;
    struct mh_api api;
    char kubeconfig[MH_SB_PATH_MAX];
};

/* kubeconfig and data may be NULL; fails as mh_sb_which. Release in any case. */
enum mh_code mh_sb_client_open(struct mh_sb_client *c, const char *kubeconfig, const char *data,
                               struct mh_err *err);
void mh_sb_client_release(struct mh_sb_client *c);
/* The reply is on the arena. body NULL: GET, else POST. */
enum mh_code mh_sb_client_ask(struct mh_sb_client *c, struct mh_arena *a, const char *path,
                              const char *body, yyjson_val **reply, struct mh_err *err);
/* Several at once: GET each path; replies[i] NULL where it failed. */
void mh_sb_client_get_all(struct mh_sb_client *c, struct mh_arena *a, const char *const *paths,
                          size_t n, yyjson_val **replies);
/* The same of instance managers, whose certificates are not looked at: this only shows. */
void mh_sb_client_instances(struct mh_sb_client *c, struct mh_arena *a, const char *const *urls,
                            size_t n, yyjson_val **replies);

#endif
