--- kind ClusterRecord of moonherd.io: what the operator has to remember beyond its own life.
local s = require("parts.schema")

local cluster_record = {}

function cluster_record.crd(group)
  return {
    group = group, version = "v1alpha1", kind = "ClusterRecord", plural = "clusterrecords",
    singular = "clusterrecord",
    columns = { { name = "Age", type = "date", jsonPath = ".metadata.creationTimestamp" } },
    schema = s.obj({
      apiVersion = s.str(),
      kind = s.str(),
      ["metadata!"] = s.obj {},
      record = s.any { doc = "Last decisions and last good policies; at most 64 KiB." },
    }, { doc = "The operator's notebook for one cluster. It is not meant to be edited." }),
  }
end

return cluster_record
