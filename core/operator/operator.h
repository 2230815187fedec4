/* operator.h - the operator: everything of this folder, wired together on one loop. */
#ifndef MH_OPERATOR_OPERATOR_H
#define MH_OPERATOR_OPERATOR_H

#include <event2/event.h>

#include "kube/client.h"
#include "kube/leader.h"
#include "operator/certs.h"
#include "operator/config.h"
#include "operator/metrics.h"
#include "operator/needs.h"
#include "operator/notify.h"
#include "operator/pass.h"
#include "operator/plugin.h"
#include "operator/policy_news.h"
#include "operator/route.h"
#include "operator/webhook.h"

struct mh_operator {
    struct mh_config config;
    struct event_base *base;
    struct mh_clock clock;
    struct mh_fs fs;
    struct mh_rand rand;
    struct mh_http *http;
    struct mh_kube_config kube_config;
    struct mh_kube *kube;
    struct mh_api api;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_events *events;
    struct mh_secrets secrets;
    struct mh_instances instances;
    struct mh_ha_tracker tracker;
    struct mh_pool *pool;
    struct mh_policies *policies;
    struct mh_policy_writer writer;
    struct mh_notebook notebook;
    struct mh_notify notify;
    struct mh_needs needs;
    struct mh_scripts_env scripts;
    struct mh_applied *applied;
    struct mh_act_env env;
    struct mh_records records;
    struct mh_passes passes;
    struct mh_plugins plugins;
    struct mh_router router;
    struct mh_webhook *webhook;
    struct mh_certs certs;
    struct mh_server *webhook_server;
    struct mh_server *metrics_server;
    struct mh_metrics metrics;
    struct mh_leader *leader;
    struct mh_timer *sync_timer;
    struct mh_timer *minute_timer;
    struct mh_timer *stop_timer;
    struct mh_signal *signals[2];
    const struct mh_kind *pod_kind;
    const struct mh_kind *policy_kind;
    const char *settings;
    const char *hooks[3];
    int64_t started_ns;
    bool synced;  /* the caches were complete once */
    bool noted;   /* the records of an earlier life were read */
    bool rereads; /* for who led before may have written them: plugins wait until that is done */
    bool leading; /* we may act */
    bool working; /* passes is initialised */
    bool stopping;
};

/* The subcommand: argv is what follows its name. The exit code. */
int mh_operator_main(int argc, char **argv);

/* --- between the files of the operator --- */

/* Kinds and their sources, by the tables in served.c. */
bool mh_operator_add_kinds(struct mh_operator *op);
bool mh_operator_add_sources(struct mh_operator *op);
/* Servers on the webhook and metrics ports (http.c). */
enum mh_code mh_operator_listen(struct mh_operator *op, struct mh_err *err);
/* Counters from what the parts report. */
void mh_operator_on_call(void *arg, const char *method, int status);
void mh_operator_on_post(void *arg, const char *target, bool ok);
void mh_operator_on_told(void *arg, const struct mh_decision *d);
void mh_operator_on_pass(void *arg, const char *kind, const char *result, int64_t ns);
/* For the webhooks: what an edit would do. */
void mh_operator_foresee(void *arg, struct mh_foresee *f);
void mh_operator_on_said(void *arg, const struct mh_pass_said *said);
void mh_operator_on_review(void *arg, const char *path, bool allowed, int64_t ns);
void mh_operator_on_active(void *writer, int64_t us);
void mh_operator_on_decision(void *arg, const struct mh_decision *d, const struct mh_kind *kind,
                             const char *name);

#endif
