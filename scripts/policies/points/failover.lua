--- failover/v1. The one source of this decision point: the checker in C, the JSON Schema, the stubs and the
--- tables in docs/policies are made from these files.
---
--- A field is { name, type, doc, ... }. Types: text, reason, int, number, flag, time (unix seconds), scalar,
--- choice (of = the texts), list and map (of = a type or a record), record (of = its name). `optional` fields
--- may be absent; `default` is what a case that does not give the field gets; min and max bound numbers,
--- bytes of texts, and how many a list or map has.
return {
  point = "failover/v1",
  question = "The primary is gone: who takes over?",
  asked = "Whenever the primary has failed and at least one replica may be promoted.",
  safe = "Only names of candidates, each once; nobody is held up for more than 30 seconds.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "candidates", "list", "the replicas that may be promoted at all", of = "candidate", default = {},
      max = 1000 },
    { "now", "time", "the time", default = 1767225600 },
    { "reason", "text", "why there is a failover", default = "the primary failed", max = 1024 },
  },
  records = {
    candidate = {
      { "name", "text", "name of the instance" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "node", "text", "its node", optional = true },
      { "sync", "flag", "a commit may have waited for it: it is in the synchronous set", default = false },
      { "timeline", "int", "its timeline", default = 1, min = 0 },
      { "flush_lsn", "text", "up to where its log is on disk", default = "0/3000000" },
      { "replay_lag", "int", "bytes of log that it lacks, next to the candidate that has most", default = 0, min = 0 },
      { "ready", "flag", "its pod is ready", default = true },
      { "priority", "int", "always 0 in this version; higher is sooner", optional = true, default = 0 },
    },
    promote = {
      { "action", "choice", "", of = { "promote" } },
      { "target", "text", "the first of the order; absent when the order is empty", optional = true },
      { "order", "list", "names, best first; an empty one is no preference", of = "text", max = 1000 },
      { "message", "text", "for people", optional = true, max = 256 },
    },
    hold = {
      { "action", "choice", "", of = { "hold" } },
      { "reason", "reason", "one word that begins with a capital" },
      { "message", "text", "for people", optional = true, max = 256 },
      { "until_s", "int", "for how many seconds", min = 0, max = 30 },
      { "at", "time", "made by the core: now + until_s", optional = true },
    },
  },
  answers = { "promote", "hold" },
  words = "promote(...) or hold(...)",
}
