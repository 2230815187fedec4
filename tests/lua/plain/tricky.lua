-- luacheck: read globals controller array null
--- A controller whose plan depends on everything that could differ between two interpreters.
return controller "Tricky" {
  plan = function(seen)
    local keys, sums = array {}, {}
    for key, value in pairs(seen.map) do
      keys:add(key)
      sums[#sums + 1] = { key = key, group = value // 10, half = value / 2 }
    end
    local flags = array {}
    for key, value in pairs { yes = true, no = false, seen = seen.flag } do
      flags:add(key .. "=" .. tostring(value))
    end
    table.sort(sums, function(a, b) return a.group < b.group end)
    return {
      keys = keys, sums = sums, first = next(seen.map), none = array {}, empty = {}, patch = { gone = null },
      text = seen.text .. ("%5.2f|%q|%s"):format(seen.number, "a\nb", seen.flag), number = seen.number * 3,
      big = seen.big + 1, list = seen.list, absent = seen.absent == nil, upper = seen.text:upper(),
      words = select(2, seen.text:gsub("%a+", "")), tiny = seen.number / 1e30, int = seen.number // 1, flags = flags,
    }
  end,
}
