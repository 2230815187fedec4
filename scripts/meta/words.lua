--- The words of policies: the one source of their stubs (scripts/meta/policy.lua), of what luacheck knows and
--- of docs/policies/words.md. `lua5.4 scripts/meta/generate.lua` writes those; examples are run by the tests.
---
--- A word: name, args ({ name, type, doc }), returns (type), doc, where (decision points; absent: all), examples
--- ({ expression, value }, both Lua).
return {
  { group = "A policy" },
  {
    name = "policy", args = { { "point", "string", '"failover/v1" and so on' } },
    returns = "fun(declaration: policy.Declaration): policy.Declaration",
    doc = "Declares a policy; the script returns it. The declaration has decide, and may have params, cases and "
      .. "description.",
  },

  { group = "Types of parameters" },
  { name = "str", type = true, doc = "A text." },
  { name = "int", type = true, doc = "An integer." },
  { name = "num", type = true, doc = "A number." },
  { name = "flag", type = true, doc = "true or false." },
  {
    name = "bytes", type = true,
    doc = 'A size; "16MiB" is read as an integer. Units: B, KiB, MiB, GiB, TiB (not Mi).',
  },
  { name = "duration", type = true, doc = 'A time span; "10m" is read as seconds. Units: s, m, h, d.' },
  { name = "cron", type = true, doc = 'Five fields as in "0 2 * * 6"; numbers only, Sunday is 0 or 7.' },
  {
    name = "choice", args = { { "...", "string" } }, returns = "policy.Type",
    doc = "One of the texts; the first is the default.",
  },
  {
    name = "list", args = { { "of", "policy.Type" } }, returns = "policy.Type",
    doc = "A list; empty by default.",
  },
  {
    name = "optional", args = { { "of", "policy.Type" } }, returns = "policy.Type",
    doc = "Absent (nil) by default.",
  },

  { group = "Lists and order" },
  {
    name = "rank", args = { { "list", "{ name: string, key: any[] }[]" } }, returns = "string[]",
    doc = "Names, smallest key first. Keys are compared element by element: true before false, numbers and texts "
      .. "upwards; equal keys by name.",
    examples = {
      { 'rank { { name = "b", key = { 1, 50 } }, { name = "a", key = { 0, 99 } } }', '{ "a", "b" }' },
      { 'rank { { name = "b", key = { false } }, { name = "a", key = { false } }, { name = "c", key = { true } } }',
        '{ "c", "a", "b" }' },
    },
  },

  { group = "Answers" },
  {
    name = "promote", args = { { "order", "string[]" } }, returns = "failover.promote", where = { "failover/v1" },
    doc = "The first of these that is safe at that moment becomes primary.",
    examples = { { 'promote { "pg-3" }', '{ action = "promote", target = "pg-3", order = { "pg-3" } }' } },
  },
  {
    name = "hold", args = { { "reason", "string|table" }, { "message", "string?" }, { "...", "any" } },
    returns = "failover.hold", where = { "failover/v1" },
    doc = "Wait, 30 s at most. Either a reason and a message, or a table with until_s.",
    examples = {
      { 'hold("NobodyFresh", "%d candidates", 2)',
        '{ action = "hold", reason = "NobodyFresh", message = "2 candidates", until_s = 30 }' },
      { 'hold { reason = "Settling", until_s = 5 }', '{ action = "hold", reason = "Settling", until_s = 5 }' },
    },
  },
  {
    name = "reject", args = { { "reason", "string" }, { "message", "string?" }, { "...", "any" } },
    returns = "placement.reject", where = { "placement/v1" }, doc = "Do not create this instance now.",
    examples = { { 'reject("TooFewZones", "%d are ready", 1)',
      '{ action = "reject", reason = "TooFewZones", message = "1 are ready" }' } },
  },
  {
    name = "update", where = { "rollout/v1" },
    args = { { "name", "string" }, { "method", '"restart"|"switchover"|nil' }, { "message", "string?" },
      { "...", "any" } },
    returns = "rollout.update", doc = "This instance is next. Without a method: restart.",
    examples = { { 'update("pg-2")', '{ action = "update", target = "pg-2", method = "restart" }' } },
  },
  {
    name = "wait", where = { "rollout/v1", "backup/v1", "heal/v1" },
    args = { { "reason", "string" }, { "at", "integer?", "unix seconds; without it in a minute" },
      { "message", "string?" }, { "...", "any" } },
    returns = "wait", doc = "Not now; ask again at that time.",
    examples = { { 'wait("Soaking", 1767225900, "%d s left", 300)',
      '{ action = "wait", reason = "Soaking", at = 1767225900, message = "300 s left" }' } },
  },
  {
    name = "rollback", where = { "rollout/v1" },
    args = { { "reason", "string" }, { "message", "string?" }, { "...", "any" } }, returns = "rollout.rollback",
    doc = "Take the change back.",
    examples = { { 'rollback("CanaryCrashed")', '{ action = "rollback", reason = "CanaryCrashed" }' } },
  },
  {
    name = "finish", where = { "rollout/v1" }, args = { { "reason", "string" } }, returns = "rollout.finish",
    doc = "All is done.",
    examples = { { 'finish("AllUpdated")', '{ action = "finish", reason = "AllUpdated" }' } },
  },
  {
    name = "heal", where = { "heal/v1" },
    args = { { "step", "string" }, { "message", "string?" }, { "...", "any" } }, returns = "heal.heal",
    doc = "Try this step now.",
    examples = { { 'heal("rewind")', '{ action = "heal", step = "rewind" }' } },
  },
  {
    name = "backup", where = { "backup/v1" },
    args = { { "from", "string" }, { "message", "string?" }, { "...", "any" } }, returns = "backup.start",
    doc = "Take it now, from this instance.",
    examples = { { 'backup("pg-2")', '{ action = "backup", from = "pg-2" }' } },
  },
  {
    name = "retain", where = { "retention/v1" },
    args = { { "ctx", "retention.input" }, { "keep", "table<string, string>", "ids and the reason why they stay" } },
    returns = "retention.retain",
    doc = "Keeps these; adds what has to stay (pinned ones, the newest, what a kept one needs), and lets at most "
      .. "half of all go at once. The rest goes the next time.",
    examples = {
      { 'retain({ backups = { { id = "c" }, { id = "b" }, { id = "a" } } }, { b = "weekly" })',
        '{ keep = { c = "newest", b = "weekly" }, expire = { "a" } }' },
    },
  },

  { group = "Times" },
  {
    name = "time.date", args = { { "seconds", "integer" }, { "zone", "string?", '"UTC" or "+02:00"' } },
    returns = "time.Date",
    doc = "Fields of a time: year, month, day, hour, min, sec, weekday (1 is Monday, 7 Sunday), yearday, and week "
      .. "and week_year of ISO 8601. A zone is \"UTC\" or a shift as \"+02:00\", here and below: names of zones and "
      .. "summer time are not known.",
    examples = { { "time.date(1767225600).weekday", "4" }, { 'time.date(1767225600, "+02:00").hour', "2" },
      { "time.date(1767225600).week", "1" } },
  },
  {
    name = "time.format", args = { { "seconds", "integer" }, { "pattern", "string" }, { "zone", "string?" } },
    returns = "string", doc = "A text of a time; %Y %m %d %H %M %S %j %u %G %V as in strftime.",
    examples = { { 'time.format(1767225600, "%Y-%m-%d %H:%M")', '"2026-01-01 00:00"' },
      { 'time.format(1767225600, "%G-W%V")', '"2026-W01"' } },
  },
  {
    name = "time.next", args = { { "after", "integer" }, { "cron", "string" }, { "zone", "string?" } },
    returns = "integer?",
    doc = "The first time after that which the cron line names; nil if there is none in five years.",
    examples = { { 'time.next(1767225600, "0 2 * * 6")', "1767405600" }, { 'time.next(0, "0 0 30 2 *")', "nil" } },
  },
  {
    name = "time.in_window", returns = "boolean, integer?",
    args = { { "now", "integer" }, { "cron", "string", "when the window begins" },
      { "seconds", "integer", "how long it is" }, { "zone", "string?" } },
    doc = "Whether it is open now, and then also when it ends.",
    examples = { { 'time.in_window(1767405660, "0 2 * * 6", 7200)', "true" },
      { 'time.in_window(1767225600, "0 2 * * 6", 7200)', "false" } },
  },

  { group = "Everywhere in moonherd" },
  { name = "array", elsewhere = true, doc = "A list that stays a list when it is empty; it has :add(x) and :has(x)." },
  { name = "null", elsewhere = true, doc = "An element of a list that is nothing. Absent fields are nil." },
}
