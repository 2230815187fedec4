--- retention/v1. The form of this file is told in points/failover.lua.
return {
  point = "retention/v1",
  question = "Which backups stay?",
  asked = "After each backup, and once a day.",
  safe = "Every backup is kept or expires, not both. What is pinned stays, the newest complete one stays, what "
    .. "a kept one needs stays, and at most half of all go at once.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "backups", "list", "the completed ones, newest first", of = "backup", default = {}, max = 10000 },
    { "window", "int", "spec.backup.retentionPolicy in seconds", optional = true, min = 0 },
    { "now", "time", "the time", default = 1767225600 },
  },
  records = {
    backup = {
      { "id", "text", "its id" },
      { "name", "text", "the Backup object, where there is one", optional = true },
      { "finished_at", "time", "when it was complete", default = 1767139200 },
      { "size", "int", "bytes in the store", optional = true, min = 0 },
      { "pinned", "flag", "somebody said that it stays (moonherd.io/pinned)", default = false },
      { "chain", "list", "ids of the backups that this one needs", of = "text", optional = true, default = {},
        max = 1000 },
    },
    retain = {
      { "keep", "map", "id to the reason why it stays", of = "text", max = 10000 },
      { "expire", "list", "ids of those that may be deleted", of = "text", max = 10000 },
    },
  },
  answers = { "retain" },
  words = "retain(...)",
}
