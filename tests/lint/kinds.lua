--- No branch on a kind in core/operator: what a kind means is Lua. A comparison with the name of one is a finding,
--- and there are no exceptions.
local common = require("common")

local KINDS = [[Backup ClusterImageCatalog Cluster ClusterRecord ConfigMap CronJob Database DatabaseRole Deployment
  EndpointSlice FailoverQuorum ImageCatalog Job Lease Namespace Node PersistentVolumeClaim Pod PodDisruptionBudget
  PodMonitor Pooler Publication Role RoleBinding ScheduledBackup Secret Service ServiceAccount StatefulSet
  Subscription VolumeSnapshot]]

local names = {}
for kind in KINDS:gmatch("%S+") do
  local plural = kind:lower() .. "s"
  names[kind], names[kind:lower()], names[plural] = true, true, true
end

-- Calls that compare; their arguments may go over several lines.
local COMPARES = { "str%w*cmp", "mem%w*cmp", "[%w_]*_eq[%w_]*", "[%w_]*_equals?[%w_]*", "[%w_]*_is[%w_]*",
  "[%w_]*_same[%w_]*", "[%w_]*_starts[%w_]*" }

for _, path in ipairs(common.files({ "core/operator" }, { "c", "h" })) do
  local code = common.clean_c(common.read(path), true)
  for _, pattern in ipairs(COMPARES) do
    for at, arguments in code:gmatch("()%f[%w_]" .. pattern .. "%s*(%b())") do
      -- The way to a field is no kind.
      arguments = arguments:gsub("mh_json_%w+%s*%b()", "")
      for literal in arguments:gmatch('"([^"]*)"') do
        if names[literal] then
          local _, line = code:sub(1, at):gsub("\n", "")
          common.finding(path, line + 1, ("a branch on the kind %q"):format(literal))
        end
      end
    end
  end
end
common.done("let the controller script say it, as data in its table or in the action it returns")
