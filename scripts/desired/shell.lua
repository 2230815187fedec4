--- Lists of words as one argument, quoted as a POSIX shell splits them.
local shell = {}

---@param word string
---@return string
function shell.quote(word)
  if word ~= "" and not word:find("[^%w%-_=./:,@%%+]") then
    return word
  end
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

---@param words string[]
---@return string
function shell.join(words)
  local out = {}
  for i, word in ipairs(words) do
    out[i] = shell.quote(word)
  end
  return table.concat(out, " ")
end

return shell
