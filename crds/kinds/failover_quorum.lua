--- kind FailoverQuorum: which standbys a commit waits for, so that a failover can prove that nothing is lost.
local s = require("parts.schema")

local failover_quorum = {}

function failover_quorum.crd(group)
  return {
    group = group, version = "v1", kind = "FailoverQuorum", plural = "failoverquorums",
    singular = "failoverquorum",
    columns = { { name = "Age", type = "date", jsonPath = ".metadata.creationTimestamp" } },
    subresources = { status = {} },
    schema = s.obj({
      apiVersion = s.str(),
      kind = s.str(),
      ["metadata!"] = s.obj {},
      status = s.obj {
        method = s.str { doc = "ANY or FIRST." }, primary = s.str(), standbyNames = s.list(),
          standbyNumber = s.int(),
      },
    }, { doc = "The synchronous set of the cluster of the same name." }),
  }
end

return failover_quorum
