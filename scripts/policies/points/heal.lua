--- heal/v1. The form of this file is told in points/failover.lua.
return {
  point = "heal/v1",
  question = "An instance is broken: what is tried next?",
  asked = "When a replica is not ready for longer than half a minute while the primary serves, at each look; only "
    .. "where a policy is there. Without one nothing is tried.",
  safe = "Only steps that the core offers for this instance at this moment: never for the primary, for who is about "
    .. "to become it, or for a fenced instance; nothing that replaces data while another instance is not well; one "
    .. "step with one instance at a time; a wait ends within an hour.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "instance", "record", "the broken one", of = "broken", default = { name = "pg-2" } },
    { "problem", "choice", "what is wrong", default = "crashing",
      of = { "crashing", "diverged", "wal_missing", "disk_full", "not_starting", "node_lost", "unknown" } },
    { "since", "time", "since when", default = 1767225300 },
    { "attempts", "list", "what was tried since then, oldest first", of = "attempt", default = {}, max = 1000 },
    { "healthy", "int", "other instances that are well", default = 2, min = 0, max = 1000 },
    { "steps", "list", "what is safe now", of = "step", default = { "restart", "rewind", "reclone" }, max = 16 },
    { "now", "time", "the time", default = 1767225600 },
  },
  records = {
    broken = {
      { "name", "text", "its name" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "node", "text", "its node", optional = true },
      { "size", "int", "bytes on its volume", optional = true, min = 0 },
    },
    attempt = {
      { "step", "choice", "", of = { "restart", "rewind", "reclone", "recreate" } },
      { "at", "time", "when it began", default = 1767225400 },
      { "message", "text", "how it ended", optional = true, max = 1024 },
    },
    heal = {
      { "action", "choice", "", of = { "heal" } },
      { "step", "choice", "", of = { "restart", "rewind", "reclone", "recreate" } },
      { "message", "text", "for people", optional = true, max = 256 },
    },
  },
  types = { step = { "choice", of = { "restart", "rewind", "reclone", "recreate" } } },
  answers = { "heal", "wait" },
  words = "heal(...) or wait(...)",
  wait_max_s = 3600,
}
