--- The commands of the documentation, for examples.lua: each exists, has these options, and its files are there.
local moonherd, kubectl, dir = os.getenv("MOONHERD"), os.getenv("KUBECTL"), os.getenv("DIR")

-- Programs that are not ours and whose options are not looked at.
local FOREIGN = {}
for word in ([[base64 cd cmake ctr curl echo export grep helm kind ninja psql sed sleep until do done . ...
    ]]):gmatch("%S+") do
  FOREIGN[word] = true
end
-- Options before kubectl's verb that have a value of their own.
local WITH_VALUE = { ["-n"] = true, ["--namespace"] = true, ["-f"] = true, ["--kubeconfig"] = true }
-- kubectl verbs that are more than one word.
local LONG_VERBS = { ["create secret"] = 3, rollout = 2, set = 2, create = 2 }


--- Output of a command, errors included, and its exit code.
local function run(command)
  local pipe = assert(io.popen("( " .. command .. " ) 2>&1 < /dev/null", "r"))
  local text = pipe:read("a")
  local _, _, code = pipe:close()
  return text, code
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read("a")
  if file then
    file:close()
  end
  return text
end

local function exists(path)
  return (select(2, run("ls -d -- " .. path .. " > /dev/null"))) == 0
end

local function balanced(text, from)
  local _, last = text:find("^%b()", from)
  return last
end

