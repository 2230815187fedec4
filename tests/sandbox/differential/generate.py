"""Sequences of requests from a seed: the same seed gives the same sequences.

A sequence is {"id", "ns", "kind", "steps"}; a step is a request, with what the runner fills in from answers:
  edit   [(path, value), ...] on the last state of object `on` that this server showed; else `body`
  rv     "drop" | "stale" | "bad": of the edited object's resourceVersion
  $ref   [object, path...] in a body: a value of the last state
Names of cluster-scoped objects and namespaces begin with the run's prefix.
"""
import copy
import json
import random

import kinds
from kinds import DEL

JSON, MERGE, STRATEGIC, APPLY = ("application/json", "application/merge-patch+json",
                                 "application/strategic-merge-patch+json", "application/apply-patch+yaml")
JSONPATCH = "application/json-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata%s;v=v1;g=meta.k8s.io,application/json"
VERBS = ["create", "get", "list", "watch", "update", "json", "merge", "strategic", "apply", "delete",
         "deletecollection", "status", "scale", "dryrun", "table"]
SCENE_EVERY = 12
MANAGERS = ["one", "two", "three"]
ASYNC = ("namespaces", "customresourcedefinitions", "jobs")  # a controller ends them: no finalizers in between


def applicable(kind, verb):
    """Is this verb one of the kind's?"""
    return {"status": kind.status is not None, "scale": kind.scale, "deletecollection": kind.collection,
            "strategic": kind.crd is None}.get(verb, True)


