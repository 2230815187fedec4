"""Both servers: etcd, kube-apiserver and two controllers of the lab's one program, and the sandbox's API server.

Each in a folder of its own, on loopback. A server is what a client needs to talk to it.
"""
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import http.client

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
ADMIN = "kubernetes-admin"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def with_parent():
    """In a child: it ends when this process ends, however that was."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Server:
    """Where it listens and how to say who asks."""

    def __init__(self, name, host, port, token):
        self.name, self.host, self.port, self.token = name, host, port, token

    def connect(self, timeout=60):
        context = ssl._create_unverified_context()
        c = http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=context)
        c.connect()
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return c


def find_kube():
    """The lab's program, built by tests/lab/lab."""
    cache = os.environ.get("MH_CACHE") or os.path.expanduser("~/.cache/moonherd")
    places = [os.environ.get("MH_KUBE", "")]
    lab = os.path.join(cache, "lab")
    if os.path.isdir(lab):
        places += sorted(os.path.join(lab, d, "kube") for d in os.listdir(lab) if d.startswith("kube-"))
    places.append(os.path.join(cache, "kube"))
    for p in places:
        if p and os.access(p, os.X_OK) and os.path.isfile(p):
            return p
    return None


class Processes:
    """What was started, and its folder."""

    def __init__(self, folder=None):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = folder or tempfile.mkdtemp(prefix="moonherd-differential-", dir=base)
        self.started = []

    def start(self, name, argv):
        with open(os.path.join(self.folder, name + ".log"), "wb") as log:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, preexec_fn=with_parent)
        self.started.append(p)
        return p

    def stop(self):
        for p in reversed(self.started):
            if p.poll() is None:
                p.terminate()
        until = time.monotonic() + 2  # nothing of theirs is kept
        for p in self.started:
            try:
                p.wait(max(.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.started = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def tail(self, name, lines=15):
        try:
            with open(os.path.join(self.folder, name + ".log"), errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""


def free_ports(n):
    """Ports that nobody listens on; beyond those that the system gives to clients."""
    out = []
    while len(out) < n:
        port = random.SystemRandom().randrange(20000, 32000)
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", port))
            if port not in out:
                out.append(port)
        except OSError:
            pass
        finally:
            s.close()
    return out


def wait_ready(server, process, seconds, path="/readyz"):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError("%s ended at its start" % server.name)
        try:
            c = server.connect(5)
            c.request("GET", path, headers={"Authorization": "Bearer " + server.token})
            if c.getresponse().status == 200:
                return
        except OSError:
            pass
        except http.client.HTTPException:
            pass
        time.sleep(0.05)
    raise RuntimeError("%s is not ready after %d s" % (server.name, seconds))


def start_real(processes, kube):
    """kube-apiserver, and of the controllers those that end namespaces and collect garbage."""
    d = processes.folder
    api, etcd, peer, kcm = free_ports(4)

    def sh(*argv):
        subprocess.run(argv, cwd=d, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    sh("openssl", "genrsa", "-out", "sa.key", "2048")
    sh("openssl", "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    with open(os.path.join(d, "tokens"), "w") as f:
        f.write('token,%s,,"system:masters"\nkcm,system:kube-controller-manager,kcm,"system:masters"\n' % ADMIN)
    with open(os.path.join(d, "kcm.kubeconfig"), "w") as f:
        f.write('{apiVersion: v1, kind: Config, current-context: t,\n'
                ' clusters: [{name: t, cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}}],\n'
                ' users: [{name: t, user: {token: kcm}}], contexts: [{name: t, context: {cluster: t, user: t}}]}\n' % api)
    url = "http://127.0.0.1:%d"
    processes.start("etcd", [kube, "etcd", "--data-dir", "etcd", "--unsafe-no-fsync",
                             "--listen-client-urls", url % etcd, "--advertise-client-urls", url % etcd,
                             "--listen-peer-urls", url % peer])
    p = processes.start("kube-apiserver", [
        kube, "kube-apiserver", "--etcd-servers", url % etcd, "--bind-address", "127.0.0.1", "--secure-port", str(api),
        "--advertise-address", "198.18.99.2", "--cert-dir", "certs", "--token-auth-file", "tokens",
        "--authorization-mode", "RBAC", "--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
        "--service-account-key-file", "sa.pub", "--service-account-signing-key-file", "sa.key",
        "--service-cluster-ip-range", "198.19.0.0/16", "--enable-priority-and-fairness=false", "--profiling=false",
        "--allow-privileged=true",
        "--max-requests-inflight=0", "--max-mutating-requests-inflight=0"])
    server = Server("kube-apiserver", "127.0.0.1", api, "token")
    wait_ready(server, p, 60)
    processes.start("kube-controller-manager", [
        kube, "kube-controller-manager", "--kubeconfig", "kcm.kubeconfig", "--secure-port", str(kcm),
        "--bind-address", "127.0.0.1", "--cert-dir", "kcm-certs", "--leader-elect=false",
        "--controllers=garbage-collector-controller,namespace-controller", "--namespace-sync-period=30s",
        "--kube-api-qps=400", "--kube-api-burst=800"])
    return server


def start_sandbox(processes, moonherd):
    path = os.path.join(processes.folder, "kubeconfig")
    p = processes.start("sandbox", [moonherd, "sandbox", "up", "--api-only", "--kubeconfig", path])
    until = time.monotonic() + 20
    while not os.path.exists(path):
        if p.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the sandbox did not start: " + processes.tail("sandbox"))
        time.sleep(0.02)
    server = sandbox_of(path)
    wait_ready(server, p, 20)
    return server


def sandbox_of(kubeconfig):
    with open(kubeconfig) as f:
        text = f.read()
    host, port = re.search(r"server: https://([0-9.]+):(\d+)", text).groups()
    token = re.search(r"token: (\S+)", text).group(1)
    return Server("sandbox", host, int(port), token)
