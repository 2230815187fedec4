--- Controller of kind Cluster: one PostgreSQL primary and its standbys.
local guard = require("controllers.cluster.guard")
local heal = require("controllers.cluster.heal")
local hibernation = require("controllers.cluster.hibernation")
local instances = require("controllers.cluster.instances")
local observe = require("controllers.cluster.observe")
local owned = require("controllers.cluster.owned")
local pass = require("controllers.cluster.pass")
local ranking = require("controllers.cluster.ranking")
local roles = require("controllers.cluster.roles")
local rollout = require("controllers.cluster.rollout")
local scale = require("controllers.cluster.scale")
local shapes = require("controllers.cluster.shapes")
local status = require("controllers.cluster.status")
local synchrony = require("controllers.cluster.synchrony")
local volumes = require("controllers.cluster.volumes")

--- The routine part, when nothing stands against it.
local function routine(p)
  if guard.is_invalid(p) or not guard.resolve_image(p) or guard.is_unsupported(p) then
    return
  end
  p.intents = instances.intents(p)
  owned.plan(p)
  hibernation.plan(p)
  volumes.plan(p)
  shapes.plan(p)
  synchrony.plan(p)
  ranking.plan(p)
  instances.plan(p)
  scale.plan(p)
  heal.plan(p)
  roles.drain(p)
  rollout.plan(p)
end

--- Turns what was seen into actions, a status, and one sentence. Pure.
---@param seen table
---@return plugin.Plan
local function plan(seen)
  local rest = guard.rest(seen)
  if rest then
    return outcome { actions = array {}, reason = rest }
  end
  local p = pass.new(seen, guard.defaulted(seen))
  if guard.clash(p) then
    return status.finish(p)
  end
  roles.steps(p)
  roles.labels(p)
  routine(p)
  roles.mirror(p)
  status.describe(p)
  return status.finish(p)
end

local ALL = { "get", "list", "watch", "create", "patch", "delete" }
local MADE = { "get", "list", "watch", "create", "patch" }
local READ = { "get", "list", "watch" }

local function need(group, resource, verbs)
  return { group = group, resource = resource, verbs = verbs }
end

return controller "Cluster" {
  api = "postgresql.cnpg.io/v1",
  owns = {
    "Pod", "PersistentVolumeClaim", "Job", "Service", "Secret", "ServiceAccount", "Role", "RoleBinding",
    "PodDisruptionBudget", "Lease",
  },
  watches = { "Node", "ImageCatalog", "ClusterImageCatalog" },
  needs = {
    api = {
      need("", "pods", ALL), need("", "persistentvolumeclaims", ALL), need("batch", "jobs", ALL),
      need("", "services", ALL), need("", "secrets", ALL), need("", "serviceaccounts", MADE),
      need("rbac.authorization.k8s.io", "roles", MADE),
      need("rbac.authorization.k8s.io", "rolebindings", MADE),
      need("policy", "poddisruptionbudgets", ALL), need("coordination.k8s.io", "leases", MADE),
      need("", "nodes", READ), need("postgresql.cnpg.io", "imagecatalogs", READ),
      need("postgresql.cnpg.io", "clusterimagecatalogs", READ),
    },
    core = {
      "checks", "digests", "failover", "fleet", "instances", "labels", "operator", "plans", "policies",
      "values",
    },
  },
  observe = observe.run,
  plan = plan,
}
