/* config.h - the operator's settings: environment first, command line over it. Read at start only.
 *
 * Texts are the environment's, the command line's, or on the arena. */
#ifndef MH_OPERATOR_CONFIG_H
#define MH_OPERATOR_CONFIG_H

#include "base/json.h"

#define MH_LIST_MAX 32

struct mh_config {
    struct mh_arena arena;
    const char *kubeconfig; /* --kubeconfig FILE, or NULL */
    const char *name_space; /* of the operator */
    const char *pod;        /* POD_NAME, or the host's name */
    const char *image;
    const char *default_image;
    const char *cluster_domain;
    const char *const *groups;     /* API groups served */
    const char *const *namespaces; /* watched; empty: all */
    const char *webhook_cert_dir;  /* NULL: certificates made by us */
    const char *metrics_addr;
    int metrics_port;
    int webhook_port;
    int instance_port;
    int workers; /* routine passes at a time */
    int lease_s;
    int renew_s;
    int64_t certificate_s;
    int64_t renew_before_s;
    bool leader_elect;
    bool manage_webhooks;
    bool webhook_suffix;  /* webhook configurations are named with our namespace */
    const char *record;   /* MOONHERD_RECORD */
    const char *crash_at; /* MOONHERD_CRASH_AT */
    bool list_crash_points;
    bool help;
};

/* What --help prints. */
extern const char mh_config_usage[];

/* argv: what follows "operator". INVALID with a message that names the argument or variable. */
enum mh_code mh_config_read(struct mh_config *c, int argc, char **argv, struct mh_err *err);
void mh_config_release(struct mh_config *c);
/* INVALID for a variable of the peer's that would have no effect here. */
enum mh_code mh_config_refuse_env(struct mh_err *err);
/* Why a flag of the peer's is not taken; NULL if it is none. */
const char *mh_config_refused_flag(const char *name, size_t len);
/* ctx.operator of scripts and the env of admission, as JSON on the arena; NULL: no memory. */
const char *mh_config_settings(struct mh_config *c, const char *fingerprint);

#endif
