--- What the controllers of the image declare that they need, against what the install manifest grants.
local world = require("tests.lua.controllers.world")

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function set_of(list)
  local out = {}
  for word in list:gmatch("[^%s,]+") do
    out[word == '""' and "" or word] = true
  end
  return out
end

--- The rules of the operator's ClusterRole: {groups, resources, verbs} each.
local function rules()
  local out = {}
  local role = read("deploy/manifests/30-rbac.yaml"):match("ClusterRole\n.-name: moonherd%-operator\n(.-)\n%-%-%-")
  role = assert(role, "no ClusterRole moonherd-operator"):gsub("@GROUPS@", "postgresql.cnpg.io")
  for groups, resources, verbs in role:gmatch("apiGroups: %[(.-)%]\n%s*resources: %[(.-)%]\n%s*verbs: %[(.-)%]") do
    out[#out + 1] = { groups = set_of(groups), resources = set_of(resources), verbs = set_of(verbs) }
  end
  return out
end

local function is_granted(all, need, verb)
  for _, rule in ipairs(all) do
    if rule.groups[need.group] and rule.resources[need.resource] and rule.verbs[verb] then
      return true
    end
  end
  return false
end

describe("needs of the Cluster controller", function()
  it("are what the manifest lets the operator do", function()
    local all, count = rules(), 0
    assert(#all > 10)
    for _, need in ipairs(world.controller.needs.api) do
      for _, verb in ipairs(need.verbs) do
        count = count + 1
        assert(is_granted(all, need, verb), ("no right to %s %s"):format(verb, need.resource))
      end
    end
    assert(count > 40)
    assert(not is_granted(all, { group = "", resource = "nodes" }, "delete"))
  end)

  it("cover what it owns and watches", function()
    local watched = {}
    for _, need in ipairs(world.controller.needs.api) do
      local verbs = set_of(table.concat(need.verbs, ","))
      watched[need.resource] = verbs.list and verbs.watch
    end
    for _, list in ipairs { world.controller.owns, world.controller.watches } do
      for _, kind in ipairs(list) do
        local plural = kind:lower() .. "s"
        assert(watched[plural], plural .. " are not watched")
      end
    end
  end)
end)
