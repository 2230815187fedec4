/* The built-in kinds, in the order in which discovery lists their groups. */
#include "sandbox/kinds_in.h"

#define RBAC "rbac.authorization.k8s.io"
#define ADM "admissionregistration.k8s.io"
#define AUTHN "authentication.k8s.io"
#define AUTHZ "authorization.k8s.io"
#define ST MH_SB_STATUS
#define SC MH_SB_SCALE
#define GE MH_SB_GENERATION
#define RE MH_SB_REVIEW

const struct mh_sb_builtin mh_sb_builtins[] = {
    { "", "ConfigMap", "configmaps", "cm", "", true, 0 },
    { "", "Endpoints", "endpoints", "ep", "", true, 0 },
    { "", "Event", "events", "ev", "", true, 0 },
    { "", "LimitRange", "limitranges", "limits", "", true, 0 },
    { "", "Namespace", "namespaces", "ns", "", false, ST | MH_SB_NO_COLLECT },
    { "", "Node", "nodes", "no", "", false, ST },
    { "", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "", true, ST },
    { "", "PersistentVolume", "persistentvolumes", "pv", "", false, ST },
    { "", "Pod", "pods", "po", "all", true, ST | GE },
    { "", "ResourceQuota", "resourcequotas", "quota", "", true, ST },
    { "", "Secret", "secrets", "", "", true, 0 },
    { "", "ServiceAccount", "serviceaccounts", "sa", "", true, 0 },
    { "", "Service", "services", "svc", "all", true, ST },
    { "apps", "ControllerRevision", "controllerrevisions", "", "", true, 0 },
    { "apps", "Deployment", "deployments", "deploy", "all", true, ST | SC | GE },
    { "apps", "ReplicaSet", "replicasets", "rs", "all", true, ST | SC | GE },
    { "apps", "StatefulSet", "statefulsets", "sts", "all", true, ST | SC | GE },
    { "events.k8s.io", "Event", "events", "ev", "", true, 0 },
    { AUTHN, "SelfSubjectReview", "selfsubjectreviews", "", "", false, RE },
    { AUTHN, "TokenReview", "tokenreviews", "", "", false, RE },
    { AUTHZ, "LocalSubjectAccessReview", "localsubjectaccessreviews", "", "", true, RE },
    { AUTHZ, "SelfSubjectAccessReview", "selfsubjectaccessreviews", "", "", false, RE },
    { AUTHZ, "SelfSubjectRulesReview", "selfsubjectrulesreviews", "", "", false, RE },
    { AUTHZ, "SubjectAccessReview", "subjectaccessreviews", "", "", false, RE },
    { "batch", "CronJob", "cronjobs", "cj", "all", true, ST | GE },
    { "batch", "Job", "jobs", "", "all", true, ST | GE },
    { "networking.k8s.io", "NetworkPolicy", "networkpolicies", "netpol", "", true, GE },
    { "policy", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", "", true, ST | GE },
    { RBAC, "ClusterRoleBinding", "clusterrolebindings", "", "", false, 0 },
    { RBAC, "ClusterRole", "clusterroles", "", "", false, 0 },
    { RBAC, "RoleBinding", "rolebindings", "", "", true, 0 },
    { RBAC, "Role", "roles", "", "", true, 0 },
    { "storage.k8s.io", "CSIDriver", "csidrivers", "", "", false, 0 },
    { "storage.k8s.io", "CSINode", "csinodes", "", "", false, 0 },
    { "storage.k8s.io", "StorageClass", "storageclasses", "sc", "", false, 0 },
    { "storage.k8s.io", "VolumeAttachment", "volumeattachments", "", "", false, ST },
    { ADM, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", "api-extensions",
      false, GE },
    { ADM, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "", "api-extensions", false,
      ST | GE },
    { ADM, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "",
      "api-extensions", false, GE },
    { ADM, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "",
      "api-extensions", false, GE },
    { "apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", "crd,crds",
      "api-extensions", false, ST | GE },
    { "scheduling.k8s.io", "PriorityClass", "priorityclasses", "pc", "", false, GE },
    { "coordination.k8s.io", "Lease", "leases", "", "", true, 0 },
    { "discovery.k8s.io", "EndpointSlice", "endpointslices", "", "", true, GE },
};
const int mh_sb_nbuiltins = sizeof(mh_sb_builtins) / sizeof(mh_sb_builtins[0]);
