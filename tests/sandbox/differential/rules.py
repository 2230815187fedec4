"""The differences that stay, each described in docs/sandbox-differences.md under its number.

A rule changes both normalised answers where they differ for its reason, as narrowly as can be said.
"""
import json
import re

REAL_ADDRESS = re.compile(r"^198\.19\.\d+\.\d+$")
OUR_ADDRESS = re.compile(r"^127\.\d+\.\d+\.\d+$")
ACCESS = re.compile(r"^kube-api-access-[a-z0-9]{5}$")
PORTS = re.compile(r":3[0-2]\d\d\d/")


def pairs(a, b, key=None):
    """Leaves of both that stand at the same place: (container of a, of b, key)."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in a:
            if k in b:
                if isinstance(a[k], (dict, list)):
                    yield from pairs(a[k], b[k], k)
                elif a[k] != b[k]:
                    yield a, b, k, k
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i in range(len(a)):
            if isinstance(a[i], (dict, list)):
                yield from pairs(a[i], b[i], key)
            elif a[i] != b[i]:
                yield a, b, i, key


def drawn(step, real, ours):
    """1: addresses and ports of services, and the name of the token's volume, which each server draws."""
    used = False
    for a, b, i, key in pairs(real, ours):
        x, y = a[i], b[i]
        if isinstance(x, int) and isinstance(y, int) and key in ("nodePort", "healthCheckNodePort"):
            same = 30000 <= x < 33000 and 30000 <= y < 33000
        elif isinstance(x, str) and isinstance(y, str):
            same = (REAL_ADDRESS.match(x) and OUR_ADDRESS.match(y)) or (ACCESS.match(x) and ACCESS.match(y)) or (
                key == "cells" and PORTS.search(x) and PORTS.sub(":/", x) == PORTS.sub(":/", y))
        else:
            same = False
        if same:
            a[i] = b[i] = "<drawn>"
            used = True
    return used


def tables_of(v):
    if isinstance(v, dict):
        if isinstance(v.get("columnDefinitions"), list):
            yield v
        for x in v.values():
            yield from tables_of(x)
    elif isinstance(v, list):
        for x in v:
            yield from tables_of(x)


def descriptions(step, real, ours):
    """2: what the columns of built-in kinds' tables mean, in English sentences."""
    used = False
    own = "example.com/" in step["path"] or "cnpg.io/" in step["path"]
    for s, t in zip(tables_of(real), tables_of(ours)):
        for c, d in zip(s["columnDefinitions"], t["columnDefinitions"]):
            if d.get("description") == "" and c.get("description") and (not own or c.get("name") in ("Name", "Age")):
                c["description"] = ""
                used = True
    return used


def causes(step, real, ours):
    """3: how often and in which order the same causes stand in details.causes, and in the message made of them."""
    both = []
    for side in (real, ours):
        body = side.get("body")
        details = body.get("details") if isinstance(body, dict) and body.get("kind") == "Status" else None
        if not details or not isinstance(details.get("causes"), list):
            return False
        both.append((body, sorted(set(canonical(json.dumps(c, sort_keys=True)) for c in details["causes"]))))
    a, b = both
    if a[1] != b[1] or (a[0]["details"]["causes"] == b[0]["details"]["causes"] and a[0]["message"] == b[0]["message"]):
        return False
    for body, causes in both:
        rest = body["message"]
        for c in sorted(body["details"]["causes"], key=lambda c: -len(c["message"])):
            rest = rest.replace("%s: %s" % (c.get("field"), c["message"]), "")
        body["details"]["causes"] = causes
        if rest.strip("[], ").endswith("is invalid:"):
            body["message"] = rest.replace(", ", "").rstrip("[], ")
    return True


QUOTED = re.compile(r'Invalid value: ("(?:[^"\\]|\\.)*"): ')


DRAWN = re.compile(r'"(?:198\.19|127\.\d+)\.\d+\.\d+"|(?<="nodePort": )3[0-2]\d\d\d')


def canonical(text):
    """Objects that are quoted in a message, with their members in order and without what is drawn."""
    def one(m):
        try:
            value = json.loads(json.loads(m.group(1)))
        except ValueError:
            return m.group(0)
        if not isinstance(value, dict):
            return m.group(0)
        managed = (value.get("metadata") or {}).get("managedFields")
        if isinstance(managed, list):
            managed.sort(key=lambda e: json.dumps(e, sort_keys=True))
        return "Invalid value: %s: " % DRAWN.sub("drawn", json.dumps(value, sort_keys=True))
    return QUOTED.sub(one, text)


def quoted(step, real, ours):
    """4: the order of members, and of managers, of an object that a message quotes."""
    used = False
    for a, b, i, key in pairs(real, ours):
        x, y = a[i], b[i]
        if key == "message" and isinstance(x, str) and isinstance(y, str) and x != y and canonical(x) == canonical(y):
            a[i] = b[i] = canonical(x)
            used = True
    return used


DIFF = re.compile(r"\n@@ (?:.|\n)*?\n(?=$|\]$|, [a-z][\w.\[\]]*: )")
HOLDS = ("pod updates may not change fields other than", "spec is immutable after creation", "is immutable after creation")


def spec_diff(step, real, ours):
    """5: the real server adds a textual diff of its internal structures to some refusals."""
    used = []

    def strip(v):
        if isinstance(v, dict):
            return {k: strip(x) for k, x in v.items()}
        if isinstance(v, list):
            return [strip(x) for x in v]
        if isinstance(v, str) and "\n@@ " in v and any(h in v for h in HOLDS):
            used.append(v)
            return DIFF.sub("", v)
        return v

    body = real.get("body")
    if isinstance(body, dict) and body.get("kind") == "Status" and real.get("status") == ours.get("status") == 422:
        real["body"] = strip(body)
    return bool(used)


RULES = [(1, drawn), (2, descriptions), (5, spec_diff), (3, causes), (4, quoted)]


def settle(step, real, ours):
    """Both answers as they are compared; the numbers of the rules that were used."""
    return [number for number, rule in RULES if rule(step, real, ours)]
