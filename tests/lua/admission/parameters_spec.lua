require("tests.lua.admission.support")
local parameters = require("desired.parameters")

local function as_map(list)
  local out = {}
  for _, one in ipairs(list) do
    out[one.name] = one.value
  end
  return out
end

describe("the parameters of PostgreSQL", function()
  it("have the defaults of the contract", function()
    for major = 13, 18 do
      local values = parameters.defaults(major)
      assert.equal("5min", values.archive_timeout)
      assert.equal("on", values.archive_mode)
      assert.equal("512MB", values.wal_keep_size)
      assert.equal("TLSv1.3", values.ssl_min_protocol_version)
      assert.equal("TLSv1.3", values.ssl_max_protocol_version)
      assert.equal("logical", values.wal_level)
      assert.equal("5s", values.wal_sender_timeout)
      assert.equal("32", values.max_replication_slots)
      assert.equal("", values.shared_preload_libraries)
      assert.equal("/controller/log", values.log_directory)
    end
    assert.is_nil(next(parameters.defaults(12)))
  end)

  it("are rows of plain data, each name once a class", function()
    local seen = {}
    for _, row in ipairs(parameters.table) do
      local key = row.class .. " " .. row.name
      assert.is_nil(seen[key], key)
      seen[key] = true
      assert.is_true(row.from >= 13 and row.to >= row.from)
      assert.is_true(row.value == nil or type(row.value) == "string")
      assert.is_true(parameters.is_valid_name(row.name))
    end
    assert.is_true(parameters.fixed.archive_command and parameters.fixed.recovery_target_xid)
    assert.is_true(parameters.blocked.data_directory and parameters.blocked.unix_socket_directories)
    assert.is_nil(parameters.fixed.work_mem)
  end)

  it("know allow_alter_system from 17 on", function()
    assert.is_nil(parameters.mandatory(16).allow_alter_system)
    assert.equal("off", parameters.mandatory(17).allow_alter_system)
    local spec = { postgresql = { enableAlterSystem = true } }
    assert.equal("on", as_map(parameters.effective(spec, 18)).allow_alter_system)
    assert.is_nil(as_map(parameters.effective(spec, 16)).allow_alter_system)
  end)

  it("are reserved in any spelling, and so is what the file format adds", function()
    for _, name in ipairs { "port", "PORT", "Listen_Addresses", "include", "INCLUDE_DIR", "include_if_exists",
      "cnpg.config_sha256", "CNPG.x", "allow_alter_system", "unix_socket_group", "Recovery_Target_XID",
      "pg_failover_slots.primary_dsn", "syslog_ident", "log_rotation_size", "hot_standby" } do
      assert.is_true(parameters.is_reserved(name), name)
    end
    for _, name in ipairs { "work_mem", "wal_level", "max_connections", "cnpgx", "includes",
      "wal_retrieve_retry_interval" } do
      assert.is_false(parameters.is_reserved(name), name)
    end
    assert.equal("5432", parameters.expected("PORT", {}, 15))
    assert.is_nil(parameters.expected("include", {}, 15))
    assert.equal("off", parameters.expected("allow_alter_system", {}, 17))
    assert.is_nil(parameters.expected("allow_alter_system", {}, 16))
    assert.equal("on", parameters.expected("allow_alter_system",
      { postgresql = { enableAlterSystem = true } }, 18))
  end)

  it("count once when they are spelled twice", function()
    local values = as_map(parameters.effective({ postgresql = { parameters = {
      Work_Mem = "1MB", work_mem = "2MB", WAL_LEVEL = "replica", PORT = "1" } } }, 15, {}))
    assert.equal("2MB", values.work_mem)
    assert.is_nil(values.Work_Mem)
    assert.equal("replica", values.WAL_LEVEL)
    assert.is_nil(values.wal_level)
    assert.equal("5432", values.port)
    assert.is_nil(values.PORT)
  end)

  it("have names of one or two words", function()
    for _, name in ipairs { "work_mem", "a.b", "pg_stat_statements.max", "_x$1" } do
      assert.is_true(parameters.is_valid_name(name), name)
    end
    for _, name in ipairs { "", "1a", "a.b.c", "a b", "a.", "a-b", 5 } do
      assert.is_false(parameters.is_valid_name(name), name)
    end
  end)

  it("preload what they imply, then what is asked for, once", function()
    local spec = { postgresql = {
      parameters = { ["pg_stat_statements.max"] = "1", ["auto_explain.log_min_duration"] = "1",
        ["pgaudit.log"] = "all" },
      shared_preload_libraries = { "timescaledb", "pgaudit", "timescaledb", "" },
    } }
    assert.same({ "pgaudit", "pg_stat_statements", "auto_explain", "timescaledb" }, parameters.preload_libraries(spec))
    assert.same({}, parameters.preload_libraries({}))
    assert.is_true(parameters.uses_extension(spec, "pgaudit"))
    assert.is_false(parameters.uses_extension(spec, "pg_failover_slots"))
  end)

  it("know replica clusters and their archive_mode", function()
    assert.is_false(parameters.is_replica({}, "a"))
    assert.is_true(parameters.is_replica({ replica = { enabled = true } }, "a"))
    assert.is_false(parameters.is_replica({ replica = { enabled = false, primary = "b" } }, "a"))
    assert.is_true(parameters.is_replica({ replica = { primary = "b" } }, "a"))
    assert.is_false(parameters.is_replica({ replica = { primary = "a" } }, "a"))
    assert.is_false(parameters.is_replica({ replica = { primary = "b", self = "b" } }, "a"))
    assert.equal("on", parameters.archive_mode({}))
    assert.equal("always", parameters.archive_mode({ replica = { enabled = true } }))
    assert.equal("off", parameters.archive_mode({ replica = { enabled = true } }, { archiving_skipped = true }))
  end)

  it("are put together in order: defaults, the user's, the operator's", function()
    local spec = {
      postgresql = { parameters = { work_mem = "8MB", wal_level = "replica", port = "1", log_directory = "/x" },
        shared_preload_libraries = { "x" } },
      replica = { enabled = true, minApplyDelay = "1h" },
    }
    local list = parameters.effective(spec, 17, { cluster_name = "web", extra = { synchronous_standby_names = "s" } })
    local values = as_map(list)
    assert.equal("8MB", values.work_mem)
    assert.equal("200ms", values.wal_retrieve_retry_interval)
    assert.is_nil(parameters.defaults(17).wal_retrieve_retry_interval)
    assert.equal("replica", values.wal_level)
    assert.equal("5432", values.port)
    assert.equal("/controller/log", values.log_directory)
    assert.equal("web", values.cluster_name)
    assert.equal("x", values.shared_preload_libraries)
    assert.equal("always", values.archive_mode)
    assert.equal("3600000ms", values.recovery_min_apply_delay)
    assert.equal("s", values.synchronous_standby_names)
    for i = 2, #list do
      assert.is_true(list[i - 1].name < list[i].name)
    end
  end)
end)
