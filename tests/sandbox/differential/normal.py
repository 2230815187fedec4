"""What makes two answers comparable: names for what each server draws by itself.

One Names per server and sequence. Renamed are uids, resourceVersions, times of today, tokens (continue, service
accounts') and random names; the same value always gets the same name. Nothing else is touched here: differences that
stay are in rules.py.
"""
import json
import re

TIME = re.compile(r"^20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
TIMES = re.compile(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# A number in a message is a resourceVersion where it was one elsewhere; not in a source position, in the name of an RFC,
# as a number of quoted JSON, or in a limit ("253 characters").
NUMBER = re.compile(r"(?<![\w-])(?<!\.go:)(?<!RFC )(?<!\":)\d{2,}(?![\w-])(?! (?:characters|bytes|items|or less))")
SEEN = re.compile(r'(?:\\"resourceVersion\\":\\"|ResourceVersion in object meta: |in record \()(\d{2,})')
ACCESS = re.compile(r"kube-api-access-[a-z0-9]{5}")
AGE = re.compile(r"^(\d+[smh])+$")
MESSAGES = ("message", "note")


class Names:
    def __init__(self):
        self.uids, self.versions, self.drawn, self.tokens = {}, {}, {}, {}

    def uid(self, value):
        if value.startswith("11111111"):
            return value
        return self.uids.setdefault(value, "<uid%d>" % len(self.uids))

    def version(self, value):
        """Those that a client gave itself stay as they are."""
        if len(value) < 2 or not value.isdigit():
            return value
        return self.versions.setdefault(value, "<rv%d>" % len(self.versions))

    def learn_name(self, prefix, name):
        if name not in self.drawn:
            self.drawn[name] = "%s<name%d>" % (prefix, len(self.drawn))

    def warning(self, s):
        return s[:3] + self.text(s[3:], True)  # 299 is its code

    def text(self, s, message):
        if TIME.match(s):
            return "<microtime>" if "." in s else "<time>"
        for name in self.drawn:
            if name in s:
                s = s.replace(name, self.drawn[name])
        if "-" in s:
            s = UID.sub(lambda m: self.uid(m.group(0)), s)
        if message:
            for m in SEEN.finditer(s):
                self.version(m.group(1))
            s = TIMES.sub("<time>", s)
            s = NUMBER.sub(lambda m: self.versions.get(m.group(0), m.group(0)), s)
            s = ACCESS.sub("kube-api-access-drawn", s)
        return s

    def learn(self, v):
        """Random names, before they are met elsewhere in the same answer."""
        if isinstance(v, dict):
            m = v.get("metadata")
            if isinstance(m, dict) and m.get("generateName") and isinstance(m.get("name"), str):
                if len(m["name"]) == len(m["generateName"]) + 5 and m["name"].startswith(m["generateName"]):
                    self.learn_name(m["generateName"], m["name"])
            for x in v.values():
                self.learn(x)
        elif isinstance(v, list):
            for x in v:
                self.learn(x)

    def value(self, v, key=None, listing=False):
        if isinstance(v, dict):
            m = v.get("metadata")
            listed = isinstance(m, dict) and isinstance(v.get("kind"), str) and (v["kind"].endswith("List") or v["kind"] == "Table")
            out = {}
            for k in sorted(v):
                x = v[k]
                if k == "resourceVersion" and isinstance(x, str):
                    out[k] = "<list>" if listing and x.isdigit() else self.version(x)
                elif k == "continue" and isinstance(x, str) and x:
                    out[k] = "<continue>"
                elif k == "token" and isinstance(x, str) and x.count(".") == 2:
                    out[k] = "<token>"
                elif k == "metadata" and listed:
                    out[k] = self.value(x, k, True)
                else:
                    out[self.text(k, False)] = self.value(x, k)
            if v.get("kind") == "Table":
                ages(out)
            if isinstance(out.get("managedFields"), list):  # their order follows their times
                out["managedFields"] = sorted(out["managedFields"], key=lambda e: json.dumps(e, sort_keys=True))
            return out
        if isinstance(v, list):
            return [self.value(x, key) for x in v]
        if isinstance(v, str):
            return self.text(v, key in MESSAGES)
        return v


def ages(table):
    """Columns that count seconds."""
    columns = [i for i, c in enumerate(table.get("columnDefinitions") or []) if c["name"] in ("Age", "Last Seen", "Duration", "First Seen", "Last Schedule")]
    for row in table.get("rows") or []:
        if not table.get("columnDefinitions"):  # a later line of a watch
            columns = range(len(row["cells"]))
        for i in columns:
            if i < len(row["cells"]) and isinstance(row["cells"][i], str) and AGE.match(row["cells"][i]):
                row["cells"][i] = "<age>"
