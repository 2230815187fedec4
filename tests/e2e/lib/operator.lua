--- The operator under test: installed from build/install.yaml.
local kube = require("kube")
local sh = require("sh")
local M = { namespace = "moonherd-system", deployment = "moonherd-operator" }

local function path(rest)
  return "/apis/apps/v1/namespaces/" .. M.namespace .. "/deployments/" .. M.deployment .. (rest or "")
end

function M.manifest(name)
  return sh.root .. "/build/" .. (name or "install") .. ".yaml"
end

function M.pods()
  return kube.list("/api/v1/namespaces/" .. M.namespace .. "/pods")
end

--- Ready, the present generation, and no pod of an older one left.
function M.ready()
  local d = kube.get(path())
  if not d then
    return false, "no Deployment"
  end
  local s = d.status or {}
  local want = d.spec.replicas or 1
  local ok = s.observedGeneration == d.metadata.generation and (s.readyReplicas or 0) == want
    and (s.updatedReplicas or 0) == want and (s.replicas or 0) == want and #M.pods() == want
  return ok, ("%d of %d ready"):format(s.readyReplicas or 0, want)
end

function M.apply(name)
  kube.kubectl("apply", "--server-side", "--force-conflicts", "-f", M.manifest(name))
end

--- Installs where it is not there yet; returns the seconds that it took.
function M.install(timeout)
  local t0 = sh.now()
  if not kube.get(path()) then
    M.apply()
  end
  kube.wait("operator ready", timeout or 60, M.ready, 0.1)
  return (sh.now() - t0) / 1000
end

local function nodes_are_ready()
  for _, node in ipairs(kube.list("/api/v1/nodes")) do
    for _, taint in ipairs(node.spec.taints or {}) do
      if taint.key:match("^node%.kubernetes%.io/") then
        return false, node.metadata.name .. " has " .. taint.key
      end
    end
  end
  return true
end

local PROBE = [[
apiVersion: apps/v1
kind: Deployment
metadata: {name: controllers-work, namespace: %s}
spec:
  replicas: 0
  selector: {matchLabels: {app: controllers-work}}
  template:
    metadata: {labels: {app: controllers-work}}
    spec: {containers: [{name: none, image: none}]}
]]

--- After the API server was away: a Deployment that nobody needs is noticed by its controller, and what was thought of
--- the nodes meanwhile is over.
function M.settled()
  kube.apply(PROBE:format(M.namespace))
  local since
  local ok, why = pcall(kube.wait, "controllers work and all nodes are ready", 120, function()
    local probe = kube.get("/apis/apps/v1/namespaces/" .. M.namespace .. "/deployments/controllers-work")
    local well, why = nodes_are_ready()
    if not (probe and probe.status and probe.status.observedGeneration) then
      well, why = false, "a Deployment is not noticed"
    end
    if well then
      well, why = M.ready()
    end
    since = well and (since or sh.now()) or nil
    return since and sh.now() - since > 8000, why
  end, 1)
  kube.kubectl("-n", M.namespace, "delete", "deployment", "controllers-work")
  assert(ok, why)
end

function M.scale(n)
  kube.kubectl("-n", M.namespace, "scale", "deployment/" .. M.deployment, "--replicas=" .. n)
  kube.wait(n .. " operator pods", 60, function()
    local ok, why = M.ready()
    return ok and #M.pods() == n, why
  end)
end

--- Sets (or with nil removes) an environment variable of the operator; that makes a new pod.
function M.env(name, value)
  kube.kubectl("-n", M.namespace, "set", "env", "deployment/" .. M.deployment, "-c", "manager",
    value and (name .. "=" .. value) or (name .. "-"))
end

--- The node on which the operator runs.
function M.node()
  for _, p in ipairs(M.pods()) do
    if not p.metadata.deletionTimestamp and p.status.phase == "Running" then
      return p.spec.nodeName
    end
  end
end

--- Moves the operator away from a node, so that a fault there does not take both.
function M.leave(node)
  if M.node() ~= node then
    return
  end
  kube.kubectl("cordon", node)
  kube.kubectl("-n", M.namespace, "delete", "pod", "--all", "--timeout=60s")
  local ok, why = pcall(kube.wait, "operator on another node", 60, function()
    return M.ready() and M.node() ~= node
  end)
  kube.kubectl("uncordon", node)
  assert(ok, why)
end

return M
