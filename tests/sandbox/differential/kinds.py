"""The kinds of the test: a valid object of each, changes to it (good and bad), fields one selects by.

A change is (path, value); DEL as value takes the field away. Numbers in a path are positions in lists.
"""
import copy

DEL = "\0del"
PROTECT = "kubernetes.io/pvc-protection"


class Kind:
    def __init__(self, group, version, plural, kind, namespaced, make, changes, **more):
        self.group, self.version, self.plural, self.kind, self.namespaced = group, version, plural, kind, namespaced
        self.make, self.changes = make, changes
        self.cls = more.get("cls", kind)
        self.status = more.get("status")     # changes of /status, or None
        self.scale = more.get("scale", False)
        self.fields = more.get("fields", [])
        self.collection = more.get("collection", True)
        self.account = more.get("account", False)  # needs the namespace's default service account
        self.crd = more.get("crd")

    @property
    def api_version(self):
        return self.group + "/" + self.version if self.group else self.version

    def path(self, ns, name=None, sub=None):
        p = "/apis/" + self.api_version if self.group else "/api/" + self.version
        if self.namespaced and ns:
            p += "/namespaces/" + ns
        p += "/" + self.plural
        if name:
            p += "/" + name
        if sub:
            p += "/" + sub
        return p


def pick(r, *values):
    return r.choice(values)


def once(r, key, *values):
    """The same choice all through a sequence: what two appliers must not choose differently."""
    chosen = r.__dict__.setdefault("chosen", {})
    if key not in chosen:
        chosen[key] = r.choice(values)
    return copy.deepcopy(chosen[key])


def maybe(r, d, p, key, value):
    if r.random() < p:
        d[key] = value() if callable(value) else copy.deepcopy(value)


# --- pods, and what holds their templates ---------------------------------------------------------------------

def container(r, name="c1"):
    c = {"name": name, "image": pick(r, "postgres:15", "localhost/x", "registry.example/a/b:v1@sha256:" + "a" * 64,
                                     "nginx:latest")}
    maybe(r, c, .4, "command", ["sleep", "1"])
    maybe(r, c, .3, "args", ["a", "$(B)"])
    maybe(r, c, .5 if name == "c1" else 0, "ports", lambda: [{"containerPort": 5432, "name": "pg"}] + (
        [{"containerPort": 8000, "protocol": "TCP"}] if r.random() < .5 else []))
    maybe(r, c, .5, "env", lambda: [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": once(
        r, "from", {"fieldRef": {"fieldPath": "metadata.name"}}, {"secretKeyRef": {"name": "s", "key": "k"}},
        {"configMapKeyRef": {"name": "s", "key": "k", "optional": True}},
        {"resourceFieldRef": {"resource": "limits.cpu"}})}])
    maybe(r, c, .5, "resources", lambda: pick(
        r, {"requests": {"cpu": "100m", "memory": "64Mi"}}, {"limits": {"cpu": 1, "memory": "1Gi"}},
        {"requests": {"cpu": "0.5"}, "limits": {"cpu": "1000m"}}, {"limits": {"memory": "1.5Gi", "cpu": 0.25}}))
    maybe(r, c, .4, "readinessProbe", lambda: dict(once(
        r, "probe", {"httpGet": {"path": "/readyz", "port": 8000, "scheme": "HTTPS"}}, {"exec": {"command": ["true"]}},
        {"tcpSocket": {"port": 5432}}, {"grpc": {"port": 9}}), **pick(r, {}, {"periodSeconds": 3}, {"timeoutSeconds": 9})))
    maybe(r, c, .2, "livenessProbe", {"httpGet": {"path": "/healthz", "port": 80}, "failureThreshold": 7})
    maybe(r, c, .2, "lifecycle", {"preStop": {"exec": {"command": ["true"]}}})
    maybe(r, c, .3, "volumeMounts", [{"name": "v1", "mountPath": "/v1"}])
    maybe(r, c, .3, "securityContext", lambda: pick(
        r, {"allowPrivilegeEscalation": False}, {"runAsUser": 26, "capabilities": {"drop": ["ALL"]}},
        {"privileged": True}, {"seccompProfile": {"type": "RuntimeDefault"}, "readOnlyRootFilesystem": True}))
    maybe(r, c, .2, "imagePullPolicy", lambda: pick(r, "Always", "Never", "IfNotPresent"))
    return c


VOLUMES = [{"emptyDir": {}}, {"emptyDir": {"medium": "Memory", "sizeLimit": "10Mi"}}, {"secret": {"secretName": "s"}},
           {"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}, {"hostPath": {"path": "/x"}},
           {"persistentVolumeClaim": {"claimName": "p"}}, {},
           {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "q"}},
                                      {"downwardAPI": {"items": [{"path": "l", "fieldRef": {
                                          "fieldPath": "metadata.labels"}}]}}]}},
           {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]


