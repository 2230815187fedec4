--- Every fenced block of the documentation, run or checked by its kind. `examples` starts the sandbox and calls it;
--- MOONHERD, KUBECTL and DIR (for files) come from there. Prints TAP.
---
---   lua       a policy passes `moonherd policy test`, with the blocks "# params" and "# cases" that follow it before
---             the next script; a plugin passes `moonherd plugin check`; a scenario is run in the sandbox and passes
---   yaml      an object is accepted by the sandbox, the operator's webhooks included; "# params", "# cases": above
---   sql       is run in the sandbox's cluster and rolled back
---   sh        each command exists, has these options, and its files are there; what is not ours is listed in
---             examples_sh.lua
---   synopsis  the same, with [OPTION] and |
---   c, json   only where a test of their own runs the page, see ELSEWHERE
---   text      what is printed, or a picture: nothing to run
--- `moonherd ...`, `kubectl moonherd ...` and `./dev ...` in the text are looked at like sh.
local sh = dofile("tests/sandbox/examples_sh.lua")
local moonherd, kubectl, dir = os.getenv("MOONHERD"), os.getenv("KUBECTL"), os.getenv("DIR")

local OTHER = { c = true, json = true }
local KINDS = { c = true, json = true, lua = true, yaml = true, sql = true, sh = true, synopsis = true, text = true }
-- Pages whose scripts need more than this build has, and what runs them.
local ELSEWHERE = { ["docs/modules.md"] = "tests/modules/run" }

local failed = false

