"""Runs sequences on both servers and compares what they answer.

Each worker process has threads; a thread has one connection to each server and takes whole sequences. A request goes
to both before either answer is read.
"""
import copy
import http.client
import json
import multiprocessing
import queue
import signal
import socket
import threading
import time
import urllib.parse

import rules
from generate import DEL, TABLE, apply_change
from normal import Names

HEADERS = ("Content-Type", "Warning", "Retry-After", "Cache-Control")
SETTLE_S = 4.0
AWAIT_S = 40.0
GONE_S = 20.0
SLOW_S = 150.0  # controllers of kube-apiserver on a machine that is busy


class Watch(threading.Thread):
    """A watch that collects its lines until it is closed."""

    def __init__(self, server, url, headers):
        super().__init__(daemon=True)
        self.lines, self.status, self.reply, self.headers = [], None, b"", {}
        self.opened = threading.Event()
        self.ended = False
        self.connection = server.connect(60)
        self.connection.request("GET", url, headers=headers)
        self.start()

    def run(self):
        try:
            response = self.connection.getresponse()
            self.headers = {h: response.getheader(h) for h in HEADERS}
            self.status = response.status
            if response.status != 200:
                self.reply = response.read()
                self.opened.set()
                return
            self.opened.set()
            while True:
                line = response.readline()
                if not line:
                    break
                self.lines.append(line)
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        finally:
            self.ended = True
            self.opened.set()

    def close(self):
        try:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        self.join(5)
        try:
            self.connection.close()
        except OSError:
            pass


class Side:
    """One server as one sequence sees it."""

    def __init__(self, server, connection):
        self.server, self.connection = server, connection
        self.names = Names()
        self.objects, self.first = {}, {}
        self.start_version = None
        self.watches = []

    def headers(self, step):
        h = {"Authorization": "Bearer " + self.server.token, "User-Agent": "differential/1.0", "Accept": step.get("accept") or "application/json"}
        if step.get("ct"):
            h["Content-Type"] = step["ct"]
        return h

    def resolve(self, v):
        if isinstance(v, dict):
            if "$ref" in v:
                o = self.objects.get(v["$ref"][0])
                for p in v["$ref"][1:]:
                    o = o.get(p) if isinstance(o, dict) else None
                return o if o is not None else "none"
            return {k: self.resolve(x) for k, x in v.items()}
        if isinstance(v, list):
            return [self.resolve(x) for x in v]
        return v

    def body(self, step):
        if step.get("raw") is not None:
            return step["raw"].encode()
        body = step.get("body")
        if step.get("edits") and step["on"] in self.objects:
            body = copy.deepcopy(self.objects[step["on"]])
            for path, value in step.get("edit", []):
                apply_change(body, path, value)
            m = body.get("metadata")
            if isinstance(m, dict):
                if step.get("rv") == "drop":
                    m.pop("resourceVersion", None)
                elif step.get("rv") == "stale":
                    m["resourceVersion"] = self.first.get(step["on"], m.get("resourceVersion"))
                elif step.get("rv") == "bad":
                    m["resourceVersion"] = "x"
        if body is None:
            return None
        return json.dumps(self.resolve(body)).encode()

    def path(self, step, query=None):
        path = step["path"]
        if "{gen}" in path:
            path = path.replace("{gen}", self.objects.get(step["gen"], {}).get("metadata", {}).get("name", "none"))
        q = dict(step.get("query") or {})
        q.update(query or {})
        q = self.resolve(q)
        return urllib.parse.quote(path, safe="/:") + ("?" + urllib.parse.urlencode(q) if q else "")

    def send(self, step, query=None):
        self.connection.request(step["method"], self.path(step, query), body=self.body(step), headers=self.headers(step))

    def receive(self):
        response = self.connection.getresponse()
        data = response.read()
        return Answer(response.status, {h: response.getheader(h) for h in HEADERS}, data, response.headers.get_all("Warning") or [])

    def note(self, step, answer):
        o = answer.json
        if answer.status >= 300 or not isinstance(o, dict) or step["method"] == "DELETE" or (step.get("query") or {}).get("dryRun"):
            return
        if self.start_version is None and isinstance(o.get("metadata"), dict):
            self.start_version = o["metadata"].get("resourceVersion")
        m = o.get("metadata")
        if step.get("on") and isinstance(m, dict) and o.get("kind") not in ("Status", "Table", "PartialObjectMetadata"):
            self.objects[step["on"]] = o
            if "resourceVersion" in m:
                self.first.setdefault(step["on"], m["resourceVersion"])
                self.last_version = m["resourceVersion"]


