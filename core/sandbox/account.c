/* account.c - what every cluster and every namespace has from the start. */
#include <string.h>

#include "sandbox/claim_in.h"
#include "sandbox/sandbox.h"

/* --- the cluster ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool is_default;
} classes[] = { { "standard", true }, { "memory", false } };

static void
make_classes(struct mh_sb_task *t)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (mh_sb_object(t->c, MH_SB_CLASSES, NULL, classes[i].name))
            continue;
        mh_sb_ctl_write(
            t, "POST", mh_sb_path(t->c, &t->arena, MH_SB_CLASSES, NULL, NULL, NULL), NULL,
            mh_sb_text(t,
                       "{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"StorageClass\","
                       "\"metadata\":{\"name\":\"%s\"%s},\"provisioner\":\"" MH_SB_PROVISIONER
                       "\",\"reclaimPolicy\":\"Delete\",\"volumeBindingMode\":"
                       "\"WaitForFirstConsumer\",\"allowVolumeExpansion\":true}",
                       classes[i].name,
                       classes[i].is_default
                           ? ",\"annotations\":{\"storageclass.kubernetes.io/is-default-class\":"
                             "\"true\"}"
                           : ""));
    }
}

/* The API server as a Service. Its port is the one it listens on, so that its address needs no
 * forwarder and no right to bind port 443. */
static void
make_service(struct mh_sb_task *t)
{
    struct mh_sb_control *c = t->c;
    const char *address = mh_sb_api_address(&t->arena, c->config.n);
    const char *labels = "\"labels\":{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}";
    if (!mh_sb_object(c, MH_SB_SERVICES, "default", "kubernetes"))
        mh_sb_ctl_write(
            t, "POST", mh_sb_path(c, &t->arena, MH_SB_SERVICES, "default", NULL, NULL), NULL,
            mh_sb_text(t,
                       "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":"
                       "\"kubernetes\",\"namespace\":\"default\",%s},\"spec\":{\"type\":"
                       "\"ClusterIP\",\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"ports\":[{"
                       "\"name\":\"https\",\"port\":%d,\"protocol\":\"TCP\",\"targetPort\":%d}]}}",
                       labels, address, address, c->config.api_port, c->config.api_port));
    if (!mh_sb_object(c, MH_SB_ENDPOINTS, "default", "kubernetes"))
        mh_sb_ctl_write(
            t, "POST", mh_sb_path(c, &t->arena, MH_SB_ENDPOINTS, "default", NULL, NULL), NULL,
            mh_sb_text(t,
                       "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":"
                       "\"kubernetes\",\"namespace\":\"default\",\"labels\":{"
                       "\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},\"subsets\":[{"
                       "\"addresses\":[{\"ip\":\"%s\"}],\"ports\":[{\"name\":\"https\",\"port\":%d,"
                       "\"protocol\":\"TCP\"}]}]}",
                       address, c->config.api_port));
    if (!mh_sb_object(c, MH_SB_SLICES, "default", "kubernetes"))
        mh_sb_ctl_write(
            t, "POST", mh_sb_path(c, &t->arena, MH_SB_SLICES, "default", NULL, NULL), NULL,
            mh_sb_text(
                t,
                "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\","
                "\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"labels\":{"
                "\"kubernetes.io/service-name\":\"kubernetes\"}},\"addressType\":\"IPv4\","
                "\"endpoints\":[{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true}}],"
                "\"ports\":[{\"name\":\"https\",\"port\":%d,\"protocol\":\"TCP\"}]}",
                address, c->config.api_port));
}

void
mh_sb_base_sync(struct mh_sb_task *t)
{
    make_classes(t);
    make_service(t);
}

/* Somebody took one away; only the classes are looked after. */
MH_SB_HOOK(mh_sb_base_hook)
{
    if (old && !now && mh_str_eq(mh_json_str(old, "provisioner", NULL), MH_SB_PROVISIONER))
        mh_sb_touch(c, MH_SB_W_BASE, "", "base");
}

/* --- a namespace ----------------------------------------------------------------------------- */

void
mh_sb_account_sync(struct mh_sb_task *t)
{
    struct mh_sb_control *c = t->c;
    yyjson_val *ns = mh_sb_object(c, MH_SB_NAMESPACES, NULL, t->name);
    yyjson_val *map = mh_sb_object(c, MH_SB_CONFIGMAPS, t->name, "kube-root-ca.crt");
    const char *have = mh_json_str(map, "data", "ca.crt", NULL);
    if (!ns || mh_sb_is_going(ns) ||
        mh_str_eq(mh_json_str(ns, "status", "phase", NULL), "Terminating"))
        return;
    if (!mh_sb_object(c, MH_SB_ACCOUNTS, t->name, "default"))
        mh_sb_ctl_write(
            t, "POST", mh_sb_path(c, &t->arena, MH_SB_ACCOUNTS, t->name, NULL, NULL), NULL,
            mh_sb_text(t,
                       "{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{"
                       "\"name\":\"default\",\"namespace\":%s}}",
                       mh_sb_quote(t, t->name)));
    const char *data = mh_sb_text(t, "\"data\":{\"ca.crt\":%s}", mh_sb_quote(t, c->config.ca_pem));
    if (!map)
        mh_sb_ctl_write(
            t, "POST", mh_sb_path(c, &t->arena, MH_SB_CONFIGMAPS, t->name, NULL, NULL), NULL,
            mh_sb_text(t,
                       "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                       "\"kube-root-ca.crt\",\"namespace\":%s,\"annotations\":{"
                       "\"kubernetes.io/description\":\"Contains a CA bundle that can be used to "
                       "verify the kube-apiserver when using internal endpoints.\"}},%s}",
                       mh_sb_quote(t, t->name), data));
    else if (!mh_str_eq(have, c->config.ca_pem))
        mh_sb_ctl_write(
            t, "PATCH",
            mh_sb_path(c, &t->arena, MH_SB_CONFIGMAPS, t->name, "kube-root-ca.crt", NULL),
            MH_PATCH_MERGE, mh_sb_text(t, "{%s}", data));
}

MH_SB_HOOK(mh_sb_account_hook)
{
    yyjson_val *o = now ? now : old;
    const char *ns = mh_sb_ns(o);
    mh_sb_touch(c, MH_SB_W_ACCOUNT, "", *ns ? ns : mh_sb_name(o));
}