local function claim(bad, text)
  print(("%s - examples: %s"):format(#bad == 0 and "ok" or "not ok", text))
  for _, line in ipairs(bad) do
    print("#   " .. line:sub(1, 300):gsub("\n", "\n#   "))
    failed = true
  end
end

local function quoted(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

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

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- Blocks of a page: { at = "file:line", kind =, text = }.
local function blocks_of(path, out)
  local open, number = nil, 0
  for line in (assert(read(path), path) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local mark = line:match("^%s*```(.*)$")
    if mark and not open then
      open = { at = path .. ":" .. number, kind = mark, lines = {} }
    elseif mark then
      open.text = table.concat(open.lines, "\n") .. "\n"
      out[#out + 1] = open
      open = nil
    elseif open then
      open.lines[#open.lines + 1] = line
    end
  end
  assert(not open, path .. ": a block does not end")
end

--- `code` outside of blocks that begins with one of our programs.
local function spans_of(path, out)
  local inside, number = false, 0
  for line in (read(path) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    if line:find("^%s*```") then
      inside = not inside
    elseif not inside then
      for span in line:gmatch("`([^`]+)`") do
        if span:find("^moonherd %l") or span:find("^kubectl moonherd") or span:find("^%./dev ") then
          out[#out + 1] = { at = path .. ":" .. number, kind = "span", text = (span:gsub("\\|", "|")) .. "\n" }
        end
      end
    end
  end
end

--- Pages that git knows, in order.
local function pages()
  local out = {}
  for path in run("ls README.md docs/*.md docs/*/*.md"):gmatch("%S+") do
    out[#out + 1] = path
  end
  return out
end

-- -- lua ---------------------------------------------------------------------------------------------------------

--- The block "# MARK" between a script and the next one of its page.
local function beside(list, at, mark)
  local page = list[at].at:match("^[^:]+")
  for i = at + 1, #list do
    local b = list[i]
    if b.kind == "lua" or b.at:match("^[^:]+") ~= page then
      return nil
    elseif b.kind == "yaml" and b.text:find("^# " .. mark .. "\n") then
      b.used = true
      return b.text
    end
  end
end

local check = {}

function check.policy(list, at)
  local block, stem = list[at], ("%s/p%d/policy"):format(dir, at)
  run("mkdir -p " .. quoted(stem:match("^(.*)/")))
  write(stem .. ".lua", block.text)
  for _, mark in ipairs { "params", "cases" } do
    local text = beside(list, at, mark)
    if text then
      write(("%s.%s.yaml"):format(stem, mark), text)
    end
  end
  local text, code = run(("%s policy test %s"):format(quoted(moonherd), quoted(stem .. ".lua")))
  return code == 0 or text
end

--- A plugin; its kind is made, for the objects of the page.
function check.controller(list, at)
  local path = ("%s/plugin%d.lua"):format(dir, at)
  write(path, list[at].text)
  local text, code = run(("%s plugin check %s"):format(quoted(moonherd), quoted(path)))
  run(("%s plugin crd %s | %s apply -f /dev/stdin"):format(quoted(moonherd), quoted(path), kubectl))
  return code == 0 or text
end

function check.scenario(list, at)
  local path = ("%s/scenario%d.lua"):format(dir, at)
  write(path, list[at].text)
  local text, code = run(("%s chaos run %s --world sandbox --limit 120"):format(quoted(moonherd), quoted(path)))
  return code == 0 or text
end

local function check_script(list, at)
  local what = list[at].text:match("return (%l+) ") or "?"
  return check[what] and check[what](list, at) or ("what is this: 'return " .. what .. "'")
end

local function is_elsewhere(block)
  return ELSEWHERE[block.at:match("^[^:]+")] ~= nil
end

local function check_lua(list)
  local bad, n = {}, 0
  for at, block in ipairs(list) do
    if block.kind == "lua" and not is_elsewhere(block) then
      n = n + 1
      local ok = check_script(list, at)
      if ok ~= true then
        bad[#bad + 1] = ("%s: %s"):format(block.at, ok)
      end
    end
  end
  claim(bad, ("the %d scripts of the pages are accepted, their cases pass"):format(n))
end

-- -- yaml, sql -----------------------------------------------------------------------------------------------------

local function check_yaml(list)
  local bad, n = {}, 0
  for at, block in ipairs(list) do
    local own = block.kind == "yaml" and not block.used
    local ns = own and block.text:match("\n  namespace: (%S+)")
    if ns then
      run(("%s create namespace %s"):format(kubectl, ns))
    end
    if own then
      local path = ("%s/object%d.yaml"):format(dir, at)
      write(path, block.text)
      n = n + 1
      local text, code = run(("%s apply --dry-run=server -f %s"):format(kubectl, quoted(path)))
      if code ~= 0 then
        bad[#bad + 1] = ("%s: %s"):format(block.at, text)
      end
    end
  end
  claim(bad, ("the %d objects of the pages are accepted by the API and the webhooks"):format(n))
end

local function check_sql(list)
  local bad, n = {}, 0
  for _, block in ipairs(list) do
    if block.kind == "sql" then
      n = n + 1
      local text, code = run(("%s exec first-1 -c postgres -- psql -U postgres -v ON_ERROR_STOP=1 -c %s"):format(
        kubectl, quoted("BEGIN; " .. block.text .. " ROLLBACK")))
      if code ~= 0 then
        bad[#bad + 1] = ("%s: %s"):format(block.at, text)
      end
    end
  end
  claim(bad, ("the SQL of the pages runs (%d)"):format(n))
end

local function check_commands(list, spans)
  local bad, n = {}, 0
  for _, of in ipairs { list, spans } do
    for _, block in ipairs(of) do
      local is_code = block.kind == "sh" or block.kind == "synopsis" or block.kind == "span"
      local wrong, count = {}, 0
      if is_code then
        wrong, count = sh.check(block)
      end
      n = n + count
      for _, why in ipairs(wrong) do
        bad[#bad + 1] = ("%s: %s"):format(block.at, why)
      end
    end
  end
  claim(bad, ("the %d commands of the pages exist, with their options and files"):format(n))
end

-- -- all ----------------------------------------------------------------------------------------------------------

local function check_kinds(list)
  local bad, printed = {}, 0
  for _, block in ipairs(list) do
    printed = printed + (block.kind == "text" and 1 or 0)
    if not KINDS[block.kind] or (OTHER[block.kind] and not is_elsewhere(block)) then
      bad[#bad + 1] = ("%s: no kind of block: '%s' (lua yaml sql sh synopsis; text is only printed)"):format(
        block.at, block.kind)
    end
  end
  for page, runner in pairs(ELSEWHERE) do
    if not (read(runner) or ""):find(page, 1, true) then
      bad[#bad + 1] = ("%s is not run by %s"):format(page, runner)
    end
  end
  claim(bad, ("each of the %d blocks says what it is; %d are only printed"):format(#list, printed))
end

local function main()
  local list, spans = {}, {}
  for _, path in ipairs(pages()) do
    blocks_of(path, list)
    spans_of(path, spans)
  end
  check_kinds(list)
  check_commands(list, spans)
  check_sql(list)
  check_lua(list)
  check_yaml(list)
  os.exit(failed and 1 or 0)
end

main()