def pod_spec(r, job=False):
    s = {"containers": [container(r)]}
    if r.random() < .3:
        s["containers"].append(container(r, "c2"))
    maybe(r, s, .25, "initContainers", lambda: [container(r, "i1")])
    for c in s.get("initContainers", []):
        for k in ("readinessProbe", "livenessProbe", "lifecycle"):
            c.pop(k, None)
    if any(c.get("volumeMounts") for c in s["containers"] + s.get("initContainers", [])) or r.random() < .3:
        s["volumes"] = [dict({"name": "v1"}, **once(r, "volume", *VOLUMES))]
    maybe(r, s, .3, "terminationGracePeriodSeconds", lambda: pick(r, 0, 5, 1800))
    maybe(r, s, .3, "securityContext", lambda: pick(r, {"runAsUser": 26, "fsGroup": 26}, {"runAsNonRoot": True}, {}))
    maybe(r, s, .3, "nodeSelector", {"a": "b"})
    maybe(r, s, .3, "tolerations", lambda: [once(
        r, "toleration", {"operator": "Exists"}, {"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5})])
    maybe(r, s, .3, "affinity", lambda: pick(
        r, {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}]}},
        {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 100, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}}]}},
        {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}}, {}))
    maybe(r, s, .2, "topologySpreadConstraints", [{"maxSkew": 1, "topologyKey": "zone",
                                                   "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"a": "b"}}}])
    maybe(r, s, .2, "hostname", "h")
    maybe(r, s, .15, "enableServiceLinks", False)
    maybe(r, s, .15, "automountServiceAccountToken", False)
    maybe(r, s, .15, "imagePullSecrets", [{"name": "x"}])
    maybe(r, s, .1, "serviceAccountName", "default")
    maybe(r, s, .1, "priorityClassName", "system-node-critical")
    maybe(r, s, .1, "hostNetwork", True)
    maybe(r, s, .1, "dnsConfig", {"options": [{"name": "ndots", "value": "2"}]})
    if job:
        s["restartPolicy"] = pick(r, "Never", "OnFailure")
    else:
        maybe(r, s, .2, "restartPolicy", "Always")
    return s


def pod_changes(r, at=()):
    c = tuple(at) + ("spec", "containers")
    s = tuple(at) + ("spec",)
    return pick(
        r, (c + (0, "image"), pick(r, "nginx:2", "nginx:3", 5)), (c + (0, "resources"), pick(r, {"requests": {"cpu": "10m"}}, {"limits": {"memory": "1Gi"}}, "x")),
        (c + (0, "env"), pick(r, [{"name": "X", "value": "y"}], [], "x")), (c + (0, "imagePullPolicy"), pick(r, "Never", "Always")),
        (c, pick(r, [], [{"name": "a", "image": "b"}])), (s + ("restartPolicy",), pick(r, "Never", "Always", "OnFailure")),
        (s + ("terminationGracePeriodSeconds",), pick(r, 1, 30, "x")), (s + ("hostname",), "ok"), (s + ("activeDeadlineSeconds",), 10) if not at else (s + ("subdomain",), "sub"),
        (s + ("tolerations",), "x"), (s + ("nodeSelector",), {"a": "c"}), (s + ("securityContext",), {"runAsUser": 5}))


POD_STATUS = [
    {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "hostIP": "10.1.0.1",
     "startTime": "2001-01-01T00:00:00Z", "conditions": [{"type": "Ready", "status": "True",
                                                          "lastTransitionTime": "2001-01-01T00:00:01Z"}],
     "containerStatuses": [{"name": "c1", "ready": True, "restartCount": 2, "image": "a", "imageID": "b",
                            "started": True, "state": {"running": {"startedAt": "2001-01-01T00:00:00Z"}},
                            "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
                                                         "finishedAt": "2001-01-01T00:00:00Z"}}}]},
    {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                                         "message": "no"}]},
    {"phase": "Failed", "reason": "Evicted", "message": "x"}, {"phase": "Succeeded"},
    {"phase": "Running", "containerStatuses": [{"name": "c1", "ready": False, "restartCount": 5, "image": "a",
                                                "imageID": "", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
]


def make_pod(r, o):
    o["spec"] = pod_spec(r)


def template(r, labels, job=False):
    t = {"metadata": {"labels": dict(labels)}, "spec": pod_spec(r, job)}
    t["spec"].pop("activeDeadlineSeconds", None)
    maybe(r, t["metadata"], .2, "annotations", {"x": "y"})
    return t


# --- each kind -------------------------------------------------------------------------------------------------

def make_configmap(r, o):
    maybe(r, o, .8, "data", lambda: {"a": "1", "b": pick(r, "", "x\ny", "ä\u2028", "2")})
    maybe(r, o, .2, "binaryData", {"bin": "AAEC"})
    maybe(r, o, .1, "immutable", lambda: pick(r, True, False))


def change_configmap(r):
    return pick(r, (("data", "a"), pick(r, "1", "2", "", DEL, 3, None)), (("data", "b"), pick(r, "z", DEL)),
                (("data", "bad key!"), "x"), (("data", ".."), "x"), (("binaryData", "bin"), pick(r, "!!", "AAAA", DEL)), (("binaryData", "a"), "AAAA"),
                (("immutable",), pick(r, True, False, "yes")), (("data",), pick(r, DEL, {}, {"n": "1"}, "x", [])))


def make_secret(r, o):
    maybe(r, o, .7, "data", {"a": "MQ==", "b": "Mg=="})
    maybe(r, o, .4, "stringData", {"s": "plain", "a": "over"})
    maybe(r, o, .5, "type", lambda: pick(r, "Opaque", "example.com/mine", "kubernetes.io/basic-auth"))
    if o.get("type") == "kubernetes.io/basic-auth":
        o["stringData"] = {"username": "u", "password": "p"}
    maybe(r, o, .1, "immutable", True)


def change_secret(r):
    return pick(r, (("data", "a"), pick(r, "Mg==", DEL, "no base64", "", None)), (("stringData", "x"), "y"), (("stringData",), {"a": "1", "q": ""}), (("type",), pick(r, "Opaque", "other")), (("data", "bad key"), "MQ=="), (("immutable",), pick(r, True, False)))


def make_service(r, o):
    o["spec"] = {"ports": [{"port": 5432, "name": "pg", "targetPort": pick(r, 5432, "pg")}], "selector": {"a": "b"}}
    s = o["spec"]
    if r.random() < .3:
        s["ports"].append({"port": 80, "name": "http", "protocol": "TCP"})
    kind = once(r, "service", .1, .3, .4, .55, .8, .9)
    if kind < .25:
        s["clusterIP"] = "None"
    elif kind < .35:
        s["type"] = "ExternalName"
        s["externalName"] = "example.com"
    elif kind < .5:
        s["type"] = "NodePort"
    elif kind < .6:
        s["type"] = "LoadBalancer"
    maybe(r, s, .2, "sessionAffinity", lambda: pick(r, "ClientIP", "None"))
    maybe(r, s, .2, "publishNotReadyAddresses", True)
    maybe(r, s, .1, "internalTrafficPolicy", "Local")
    if kind == .3:  # kube-apiserver stores it, and shows it after updates of the status only
        s.pop("internalTrafficPolicy", None)


def change_service(r):
    if r.__dict__.get("chosen", {}).get("service") == .3 and r.random() < .7:  # by name
        return ("spec", "publishNotReadyAddresses"), pick(r, True, False)
    return pick(r, (("spec", "ports"), pick(r, [], [{"port": 0}], [{"port": 1}, {"port": 2}], [{"port": 9, "name": "x"}], "x")), (("spec", "ports", 0, "port"), pick(r, 5433, -1)),
                (("spec", "type"), pick(r, "ClusterIP", "Bogus")), (("spec", "selector"), pick(r, {"x": "y"}, {}, DEL)), (("spec", "clusterIP"), DEL),
                (("spec", "sessionAffinity"), pick(r, "ClientIP", "None")), (("spec", "publishNotReadyAddresses"), pick(r, True, False)))


def make_account(r, o):
    maybe(r, o, .3, "secrets", [{"name": "a"}, {"name": "b"}])
    maybe(r, o, .3, "imagePullSecrets", [{"name": "p"}])
    maybe(r, o, .3, "automountServiceAccountToken", lambda: pick(r, True, False))


def change_account(r):
    return pick(r, (("secrets",), pick(r, [], [{"name": "c"}], DEL, "x")), (("imagePullSecrets",), pick(r, [{"name": "q"}], DEL)), (("automountServiceAccountToken",), pick(r, True, False, "x", DEL)))


def make_claim(r, o):
    o["spec"] = {"accessModes": [pick(r, "ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod")],
                 "resources": {"requests": {"storage": pick(r, "1Gi", "256Mi", "0.5Gi", "1000m", 1024)}}}
    s = o["spec"]
    maybe(r, s, .5, "storageClassName", lambda: pick(r, "standard", "", "none-such"))
    maybe(r, s, .2, "volumeMode", lambda: pick(r, "Block", "Filesystem"))
    maybe(r, s, .1, "selector", {"matchLabels": {"a": "b"}})
    maybe(r, s, .1, "volumeName", "pv")


def change_claim(r):
    return pick(r, (("spec", "resources", "requests", "storage"), pick(r, "2Gi", 7)), (("spec", "accessModes"), pick(r, [], ["ReadOnlyMany"], "x")), (("spec", "storageClassName"), pick(r, "other", DEL)), (("spec", "volumeName"), "pv2"))


CLAIM_STATUS = [{"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}, {"phase": "Lost"}, {"phase": "Pending"},
                {"conditions": [{"type": "Resizing", "status": "True"}], "phase": "Bound"}]


def make_event(r, o):
    o["involvedObject"] = {"kind": "Pod", "name": "p", "namespace": o["metadata"].get("namespace", "{ns}"), "uid": "u-1", "apiVersion": "v1"}
    o["reason"] = pick(r, "Started", "Killed")
    o["message"] = "text"
    o["type"] = pick(r, "Normal", "Warning")
    maybe(r, o, .6, "count", 3)
    maybe(r, o, .6, "firstTimestamp", "2001-01-01T00:00:00Z")
    maybe(r, o, .6, "lastTimestamp", "2001-01-01T01:00:00Z")
    maybe(r, o, .5, "source", {"component": "c", "host": "h"})


def change_event(r):
    return pick(r, (("count",), pick(r, 4, "x", DEL)), (("message",), pick(r, "other", "")), (("type",), pick(r, "Normal", "Warning")), (("reason",), pick(r, "R", "")), (("involvedObject", "namespace"), pick(r, "other", DEL)), (("lastTimestamp",), pick(r, "2001-01-02T00:00:00Z", None)))


def make_namespace(r, o):
    maybe(r, o, .3, "spec", lambda: pick(r, {}, {"finalizers": ["kubernetes"]}))


def change_namespace(r):
    return pick(r, (("metadata", "labels", "kubernetes.io/metadata.name"), pick(r, DEL, "other")), (("spec", "finalizers"), pick(r, [], ["kubernetes"])),
                (("metadata", "labels", "pod-security.kubernetes.io/enforce"), "privileged"))


def make_node(r, o):
    maybe(r, o, .6, "spec", lambda: once(r, "node", {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}, {"unschedulable": True}, {"providerID": "x://y"},
                                         {"taints": [{"key": "a", "effect": "NoSchedule", "value": "b"}]}))


def change_node(r):
    return pick(r, (("spec", "unschedulable"), pick(r, True, False, DEL)), (("spec", "taints"), pick(r, [], [{"key": "k", "effect": "NoExecute", "value": "v"}], DEL)), (("spec", "podCIDR"), 5))


NODE_STATUS = [{"capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "2001-01-01T00:00:00Z"}],
                "addresses": [{"type": "InternalIP", "address": "10.1.1.1"}, {"type": "Hostname", "address": "h"}],
                "nodeInfo": {"kubeletVersion": "v1.34.4", "osImage": "Debian", "kernelVersion": "6", "containerRuntimeVersion": "x://1", "architecture": "amd64",
                             "bootID": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "linux", "systemUUID": ""}},
               {"conditions": [{"type": "Ready", "status": "Unknown"}]}]


def make_role(r, o):
    maybe(r, o, .9, "rules", lambda: [pick(r, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                                           {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"], "resourceNames": ["a"]})])
    if o["kind"] == "ClusterRole":
        maybe(r, o, .2, "aggregationRule", {"clusterRoleSelectors": [{"matchLabels": {"none": "such"}}]})


def change_role(r):
    return pick(r, (("rules",), pick(r, [], DEL, [{"verbs": []}], [{"apiGroups": [""], "verbs": ["get"]}], [{"nonResourceURLs": ["/x"], "verbs": ["get"]}],
                                     [{"apiGroups": ["a"], "resources": ["b"], "verbs": ["c"]}, {"apiGroups": ["a"], "resources": ["d"], "verbs": ["c"]}])),
                (("rules", 0, "verbs"), pick(r, ["list"], [])))


def make_binding(r, o):
    o["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": pick(r, "ClusterRole", "ClusterRole" if o["kind"] == "ClusterRoleBinding" else "Role"), "name": "none-such"}
    maybe(r, o, .9, "subjects", lambda: [pick(r, {"kind": "ServiceAccount", "name": "a", "namespace": "default"}, {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
                                              {"kind": "Group", "name": "g"})])


def change_binding(r):
    return pick(r, (("roleRef", "name"), pick(r, "other", "")), (("subjects",), pick(r, [], DEL, [{"kind": "X", "name": "y"}], [{"kind": "ServiceAccount", "name": "a"}], [{"kind": "User", "name": ""}])),
                (("roleRef", "kind"), pick(r, "Bogus", "ClusterRole")), (("roleRef", "apiGroup"), "x"), (("subjects", 0, "name"), "zz"))


def make_pv(r, o):
    o["spec"] = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], once(r, "pv", "hostPath", "hostPath", "local"): {"path": "/x"}}
    s = o["spec"]
    if "local" in s:
        s["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}
    maybe(r, s, .5, "persistentVolumeReclaimPolicy", lambda: pick(r, "Retain", "Delete"))
    maybe(r, s, .5, "storageClassName", "standard")
    maybe(r, s, .2, "claimRef", {"name": "c", "namespace": "default"})


def change_pv(r):
    return pick(r, (("spec", "capacity", "storage"), pick(r, "2Gi", 5)), (("spec", "persistentVolumeReclaimPolicy"), pick(r, "Retain", "Delete")),
                (("spec", "claimRef"), pick(r, {"name": "d", "namespace": "default"}, DEL)), (("spec", "mountOptions"), ["a"]), (("spec", "capacity"), "x"))


PV_STATUS = [{"phase": "Available"}, {"phase": "Bound"}, {"phase": "Released"}, {"phase": "Failed", "message": "m", "reason": "r"}]


def make_class(r, o):
    o["provisioner"] = pick(r, "example.com/p", "kubernetes.io/no-provisioner")
    maybe(r, o, .4, "reclaimPolicy", lambda: pick(r, "Retain", "Delete"))
    maybe(r, o, .4, "volumeBindingMode", lambda: pick(r, "Immediate", "WaitForFirstConsumer"))
    maybe(r, o, .4, "allowVolumeExpansion", lambda: pick(r, True, False))
    maybe(r, o, .3, "parameters", {"a": "b"})
    maybe(r, o, .2, "mountOptions", ["ro"])
    maybe(r, o, .2, "allowedTopologies", [{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}])


def change_class(r):
    return pick(r, (("provisioner",), pick(r, "other", "")), (("reclaimPolicy",), pick(r, "Retain", "Delete")), (("parameters", "a"), "c"), (("allowVolumeExpansion",), pick(r, True, False, "x")), (("volumeBindingMode",), "Immediate"), (("mountOptions",), ["rw"]))


def make_priority(r, o):
    o["value"] = pick(r, 5, -5, 1000000000)
    maybe(r, o, .4, "description", "d")
    maybe(r, o, .4, "preemptionPolicy", lambda: pick(r, "Never", "PreemptLowerPriority"))
    maybe(r, o, .2, "globalDefault", False)


def change_priority(r):
    return pick(r, (("value",), pick(r, 6, "x")), (("description",), pick(r, "e", DEL)), (("preemptionPolicy",), pick(r, "Never", "PreemptLowerPriority")))


def make_deployment(r, o):
    labels = {"a": "b"}
    o["spec"] = {"selector": {"matchLabels": dict(labels)}, "template": template(r, labels)}
    s = o["spec"]
    maybe(r, s, .7, "replicas", lambda: pick(r, 0, 1, 3))
    if o["kind"] == "Deployment":
        maybe(r, s, .4, "strategy", lambda: pick(r, {"type": "Recreate"}, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "50%"}}, {}))
        maybe(r, s, .3, "revisionHistoryLimit", 2)
        maybe(r, s, .2, "paused", True)
    if o["kind"] == "StatefulSet":
        s["serviceName"] = "svc"
        maybe(r, s, .3, "podManagementPolicy", "Parallel")
        maybe(r, s, .3, "volumeClaimTemplates", [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}])
        maybe(r, s, .3, "updateStrategy", lambda: pick(r, {"type": "OnDelete"}, {"rollingUpdate": {"partition": 1}}))
    else:
        maybe(r, s, .3, "minReadySeconds", 4)


def change_workload(kind):
    def change(r):
        if r.random() < .35:
            return pod_changes(r, ("spec", "template"))
        more = [(("spec", "replicas"), pick(r, 2, -1, "x", DEL, 4)), (("spec", "selector"), {"matchLabels": {"q": "r"}}),
                (("spec", "template", "metadata", "labels"), pick(r, {"x": "y"}, {"a": "b", "c": "d"})), (("spec", "minReadySeconds"), pick(r, 1, 2))]
        if kind == "Deployment":
            more += [(("spec", "strategy"), pick(r, {"type": "Recreate"}, {"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}})), (("spec", "paused"), pick(r, True, DEL)),
                     (("spec", "revisionHistoryLimit"), pick(r, 3, 4))]
        if kind == "StatefulSet":
            more += [(("spec", "serviceName"), "other"), (("spec", "updateStrategy"), {"type": "OnDelete"})]
        return r.choice(more)
    return change


WORKLOAD_STATUS = [{"replicas": 3, "readyReplicas": 2, "availableReplicas": 1, "observedGeneration": 1}, {"replicas": 1, "fullyLabeledReplicas": 1, "observedGeneration": 2},
                    {"replicas": 2, "updatedReplicas": 2, "observedGeneration": 1,
                   "conditions": [{"type": "Available", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2001-01-01T00:00:00Z"}]}]


def make_job(r, o):
    chosen = r.__dict__.setdefault("chosen", {})
    if "job" not in chosen:  # it is immutable
        chosen["job"] = template(r, {"x": "y"}, True)
    o["spec"] = {"template": copy.deepcopy(chosen["job"])}
    s = o["spec"]
    maybe(r, s, .5, "backoffLimit", lambda: pick(r, 0, 3))
    s["completions"] = 2
    maybe(r, s, .4, "parallelism", 2)
    maybe(r, s, .3, "ttlSecondsAfterFinished", 3)
    maybe(r, s, .2, "activeDeadlineSeconds", 100)
    maybe(r, s, .2, "suspend", True)
    maybe(r, s, .1, "completionMode", "Indexed")


def change_job(r):
    return pick(r, (("spec", "backoffLimit"), pick(r, 1, "x")), (("spec", "parallelism"), pick(r, 5, 0)), (("spec", "suspend"), pick(r, True, False)), (("spec", "ttlSecondsAfterFinished"), pick(r, 9, DEL)), (("spec", "activeDeadlineSeconds"), 7))


JOB_STATUS = [{"active": 1, "startTime": "2001-01-01T00:00:00Z"}, {"active": 2, "ready": 1, "terminating": 0, "startTime": "2001-01-01T00:00:00Z"}]


def make_cronjob(r, o):
    o["spec"] = {"schedule": pick(r, "* * * * *", "@daily", "0 3 * * 1-5"), "jobTemplate": {"spec": {"template": template(r, {"x": "y"}, True)}}}
    s = o["spec"]
    maybe(r, s, .4, "concurrencyPolicy", lambda: pick(r, "Forbid", "Allow"))
    maybe(r, s, .3, "suspend", True)
    maybe(r, s, .2, "timeZone", "Etc/UTC")
    maybe(r, s, .3, "successfulJobsHistoryLimit", 1)


def change_cronjob(r):
    return pick(r, (("spec", "schedule"), pick(r, "1 * * * *", "@hourly", 5)), (("spec", "concurrencyPolicy"), "Replace"), (("spec", "suspend"), pick(r, True, False)), (("spec", "failedJobsHistoryLimit"), pick(r, 3, "x")))


def make_pdb(r, o):
    o["spec"] = {"selector": {"matchLabels": {"a": "b"}}}
    o["spec"][once(r, "pdb", "minAvailable", "maxUnavailable")] = pick(r, 1, "50%", 0)
    maybe(r, o["spec"], .2, "unhealthyPodEvictionPolicy", "AlwaysAllow")


def change_pdb(r):
    return pick(r, (("spec", "minAvailable"), pick(r, 2, "10%", DEL)), (("spec", "maxUnavailable"), pick(r, 2, DEL)), (("spec", "selector"), pick(r, {}, {"matchLabels": {"c": "x"}}, DEL, "x")), (("spec", "unhealthyPodEvictionPolicy"), "IfHealthyBudget"))


PDB_STATUS = [{"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 1, "observedGeneration": 1},
              {"currentHealthy": 2, "desiredHealthy": 1, "disruptionsAllowed": 1, "expectedPods": 2, "conditions": [
                  {"type": "DisruptionAllowed", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2001-01-01T00:00:00Z"}]}]


def make_lease(r, o):
    o["spec"] = {}
    s = o["spec"]
    maybe(r, s, .8, "holderIdentity", "me")
    maybe(r, s, .6, "leaseDurationSeconds", 15)
    maybe(r, s, .6, "renewTime", "2001-01-01T00:00:00.000000Z")
    maybe(r, s, .4, "acquireTime", "2001-01-01T00:00:00.123456Z")
    maybe(r, s, .6, "leaseTransitions", 2)


def change_lease(r):
    return pick(r, (("spec", "holderIdentity"), pick(r, "you", "", DEL)), (("spec", "leaseTransitions"), pick(r, 3, -1, "x")), (("spec", "leaseDurationSeconds"), pick(r, 5, 0, -3)),
                (("spec", "renewTime"), pick(r, "2001-01-01T00:00:01.000000Z", "2001-01-01T00:00:01Z", "bad", DEL)), (("spec", "strategy"), "X"), (("spec", "preferredHolder"), "z"))


def make_slice(r, o):
    o["addressType"] = "IPv4"
    o["endpoints"] = [{"addresses": ["10.0.0.%d" % r.randrange(1, 9)], "conditions": {"ready": pick(r, True, False)}}] if r.random() < .9 else []
    maybe(r, o, .7, "ports", [{"name": "pg", "port": 5432, "protocol": "TCP"}])
    maybe(r, o["metadata"].setdefault("labels", {}), .5, "kubernetes.io/service-name", "s")


def change_slice(r):
    return pick(r, (("addressType",), "X"), (("endpoints",), pick(r, [], [{"addresses": ["10.0.0.3"], "zone": "z", "conditions": {"ready": True}}], [{"addresses": [], "conditions": {}}], "x")),
                (("ports",), pick(r, [], [{"port": 1}], 5)))


def make_endpoints(r, o):
    maybe(r, o, .9, "subsets", lambda: [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 5432, "name": "pg"}]}])


def change_endpoints(r):
    return pick(r, (("subsets",), pick(r, [], [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"port": 2}]}], DEL, "x", [{"addresses": 5}])))


def make_policy(r, o):
    o["spec"] = {"podSelector": pick(r, {}, {"matchLabels": {"a": "b"}})}
    maybe(r, o["spec"], .6, "ingress", [{"from": [{"podSelector": {}}], "ports": [{"port": 5432}]}])
    maybe(r, o["spec"], .3, "egress", [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}])
    maybe(r, o["spec"], .3, "policyTypes", ["Ingress"])


def change_policy(r):
    return pick(r, (("spec", "policyTypes"), pick(r, ["Egress"], ["Ingress", "Egress"])), (("spec", "ingress"), pick(r, [{}], DEL, "x")), (("spec", "podSelector"), {"matchLabels": {"x": "y"}}), (("spec", "egress"), DEL))


def make_quota(r, o):
    o["spec"] = {"hard": {"configmaps": "900", "pods": "80"}} if o["kind"] == "ResourceQuota" else {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "900Gi"}}]}


def change_quota(r):
    return pick(r, (("spec", "hard"), pick(r, {"pods": "100"}, {}, {"pods": 7}, "x")), (("spec", "hard", "secrets"), pick(r, "5000", "5k")))


def make_hooks(r, o):
    h = {"name": "a.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": once(r, "client", {"url": "https://127.0.0.1:1/x"}, {"service": {"name": "s", "namespace": "none-such"}}),
         "rules": [{"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothings"]}]}
    maybe(r, h, .4, "failurePolicy", lambda: pick(r, "Ignore", "Fail"))
    maybe(r, h, .3, "timeoutSeconds", 3)
    maybe(r, h, .3, "namespaceSelector", {"matchLabels": {"a": "b"}})
    maybe(r, h, .2, "matchConditions", [{"name": "c", "expression": "true"}])
    if o["kind"].startswith("Mut"):
        maybe(r, h, .3, "reinvocationPolicy", "IfNeeded")
    o["webhooks"] = [h]


def change_hooks(r):
    return pick(r, (("webhooks", 0, "name"), "b.example.com"), (("webhooks", 0, "sideEffects"), pick(r, "NoneOnDryRun", 5)), (("webhooks", 0, "failurePolicy"), "Ignore"), (("webhooks", 0, "timeoutSeconds"), pick(r, 5, "x")),
                (("webhooks", 0, "matchPolicy"), "Exact"), (("webhooks", 0, "rules", 0, "operations"), pick(r, ["*"], "x")), (("webhooks", 0, "rules", 0, "scope"), "Namespaced"), (("webhooks",), "x"))


def make_vap(r, o):
    o["spec"] = {"matchConstraints": {"resourceRules": [{"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothings"]}]},
                 "validations": [{"expression": pick(r, "true", "object.spec.replicas <= 5", "has(object.spec)")}]}
    s = o["spec"]
    maybe(r, s, .4, "failurePolicy", lambda: pick(r, "Ignore", "Fail"))
    maybe(r, s["validations"][0], .4, "message", "no")
    maybe(r, s["validations"][0], .3, "reason", "Forbidden")
    maybe(r, s, .3, "variables", [{"name": "v", "expression": "1 + 1"}])
    maybe(r, s, .2, "paramKind", {"apiVersion": "v1", "kind": "ConfigMap"})
    maybe(r, s, .2, "auditAnnotations", [{"key": "k", "valueExpression": "'x'"}])


def change_vap(r):
    return pick(r, (("spec", "failurePolicy"), "Ignore"), (("spec", "validations", 0, "message"), pick(r, "other", 5)), (("spec", "variables"), [{"name": "w", "expression": "2"}]),
                (("spec", "matchConditions"), [{"name": "x", "expression": "true"}]), (("spec", "validations"), "x"))


def make_vap_binding(r, o):
    o["spec"] = {"policyName": "none-such.example.com", "validationActions": [once(r, "action", "Deny", "Warn", "Audit")]}
    maybe(r, o["spec"], .3, "matchResources", {"namespaceSelector": {"matchLabels": {"none": "such"}}})


def change_vap_binding(r):
    return pick(r, (("spec", "policyName"), pick(r, "other.example.com", 5)), (("spec", "validationActions"), "x"), (("spec", "matchResources"), pick(r, {"objectSelector": {"matchLabels": {"a": "b"}}}, DEL)))


# --- custom ones -----------------------------------------------------------------------------------------------

WIDGET = {
    "type": "object", "required": ["spec"],
    "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 10, "format": "int32"},
            "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "text": {"type": "string", "minLength": 2, "maxLength": 8, "pattern": "^[a-z]+$"},
            "note": {"type": "string", "nullable": True},
            "dflt": {"type": "object", "default": {}, "properties": {"x": {"type": "integer", "default": 7}, "y": {"type": "boolean", "default": True}}},
            "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "parts": {"type": "array", "maxItems": 4, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                      "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "n": {"type": "number"}, "on": {"type": "boolean", "default": False}}}},
            "keyed": {"type": "array", "maxItems": 9, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                      "items": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "v": {"type": "string"}}}},
            "plain": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 3},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "atom": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
            "when": {"type": "string", "format": "date-time"},
            "fixed": {"type": "string", "maxLength": 20, "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed cannot be changed"}]},
            "low": {"type": "integer"}, "high": {"type": "integer"},
            "emb": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
            "bytes": {"type": "string", "format": "byte"},
        }, "x-kubernetes-validations": [
            {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high", "messageExpression": "self.low > 100 ? 'far above' : 'low is above high'"},
            {"rule": "!has(self.text) || self.text != 'forbidden'", "message": "forbidden text", "reason": "FieldValueForbidden", "fieldPath": ".text"},
            {"rule": "!has(self.parts) || self.parts.all(p, !has(p.n) || p.n >= 0.0)"}]},
        "status": {"type": "object", "properties": {
            "replicas": {"type": "integer"}, "selector": {"type": "string"}, "phase": {"type": "string"},
            "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                           "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}}}}}}

