/* Which columns built-in kinds have. */
#include <string.h>

#include "sandbox/table.h"

#define NAME                                                                                       \
    {                                                                                              \
        "Name", "name", 0, mh_sb_cell_text, "metadata.name"                                        \
    }
#define AGE                                                                                        \
    {                                                                                              \
        "Age", "string", 0, mh_sb_cell_age, "metadata.creationTimestamp"                           \
    }
#define CREATED                                                                                    \
    {                                                                                              \
        "Created At", "date", 0, mh_sb_cell_text, "metadata.creationTimestamp"                     \
    }
#define CONTAINERS(path)                                                                           \
    { "Containers", "string", 1, mh_sb_cell_containers, path },                                    \
    {                                                                                              \
        "Images", "string", 1, mh_sb_cell_images, path                                             \
    }
#define SELECTOR(path)                                                                             \
    {                                                                                              \
        "Selector", "string", 1, mh_sb_cell_selector, path                                         \
    }
#define TEXT(name, path)                                                                           \
    {                                                                                              \
        name, "string", 0, mh_sb_cell_text, path                                                   \
    }
#define WIDE(name, path)                                                                           \
    {                                                                                              \
        name, "string", 1, mh_sb_cell_text, path                                                   \
    }
#define NUMBER(name, path)                                                                         \
    {                                                                                              \
        name, "integer", 0, mh_sb_cell_number, path                                                \
    }

