--- Secrets of a cluster as actions: what is in them is made by the core and never seen here.
-- luacheck: read globals array
local access = require("admission.access")
local meta = require("desired.meta")
local names = require("desired.names")

local secret = {}

local MANAGED = { ["app.kubernetes.io/managed-by"] = "cloudnative-pg" }

--- Who owns which database of the application; nil when there is none.
---@param spec table with its defaults
---@return {database: string, owner: string, secret: string?}?
function secret.application(spec)
  local bootstrap = spec.bootstrap or {}
  local section = bootstrap.recovery or bootstrap.pg_basebackup or bootstrap.initdb
  if not section or not section.database or section.database == "" then
    return nil
  end
  return { database = section.database, owner = section.owner or section.database,
    secret = (section.secret or {}).name }
end

local function user_secret(c, kind, username, dbname)
  local object = meta.object(c, "Secret", c.name .. "-" .. kind,
    meta.merged(MANAGED, { [names.USER_TYPE] = kind, [names.RELOAD] = "true" }))
  object.type = "kubernetes.io/basic-auth"
  return { object = object, fill = {
    type = "password", username = username, dbname = dbname, host = c.name .. "-rw", port = 5432,
    namespace = c.namespace, cluster_domain = c.operator.cluster_domain or "cluster.local",
  } }
end

--- Names under which a service answers.
local function service_names(out, c, name)
  local domain = c.operator.cluster_domain or "cluster.local"
  for _, suffix in ipairs { "", "." .. c.namespace, "." .. c.namespace .. ".svc",
    "." .. c.namespace .. ".svc." .. domain } do
    out[#out + 1] = name .. suffix
  end
end

--- DNS names in the server's certificate, each once, in a fixed order.
---@param c desired.Context
---@return string[]
function secret.dns_names(c)
  local all = {}
  for _, kind in ipairs { "rw", "r", "ro" } do
    service_names(all, c, c.name .. "-" .. kind)
  end
  for _, entry in ipairs(access.list(c.spec, "managed", "services", "additional")) do
    local name = access.text(entry, "serviceTemplate", "metadata", "name")
    if name then
      service_names(all, c, name)
    end
  end
  for _, name in ipairs(access.list(c.spec, "certificates", "serverAltDNSNames")) do
    all[#all + 1] = name
  end
  local out, seen = array {}, {}
  for _, name in ipairs(all) do
    if not seen[name] then
      seen[name] = true
      out[#out + 1] = name
    end
  end
  return out
end

local function tls(c, name, fill)
  local object = meta.object(c, "Secret", name)
  object.type = "kubernetes.io/tls"
  return { object = object, fill = fill, key = "tls.crt" }
end

--- The certificates that are ours to make, in the order in which they can be made.
---@param c desired.Context
---@return {object: table, fill: table, key: string}[]
function secret.certificates(c)
  local use, out = names.certificates(c.name, c.spec), {}
  if use.own.server_ca or use.own.client_ca then
    local object = meta.object(c, "Secret", c.name .. "-ca")
    object.type = "Opaque"
    out[#out + 1] = { object = object, key = "ca.crt", fill = { type = "ca", cn = c.name, ou = c.namespace } }
  end
  if use.own.server then
    out[#out + 1] = tls(c, use.server, { type = "certificate", ca = use.server_ca, cn = c.name .. "-rw",
      dns_names = secret.dns_names(c), usage = "server" })
  end
  if use.own.replication then
    out[#out + 1] = tls(c, use.replication, { type = "certificate", ca = use.client_ca,
      cn = "streaming_replica", dns_names = array {}, usage = "client" })
  end
  return out
end

--- The secrets with passwords that are ours to make.
---@param c desired.Context
---@return {object: table, fill: table}[]
function secret.users(c)
  local out, application = {}, secret.application(c.spec)
  if application and not application.secret then
    out[#out + 1] = user_secret(c, "app", application.owner, application.database)
  end
  if c.spec.enableSuperuserAccess and not (c.spec.superuserSecret or {}).name then
    out[#out + 1] = user_secret(c, "superuser", "postgres", "*")
  end
  return out
end

--- A copy of the operator's secret for pulling images.
---@param c desired.Context
---@param source {namespace: string, name: string, type: string}
function secret.pull(c, source)
  local object = meta.object(c, "Secret", names.pull_secret(c.name), MANAGED)
  object.type = source.type
  return { object = object, fill = { type = "copy", namespace = source.namespace, name = source.name } }
end

--- Names of the secrets with passwords, ours or the user's: app and superuser, nil where there is none.
---@param name string of the cluster
---@param spec table with its defaults
---@return {app: string?, superuser: string?}
function secret.user_names(name, spec)
  local application = secret.application(spec)
  return {
    app = application and (application.secret or name .. "-app") or nil,
    superuser = spec.enableSuperuserAccess
      and ((spec.superuserSecret or {}).name or name .. "-superuser") or nil,
  }
end

return secret