COLUMNS = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}, {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1},
           {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "is it"},
           {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]


def crd(group, plural, kind, scope="Namespaced", schema=None, **more):
    v = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": copy.deepcopy(schema or WIDGET)}}
    v.update(more)
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": plural + "." + group},
            "spec": {"group": group, "scope": scope, "names": {"plural": plural, "kind": kind}, "versions": [v]}}


SUBS = {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}}


def make_widget(r, o):
    o["spec"] = {"size": r.randrange(1, 5)}
    s = o["spec"]
    maybe(r, s, .3, "mode", "b")
    maybe(r, s, .3, "text", "abc")
    maybe(r, s, .2, "note", lambda: pick(r, None, "n"))
    maybe(r, s, .3, "dflt", lambda: pick(r, {}, {"x": 1}, {"y": False}))
    maybe(r, s, .3, "port", lambda: pick(r, 1, "http"))
    maybe(r, s, .4, "tags", lambda: pick(r, ["a", "b"], [], ["c"]))
    maybe(r, s, .4, "parts", lambda: [{"name": "p", "n": 1.5}, {"name": "q", "on": True}])
    maybe(r, s, .3, "keyed", lambda: [{"port": 1, "v": "x"}, {"port": 1, "protocol": "UDP"}])
    maybe(r, s, .2, "plain", [1, 2, 2])
    maybe(r, s, .3, "labels", {"k": "v"})
    maybe(r, s, .3, "free", {"any": {"thing": [1, None, {"x": 1.0}]}})
    maybe(r, s, .2, "atom", {"a": "1"})
    maybe(r, s, .2, "when", "2001-01-01T00:00:00Z")
    maybe(r, s, .3, "fixed", "f")
    maybe(r, s, .2, "low", 1)
    maybe(r, s, .2, "high", 5)
    maybe(r, s, .2, "emb", {"apiVersion": "v1", "kind": "X", "z": 1})
    maybe(r, s, .2, "unknown", {"gone": True})
    maybe(r, s, .1, "bytes", "AAAA")
    maybe(r, o, .2, "extra", 1)
    maybe(r, o, .2, "status", {"phase": "X"})


