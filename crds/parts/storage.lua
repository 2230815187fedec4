--- Volumes: data, WAL, tablespaces.
local s = require("parts.schema")

local storage = {}

local POSITIVE = s.rule(
  "self == '' || (isQuantity(self) && quantity(self).isGreaterThan(quantity('0')))",
  "the size must be a quantity greater than zero, such as 10Gi"
)

local NO_SHRINK = s.rule(
  "!has(self.size) || !has(oldSelf.size) || !isQuantity(self.size) || !isQuantity(oldSelf.size)"
    .. " || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",
  "'a volume cannot shrink: asked for ' + self.size + ', it has ' + oldSelf.size",
  { path = ".size", expression = true }
)

---@param doc string
---@param transition boolean whether the old value can be told (not so inside lists)
function storage.configuration(doc, transition)
  return s.obj({
    storageClass = s.str { doc = "Storage class of the claim; the cluster's default when absent." },
    size = s.str { doc = "Size of the volume, such as 10Gi. It may grow, never shrink.", maxLength = 63,
      rules = { POSITIVE } },
    resizeInUseVolumes = s.bool { doc = "Grow existing volumes when the size grows.", default = true },
    pvcTemplate = s.any { doc = "PersistentVolumeClaimSpec that the claim starts from." },
  }, { doc = doc, rules = transition and { NO_SHRINK } or nil })
end

function storage.tablespaces()
  return s.list(s.obj {
    ["name!"] = s.str { maxLength = 63, pattern = "^[a-zA-Z_][a-zA-Z0-9_$]*$", rules = {
      s.rule("!self.startsWith('pg_')", "tablespace names that begin with pg_ belong to PostgreSQL"),
    } },
    ["storage!"] = storage.configuration("Volume of this tablespace.", false),
    owner = s.obj { name = s.str() },
    temporary = s.bool { doc = "Use it for temporary objects.", default = false },
  }, {
    doc = "Tablespaces, each on a volume of its own in every instance.",
    maxItems = 128,
    rules = {
      s.rule("oldSelf.all(o, self.exists(n, n.name == o.name))", "a tablespace cannot be removed"),
      s.rule("self.all(n, oldSelf.all(o, n.name != o.name || !has(n.storage.size) || !has(o.storage.size)"
        .. " || !isQuantity(n.storage.size) || !isQuantity(o.storage.size)"
        .. " || quantity(n.storage.size).compareTo(quantity(o.storage.size)) >= 0))",
        "the volume of a tablespace cannot shrink"),
    },
  })
end

--- Where volumes come from when a cluster is made out of snapshots or other claims.
function storage.source()
  return s.atomic { apiGroup = s.str(), ["kind!"] = s.str(), ["name!"] = s.str() }
end

return storage
