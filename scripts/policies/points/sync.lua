--- sync/v1. The form of this file is told in points/failover.lua.
return {
  point = "sync/v1",
  question = "Who is in the synchronous set?",
  asked = "At each look at a cluster with spec.postgresql.synchronous whose primary serves. Without a policy all "
    .. "replicas are in the set.",
  safe = "Names of candidates, each once; never fewer than `required`, as long as there are so many; a set that "
    .. "works never loses so many of its members at once that none of the old ones is left. As soon as fewer of "
    .. "those chosen stream than a commit waits for, everybody counts again, those chosen at the front.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "primary", "record", "the primary", of = "place", default = { name = "pg-1" } },
    { "candidates", "list", "the replicas that may be in the set", of = "replica", default = {}, max = 1000 },
    { "required", "int", "how many of them a commit waits for", default = 1, min = 0, max = 1000 },
    { "method", "choice", "spec.postgresql.synchronous.method", of = { "any", "first" }, default = "any" },
    { "durability", "choice", "spec.postgresql.synchronous.dataDurability", of = { "required", "preferred" },
      default = "required" },
    { "now", "time", "the time", default = 1767225600 },
  },
  records = {
    replica = {
      { "name", "text", "name of the instance" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "node", "text", "its node", optional = true },
      { "streaming", "flag", "it is connected to the primary", default = true },
      { "member", "flag", "it is in the set now", default = false },
      { "flush_lag", "int", "bytes of log that it has not on disk yet", default = 0, min = 0 },
    },
    sync = {
      { "names", "list", "the set; with method first the order counts", of = "text", max = 1000 },
      { "message", "text", "for people", optional = true, max = 256 },
    },
  },
  answers = { "sync" },
  words = "a table with names",
}
