--- How the first instance of a cluster comes into being.
local s = require("parts.schema")
local storage = require("parts.storage")

local bootstrap = {}

local function application(more)
  more.database = s.str { doc = "Name of the application's database." }
  more.owner = s.str { doc = "Role that owns it; named as the database when absent." }
  more.secret = s.name_ref { doc = "Secret with that role's name and password." }
  return more
end

local function sql_refs()
  return s.obj { secretRefs = s.list(s.key_ref()), configMapRefs = s.list(s.key_ref()) }
end

local function import()
  return s.obj {
    ["source!"] = s.obj { ["externalCluster!"] = s.str() },
    ["type!"] = s.enum { "microservice", "monolith" },
    ["databases!"] = s.list(),
    roles = s.list(),
    postImportApplicationSQL = s.list(),
    schemaOnly = s.bool(),
    pgDumpExtraOptions = s.list(),
    pgRestoreExtraOptions = s.list(),
    pgRestorePredataOptions = s.list(),
    pgRestoreDataOptions = s.list(),
    pgRestorePostdataOptions = s.list(),
  }
end

local function initdb()
  local fields = application {
    options = s.list(s.str(), { doc = "Deprecated: options passed to initdb as they are." }),
    dataChecksums = s.bool { doc = "Keep a checksum in every data page." },
    encoding = s.str(), locale = s.str(), localeCollate = s.str(), localeCType = s.str(),
    localeProvider = s.str(), icuLocale = s.str(), icuRules = s.str(), builtinLocale = s.str(),
    walSegmentSize = s.int { doc = "Size of a WAL file in MB.", minimum = 1, maximum = 1024, rules = { s.rule(
      "self < 1 || self > 1024 || self in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]",
      "walSegmentSize must be a power of two") } },
    postInitSQL = s.list(), postInitApplicationSQL = s.list(), postInitTemplateSQL = s.list(),
    postInitSQLRefs = sql_refs(), postInitApplicationSQLRefs = sql_refs(),
      postInitTemplateSQLRefs = sql_refs(),
    import = import(),
  }
  return s.obj(fields, { doc = "Start with an empty data directory.", rules = {
    s.rule("!has(self.builtinLocale) || (has(self.localeProvider) && self.localeProvider == 'builtin')",
      "builtinLocale needs localeProvider: builtin", { path = ".builtinLocale" }),
    s.rule("!has(self.icuLocale) || (has(self.localeProvider) && self.localeProvider == 'icu')",
      "icuLocale needs localeProvider: icu", { path = ".icuLocale" }),
    s.rule("!has(self.icuRules) || (has(self.localeProvider) && self.localeProvider == 'icu')",
      "icuRules needs localeProvider: icu", { path = ".icuRules" }),
  } })
end

local function recovery()
  local fields = application {
    backup = s.obj { ["name!"] = s.str(), endpointCA = s.key_ref() },
    source = s.str { doc = "External cluster whose backups and WAL are read." },
    volumeSnapshots = s.obj {
      ["storage!"] = storage.source(),
      walStorage = storage.source(),
      tablespaceStorage = s.map(storage.source()),
    },
    recoveryTarget = s.obj {
      backupID = s.str(), targetTLI = s.str(), targetXID = s.str(), targetName = s.str(), targetLSN = s.str(),
      targetTime = s.str(), targetImmediate = s.bool(), exclusive = s.bool(),
    },
  }
  return s.obj(fields, { doc = "Restore a backup, to its end or to a target.", rules = {
    s.rule("!has(self.backup) || !has(self.volumeSnapshots)",
      "backup and volumeSnapshots exclude each other", { path = ".volumeSnapshots" }),
  } })
end

function bootstrap.section()
  local copy = application { ["source!"] = s.str { minLength = 1 } }
  return s.obj({
    initdb = initdb(),
    recovery = recovery(),
    pg_basebackup = s.obj(copy, { doc = "Copy a running external cluster." }),
  }, {
    doc = "How the cluster begins: exactly one method; initdb when absent.",
    rules = { s.rule(
      "(has(self.initdb) ? 1 : 0) + (has(self.recovery) ? 1 : 0) + (has(self.pg_basebackup) ? 1 : 0) <= 1",
      "only one bootstrap method is allowed: keep one of initdb, recovery and pg_basebackup") },
  })
end

return bootstrap