class Answer:
    def __init__(self, status, headers, data, warnings):
        self.status, self.headers, self.data, self.warnings = status, headers, data, warnings
        try:
            self.json = json.loads(data) if data else None
        except ValueError:
            self.json = data.decode(errors="replace")

    def normal(self, names):
        names.learn(self.json)
        out = {"status": self.status, "body": names.value(self.json), "warnings": [names.warning(w) for w in self.warnings]}
        out.update({h: self.headers.get(h) for h in HEADERS if h != "Warning"})
        return out


def text(v):
    return json.dumps(v, sort_keys=True, ensure_ascii=False)


class Difference(Exception):
    def __init__(self, step, real, ours, what="answer"):
        super().__init__(what)
        self.step, self.real, self.ours, self.what = step, real, ours, what


class Run:
    """One sequence."""

    def __init__(self, sequence, real, ours, keep_going=False):
        self.sequence, self.real, self.ours = sequence, real, ours
        self.used, self.steps = [], 0
        self.keep_going, self.found = keep_going, []

    def compare(self, step, a, b, what="answer"):
        self.used += rules.settle(step, a, b)
        if text(a) != text(b):
            d = Difference(step, a, b, what)
            if not self.keep_going:
                raise d
            self.found.append(d)
            return False
        return True

    def request(self, step, query=None):
        self.real.send(step, query)
        self.ours.send(step, query)
        a, b = self.real.receive(), self.ours.receive()
        return a, b

    def one(self, step):
        if "pause" in step:
            time.sleep(step["pause"])
            return
        if "watch" in step:
            self.watch(step)
            return
        if "await" in step:
            self.wait(step)
            return
        query = None
        for _ in range(10):
            a, b = self.request(step, query)
            x, y = a.normal(self.real.names), b.normal(self.ours.names)
            if text(x) != text(y) and (step.get("query") or {}).get("resourceVersion") == "0":
                x, y = self.again(step, query, x, y)
            self.compare(step, x, y)
            self.real.note(step, a)
            self.ours.note(step, b)
            tokens = [s.json["metadata"].get("continue") if s.status == 200 and isinstance(s.json, dict) and isinstance(s.json.get("metadata"), dict) else None for s in (a, b)]
            if not step.get("pages") or not all(tokens):
                break
            self.pages(step, tokens)
            break
        if step["method"] == "DELETE" and a.status in (200, 202):
            time.sleep(.02)  # kube-apiserver patches what its cache still holds
        if step.get("gone") and a.status in (200, 202):
            self.settle_gone(step)

    def again(self, step, query, x, y):
        """A read that may be served from a cache: it becomes equal."""
        until = time.monotonic() + SETTLE_S
        while text(x) != text(y) and time.monotonic() < until:
            time.sleep(.05)
            a, b = self.request(step, query)
            x, y = a.normal(self.real.names), b.normal(self.ours.names)
        return x, y

    def pages(self, step, tokens):
        for _ in range(10):
            self.real.send(step, {"continue": tokens[0]})
            self.ours.send(step, {"continue": tokens[1]})
            a, b = self.real.receive(), self.ours.receive()
            self.compare(step, a.normal(self.real.names), b.normal(self.ours.names), "page")
            tokens = [s.json["metadata"].get("continue") if s.status == 200 else None for s in (a, b)]
            if not all(tokens):
                return

    def settle_gone(self, step):
        """What ends by controllers: until neither server has it any more, or both keep it."""
        began = time.monotonic()
        while True:
            probe = {"method": "GET", "path": step["path"]}
            if (step.get("query") or {}).get("labelSelector"):
                probe["query"] = {"labelSelector": step["query"]["labelSelector"]}
            a, b = self.request(probe)
            gone = [s.status == 404 or (isinstance(s.json, dict) and s.json.get("items") == []) for s in (a, b)]
            held = [held_by(s.json) for s in (a, b)]
            under_way = not all(g or h for g, h in zip(gone, held))
            if all(gone) or all(held) or time.monotonic() > began + (SLOW_S if under_way else GONE_S):
                return
            time.sleep(.05)

    def wait(self, step):
        """Asks until both answer with the status and the condition that is awaited, then compares."""
        began = time.monotonic()
        while True:
            a, b = self.request(step)
            real, ours = (met(step["await"], s) for s in (a, b))
            if real and ours or time.monotonic() > began + (SLOW_S if ours else AWAIT_S):
                break
            time.sleep(.03)
        if step.get("quiet"):
            self.real.note(step, a)
            self.ours.note(step, b)
            a, b = ({"status": s.status} for s in (a, b))
            self.compare(step, a, b, "await")
            return
        self.compare(step, a.normal(self.real.names), b.normal(self.ours.names), "await")
        self.real.note(step, a)
        self.ours.note(step, b)

    def watch(self, step):
        pair = []
        for side in (self.real, self.ours):
            query = {"start": {"resourceVersion": side.start_version}, "now": {"resourceVersion": getattr(side, "last_version", side.start_version)},
                     "zero": {"resourceVersion": "0"}, "bad": {"resourceVersion": "abc"}, "none": {}}[step["watch"]]
            pair.append(Watch(side.server, side.path(step, query), side.headers(step)))
        for w in pair:
            w.opened.wait(20)
        if any(w.status != 200 for w in pair):
            answers = [Answer(w.status, w.headers, w.reply, []) for w in pair]
            for w in pair:
                w.close()
            self.compare(step, answers[0].normal(self.real.names), answers[1].normal(self.ours.names), "watch refused")
            return
        self.real.watches.append((step, pair[0]))
        self.ours.watches.append((step, pair[1]))

    def events(self, side, step, watch):
        out, columns = [], None
        for line in list(watch.lines):
            try:
                e = json.loads(line)
            except ValueError:
                e = line.decode(errors="replace")
            if isinstance(e, dict) and e["object"].get("columnDefinitions"):  # the first line has them, be it a bookmark
                columns = e["object"].pop("columnDefinitions")
            if isinstance(e, dict) and e.get("type") == "BOOKMARK":
                continue
            if isinstance(e, dict) and e["object"].get("kind") == "Table":
                e["object"]["columnDefinitions"] = columns
            out.append(e)
        if step["watch"] in ("none", "zero"):
            out = initial_sorted(out)
        if step["path"].endswith(("/customresourcedefinitions", "/namespaces")):
            out = without_steps(out)
        if step["path"].endswith("/jobs"):  # they end by a controller, each at its time
            out = sorted(out, key=name_of)
        for e in out:
            side.names.learn(e)
        return [side.names.value(e) for e in out]

    def finish(self):
        """Watches: what both have seen by the end of the sequence."""
        until = time.monotonic() + SETTLE_S
        if self.real.watches:
            time.sleep(.1)
        for (step, a), (_, b) in zip(self.real.watches, self.ours.watches):
            while True:
                x, y = self.events(self.real, step, a), self.events(self.ours, step, b)
                rules.settle(step, {"body": x}, {"body": y})
                if text(x) == text(y) or time.monotonic() > until:
                    break
                time.sleep(.05)
            ends = step.get("ends", True)
            self.compare(step, {"body": x, "type": a.headers.get("Content-Type"), "ended": a.ended and ends}, {"body": y, "type": b.headers.get("Content-Type"), "ended": b.ended and ends}, "watch")

    def run(self):
        try:
            for step in self.sequence["steps"]:
                self.steps += 1
                self.one(step)
            self.finish()
        except Difference as d:
            self.found.append(d)
        finally:
            for side in (self.real, self.ours):
                for _, w in side.watches:
                    w.close()
        return self.found


