--- The three probes of an instance. They ask its manager on port 8000.
local probes = {}

local TIMEOUT_S = 5
local PERIOD_S = 10
-- The kubelet asks at multiples of the period from the moment it knows the pod, whatever the container does.
-- With 10 s an instance that is up after one second is taken for ready after ten. Only the startup probe asks
-- each second.
local STARTUP_PERIOD_S = 1
local NUMBERS = { "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
  "failureThreshold", "terminationGracePeriodSeconds" }

local function build(path, given, period)
  local probe = {
    httpGet = { path = path, port = 8000, scheme = "HTTPS" },
    timeoutSeconds = TIMEOUT_S, periodSeconds = period,
  }
  for _, key in ipairs(NUMBERS) do
    local value = (given or {})[key]
    if value and value ~= 0 then
      probe[key] = value
    end
  end
  return probe
end

--- How many failures fill the time, at least one.
local function failures(seconds, probe)
  return math.max(1, (seconds + probe.periodSeconds - 1) // probe.periodSeconds)
end

---@param spec table of the Cluster
---@return {startup: table, readiness: table, liveness: table}
function probes.build(spec)
  local given = spec.probes or {}
  local startup = build("/startupz", given.startup, STARTUP_PERIOD_S)
  startup.failureThreshold = startup.failureThreshold or failures(spec.startDelay or 3600, startup)
  local liveness = build("/healthz", given.liveness, PERIOD_S)
  if spec.livenessProbeTimeout and not liveness.failureThreshold then
    liveness.failureThreshold = failures(spec.livenessProbeTimeout, liveness)
  end
  return { startup = startup, readiness = build("/readyz", given.readiness, PERIOD_S), liveness = liveness }
end

return probes
