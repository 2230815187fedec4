--- Clients that write all the while, and what their logs prove.
local sh = require("sh")
local faults = require("faults")
local M = {}
M.__index = M

--- Starts one writer through -rw and one checker straight to every pod, on the pod's own node. `tag` names the files.
function M.start(cluster, tag, opts)
  local self = setmetatable({ cluster = cluster, dir = sh.logs .. "/load-" .. tag, clients = {}, tag = tag }, M)
  os.execute("rm -rf " .. sh.quote(self.dir) .. " && mkdir -p " .. sh.quote(self.dir))
  cluster:sql("rw", "CREATE TABLE IF NOT EXISTS e2e (client text, id bigint, PRIMARY KEY (client, id))")
  cluster:sql("rw", ("DELETE FROM e2e WHERE client LIKE '%s-%%'"):format(tag))
  self:client("rw", { sh.lab, "exec" }, "write", cluster:conninfo("rw"))
  for _, pod in ipairs(opts and opts.no_checkers and {} or cluster:pods()) do
    local node = faults.node_number(pod.spec.nodeName)
    self:client(pod.metadata.name, { sh.lab, "node", node }, "check", cluster:conninfo(pod.status.podIP))
  end
  sh.sleep(1.5)
  return self
end

function M:client(name, prefix, mode, conninfo)
  local log = ("%s/%s.log"):format(self.dir, name)
  local words = { table.unpack(prefix) }
  for _, w in ipairs({ sh.writer, mode, "--conninfo", conninfo, "--table", "e2e", "--client", self.tag .. "-" .. name,
    "--log", log, "--interval-ms", "50" }) do
    words[#words + 1] = w
  end
  self.clients[name] = { log = log, pid = sh.start(words, ("%s/%s.json"):format(self.dir, name)), mode = mode }
end

--- Ends all clients; what each log says is then in .rows (list of { id, result, issued, ended, server }).
function M:stop()
  for _, c in pairs(self.clients) do
    sh.kill(c.pid, "TERM")
  end
  for _, c in pairs(self.clients) do
    local t0 = sh.now()
    while sh.alive(c.pid) and sh.now() - t0 < 8000 do
      sh.sleep(0.05)
    end
    sh.kill(c.pid, "KILL")
    c.rows = M.parse(sh.read(c.log) or "")
  end
end

function M.parse(text)
  local rows = {}
  for id, result, issued, ended, server in text:gmatch("(%d+) (%a+) (%d+) (%d+) (%S+)\n") do
    rows[#rows + 1] = { id = tonumber(id), result = result, server = server,
      issued = tonumber(issued), ended = tonumber(ended) }
  end
  return rows
end

--- When the writer last had a row acknowledged (now, while it runs), milliseconds since boot.
function M:last_ack()
  local last
  for line in sh.run({ "tail", "-n", "400", self.clients.rw.log }):gmatch("[^\n]+") do
    last = tonumber(line:match("^%d+ ack %d+ (%d+)")) or last
  end
  return last or 0
end

--- The longest time between two acknowledgements of the writer of which the second came after `since`.
function M:gap(since)
  local longest, before = 0, nil
  for _, r in ipairs(self.clients.rw.rows) do
    if r.result == "ack" then
      if before and r.ended > since and r.ended - before > longest then
        longest = r.ended - before
      end
      before = r.ended
    end
  end
  return longest
end

function M:acked()
  return #self:acks()
end

--- Rows that were acknowledged and are not in the table (list of "client/id").
function M:missing()
  local have, out = {}, {}
  local query = "SELECT client || '/' || id FROM e2e WHERE client LIKE '%s-%%'"
  local text = self.cluster:sql("rw", query:format(self.tag))
  for key in text:gmatch("[^\n]+") do
    have[key] = true
  end
  for name, c in pairs(self.clients) do
    for _, r in ipairs(c.rows) do
      local key = ("%s-%s/%d"):format(self.tag, name, r.id)
      if r.result == "ack" and not have[key] then
        out[#out + 1] = key
      end
    end
  end
  table.sort(out)
  return out
end

--- Every acknowledged row of every client, in the order of the acknowledgements.
function M:acks()
  local out = {}
  for name, c in pairs(self.clients) do
    for _, r in ipairs(c.rows) do
      if r.result == "ack" then
        out[#out + 1] = { client = name, id = r.id, issued = r.issued, ended = r.ended, server = r.server }
      end
    end
  end
  table.sort(out, function(a, b)
    return a.ended ~= b.ended and a.ended < b.ended or a.ended == b.ended and a.client .. a.id < b.client .. b.id
  end)
  return out
end

--- Rule 2: acknowledgements by the server `old` of rows that were issued after the first acknowledgement by any other
--- server since the fault. The second result is that other server's address.
function M:late_acks(old, since)
  local first, out = nil, {}
  for _, a in ipairs(self:acks()) do
    if not first and a.server ~= old and a.ended > since then
      first = a
    elseif first and a.server == old and a.issued > first.ended then
      out[#out + 1] = ("%s/%d, issued %d ms after the first one by %s"):format(a.client, a.id, a.issued - first.ended,
        first.server)
    end
  end
  return out, first and first.server
end

return M
