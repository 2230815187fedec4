--- The install manifest: what the operator may do is listed, is enough for the Roles that it grants, and no more.
-- luacheck: globals array
local world = require("tests.lua.controllers.world")
local defaults = require("admission.cluster_defaults").defaults
local meta = require("desired.meta")
local rbac = require("desired.rbac")

local here = debug.getinfo(1, "S").source:match("^@(.*)/tests/lua/deploy/[^/]*$") or "."

local function manifest(groups)
  local pipe = assert(io.popen(("'%s/deploy/manifest' %s 2>&1"):format(here, groups)))
  local text = pipe:read("a")
  assert.is_true(pipe:close())
  return text
end

local function documents(text)
  local out = {}
  for part in ("\n" .. text .. "\n---\n"):gmatch("(.-)\n%-%-%-\n") do
    out[#out + 1] = part
  end
  return out
end

--- The document of this kind and name.
local function find(text, kind, name)
  for _, part in ipairs(documents(text)) do
    if part:match("\nkind: (%S+)") == kind and part:match("\n  name: (%S+)") == name then
      return part
    end
  end
  error("no " .. kind .. " " .. name)
end

local function words(text)
  local out = {}
  for word in (text or ""):gmatch('[^%[%],%s"]+') do
    out[#out + 1] = word
  end
  return out
end

--- Rules as "group/resource verb" -> true, of those that name no object.
local function granted(role)
  local out = {}
  for rule in (role .. "\n  - "):gmatch("(apiGroups:.-)\n  %- ") do
    if not rule:find("resourceNames", 1, true) then
      local groups = rule:find('apiGroups: [""]', 1, true) and { "" } or words(rule:match("apiGroups: (%b[])"))
      for _, group in ipairs(groups) do
        for _, resource in ipairs(words(rule:match("resources: (%b[])"))) do
          for _, verb in ipairs(words(rule:match("verbs: (%b[])"))) do
            out[("%s/%s %s"):format(group, resource, verb)] = true
          end
        end
      end
    end
  end
  return out
end

local BOTH = "postgresql.cnpg.io postgresql.k8s.enterprisedb.io"

describe("the operator's ClusterRole", function()
  for _, groups in ipairs { "postgresql.cnpg.io", BOTH } do
    it("has no wildcard and no way to grant more than it has: " .. groups, function()
      local text = manifest(groups)
      for _, part in ipairs(documents(text)) do
        if part:match("\nkind: (%S+)") == "ClusterRole" or part:match("\nkind: (%S+)") == "Role" then
          assert.is_nil(part:find("*", 1, true))
          for _, verb in ipairs { "escalate", "bind", "impersonate" } do
            assert.is_nil(part:find("%f[%w]" .. verb .. "%f[%W]"), verb)
          end
        end
      end
      local may = granted(find(text, "ClusterRole", "moonherd-operator"))
      assert.is_true(may["/pods create"] and may["coordination.k8s.io/leases update"])
      for grant in pairs(may) do
        assert.is_nil(grant:match("^[^ ]*/%*") or grant:match(" %*$"), grant)
      end
    end)
  end

  it("has every verb that it grants to instances, in either group", function()
    local may = granted(find(manifest(BOTH), "ClusterRole", "moonherd-operator"))
    for _, group in ipairs { "postgresql.cnpg.io", "postgresql.k8s.enterprisedb.io" } do
      local cluster = defaults(world.cluster(function(_, object)
        object.apiVersion = group .. "/v1"
      end), {})
      local c = meta.context(cluster, { image = "i", cluster_domain = "cluster.local" }, "x:15", 15)
      for _, rule in ipairs(rbac.role(c, { "website-1" }).rules) do
        for _, verb in ipairs(rule.verbs) do
          local grant = ("%s/%s %s"):format(rule.apiGroups[1], rule.resources[1], verb)
          assert.is_true(may[grant] == true, grant .. " is granted to instances and not held")
        end
      end
    end
  end)
end)

describe("the install manifest", function()
  local text = manifest("postgresql.cnpg.io")
  local both = manifest(BOTH)

  it("has a namespace that enforces Pod Security restricted", function()
    local namespace = find(text, "Namespace", "moonherd-system")
    assert.is_truthy(namespace:find("pod-security.kubernetes.io/enforce: restricted", 1, true))
  end)

  it("has at most 200 KB, for one group and for both", function()
    assert.is_true(#text <= 200000 and #both <= 200000, #both .. " bytes")
  end)

  it("serves both groups where both are asked for", function()
    for _, name in ipairs { "clusters.postgresql.cnpg.io", "clusters.postgresql.k8s.enterprisedb.io" } do
      assert.is_truthy(both:find("metadata: {name: " .. name .. "}", 1, true), name)
    end
    assert.is_nil(text:find("enterprisedb", 1, true))
    assert.is_truthy(both:find('value: "postgresql.cnpg.io,postgresql.k8s.enterprisedb.io"', 1, true))
  end)

  it("has webhooks that block nobody, and never see status, scale, leases or pods", function()
    for _, kind in ipairs { "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration" } do
      local name = ("cnpg-%s-webhook-configuration"):format(kind:match("^(%u%l+)ing"):lower() .. "ing")
      local part = find(text, kind, name)
      local hooks = select(2, part:gsub("admissionReviewVersions", ""))
      assert.equal(hooks, select(2, part:gsub("failurePolicy: Ignore", "")))
      assert.equal(hooks, select(2, part:gsub("sideEffects: NoneOnDryRun", "")))
      -- Who brings a plugin is asked about by many questions.
      local asks = select(2, part:gsub("%- name: vneeds%.moonherd%.io\n.-timeoutSeconds: 10\n", ""))
      -- So is one that observes; of all kinds, but only dry runs with a label of ours.
      local plan = "%- name: mplan%.moonherd%.io\n.-timeoutSeconds: 10\n.-key: moonherd%.io/plan, operator: Exists.-" ..
        "expression: request%.dryRun\n.-resources: %[\"%*\"%]\n"
      local plans
      part, plans = part:gsub(plan, "failurePolicy: Ignore")
      assert.equal(kind == "MutatingWebhookConfiguration" and 1 or 0, plans)
      assert.equal(hooks - asks - plans, select(2, part:gsub("timeoutSeconds: 5\n", "")))
      for list in part:gmatch("resources: (%b[])") do
        for _, resource in ipairs(words(list)) do
          assert.is_true(resource == "clusters" or resource == "configmaps", resource)
        end
      end
    end
    -- Only labelled ConfigMaps come by, and not those that the operator writes.
    local checks = find(text, "ValidatingWebhookConfiguration", "cnpg-validating-webhook-configuration")
    assert.is_truthy(checks:find("key: moonherd.io/policy, operator: Exists", 1, true))
    assert.is_truthy(checks:find("key: moonherd.io/plugin, operator: Exists", 1, true))
    assert.is_truthy(checks:find("serviceaccount:moonherd-system:moonherd-operator", 1, true))
  end)

  it("runs the operator without root, capabilities and a writable root", function()
    local deployment = find(text, "Deployment", "moonherd-operator")
    for _, line in ipairs { "runAsNonRoot: true", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true",
      "capabilities: {drop: [ALL]}", "seccompProfile: {type: RuntimeDefault}" } do
      assert.is_truthy(deployment:find(line, 1, true), line)
    end
  end)

  it("holds the accounts of instances to two labels of pods", function()
    local policy = find(text, "ValidatingAdmissionPolicy", "moonherd-instance-labels")
    assert.is_truthy(policy:find("failurePolicy: Fail", 1, true))
    assert.is_truthy(policy:find("['role', 'cnpg.io/instanceRole']", 1, true))
    assert.is_truthy(policy:find("object.spec == oldObject.spec", 1, true))
    find(text, "ValidatingAdmissionPolicyBinding", "moonherd-instance-labels")
  end)
end)
