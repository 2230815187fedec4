#!/usr/bin/env lua5.4
--- Applies the CRDs to a real API server and sends it good and bad Clusters.
---
--- Usage: tests/lua/crds/on_apiserver.lua KUBE, where KUBE is the lab's binary (etcd, kube-apiserver and
--- kubectl in one). It starts its own etcd and API server on loopback ports, in a directory of its own, and
--- stops them. About 20 seconds. Exit 0 when every answer is as expected.
local here = arg[0]:match("^(.*)/tests/lua/crds/[^/]*$") or "."
local kube = arg[1] or os.exit(not io.stderr:write("usage: on_apiserver.lua KUBE\n"))
local BASE = 20000 + 3 * math.random(0, 3000)
local ETCD, PEER, API = BASE, BASE + 1, BASE + 2
local GROUPS = { "postgresql.cnpg.io", "postgresql.k8s.enterprisedb.io", "moonherd.io" }

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  return pipe:close() == true, (text:gsub("%s+$", ""))
end

local dir = select(2, run("mktemp -d"))
local function write(name, text)
  local file = assert(io.open(dir .. "/" .. name, "w"))
  file:write(text)
  file:close()
  return dir .. "/" .. name
end

local function background(name, arguments)
  local command = ("setsid '%s' %s >%s/%s.log 2>&1 </dev/null & echo $!"):format(kube, arguments, dir, name)
  return select(2, run(command))
end

local function kubectl(arguments, input)
  local file = write("input", input or "")
  return run(("KUBECONFIG=%s/kubeconfig '%s' kubectl %s <%s"):format(dir, kube, arguments, file))
end

local function start()
  run(("openssl genrsa -out %s/sa.key 2048; openssl rsa -in %s/sa.key -pubout -out %s/sa.pub"):format(dir, dir, dir))
  write("tokens", 'token,admin,admin,"system:masters"\n')
  write("kubeconfig", ([[
{apiVersion: v1, kind: Config, current-context: t,
 clusters: [{name: t, cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}}],
 users: [{name: t, user: {token: token}}], contexts: [{name: t, context: {cluster: t, user: t}}]}
]]):format(API))
  local etcd = background("etcd", ("etcd --data-dir %s/etcd --listen-client-urls http://127.0.0.1:%d"
    .. " --advertise-client-urls http://127.0.0.1:%d --listen-peer-urls http://127.0.0.1:%d --unsafe-no-fsync")
    :format(dir, ETCD, ETCD, PEER))
  local api = background("api", ("kube-apiserver --etcd-servers http://127.0.0.1:%d --bind-address 127.0.0.1"
    .. " --advertise-address 198.18.99.2 --secure-port %d --cert-dir %s/certs --token-auth-file %s/tokens"
    .. " --service-account-issuer https://kubernetes.default.svc --service-account-key-file %s/sa.pub"
    .. " --service-account-signing-key-file %s/sa.key --service-cluster-ip-range 198.19.0.0/16"
    .. " --authorization-mode RBAC"):format(ETCD, API, dir, dir, dir, dir))
  for _ = 1, 100 do
    local alive = run("kill -0 " .. api) and run("kill -0 " .. etcd)
    if not alive or kubectl("get --raw /readyz") then
      break
    end
    run("sleep 0.2")
  end
  return { api, etcd }
end

local failures, count = 0, 0
local function check(title, ok, text)
  count = count + 1
  print(("%s %d - %s"):format(ok and "ok" or "not ok", count, title))
  if not ok then
    failures = failures + 1
    print("# " .. text:gsub("\n", "\n# "))
  end
end

local PLAIN = { instances = "3", storage = "{size: 1Gi}" }

