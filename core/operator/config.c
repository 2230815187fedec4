#include "operator/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

#define DAY_S 86400LL
#define DEFAULT_GROUP "postgresql.cnpg.io"
#define DEFAULT_IMAGE "localhost/moonherd:dev"
#define DEFAULT_NAMESPACE "moonherd-system"
#define DEFAULT_OPERAND "ghcr.io/cloudnative-pg/postgresql:18.6-system-trixie"
#define DEFAULT_TAINTS                                                                             \
    "node.kubernetes.io/unschedulable,ToBeDeletedByClusterAutoscaler,karpenter.sh/disrupted,"      \
    "karpenter.sh/disruption"

static const char *
env_or(const char *name, const char *absent)
{
    const char *s = getenv(name);
    return s && *s ? s : absent;
}

static bool
env_bool(const char *name, bool absent)
{
    const char *s = env_or(name, absent ? "true" : "false");
    return mh_str_eq(s, "true") || mh_str_eq(s, "1");
}

static enum mh_code
env_int(const char *name, int64_t absent, int64_t max, int64_t *out, struct mh_err *err)
{
    const char *s = env_or(name, NULL);
    *out = absent;
    if (s && !mh_str_int(s, 0, max, out))
        return mh_fail(err, MH_E_INVALID, "variable %s is no number from 0 to %lld", name,
                       (long long)max);
    return MH_OK;
}

/* "a, b,c" as a NULL-ended list; NULL: no memory or too long. */
static const char *const *
split(struct mh_arena *a, const char *text)
{
    const char **out = mh_arena_alloc(a, (MH_LIST_MAX + 1) * sizeof(*out));
    size_t n = 0;
    while (out && *text) {
        text += strspn(text, ", ");
        size_t len = strcspn(text, ", ");
        if (!len)
            break;
        if (n == MH_LIST_MAX || !(out[n++] = mh_arena_strndup(a, text, len)))
            return NULL;
        text += len;
    }
    return out;
}

/* --- the command line -------------------------------------------------------------------------- */

struct flag {
    const char *name;
    const char **text;
    int *number;
    bool *yes;
};

static enum mh_code
set_flag(const struct flag *f, const char *value, struct mh_err *err)
{
    int64_t n;
    if (f->text) {
        *f->text = value;
    } else if (f->yes) {
        *f->yes = mh_str_eq(value, "true") || mh_str_eq(value, "1");
    } else {
        if (!mh_str_int(value, 0, 65535, &n))
            return mh_fail(err, MH_E_INVALID, "--%s takes a number, not \"%s\"", f->name, value);
        *f->number = (int)n;
    }
    return MH_OK;
}

/* --NAME=VALUE, --NAME VALUE, and --NAME alone for yes and no. */
static enum mh_code
read_flag(const struct flag *flags, int *i, int argc, char **argv, struct mh_err *err)
{
    const char *arg =
        mh_str_eq(argv[*i], "-h") || mh_str_eq(argv[*i], "help") ? "--help" : argv[*i];
    if (!mh_str_starts(arg, "--"))
        return mh_fail(err, MH_E_INVALID, "unknown argument \"%s\"", arg);
    size_t n = strcspn(arg + 2, "=");
    for (const struct flag *f = flags; f->name; f++) {
        if (strlen(f->name) != n || strncmp(f->name, arg + 2, n) != 0)
            continue;
        if (arg[2 + n] == '=')
            return set_flag(f, arg + 3 + n, err);
        if (f->yes)
            return set_flag(f, "true", err);
        if (*i + 1 >= argc)
            return mh_fail(err, MH_E_INVALID, "%s needs a value", arg);
        return set_flag(f, argv[++*i], err);
    }
    const char *why = mh_config_refused_flag(arg + 2, n);
    if (why)
        return mh_fail(err, MH_E_INVALID, "%s is not supported. %s", arg, why);
    return mh_fail(err, MH_E_INVALID, "unknown argument \"%s\". HINT: --help names them all", arg);
}

static enum mh_code
read_flags(struct mh_config *c, int argc, char **argv, struct mh_err *err)
{
    const char *metrics = ":8080", *level = "info";
    bool color = false;
    const struct flag flags[] = {
        { "kubeconfig", &c->kubeconfig, NULL, NULL },
        { "metrics-bind-address", &metrics, NULL, NULL },
        { "log-level", &level, NULL, NULL },
        { "webhook-port", NULL, &c->webhook_port, NULL },
        { "max-concurrent-reconciles", NULL, &c->workers, NULL },
        { "leader-lease-duration", NULL, &c->lease_s, NULL },
        { "leader-renew-deadline", NULL, &c->renew_s, NULL },
        { "leader-elect", NULL, NULL, &c->leader_elect },
        { "list-crash-points", NULL, NULL, &c->list_crash_points },
        { "color", NULL, NULL, &color },
        { "help", NULL, NULL, &c->help },
        { NULL, NULL, NULL, NULL },
    };
    for (int i = 0; i < argc; i++)
        if (read_flag(flags, &i, argc, argv, err) != MH_OK)
            return err->code;
    int64_t port;
    const char *colon = strrchr(metrics, ':');
    if (!colon || !mh_str_int(colon + 1, 0, 65535, &port))
        return mh_fail(err, MH_E_INVALID, "--metrics-bind-address takes ADDRESS:PORT, not \"%s\"",
                       metrics);
    c->metrics_port = (int)port;
    c->metrics_addr = colon == metrics
                          ? "0.0.0.0"
                          : mh_arena_strndup(&c->arena, metrics, (size_t)(colon - metrics));
    int n = mh_log_level_of(level);
    if (n < 0)
        return mh_fail(err, MH_E_INVALID, "--log-level: unknown level \"%s\"", level);
    mh_log_set_level((enum mh_log_level)n);
    return MH_OK;
}

