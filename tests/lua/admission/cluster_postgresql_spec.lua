-- luacheck: read globals array null
local support = require("tests.lua.admission.support")
local refuses, accepts = support.refuses, support.accepts

describe("the check of PostgreSQL's configuration", function()
  local PATH = "spec.postgresql.parameters."
  local function with(values, also)
    return function(spec, cluster)
      spec.postgresql = { parameters = values }
      if also then also(spec, cluster) end
    end
  end

  it("knows names, and what it keeps for itself", function() -- 28
    accepts(with { work_mem = "8MB", ["pgaudit.log"] = "all", log_destination = "csvlog", archive_mode = "on",
      port = "5432" })
    refuses(PATH .. "a b", "not the name", with { ["a b"] = "1" })
    for _, name in ipairs { "port", "data_directory", "recovery_target_time", "log_destination", "syslog_ident",
      "unix_socket_group", "primary_conninfo", "shared_preload_libraries", "archive_mode",
        "synchronous_standby_names" } do
      refuses(PATH .. name, "kept by the operator", with { [name] = "x" })
    end
  end)

  it("supports PostgreSQL from 13 on", function() -- 28
    refuses("spec.imageName", "PostgreSQL 12 is not supported", function(spec) spec.imageName = "pg:12.3" end)
    refuses("spec.imageCatalogRef.major", "12", function(spec)
      spec.imageName, spec.imageCatalogRef = nil, { apiGroup = "postgresql.cnpg.io", kind = "ImageCatalog",
        name = "c", major = 12 }
    end)
  end)

  it("knows levels of WAL", function() -- 28
    local function lonely(spec, cluster)
      spec.instances = 1
      cluster.metadata.annotations["cnpg.io/skipWalArchiving"] = "enabled"
    end
    accepts(with { wal_level = "replica" })
    refuses(PATH .. "wal_level", "unknown", with { wal_level = "hot_standby" })
    refuses(PATH .. "wal_level", "standbys", with { wal_level = "minimal" })
    refuses(PATH .. "wal_level", "archiving", with({ wal_level = "minimal", max_wal_senders = "0" },
      function(spec) spec.instances = 1 end))
    refuses(PATH .. "wal_level", "max_wal_senders", with({ wal_level = "minimal" }, lonely))
    accepts(with({ wal_level = "minimal", max_wal_senders = "0" }, lonely))
    refuses(PATH .. "wal_level", "a replica cluster", with({ wal_level = "minimal", max_wal_senders = "0" },
      function(spec, cluster)
      lonely(spec, cluster)
      spec.replica, spec.bootstrap = { enabled = true, source = "b" }, { pg_basebackup = { source = "b" } }
      spec.externalClusters = { { name = "b", connectionParameters = { host = "b" } } }
    end))
  end)

  it("reads booleans and sizes", function() -- 28
    accepts(with { hot_standby_feedback = "t", sync_replication_slots = "off", wal_log_hints = "yes" })
    for _, name in ipairs { "hot_standby_feedback", "sync_replication_slots", "wal_log_hints" } do
      refuses(PATH .. name, "not a boolean", with { [name] = "perhaps" })
    end
    refuses(PATH .. "wal_log_hints", "rewound", with { wal_log_hints = "off" })
    accepts(with({ wal_log_hints = "off" }, function(spec) spec.instances = 1 end))
    accepts(with { shared_buffers = "256MB" })
    refuses(PATH .. "shared_buffers", "not a size", with { shared_buffers = "256Mi" })
    accepts(with { min_wal_size = "512MB", max_wal_size = "2GB" })
    refuses(PATH .. "min_wal_size", "must be less", with { min_wal_size = "2GB" })
    refuses(PATH .. "max_wal_size", "must be less", with { max_wal_size = "80MB" })
    refuses(PATH .. "max_wal_size", "not a size", with { max_wal_size = "big" })
    local function wal(spec) spec.walStorage = { size = "1Gi" } end
    accepts(with({}, wal))
    accepts(with({ max_wal_size = "900MB" }, wal))
    refuses(PATH .. "max_wal_size", "does not fit", with({ max_wal_size = "1GB" }, wal))
  end)

  it("knows LDAP", function() -- 32
    local function ldap(value) return function(spec) spec.postgresql = { ldap = value } end end
    accepts(ldap { server = "x", bindAsAuth = {} })
    refuses("spec.postgresql.ldap.server", "needed", ldap {})
    refuses("spec.postgresql.ldap", "exclude", ldap { server = "x", bindAsAuth = {}, bindSearchAuth = {} })
  end)

  it("replaces selectors in host lines", function() -- 45
    local function lines(list, refs)
      return function(spec)
        spec.postgresql = { pg_hba = list }
        spec.podSelectorRefs = refs or { { name = "web", selector = { matchLabels = { app = "web" } } } }
      end
    end
    accepts(lines { "host all all ${podselector:web} md5", "host all all 10.0.0.0/8 md5" })
    refuses("spec.postgresql.pg_hba[0]", "not among", lines { "host all all ${podselector:other} md5" })
    refuses("spec.postgresql.pg_hba[0]", "only one", lines { "host ${podselector:web} all ${podselector:web} md5" })
    refuses("spec.postgresql.pg_hba[1]", "unknown", lines { "x", "host all all ${service:web} md5" })
    refuses("spec.podSelectorRefs[1].name", "twice", lines({}, { { name = "a", selector = {} }, { name = "a",
      selector = {} } }))
    local function expression(value) return lines({}, { { name = "a",
      selector = { matchExpressions = { value } } } }) end
    local path = "spec.podSelectorRefs[0].selector.matchExpressions[0]"
    accepts(expression { key = "a", operator = "In", values = { "b" } })
    accepts(expression { key = "a", operator = "Exists" })
    refuses(path .. ".operator", "use In", expression { key = "a", operator = "Like" })
    refuses(path .. ".values", "needs values", expression { key = "a", operator = "NotIn" })
    refuses(path .. ".values", "takes no values", expression { key = "a", operator = "Exists", values = { "b" } })
    refuses(path .. ".key", "empty", expression { key = "", operator = "Exists" })
  end)
end)

