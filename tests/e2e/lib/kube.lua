--- The API of the lab's cluster: requests with curl (quick), and kubectl for what users do.
local cjson = require("cjson")
local sh = require("sh")
local tap = require("tap")
local M = {}

local api = "https://198.18.0.2:6443"
local token

local function curl(method, path, kind)
  if not token then
    local csv = assert(sh.read(sh.lab_dir .. "/pki/tokens.csv"), "no lab runs")
    token = csv:match("([^,\n]+),admin,")
  end
  local words = { "nsenter", "--net=/run/netns/lab-cp", "curl", "-s", "-m", "20",
    "--cacert", sh.lab_dir .. "/pki/ca.crt",
    "-H", "Authorization: Bearer " .. token, "-X", method, "-w", "\n%{http_code}", api .. path }
  if kind then
    table.insert(words, "-H")
    table.insert(words, "Content-Type: " .. kind)
    table.insert(words, "--data-binary")
    table.insert(words, "@-")
  end
  return words
end

--- One request: the decoded answer and the HTTP status; status 0 when the server cannot be reached.
function M.request(method, path, body, kind)
  if type(body) == "table" then
    body = cjson.encode(body)
  end
  local out = sh.try(curl(method, path, body and (kind or "application/json")), body, 25)
  local text, code = out:match("^(.*)\n(%d+)%s*$")
  local ok, value = pcall(cjson.decode, text or "")
  return ok and value or nil, tonumber(code) or 0
end

--- nil where there is none; an error where the API does not answer.
function M.get(path)
  local value, code = M.request("GET", path)
  if code == 200 then
    return value
  elseif code == 404 then
    return nil
  end
  error(("GET %s: %d"):format(path, code), 2)
end

function M.list(path)
  local value = M.get(path)
  return value and value.items or {}
end

function M.kubectl(...)
  return sh.run({ sh.lab, "kubectl", ... }, nil, 130)
end
function M.kubectl_try(...)
  return sh.try({ sh.lab, "kubectl", ... }, nil, 130)
end

--- kubectl apply of a text; more words go behind. An error names what the server said.
function M.apply(yaml, ...)
  return sh.run({ sh.lab, "kubectl", "apply", "-f", "-", ... }, yaml)
end
function M.apply_try(yaml, ...)
  return sh.try({ sh.lab, "kubectl", "apply", "-f", "-", ... }, yaml)
end

--- The text of manifests/NAME.yaml with ${key} replaced.
function M.manifest(name, values)
  local text = assert(sh.read(sh.root .. "/tests/e2e/manifests/" .. name .. ".yaml"))
  return (text:gsub("%${([%w_]+)}", function(key)
    return tostring(assert(values[key], "no value for " .. key))
  end))
end

--- Calls `probe` until it returns something true; returns that. After `timeout` seconds an error with what it said last
--- (its second result). Errors in the probe (the API server away, no object yet) count as "not yet".
function M.wait(what, timeout, probe, pause)
  local t0, last = sh.now(), nil
  repeat
    local ok, value, why = pcall(probe)
    if ok and value then
      return value, (sh.now() - t0) / 1000
    end
    last = ok and (why or last) or value
    sh.sleep(pause or 0.25)
  until sh.now() - t0 > timeout * 1000
  error(("after %d s not yet: %s (%s)"):format(timeout, what, tostring(last)), 2)
end

local keep_log = { events = "get events -A --sort-by=.lastTimestamp", objects = "get all,pvc,cluster,lease -A -o wide" }

--- Operator log, instance logs, events and objects to LOGS/SCENARIO.
function M.save_logs(label)
  local dir = sh.logs .. "/" .. label
  os.execute("mkdir -p " .. sh.quote(dir))
  for name, args in pairs(keep_log) do
    local out = sh.try({ "sh", "-c", sh.lab .. " kubectl " .. args }, nil, 20)
    sh.write(dir .. "/" .. name .. ".txt", out)
  end
  local out = sh.try({ "sh", "-c", sh.lab .. " kubectl get clusters.postgresql.cnpg.io -A -o yaml" }, nil, 20)
  sh.write(dir .. "/clusters.yaml", out)
  os.execute(("for d in %s/node*/podlogs/*; do [ -d \"$d\" ] && cp -rL \"$d\" %s/ 2>/dev/null; done; true")
    :format(sh.lab_dir, sh.quote(dir)))
end

--- Removes a namespace. Its Clusters go first: the namespace controller looks again only after half of the pods'
--- grace period, and that of an instance is half an hour.
function M.remove_namespace(name)
  for _, group in ipairs { "postgresql.cnpg.io", "postgresql.k8s.enterprisedb.io" } do
    if M.get("/apis/" .. group .. "/v1") then
      M.kubectl("-n", name, "delete", "clusters." .. group, "--all", "--wait=true", "--timeout=60s")
    end
  end
  M.wait("pods of " .. name .. " are gone", 60, function()
    return #M.list("/api/v1/namespaces/" .. name .. "/pods") == 0
  end)
  M.kubectl("delete", "namespace", name, "--timeout=120s")
end

--- A namespace for a scenario, which Pod Security holds to "restricted"; removed at the end.
function M.namespace(name)
  if M.get("/api/v1/namespaces/" .. name) then
    M.remove_namespace(name)
  end
  M.apply(M.manifest("namespace", { NAMESPACE = name }))
  tap.at_end(function()
    if tap.failed > 0 then
      M.save_logs(os.getenv("E2E_SCENARIO") or name)
    end
    if not os.getenv("E2E_KEEP") then
      M.remove_namespace(name)
    end
  end)
  return name
end

return M