/* --- all --------------------------------------------------------------------------------------- */

static enum mh_code
read_env(struct mh_config *c, struct mh_err *err)
{
    int64_t days, left, port;
    char host[256] = "moonherd-operator";
    if (gethostname(host, sizeof(host) - 1) != 0)
        mh_debug("config", "this machine has no name");
    c->name_space = env_or("OPERATOR_NAMESPACE", DEFAULT_NAMESPACE);
    c->pod = env_or("POD_NAME", mh_arena_strdup(&c->arena, host));
    c->image = env_or("OPERATOR_IMAGE_NAME", DEFAULT_IMAGE);
    c->default_image = env_or("POSTGRES_IMAGE_NAME", DEFAULT_OPERAND);
    c->cluster_domain = env_or("KUBERNETES_CLUSTER_DOMAIN", "cluster.local");
    c->groups = split(&c->arena, env_or("API_GROUPS", DEFAULT_GROUP));
    c->namespaces = split(&c->arena, env_or("WATCH_NAMESPACE", ""));
    c->webhook_cert_dir = env_or("WEBHOOK_CERT_DIR", NULL);
    c->manage_webhooks = env_bool("MANAGE_WEBHOOK_CONFIGURATIONS", true);
    c->webhook_suffix = env_bool("ENABLE_WEBHOOK_NAMESPACE_SUFFIX", false);
    c->record = env_or("MOONHERD_RECORD", NULL);
    c->crash_at = env_or("MOONHERD_CRASH_AT", NULL);
    if (env_int("CERTIFICATE_DURATION", 90, 36500, &days, err) != MH_OK ||
        env_int("EXPIRING_CHECK_THRESHOLD", 7, 36500, &left, err) != MH_OK ||
        env_int("MOONHERD_INSTANCE_PORT", 8000, 65535, &port, err) != MH_OK)
        return err->code;
    c->certificate_s = days * DAY_S;
    c->renew_before_s = left * DAY_S;
    c->instance_port = (int)port;
    if (!c->groups || !c->groups[0] || !c->namespaces)
        return mh_fail(err, MH_E_INVALID, "API_GROUPS or WATCH_NAMESPACE is empty or too long");
    return mh_config_refuse_env(err);
}

enum mh_code
mh_config_read(struct mh_config *c, int argc, char **argv, struct mh_err *err)
{
    *c = (struct mh_config){
        .webhook_port = 9443, .workers = 10, .lease_s = 15, .renew_s = 10, .leader_elect = true
    };
    mh_arena_init(&c->arena, (size_t)1 << 20);
    if (read_flags(c, argc, argv, err) != MH_OK)
        return err->code;
    return c->help ? MH_OK : read_env(c, err);
}

void
mh_config_release(struct mh_config *c)
{
    mh_arena_release(&c->arena);
}

static void
add_list(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, const char *const *list)
{
    yyjson_mut_val *out = yyjson_mut_obj_add_arr(doc, o, key);
    for (; list && *list; list++)
        yyjson_mut_arr_add_str(doc, out, *list);
}

static void
add_text(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, const char *text)
{
    if (text && *text)
        yyjson_mut_obj_add_str(doc, o, key, text);
}

const char *
mh_config_settings(struct mh_config *c, const char *fingerprint)
{
    struct mh_arena *a = &c->arena;
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    int64_t n;
    if (!o)
        return NULL;
    add_text(doc, o, "namespace", c->name_space);
    add_text(doc, o, "image", c->image);
    add_text(doc, o, "default_image", c->default_image);
    add_text(doc, o, "fingerprint", fingerprint);
    add_list(doc, o, "api_groups", c->groups);
    add_text(doc, o, "cluster_domain", c->cluster_domain);
    add_text(doc, o, "pull_secret", env_or("PULL_SECRET_NAME", "cnpg-pull-secret"));
    add_text(doc, o, "monitoring_queries_configmap", env_or("MONITORING_QUERIES_CONFIGMAP", NULL));
    add_text(doc, o, "monitoring_queries_secret", env_or("MONITORING_QUERIES_SECRET", NULL));
    add_list(doc, o, "inherited_annotations", split(a, env_or("INHERITED_ANNOTATIONS", "")));
    add_list(doc, o, "inherited_labels", split(a, env_or("INHERITED_LABELS", "")));
    add_list(doc, o, "drain_taints", split(a, env_or("DRAIN_TAINTS", DEFAULT_TAINTS)));
    if (mh_str_int(env_or("STANDBY_TCP_USER_TIMEOUT", ""), 0, INT32_MAX, &n))
        yyjson_mut_obj_add_int(doc, o, "standby_tcp_user_timeout", n);
    yyjson_mut_obj_add_bool(doc, o, "create_any_service", env_bool("CREATE_ANY_SERVICE", false));
    yyjson_mut_obj_add_int(doc, o, "certificate_s", c->certificate_s);
    yyjson_mut_obj_add_int(doc, o, "renew_before_s", c->renew_before_s);
    return mh_json_mut_text(a, o, NULL);
}