static const struct mh_sb_cell plain[] = { NAME, AGE };
static const struct mh_sb_cell created[] = { NAME, CREATED };
static const struct mh_sb_cell pods[] = {
    NAME,
    { "Ready", "string", 0, mh_sb_cell_ready, NULL },
    { "Status", "string", 0, mh_sb_cell_pod_status, NULL },
    { "Restarts", "string", 0, mh_sb_cell_restarts, NULL },
    AGE,
    WIDE("IP", "status.podIP|<none>"),
    WIDE("Node", "spec.nodeName|<none>"),
    WIDE("Nominated Node", "status.nominatedNodeName|<none>"),
    { "Readiness Gates", "string", 1, mh_sb_cell_gates, NULL },
};
static const struct mh_sb_cell deployments[] = {
    NAME,
    { "Ready", "string", 0, mh_sb_cell_deployed, NULL },
    { "Up-to-date", "string", 0, mh_sb_cell_number, "status.updatedReplicas" },
    { "Available", "string", 0, mh_sb_cell_number, "status.availableReplicas" },
    AGE,
    CONTAINERS("spec.template.spec"),
    SELECTOR("spec.selector"),
};
static const struct mh_sb_cell sets[] = {
    NAME,
    NUMBER("Desired", "spec.replicas"),
    NUMBER("Current", "status.replicas"),
    NUMBER("Ready", "status.readyReplicas"),
    AGE,
    CONTAINERS("spec.template.spec"),
    SELECTOR("spec.selector"),
};
static const struct mh_sb_cell stateful[] = {
    NAME,
    { "Ready", "string", 0, mh_sb_cell_deployed, NULL },
    AGE,
    CONTAINERS("spec.template.spec"),
};
static const struct mh_sb_cell jobs[] = {
    NAME,
    { "Status", "string", 0, mh_sb_cell_job_status, NULL },
    { "Completions", "string", 0, mh_sb_cell_completions, NULL },
    { "Duration", "string", 0, mh_sb_cell_duration, NULL },
    AGE,
    CONTAINERS("spec.template.spec"),
    SELECTOR("spec.selector"),
};
static const struct mh_sb_cell cronjobs[] = {
    NAME,
    TEXT("Schedule", "spec.schedule"),
    TEXT("Timezone", "spec.timeZone|<none>"),
    { "Suspend", "boolean", 0, mh_sb_cell_said, "spec.suspend" },
    { "Active", "integer", 0, mh_sb_cell_count, "status.active" },
    { "Last Schedule", "string", 0, mh_sb_cell_age, "status.lastScheduleTime" },
    AGE,
    CONTAINERS("spec.jobTemplate.spec.template.spec"),
    SELECTOR("spec.jobTemplate.spec.selector"),
};
static const struct mh_sb_cell services[] = {
    NAME,
    TEXT("Type", "spec.type"),
    TEXT("Cluster-IP", "spec.clusterIP|<none>"),
    { "External-IP", "string", 0, mh_sb_cell_external, NULL },
    { "Port(s)", "string", 0, mh_sb_cell_ports, NULL },
    AGE,
    { "Selector", "string", 1, mh_sb_cell_labels, "spec.selector" },
};
static const struct mh_sb_cell nodes[] = {
    NAME,
    { "Status", "string", 0, mh_sb_cell_node_status, NULL },
    { "Roles", "string", 0, mh_sb_cell_node_roles, NULL },
    AGE,
    TEXT("Version", "status.nodeInfo.kubeletVersion"),
    { "Internal-IP", "string", 1, mh_sb_cell_node_address, "InternalIP" },
    { "External-IP", "string", 1, mh_sb_cell_node_address, "ExternalIP" },
    WIDE("OS-Image", "status.nodeInfo.osImage|<unknown>"),
    WIDE("Kernel-Version", "status.nodeInfo.kernelVersion|<unknown>"),
    WIDE("Container-Runtime", "status.nodeInfo.containerRuntimeVersion|<unknown>"),
};
static const struct mh_sb_cell claims[] = {
    NAME,
    { "Status", "string", 0, mh_sb_cell_claim, "status.phase" },
    TEXT("Volume", "spec.volumeName|"),
    { "Capacity", "string", 0, mh_sb_cell_capacity, "status.capacity.storage" },
    { "Access Modes", "string", 0, mh_sb_cell_bound_modes, "status.accessModes" },
    TEXT("StorageClass", "spec.storageClassName|"),
    TEXT("VolumeAttributesClass", "spec.volumeAttributesClassName|<unset>"),
    AGE,
    WIDE("VolumeMode", "spec.volumeMode|<unset>"),
};
static const struct mh_sb_cell volumes[] = {
    NAME,
    TEXT("Capacity", "spec.capacity.storage|"),
    { "Access Modes", "string", 0, mh_sb_cell_modes, "spec.accessModes" },
    TEXT("Reclaim Policy", "spec.persistentVolumeReclaimPolicy|"),
    { "Status", "string", 0, mh_sb_cell_claim, "status.phase" },
    { "Claim", "string", 0, mh_sb_cell_claim, "claim" },
    TEXT("StorageClass", "spec.storageClassName|"),
    TEXT("VolumeAttributesClass", "spec.volumeAttributesClassName|<unset>"),
    TEXT("Reason", "status.reason|"),
    AGE,
    WIDE("VolumeMode", "spec.volumeMode|<unset>"),
};
static const struct mh_sb_cell classes[] = {
    { "Name", "name", 0, mh_sb_cell_default, NULL },
    TEXT("Provisioner", "provisioner"),
    TEXT("ReclaimPolicy", "reclaimPolicy|Delete"),
    TEXT("VolumeBindingMode", "volumeBindingMode|Immediate"),
    { "AllowVolumeExpansion", "string", 0, mh_sb_cell_flag, "allowVolumeExpansion" },
    AGE,
};
static const struct mh_sb_cell config_maps[] = {
    NAME, { "Data", "string", 0, mh_sb_cell_count, "data+binaryData" }, AGE
};
static const struct mh_sb_cell secrets[] = {
    NAME, TEXT("Type", "type"), { "Data", "string", 0, mh_sb_cell_count, "data" }, AGE
};
static const struct mh_sb_cell accounts[] = {
    NAME, { "Secrets", "string", 0, mh_sb_cell_count, "secrets" }, AGE
};
static const struct mh_sb_cell namespaces[] = { NAME, TEXT("Status", "status.phase"), AGE };
static const struct mh_sb_cell leases[] = { NAME, TEXT("Holder", "spec.holderIdentity|"), AGE };
static const struct mh_sb_cell endpoints[] = {
    NAME, { "Endpoints", "string", 0, mh_sb_cell_endpoints, NULL }, AGE
};
static const struct mh_sb_cell slices[] = {
    NAME,
    TEXT("AddressType", "addressType"),
    { "Ports", "string", 0, mh_sb_cell_slice_ports, NULL },
    { "Endpoints", "string", 0, mh_sb_cell_slice, NULL },
    AGE,
};
static const struct mh_sb_cell budgets[] = {
    NAME,
    TEXT("Min Available", "spec.minAvailable|N/A"),
    TEXT("Max Unavailable", "spec.maxUnavailable|N/A"),
    NUMBER("Allowed Disruptions", "status.disruptionsAllowed"),
    AGE,
};
static const struct mh_sb_cell bindings[] = {
    NAME,
    { "Role", "string", 0, mh_sb_cell_role, NULL },
    AGE,
    { "Users", "string", 1, mh_sb_cell_subjects, "User" },
    { "Groups", "string", 1, mh_sb_cell_subjects, "Group" },
    { "ServiceAccounts", "string", 1, mh_sb_cell_subjects, "ServiceAccount" },
};
static const struct mh_sb_cell webhooks[] = {
    NAME, { "Webhooks", "integer", 0, mh_sb_cell_count, "webhooks" }, AGE
};
static const struct mh_sb_cell policies[] = {
    NAME,
    { "Validations", "integer", 0, mh_sb_cell_count, "spec.validations" },
    { "ParamKind", "string", 0, mh_sb_cell_param, "spec.paramKind" },
    AGE,
};
static const struct mh_sb_cell policy_bindings[] = {
    NAME,
    TEXT("PolicyName", "spec.policyName"),
    TEXT("ParamRef", "spec.paramRef.name|<unset>"),
    AGE,
};
static const struct mh_sb_cell network[] = {
    NAME, { "Pod-Selector", "string", 0, mh_sb_cell_selector, "spec.podSelector" }, AGE
};
static const struct mh_sb_cell quotas[] = {
    NAME,
    { "Request", "string", 0, mh_sb_cell_quota, "request" },
    { "Limit", "string", 0, mh_sb_cell_quota, "limit" },
    AGE,
};
static const struct mh_sb_cell priorities[] = {
    NAME,
    NUMBER("Value", "value"),
    { "Global-Default", "boolean", 0, mh_sb_cell_flag, "globalDefault" },
    AGE,
    TEXT("PreemptionPolicy", "preemptionPolicy"),
};
static const struct mh_sb_cell events[] = {
    { "Last Seen", "string", 0, mh_sb_cell_seen, "last" },
    TEXT("Type", "type"),
    TEXT("Reason", "reason"),
    { "Object", "string", 0, mh_sb_cell_involved, NULL },
    WIDE("Subobject", "involvedObject.fieldPath|"),
    { "Source", "string", 1, mh_sb_cell_source, NULL },
    TEXT("Message", "message"),
    { "First Seen", "string", 1, mh_sb_cell_seen, "first" },
    { "Count", "string", 1, mh_sb_cell_seen, "count" },
    { "Name", "name", 1, mh_sb_cell_text, "metadata.name" },
};

