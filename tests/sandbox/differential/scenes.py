"""Sequences that tell a story: owners and what they own, namespaces that end with what is in them, CRDs from their creation
to their end, what is asked of pods and accounts, who may do what.

Controllers do a part of the work: such steps wait until both servers have the state that is awaited, then compare it.
"""
import kinds
from generate import JSON, JSONPATCH, MERGE, Sequence
from kinds import pick

HOLD = "example.com/hold"
NOBODY = "11111111-2222-3333-4444-555555555555"


def by(plural):
    return next(k for k in kinds.KINDS if k.plural == plural)


class Scene(Sequence):
    """No finalizers but those of the story."""

    def object(self, kind, name):
        o = super().object(kind, name)
        o["metadata"].pop("finalizers", None)
        return o

    def change(self, kind):
        while True:
            path, value = super().change(kind)
            if "finalizers" not in path:
                return path, value

    def make(self, kind, name, ns=None, **meta):
        """Creates one."""
        o = self.object(kind, name)
        o["metadata"].update(meta)
        if ns and "namespace" in o["metadata"]:
            o["metadata"]["namespace"] = ns
        self.add("scene", kind, "POST", kind.path(ns or self.ns), ct=JSON, body=o, on=self.key(kind, name))

    def read(self, kind, name, ns=None):
        self.add("scene", kind, "GET", kind.path(ns or self.ns, name), on=self.key(kind, name))

    def until(self, kind, name, ns=None, quiet=False, **condition):
        self.add("scene", kind, "GET", kind.path(ns or self.ns, name), on=self.key(kind, name), quiet=quiet or None, **{"await": condition})

    def release(self, kind, name, ns=None):
        self.add("scene", kind, "PATCH", kind.path(ns or self.ns, name), ct=MERGE, body={"metadata": {"finalizers": None}})

    def pause(self, seconds):
        self.steps.append({"verb": "scene", "cls": "", "method": "", "path": "", "pause": seconds})

    # --- owners ---

    def reference(self, kind, name, **more):
        ref = {"apiVersion": kind.api_version, "kind": kind.kind, "name": name, "uid": {"$ref": [self.key(kind, name), "metadata", "uid"]}}
        ref.update(more)
        return ref

    def owners(self):
        r = self.r
        self.begin(True)
        owner = by(pick(r, "configmaps", "replicasets", "widgets", "secrets", "serviceaccounts"))
        held_owner = r.random() < .2
        self.make(owner, "n1", **({"finalizers": [HOLD]} if held_owner else {}))
        second = r.random() < .4
        if second:
            self.make(owner, "n2")
        parts = []  # kind, name, owned by both, held
        for i in range(pick(r, 1, 2, 3)):
            kind = by(pick(r, "configmaps", "secrets", "leases", "widgets", "pods", "replicasets"))
            more = pick(r, {}, {"blockOwnerDeletion": True}, {"blockOwnerDeletion": False, "controller": True}, {"blockOwnerDeletion": True, "controller": True})
            refs = [self.reference(owner, "n1", **more)]
            both = second and r.random() < .5
            if both:
                refs.append(self.reference(owner, "n2"))
            held = not both and r.random() < .25
            self.make(kind, "d%d" % i, ownerReferences=refs, **({"finalizers": [HOLD]} if held else {}))
            parts.append((kind, "d%d" % i, both, held))
        kind, name, both, held = parts[0]
        grandchild = by("configmaps") if r.random() < .4 and not both and not held else None
        if grandchild:
            self.make(grandchild, "g1", ownerReferences=[self.reference(kind, name, blockOwnerDeletion=True)])
        if r.random() < .3:  # of an owner that never was
            self.make(by("secrets"), "lost", ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": NOBODY}])
            self.until(by("secrets"), "lost", status=404)
        self.pause(.7)  # the collector's graph
        policy = pick(r, None, "Background", "Foreground", "Foreground", "Orphan", "Orphan")
        body, query = None, None
        if policy:
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        elif r.random() < .5:
            policy = pick(r, "Orphan", None)
            query = {"orphanDependents": "true" if policy else "false"}
        self.add("scene", owner, "DELETE", owner.path(self.ns, "n1"), ct=JSON if body else None, body=body, query=query, on=self.key(owner, "n1"))
        if policy == "Orphan":
            for kind, name, both, held in parts:
                self.until(kind, name, length=1 if both else None, value=None, path=["metadata", "ownerReferences"])
        if held_owner:
            if policy != "Orphan" and policy != "Foreground":
                self.read(owner, "n1")
            if policy == "Orphan":
                self.until(owner, "n1", value=[HOLD], path=["metadata", "finalizers"])
            if policy == "Foreground":
                for kind, name, both, held in parts:
                    if held:
                        self.until(kind, name, present=["metadata", "deletionTimestamp"])
                        self.release(kind, name)
                self.until(owner, "n1", value=[HOLD], path=["metadata", "finalizers"])
                parts = [p for p in parts if not p[3]]
            self.release(owner, "n1")
        if policy != "Orphan":
            for kind, name, both, held in parts:
                if both:
                    self.until(kind, name, length=1, path=["metadata", "ownerReferences"])
                elif held:
                    self.until(kind, name, present=["metadata", "deletionTimestamp"])
                    self.release(kind, name)
                    self.until(kind, name, status=404)
                else:
                    self.until(kind, name, status=404)
            if grandchild:
                self.until(grandchild, "g1", status=404)
        self.until(owner, "n1", status=404)
        for plural in sorted({p[0].plural for p in parts} | {owner.plural}):
            kind = by(plural)
            self.add("scene", kind, "GET", kind.path(self.ns), query={"labelSelector": "seq=" + self.ns})

    # --- the end of a namespace ---

    def spaces(self):
        r = self.r
        self.begin(False)
        space, inner = by("namespaces"), self.ns + "-in"
        self.make(space, inner)
        self.add("setup", by("serviceaccounts"), "POST", by("serviceaccounts").path(inner), ct=JSON, body={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
        used = []
        for i in range(pick(r, 1, 2, 4)):
            kind = by(pick(r, "configmaps", "secrets", "pods", "widgets", "leases", "roles", "deployments", "events", "services"))
            if kind.plural != "events":
                self.make(kind, "n%d" % i, inner)
                used.append((kind, "n%d" % i))
        held = by(pick(r, "configmaps", "widgets", "secrets")) if r.random() < .6 else None
        if held:
            self.make(held, "held", inner, finalizers=[HOLD])
        body = pick(r, None, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": pick(r, "Background", "Foreground", "Orphan")})
        if body and body["propagationPolicy"] != "Background":
            body = None  # the controller deletes what is in a namespace as it likes
        self.add("scene", space, "DELETE", space.path(None, inner), ct=JSON if body else None, body=body)
        if held:
            more = by(pick(r, "configmaps", "leases", "widgets"))
            o = self.object(more, "late")
            o["metadata"]["namespace"] = inner
            self.add("scene", more, "POST", more.path(inner), ct=JSON, body=o, **{"await": {"status": 403}})
            self.until(held, "held", inner, present=["metadata", "deletionTimestamp"])
            self.add("scene", held, "PATCH", held.path(inner, "held"), ct=MERGE, body={"metadata": {"labels": {"tier": "z"}}}, on=self.key(held, "held"))
            for kind, name in used:
                self.until(kind, name, inner, status=404)
            self.until(space, inner, quiet=True, value="Terminating", path=["status", "phase"])
            self.release(held, "held", inner)
        self.until(space, inner, status=404)
        for kind in {k.plural: k for k, _ in used}.values():
            self.add("scene", kind, "GET", kind.path(inner))
        self.make(space, inner)
        self.read(space, inner)

    # --- a CRD's life ---

    def crds(self):
        r = self.r
        self.begin(False)
        definition = by("customresourcedefinitions")
        name = self.name(definition, 1)
        o = self.object(definition, name)
        self.add("scene", definition, "POST", definition.path(None), ct=JSON, body=o, on=self.key(definition, name))
        v = o["spec"]["versions"][0]
        subs = v.get("subresources") or {}
        kind = kinds.Kind(o["spec"]["group"], "v1", "things", "Thing", o["spec"]["scope"] == "Namespaced", kinds.make_widget, kinds.change_widget,
                          status=kinds.WIDGET_STATUS if "status" in subs else None, scale="scale" in subs, crd="own")
        path = kind.path(self.ns)
        self.add("scene", kind, "GET", path, quiet=True, **{"await": {"status": 200}})
        self.use(kind, 5)
        fresh = {"type": "string", "default": "new"}
        self.add("scene", definition, "PATCH", definition.path(None, name), ct=JSONPATCH, on=self.key(definition, name),
                 body=[{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/fresh", "value": fresh}])
        probe = {"apiVersion": kind.api_version, "kind": "Thing", "metadata": {"name": self.name(kind, 3) + "-probe", "labels": {"seq": self.ns}}, "spec": {"size": 2}}
        self.add("scene", kind, "POST", path, ct=JSON, query={"dryRun": "All"}, body=probe, **{"await": {"path": ["spec", "fresh"], "value": "new"}})
        self.watch(kind)
        self.steps[-1].update(watch="none", ends=False)  # how long it outlives the CRD is a matter of pace
        self.use(kind, 3)
        self.add("scene", kind, "GET", kind.path(self.ns if r.random() < .5 else None), query={"labelSelector": "seq=" + self.ns})
        self.add("scene", definition, "DELETE", definition.path(None, name), gone=True)
        self.add("scene", kind, "GET", path, **{"await": {"status": 404}})
        self.add("scene", definition, "GET", definition.path(None, name))

    def use(self, kind, n):
        self.create(kind, good=True)
        verbs = ["create", "get", "list", "update", "json", "merge", "apply", "delete", "table", "dryrun", "deletecollection"] + (
            ["status"] if kind.status else []) + (["scale"] if kind.scale else [])
        for _ in range(n):
            getattr(self, self.r.choice(verbs))(kind)

    # --- pods ---

    def pod(self, name, **more):
        kind = by("pods")
        o = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"seq": self.ns, "app": "x"}},
             "spec": {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": False}}
        o["spec"].update(more)
        self.add("scene", kind, "POST", kind.path(self.ns), ct=JSON, body=o, on=self.key(kind, name))

    def pods(self):
        r = self.r
        self.begin(True)
        kind, budget = by("pods"), by("poddisruptionbudgets")
        for i in range(3):
            self.pod("n%d" % i)
        for _ in range(pick(r, 3, 5)):
            getattr(self, pick(r, "bind", "bind", "evict", "evict", "budget", "running", "graceful"))(kind, budget)
        self.add("scene", kind, "GET", kind.path(self.ns), query={"labelSelector": "seq=" + self.ns})
        self.add("scene", budget, "GET", budget.path(self.ns))

    def bind(self, kind, budget):
        r = self.r
        name = "n%d" % r.randrange(4)
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": pick(r, {"kind": "Node", "name": "somewhere"}, {"kind": "Node", "name": "somewhere"}, {"kind": "Pod", "name": "x"}, {"name": "elsewhere"}, {"kind": "Node"})}
        if r.random() < .3:
            body["metadata"].update(pick(r, {"labels": {"topology.kubernetes.io/zone": "z"}}, {"annotations": {"bound": "yes"}}, {"uid": NOBODY}, {"uid": {"$ref": [self.key(kind, name), "metadata", "uid"]}}))
        self.add("scene", kind, "POST", kind.path(self.ns, name, "binding"), ct=JSON, body=body, query=pick(r, None, None, {"dryRun": "All"}))
        self.read(kind, name)

    def running(self, kind, budget):
        name = "n%d" % self.r.randrange(3)
        self.add("scene", kind, "PATCH", kind.path(self.ns, name, "status"), ct=MERGE, on=self.key(kind, name), body={"status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": pick(self.r, "True", "True", "False"), "lastTransitionTime": "2001-01-01T00:00:00Z"}]}})

    def budget(self, kind, budget):
        r = self.r
        name = "b%d" % r.randrange(2)
        o = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "labels": {"seq": self.ns}}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": pick(r, "x", "x", "y")}}}}
        self.add("scene", budget, "POST", budget.path(self.ns), ct=JSON, body=o, on=self.key(budget, name))
        if r.random() < .7:
            self.add("scene", budget, "PATCH", budget.path(self.ns, name, "status"), ct=MERGE, on=self.key(budget, name), body={"status": {
                "observedGeneration": pick(r, 1, 1, 0), "disruptionsAllowed": pick(r, 0, 1, 2), "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 3}})

    def evict(self, kind, budget):
        r = self.r
        name = "n%d" % r.randrange(4)
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        x = r.random()
        if x < .1:
            body["metadata"]["name"] = "other"
        elif x < .3:
            body["deleteOptions"] = pick(r, {"gracePeriodSeconds": 0}, {"dryRun": ["All"]}, {"preconditions": {"uid": NOBODY}}, {"gracePeriodSeconds": 5})
        self.add("scene", kind, "POST", kind.path(self.ns, name, "eviction"), ct=JSON, body=body)
        self.add("scene", kind, "GET", kind.path(self.ns, name))
        self.add("scene", budget, "GET", budget.path(self.ns))

    def graceful(self, kind, budget):
        """A pod that is on a node goes when its node says so."""
        r = self.r
        name = "n%d" % r.randrange(3)
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": "somewhere"}}
        self.add("scene", kind, "POST", kind.path(self.ns, name, "binding"), ct=JSON, body=body)
        for grace in (pick(r, None, 5, 40), pick(r, 0, 3, None)):
            options = {"kind": "DeleteOptions", "apiVersion": "v1"}
            if grace is not None:
                options["gracePeriodSeconds"] = grace
            self.add("scene", kind, "DELETE", kind.path(self.ns, name), ct=JSON, body=options)
            self.add("scene", kind, "GET", kind.path(self.ns, name))

    # --- accounts, and who may do what ---

    def access(self):
        r = self.r
        self.begin(True)
        account, role, binding = by("serviceaccounts"), by("roles"), by("rolebindings")
        self.pod("n1")
        rules = pick(r, [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}], [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]}],
                     [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["only"]}])
        self.add("scene", role, "POST", role.path(self.ns), ct=JSON, body={"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r1"}, "rules": rules})
        subject = pick(r, {"kind": "User", "name": self.ns + "-u"}, {"kind": "Group", "name": self.ns + "-g"}, {"kind": "ServiceAccount", "name": "default", "namespace": self.ns})
        self.add("scene", binding, "POST", binding.path(self.ns), ct=JSON, body={"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "rb1"}, "roleRef": {
            "kind": "Role", "name": "r1", "apiGroup": "rbac.authorization.k8s.io"}, "subjects": [subject]})
        self.pause(.3)
        for _ in range(4):
            self.review(rules[0])
        for _ in range(3):
            self.token(account)
        for _ in range(2):
            self.who()

    # --- what cannot be changed ---

    def rules(self):
        """Rules of a CRD that compare an object with what it was."""
        r, kind = self.r, by("bolts")
        self.begin(True)
        self.make(kind, "n1")
        spec = self.steps[-1]["body"]["spec"] = {"size": 2}
        kinds.maybe(r, spec, .7, "fixed", "f")
        path = kind.path(self.ns, "n1")
        for _ in range(6):
            change = {"spec": pick(r, {"fixed": "g"}, {"fixed": "f"}, {"fixed": None}, {"fixed": "g", "size": 3}, {"size": r.randrange(4, 9)})}
            x = r.random()
            if x < .4:
                self.add("scene", kind, "PATCH", path, ct=MERGE, body=change, query=pick(r, None, None, {"dryRun": "All"}))
            elif x < .7:
                value = change["spec"].get("fixed") or "h"
                self.add("scene", kind, "PATCH", path, ct=JSONPATCH, body=[{"op": pick(r, "add", "replace"), "path": "/spec/fixed", "value": value}])
            else:
                body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "n1", "resourceVersion": {"$ref": [self.key(kind, "n1"), "metadata", "resourceVersion"]}},
                        "spec": dict({"size": 2}, **change["spec"])}
                self.add("scene", kind, "PUT", path, ct=JSON, body=body)
            self.read(kind, "n1")

    # ---

    def review(self, rule):
        r = self.r
        user = {"user": pick(r, self.ns + "-u", "system:serviceaccount:%s:default" % self.ns, "nobody")}
        kinds.maybe(r, user, .5, "groups", lambda: pick(r, [self.ns + "-g"], ["system:masters"], ["system:serviceaccounts"]))
        what = {"resourceAttributes": {"namespace": pick(r, self.ns, self.ns, "default", ""), "verb": pick(r, *(rule["verbs"] + ["delete"])), "group": rule["apiGroups"][0], "resource": pick(r, "pods", "deployments", "secrets"), "version": "v1"}}
        kinds.maybe(r, what["resourceAttributes"], .3, "name", "only")
        kinds.maybe(r, what["resourceAttributes"], .2, "subresource", "log")
        if r.random() < .15:
            what = {"nonResourceAttributes": {"path": pick(r, "/healthz", "/metrics"), "verb": "get"}}
        kind = pick(r, "SubjectAccessReview", "SubjectAccessReview", "SelfSubjectAccessReview", "LocalSubjectAccessReview")
        spec = dict(what)
        if not kind.startswith("Self"):
            spec.update(user)
        if r.random() < .1:
            spec = pick(r, {}, {"user": "u"}, dict(spec, resourceAttributes={"verb": "get"}, nonResourceAttributes={"path": "/x"}))
        path = "/apis/authorization.k8s.io/v1/" + ("namespaces/%s/" % self.ns if kind.startswith("Local") else "") + kind.lower() + "s"
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        if kind.startswith("Local") and r.random() < .8:
            body["metadata"] = {"namespace": self.ns}
        self.steps.append({"verb": "scene", "cls": kind, "method": "POST", "path": path, "ct": JSON, "body": body})

    def token(self, account):
        r = self.r
        spec = {}
        kinds.maybe(r, spec, .4, "audiences", lambda: pick(r, ["one"], ["one", "two"], []))
        kinds.maybe(r, spec, .5, "expirationSeconds", lambda: pick(r, 600, 7200, 5, -1))
        kinds.maybe(r, spec, .5, "boundObjectRef", lambda: dict({"kind": "Pod", "apiVersion": "v1", "name": "n1"}, **pick(
            r, {}, {"uid": {"$ref": ["pods/n1", "metadata", "uid"]}}, {"uid": NOBODY}, {"name": "none"}, {"kind": "ConfigMap"})))
        name = pick(r, "default", "default", "default", "none")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": pick(r, *["TokenRequest"] * 9 + ["Wrong"]), "spec": spec}
        self.add("scene", account, "POST", account.path(self.ns, name, "token"), ct=JSON, body=body, on="token", query=pick(r, None, None, {"dryRun": "All"}))

    def who(self):
        r = self.r
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": {"$ref": ["token", "status", "token"]}}}
        x = r.random()
        if x < .15:
            body["spec"]["token"] = pick(r, "x", "a.b.c")
        elif x < .3:
            body["spec"]["audiences"] = pick(r, ["one"], ["other"])
        elif x < .5:
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        self.steps.append({"verb": "scene", "cls": body["kind"], "method": "POST", "path": "/apis/authentication.k8s.io/v1/" + body["kind"].lower() + "s", "ct": JSON, "body": body})


STORIES = ["owners", "spaces", "crds", "pods", "access", "rules"]


def scene(prefix, number, seed, turn):
    s = Scene(prefix, number, seed)
    getattr(s, STORIES[turn % len(STORIES)])()
    return s.data()
