--- Which image PostgreSQL runs from, and which major version that is.
-- luacheck: read globals array
local version = require("admission.version")

local image = {}

local function from_catalog(reference, catalog)
  if not catalog then
    return nil, ("%s %s does not exist"):format(reference.kind, reference.name)
  end
  for _, entry in ipairs((catalog.spec or {}).images or {}) do
    if entry.major == reference.major then
      return { image = entry.image, majorVersion = entry.major, extensions = entry.extensions }
    end
  end
  return nil, ("%s %s has no image of version %d"):format(reference.kind, reference.name, reference.major)
end

--- Finds the image of a cluster.
---@param spec table with its defaults
---@param catalog table? the catalog that imageCatalogRef names, nil if it does not exist
---@return {image: string, majorVersion: integer}? info as status.pgDataImageInfo holds it
---@return string? reason
function image.resolve(spec, catalog)
  if spec.imageCatalogRef then
    return from_catalog(spec.imageCatalogRef, catalog)
  end
  local found, reason = version.parse(spec.imageName)
  if not found then
    return nil, ("%s: %s"):format(tostring(spec.imageName), reason)
  end
  return { image = spec.imageName, majorVersion = found.major }
end

return image
