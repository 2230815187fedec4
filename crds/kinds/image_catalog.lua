--- kinds ImageCatalog and ClusterImageCatalog: which image is run for which major version of PostgreSQL.
local postgresql = require("parts.postgresql")
local s = require("parts.schema")

local image_catalog = {}

local KEY = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

local function unique(key)
  return s.rule(("self.all(a, self.filter(b, b.%s == a.%s).size() == 1)"):format(key, key),
    ("every %s may be given once"):format(key))
end

local function spec()
  return s.obj({
    ["images!"] = s.list(s.obj {
      ["major!"] = s.int { doc = "Major version of PostgreSQL.", minimum = 10 },
      ["image!"] = s.str { doc = "Image with that version." },
      extensions = postgresql.extensions(),
    }, { doc = "One image for each major version.", minItems = 1, maxItems = 8,
      rules = { unique("major") } }),
    componentImages = s.list(s.obj {
      ["key!"] = s.str { maxLength = 63, pattern = KEY },
      ["image!"] = s.str(),
    }, { doc = "Images of other programs, by name.", maxItems = 32, rules = { unique("key") } }),
  })
end

local function definition(group, kind, scope)
  return {
    group = group, version = "v1", kind = kind, plural = kind:lower() .. "s", singular = kind:lower(),
    scope = scope, columns = { { name = "Age", type = "date", jsonPath = ".metadata.creationTimestamp" } },
    schema = s.obj({
      apiVersion = s.str(),
      kind = s.str(),
      ["metadata!"] = s.obj {},
      ["spec!"] = spec(),
    }, { doc = "Images that Clusters refer to in spec.imageCatalogRef; a change is rolled out to them." }),
  }
end

function image_catalog.crd(group)
  return definition(group, "ImageCatalog", "Namespaced")
end

--- The same for all namespaces.
image_catalog.for_all = {}

function image_catalog.for_all.crd(group)
  return definition(group, "ClusterImageCatalog", "Cluster")
end

return image_catalog