--- A manifest: `name`, and the fields of spec as YAML text.
local function manifest(fields, name)
  local all, lines = {}, {}
  for _, source in ipairs { PLAIN, fields } do
    for key, value in pairs(source) do
      all[key] = value
    end
  end
  for key, value in pairs(all) do
    lines[#lines + 1] = ("  %s: %s\n"):format(key, value)
  end
  table.sort(lines)
  return ("apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: %s, namespace: default}\nspec:\n")
    :format(name or "web") .. table.concat(lines)
end

--- What is expected of an answer: nil for acceptance, or the one path and words of the message.
local function judge(title, expected, ok, text)
  if not expected then
    return check(title .. " is accepted", ok, text)
  end
  local one = not text:find("\n", 1, true)
  check(title .. " is refused", not ok and one and text:find(expected, 1, true) ~= nil, text)
end

local function create(title, expected, fields, name)
  judge(title, expected, kubectl("create --dry-run=server --validate=strict -f -", manifest(fields, name)))
end

local function change(title, expected, fields)
  judge(title, expected, kubectl("apply --server-side --force-conflicts --dry-run=server -f -", manifest(fields,
    "old")))
end

local function new_objects()
  create("a plain cluster", nil, {})
  create("a rich cluster", nil, { bootstrap = "{initdb: {database: a, walSegmentSize: 32}}", primaryLease = "{}",
    walStorage = "{size: 1Gi}", tablespaces = "[{name: t, storage: {size: 1Gi}}]", plugins = "[{name: p}]",
    postgresql = "{synchronous: {method: any, number: 1}, parameters: {a: b}}",
      probes = "{liveness: {isolationCheck: {}}}",
    resources = "{requests: {cpu: 1, memory: 1Gi}}", affinity = "{tolerations: [{key: a}]}",
    managed = "{roles: [{name: r}], services: {disabledDefaultServices: [ro]}}" })
  create("an unknown field", 'unknown field "spec.sise"', { sise = "1Gi" })
  create("a negative size", "spec.storage.size: Invalid value", { storage = "{size: -1Gi}" })
  create("a size that is none", "the size must be a quantity greater than zero", { storage = "{size: ten}" })
  create("no instance", "spec.instances in body should be greater than or equal to 1", { instances = "0" })
  create("a name of 50 letters", nil, {}, ("a"):rep(50))
  create("a name of 51 letters", "metadata.name: Invalid value", {}, ("a"):rep(51))
  create("two bootstrap methods", "spec.bootstrap: Invalid value",
    { bootstrap = "{initdb: {}, recovery: {source: x}}" })
  create("more standbys than there are", "spec.postgresql.synchronous.number",
    { postgresql = "{synchronous: {method: any, number: 3}}" })
  create("no standby to wait for", "greater than zero", { postgresql = "{synchronous: {method: any, number: 0}}" })
  create("both ways of synchronous replication", "cannot be used with postgresql.synchronous",
    { maxSyncReplicas = "1", postgresql = "{synchronous: {method: any, number: 1}}" })
  create("a supervised single instance", "spec.primaryUpdateStrategy",
    { instances = "1", primaryUpdateStrategy = "supervised" })
  create("an odd WAL segment", "must be a power of two", { bootstrap = "{initdb: {walSegmentSize: 3}}" })
  create("a catalog of another group", "spec.imageCatalogRef.apiGroup",
    { imageCatalogRef = "{apiGroup: x, kind: ImageCatalog, name: c, major: 17}" })
  create("a lease that ends too early", "spec.primaryLease.leaseDurationSeconds",
    { primaryLease = "{leaseDurationSeconds: 5}" })
  create("an object store without credentials", "spec.backup.barmanObjectStore",
    { backup = "{barmanObjectStore: {destinationPath: 's3://x'}}" })
  create("two archivers", "only one plugin may archive WAL",
    { plugins = "[{name: a, isWALArchiver: true}, {name: b, isWALArchiver: true}]" })
  create("no rw service", "the rw service cannot be disabled",
    { managed = "{services: {disabledDefaultServices: [rw]}}" })
end

local function catalogs()
  local function catalog(title, expected, kind, spec)
    judge(title, expected, kubectl("create --dry-run=server --validate=strict -f -",
      ("apiVersion: postgresql.cnpg.io/v1\nkind: %s\nmetadata: {name: c}\nspec: %s\n"):format(kind, spec)))
  end
  for _, kind in ipairs { "ImageCatalog", "ClusterImageCatalog" } do
    catalog("a " .. kind, nil, kind,
      "{images: [{major: 16, image: a}, {major: 17, image: b, extensions: [{name: x}]}]}")
    catalog("a major twice", "every major may be given once", kind,
      "{images: [{major: 16, image: a}, {major: 16, image: b}]}")
    catalog("a component twice", "every key may be given once", kind,
      "{images: [{major: 16, image: a}], componentImages: [{key: k, image: a}, {key: k, image: b}]}")
    catalog("an old major", "greater than or equal to 10", kind, "{images: [{major: 9, image: a}]}")
    catalog("an empty one", "should have at least 1 items", kind, "{images: []}")
  end
end

local function changes()
  local tablespaces, wal = "[{name: t, storage: {size: 2Gi}}]", "{size: 2Gi}"
  local function with(fields)
    fields.tablespaces = fields.tablespaces or tablespaces
    fields.walStorage = fields.walStorage or wal
    return fields
  end
  check("the cluster to change is stored", kubectl("apply --server-side -f -", manifest(with {}, "old")))
  change("a larger volume", nil, with { storage = "{size: 2Gi}" })
  change("the same size in other words", nil, with { storage = "{size: 1024Mi}" })
  change("a smaller volume", "spec.storage.size: Invalid value", with { storage = "{size: 500Mi}" })
  change("a smaller WAL volume", "spec.walStorage.size: Invalid value", with { walStorage = "{size: 1Gi}" })
  change("no WAL volume", "spec.walStorage: Invalid value", { tablespaces = tablespaces })
  change("no tablespaces", "spec.tablespaces: Invalid value", { walStorage = wal })
  change("a smaller tablespace", "cannot shrink", with { tablespaces = "[{name: t, storage: {size: 1Gi}}]" })
  change("another user id", "spec.postgresUID: Invalid value", with { postgresUID = "27" })
  check("the scale subresource works", kubectl("scale clusters.postgresql.cnpg.io/old --replicas=2"))
end

local WEBSITE = [[
apiVersion: postgresql.k8s.enterprisedb.io/v1
kind: Cluster
metadata: {name: website, namespace: default}
spec:
  description: "Backend database for our website application"
  imageName: quay.io/enterprisedb/postgresql:13.1
  instances: 3
  storage: {storageClass: standard, size: 10Gi}
]]

local function all()
  assert(kubectl("get --raw /readyz"), "the API server did not start: " .. select(2, run("tail -n 3 " .. dir
    .. "/*.log")))
  for _, group in ipairs(GROUPS) do
    local _, text = run(("lua5.4 '%s/crds/build' %s"):format(here, group))
    check("the CRDs of " .. group .. " are accepted", kubectl("apply --server-side -f -", text))
  end
  kubectl("wait --for=condition=Established crd --all --timeout=30s")
  check("a cluster of the second group is stored", kubectl("apply --server-side --validate=strict -f -", WEBSITE))
  local _, columns = kubectl("get clusters.postgresql.k8s.enterprisedb.io -o wide")
  check("the columns are those of the contract",
    columns:match("NAME%s+AGE%s+INSTANCES%s+READY%s+STATUS%s+PRIMARY%s+SYNCTOPOLOGY") ~= nil, columns)
  new_objects()
  catalogs()
  changes()
end

local processes = start()
local finished, reason = pcall(all)
for _, process in ipairs(processes) do
  run("kill -KILL " .. process)
end
run("rm -rf '" .. dir .. "'")
check("the run came to its end", finished, tostring(reason))
print(("1..%d"):format(count))
os.exit(failures == 0)
