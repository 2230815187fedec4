--- Object stores and plugins, used by backups and by external clusters.
local s = require("parts.schema")

local objectstore = {}

function objectstore.plugin()
  return s.obj {
    ["name!"] = s.str { doc = "Name of the plugin." },
    enabled = s.bool { default = true },
    isWALArchiver = s.bool { doc = "This plugin archives WAL; at most one may.", default = false },
    parameters = s.map(),
  }
end

local function count(...)
  local terms = {}
  for i, name in ipairs { ... } do
    terms[i] = ("(has(self.%s) ? 1 : 0)"):format(name)
  end
  return table.concat(terms, " + ")
end

local function compression(values, doc)
  return s.enum(values, { doc = doc })
end

local function wal()
  return s.obj {
    compression = compression({ "bzip2", "gzip", "lz4", "snappy", "xz", "zstd" },
      "Compression of WAL files."),
    encryption = s.enum { "AES256", "aws:kms" },
    maxParallel = s.int { doc = "How many files are archived or fetched at once.", minimum = 1 },
    archiveAdditionalCommandArgs = s.list(),
    restoreAdditionalCommandArgs = s.list(),
  }
end

local function data()
  return s.obj {
    compression = compression({ "bzip2", "gzip", "lz4", "snappy" }, "Compression of base backups."),
    encryption = s.enum { "AES256", "aws:kms" },
    jobs = s.int32 { doc = "Parallel uploads.", minimum = 1 },
    immediateCheckpoint = s.bool(),
    additionalCommandArgs = s.list(),
    restoreAdditionalCommandArgs = s.list(),
  }
end

function objectstore.store()
  return s.obj({
    ["destinationPath!"] = s.str { doc = "Where the files go, such as s3://bucket/path.", minLength = 1 },
    serverName = s.str { doc = "Folder below the path; the cluster's name when absent." },
    endpointURL = s.str { doc = "Address of the service, when it is not the provider's own." },
    endpointCA = s.key_ref { doc = "CA certificate of the service." },
    tags = s.map(),
    historyTags = s.map(),
    s3Credentials = s.obj {
      accessKeyId = s.key_ref(), secretAccessKey = s.key_ref(), region = s.key_ref(),
        sessionToken = s.key_ref(),
      inheritFromIAMRole = s.bool(),
    },
    azureCredentials = s.obj {
      connectionString = s.key_ref(), storageAccount = s.key_ref(), storageKey = s.key_ref(),
      storageSasToken = s.key_ref(), inheritFromAzureAD = s.bool(), useDefaultAzureCredentials = s.bool(),
    },
    googleCredentials = s.obj { applicationCredentials = s.key_ref(), gkeEnvironment = s.bool() },
    wal = wal(),
    data = data(),
  }, { rules = { s.rule(
    count("s3Credentials", "azureCredentials", "googleCredentials") .. " == 1",
    "exactly one of s3Credentials, azureCredentials and googleCredentials is needed") } })
end

function objectstore.external_cluster()
  return s.obj {
    ["name!"] = s.str { doc = "Name by which other fields refer to it." },
    connectionParameters = s.map(s.str(), { doc = "libpq connection parameters." }),
    password = s.secret_key(),
    sslCert = s.secret_key(),
    sslKey = s.secret_key(),
    sslRootCert = s.secret_key(),
    barmanObjectStore = objectstore.store(),
    plugin = objectstore.plugin(),
  }
end

function objectstore.backup()
  return s.obj({
    target = s.enum({ "primary", "prefer-standby" }, { doc = "Which instance backups are taken from.",
      default = "prefer-standby" }),
    retentionPolicy = s.str { doc = "How long backups are kept: a number and d, w or m.",
      pattern = "^[1-9][0-9]*[dwm]$" },
    barmanObjectStore = objectstore.store(),
    volumeSnapshot = s.obj {
      className = s.str(), walClassName = s.str(), tablespaceClassName = s.map(), labels = s.map(),
      annotations = s.map(),
      snapshotOwnerReference = s.enum({ "none", "cluster", "backup" }, { default = "none" }),
      online = s.bool { default = true },
      onlineConfiguration = s.obj({
        waitForArchive = s.bool { default = true }, immediateCheckpoint = s.bool(),
      }, { default = { waitForArchive = true, immediateCheckpoint = false } }),
    },
  }, { doc = "How backups are taken and kept." })
end

return objectstore
