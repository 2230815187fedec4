--- backup/v1. The form of this file is told in points/failover.lua.
return {
  point = "backup/v1",
  question = "A backup is due: now or later, and from whom?",
  asked = "When a ScheduledBackup is due or a Backup is asked for, and again at the time it names.",
  safe = "From an instance that is well, one at a time; nothing is put off for more than 24 hours beyond the "
    .. "time when it was due.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "due_at", "time", "when it was due", default = 1767225600 },
    { "requested", "flag", "a person asked for it", default = false },
    { "target", "choice", "spec.backup.target", of = { "prefer-standby", "primary" }, default = "prefer-standby" },
    { "instances", "list", "all instances", of = "source", default = {}, max = 1000 },
    { "running", "int", "backups under way in this cluster", default = 0, min = 0 },
    { "running_elsewhere", "int", "backups under way in other clusters of the operator", default = 0, min = 0 },
    { "last_at", "time", "when the last good one was complete; 0 for never", default = 0 },
    { "wal_since", "int", "bytes of log since then", default = 0, min = 0 },
    { "now", "time", "the time", default = 1767225600 },
  },
  records = {
    source = {
      { "name", "text", "name of the instance" },
      { "role", "choice", "", of = { "replica", "primary" }, default = "replica" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "node", "text", "its node", optional = true },
      { "ready", "flag", "it is well", default = true },
      { "replay_lag", "int", "bytes of log that it still has to replay", default = 0, min = 0 },
      { "connections", "int", "clients that are connected", optional = true, min = 0 },
    },
    start = {
      { "action", "choice", "", of = { "backup" } },
      { "from", "text", "name of an instance that is ready" },
      { "message", "text", "for people", optional = true, max = 256 },
    },
  },
  answers = { "start", "wait" },
  words = "backup(...) or wait(...)",
  wait_max_s = 86400,
}
