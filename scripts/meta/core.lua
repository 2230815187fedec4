---@meta
--- What controllers of the image (scripts/controllers) have beside what plugins have (scripts/meta/plugin.lua):
--- only where their declaration says so, in `needs.core`, and never in the text of a ConfigMap, whose needs
--- are refused with it. tests/lint/controllers.lua holds both to it.

---@class plugin.Core
---@field checks true ctx.check
---@field digests true ctx.get and ctx.list show a Secret with `data`, of which each value is a digest
---@field failover true ctx.ha, and the steps that it returns, which a plan hands on as they are
---@field fleet true ctx.fleet
---@field instances true ctx.instances, order
---@field labels true label
---@field operator true ctx.operator; ctx.get reaches into its namespace, too
---@field plans true outcome; objects as they are planned, with owners of their own. Without it a plan is ready,
---  blocked or wait, and what it makes gets its owner, as with plugins
---@field policies true ctx.policy
---@field values true create_with, renew

---@class core.Ctx: plugin.Ctx
---@field operator table needs.core "operator": the settings, namespace, image, api_groups ...
---@field check fun(): table? needs.core "checks": what native modules find wrong with the object
---@field ha fun(facts: table): table needs.core "failover": what the failover protocol says of these facts
---@field fleet fun(): table[] needs.core "fleet": restarts that are under way in other clusters
---@field instances fun(object: table?): table<string, table> needs.core "instances": what managers report
---@field policy fun(point: string, input: table, which: "claimed"?): table needs.core "policies": asks the
---  policy in charge; with "claimed" only one that is not built in

--- needs.core "values": creates an object with values that are made in C and that no script sees: a password, a
--- key pair, a copy of a Secret.
---@param object table
---@param fill table {type = "password"|"ca"|"tls"|"copy", ...}
---@return plugin.Action
function create_with(object, fill) end
--- needs.core "values": makes the values of a Secret anew.
---@param fields {kind: string, name: string, namespace: string?, fill: table}
---@return plugin.Action
function renew(fields) end
--- needs.core "labels": sets labels and annotations, of the very object that was seen where it has a uid.
---@param fields {kind: string, name: string, namespace: string?, uid: string?, labels: table?, annotations: table?}
---@return plugin.Action
function label(fields) end
--- needs.core "instances": an order to the manager in a pod.
---@param fields {pod: string, command: string, reason: string?}
---@return plugin.Action
function order(fields) end
--- needs.core "plans": a plan in a sentence of its own; the status is merged as it is, its conditions too.
---@param fields {actions: plugin.Action[], status: table?, reason: string, requeue_s: number?}
---@return plugin.Plan
function outcome(fields) end