def change_widget(r):
    return pick(r, (("spec", "size"), pick(r, 0, 11, 3, "x", 2.5, DEL, None)), (("spec", "mode"), pick(r, "c", "b", DEL, 1)), (("spec", "text"), pick(r, "x", "forbidden", "ABC", "abcabcabc", "ok", 5)),
                (("spec", "note"), pick(r, None, "m", DEL)), (("spec", "dflt"), pick(r, DEL, None, {}, {"x": "s"}, {"x": 2, "q": 1})), (("spec", "port"), pick(r, 2, "s", True, 1.5, None)),
                (("spec", "tags"), pick(r, ["x", "x"], ["a", "z"], [], [1], "no")), (("spec", "parts"), pick(r, [{"name": "p"}, {"name": "p"}], [{"n": 1}], [{"name": "r", "n": -1}], [{"name": "a"}] + [{"name": str(i)} for i in range(4)], [{"name": "z", "n": "s"}], DEL)),
                (("spec", "parts", 0, "n"), pick(r, 7, -2, 1e300, 0.1)), (("spec", "keyed"), pick(r, [{"port": 1}, {"port": 1, "protocol": "TCP"}], [{"port": 2, "v": "n"}], [{"protocol": "X"}])),
                (("spec", "plain"), pick(r, [], [3], ["x"])), (("spec", "labels"), pick(r, {"a": "1", "b": "2", "c": "3", "d": "4"}, {"k": 1}, {"n": "m"})), (("spec", "free", "other"), pick(r, {"a": None}, 1, [])),
                (("spec", "atom"), pick(r, {"b": "2"}, {"a": "9", "c": "x"})), (("spec", "when"), pick(r, "yesterday", "2001-02-03T04:05:06Z")), (("spec", "fixed"), pick(r, "g", "f", DEL)),
                (("spec", "low"), pick(r, 9, 1)), (("spec", "high"), pick(r, 0, 5)), (("spec", "emb"), pick(r, {"kind": "X"}, {"apiVersion": "v1", "kind": "Y", "q": [1]})),
                (("spec", "unknown"), 1), (("spec",), pick(r, DEL, {}, None)), (("extra",), 2), (("status", "phase"), "Y"), (("spec", "bytes"), pick(r, "???", "BBBB")))


