--- Times requests that pass the webhooks against requests that do not.
local host = require("host")
local kube = require("kube")
local sh = require("sh")
local tap = require("tap")
local M = {}

local API = "https://198.18.0.2:6443"
local WARM_UP = 20 -- as latency.c has it
local PLAIN = "bench-plain"
local LABEL = "moonherd.io/bench"

local configurations = {
  "mutatingwebhookconfigurations/cnpg-mutating-webhook-configuration",
  "validatingwebhookconfigurations/cnpg-validating-webhook-configuration",
}

local function path_of(name)
  return "/apis/admissionregistration.k8s.io/v1/" .. name
end

--- Sets the namespaceSelector of all webhooks: those of a namespace with our label are left out, or none are.
local function select(leave_out)
  for _, name in ipairs(configurations) do
    local patch = {}
    for i in ipairs(assert(kube.get(path_of(name)), name).webhooks) do
      patch[i] = ('{"op":"add","path":"/webhooks/%d/namespaceSelector","value":%s}'):format(i - 1, leave_out
        and ('{"matchExpressions":[{"key":"%s","operator":"DoesNotExist"}]}'):format(LABEL) or "{}")
    end
    local answer, code = kube.request("PATCH", path_of(name), "[" .. table.concat(patch, ",") .. "]",
      "application/json-patch+json")
    assert(code == 200, name .. ": " .. tostring(answer and answer.message))
  end
end

--- How many reviews the operator has answered, and in how many seconds.
local function reviews(op)
  local text = sh.run({ sh.lab, "exec", "curl", "-s", "-m", "5", ("http://%s:8080/metrics"):format(op.status.podIP) })
  local count, sum = 0, 0
  for n in text:gmatch("\nmoonherd_webhook_seconds_count{[^}]*} (%S+)") do
    count = count + tonumber(n)
  end
  for s in text:gmatch("\nmoonherd_webhook_seconds_sum{[^}]*} (%S+)") do
    sum = sum + tonumber(s)
  end
  return count, sum
end

local function body()
  return [[{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","metadata":{"name":"dry"},"spec":{"instances":3,
    "imageName":"localhost/postgres:15","storage":{"storageClass":"standard","size":"256Mi"},
    "postgresql":{"parameters":{"shared_buffers":"16MB","max_wal_size":"256MB"}}}}]]
end

local function url(namespace)
  return API .. "/apis/postgresql.cnpg.io/v1/namespaces/" .. namespace .. "/clusters?dryRun=All"
end

local function quantiles(list)
  local s = host.sorted(list)
  return { p50 = host.quantile(s, 0.5), p99 = host.quantile(s, 0.99) }
end

--- n requests each. Returns {with, without: {p50, p99} in ms, requests, reviews, inside_ms}.
function M.measure(op, n)
  kube.namespace(PLAIN)
  kube.kubectl("label", "namespace", PLAIN, LABEL .. "=plain")
  tap.at_end(function() select(false) end)
  select(true)
  sh.sleep(3) -- the API server reads its webhooks through a watch
  local count, sum = reviews(op)
  -- The token is no argument: those are seen by all, and named in errors.
  local pki = sh.lab_dir .. "/pki"
  local out = sh.run({ sh.lab, "exec", "sh", "-c",
    "TOKEN=$(sed -n 's/,admin,.*//p' " .. sh.quote(pki .. "/tokens.csv") .. ') exec "$@"', "sh",
    os.getenv("BENCH_LATENCY"), pki .. "/ca.crt", tostring(n), url("bench"), url(PLAIN) }, body(), 300)
  local count_after, sum_after = reviews(op)
  local with, without = {}, {}
  for a, b in out:gmatch("(%d+) (%d+)\n") do
    with[#with + 1], without[#without + 1] = tonumber(a) / 1000, tonumber(b) / 1000
  end
  assert(#with == n, out:sub(1, 300))
  local wanted = 2 * (n + WARM_UP)
  local got = count_after - count
  assert(got >= wanted and got < wanted * 1.1, ("%d reviews reached the operator, wanted were %d"):format(got, wanted))
  select(false)
  return { with = quantiles(with), without = quantiles(without), requests = n, reviews = got,
    inside_ms = (sum_after - sum) * 1000 / got }
end

return M
