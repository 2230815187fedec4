--- spec.postgresql: parameters, authentication, synchronous replication, extensions.
local s = require("parts.schema")

local postgresql = {}

--- Extensions by image; status keeps the same shape.
function postgresql.extensions()
  return s.keyed("name", s.obj {
    ["name!"] = s.str { minLength = 1, maxLength = 59, pattern = "^[a-z0-9]([-a-z0-9_]*[a-z0-9])?$" },
    image = s.any { doc = "ImageVolumeSource: reference and pullPolicy." },
    extension_control_path = s.list(),
    dynamic_library_path = s.list(),
    ld_library_path = s.list(),
    bin_path = s.list(),
    env = s.keyed("name", s.obj {
      ["name!"] = s.str { pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$" },
      ["value!"] = s.str { minLength = 1 },
    }),
  })
end

local function ldap()
  return s.obj({
    server = s.str(), port = s.int(), scheme = s.enum { "ldap", "ldaps" }, tls = s.bool(),
    bindAsAuth = s.obj { prefix = s.str(), suffix = s.str() },
    bindSearchAuth = s.obj {
      baseDN = s.str(), bindDN = s.str(), bindPassword = s.secret_key(), searchAttribute = s.str(),
      searchFilter = s.str(),
    },
  }, { doc = "Log in through an LDAP server.", rules = {
    s.rule("has(self.server) && self.server != ''", "ldap needs the name of a server"),
    s.rule("!has(self.bindAsAuth) || !has(self.bindSearchAuth)",
      "bindAsAuth and bindSearchAuth exclude each other"),
  } })
end

local PRE_AND_POST = "(has(self.standbyNamesPre) ? self.standbyNamesPre.size() : 0)"
  .. " + (has(self.standbyNamesPost) ? self.standbyNamesPost.size() : 0)"

local function synchronous()
  return s.obj({
    ["method!"] = s.enum({ "any", "first" }, { doc = "Quorum (any) or priority (first)." }),
    ["number!"] = s.int { doc = "How many standbys must confirm a commit.", rules = {
      s.rule("self > 0", "the number of synchronous standbys must be greater than zero"),
    } },
    maxStandbyNamesFromCluster = s.int { doc = "At most so many instances of this cluster are named." },
    standbyNamesPre = s.list(s.str(), { doc = "Names put before those of the cluster." }),
    standbyNamesPost = s.list(s.str(), { doc = "Names put after those of the cluster." }),
    dataDurability = s.enum({ "required", "preferred" }, {
      doc = "required: writes wait for the standbys; preferred: writes go on without them." }),
    failoverQuorum = s.bool { doc = "Promote only when a quorum proves that nothing is lost." },
    podFailureDomainKeys = s.list(),
    nodeFailureDomainKeys = s.list(),
  }, { doc = "Synchronous replication.", rules = {
    s.rule("!has(self.dataDurability) || self.dataDurability != 'preferred' || (" .. PRE_AND_POST .. ") == 0",
      "dataDurability: preferred allows neither standbyNamesPre nor standbyNamesPost",
        { path = ".dataDurability" }),
    s.rule("!has(self.podFailureDomainKeys) || self.podFailureDomainKeys.size() == 0"
      .. " || !has(self.nodeFailureDomainKeys) || self.nodeFailureDomainKeys.size() == 0",
      "podFailureDomainKeys and nodeFailureDomainKeys exclude each other",
        { path = ".nodeFailureDomainKeys" }),
    s.rule("!has(self.failoverQuorum) || !self.failoverQuorum || self.number < 1 || self.number > "
      .. PRE_AND_POST,
        "failoverQuorum needs number to exceed the names in standbyNamesPre and standbyNamesPost",
      { path = ".failoverQuorum" }),
  } })
end

local NO_DOMAIN_KEYS = "(!has(self.synchronous.podFailureDomainKeys)"
  .. " || self.synchronous.podFailureDomainKeys.size() == 0)"
  .. " && (!has(self.synchronous.nodeFailureDomainKeys)"
  .. " || self.synchronous.nodeFailureDomainKeys.size() == 0)"

function postgresql.section()
  return s.obj({
    parameters = s.map(s.str(),
      { doc = "PostgreSQL parameters. Those that the operator keeps are refused." }),
    pg_hba = s.list(s.str(), { doc = "Lines for pg_hba.conf, after the operator's own." }),
    pg_ident = s.list(s.str(), { doc = "Lines for pg_ident.conf, after the operator's own." }),
    shared_preload_libraries = s.list(s.str(),
      { doc = "Libraries to preload, besides those that are implied." }),
    enableAlterSystem = s.bool { doc = "Allow ALTER SYSTEM." },
    promotionTimeout = s.int32 { doc = "Seconds that a promotion may take." },
    ldap = ldap(),
    syncReplicaElectionConstraint = s.obj({
      ["enabled!"] = s.bool(), nodeLabelsAntiAffinity = s.list(),
    }, { rules = { s.rule(
      "!self.enabled || (has(self.nodeLabelsAntiAffinity) && self.nodeLabelsAntiAffinity.size() > 0)",
      "an enabled constraint needs labels in nodeLabelsAntiAffinity") } }),
    synchronous = synchronous(),
    extensions = postgresql.extensions(),
  }, { doc = "Configuration of PostgreSQL.", rules = { s.rule(
    "!has(self.syncReplicaElectionConstraint) || !self.syncReplicaElectionConstraint.enabled"
      .. " || !has(self.synchronous) || (" .. NO_DOMAIN_KEYS .. ")",
    "syncReplicaElectionConstraint and failure domain keys exclude each other") } })
end

--- Labels whose pods' addresses pg_hba lines may name.
function postgresql.pod_selectors()
  return s.keyed("name", s.obj {
    ["name!"] = s.str { pattern = "^[a-z]([a-z0-9_-]*[a-z0-9])?$" },
    ["selector!"] = s.any { ["x-kubernetes-map-type"] = "atomic" },
  }, { doc = "Pods whose addresses pg_hba lines may use as ${podselector:NAME}." })
end

function postgresql.replication_slots()
  return s.obj({
    highAvailability = s.obj({
      enabled = s.bool { default = true },
      slotPrefix = s.str { default = "_cnpg_", pattern = "^[0-9a-z_]*$" },
      synchronizeLogicalDecoding = s.bool(),
    }, { doc = "A slot for every standby.", default = { enabled = true }, rules = { s.rule(
      "!oldSelf.enabled || !self.enabled || !has(self.slotPrefix) || !has(oldSelf.slotPrefix)"
        .. " || self.slotPrefix == oldSelf.slotPrefix",
      "slotPrefix cannot change while highAvailability is enabled", { path = ".slotPrefix" }) } }),
    synchronizeReplicas = s.obj({
      ["enabled!"] = s.bool { default = true }, excludePatterns = s.list(),
    }, { doc = "Copy the primary's own slots to the standbys." }),
    updateInterval = s.int { doc = "Seconds between updates of the slots.", default = 30, minimum = 1 },
  }, { default = { highAvailability = { enabled = true } } })
end

return postgresql
