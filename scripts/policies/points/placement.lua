--- placement/v1. The form of this file is told in points/failover.lua.
return {
  point = "placement/v1",
  question = "An instance is about to be created: where may it run?",
  asked = "Before each pod of an instance is made.",
  safe = "Bounded rules for the scheduler, beside those of the Cluster, or a refusal with a reason.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "instance", "record", "the instance", of = "instance", default = { name = "pg-1" } },
    { "zones", "list", "names of the zones that have a ready node", of = "text", default = {}, max = 1000 },
    { "nodes", "list", "the nodes", of = "node", default = {}, max = 10000 },
    { "now", "time", "the time", default = 1767225600 },
  },
  records = {
    instance = {
      { "name", "text", "its name" },
      { "ordinal", "int", "1 is the first", default = 1, min = 0 },
      { "is_new", "flag", "it has no volume yet", default = true },
    },
    node = {
      { "name", "text", "its name" },
      { "zone", "text", "its zone, where that is known", optional = true },
      { "ready", "flag", "it is ready", default = true },
      { "schedulable", "flag", "it is not being drained", default = true },
      { "labels", "map", "its labels, the first 32 by name; absent where those of all nodes are too many", of = "label",
        optional = true, default = {} },
    },
    place = {
      { "node_selector", "map", "labels that the node must have", of = "label", optional = true, max = 32 },
      { "required", "list", "what the node must fulfil", of = "required", optional = true, max = 32 },
      { "preferred", "list", "wishes", of = "preferred", optional = true, max = 32 },
      { "spread", "list", "how instances are spread", of = "spread", optional = true, max = 32 },
    },
    required = { { "node", "record", "a rule", of = "term" } },
    preferred = {
      { "weight", "int", "how much it counts", min = 1, max = 100 },
      { "node", "record", "a rule", of = "term" },
    },
    term = {
      { "key", "text", "label of nodes", max = 317 },
      { "op", "choice", "as in a pod's node affinity", of = { "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt" } },
      { "values", "list", "none for Exists and DoesNotExist, one for Gt and Lt", of = "label", optional = true,
        max = 64 },
    },
    spread = {
      { "key", "text", "label of nodes", max = 317 },
      { "max_skew", "int", "by how much zones may differ", min = 1, max = 100 },
      { "when_unsatisfiable", "choice", "a must, or a wish", of = { "DoNotSchedule", "ScheduleAnyway" } },
    },
    reject = {
      { "action", "choice", "", of = { "reject" } },
      { "reason", "reason", "one word that begins with a capital" },
      { "message", "text", "for people", optional = true, max = 256 },
    },
  },
  answers = { "place", "reject" },
  words = "a table with any of these, or reject(...)",
}
