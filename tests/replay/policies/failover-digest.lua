-- luacheck: read globals policy hold null
-- Everything whose result could depend on the machine goes into one number: the order of tables, texts of numbers,
-- rounding, formats, sorting of equal keys, patterns.
local function digest(sum, text)
  for i = 1, #text do
    sum = (sum * 31 + text:byte(i)) & 0xffffffffffff
  end
  return sum
end

local function walk(sum, value)
  if type(value) ~= "table" then
    return digest(sum, tostring(value))
  end
  for k, v in pairs(value) do
    sum = walk(digest(sum, "/" .. tostring(k)), v)
  end
  return sum
end

local function numbers(sum, n)
  for _, x in ipairs { n / 3, n * 1e-7, n * 1e15, -n / 7, n // 0.3, n % 0.7, n ^ 0.5, 2 ^ 53 + n, n << 40, ~n } do
    sum = digest(sum, x .. ";" .. ("%.3f|%g|%a|%q|%s"):format(x, x, x, tostring(x), x))
  end
  for _, f in ipairs { math.floor, math.ceil, math.sqrt, math.abs, math.type, math.tointeger } do
    sum = digest(sum, tostring(f(n / 2)))
  end
  return digest(sum, tostring(math.ult(n, -n)) .. math.fmod(n, 3.5) .. (n == 2 ^ 53 and "=" or "<"))
end

local function texts(sum, s)
  for word in (s .. " pg-1 Zürich _x"):gmatch("%w+") do
    sum = digest(sum, word:upper() .. word:rep(3, ","):reverse())
  end
  for _, c in utf8.codes("a\u{e9}\u{1f600}") do
    sum = digest(sum, tostring(c))
  end
  return digest(sum, (s:gsub("[%a%d]", { a = "1", p = "2" })) .. (s:find("%-%d") or "none"))
end

return policy "failover/v1" {
  decide = function(ctx)
    local sum = walk(17, ctx)
    sum = numbers(sum, #ctx.candidates + 1)
    local list, set = {}, {}
    for i, c in ipairs(ctx.candidates) do
      list[i] = { key = c.zone or "", name = c.name }
      set[c.name], set[i], set[i + 0.5] = i, c.name, true
      sum = texts(sum, c.name)
    end
    table.sort(list, function(a, b) return a.key < b.key end)
    sum = walk(walk(sum, list), set)
    local ok, why = pcall(function() return list.nothing.there end)
    local _, odd = pcall(function() return {} .. "x" end)
    sum = digest(sum, tostring(ok) .. tostring(why) .. tostring(odd) .. tostring(digest) .. tostring(null))
    if sum % 7 == 0 then
      error("digest " .. sum)
    elseif sum % 7 == 1 then
      local s = ("x"):rep(60000)
      while true do sum = sum + utf8.offset(s, -1) end -- out of fuel long before it is out of time
    end
    return hold { reason = "Digest", message = ("%d %.17g"):format(sum, sum / 3), until_s = sum % 30 }
  end,
}
