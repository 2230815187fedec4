--- How long a change on an instance takes to the other end of the status stream.
---
--- The operator keeps the key of its certificate in memory, so the measurement brings one of its own: its fingerprint
--- is put into the Cluster's status, and the stream is opened before the operator puts its own back. The stream that
--- is open stays open, beside the operator's.
local host = require("host")
local kube = require("kube")
local sh = require("sh")
local tap = require("tap")
local M = {}

local function certificate()
  local key, cert = sh.logs .. "/stream.key", sh.logs .. "/stream.crt"
  sh.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
    "1", "-subj", "/CN=bench", "-keyout", key, "-out", cert }
  local print = sh.run { "sh", "-c", "openssl pkey -pubout -outform DER -in '" .. key .. "' | sha256sum" }
  return cert, key, print:match("^%x+")
end

local function read_lines(path)
  local out = {}
  for at, text in (sh.read(path) or ""):gmatch("\n(%d+) ({[^\n]*})") do
    out[#out + 1] = { at = tonumber(at) / 1e6, text = text }
  end
  return out
end

--- Opens a stream of its own to a pod's manager; returns the file of its lines.
local function open(c, pod)
  local cert, key, print = certificate()
  local file = sh.logs .. "/stream.lines"
  local pid = sh.start({ sh.lab, "exec", os.getenv("BENCH_STREAM"), cert, key,
    ("https://%s:8000/moonherd/v1/stream"):format(pod.status.podIP) }, file)
  tap.at_end(function() sh.kill(pid) end)
  kube.wait("a stream of our own", 20, function()
    local body = { status = { operatorCertificateFingerprint = print } }
    kube.request("PATCH", c:path("/status"), body, "application/merge-patch+json")
    return sh.read(file):find("open\n", 1, true)
  end, 0.1)
  return file, function() sh.kill(pid) end
end

--- The time of the first log line of a pod, not before `from`, that has a text.
local function logged(pod, from, text)
  for _, line in ipairs(host.log_lines(pod)) do
    local ts = host.seconds(line:match('"ts":"([^"]+)"'))
    if ts >= from and line:find(text, 1, true) then
      return ts
    end
  end
end

local function kill_postmaster(pod)
  local manager = host.first(pod)
  local postmaster = host.process(pod, "the postmaster", function(p)
    return p.parent == manager.pid and p.command:find("^%S*postgres%s") ~= nil
  end)
  sh.kill(postmaster.pid, "KILL")
end

local function one(c, pod, file)
  local before = #read_lines(file)
  local from = read_lines(file)[before].at
  kill_postmaster(pod)
  local noticed = kube.wait("the manager logs the end of PostgreSQL", 10, function()
    return logged(pod, from, '"msg":"PostgreSQL ended by itself"')
  end)
  local arrived = kube.wait("a line says that PostgreSQL is down", 10, function()
    local lines = read_lines(file)
    for i = before + 1, #lines do
      if lines[i].at >= noticed and lines[i].text:find('"pgUp":false', 1, true) then
        return lines[i].at
      end
    end
  end)
  c:wait_healthy(3, 60)
  sh.sleep(2)
  return (arrived - noticed) * 1000
end

--- n times; milliseconds.
function M.measure(c, n)
  local pod
  for _, p in ipairs(c:pods()) do
    if p.metadata.name ~= c:primary() then
      pod = p
    end
  end
  local file, close = open(c, pod)
  local list = {}
  for i = 1, n do
    list[i] = one(c, pod, file)
    io.stderr:write(("kill %d: the line came after %.1f ms\n"):format(i, list[i]))
  end
  close()
  return list
end

return M
