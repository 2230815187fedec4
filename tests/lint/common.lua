--- What the lints share: finding files, reading C without its comments, reporting.
local common = {}

common.root = arg and arg[1] or "."

local count = 0

--- Notes one finding; the hint says what to do, once per lint.
function common.finding(path, line, text)
  count = count + 1
  print(("%s:%d: %s"):format(path, line, text))
end

--- Ends the lint: 1 when something was found.
function common.done(hint)
  if count > 0 then
    print("HINT: " .. hint)
  end
  os.exit(count == 0)
end

--- All files below the directories (those that exist) with one of the endings, sorted, relative to the root.
function common.files(dirs, endings)
  local want, names = {}, {}
  for _, e in ipairs(endings) do
    want[e] = true
  end
  local list = io.popen(("cd '%s' && find %s -type f 2> /dev/null"):format(common.root, table.concat(dirs, " ")))
  for path in list:lines() do
    if want[path:match("%.(%w+)$")] then
      names[#names + 1] = path
    end
  end
  list:close()
  table.sort(names)
  return names
end

function common.read(path)
  local f = assert(io.open(common.root .. "/" .. path, "rb"))
  local text = f:read("a")
  f:close()
  return text
end

--- The lines of a text, without their ends.
function common.lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    lines[#lines + 1] = line
  end
  if lines[#lines] == "" then
    lines[#lines] = nil
  end
  return lines
end

local function blank(s)
  return (s:gsub("[^\n]", " "))
end

local function literal_end(text, from)
  local quote = text:sub(from, from)
  local i = from + 1
  while i <= #text and text:sub(i, i) ~= quote do
    i = i + (text:sub(i, i) == "\\" and 2 or 1)
  end
  return i
end

--- C text of the same shape without comments; without what is in quotes too, unless `keep_strings`.
function common.clean_c(text, keep_strings)
  local out, i = {}, 1
  while i <= #text do
    local at = text:find("[/\"']", i)
    if not at then
      break
    end
    out[#out + 1] = text:sub(i, at - 1)
    local two, stop = text:sub(at, at + 1), at
    if two == "/*" then
      stop = select(2, text:find("*/", at + 2, true)) or #text
      out[#out + 1] = blank(text:sub(at, stop))
    elseif two == "//" then
      stop = (text:find("\n", at, true) or #text + 1) - 1
      out[#out + 1] = blank(text:sub(at, stop))
    elseif two:sub(1, 1) == "/" then
      out[#out + 1] = "/"
    else
      stop = literal_end(text, at)
      local quote = two:sub(1, 1)
      out[#out + 1] = keep_strings and text:sub(at, stop) or quote .. blank(text:sub(at + 1, stop - 1)) .. quote
    end
    i = stop + 1
  end
  out[#out + 1] = text:sub(i)
  return table.concat(out)
end

--- True when a comment on this line or the one above says "lint: allow WORD" and why.
function common.allowed(lines, number, word)
  local mark = "lint: allow " .. word .. ":%s*%S+"
  for n = number, math.max(1, number - 1), -1 do
    if lines[n]:find(mark) then
      return true
    end
  end
  return false
end

return common
