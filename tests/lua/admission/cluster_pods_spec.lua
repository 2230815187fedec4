-- luacheck: read globals array null
local support = require("tests.lua.admission.support")
local refuses, accepts = support.refuses, support.accepts

describe("the check of scheduling", function()
  it("knows tolerations", function() -- 24
    local path = "spec.affinity.tolerations[0]"
    local function toleration(value) return function(spec) spec.affinity = { tolerations = { value } } end end
    accepts(toleration { key = "node.kubernetes.io/x", operator = "Exists", effect = "NoExecute",
      tolerationSeconds = 5 })
    accepts(toleration { operator = "Exists" })
    accepts(toleration { key = "a", value = "b", effect = "NoSchedule" })
    refuses(path .. ".key", "label name", toleration { key = "a b", operator = "Exists" })
    refuses(path .. ".key", "DNS", toleration { key = "A_/b", operator = "Exists" })
    refuses(path .. ".operator", "must be Exists", toleration { value = "x" })
    refuses(path .. ".operator", "Equal", toleration { key = "a", operator = "Like" })
    refuses(path .. ".operator", "no value", toleration { key = "a", operator = "Exists", value = "b" })
    refuses(path .. ".value", "a value holds", toleration { key = "a", value = "b c" })
    refuses(path .. ".effect", "unknown", toleration { key = "a", effect = "Never" })
    refuses(path .. ".effect", "NoExecute", toleration { key = "a", tolerationSeconds = 5 })
  end)

  it("knows anti-affinity", function() -- 25
    accepts(function(spec) spec.affinity = { podAntiAffinityType = "required" } end)
    refuses("spec.affinity.podAntiAffinityType", "'x'",
      function(spec) spec.affinity = { podAntiAffinityType = "x" } end)
  end)

  it("keeps its environment", function() -- 36
    local function variable(name) return function(spec) spec.env = { { name = name, value = "x" } } end end
    accepts(variable "TZ")
    for _, name in ipairs { "PGDATA", "pghost", "CNPG_X", "POD_NAME", "NAMESPACE", "CLUSTER_NAME" } do
      refuses("spec.env[0].name", "set by the operator", variable(name))
    end
  end)

  it("compares resources", function() -- 39
    local path = "spec.resources.requests"
    local function resources(requests, limits, buffers)
      return function(spec)
        spec.resources = { requests = requests, limits = limits }
        spec.postgresql = { parameters = { shared_buffers = buffers } }
      end
    end
    accepts(resources({ cpu = "500m", memory = "1Gi" }, { cpu = 1, memory = "1Gi" }, "256MB"))
    refuses(path .. ".cpu", "exceeds the limit", resources({ cpu = "2" }, { cpu = "1500m" }))
    refuses(path .. ".memory", "exceeds the limit", resources({ memory = "2Gi" }, { memory = "1Gi" }))
    refuses(path .. ".ephemeral-storage", "exceeds",
      resources({ ["ephemeral-storage"] = "2Gi" }, { ["ephemeral-storage"] = "1Gi" }))
    refuses(path .. ".memory", "not a quantity", resources({ memory = "much" }))
    refuses(path .. ".memory", "less than shared_buffers (1GB)", resources({ memory = "512Mi" }, nil, "1GB"))
    local pages = { ["hugepages-2Mi"] = "1Gi", memory = "512Mi" }
    accepts(resources(pages, pages, "1GB"))
    refuses(path .. ".hugepages-2Mi", "equals", resources(pages, nil, "1GB"))
    refuses("spec.resources", "cpu or memory", resources({ ["hugepages-2Mi"] = "1Gi" }, { ["hugepages-2Mi"] = "1Gi" }))
  end)
end)

describe("the check of backups and plugins", function()
  local function store(value, more)
    return function(spec)
      value.destinationPath = "s3://x"
      spec.backup = more or {}
      spec.backup.barmanObjectStore = value
    end
  end
  local path = "spec.backup.barmanObjectStore"
  local REF = { name = "a", key = "b" }

  it("wants one provider, complete", function() -- 27
    accepts(store { s3Credentials = { accessKeyId = REF, secretAccessKey = REF } })
    accepts(store { s3Credentials = { inheritFromIAMRole = true } })
    refuses(path, "credentials are missing", store {})
    refuses(path .. ".s3Credentials", "both needed", store { s3Credentials = { accessKeyId = REF } })
    refuses(path .. ".s3Credentials", "takes no keys", store { s3Credentials = { inheritFromIAMRole = true,
      sessionToken = REF } })
    refuses(path, "only one provider", store {
      s3Credentials = { inheritFromIAMRole = true }, googleCredentials = { gkeEnvironment = true } })
    accepts(store { azureCredentials = { storageAccount = REF, storageSasToken = REF } })
    accepts(store { azureCredentials = { connectionString = REF } })
    accepts(store { azureCredentials = { useDefaultAzureCredentials = true } })
    refuses(path .. ".azureCredentials", "either", store { azureCredentials = { storageAccount = REF } })
    refuses(path .. ".azureCredentials", "keep one", store {
      azureCredentials = { connectionString = REF, inheritFromAzureAD = true } })
    accepts(store { googleCredentials = { applicationCredentials = REF } })
    refuses(path .. ".googleCredentials", "is needed", store { googleCredentials = {} })
    refuses(path .. ".googleCredentials", "remove one", store {
      googleCredentials = { applicationCredentials = REF, gkeEnvironment = true } })
    refuses("spec.externalClusters[0].barmanObjectStore", "missing", function(spec)
      spec.externalClusters = { { name = "x", barmanObjectStore = { destinationPath = "s3://x" } } }
    end)
    accepts(function(spec) spec.backup = { retentionPolicy = "30d" } end)
    refuses("spec.backup.retentionPolicy", "30d", function(spec) spec.backup = { retentionPolicy = "0d" } end)
  end)

  it("wants one archiver", function() -- 43
    local function plugins(list) return function(spec) spec.plugins = list end end
    accepts(plugins { { name = "a", isWALArchiver = true }, { name = "b", isWALArchiver = true, enabled = false } })
    refuses("spec.plugins[1].isWALArchiver", "'a' archives WAL already",
      plugins { { name = "a", isWALArchiver = true }, { name = "b", isWALArchiver = true } })
    refuses(path, "archives WAL already", function(spec)
      store { s3Credentials = { inheritFromIAMRole = true } }(spec)
      spec.plugins = { { name = "a", isWALArchiver = true } }
    end)
  end)
end)