class Sequence:
    def __init__(self, prefix, number, seed):
        self.r = random.Random("%d/%d" % (seed, number))
        self.number, self.prefix = number, prefix
        self.ns = "%s-%d" % (prefix, number)
        self.steps = []
        self.there = {}     # object -> its kind: is there, as far as we know
        self.counter = 0
        self.generated = False

    # --- parts of requests ---

    def name(self, kind, i):
        r = "n%d" % i
        if not kind.namespaced:
            r = "%s-n%d" % (self.ns, i)
        if kind.plural == "customresourcedefinitions":
            r = "things.%s.example.com" % self.ns
        if kind.plural == "validatingadmissionpolicies":
            r += ".example.com"
        return r

    def key(self, kind, name):
        return kind.plural + "/" + name

    def labels(self):
        r = self.r
        out = {"seq": self.ns}
        kinds.maybe(r, out, .5, "tier", lambda: kinds.pick(r, "a", "b"))
        kinds.maybe(r, out, .2, "empty", "")
        return out

    def object(self, kind, name):
        o = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, "labels": self.labels()}}
        if kind.namespaced and self.r.random() < .5:
            o["metadata"]["namespace"] = self.ns
        kinds.maybe(self.r, o["metadata"], .2, "annotations", {"note": "x"})
        if kind.plural not in ASYNC:
            kinds.maybe(self.r, o["metadata"], .1, "finalizers", ["example.com/hold"])
        kind.make(self.r, o)
        text = json.dumps(o).replace("{ns}", self.ns).replace("{p}", self.ns)
        return json.loads(text)

    def bad_meta(self, o):
        r = self.r
        m = o["metadata"]
        c = r.randrange(14)
        if c == 0:
            m["name"] = (self.ns + "_N") if not kinds_namespaced(o) else kinds.pick(r, "Bad_Name", "x" * 260, "a..b", "ends-") if "example.com" in o["apiVersion"] or "cnpg" in o["apiVersion"] else kinds.pick(r, "Bad_Name", "x" * 260, "a..b", "", "ends-")
        elif c == 1:
            m["labels"] = {"bad key!": "x", "seq": self.ns}
        elif c == 2:
            m["labels"]["tier"] = kinds.pick(r, "bad value!", "x" * 70)
        elif c == 3:
            m["annotations"] = {"Bad Key!": "x"}
        elif c == 4 and m["labels"].get("tier") != "a":
            m["finalizers"] = ["a/b/c"]
        elif c == 5:
            m["namespace"] = "elsewhere"
        elif c == 6:
            o["kind"] = "Wrong"
        elif c == 7:
            o["apiVersion"] = kinds.pick(r, "wrong/v1", "")
        elif c == 8:
            m["resourceVersion"] = kinds.pick(r, "5", "abc")
        elif c == 9:
            m["ownerReferences"] = [kinds.pick(r, {"kind": "X", "name": "n", "apiVersion": "v1", "uid": ""}, {
                "kind": "X", "name": "", "apiVersion": "", "uid": "u"})]
        elif c == 10:
            o["unknownTop"] = {"a": 1}
        elif c == 11:
            m["unknownMeta"] = "x"
        elif c == 12:
            m["uid"] = "11111111-1111-1111-1111-111111111111"
            m["creationTimestamp"] = "2001-01-01T00:00:00Z"
            m["generation"] = 7
        else:
            m["labels"] = kinds.pick(r, 5, "x", {"a": 1}, None, ["a"])

    def options(self, write=True):
        """Query of a write."""
        r, q = self.r, {}
        if not write:
            return q
        kinds.maybe(r, q, .4, "fieldManager", lambda: r.choice(MANAGERS))
        kinds.maybe(r, q, .3, "fieldValidation", lambda: kinds.pick(r, "Strict", "Warn", "Ignore"))
        if r.random() < .01:
            q["fieldValidation"] = "Bogus"
        if r.random() < .01:
            q["dryRun"] = "Bogus"
        return q

    def settle(self, kind, name):
        """The real server's first update of a claim always writes: see docs/sandbox-differences.md."""
        if kind.plural == "persistentvolumeclaims":
            self.counter += 1
            self.add("setup", kind, "PATCH", kind.path(self.ns, name), ct=MERGE, body={"metadata": {"labels": {"settled": str(self.counter)}}}, on=self.key(kind, name))

    def add(self, verb, kind, method, path, **more):
        step = {"verb": verb, "cls": kind.cls, "method": method, "path": path}
        step.update({k: v for k, v in more.items() if v not in (None, {})})
        self.steps.append(step)
        if kind.plural == "customresourcedefinitions" and method in ("POST", "PUT", "PATCH") and kind.cls == "CustomResourceDefinition":
            self.steps.append({"verb": "await", "cls": kind.cls, "method": "GET", "path": kind.path(None, self.name(kind, 1)), "on": self.key(kind, self.name(kind, 1)),
                               "await": {"condition": "Established", "or": [404], "names": True}, "quiet": True})
        return step

    def change(self, kind):
        r = self.r
        x = r.random()
        if x > .97 and kind.plural not in ASYNC:
            return (("metadata", "finalizers"), kinds.pick(r, ["example.com/hold"], DEL, ["example.com/a", "example.com/hold"]))
        if x < .1:
            return (("metadata", "labels", "tier"), kinds.pick(r, "a", "b", DEL))
        if x < .25 and kind.plural == "jobs":
            return kinds.pick(r, (("metadata", "labels", "tier"), kinds.pick(r, "a", "b", DEL, "bad value!")), (("metadata", "annotations", "note"), kinds.pick(r, "y", DEL)))
        if x < .25:
            return kinds.pick(r, (("metadata", "labels", "tier"), kinds.pick(r, "a", "b", DEL, "bad value!")),
                              (("metadata", "annotations", "note"), kinds.pick(r, "y", DEL, "")),
                              (("metadata", "annotations"), kinds.pick(r, {"k": "v"}, DEL)),
                              (("metadata", "uid"), "11111111-1111-1111-1111-111111111111"),
                              (("metadata", "name"), "another"), (("metadata", "generation"), 99),
                              (("metadata", "creationTimestamp"), kinds.pick(r, DEL, None, "2001-01-01T00:00:00Z")),
                              (("metadata", "labels", "more"), "m"), (("unknownTop",), 1), (("metadata", "unknownMeta"), 1),
                              (("metadata", "managedFields"), kinds.pick(r, [], [{}], DEL)))
        if x < .3:
            return (("status",), kinds.pick(r, {"bogus": 1}, {}, None, "x"))
        return kind.changes(r)

    def pick_name(self, kind, p=.85):
        have = sorted(n for (k, n) in self.there if k == kind.plural)
        if have and self.r.random() < p:
            return self.r.choice(have)
        return self.name(kind, self.r.randrange(1, 4))

    # --- the verbs ---

    def create(self, kind, verb="create", good=False):
        r = self.r
        name = self.name(kind, r.randrange(1, 4))
        o = self.object(kind, name)
        good = good or r.random() < .8
        generate = r.random() < .06 and kind.plural != "customresourcedefinitions" and not self.generated
        if not good:
            if r.random() < .5:
                self.bad_meta(o)
            else:
                apply_change(o, *kind.changes(r))
        elif generate:
            self.generated = True  # one: several would come in random order
            del o["metadata"]["name"]
            o["metadata"]["generateName"] = (name + "-") if not name.endswith(".com") else self.ns + "-g-"
        q = self.options()
        if verb == "dryrun":
            q["dryRun"] = "All"
        accept = TABLE if r.random() < .03 and kind.plural != "jobs" else None  # a Job's template stays as it was seen
        self.add(verb, kind, "POST", kind.path(self.ns), query=q, ct=JSON, body=o, accept=accept,
                 on=self.key(kind, "gen" if generate else name))
        if verb == "create" and not generate:
            self.settle(kind, name)
        if good and verb == "create" and not generate:
            self.there[(kind.plural, name)] = kind

    def get(self, kind):
        r = self.r
        name = self.pick_name(kind)
        accept = kinds.pick(r, None, None, None, PARTIAL % "", TABLE)
        self.add("get", kind, "GET", kind.path(self.ns, name), accept=accept, on=None if accept else self.key(kind, name))

    def selector(self, kind):
        r = self.r
        own = "seq=" + self.ns
        return kinds.pick(r, own, own, own, own + ",tier=a", own + ",tier!=a", own + ",tier in (a,b)", own + ",tier notin (b)",
                          own + ",tier", own + ",!tier", own + ",empty=", own + ",more in (m, n),tier==b")

    def list(self, kind, verb="list"):
        r = self.r
        q = {}
        everywhere = not kind.namespaced or r.random() < .15
        if everywhere or r.random() < .5:
            q["labelSelector"] = self.selector(kind)
            if r.random() < .04:
                q["labelSelector"] += kinds.pick(r, ",a=(b", ",=x", ",a in b", ",bad key!=x", ",a>b")
        if r.random() < .3:
            fields = kind.fields + ["metadata.name=" + self.name(kind, 1), "metadata.name!=" + self.name(kind, 1), "bogus=x"]
            if kind.namespaced:
                fields.append("metadata.namespace=" + self.ns)
            q["fieldSelector"] = r.choice(fields)
        if r.random() < .25 and not everywhere:
            q["limit"] = kinds.pick(r, "1", "2", "1", "x", "-1")
        if r.random() < .05:
            q["resourceVersion"] = kinds.pick(r, "abc", "0")
            if r.random() < .5:
                q["resourceVersionMatch"] = kinds.pick(r, "Exact", "NotOlderThan", "Bogus")
        accept = TABLE if verb == "table" else PARTIAL % "List" if r.random() < .1 else None
        if verb == "table" and r.random() < .3:
            q["includeObject"] = kinds.pick(r, "Object", "None", "Metadata", "Bogus")
        self.add(verb, kind, "GET", kind.path(None if everywhere else self.ns), query=q, accept=accept, pages="limit" in q)

    def table(self, kind):
        if self.r.random() < .25:
            name = self.pick_name(kind)
            self.add("table", kind, "GET", kind.path(self.ns, name), accept=TABLE)
        else:
            self.list(kind, "table")

    def watch(self, kind):
        """From the sequence's beginning, or from now on."""
        r = self.r
        q = {"watch": "1", "labelSelector": "seq=" + self.ns}
        if r.random() < .5:
            q["labelSelector"] = "seq=%s,%s" % (self.ns, kinds.pick(r, "tier=a", "tier!=a", "tier", "!tier", "tier in (a,b)", "empty="))
        if r.random() < .2 and kind.plural not in ASYNC:
            fields = kind.fields + ["metadata.name=" + self.name(kind, 1)]
            q["fieldSelector"] = r.choice(fields)
        if r.random() < .15:
            q["allowWatchBookmarks"] = "true"
        since = kinds.pick(r, "start", "start", "now", "none", "zero") if r.random() < .97 else "bad"
        accept = kinds.pick(r, None, None, None, None, TABLE, PARTIAL % "")
        name = None
        if r.random() < .1 and kind.plural not in ASYNC:
            name = self.name(kind, 1)
            q["fieldSelector"] = "metadata.name=" + name
        self.add("watch", kind, "GET", kind.path(self.ns), query=q, accept=accept, watch=since)

    def update(self, kind, verb="update"):
        r = self.r
        name = self.pick_name(kind)
        edit = [self.change(kind) for _ in range(kinds.pick(r, 1, 1, 1, 2 if kind.crd else 1, 0))]
        q = self.options()
        if verb == "dryrun":
            q["dryRun"] = "All"
        rv = kinds.pick(r, None, None, None, None, None, "drop", "stale", "bad")
        self.add(verb, kind, "PUT", kind.path(self.ns, name), query=q, ct=JSON, body=self.object(kind, name),
                 edit=edit or [(("metadata", "labels", "again"), "x")][:r.randrange(2)], edits=True, rv=rv, on=self.key(kind, name))

    def json(self, kind, sub=None):
        r = self.r
        name = self.pick_name(kind)
        ops = []
        for _ in range(kinds.pick(r, 1, 1, 2)):
            path, value = self.change(kind)
            p = "/" + "/".join(str(x).replace("~", "~0").replace("/", "~1") for x in path)
            if value is DEL:
                ops.append({"op": "remove", "path": p})
            else:
                ops.append({"op": kinds.pick(r, "add", "add", "replace"), "path": p, "value": value})
        x = r.random()
        if x < .1:
            ops.insert(0, {"op": "test", "path": "/metadata/name", "value": kinds.pick(r, name, "other")})
        elif x < .15:
            ops.append({"op": "copy", "from": "/metadata/labels/seq", "path": "/metadata/labels/copied"})
        elif x < .2:
            ops.append({"op": "move", "from": "/metadata/labels/tier", "path": "/metadata/labels/moved"})
        elif x < .24:
            ops.append(kinds.pick(r, {"op": "bogus", "path": "/x"}, {"op": "remove", "path": "/none/such"}, {"op": "add", "path": "metadata"},
                                  {"op": "replace", "path": "/metadata/none", "value": 1}))
        elif x < .28:
            ops = [{"op": "test", "path": "/metadata/resourceVersion", "value": {"$ref": [self.key(kind, name), "metadata", "resourceVersion"]}}] + ops
        self.add("json", kind, "PATCH", kind.path(self.ns, name), query=self.options(), ct=JSONPATCH, body=ops, on=self.key(kind, name))

    def patch_body(self, kind, name):
        r = self.r
        body = {}
        for _ in range(kinds.pick(r, 1, 1, 2)):
            path, value = self.change(kind)
            while kind.crd is None and any(isinstance(p, int) for p in path):
                path, value = self.change(kind)
            path = list(path)
            if any(isinstance(p, int) for p in path):
                at = [i for i, p in enumerate(path) if isinstance(p, int)][0]
                value = [as_object(path[at + 1:], value)]
                path = path[:at]
            merge(body, as_object(path, value))
        if r.random() < .1:
            body.setdefault("metadata", {})
            if isinstance(body["metadata"], dict):
                body["metadata"]["resourceVersion"] = kinds.pick(r, "1", {"$ref": [self.key(kind, name), "metadata", "resourceVersion"]})
        if r.random() < .04 and "metadata" not in body:
            body["kind"] = kinds.pick(r, "Wrong", kind.kind)
        return body

    def merge(self, kind, verb="merge"):
        r = self.r
        name = self.pick_name(kind)
        q = self.options()
        if verb == "dryrun":
            q["dryRun"] = "All"
        self.add(verb, kind, "PATCH", kind.path(self.ns, name), query=q, ct=MERGE, body=self.patch_body(kind, name), on=self.key(kind, name))

    def strategic(self, kind):
        r = self.r
        name = self.pick_name(kind)
        body = self.patch_body(kind, name)
        x = r.random()
        spec = "template" if kind.plural in ("deployments", "replicasets", "statefulsets", "jobs") else None
        if kind.plural in ASYNC:
            pass
        elif x < .4 and kind.plural in ("deployments", "replicasets", "statefulsets", "pods"):
            c = kinds.pick(r, {"containers": [{"name": "c1", "image": "new:1"}]}, {"containers": [{"name": "c3", "image": "three"}]}, {"containers": [{"name": "c1", "env": [{"name": "A", "value": "z"}]}]},
                           {"containers": [{"name": "c2", "$patch": "delete"}]}, {"containers": [{"$patch": "replace"}, {"name": "c9", "image": "nine"}]}, {"containers": [{"name": "c1", "env": [{"$patch": "delete", "name": "A"}]}]},
                           {"$setElementOrder/containers": [{"name": "c2"}, {"name": "c1"}], "containers": [{"name": "c1", "image": "q"}]}, {"volumes": [{"name": "v1", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}]},
                           {"tolerations": [{"key": "x", "operator": "Exists"}]}, {"containers": [{"image": "nameless"}]}, {"nodeSelector": {"$patch": "replace", "n": "m"}}, {"containers": [{"name": "c1", "ports": [{"containerPort": 5432, "name": "new"}]}]})
            body = {"spec": {"template": {"spec": c}} if spec else c}
        elif x < .6:
            body = kinds.pick(r, {"metadata": {"finalizers": ["example.com/added"]}}, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold", "example.com/added"]}}, {"metadata": {"labels": {"$patch": "replace", "seq": self.ns}}},
                              {"metadata": {"labels": {"tier": None}}}, {"$patch": "bogus"}, {"metadata": {"annotations": {"$patch": "delete"}}}, {"metadata": {"$setElementOrder/finalizers": ["example.com/z", "example.com/hold"], "finalizers": ["example.com/z"]}},
                              {"metadata": {"ownerReferences": [{"uid": "x", "$patch": "delete"}]}})
        elif x < .75 and kind.plural == "services":
            body = {"spec": kinds.pick(r, {"ports": [{"port": 5432, "targetPort": 1}]}, {"ports": [{"port": 99, "name": "n99"}]}, {"ports": [{"port": 80, "$patch": "delete"}]})}
        elif x < .75 and kind.plural == "serviceaccounts":
            body = kinds.pick(r, {"secrets": [{"name": "a", "kind": "Z"}]}, {"imagePullSecrets": [{"name": "p", "$patch": "delete"}]}, {"secrets": [{"name": "n"}]})
        self.add("strategic", kind, "PATCH", kind.path(self.ns, name), query=self.options(), ct=STRATEGIC, body=body, on=self.key(kind, name))

    def apply(self, kind, verb="apply"):
        r = self.r
        name = self.pick_name(kind, .7)
        o = self.object(kind, name)
        if r.random() < .5:
            if kind.crd and isinstance(o.get("spec"), dict):  # of several errors the real server says some, in no order
                o["spec"].pop("unknown", None)
                o.pop("extra", None)
            apply_change(o, *self.change(kind))
        if kind.crd and r.random() < .3 and isinstance(o.get("spec"), dict) and o["spec"]:
            o["spec"].pop(r.choice(sorted(o["spec"])))
        if isinstance(o.get("metadata"), dict):
            o["metadata"].pop("managedFields", None) if r.random() < .9 else None
        if kind.crd and "extra" in o and isinstance(o.get("spec"), dict):
            o["spec"].pop("unknown", None)  # of several such errors the real server says some, in no order
        if kind.crd and ("unknownTop" in o or "status" in o or "unknownMeta" in (o.get("metadata") or {})):
            o.pop("extra", None)
            if isinstance(o.get("spec"), dict):
                o["spec"].pop("unknown", None)
        q = self.options()
        if r.random() < .97:
            q["fieldManager"] = r.choice(MANAGERS)
        else:
            q.pop("fieldManager", None)
        if r.random() < .35:
            q["force"] = "true"
        if verb == "dryrun":
            q["dryRun"] = "All"
        self.add(verb, kind, "PATCH", kind.path(self.ns, name), query=q, ct=APPLY, body=o, on=self.key(kind, name))
        if verb == "apply":
            self.settle(kind, name)
            self.there[(kind.plural, name)] = kind

    def delete_options(self, kind, name):
        r = self.r
        d = {"kind": "DeleteOptions", "apiVersion": "v1"}
        ref = [self.key(kind, name), "metadata"]
        kinds.maybe(r, d, .25, "preconditions", lambda: kinds.pick(
            r, {"uid": {"$ref": ref + ["uid"]}}, {"resourceVersion": {"$ref": ref + ["resourceVersion"]}}, {"uid": "wrong"}, {"resourceVersion": "1"}))
        kinds.maybe(r, d, .3, "propagationPolicy", lambda: kinds.pick(r, "Background", "Background", "Bogus"))
        kinds.maybe(r, d, .3, "gracePeriodSeconds", lambda: kinds.pick(r, 0, 0, 60, -5))
        return d

    def delete(self, kind, verb="delete"):
        r = self.r
        name = self.pick_name(kind)
        q = {}
        body = self.delete_options(kind, name) if r.random() < .5 else None
        if body is None:
            kinds.maybe(r, q, .2, "propagationPolicy", "Background")
            kinds.maybe(r, q, .15, "gracePeriodSeconds", lambda: kinds.pick(r, "0", "5", "x"))
        if verb == "dryrun":
            if body is not None and r.random() < .5:
                body["dryRun"] = ["All"]
            else:
                q["dryRun"] = "All"
        really = verb == "delete" or (body is not None and "dryRun" not in body)  # a body's options count, not the query's
        self.add(verb, kind, "DELETE", kind.path(self.ns, name), query=q, ct=JSON if body else None, body=body, gone=kind.plural in ("namespaces", "customresourcedefinitions", "jobs") and really, on=self.key(kind, name))
        if verb == "delete" and r.random() < .7:
            self.there.pop((kind.plural, name), None)

    def deletecollection(self, kind):
        q = {"labelSelector": self.selector(kind)}
        if self.r.random() < .15 and kind.plural not in ASYNC:
            q["dryRun"] = "All"
        if self.r.random() < .2 and kind.plural not in ASYNC:
            q["fieldSelector"] = "metadata.name=" + self.name(kind, 2)
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0} if self.r.random() < .2 else None
        self.add("deletecollection", kind, "DELETE", kind.path(self.ns), query=q, ct=JSON if body else None, body=body, gone=kind.plural in ("customresourcedefinitions", "jobs"))

    def status(self, kind):
        r = self.r
        name = self.pick_name(kind)
        value = copy.deepcopy(r.choice(kind.status))
        how = kinds.pick(r, "get", "put", "put", "merge", "merge", "apply", "json")
        if kind.plural == "services" and how == "put":
            how = "merge"  # of one that is not there kube-apiserver makes a Service without address
        if kind.plural == "validatingadmissionpolicies" and how == "apply":
            how = "get"  # of one that is not there kube-apiserver says what it lacks
        q = self.options() if how != "get" else {}
        path = kind.path(self.ns, name, "status")
        on = self.key(kind, name)
        if how == "get":
            self.add("status", kind, "GET", path, on=on)
        elif how == "put":
            edit = [(("status",), value)]
            if r.random() < .3:
                edit.append((("metadata", "labels", "tier"), kinds.pick(r, "a", "b", DEL)))
            self.add("status", kind, "PUT", path, query=q, ct=JSON, body=self.object(kind, name), edit=edit, edits=True, on=on)
        elif how == "json":
            self.add("status", kind, "PATCH", path, query=q, ct=JSONPATCH, body=[{"op": "add", "path": "/status", "value": value}], on=on)
        elif how == "apply":
            q["fieldManager"] = r.choice(MANAGERS)
            q["force"] = kinds.pick(r, "true", "false")
            o = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "status": value}
            if r.random() < .2:
                o["metadata"]["labels"] = {"seq": self.ns, "tier": "b"}
            self.add("status", kind, "PATCH", path, query=q, ct=APPLY, body=o, on=on)
        else:
            body = {"status": value}
            if r.random() < .3:
                body["metadata"] = {"labels": {"tier": "a"}}
            self.add("status", kind, "PATCH", path, query=q, ct=MERGE, body=body, on=on)

    def scale(self, kind):
        r = self.r
        name = self.pick_name(kind)
        path = kind.path(self.ns, name, "scale")
        on = self.key(kind, name) + "/scale"
        how = kinds.pick(r, "get", "put", "put", "merge", "merge", "apply", "json")
        self.counter += 1
        n = 5 + self.counter % 6  # never what it is: else the real server drops a time of managedFields
        q = self.options() if how != "get" else {}
        if how == "get":
            self.add("scale", kind, "GET", path, on=on)
        elif how == "put":
            base = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name, "namespace": self.ns}, "spec": {"replicas": n}}
            self.add("scale", kind, "PUT", path, query=q, ct=JSON, body=base, edit=[(("spec", "replicas"), n)], edits=True, rv=kinds.pick(r, None, None, "drop", "stale"), on=on)
        elif how == "json":
            self.add("scale", kind, "PATCH", path, query=q, ct=JSONPATCH, body=[{"op": "replace", "path": "/spec/replicas", "value": n}], on=on)
        elif how == "apply":
            q["fieldManager"] = r.choice(MANAGERS)
            q["force"] = "true"
            self.add("scale", kind, "PATCH", path, query=q, ct=APPLY, body={"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name}, "spec": {"replicas": n}}, on=on)
        else:
            self.add("scale", kind, "PATCH", path, query=q, ct=MERGE, body={"spec": {"replicas": n}}, on=on)

    def dryrun(self, kind):
        verb = self.r.choice([self.create, self.update, self.merge, self.apply, self.delete])
        verb(kind, "dryrun")

    # --- whole sequences ---

    def begin(self, account):
        ns = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.ns, "labels": {"seq": self.ns}}}
        by = next(k for k in kinds.KINDS if k.plural == "namespaces")
        self.add("setup", by, "POST", "/api/v1/namespaces", ct=JSON, body=ns)
        if account:
            by = next(k for k in kinds.KINDS if k.plural == "serviceaccounts")
            self.add("setup", by, "POST", by.path(self.ns), ct=JSON, body={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})

    def walk(self, kind, length):
        r = self.r
        self.begin(kind.account)
        if r.random() < .35:
            self.watch(kind)
        self.create(kind, good=True)
        verbs = [v for v in VERBS if applicable(kind, v) or r.random() < .04]
        weights = {"create": 9, "update": 9, "json": 7, "merge": 8, "strategic": 8, "apply": 12, "delete": 7, "get": 8, "list": 6, "watch": 6,
                   "deletecollection": 8, "status": 8, "scale": 8, "dryrun": 7, "table": 7}
        for _ in range(length):
            if not any(k == kind.plural for (k, _) in self.there):
                if r.random() < .7:
                    self.create(kind, good=r.random() < .7)
                    continue
            verb = r.choices(verbs, [weights[v] for v in verbs])[0]
            if verb in ("status", "scale") and not applicable(kind, verb):
                self.add(verb, kind, "GET", kind.path(self.ns, self.pick_name(kind), verb))
                continue
            getattr(self, verb)(kind)
        self.probe(kind)
        self.add("list", kind, "GET", kind.path(self.ns), query={"labelSelector": "seq=" + self.ns})
        return self

    def probe(self, kind):
        """What chance alone sends too seldom: every fourth sequence a name that is none, or pages."""
        if self.number % 4 == 1 and kind.plural != "customresourcedefinitions":
            o = self.object(kind, "Bad_Name" if kind.namespaced else self.ns + "_N")
            self.add("create", kind, "POST", kind.path(self.ns), ct=JSON, body=o)
        elif self.number % 4 == 3 and kind.namespaced:
            self.add("list", kind, "GET", kind.path(self.ns), query={"limit": "1"}, pages=True)

    def data(self):
        return {"id": self.number, "ns": self.ns, "steps": self.steps}