--- Takes each $(...) out of a line, into more lines.
local function substitutions(line, out)
  while true do
    local from = line:find("$(", 1, true)
    local last = from and balanced(line, from + 1)
    if not last then
      out[#out + 1] = line
      return
    end
    substitutions(line:sub(from + 2, last - 1), out)
    line = line:sub(1, from - 1) .. "SUBSTITUTED" .. line:sub(last + 1)
  end
end

--- Words of a line up to its comment, without their quotes; operators are "|": { "kubectl", "get", "|", ... }.
local function words_of(line)
  local words, word, i = {}, nil, 1
  line = line .. " "
  while i <= #line do
    local c = line:sub(i, i)
    local last = (c == "'" or c == '"') and line:find(c, i + 1, true)
    if last then
      word = (word or "") .. line:sub(i + 1, last - 1)
      i = last
    elseif c == "#" and not word then
      break
    elseif c:find("[%s|&;]") then
      words[#words + 1] = word
      words[#words + 1] = not c:find("%s") and "|" or nil
      word = nil
    else
      word = (word or "") .. c
    end
    i = i + 1
  end
  return words
end

--- Commands of a block: lists of words.
local function commands_of(block)
  local out, lines = {}, {}
  local text = block.text:gsub("\\\n", " ")
  for line in text:gmatch("(.-)\n") do
    if block.kind ~= "sh" then
      line = line:gsub("[%[%]]", " "):gsub("%.%.%.", " "):gsub(" | ", " ")
    end
    substitutions(line, lines)
  end
  for _, line in ipairs(lines) do
    local command = {}
    for _, word in ipairs(words_of(line)) do
      if word == "|" then
        out[#out + 1] = command
        command = {}
      elseif #command > 0 or not word:find("^[%u_]+=") then
        command[#command + 1] = word
      end
    end
    out[#out + 1] = command
  end
  return out
end

local help_texts = {}
local function help(command)
  help_texts[command] = help_texts[command] or run(command)
  return help_texts[command]
end

--- Nothing when the help text knows all options among the words; else the first that it does not know.
local function unknown_option(words, text)
  for i = 2, #words do
    local option = words[i]:match("^%-%-[%w-]+") or words[i]:match("^%-%a")
    if words[i] == "--" then
      return nil
    end
    if option and not (" " .. text):find("[%s%[(|,`]" .. option:gsub("%-", "%%-") .. "[%s=,%].:)|]") then
      return option
    end
  end
end

local function kubectl_verb(words)
  local verb, i = {}, 2
  while i <= #words and #verb < 3 do
    if WITH_VALUE[words[i]] then
      i = i + 1
    elseif words[i]:find("^%l[%l-]*$") then
      verb[#verb + 1] = words[i]
    elseif #verb > 0 then
      break
    end
    i = i + 1
  end
  local two = table.concat(verb, " ", 1, math.min(2, #verb))
  return table.concat(verb, " ", 1, math.min(#verb, LONG_VERBS[two] or LONG_VERBS[verb[1]] or 1))
end

local function check_kubectl(words)
  local verb = kubectl_verb(words)
  local text = help(("%s %s --help"):format(kubectl, verb))
  if verb == "" or not text:find("Usage:", 1, true) then
    return "kubectl has no " .. verb
  end
  return unknown_option(words, text .. help(kubectl .. " options"))
end

-- Commands that nobody types: they have no help of their own.
local function is_internal(name)
  return name ~= "" and (read("core/main/main.c") or ""):find('{ "' .. name .. '", ', 1, true) ~= nil
end

local function check_fault(verb, text)
  if verb and verb:find("^%l+$") and not text:find("[ ,]" .. verb .. " ") then
    return "there is no fault " .. verb
  end
end

--- The help text of `kubectl moonherd SUB`, or nothing.
local function help_of_plugin(program, sub)
  local all = help(program .. " --help")
  if sub == "" or all:find("kubectl moonherd " .. sub .. " ", 1, true) then
    return help(("%s %s --help"):format(program, sub)) .. all
  end
end

--- The help text of `moonherd SUB [MORE]`, or nothing.
local function help_of_program(program, sub, more)
  local text = help(("%s %s %s --help"):format(program, sub, more))
  return text:find("^usage:") and text
end

local function check_moonherd(words)
  local sub = words[2] or ""
  local more = sub == "sandbox" and (words[3] or ""):match("^%l+$") or ""
  local text = help_of_program(moonherd, sub, more)
  if not text then
    return not is_internal(sub) and ("there is no " .. table.concat(words, " ")) or nil
  end
  return more == "fault" and check_fault(words[4], text) or unknown_option(words, text)
end

local function check_plugin(words)
  local text = help_of_plugin(dir .. "/bin/kubectl-moonherd", words[3] or "")
  return not text and ("there is no " .. table.concat(words, " ")) or unknown_option(words, text)
end

local function check_dev(words)
  local text, sub = help("./dev help"), words[2]
  if sub == "--help" or sub == "help" then
    return nil
  elseif not sub or not text:find("./dev " .. sub, 1, true) then
    return "./dev has no " .. tostring(sub)
  end
  return unknown_option(words, text)
end

--- Files of the tree that a command names; those of build/ and of the reader are his own.
local function missing_file(words)
  for _, word in ipairs(words) do
    local path = word:match("^%.?/?(deploy/%S+)") or word:match("^%.?/?(docs/%S+)") or word:match("^(scripts/%S+)")
    if path and not exists(path) then
      return path .. " is not there"
    end
  end
end

local function wrong_command(words)
  local program = words[1]
  if not program or FOREIGN[program] then
    return nil
  elseif program == "kubectl" and words[2] == "moonherd" then
    return check_plugin(words)
  elseif program == "kubectl" then
    return check_kubectl(words)
  elseif program == "moonherd" then
    return check_moonherd(words)
  elseif program == "./dev" then
    return check_dev(words)
  elseif program:find("/", 1, true) then
    return not program:find("^build/") and not exists(program) and program .. " is not there" or nil
  end
  return program .. " is no program that is known here"
end

local M = {}

--- What is wrong with the commands of a block, one line for each; and how many there are.
function M.check(block)
  local bad, n = {}, 0
  for _, words in ipairs(commands_of(block)) do
    n = n + (#words > 0 and 1 or 0)
    bad[#bad + 1] = missing_file(words) or wrong_command(words)
  end
  return bad, n
end

return M
