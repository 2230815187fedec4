--- Checks of extensions that come as images.
local access = require("admission.access")
local scheduling = require("admission.cluster.scheduling")

local extensions = {}

local LISTS = { "extension_control_path", "dynamic_library_path", "ld_library_path", "bin_path" }

local function is_local(path)
  if path == "" or path:sub(1, 1) == "/" then
    return false
  end
  local depth = 0
  for part in path:gmatch("[^/]+") do
    if part == ".." then
      depth = depth - 1
    elseif part ~= "." then
      depth = depth + 1
    end
    if depth < 0 then
      return false
    end
  end
  return true
end

local function paths(c, path, extension)
  for _, field in ipairs(LISTS) do
    local seen = {}
    for i, entry in ipairs(access.list(extension, field)) do
      local at = ("%s.%s[%d]"):format(path, field, i - 1)
      if entry == "" then
        c:add(at, "the path must not be empty")
      elseif not is_local(tostring(entry)) then
        c:add(at, "'%s' leads out of the image: use a path relative to its root", tostring(entry))
      elseif seen[entry] then
        c:add(at, "the path '%s' is given twice", entry)
      end
      seen[entry] = true
    end
  end
end

--- The first placeholder that is not ${image_root}; $${ stands for a literal ${.
local function unknown_placeholder(value)
  for name in value:gsub("%$%${[^}]*}?", ""):gmatch("%${([^}]*)}?") do
    if name ~= "image_root" then
      return name
    end
  end
  return nil
end

local FORBIDDEN = { PATH = true, LD_LIBRARY_PATH = true }

local function environment(c, path, extension, taken)
  for i, one in ipairs(access.list(extension, "env")) do
    local at, name = ("%s.env[%d]"):format(path, i - 1), access.text(one, "name") or ""
    if FORBIDDEN[name] or scheduling.is_reserved_env(name) then
      c:add(at .. ".name", "'%s' is set by the operator: choose another name", name)
    elseif taken[name] then
      c:add(at .. ".name", "'%s' is set twice", name)
    end
    taken[name] = true
    local placeholder = unknown_placeholder(access.text(one, "value") or "")
    if placeholder then
      c:add(at .. ".value", "'${%s}' is unknown: only ${image_root} is replaced; write $${ for a plain ${",
        placeholder)
    end
  end
end

local function identity(c, path, name, seen)
  local object = name:gsub("_", "-")
  if seen[object] == name then
    c:add(path .. ".name", "the extension '%s' is given twice", name)
  elseif seen[object] then
    c:add(path .. ".name", "'%s' and '%s' would share a volume: rename one", name, seen[object])
  end
  seen[object] = name
end

-- 46. Extensions.
local function check(c)
  local seen = {}
  for i, extension in ipairs(access.list(c.spec, "postgresql", "extensions")) do
    local path = ("spec.postgresql.extensions[%d]"):format(i - 1)
    identity(c, path, access.text(extension, "name") or "", seen)
    if not access.text(extension, "image", "reference") and not access.has(c.spec, "imageCatalogRef") then
      c:add(path .. ".image.reference", "an image is needed when the cluster uses no catalog")
    end
    paths(c, path, extension)
    environment(c, path, extension, {})
  end
end

extensions.checks = { check }

return extensions