def kinds_namespaced(o):
    """Names of cluster-scoped objects must not meet those of other sequences."""
    return any(k.kind == o["kind"] and k.namespaced for k in kinds.KINDS)


def as_object(path, value):
    if value is DEL:
        value = None
    for p in reversed(path):
        value = [value] if isinstance(p, int) else {p: value}
    return value


def merge(into, other):
    for k, v in other.items():
        if isinstance(v, dict) and isinstance(into.get(k), dict):
            merge(into[k], v)
        else:
            into[k] = v


def apply_change(o, path, value):
    """Sets or removes in place; makes what is missing on the way."""
    for i, p in enumerate(path[:-1]):
        if isinstance(p, int):
            if not isinstance(o, list) or p >= len(o):
                return
            o = o[p]
        else:
            if not isinstance(o, dict):
                return
            if not isinstance(o.get(p), (dict, list)):
                if value is DEL:
                    return
                o[p] = [{}] if isinstance(path[i + 1], int) else {}
            o = o[p]
    last = path[-1]
    if isinstance(last, int):
        if isinstance(o, list) and last < len(o):
            if value is DEL:
                o.pop(last)
            else:
                o[last] = copy.deepcopy(value)
    elif isinstance(o, dict):
        if value is DEL:
            o.pop(last, None)
        else:
            o[last] = copy.deepcopy(value)


def generate(seed, count, prefix):
    """One of twelve is a scene, the others are walks, which take turns with the kinds."""
    import scenes
    out, walks = [], 0
    for i in range(count):
        if i % SCENE_EVERY == SCENE_EVERY - 1:
            out.append(scenes.scene(prefix, i, seed, seed + i // SCENE_EVERY))
            continue
        s = Sequence(prefix, i, seed)
        s.walk(kinds.KINDS[(walks + seed) % len(kinds.KINDS)], s.r.randrange(9, 16))
        out.append(s.data())
        walks += 1
    return out


def coverage(sequences):
    table = {}
    for s in sequences:
        for step in s["steps"]:
            k = (step["cls"], step["verb"])
            table[k] = table.get(k, 0) + 1
    return table
