---@meta
--- The words of plugins (scripts/plugins/lib/words.lua); docs/plugins.md tells what they mean.

---@class plugin.Type
---@class plugin.Action
---@class plugin.Handle
---@class plugin.Plan
---@field requeue_s number?

---@class plugin.Ctx
---@field now integer unix seconds
---@field get fun(kind: string, name: string, how?: {namespace: string?, fresh: boolean?}): table? with fresh the API
---  server is asked; for plugins it always is
---@field list fun(kind: string, how?: {namespace: string?, labels: string?}): table[]
---@field sql fun(how: {cluster: string, sql: string, database: string?, as: string?, params: string[]?}): table[]

---@class plugin.Case
---@field name string?
---@field given table? what plan is given; an `object` in it gets the defaults of its spec
---@field expect table? of the plan, only what is named is compared
---@field finalize boolean? the function finalize instead of plan

---@class plugin.Definition
---@field api string "roles.example.dev/v1"
---@field plural string?
---@field short string?
---@field spec table<string, plugin.Type>?
---@field columns string[]?
---@field watches (string|{kind: string, field: string?})[]?
---@field owns string[]?
---@field kinds {kind: string, api: string, plural: string, cluster_wide: boolean?}[]?
---@field needs {api: table[]?, sql: table[]?}?
---@field observe (fun(ctx: plugin.Ctx, object: table): table)?
---@field plan fun(seen: table): plugin.Plan
---@field finalize (fun(seen: table): plugin.Plan)?
---@field cases plugin.Case[]?

---@param kind string
---@return fun(definition: plugin.Definition): table
function controller(kind) end

---@type plugin.Type, plugin.Type
any, secret_key = nil, nil
---@param fields table<string, plugin.Type>
---@return plugin.Type
function record(fields) end
---@param name string
---@param key string?
---@return plugin.Handle
function secret(name, key) end
---@param object table
---@return plugin.Action
function apply(object) end
---@param object table
---@return plugin.Action
function create(object) end
---@param fields {kind: string, name: string, body: table, namespace: string?, type: string?, subresource: string?}
---@return plugin.Action
function patch(fields) end
---@param fields {kind: string, name: string, uid: string, namespace: string?, grace_s: number?}
---@return plugin.Action
function delete(fields) end
---@param fields {cluster: string, sql: string, args: string[]?, params: string[]?, password: plugin.Handle?}
---@return plugin.Action
function sql(fields) end
---@param reason string
---@param note string?
---@param kind string? "Normal" or "Warning"
---@return plugin.Action
function event(reason, note, kind) end
---@param actions plugin.Action[]?
---@param status table?
---@return plugin.Plan
function ready(actions, status) end
---@param reason string
---@param message string?
---@return plugin.Plan
function blocked(reason, message) end
