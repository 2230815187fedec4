--- Records that several decision points share. See points/failover.lua for the form of these files.
return {
  records = {
    cluster = {
      { "name", "text", "its name", default = "pg" },
      { "namespace", "text", "its namespace", default = "default" },
      { "instances", "int", "how many instances it shall have", default = 3, min = 0, max = 1000 },
      { "labels", "map", "its labels", of = "label", default = {} },
    },
    place = {
      { "name", "text", "name of the instance" },
      { "zone", "text", "zone of its node, where that is known", optional = true },
      { "node", "text", "its node", optional = true },
    },
    wait = {
      { "action", "choice", "", of = { "wait" } },
      { "reason", "reason", "one word that begins with a capital" },
      { "message", "text", "for people", optional = true, max = 256 },
      { "at", "time", "when to ask again" },
    },
  },
}
