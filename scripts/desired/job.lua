--- Jobs that fill a new data volume: initdb for the first instance, join for the others.
-- luacheck: read globals array
local access = require("admission.access")
local container = require("desired.container")
local meta = require("desired.meta")
local names = require("desired.names")
local pod = require("desired.pod")
local secret = require("desired.secret")
local shell = require("desired.shell")

local job = {}

local FLAGS = {
  { "encoding", "--encoding=" }, { "localeCollate", "--lc-collate=" }, { "localeCType", "--lc-ctype=" },
  { "locale", "--locale=" }, { "localeProvider", "--locale-provider=" }, { "icuLocale", "--icu-locale=" },
  { "icuRules", "--icu-rules=" }, { "builtinLocale", "--builtin-locale=" },
  { "walSegmentSize", "--wal-segsize=" },
}

--- The arguments of initdb.
---@param spec table of the Cluster
---@return string[]
function job.initdb_flags(spec)
  local initdb, out = access.map(spec, "bootstrap", "initdb"), {}
  if #access.list(initdb, "options") > 0 then
    return initdb.options
  end
  if initdb.dataChecksums then
    out[#out + 1] = "-k"
  end
  if spec.logLevel == "debug" or spec.logLevel == "trace" then
    out[#out + 1] = "-d"
  end
  for _, flag in ipairs(FLAGS) do
    local value = initdb[flag[1]]
    if value and value ~= "" and value ~= 0 then
      out[#out + 1] = flag[2] .. tostring(value)
    end
  end
  return out
end

local function statements(out, flag, list)
  if #(list or {}) > 0 then
    out[#out + 1] = flag
    out[#out + 1] = shell.join(list)
  end
end

local function initdb_command(c)
  local initdb = access.map(c.spec, "bootstrap", "initdb")
  local out = { "init" }
  local flags = job.initdb_flags(c.spec)
  if #flags > 0 then
    out[#out + 1] = "--initdb-flags"
    out[#out + 1] = shell.join(flags)
  end
  statements(out, "--post-init-sql", initdb.postInitSQL)
  statements(out, "--post-init-application-sql", initdb.postInitApplicationSQL)
  statements(out, "--post-init-template-sql", initdb.postInitTemplateSQL)
  local application = secret.application(c.spec)
  if application then
    for _, word in ipairs { "--app-db-name", application.database, "--app-user", application.owner } do
      out[#out + 1] = word
    end
  end
  return out
end

local function command(c, words)
  local out = { container.MANAGER, "instance" }
  for _, word in ipairs(words) do
    out[#out + 1] = word
  end
  if c.spec.walStorage then
    out[#out + 1] = "--pg-wal"
    out[#out + 1] = "/var/lib/postgresql/wal/pg_wal"
  end
  out[#out + 1] = container.log_level(c.spec)
  return out
end

local function build(c, instance, serial, role, words, placement)
  local name = instance .. "-" .. role
  local labels = meta.merged(meta.standard(c),
    { [names.INSTANCE] = instance, [names.JOB_ROLE] = role })
  local object = meta.object(c, "Job", name, labels, { [names.SERIAL] = tostring(serial) })
  local spec = pod.frame(c, instance, name, placement, true)
  spec.restartPolicy = "Never"
  spec.containers = array { container.main(c, instance, role, name, command(c, words)) }
  object.spec = { template = {
    metadata = { labels = meta.labels(c, labels), annotations = meta.annotations(c) },
    spec = spec,
  } }
  return object
end

--- Makes the first instance's data.
---@param c desired.Context
---@param instance string
---@param serial integer
---@param placement table?
function job.initdb(c, instance, serial, placement)
  local object = build(c, instance, serial, "initdb", initdb_command(c), placement)
  local app = secret.user_names(c.name, c.spec).app
  if app then -- the pod waits for the secret before it starts
    local env = object.spec.template.spec.containers[1].env
    env[#env + 1] = { name = "APP_USERNAME", valueFrom = { secretKeyRef = { name = app, key = "username" } } }
  end
  return object
end

--- Clones the primary. Its address comes before the service: that leads nowhere before clients are let in,
--- and with synchronous replication they are let in only when there is a replica.
---@param address string? of the primary's pod
function job.join(c, instance, serial, placement, address)
  local parent = (address and address .. "," or "") .. c.name .. "-rw"
  return build(c, instance, serial, "join", { "join", "--parent-node", parent }, placement)
end

return job
