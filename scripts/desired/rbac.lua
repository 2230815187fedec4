--- The account of a cluster's instances, and what it may do: only its own objects, by name.
-- luacheck: read globals array
local json = require("desired.json")
local meta = require("desired.meta")
local names = require("desired.names")
local secret = require("desired.secret")
local sorted = require("desired.sorted")

local rbac = {}

--- The name of the account that instances run under.
---@param c desired.Context
---@return string
function rbac.account_name(c)
  return c.spec.serviceAccountName or c.name
end

---@param c desired.Context
---@param with_pull boolean? the operator's secret for pulling images is copied
---@return table? object nil when the user brings his own account
function rbac.account(c, with_pull)
  if c.spec.serviceAccountName then
    return nil
  end
  local template = (c.spec.serviceAccountTemplate or {}).metadata or {}
  local pull, listed = array {}, array {}
  for _, reference in ipairs(c.spec.imagePullSecrets or {}) do
    pull[#pull + 1] = { name = reference.name }
    listed[#listed + 1] = reference.name
  end
  if with_pull then
    pull[#pull + 1] = { name = names.pull_secret(c.name) }
    listed[#listed + 1] = names.pull_secret(c.name)
  end
  local object = meta.object(c, "ServiceAccount", c.name, template.labels, meta.merged(template.annotations,
    { [names.MANAGED_SECRETS] = json.encode(listed) }))
  object.automountServiceAccountToken = false
  if #pull > 0 then
    object.imagePullSecrets = pull
  end
  return object
end

local function list(set)
  local out = array {}
  for _, name in ipairs(sorted.keys(set)) do
    out[#out + 1] = name
  end
  return out
end

--- Adds `name` of each selector in the list.
local function add_names(set, selectors)
  for _, selector in ipairs(selectors or {}) do
    if selector.name then
      set[selector.name] = true
    end
  end
end

local function config_maps(c)
  local set = { [c.name] = true }
  add_names(set, (c.spec.monitoring or {}).customQueriesConfigMap)
  return list(set)
end

--- Secrets that the manifest names.
local function named_by_user(c, set)
  add_names(set, (c.spec.monitoring or {}).customQueriesSecret)
  for _, role in ipairs((c.spec.managed or {}).roles or {}) do
    add_names(set, { role.passwordSecret })
  end
  local ldap = (c.spec.postgresql or {}).ldap
  add_names(set, { ldap and (ldap.bindSearchAuth or {}).bindPassword })
  for _, external in ipairs(c.spec.externalClusters or {}) do
    for _, key in ipairs { "password", "sslCert", "sslKey", "sslRootCert" } do
      add_names(set, { external[key] })
    end
  end
end

local function secrets(c)
  local use, users = names.certificates(c.name, c.spec), secret.user_names(c.name, c.spec)
  local set = {
    [use.server_ca] = true, [use.client_ca] = true, [use.server] = true, [use.replication] = true,
    [users.app or use.server] = true, [users.superuser or use.server] = true,
  }
  named_by_user(c, set)
  return list(set)
end

local function rule(group, resource, verbs, resource_names)
  return { apiGroups = array { group }, resources = array { resource }, verbs = array(verbs),
    resourceNames = resource_names }
end

--- What Kubernetes can name is named. It cannot for creating events.
---@param c desired.Context
---@param instances string[] names of all pods that are or are about to be
function rbac.role(c, instances)
  local own, group = array { c.name }, meta.group(c.cluster.apiVersion)
  local pods = array {}
  for _, name in ipairs(instances) do
    pods[#pods + 1] = name
  end
  local object = meta.object(c, "Role", c.name)
  object.rules = array {
    rule("", "configmaps", { "get", "watch" }, config_maps(c)),
    rule("", "secrets", { "get", "watch" }, secrets(c)),
    rule(group, "clusters", { "get", "list", "watch" }, own),
    rule(group, "clusters/status", { "get", "patch", "update", "watch" }, own),
    rule("", "events", { "create", "patch" }),
    rule("coordination.k8s.io", "leases", { "get", "list", "update", "patch", "watch" }, own),
  }
  if #pods > 0 then
    object.rules[#object.rules + 1] = rule("", "pods", { "get", "patch" }, pods)
  end
  return object
end

---@param c desired.Context
function rbac.binding(c)
  local object = meta.object(c, "RoleBinding", c.name)
  object.roleRef = { apiGroup = "rbac.authorization.k8s.io", kind = "Role", name = c.name }
  object.subjects = array {
    { kind = "ServiceAccount", name = rbac.account_name(c), namespace = c.namespace },
  }
  return object
end

return rbac
