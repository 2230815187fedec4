--- The pods of a cluster: where they run, how they are probed, replaced and reached.
local s = require("parts.schema")

local workload = {}

function workload.affinity()
  return s.obj({
    enablePodAntiAffinity = s.bool { doc = "Keep instances apart." },
    topologyKey = s.str { doc = "Node label that tells places apart." },
    podAntiAffinityType = s.str { doc = "preferred or required." },
    nodeSelector = s.map(),
    nodeAffinity = s.any(),
    tolerations = s.list(s.any()),
    additionalPodAffinity = s.any(),
    additionalPodAntiAffinity = s.any(),
  }, { doc = "Where instances may run." })
end

local function probe(more)
  local fields = {
    initialDelaySeconds = s.int32(), timeoutSeconds = s.int32(), periodSeconds = s.int32(),
    successThreshold = s.int32(), failureThreshold = s.int32(), terminationGracePeriodSeconds = s.int64(),
  }
  for key, value in pairs(more) do
    fields[key] = value
  end
  return s.obj(fields)
end

local function strategy_probe()
  return probe { type = s.enum { "pg_isready", "streaming", "query" }, maximumLag = s.quantity() }
end

function workload.probes()
  return s.obj({
    startup = strategy_probe(),
    readiness = strategy_probe(),
    liveness = probe { isolationCheck = s.obj({
      enabled = s.bool { default = true },
      requestTimeout = s.int { doc = "Milliseconds.", default = 1000 },
      connectionTimeout = s.int { doc = "Milliseconds.", default = 1000 },
    }, { doc = "A primary that reaches neither the API server nor another instance fails its probe." }) },
  }, { doc = "Settings of the three probes." })
end

function workload.primary_lease()
  local function seconds(default)
    return s.int32 { default = default, minimum = 1 }
  end
  return s.obj({
    leaseDurationSeconds = seconds(15), renewDeadlineSeconds = seconds(10), retryPeriodSeconds = seconds(2),
    releasedLeaseDurationSeconds = seconds(1),
  }, { doc = "Timing of the lease that the primary holds.", rules = {
    s.rule("self.leaseDurationSeconds > self.renewDeadlineSeconds",
      "leaseDurationSeconds must exceed renewDeadlineSeconds", { path = ".leaseDurationSeconds" }),
    s.rule("5 * self.renewDeadlineSeconds > 6 * self.retryPeriodSeconds",
      "renewDeadlineSeconds must exceed 1.2 times retryPeriodSeconds", { path = ".renewDeadlineSeconds" }),
  } })
end

function workload.certificates_fields()
  return {
    serverCASecret = s.str(), serverTLSSecret = s.str(), clientCASecret = s.str(),
      replicationTLSSecret = s.str(),
    serverAltDNSNames = s.list(),
  }
end

function workload.certificates()
  return s.obj(workload.certificates_fields(), { doc = "Secrets with certificates of your own.", rules = {
    s.rule("!has(self.serverTLSSecret) || self.serverTLSSecret == ''"
      .. " || !has(self.serverAltDNSNames) || self.serverAltDNSNames.size() == 0",
      "serverAltDNSNames has no effect on a certificate of your own: remove it or serverTLSSecret",
      { path = ".serverAltDNSNames" }),
    s.rule("!has(self.serverTLSSecret) || self.serverTLSSecret == ''"
      .. " || (has(self.serverCASecret) && self.serverCASecret != '')",
      "serverTLSSecret needs serverCASecret", { path = ".serverCASecret" }),
    s.rule("!has(self.replicationTLSSecret) || self.replicationTLSSecret == ''"
      .. " || (has(self.clientCASecret) && self.clientCASecret != '')",
      "replicationTLSSecret needs clientCASecret", { path = ".clientCASecret" }),
  } })
end

function workload.service_account_template()
  return s.obj { ["metadata!"] = s.template_metadata(true) }
end

function workload.service_account_name()
  return s.str { doc = "Existing service account to use; fixed after creation.", maxLength = 253,
    pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    rules = { s.rule("self == oldSelf", "serviceAccountName cannot change") } }
end

--- spec.managed: roles and services that the operator keeps as they are written.
function workload.managed()
  local selector = s.enum { "rw", "r", "ro" }
  return s.obj({ roles = s.list(workload.role()), services = s.obj {
    disabledDefaultServices = s.list(selector, { maxItems = 16, rules = {
      s.rule("!('rw' in self)", "the rw service cannot be disabled") } }),
    additional = s.list(s.obj {
      ["selectorType!"] = selector,
      updateStrategy = s.enum({ "patch", "replace" }, { default = "patch" }),
      ["serviceTemplate!"] = s.obj { metadata = s.template_metadata(true), spec = s.any() },
    }),
  } }, { doc = "Roles and services that are kept as written here." })
end

function workload.role()
  return s.obj({
    ["name!"] = s.str(),
    ensure = s.enum({ "present", "absent" }, { default = "present" }),
    comment = s.str(),
    passwordSecret = s.name_ref(),
    disablePassword = s.bool(),
    connectionLimit = s.int64 { default = -1 },
    validUntil = s.time(),
    inRoles = s.list(),
    inherit = s.bool { default = true },
    superuser = s.bool(), createdb = s.bool(), createrole = s.bool(), login = s.bool(),
      replication = s.bool(),
    bypassrls = s.bool(),
  }, { rules = {
    s.rule("!has(self.passwordSecret) || !has(self.disablePassword) || !self.disablePassword",
      "passwordSecret and disablePassword exclude each other", { path = ".disablePassword" }),
    s.rule("self.connectionLimit >= -1", "connectionLimit is -1 (no limit) or more",
      { path = ".connectionLimit" }),
  } })
end

function workload.monitoring()
  return s.obj({
    enablePodMonitor = s.bool { doc = "Deprecated: make the PodMonitor yourself.", default = false },
    podMonitorMetricRelabelings = s.list(s.any()),
    podMonitorRelabelings = s.list(s.any()),
    disableDefaultQueries = s.bool { default = false },
    customQueriesConfigMap = s.list(s.key_ref()),
    customQueriesSecret = s.list(s.key_ref()),
    metricsQueriesTTL = s.str { doc = "How long results are kept, such as 30s." },
    tls = s.obj { enabled = s.bool { default = false } },
  }, { doc = "Metrics." })
end

return workload
