"""Planted defects: each small wrong thing in a copy of the sandbox must be found by 300 sequences.

  defects.py [--seed N] [--only NAME,...] [--json FILE]

A defect is a file of defects/: {"name", "file", "old", "new"}; the text `old` stands in the file exactly once. The copy
is built in build/differential, once whole, then what each defect changes.
"""
import argparse
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import servers

ROOT = servers.ROOT
COPY = os.path.join(ROOT, "build", "differential", "tree")
BUILD = os.path.join(ROOT, "build", "differential", "build")
BINARY = os.path.join(BUILD, "core", "main", "moonherd")
HERE = os.path.dirname(os.path.abspath(__file__))


def log(*words):
    print("#", *words, flush=True)


def copy_tree():
    """The committed files and what is changed in the working tree; dates stay when the text does."""
    files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    keep = set()
    for name in files:
        name = os.fsdecode(name)
        source, target = os.path.join(ROOT, name), os.path.join(COPY, name)
        if not name or not os.path.isfile(source):
            continue
        keep.add(name)
        put(target, open(source, "rb").read(), source)
    os.makedirs(os.path.join(COPY, "build"), exist_ok=True)
    deps = os.path.join(COPY, "build", "deps")
    if not os.path.lexists(deps):
        os.symlink(os.path.join(ROOT, "build", "deps"), deps)


def put(target, data, like=None):
    if os.path.exists(target) and open(target, "rb").read() == data:
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as f:
        f.write(data)
    if like:
        shutil.copymode(like, target)


def build():
    os.makedirs(BUILD, exist_ok=True)
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        run = subprocess.run(["cmake", "-S", COPY, "-B", BUILD, "-G", "Ninja", "-DCMAKE_C_COMPILER=gcc"], capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stdout + run.stderr)
    run = subprocess.run(["ninja", "-C", BUILD, "moonherd"], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stdout[-3000:])


def compare(seed, real, *more):
    return subprocess.run([sys.executable, os.path.join(COPY, "tests", "sandbox", "differential", "main.py"), "--seed", str(seed), "--count", "300", "--real", real, "--moonherd", BINARY] + list(more), capture_output=True, text=True)


def load():
    out = []
    for path in sorted(glob.glob(os.path.join(HERE, "defects", "*.json"))):
        with open(path) as f:
            d = json.load(f)
        with open(os.path.join(ROOT, d["file"])) as f:
            text = f.read()
        if text.count(d["old"]) != 1:
            raise RuntimeError("%s: its old text is %d times in %s: bring it up to date" % (os.path.basename(path), text.count(d["old"]), d["file"]))
        out.append(d)
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=int(time.strftime("%Y%m%d")))
    p.add_argument("--only", default="")
    p.add_argument("--json")
    p.add_argument("--check", action="store_true", help="only: does every defect still fit the sources?")
    o = p.parse_args()
    try:
        defects = load()
    except RuntimeError as e:
        print("not ok - sandbox: differential: planted defects fit the sources: %s" % e)
        return 1
    print("ok - sandbox: differential: planted defects fit the sources (%d)" % len(defects))
    if o.check:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped
    t0 = time.monotonic()
    copy_tree()
    build()
    log("built after %.0f s" % (time.monotonic() - t0))
    folder = os.path.join(ROOT, "build", "differential")
    known, real = os.path.join(folder, "known.json"), os.path.join(folder, "real.json")
    if os.path.exists(real):
        os.remove(real)
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "main.py"), "--serve", real], stdout=subprocess.DEVNULL, preexec_fn=servers.with_parent)
    found = 0
    try:
        while not os.path.exists(real):
            if server.poll() is not None:
                raise RuntimeError("the real server did not start")
            time.sleep(.2)
        time.sleep(.2)
        base = compare(o.seed, real, "--json", known)
        if not os.path.exists(known):
            raise RuntimeError(base.stdout + base.stderr)
        wanted = [d for d in defects if not o.only or d["name"] in o.only.split(",")]
        for d in wanted:
            t1 = time.monotonic()
            path = os.path.join(COPY, d["file"])
            with open(path) as f:
                text = f.read()
            put(path, text.replace(d["old"], d["new"]).encode())
            try:
                build()
                run = compare(o.seed, real, "--known", known)
            except RuntimeError as e:
                run = subprocess.CompletedProcess([], 1, "# sequence: it does not build: " + str(e)[-400:].replace("\n", " "))
            put(path, text.encode())
            ok = run.returncode == 0
            found += ok
            print("%s - sandbox: differential: planted defect is found: %s" % ("ok" if ok else "not ok", d["name"]))
            for line in run.stdout.splitlines():
                if line.startswith("# sequence"):
                    log("  " + line[2:160])
            log("  %.0f s" % (time.monotonic() - t1))
            sys.stdout.flush()
    finally:
        server.terminate()
        server.wait()
    if o.json:
        with open(o.json, "w") as f:
            json.dump({"defects": len(wanted), "found": found, "seconds": round(time.monotonic() - t0)}, f)
    return 0 if found == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
