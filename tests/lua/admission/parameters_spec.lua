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