describe("the check of what is managed", function()
  it("keeps its services", function() -- 37
    local path = "spec.managed.services"
    local function services(value) return function(spec) spec.managed = { services = value } end end
    local function named(name, spec) return { selectorType = "rw", serviceTemplate = { metadata = { name = name },
      spec = spec } } end
    accepts(services { disabledDefaultServices = { "ro", "r" }, additional = { named("lb",
      { type = "LoadBalancer" }) } })
    refuses(path .. ".disabledDefaultServices[0]", "cannot be disabled",
      services { disabledDefaultServices = { "rw" } })
    refuses(path .. ".additional[0].serviceTemplate.metadata.name", "needs a name",
      services { additional = { named(nil) } })
    refuses(path .. ".additional[1].serviceTemplate.metadata.name", "twice",
      services { additional = { named("a"), named("a") } })
    for _, suffix in ipairs { "rw", "ro", "r", "any" } do
      refuses(path .. ".additional[0].serviceTemplate.metadata.name", "belongs to the operator",
        services { additional = { named("website-" .. suffix) } })
    end
    refuses(path .. ".additional[0].serviceTemplate.spec.selector", "remove it",
      services { additional = { named("a", { selector = { x = "y" } }) } })
  end)

  it("keeps its roles", function() -- 38
    local function roles(...)
      local list = { ... }
      return function(spec) spec.managed = { roles = list } end
    end
    accepts(roles({ name = "a", connectionLimit = 5 }, { name = "b", passwordSecret = { name = "s" } }))
    refuses("spec.managed.roles[1].name", "twice", roles({ name = "a" }, { name = "a" }))
    refuses("spec.managed.roles[0].connectionLimit", "-2", roles { name = "a", connectionLimit = -2 })
    for _, name in ipairs { "postgres", "streaming_replica", "pg_x", "cnpg_x" } do
      refuses("spec.managed.roles[0].name", "belongs to", roles { name = name })
    end
    refuses("spec.managed.roles[0].disablePassword", "exclude",
      roles { name = "a", disablePassword = true, passwordSecret = { name = "s" } })
  end)

  it("knows extensions by image", function() -- 46
    local path = "spec.postgresql.extensions[0]"
    local function extensions(...)
      local list = { ... }
      for _, one in ipairs(list) do
        one.image = one.image or { reference = "x:1" }
      end
      return function(spec) spec.postgresql = { extensions = list } end
    end
    accepts(extensions({ name = "a", bin_path = { "bin", "./x" }, env = { { name = "X",
      value = "${image_root}/a $${b}" } } }, { name = "b" }))
    refuses("spec.postgresql.extensions[1].name", "twice", extensions({ name = "a" }, { name = "a" }))
    refuses("spec.postgresql.extensions[1].name", "share", extensions({ name = "a_b" }, { name = "a-b" }))
    refuses(path .. ".image.reference", "needed", extensions { name = "a", image = {} })
    for _, field in ipairs { "extension_control_path", "dynamic_library_path", "ld_library_path", "bin_path" } do
      refuses(path .. "." .. field .. "[0]", "must not be empty", extensions { name = "a", [field] = { "" } })
      refuses(path .. "." .. field .. "[0]", "leads out", extensions { name = "a", [field] = { "/x" } })
      refuses(path .. "." .. field .. "[0]", "leads out", extensions { name = "a", [field] = { "x/../../y" } })
      refuses(path .. "." .. field .. "[1]", "twice", extensions { name = "a", [field] = { "x", "x" } })
    end
    for _, name in ipairs { "PATH", "LD_LIBRARY_PATH", "PGDATA", "POD_NAME" } do
      refuses(path .. ".env[0].name", "set by the operator", extensions { name = "a", env = { { name = name,
        value = "x" } } })
    end
    refuses(path .. ".env[1].name", "twice", extensions { name = "a", env = { { name = "A", value = "x" },
      { name = "A", value = "x" } } })
    refuses(path .. ".env[0].value", "'${home}' is unknown", extensions { name = "a", env = { { name = "A",
      value = "${home}" } } })
  end)
end)