#define KIND(kind, cells)                                                                          \
    {                                                                                              \
        kind, cells, sizeof(cells) / sizeof((cells)[0])                                            \
    }
static const struct {
    const char *kind;
    const struct mh_sb_cell *cells;
    size_t n;
} tables[] = {
    KIND("Pod", pods),
    KIND("ResourceQuota", quotas),
    KIND("Deployment", deployments),
    KIND("ReplicaSet", sets),
    KIND("StatefulSet", stateful),
    KIND("Job", jobs),
    KIND("CronJob", cronjobs),
    KIND("Service", services),
    KIND("Node", nodes),
    KIND("PersistentVolumeClaim", claims),
    KIND("PersistentVolume", volumes),
    KIND("StorageClass", classes),
    KIND("ConfigMap", config_maps),
    KIND("Secret", secrets),
    KIND("ServiceAccount", accounts),
    KIND("Namespace", namespaces),
    KIND("Lease", leases),
    KIND("Endpoints", endpoints),
    KIND("EndpointSlice", slices),
    KIND("PodDisruptionBudget", budgets),
    KIND("RoleBinding", bindings),
    KIND("ClusterRoleBinding", bindings),
    KIND("Role", created),
    KIND("ClusterRole", created),
    KIND("CustomResourceDefinition", created),
    KIND("MutatingWebhookConfiguration", webhooks),
    KIND("ValidatingWebhookConfiguration", webhooks),
    KIND("ValidatingAdmissionPolicy", policies),
    KIND("ValidatingAdmissionPolicyBinding", policy_bindings),
    KIND("NetworkPolicy", network),
    KIND("PriorityClass", priorities),
    KIND("Event", events),
};

const struct mh_sb_cell *
mh_sb_cells(const struct mh_sb_resource *r, int *n)
{
    for (size_t i = 0; !r->custom && i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (strcmp(tables[i].kind, r->kind) == 0) {
            *n = (int)tables[i].n;
            return tables[i].cells;
        }
    }
    *n = (int)(sizeof(plain) / sizeof(plain[0]));
    return plain;
}
