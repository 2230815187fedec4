--- Links in README and docs lead somewhere: to a file that exists, and to a heading that it has.
local here = debug.getinfo(1, "S").source:match("^@(.*)/tests/lua/docs/[^/]*$") or "."

local function read(path)
  local f <close> = io.open(path, "rb")
  return f and f:read("a")
end

local function pages()
  local out = { "README.md" }
  local pipe = assert(io.popen(("cd '%s' && find docs -name '*.md' | sort"):format(here)))
  for path in pipe:lines() do
    out[#out + 1] = path
  end
  pipe:close()
  return out
end

--- "docs/a.md", "../README.md" -> "README.md"
local function resolve(page, target)
  local parts = {}
  for part in ((page:match("^(.*)/") or "") .. "/" .. target):gmatch("[^/]+") do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, "/")
end

--- The anchors that a page's headings make.
local function anchors(text)
  local out = {}
  for line in ("\n" .. text):gmatch("\n#+ ([^\n]*)") do
    local plain = line:lower():gsub("[^%w%-_ ]", ""):gsub(" ", "-")
    out[plain] = true
  end
  return out
end

local function fault(page, link)
  local target, anchor = link:match("^([^#]*)#?(.*)$")
  local path = target == "" and page or resolve(page, target)
  local text = read(here .. "/" .. path)
  if not text and not os.rename(here .. "/" .. path, here .. "/" .. path) then
    return path .. " is not there"
  elseif anchor ~= "" and path:find("%.md$") and not anchors(text)[anchor] then
    return path .. " has no heading #" .. anchor
  end
end

describe("the links of the docs", function()
  it("lead somewhere", function()
    local seen, faults = 0, {}
    for _, page in ipairs(pages()) do
      for link in read(here .. "/" .. page):gmatch("%]%(([^)%s]+)%)") do
        if not link:find("^%a+:") then
          seen = seen + 1
          local why = fault(page, link)
          faults[#faults + 1] = why and ("%s: %s: %s"):format(page, link, why)
        end
      end
    end
    assert.same({}, faults)
    assert.is_true(seen > 30)
  end)

  it("are looked at in earnest", function()
    assert.is_string(fault("README.md", "docs/nothing.md"))
    assert.is_string(fault("docs/operations.md", "#no-such-heading"))
    assert.is_nil(fault("docs/operations.md", "architecture.md#rooms"))
  end)
end)
