--- Bad manifests get one clear message each, which names the path. With the webhook, and from the CRD's own rules.
local cjson = require("cjson")
local kube = require("kube")
local operator = require("operator")
local tap = require("tap")

operator.install()
local ns = kube.namespace("bad")
local clusters = "/apis/postgresql.cnpg.io/v1/namespaces/" .. ns .. "/clusters"

local function manifest(change)
  local c = { apiVersion = "postgresql.cnpg.io/v1", kind = "Cluster", metadata = { name = "x", namespace = ns },
    spec = { instances = 1, imageName = "localhost/postgres:15",
      storage = { storageClass = "standard", size = "256Mi" } } }
  change(c)
  return cjson.encode(c)
end

--- The Status of a refusal: message and how many causes it lists.
local function refused(method, path, body)
  local answer, code = kube.request(method, path .. "?fieldValidation=Strict&dryRun=All", body)
  assert(code >= 400 and code < 500, "answered " .. code)
  local causes = answer.details and answer.details.causes
  return answer.message, causes and #causes or 1
end

local function expect(claim, want_path, method, path, body)
  tap.test(claim, function()
    local message, causes = refused(method, path, body)
    tap.note("%s", message)
    assert(message:find(want_path, 1, true), "the message does not name " .. want_path .. ": " .. message)
    assert(causes == 1, causes .. " messages: " .. message)
  end)
end

local cases = {
  { "an unknown field is refused under strict validation", "spec.instancez", function(c) c.spec.instancez = 3 end },
  { "a negative size is refused", "spec.storage.size", function(c) c.spec.storage.size = "-1Gi" end },
  { "instances: 0 is refused", "spec.instances", function(c) c.spec.instances = 0 end },
  { "a name of 51 letters is refused", "metadata.name", function(c) c.metadata.name = ("n"):rep(51) end },
  { "two bootstrap methods are refused", "spec.bootstrap", function(c)
    c.spec.bootstrap = { initdb = { database = "app", owner = "app" }, pg_basebackup = { source = "other" } }
    c.spec.externalClusters = { { name = "other", connectionParameters = { host = "h" } } }
  end },
}
for _, case in ipairs(cases) do
  expect(case[1], case[2], "POST", clusters, manifest(case[3]))
end

tap.test("shrinking the storage is refused", function()
  local _, code = kube.request("POST", clusters, manifest(function(c) c.metadata.name = "shrink" end))
  assert(code == 201, "creating a good one: " .. code)
  local path = clusters .. "/shrink"
  local body = { spec = { storage = { size = "128Mi" } } }
  local answer, status = kube.request("PATCH", path .. "?dryRun=All&fieldValidation=Strict", body,
    "application/merge-patch+json")
  assert(status >= 400 and status < 500, "answered " .. status)
  tap.note("%s", answer.message)
  assert(answer.message:find("spec.storage", 1, true), answer.message)
end)

tap.test("a good manifest is accepted", function()
  local answer, code = kube.request("POST", clusters .. "?dryRun=All&fieldValidation=Strict", manifest(function() end))
  return code == 201, code .. " " .. tostring(answer and answer.message)
end)

tap.finish()
