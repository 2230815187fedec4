--- lua pick.lua DIR: from the files that an operator recorded (in folders of DIR), varied ones, in the form of
--- passes.jsonl, to standard output. All of them are planned anew; one that differs is an error.
local replay = dofile((arg[0]:match("^(.*/)") or "./") .. "replay.lua")

local WANTED = 160

local function files(dir)
  local out = {}
  local pipe = assert(io.popen(("find '%s' -name '*.json' | sort"):format(dir)))
  for path in pipe:lines() do out[#out + 1] = path end
  pipe:close()
  return out
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text:gsub("\n$", "")
end

-- What makes an observation another one: the sentence without names and numbers, the actions, how many there are.
local function class_of(record, plan)
  local ops = {}
  for op in plan:gmatch('"op":"(%w+)"') do ops[#ops + 1] = op end
  table.sort(ops)
  local seen = record.seen
  local reason = (plan:match('"reason":"([^"]*)"') or "?"):gsub("[%w]+%-%d+", "X")
  return table.concat({ reason, #(seen.pods or {}), #(seen.jobs or {}), #(seen.volumes or {}),
    seen.verdict and seen.verdict.state or "", table.concat(ops, ",") }, "|")
end

local classes, order, total = {}, {}, 0

local function add(path)
  local text = read(path)
  -- A pass that failed in observe has no plan; a file that was being written has no end.
  if text:sub(-13) == ',"plan":null}' or text:sub(-1) ~= "}" then return end
  local record = replay.decode(text)
  local plan, why = replay.plan(record)
  local tail = ',"plan":' .. (plan or "?") .. "}"
  if text:sub(-#tail) ~= tail then error(path .. ": another plan than the operator's: " .. (why or plan)) end
  local class = class_of(record, plan)
  if not classes[class] then
    classes[class] = {}
    order[#order + 1] = class
  end
  table.insert(classes[class], { text:sub(1, #text - #tail) .. "}", plan })
  total = total + 1
end

-- One of each class, then a second one, and so on.
local function write_varied()
  local taken, round = 0, 1
  repeat
    local before = taken
    for _, class in ipairs(order) do
      local pair = classes[class][round]
      if pair and taken < WANTED then
        io.write(pair[1], "\n", pair[2], "\n")
        taken = taken + 1
      end
    end
    round = round + 1
  until taken == before or taken >= WANTED
  return taken
end

for _, path in ipairs(files(arg[1])) do add(path) end
local taken = write_varied()
io.stderr:write(("%d observations, all planned alike; %d classes, %d taken\n"):format(total, #order, taken))
