--- The API, as scenarios need it. What fails answers nil and a reason; nothing raises.
local state = require "chaos.lib.state"

local kube = {}

local GROUPS = {
  clusters = "/apis/postgresql.cnpg.io/v1", leases = "/apis/coordination.k8s.io/v1",
  deployments = "/apis/apps/v1",
}
local CLUSTER_WIDE = { nodes = true, namespaces = true }

function kube.path(plural, name, ns)
  local path = GROUPS[plural] or "/api/v1"
  if not CLUSTER_WIDE[plural] then path = path .. "/namespaces/" .. (ns or state.input.namespace) end
  return path .. "/" .. plural .. (name and "/" .. name or "")
end

function kube.call(method, path, body, content_type)
  local a = state.ctx.api { method = method, path = path, body = body, type = content_type, timeout = 10 }
  if a.error then return nil, a.error, a.status end
  return a.body or {}
end

function kube.get(plural, name, ns) return kube.call("GET", kube.path(plural, name, ns)) end

function kube.list(plural, selector, ns)
  local query = selector and "?labelSelector=" .. selector:gsub("=", "%%3D"):gsub(",", "%%2C") or ""
  local got, why = kube.call("GET", kube.path(plural, nil, ns) .. query)
  return got and got.items, why
end

function kube.create(plural, object) return kube.call("POST", kube.path(plural), object) end

--- A merge patch; null takes a field away.
function kube.patch(plural, name, change, ns)
  return kube.call("PATCH", kube.path(plural, name, ns), change, "application/merge-patch+json")
end

--- options: gracePeriodSeconds and so on.
function kube.delete(plural, name, options)
  return kube.call("DELETE", kube.path(plural, name), options)
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- The bytes of a Secret's value.
function kube.decode(text)
  local out, bits, n = {}, 0, 0
  for c in text:gmatch "[%w+/]" do
    bits, n = (bits << 6 | (DIGITS:find(c, 1, true) - 1)) & 0xffffff, n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 255)
    end
  end
  return table.concat(out)
end

return kube
