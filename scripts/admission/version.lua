--- The PostgreSQL version that an image's tag names.
local access = require("admission.access")

local version = {}

--- Splits an image reference.
---@param image string
---@return string? tag
---@return string? digest
function version.tag(image)
  local name, digest = image:match("^(.-)@(.+)$")
  name = name or image
  return name:match(":([^:/]*)$"), digest
end

--- Reads the version out of a tag such as 13.1 or 18.6-system-trixie.
---@param image any
---@return {major: integer, minor: integer}? version
---@return string? reason
function version.parse(image)
  if type(image) ~= "string" or image == "" then
    return nil, "no image is named"
  end
  local tag, digest = version.tag(image)
  if not tag and digest then
    return nil, "a digest alone does not tell the PostgreSQL version: write NAME:VERSION@" .. digest
  end
  if not tag or tag == "latest" then
    return nil, "the tag 'latest' does not tell the PostgreSQL version: use a tag such as :18.1"
  end
  local major, rest = tag:match("^(%d%d?%d?)(.*)$")
  if not major or rest:match("^%d") then
    return nil, ("the tag '%s' does not begin with a PostgreSQL version such as 18.1"):format(tag)
  end
  local minor = rest:match("^%.(%d%d?%d?)")
  return { major = tonumber(major), minor = tonumber(minor or "0") }
end

--- The major version that a spec asks for: of its catalog entry, its image, or the default image.
---@param spec any
---@param env? {default_image?: string}
---@return integer? major
function version.major_of(spec, env)
  local from_catalog = access.int(spec, "imageCatalogRef", "major")
  if from_catalog then
    return from_catalog
  end
  local image = access.text(spec, "imageName") or (env and env.default_image)
  local found = version.parse(image)
  return found and found.major
end

return version
