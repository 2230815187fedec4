"""See run."""
import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import time

import generate
import kinds
import runner
import servers

NEEDED = 20


def log(*words):
    print("#", *words, flush=True)


def documents(root):
    """moonherd's own CRDs, as YAML, one a document."""
    text = subprocess.run([os.path.join(root, "crds", "build"), "postgresql.cnpg.io"], check=True, capture_output=True, text=True).stdout
    return [d for d in text.split("---\n") if d.strip()]


def install(server):
    """The CRDs of the test on one server; returns when they are served."""
    c = server.connect()
    head = {"Authorization": "Bearer " + server.token, "User-Agent": "differential/1.0"}
    paths = []
    bodies = [(json.dumps(d), "application/json") for d in kinds.POOL] + [(d, "application/yaml") for d in documents(servers.ROOT)]
    for body, ct in bodies:
        c.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=body.encode(), headers=dict(head, **{"Content-Type": ct}))
        r = c.getresponse()
        text = r.read()
        if r.status not in (201, 409):
            raise RuntimeError("%s: a CRD is refused: %s" % (server.name, text[:500]))
    for k in kinds.KINDS:
        if k.crd:
            paths.append(k.path(None))
    until = time.monotonic() + 30
    for p in paths:
        while True:
            c.request("GET", p, headers=head)
            r = c.getresponse()
            r.read()
            if r.status == 200:
                break
            if time.monotonic() > until:
                raise RuntimeError("%s: %s is not served" % (server.name, p))
            time.sleep(.05)


def paths_of(a, b, at=""):
    """Where two values differ."""
    if type(a) is not type(b):
        return [at]
    if isinstance(a, dict):
        out = []
        for k in sorted(set(a) | set(b)):
            if k not in a or k not in b:
                out.append("%s.%s%s" % (at, "+" if k not in a else "-", k))
            else:
                out += paths_of(a[k], b[k], at + "." + k)
        return out
    if isinstance(a, list):
        if len(a) != len(b):
            return ["%s[%d/%d]" % (at, len(a), len(b))] + [p for x, y in zip(a, b) for p in paths_of(x, y, at + "[]")][:3]
        return [p for x, y in zip(a, b) for p in paths_of(x, y, at + "[]")]
    return [] if a == b else [at]


def get(v, path):
    return v


def show(result, full=False):
    number, _, _, found, _ = result
    for what, step, a, b in found:
        if step is None:
            log("sequence %d: %s" % (number, what))
            continue
        log("sequence %d: %s: %s %s %s %s" % (number, what, step["verb"], step["method"], step["path"], json.dumps(step.get("query") or {})))
        log("   sent: %s" % json.dumps({k: step[k] for k in ("ct", "accept", "body", "edit", "rv", "watch") if k in step})[:6000 if full else 1500])
        where = paths_of(a, b)
        log("   differ: %s" % " ".join(where[:12]))
        leaf(a, b, "", [0], 3000 if full else 700)