WIDGET_STATUS = [{"phase": "Up", "replicas": 2, "selector": "a=b"}, {"conditions": [{"type": "Ready", "status": "True"}]}, {"replicas": "x"}, {"conditions": [{"type": "A"}, {"type": "A"}]}, {"bogus": 1}]

POOL = [
    crd("diff.example.com", "widgets", "Widget", subresources=SUBS, additionalPrinterColumns=COLUMNS),
    crd("diff.example.com", "bolts", "Bolt", selectableFields=[{"jsonPath": ".spec.mode"}, {"jsonPath": ".spec.size"}]),
    crd("diff.example.com", "globes", "Globe", "Cluster", subresources={"status": {}}, additionalPrinterColumns=COLUMNS[:1]),
]


def make_crd(r, o):
    base = crd("{p}.example.com", "things", "Thing", pick(r, "Namespaced", "Cluster"))
    o["spec"] = base["spec"]
    v = o["spec"]["versions"][0]
    maybe(r, v, .4, "subresources", SUBS)
    maybe(r, v, .4, "additionalPrinterColumns", COLUMNS[:2])
    if once(r, "short", True, False):
        o["spec"]["names"]["shortNames"] = ["th"]
    if once(r, "categories", True, False):
        o["spec"]["names"]["categories"] = ["all"]
    maybe(r, o["spec"]["names"], .3, "singular", "thing")
    if r.random() < .3:
        o["spec"]["versions"].append({"name": "v1beta1", "served": True, "storage": False, "deprecated": pick(r, True, False), "schema": copy.deepcopy(v["schema"])})


