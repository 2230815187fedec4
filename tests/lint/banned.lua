--- Functions that are not used: unsafe, not reentrant, or with an owner of their own in base/.
local common = require("common")

local INSTEAD = {
  strcpy = "mh_buf or snprintf", strcat = "mh_buf", sprintf = "snprintf or mh_buf", vsprintf = "vsnprintf or mh_buf",
  strtok = "a loop over strcspn", gets = "fgets", atoi = "mh_str", atol = "mh_str", atoll = "mh_str",
  gmtime = "gmtime_r", localtime = "gmtime_r; all our time is UTC", asctime = "mh_time", ctime = "mh_time",
  system = "a child with an argv", popen = "a child with an argv", alloca = "an arena", rand = "world.h",
  srand = "world.h", setjmp = "an error code", longjmp = "an error code",
}
local MEMORY = {
  malloc = "mh_malloc", calloc = "mh_calloc", realloc = "mh_realloc", free = "mh_free", strdup = "mh_strdup",
  strndup = "an arena", asprintf = "mh_buf", vasprintf = "mh_buf",
}

local function check(path, memory_too)
  local text = common.read(path)
  local original = common.lines(text)
  for n, line in ipairs(common.lines(common.clean_c(text))) do
    for at, word in line:gmatch("()%f[%w_]([%a_][%w_]*)%s*%(") do
      local instead = INSTEAD[word] or (memory_too and MEMORY[word])
      local member = line:sub(1, at - 1):find("[.>]%s*$")
      if instead and not member and not common.allowed(original, n, word) then
        common.finding(path, n, ("%s(): use %s"):format(word, instead))
      end
    end
  end
end

for _, path in ipairs(common.files({ "core", "include" }, { "c", "h" })) do
  check(path, not path:find("^core/base/"))
end
common.done("memory of another library is given back through that library; a real need: lint: allow WORD: why")