def leaf(a, b, at, n, width):
    if n[0] > 8:
        return
    if type(a) is type(b) and isinstance(a, dict):
        for k in sorted(set(a) | set(b)):
            if k not in a or k not in b:
                n[0] += 1
                log("   %s.%s real: %s" % (at, k, json.dumps(a[k])[:width] if k in a else "(none)"))
                log("   %s.%s ours: %s" % (at, k, json.dumps(b[k])[:width] if k in b else "(none)"))
            else:
                leaf(a[k], b[k], at + "." + k, n, width)
    elif type(a) is type(b) and isinstance(a, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            leaf(x, y, "%s[%d]" % (at, i), n, width)
    elif a != b or type(a) is not type(b):
        n[0] += 1
        log("   %s real: %s" % (at, json.dumps(a)[:width]))
        log("   %s ours: %s" % (at, json.dumps(b)[:width]))


def signature(found):
    what, step, a, b = found
    if step is None:
        return what
    w = paths_of(a, b)
    code = a.get("status"), b.get("status")
    return "%s %s %s %s: %s" % (step["cls"], step["verb"], what, code if code[0] != code[1] else code[0], " ".join(w[:3]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=int(time.strftime("%Y%m%d")))
    p.add_argument("--count", type=int, default=300)
    p.add_argument("--moonherd", default=os.environ.get("MOONHERD", os.path.join(servers.ROOT, "build/host/core/main/moonherd")))
    p.add_argument("--only", default="", help="numbers of sequences")
    p.add_argument("--keep-going", action="store_true", help="all differences of a sequence, not the first")
    p.add_argument("--serve", metavar="FILE", help="start the real server only, say in FILE where it is, and stay")
    p.add_argument("--has-kube", action="store_true", help="only: is the lab's program there?")
    p.add_argument("--real", metavar="FILE", help="use the one that --serve started")
    p.add_argument("--show", type=int, default=10, help="how many differing sequences are shown")
    p.add_argument("--full", action="store_true", help="show whole answers")
    p.add_argument("--json", help="write the figures there")
    p.add_argument("--known", metavar="FILE", help="figures of a run without a defect: end at the first sequence that differs here only")
    p.add_argument("--processes", type=int, default=3)
    p.add_argument("--threads", type=int, default=8)
    o = p.parse_args()
    if o.has_kube:
        return 0 if servers.find_kube() else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    if o.serve:
        return serve(o)
    t0 = time.monotonic()
    processes = servers.Processes()
    try:
        return compare(o, processes, t0)
    finally:
        processes.stop()


def serve(o):
    processes = servers.Processes()
    try:
        real = servers.start_real(processes, servers.find_kube())
        install(real)
        with open(o.serve, "w") as f:
            json.dump([real.host, real.port, real.token], f)
        log("serving; Ctrl-C ends")
        while processes.started[1].poll() is None:
            time.sleep(1)
    finally:
        processes.stop()


def compare(o, processes, t0):
    prefix = "s%d" % o.seed
    if o.real:
        with open(o.real) as f:
            real = servers.Server("kube-apiserver", *json.load(f))
        prefix = "s%x" % int(time.time())
    else:
        kube = servers.find_kube()
        if not kube:
            print("not ok - sandbox: differential: a kube-apiserver is there (HINT: tests/lab/lab builds it)")
            return 1
        real = servers.start_real(processes, kube)
    ours = servers.start_sandbox(processes, o.moonherd)
    install(real)
    install(ours)
    started = time.monotonic() - t0
    sequences = generate.generate(o.seed, o.count, prefix)
    table = generate.coverage(sequences)
    if o.only:
        wanted = set(int(x) for x in o.only.split(","))
        sequences = [s for s in sequences if s["id"] in wanted]
    known = None
    if o.known:
        with open(o.known) as f:
            known = set(json.load(f)["ids"])
    results = runner.run_all(sequences, real, ours, o.processes, o.threads, o.keep_going,
                             (lambda r: bool(r[3]) and r[0] not in known) if known is not None else None)
    if known is not None:
        found = [r for r in results if r[3] and r[0] not in known]
        for r in found[:1]:
            show(r, o.full)
        log("%d sequences, %.1f s" % (len(results), time.monotonic() - t0))
        return 0 if found else 1
    bad = [r for r in results if r[3]]
    steps = sum(r[1] for r in results)
    used = collections.Counter(u for r in results for u in r[2])
    for r in bad[:o.show]:
        show(r, o.full)
    for s, n in collections.Counter(signature(f) for r in bad for f in r[3]).most_common(60):
        log("%4d  %s" % (n, s))
    log("seed %d: %d sequences, %d requests, %d equal; servers up after %.1f s, %.1f s in all" % (o.seed, len(results), steps, len(results) - len(bad), started, time.monotonic() - t0))
    log("differing: %s" % ",".join(str(r[0]) for r in bad[:200]))
    log("differences that stay, met: %s" % dict(used))
    rc, least = 0, None
    if len(results) < len(sequences):
        print("not ok - sandbox: differential: all sequences ran")
        rc = 1
    claim = "sandbox: differential: %d sequences of seed %d are answered as kube-apiserver answers them" % (len(results), o.seed)
    print("%s - %s" % ("not ok" if bad else "ok", claim))
    if o.count >= 2000 and not o.only:
        low, least = print_coverage(table)
        rc |= low
    if o.json:
        with open(o.json, "w") as f:
            json.dump({"seed": o.seed, "sequences": len(results), "requests": steps, "differing": len(bad), "ids": [r[0] for r in bad], "rules": dict(used), "each_verb_with_each_class": least, "seconds": round(time.monotonic() - t0, 1)}, f)
    return rc or (1 if bad else 0)


def print_coverage(table):
    log("%-32s" % "kind class" + "".join(" %5s" % v[:5] for v in generate.VERBS))
    low, least = [], None
    for k in kinds.KINDS:
        cells = []
        for v in generate.VERBS:
            n = table.get((k.cls, v), 0)
            if not generate.applicable(k, v):
                cells.append("     -")
                continue
            cells.append(" %5d" % n)
            least = n if least is None else min(least, n)
            if n < NEEDED:
                low.append("%s %s" % (k.cls, v))
        log("%-32s" % k.cls + "".join(cells))
    for x in low:
        log("under %d: %s" % (NEEDED, x))
    print("%s - sandbox: differential: each verb meets each kind class at least %d times (the least: %d)" % ("not ok" if low else "ok", NEEDED, least))
    return (1 if low else 0), least


if __name__ == "__main__":
    sys.exit(main())