def initial_sorted(events):
    """The first ADDED ones come in no order."""
    n = 0
    while n < len(events) and isinstance(events[n], dict) and events[n].get("type") == "ADDED":
        n += 1
    return sorted(events[:n], key=name_of) + events[n:]


def without_steps(events):
    """Controllers write the status of CRDs and end namespaces and CRDs, in steps of their own: of each object only what
    its labels become counts, and that it goes."""
    out, last = [], {}
    for e in events:
        o = e["object"]
        if o.get("kind") == "Table":
            o = (o.get("rows") or [{}])[0].get("object") or {}
        m = o.get("metadata") or {}
        ends = "deletionTimestamp" in m or e["type"] == "DELETED"
        e = {"type": "DELETED" if ends else "THERE", "name": m.get("name"), "labels": m.get("labels")}
        if last.get(m.get("uid")) != e:
            last[m.get("uid")] = e
            out.append(e)
    return out


def name_of(event):
    o = event["object"]
    if o.get("kind") == "Table":
        o = (o.get("rows") or [{}])[0].get("object") or {}
    m = o.get("metadata") or {}
    return m.get("namespace") or "", m.get("name") or ""


def held_by(o):
    return isinstance(o, dict) and any(f.startswith("example.com/") for f in ((o.get("metadata") or {}).get("finalizers") or []))


