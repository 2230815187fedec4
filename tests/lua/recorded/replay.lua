--- Plans of recorded observations under plain Lua.
---
--- passes.jsonl.zst holds two lines for each pass: {"kind","namespace","name","seen"}, and the plan as the operator
--- wrote it. The plan is a line of its own so that it can be compared as bytes.
local replay = {}

replay.here = arg[0]:match("^(.*)/[^/]*$") or "."
local root = replay.here .. "/../../.."

local plain = assert(loadfile(root .. "/tests/lua/plain.lua", "t"))()
replay.decode = plain.decode
plain.install(root .. "/scripts")

local controllers = {}
local function controller_of(kind)
  if not controllers[kind] then
    local path = ("%s/scripts/controllers/%s.lua"):format(root, kind:match("^[^.]+"):lower())
    controllers[kind] = assert(loadfile(path, "t"))(path)
  end
  return controllers[kind]
end

--- The plan's text for a decoded record; nil and a message where the script fails.
function replay.plan(record)
  local ok, result = xpcall(function()
    return plain.encode(controller_of(record.kind).plan(record.seen))
  end, debug.traceback)
  if ok then return result end
  return nil, result
end

--- Calls f(record, plan as recorded) for each pass of the file.
function replay.each(f)
  local pipe = assert(io.popen(("zstd -qdc '%s/passes.jsonl.zst'"):format(replay.here), "r"))
  for line in pipe:lines() do
    f(plain.decode(line), assert(pipe:read("l"), "a plan is missing"))
  end
  assert(pipe:close(), "passes.jsonl.zst cannot be unpacked")
end

--- Where two texts differ first, with what is around.
function replay.difference(a, b)
  local at = 1
  while a:byte(at) == b:byte(at) do at = at + 1 end
  local from = math.max(1, at - 60)
  return ("at byte %d\n  recorded ...%s\n  planned  ...%s"):format(at, a:sub(from, at + 100), b:sub(from, at + 100))
end

return replay
