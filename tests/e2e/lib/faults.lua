--- What can go wrong with an instance, done from outside: nothing inside the pod takes part.
local kube = require("kube")
local sh = require("sh")
local M = {}

--- Processes of a pod: { pid, inner (its number in the container), parent (host), cmd }.
function M.processes(pod)
  local out = {}
  for line in sh.run({ sh.lab, "procs", pod.metadata.uid }):gmatch("[^\n]+") do
    local pid, inner, parent, cmd = line:match("^(%d+) (%d+) (%d+) (.*)$")
    if pid then
      out[#out + 1] = { pid = tonumber(pid), inner = tonumber(inner), parent = tonumber(parent), cmd = cmd }
    end
  end
  return out
end

local function the_one(pod, what, match)
  for _, p in ipairs(M.processes(pod)) do
    if match(p) then
      return p.pid
    end
  end
  error(("%s has no %s"):format(pod.metadata.name, what), 3)
end

--- The postmaster: "postgres -D ...", not one of its children ("postgres: ...").
function M.postmaster(pod)
  return the_one(pod, "postmaster", function(p)
    return p.cmd:find("^%S*postgres%s+%-") ~= nil
  end)
end

--- The instance manager: number 1 in its container, not the pod's pause process.
function M.manager(pod)
  return the_one(pod, "instance manager", function(p)
    return p.inner == 1 and p.cmd:find("instance run", 1, true) ~= nil
  end)
end

function M.kill_postmaster(pod)
  assert(sh.kill(M.postmaster(pod), "KILL"))
end

function M.kill_manager(pod)
  assert(sh.kill(M.manager(pod), "KILL"))
end

function M.delete_pod(pod)
  local path = ("/api/v1/namespaces/%s/pods/%s"):format(pod.metadata.namespace, pod.metadata.name)
  local _, code = kube.request("DELETE", path, { gracePeriodSeconds = 0, preconditions = { uid = pod.metadata.uid } })
  assert(code == 200, "delete: " .. code)
end

--- "node2" -> 2
function M.node_number(node)
  return assert(tonumber(node:match("^node(%d+)$")), node)
end

function M.power_off(node)
  sh.run({ sh.lab, "kill", M.node_number(node) })
end
function M.power_on(node)
  sh.run({ sh.lab, "start", M.node_number(node) })
end
function M.cut(node)
  sh.run({ sh.lab, "cut", M.node_number(node) })
end
function M.heal(node)
  sh.run({ sh.lab, "heal", M.node_number(node) })
end

function M.node_ready(node)
  local n = kube.get("/api/v1/nodes/" .. node)
  for _, c in ipairs(n and n.status.conditions or {}) do
    if c.type == "Ready" then
      return c.status == "True"
    end
  end
  return false
end

return M
