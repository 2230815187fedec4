/* params.h - the text of custom.conf and override.conf. Pure: what it needs is in the arguments.
 *
 * Names, defaults and classes come from scripts/desired/parameters.lua, made into a table when
 * this is built (params_table.c). Results are on the arena. Failures: INVALID (a value with a line
 * break or bad UTF-8 is left out with a log line, it never fails the whole), NOMEM. */
#ifndef MH_INSTANCE_PARAMS_H
#define MH_INSTANCE_PARAMS_H

#include "moonherd/err.h"

#include "base/json.h"

/* IMPLIED: a default that is never written into the object, only into the file. */
enum mh_param_class {
    MH_PARAM_DEFAULT,
    MH_PARAM_IMPLIED,
    MH_PARAM_MANDATORY,
    MH_PARAM_FIXED,
    MH_PARAM_BLOCKED
};

struct mh_param_rule {
    const char *name;
    const char *value; /* NULL: computed, or none */
    enum mh_param_class cls;
    int from; /* first and last major version */
    int to;
};
extern const struct mh_param_rule mh_param_rules[];
extern const int mh_param_rules_len;

/* An extension whose library is preloaded when a parameter has its prefix. */
struct mh_param_extension {
    const char *name; /* NULL: the end */
    const char *prefix;
    bool create; /* CREATE EXTENSION in every database too */
};
extern const struct mh_param_extension mh_param_extensions[];
/* A user's parameter (or library) asks for this extension. */
bool mh_params_uses(yyjson_val *cluster, const struct mh_param_extension *e);

struct mh_param {
    const char *name;
    const char *value;
};

struct mh_params_in {
    yyjson_val *cluster;  /* the Cluster */
    const char *instance; /* whose own parameters count too; NULL: nobody's */
    int major;
    const char *sync_names;    /* synchronous_standby_names; NULL or "": none */
    const char *sync_metadata; /* JSON of syncnames.h; NULL: none */
    const struct mh_param
        *extra; /* wins over everything, nextra of them; e.g. the five parameters */
    int nextra; /* that a standby must not have smaller than pg_control says */
};

/* Sorted by name, each once. */
struct mh_params {
    struct mh_param *items;
    int len;
};

enum mh_code mh_params_effective(struct mh_arena *a, const struct mh_params_in *in,
                                 struct mh_params *out, struct mh_err *err);
#define MH_CONFIG_OF 48
/* Which configuration a Cluster asks for: "GENERATION", or "GENERATION-HASH" where annotations add to
 * it. The operator computes the same (scripts/controllers/cluster/stale.lua), and so knows who has
 * read it. */
void mh_params_config_of(yyjson_val *cluster, char out[MH_CONFIG_OF]);

/* The whole text of custom.conf. hash (may be NULL): what cnpg.config_sha256 is set to. */
enum mh_code mh_params_custom(struct mh_arena *a, const struct mh_params_in *in, const char **text,
                              char hash[65], struct mh_err *err);
/* The value of one parameter of a result, NULL if absent. */
const char *mh_params_get(const struct mh_params *p, const char *name);

/* Five parameters that a standby must not have less of than its primary had when it wrote the log. */
#define MH_LIMITS 5
/* Which of them a line of pg_controldata names ("max_connections setting"), -1: none. */
int mh_params_limit_of(const char *control_name);
/* Adds to extra those that in's parameters have less of than `least` (0: anything will do). Returns how
 * many; -1: no memory. */
int mh_params_lift(struct mh_arena *a, const struct mh_params_in *in,
                   const int64_t least[MH_LIMITS], struct mh_param extra[MH_LIMITS]);

/* Each may be NULL: that line is left out (a fenced standby has neither conninfo nor command). */
struct mh_override {
    const char *restore_command;
    const char *primary_conninfo;
    const char *primary_slot_name;
};
#define MH_RESTORE_COMMAND                                                                         \
    "/controller/manager wal-restore --log-destination /controller/log/postgres.json %f %p"
/* override.conf; recovery_target_timeline = 'latest' is always there. */
const char *mh_params_override(struct mh_arena *a, const struct mh_override *o);
/* primary_conninfo for a host (an address, so no name is resolved): client certificate
 * streaming_replica, verify-ca, application_name = instance. cert_dir: /controller/certificates.
 * further: more key=value text at the end, or NULL. */
const char *mh_params_conninfo(struct mh_arena *a, const char *host, const char *instance,
                               const char *cert_dir, const char *further);
/* "_cnpg_demo_2": the HA slot of an instance, "" when HA slots are off. */
const char *mh_params_slot(struct mh_arena *a, yyjson_val *cluster, const char *instance);

#endif