def met(condition, answer):
    o = answer.json
    if answer.status in condition.get("or", []):
        return True
    if condition.get("status") and answer.status != condition["status"]:
        return False
    for p in condition.get("present", []):
        o = o.get(p) if isinstance(o, dict) else None
    if "present" in condition:
        return o is not None
    if "path" in condition:
        for p in condition["path"]:
            if isinstance(o, list) and isinstance(p, int):
                o = o[p] if p < len(o) else None
            else:
                o = o.get(p) if isinstance(o, dict) else None
        if condition.get("length") is not None:
            return isinstance(o, (list, dict)) and len(o) == condition["length"]
        return o == condition["value"]
    if "names" in condition:
        spec, status = ((o or {}).get(k) or {} for k in ("spec", "status"))
        a, b = spec.get("names") or {}, status.get("acceptedNames") or {}
        if any((a.get(k) or None) != (b.get(k) or None) for k in ("shortNames", "categories", "kind", "plural")):
            return False
    if "condition" in condition:
        for c in ((o or {}).get("status") or {}).get("conditions") or []:
            if c.get("type") == condition["condition"]:
                return c.get("status") == "True"
        return False
    return True


# --- many at once ---------------------------------------------------------------------------------------------

def thread(tasks, results, real, ours, keep_going):
    connections = None
    while True:
        try:
            sequence = tasks.get_nowait()
        except queue.Empty:
            return
        t0 = time.monotonic()
        try:
            if connections is None:
                connections = (real.connect(), ours.connect())
            run = Run(sequence, Side(real, connections[0]), Side(ours, connections[1]), keep_going)
            found = run.run()
            results.put((sequence["id"], run.steps, run.used, [(d.what, d.step, d.real, d.ours) for d in found], time.monotonic() - t0))
        except Exception as e:  # a connection that broke is a finding, too
            connections = None
            results.put((sequence["id"], 0, [], [("broken: %s: %s" % (type(e).__name__, e), None, None, None)], time.monotonic() - t0))


def worker(sequences, results, real, ours, threads, keep_going):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tasks = queue.Queue()
    for s in sequences:
        tasks.put(s)
    ts = [threading.Thread(target=thread, args=(tasks, results, real, ours, keep_going)) for _ in range(threads)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()


def run_all(sequences, real, ours, processes=3, threads=8, keep_going=False, enough=None):
    """All results: (id, steps, rules used, differences, seconds). enough(result): no more are needed."""
    results = multiprocessing.Queue()
    ps = [multiprocessing.Process(target=worker, args=(sequences[i::processes], results, real, ours, threads, keep_going)) for i in range(processes)]
    for p in ps:
        p.start()
    out = []
    while len(out) < len(sequences):
        try:
            out.append(results.get(timeout=5))
            if enough and enough(out[-1]):
                for p in ps:
                    p.terminate()
                break
        except queue.Empty:
            if not any(p.is_alive() for p in ps) and results.empty():
                break
    for p in ps:
        p.join()
    return sorted(out, key=lambda r: r[0])
