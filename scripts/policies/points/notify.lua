--- notify/v1. The form of this file is told in points/failover.lua.
return {
  point = "notify/v1",
  question = "Something happened: who is told, and how?",
  asked = "A moment after events of a cluster, with all that came together; only where targets are configured.",
  safe = "Only targets that the administrator configured (a script never sees an address); at most 10 messages "
    .. "of 4 KiB at once.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "events", "list", "what happened, oldest first", of = "event", default = {}, max = 200 },
    { "targets", "list", "names of the configured targets", of = "text", default = { "default" }, max = 64 },
    { "recent", "list", "what was sent in the last hour, oldest first", of = "sent", default = {}, max = 200 },
    { "now", "time", "the time", default = 1767225600 },
  },
  records = {
    event = {
      { "type", "choice", "", of = { "Normal", "Warning" }, default = "Normal" },
      { "reason", "text", "as in kubectl get events", default = "CreatingInstance", max = 128 },
      { "message", "text", "as in kubectl get events", default = "Creating instance pg-2", max = 1024 },
      { "count", "int", "how often it came", default = 1, min = 1 },
      { "at", "time", "when", default = 1767225590 },
    },
    sent = {
      { "target", "text", "to whom" }, { "key", "text", "the key of the message" },
      { "at", "time", "when", default = 1767225000 },
    },
    notify = { { "messages", "list", "what is sent; an empty list: nothing", of = "message", max = 10 } },
    message = {
      { "target", "text", "name of a target" },
      { "key", "text", "what it is about, for `recent`", max = 128 },
      { "title", "text", "one line", max = 200 },
      { "text", "lines", "the message; lines are allowed", optional = true, max = 4096 },
      { "severity", "choice", "", of = { "info", "warning", "critical" }, optional = true },
    },
  },
  answers = { "notify" },
  words = "a table with messages",
}
