--- The pins of third-party sources have the form that deploy/sources.sh reads, each with a whole SHA-256 of its own.
local common = require("common")

local LOCK = "deploy/deps.lock"
local FIELDS = { deb = 4, tar = 5, crate = 5 }
local NEEDED = { "musl", "zlib", "libzstd", "lz4", "openssl", "nghttp2", "curl", "libevent", "libyaml", "libseccomp",
  "postgresql-17", "yyjson", "lua5.4" }

-- Older ones have faults that we cannot live with, or lack what we use.
local MINIMUM = { ["lua5.4"] = "5.4.8", curl = "8.10", openssl = "3", ["postgresql-17"] = "17" }

--- Whether the upstream part of a Debian version is at least `least`.
local function at_least(version, least)
  local have = version:gsub("^%d+:", "")
  local numbers = {}
  for n in have:match("^[%d.]*"):gmatch("%d+") do
    numbers[#numbers + 1] = tonumber(n)
  end
  local i = 0
  for n in least:gmatch("%d+") do
    i = i + 1
    local mine = numbers[i] or 0
    if mine ~= tonumber(n) then
      return mine > tonumber(n)
    end
  end
  return true
end

local function words_of(line)
  local words = {}
  for word in line:gmatch("%S+") do
    words[#words + 1] = word
  end
  return words
end

local seen = { names = {}, versions = {}, sums = {}, kinds = {}, suites = 0 }

local function pin(report, words)
  local kind, name, version, sum = words[1], words[2], words[3], words[4]
  if #words ~= FIELDS[kind] then
    return report(("a line of kind %s has %d words, this one has %d"):format(kind, FIELDS[kind], #words))
  end
  if not sum:match("^%x+$") or #sum ~= 64 or sum:lower() ~= sum then
    report(("%s: a sum is 64 lower-case hexadecimal digits"):format(name))
  end
  if seen.sums[sum] then
    report(("%s: the sum is that of %s too"):format(name, seen.sums[sum]))
  end
  if seen.versions[kind .. name .. version] then
    report(("%s: version %s is pinned twice"):format(name, version))
  end
  if seen.kinds[name] and seen.kinds[name] ~= kind then
    report(("%s: pinned as %s and as %s"):format(name, seen.kinds[name], kind))
  end
  if MINIMUM[name] and not at_least(version, MINIMUM[name]) then
    report(("%s: %s or later is needed"):format(name, MINIMUM[name]))
  end
  seen.sums[sum], seen.versions[kind .. name .. version] = name .. " " .. version, true
  seen.names[name], seen.kinds[name] = true, kind
end

local function look()
  for number, line in ipairs(common.lines(common.read(LOCK))) do
    local words = words_of(line)
    local function report(text)
      common.finding(LOCK, number, text)
    end
    if FIELDS[words[1]] then
      pin(report, words)
    elseif words[1] == "suite" and #words == 2 then
      seen.suites = seen.suites + 1
    elseif words[1] and words[1]:sub(1, 1) ~= "#" then
      report("neither suite, deb, tar nor crate")
    end
  end
  for _, name in ipairs(NEEDED) do
    if not seen.names[name] then
      common.finding(LOCK, 1, name .. " is not pinned")
    end
  end
  if seen.suites == 0 then
    common.finding(LOCK, 1, "no suite is named")
  end
end

look()
common.done("sums are those of `apt-cache showsrc NAME`, see the head of the file")