def change_crd(r):
    return pick(r, (("spec", "group"), pick(r, 5, "other.example.com")), (("spec", "versions", 0, "served"), pick(r, False, True)), (("spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "properties", "new"), {"type": "string"}),
                (("spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "properties", "size", "minimum"), 2), (("spec", "versions", 0, "additionalPrinterColumns"), [{"name": "Y", "type": "string", "jsonPath": ".spec.mode"}]),
                (("spec", "versions", 0, "subresources"), pick(r, {"status": {}}, DEL)), (("spec", "scope"), pick(r, "X", "Cluster", "Namespaced")))


# --- moonherd's own kind ----------------------------------------------------------------------------------------

def make_cluster(r, o):
    o["spec"] = {"instances": pick(r, 1, 3)}
    s = o["spec"]
    maybe(r, s, .8, "storage", lambda: pick(r, {"size": "1Gi"}, {"size": "256Mi", "storageClass": "standard"}))
    maybe(r, s, .3, "imageName", "localhost/postgres:15")
    maybe(r, s, .3, "postgresql", {"parameters": {"shared_buffers": "16MB"}})
    maybe(r, s, .2, "bootstrap", {"initdb": {"database": "app", "owner": "app"}})
    maybe(r, s, .2, "unknown", 1)
    maybe(r, s, .2, "affinity", {"enablePodAntiAffinity": True})
    maybe(r, s, .2, "resources", {"requests": {"cpu": 1, "memory": "64Mi"}})


def change_cluster(r):
    return pick(r, (("spec", "instances"), pick(r, 0, 2, "x", DEL)), (("spec", "storage", "size"), pick(r, "2Gi", 5)), (("spec", "postgresql", "parameters", "work_mem"), pick(r, "1MB", 5, DEL)), (("spec", "logLevel"), pick(r, "debug", "bogus")),
                (("spec", "primaryUpdateStrategy"), pick(r, "supervised", "x")), (("spec", "minSyncReplicas"), pick(r, 1, -1)), (("spec", "enableSuperuserAccess"), pick(r, True, "x")), (("spec", "bogus"), 1), (("spec", "env"), pick(r, [{"name": "A", "value": "b"}], [{"value": "x"}])),
                (("spec", "startDelay"), pick(r, 5, None)), (("spec",), pick(r, {}, DEL)))


CLUSTER_STATUS = [{"phase": "Cluster in healthy state", "instances": 3, "readyInstances": 2, "currentPrimary": "c-1"}, {"instances": "x"}, {"unknownField": 1}, {"conditions": [
    {"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2001-01-01T00:00:00Z"}]}, {"conditions": [{"type": "Ready"}]}]

RBAC, ADM = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"

KINDS = [
    Kind("", "v1", "configmaps", "ConfigMap", True, make_configmap, change_configmap),
    Kind("", "v1", "secrets", "Secret", True, make_secret, change_secret, fields=["type=Opaque", "type!=Opaque"]),
    Kind("", "v1", "services", "Service", True, make_service, change_service, status=[{"loadBalancer": {}}, {
        "conditions": [{"type": "A", "status": "True", "reason": "r", "message": "", "lastTransitionTime": "2001-01-01T00:00:00Z"}]}], fields=["spec.type=ClusterIP", "spec.clusterIP=None"]),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", True, make_account, change_account),
    Kind("", "v1", "pods", "Pod", True, make_pod, pod_changes, status=POD_STATUS, account=True,
         fields=["status.phase=Running", "spec.nodeName=", "spec.nodeName!=", "spec.restartPolicy=Always", "status.podIP=10.0.0.1"]),
    Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, make_claim, change_claim, status=CLAIM_STATUS),
    Kind("", "v1", "events", "Event", True, make_event, change_event, fields=["involvedObject.name=p", "reason=Started", "type!=Normal", "source=c", "reportingComponent=c"]),
    Kind("", "v1", "endpoints", "Endpoints", True, make_endpoints, change_endpoints),
    Kind("", "v1", "namespaces", "Namespace", False, make_namespace, change_namespace, status=[{"phase": "Active"}, {"conditions": [{"type": "A", "status": "True"}]}], fields=["status.phase=Active"], collection=False),
    Kind("", "v1", "nodes", "Node", False, make_node, change_node, status=NODE_STATUS, fields=["spec.unschedulable=true", "spec.unschedulable=false"]),
    Kind("", "v1", "persistentvolumes", "PersistentVolume", False, make_pv, change_pv, status=PV_STATUS),
    Kind("", "v1", "resourcequotas", "ResourceQuota", True, make_quota, change_quota, status=[{"hard": {"pods": "5"}, "used": {"pods": "1"}}]),
    Kind(RBAC, "v1", "clusterroles", "ClusterRole", False, make_role, change_role),
    Kind(RBAC, "v1", "roles", "Role", True, make_role, change_role),
    Kind(RBAC, "v1", "rolebindings", "RoleBinding", True, make_binding, change_binding),
    Kind(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False, make_binding, change_binding),
    Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, make_class, change_class),
    Kind("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, make_priority, change_priority),
    Kind("apps", "v1", "deployments", "Deployment", True, make_deployment, change_workload("Deployment"), status=WORKLOAD_STATUS, scale=True),
    Kind("apps", "v1", "replicasets", "ReplicaSet", True, make_deployment, change_workload("ReplicaSet"), status=WORKLOAD_STATUS, scale=True, fields=["status.replicas=3"]),
    Kind("apps", "v1", "statefulsets", "StatefulSet", True, make_deployment, change_workload("StatefulSet"), status=WORKLOAD_STATUS, scale=True),
    Kind("batch", "v1", "jobs", "Job", True, make_job, change_job, status=JOB_STATUS, fields=["status.successful=0", "status.successful=1"]),
    Kind("batch", "v1", "cronjobs", "CronJob", True, make_cronjob, change_cronjob, status=[{"lastScheduleTime": "2001-01-01T00:00:00Z"}, {"active": [{"kind": "Job", "name": "x", "uid": "z"}]}]),
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, make_pdb, change_pdb, status=PDB_STATUS),
    Kind("coordination.k8s.io", "v1", "leases", "Lease", True, make_lease, change_lease),
    Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, make_slice, change_slice),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, make_policy, change_policy),
    Kind(ADM, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False, make_hooks, change_hooks),
    Kind(ADM, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False, make_hooks, change_hooks),
    Kind(ADM, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", False, make_vap, change_vap, status=[{"observedGeneration": 1}]),
    Kind(ADM, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False, make_vap_binding, change_vap_binding),
    Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, make_crd, change_crd, status=[{"storedVersions": ["v1"]}]),
    Kind("diff.example.com", "v1", "widgets", "Widget", True, make_widget, change_widget, status=WIDGET_STATUS, scale=True, crd=POOL[0]),
    Kind("diff.example.com", "v1", "bolts", "Bolt", True, make_widget, change_widget, fields=["spec.mode=a", "spec.size=3", "spec.mode!=a", "spec.text=x"], crd=POOL[1]),
    Kind("diff.example.com", "v1", "globes", "Globe", False, make_widget, change_widget, status=WIDGET_STATUS, crd=POOL[2]),
    Kind("postgresql.cnpg.io", "v1", "clusters", "Cluster", True, make_cluster, change_cluster, status=CLUSTER_STATUS, scale=True, crd="own"),
]
