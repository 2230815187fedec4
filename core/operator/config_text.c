/* config_text.c - what the operator says about its settings: the help, and why some are refused. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "operator/config.h"

const char mh_config_usage[] =
    "usage: moonherd operator [FLAG...]\n"
    "\n"
    "Watches Cluster objects and makes them true. Settings are read at the start only. Ends on\n"
    "SIGTERM; exit code 2 for a setting that is refused.\n"
    "\n"
    "  --kubeconfig FILE                how to reach the API server; without it: as a pod does\n"
    "  --metrics-bind-address ADDR:PORT metrics and last passes over HTTP (:8080; port 0: none)\n"
    "  --webhook-port PORT              admission webhooks and health (9443)\n"
    "  --leader-elect[=false]           act only while holding the Lease (true)\n"
    "  --leader-lease-duration S        how long the Lease holds (15)\n"
    "  --leader-renew-deadline S        after which a leader without answer stops (10)\n"
    "  --max-concurrent-reconciles N    routine passes at a time (10); failovers never wait\n"
    "  --log-level LEVEL                error, warning, info, debug or trace (info)\n"
    "  --list-crash-points              prints what MOONHERD_CRASH_AT takes\n"
    "  --help                           prints this\n"
    "\n"
    "Environment:\n"
    "  WATCH_NAMESPACE                  namespaces, with commas between; empty: all\n"
    "  API_GROUPS                       groups served (postgresql.cnpg.io)\n"
    "  OPERATOR_NAMESPACE, POD_NAME     of this pod\n"
    "  OPERATOR_IMAGE_NAME              this image; the pods' first container copies itself from "
    "it\n"
    "  POSTGRES_IMAGE_NAME              for Clusters that name no image\n"
    "  PULL_SECRET_NAME                 Secret in our namespace that is copied to each Cluster's "
    "as\n"
    "                                   NAME-pull, for pulling images (cnpg-pull-secret)\n"
    "  INHERITED_ANNOTATIONS, INHERITED_LABELS\n"
    "                                   patterns of what children take over from their Cluster\n"
    "  MONITORING_QUERIES_CONFIGMAP, MONITORING_QUERIES_SECRET\n"
    "                                   default queries, which every Cluster then refers to\n"
    "  CERTIFICATE_DURATION, EXPIRING_CHECK_THRESHOLD\n"
    "                                   days that certificates live (90), and are renewed before "
    "(7)\n"
    "  CREATE_ANY_SERVICE               true: a service NAME-any with all instances, ready or not\n"
    "  STANDBY_TCP_USER_TIMEOUT         milliseconds, for the connections of standbys\n"
    "  KUBERNETES_CLUSTER_DOMAIN        (cluster.local)\n"
    "  NOTIFY_TARGETS                   who may be told of events: NAME=URL or\n"
    "                                   NAME=secret:SECRET/KEY, separated by spaces\n"
    "  NOTIFY_ALLOWED_HOSTS             hosts that messages may go to\n"
    "  NOTIFY_CA_FILE                   whom to trust there\n"
    "  DRAIN_TAINTS                     taints that mean: this node is about to go\n"
    "  MANAGE_WEBHOOK_CONFIGURATIONS    true: put our certificate into them\n"
    "  ENABLE_WEBHOOK_NAMESPACE_SUFFIX  true: they are named with our namespace\n"
    "  WEBHOOK_CERT_DIR                 tls.crt and tls.key of your own for the webhooks\n"
    "  MOONHERD_RECORD                  folder for every observation and its plan\n"
    "  MOONHERD_CRASH_AT                ends at that point, for tests\n";

/* Settings and flags of the peer that mean nothing here yet. Silence would be a promise. */
static const struct {
    const char *name;
    const char *harmless; /* a value that asks for nothing */
    const char *why;
} refused_env[] = {
    { "ENABLE_INSTANCE_MANAGER_INPLACE_UPDATES", "false",
      "a new manager comes with the next restart of its pod" },
    { "CLUSTERS_ROLLOUT_DELAY", "0", "Clusters are not rolled out one after another yet" },
    { "INSTANCES_ROLLOUT_DELAY", "0", "an instance follows as soon as the last one is ready" },
    { "INCLUDE_PLUGINS", "", "plugins of CNPG-I are not supported by this version" },
    { "PGBOUNCER_IMAGE_NAME", "", "Poolers are not supported by this version" },
    { "METRICS_CERT_DIR", "", "metrics are served without TLS by this version" },
};

static const struct {
    const char *name;
    const char *why;
} refused_flags[] = {
    { "config-map-name", "HINT: give its keys to the container with envFrom.configMapRef" },
    { "secret-name", "HINT: give its keys to the container with envFrom.secretRef" },
    { "pprof-server", "this program is not written in Go; see the metrics" },
};

enum mh_code
mh_config_refuse_env(struct mh_err *err)
{
    for (size_t i = 0; i < sizeof(refused_env) / sizeof(refused_env[0]); i++) {
        const char *value = getenv(refused_env[i].name);
        if (value && *value && !mh_str_eq(value, refused_env[i].harmless))
            return mh_fail(err, MH_E_INVALID, "%s=%s has no effect, so it is refused: %s",
                           refused_env[i].name, value, refused_env[i].why);
    }
    return MH_OK;
}

const char *
mh_config_refused_flag(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(refused_flags) / sizeof(refused_flags[0]); i++)
        if (strlen(refused_flags[i].name) == len && memcmp(refused_flags[i].name, name, len) == 0)
            return refused_flags[i].why;
    return NULL;
}
