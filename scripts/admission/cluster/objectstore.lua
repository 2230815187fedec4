--- Checks of backups, object stores and plugins.
local access = require("admission.access")

local objectstore = {}

local PROVIDERS = { "s3Credentials", "azureCredentials", "googleCredentials" }

local function has_all(section, ...)
  for _, key in ipairs { ... } do
    if not access.has(section, key) then
      return false
    end
  end
  return true
end

local function has_any(section, ...)
  for _, key in ipairs { ... } do
    if access.has(section, key) then
      return true
    end
  end
  return false
end

local FAULTS = {}

function FAULTS.s3Credentials(section)
  local keys = has_any(section, "accessKeyId", "secretAccessKey")
  if access.is_true(section, "inheritFromIAMRole") then
    return (keys or has_any(section,
      "sessionToken")) and "inheritFromIAMRole takes no keys: remove one of both"
  end
  return not has_all(section, "accessKeyId", "secretAccessKey")
    and "accessKeyId and secretAccessKey are both needed, or inheritFromIAMRole"
end

local function azure_ways(section)
  local ways = 0
  for _, flag in ipairs { "inheritFromAzureAD", "useDefaultAzureCredentials" } do
    ways = ways + (access.is_true(section, flag) and 1 or 0)
  end
  return ways + (has_any(section, "connectionString") and 1 or 0)
end

function FAULTS.azureCredentials(section)
  local ways, keys = azure_ways(section), has_any(section, "storageAccount", "storageKey", "storageSasToken")
  if ways > 1 or (ways == 1 and keys) then
    return "keep one of connectionString, inheritFromAzureAD, useDefaultAzureCredentials and account with key"
  end
  if ways == 1 then
    return false
  end
  local key, token = access.has(section, "storageKey"), access.has(section, "storageSasToken")
  if not access.has(section, "storageAccount") or key == token then
    return "storageAccount with either storageKey or storageSasToken is needed, or another way to log in"
  end
  return false
end

function FAULTS.googleCredentials(section)
  local file, inside = access.has(section, "applicationCredentials"), access.is_true(section,
    "gkeEnvironment")
  if file and inside then
    return "gkeEnvironment takes no applicationCredentials: remove one"
  end
  return not file and not inside and "applicationCredentials or gkeEnvironment is needed"
end

-- 27. One provider of credentials, complete.
local function check_store(c, path, store)
  if type(store) ~= "table" then
    return
  end
  local given = {}
  for _, provider in ipairs(PROVIDERS) do
    if access.has(store, provider) then
      given[#given + 1] = provider
      local fault = FAULTS[provider](store[provider])
      if fault then
        c:add(path .. "." .. provider, "%s", fault)
      end
    end
  end
  if #given == 0 then
    c:add(path, "credentials are missing: add one of %s", table.concat(PROVIDERS, ", "))
  elseif #given > 1 then
    c:add(path, "only one provider of credentials is allowed: keep one of %s", table.concat(given, ", "))
  end
end

local function stores(c)
  check_store(c, "spec.backup.barmanObjectStore", access.get(c.spec, "backup", "barmanObjectStore"))
  for i, entry in ipairs(access.list(c.spec, "externalClusters")) do
    check_store(c, ("spec.externalClusters[%d].barmanObjectStore"):format(i - 1),
      access.get(entry, "barmanObjectStore"))
  end
  local policy = access.text(c.spec, "backup", "retentionPolicy")
  if policy and not policy:match("^[1-9]%d*[dwm]$") then
    c:add("spec.backup.retentionPolicy", "'%s' is not a number with d, w or m, such as 30d", policy)
  end
end

-- 43. One archiver of WAL.
local function archivers(c)
  local first
  for i, plugin in ipairs(access.list(c.spec, "plugins")) do
    if access.is_true(plugin, "isWALArchiver") and access.get(plugin, "enabled") ~= false then
      if first then
        c:add(("spec.plugins[%d].isWALArchiver"):format(i - 1), "the plugin '%s' archives WAL already", first)
      end
      first = first or access.text(plugin, "name") or ""
    end
  end
  if first and access.has(c.spec, "backup", "barmanObjectStore") then
    c:add("spec.backup.barmanObjectStore", "the plugin '%s' archives WAL already: remove one of both", first)
  end
end

objectstore.checks = { stores, archivers }

return objectstore
