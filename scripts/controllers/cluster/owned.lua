--- Everything of a cluster but its instances: secrets, services, account, budgets, Lease.
-- luacheck: read globals array
local diff = require("desired.diff")
local lease = require("desired.lease")
local meta = require("desired.meta")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local pdb = require("desired.pdb")
local rbac = require("desired.rbac")
local secret = require("desired.secret")
local service = require("desired.service")
local sorted = require("desired.sorted")

local owned = {}

local RENEW_BEFORE_S = 7 * 86400
local CREATED = { ServiceAccount = "CreatingServiceAccount", Role = "CreatingRole",
  PodDisruptionBudget = "CreatingPodDisruptionBudget" }
local UPDATED = { ServiceAccount = "UpdatingServiceAccount", Role = "UpdatingRole",
  PodDisruptionBudget = "UpdatingPodDisruptionBudget" }

--- True when what is there has all that we want; owners are judged apart.
local function is_current(object, actual)
  for key, value in pairs(object) do
    if key == "metadata" then
      if not diff.covers(value.labels, actual.labels)
        or not diff.covers(value.annotations, actual.annotations) then
        return false
      end
    elseif key ~= "apiVersion" and key ~= "kind" and not diff.covers(value, actual[key]) then
      return false
    end
  end
  return true
end

--- True when somebody else's object is in the way.
local function is_foreign(p, kind, actual)
  if not actual or p:owns(actual) or not (actual.owner or actual.deleting) then
    return false
  end
  p:warn(pass.UNABLE, ("%s %s belongs to somebody else: waiting until it is gone"):format(kind, actual.name),
    "InvalidOwnership", 5)
  return true
end

local function ensure(p, object, actual)
  if is_foreign(p, object.kind, actual) or (actual and p:owns(actual) and is_current(object, actual)) then
    return
  end
  local reason = (actual and UPDATED or CREATED)[object.kind]
  if reason then
    p:event("Normal", reason, ("%s %s"):format(object.kind, object.metadata.name))
  end
  p:act(apply(object))
end

local function same_names(wanted, actual)
  local a, b = {}, {}
  for _, name in ipairs(wanted) do
    a[name] = true
  end
  for _, name in ipairs(actual or {}) do
    b[name] = true
  end
  return diff.covers(a, b) and diff.covers(b, a)
end

local function must_renew(p, entry, actual)
  local certificate = p:owns(actual) and (actual.certificates or {})[entry.key]
  if not certificate or not certificate.not_after then
    return false
  end
  return certificate.not_after - p.now < (p.seen.operator.renew_before_s or RENEW_BEFORE_S)
    or (entry.fill.usage == "server" and not same_names(entry.fill.dns_names, certificate.dns_names))
end

local function create_secret(p, entry, actual)
  if not actual then
    p:act(create_with(entry.object, entry.fill))
  elseif actual.deleting then
    is_foreign(p, "Secret", actual)
  end
end

--- The copy of the operator's secret for pulling images. The type of a secret cannot change.
local function pull_secret(p)
  local actual, source = p.seen.secrets[names.pull_secret(p.name)], p.seen.pull
  if not source then
    if actual and p:owns(actual) and not actual.deleting then
      p:delete("Secret", actual)
    end
    return
  end
  local entry = secret.pull(p.c, source)
  if not actual or not p:owns(actual) then -- one that a user made stays as it is
    create_secret(p, entry, actual)
  elseif not source.same_type then
    p:delete("Secret", actual)
  elseif not source.same_data then
    p:act(renew { kind = "Secret", namespace = p.namespace, name = actual.name, fill = entry.fill })
  end
end

local function secrets(p)
  for _, entry in ipairs(secret.certificates(p.c)) do
    local actual = p.seen.secrets[entry.object.metadata.name]
    create_secret(p, entry, actual)
    if actual and must_renew(p, entry, actual) then
      p:act(renew { kind = "Secret", namespace = p.namespace, name = actual.name, fill = entry.fill })
    end
  end
  for _, entry in ipairs(secret.users(p.c)) do
    create_secret(p, entry, p.seen.secrets[entry.object.metadata.name])
  end
  pull_secret(p)
  local superuser = p.seen.secrets[p.name .. "-superuser"]
  if superuser and not p.spec.enableSuperuserAccess and p:owns(superuser) and not superuser.deleting then
    p:delete("Secret", superuser)
  end
end

--- Makes what is wanted and takes away what is not, by name.
local function ensure_all(p, kind, wanted, actual, is_ours)
  for name, object in sorted.pairs(wanted) do
    ensure(p, object, actual[name])
  end
  for name, object in sorted.pairs(actual) do
    if not wanted[name] and p:owns(object) and not object.deleting and is_ours(object) then
      p:delete(kind, object)
    end
  end
end

local function is_ours_service(p)
  local defaults = { [p.name .. "-ro"] = true, [p.name .. "-r"] = true, [p.name .. "-any"] = true }
  return function(object)
    return defaults[object.name] or object.labels[names.MANAGED_SERVICE] == "true"
  end
end

--- Names of all pods that are or may come: those of the first serials, and those that exist.
local function instance_names(p)
  local set, list = {}, {}
  for serial = 1, p.spec.instances do
    set[names.instance(p.name, serial)] = serial
  end
  for _, instance in ipairs(p.instances) do
    set[instance.name] = instance.serial
  end
  for _, intent in ipairs(p.intents or {}) do
    set[intent.name] = intent.serial
  end
  for _, name in ipairs(sorted.keys(set)) do
    list[#list + 1] = name
  end
  table.sort(list, function(a, b)
    return set[a] < set[b]
  end)
  return list
end

local function account(p)
  local object = rbac.account(p.c, p.seen.pull ~= nil)
  if object then
    ensure(p, object, p.seen.account)
  end
  ensure(p, rbac.role(p.c, instance_names(p)), p.seen.role)
  ensure(p, rbac.binding(p.c), p.seen.binding)
end

local function primary_lease(p)
  local actual = p.seen.lease
  if actual and actual.owner and not p:owns(actual) then
    p:warn(pass.UNABLE, ("Lease %s belongs to somebody else"):format(p.name), "PrimaryLeaseConflict", 5)
  elseif not actual then
    p:act(create(lease.build(p.c)))
  elseif not p:owns(actual) and not actual.deleting then
    local object = meta.object(p.c, "Lease", p.name)
    p:act(apply(object))
  end
end

--- Plans all of them. Secrets first: pods and jobs wait for them.
function owned.plan(p)
  secrets(p)
  primary_lease(p)
  account(p)
  ensure_all(p, "Service", service.build(p.c), p.seen.services, is_ours_service(p))
  ensure_all(p, "PodDisruptionBudget", pdb.build(p.c), p.seen.budgets, function(object)
    return object.name == p.name or object.name == p.name .. "-primary"
  end)
end

return owned
