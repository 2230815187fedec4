--- rollout/v1. The form of this file is told in points/failover.lua.
return {
  point = "rollout/v1",
  question = "Instances have to be restarted: may that happen now, and which is next?",
  asked = "Before each restart of an instance that runs with an older configuration than the Cluster asks for, as "
    .. "soon as all are well. Not for the primary where primaryUpdateStrategy is supervised.",
  safe = "One instance at a time, while all others are well; replicas before the primary; the primary first "
    .. "and in place where it lowers a limit that replicas may not fall short of; a wait ends within 31 days; "
    .. "only what can be taken back is rolled back.",
  input = {
    { "cluster", "record", "the cluster", of = "cluster", default = {} },
    { "reason", "text", "what changed", default = "the image changed", max = 1024 },
    { "urgent", "flag", "the Cluster is annotated moonherd.io/urgent-update", default = false },
    { "pending", "list", "instances that wait for their restart, in the order that the core would take", of = "pending",
      default = {}, max = 1000 },
    { "updated", "list", "instances that run the new way", of = "updated", default = {}, max = 1000 },
    { "baseline", "record", "how the cluster did before; empty in this version", of = "baseline",
      default = {} },
    { "fleet", "list", "restarts under way in other clusters of the operator", of = "restart", default = {},
      max = 10000 },
    { "started_at", "time", "when the change was first seen", default = 1767225000 },
    { "last_change", "time", "when an instance was last restarted for it; 0 for never", default = 0 },
    { "can_roll_back", "flag", "the version before is known and works with the data; never "
      .. "in this version", default = false },
    { "primary_method", "choice", "spec.primaryUpdateMethod, or restart where the role must not move",
      of = { "restart", "switchover" }, default = "restart" },
    { "now", "time", "the time", default = 1767225600 },
  },
  records = {
    pending = {
      { "name", "text", "name of the instance" },
      { "role", "choice", "", of = { "replica", "primary" }, default = "replica" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "node", "text", "its node", optional = true },
      { "safe", "flag", "it may be restarted now without taking the cluster down", default = true },
    },
    updated = {
      { "name", "text", "name of the instance" },
      { "role", "choice", "", of = { "replica", "primary" }, default = "replica" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "ready", "flag", "it is well", default = true },
      { "updated_at", "time", "when it was restarted", default = 1767225300 },
      { "crashes", "int", "how often PostgreSQL and its manager crashed in its pod", default = 0, min = 0 },
      { "replay_lag", "int", "bytes of log that it still has to replay", default = 0, min = 0 },
      { "p99_ms", "number", "99th percentile of its statements", optional = true, min = 0 },
    },
    baseline = { { "p99_ms", "number", "99th percentile of statements", optional = true, min = 0 } },
    restart = {
      { "namespace", "text", "", default = "default" }, { "cluster", "text", "" }, { "name", "text", "" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
    },
    update = {
      { "action", "choice", "", of = { "update" } },
      { "target", "text", "name of a pending instance" },
      { "method", "choice", "", of = { "restart", "switchover" } },
      { "message", "text", "for people", optional = true, max = 256 },
    },
    rollback = {
      { "action", "choice", "", of = { "rollback" } },
      { "reason", "reason", "one word that begins with a capital" },
      { "message", "text", "for people", optional = true, max = 256 },
    },
    finish = {
      { "action", "choice", "", of = { "finish" } },
      { "reason", "reason", "one word that begins with a capital" },
    },
  },
  answers = { "update", "wait", "rollback", "finish" },
  words = "update(...), wait(...), rollback(...) or finish(...)",
  wait_max_s = 31 * 86400,
}
