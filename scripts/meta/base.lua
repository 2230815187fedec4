---@meta
--- What every script has beside Lua's own assert error ipairs next pairs pcall xpcall select getmetatable
--- setmetatable rawequal rawget rawlen tonumber tostring type, string, table, math, utf8. What differs from
--- plain Lua: `pairs` and `next` go in sorted order of keys (numbers, texts, booleans), table.sort is stable,
--- tostring shows no addresses, there is no coroutine, load, io, os, debug, random; globals cannot be set.

---@class array A list that stays a list in JSON, also when it is empty.
---@field add fun(self: array, value: any): array appends, returns the list
---@field has fun(self: array, value: any): boolean

--- Tags a table, or a new one, as a list.
---
---     array {}          --> []
---     array { 1, 2 }:add(3)   --> [1,2,3]
---@param list table?
---@return array
function array(list) end

--- JSON's null: an element of a list, or a field to remove in a merge patch. Never equal to nil.
null = nil

--- A controller: `observe` gathers and may wait, `plan` is pure.
---
---     return controller "Cluster" { owns = { "Pod" }, observe = function(ctx, obj) ... end, plan = ... }
---@param kind string
---@return fun(declaration: table): table
function controller(kind) end

--- A module of scripts/, loaded once per VM: require "desired.pod".
---@param name string
---@return any
function require(name) end
