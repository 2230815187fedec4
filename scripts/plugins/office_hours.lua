--- OfficeHours: more instances of a Cluster while people work, fewer at night and at weekends.
---
---     apiVersion: hours.example.dev/v1
---     kind: OfficeHours
---     metadata: { name: shop }
---     spec: { cluster: shop, from: "08:00", to: "18:00", utc_offset: "+01:00", busy: 3, quiet: 1 }
local DAYS = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" }
local WORK = array { "mon", "tue", "wed", "thu", "fri" }
local DAY = 86400

--- "08:30" as seconds; nil if it is no time of day.
local function seconds_of(text)
  local h, m = text:match("^(%d%d):(%d%d)$")
  local s = h and tonumber(h) * 3600 + tonumber(m) * 60
  return s and s <= DAY and s or nil
end

--- "+01:00" as seconds.
local function offset_of(text)
  local sign, rest = text:match("^([+-])(.*)$")
  local s = sign and seconds_of(rest)
  return s and (sign == "-" and -s or s)
end

local function times(spec)
  local from, to, offset = seconds_of(spec.from), seconds_of(spec.to), offset_of(spec.utc_offset)
  if from and to and offset and from < to then
    return from, to, offset
  end
end

--- Whether `now` is within the hours, and the seconds until that changes at the latest.
local function look(spec, now)
  local from, to, offset = times(spec)
  if not from then
    return nil
  end
  local here = now + offset
  local today, at = DAYS[(here // DAY + 4) % 7 + 1], here % DAY -- the first of January 1970 was a Thursday
  local days = #spec.days > 0 and spec.days or WORK
  local busy = days:has(today) and at >= from and at < to
  local next_change = at < from and from or at < to and to or DAY
  return busy, next_change - at
end

local MONDAY_10 <const> = 1795428000 -- 2026-11-23T10:00:00Z

--- What observe sees of the example above; `more` are other fields of its spec.
local function at(now, instances, more)
  local spec = { cluster = "shop", days = array {}, from = "08:00", to = "18:00", utc_offset = "+01:00" }
  spec.busy, spec.quiet = 3, 1
  for key, value in pairs(more or {}) do
    spec[key] = value
  end
  local cluster = instances and { metadata = { name = "shop" }, spec = { instances = instances } }
  return { spec = spec, now = now, cluster = cluster }
end

return controller "OfficeHours" {
  api = "hours.example.dev/v1",
  plural = "officehours",
  columns = { "spec.cluster" },
  spec = {
    cluster = str,
    days = list(choice("mon", "tue", "wed", "thu", "fri", "sat", "sun")),
    from = str "08:00",
    to = str "18:00",
    utc_offset = str "+00:00",
    busy = int(3),
    quiet = int(1),
  },
  watches = { { kind = "Cluster", field = "spec.cluster" } },
  needs = {
    api = {
      { group = "postgresql.cnpg.io", resource = "clusters", verbs = { "get", "list", "watch", "patch" } },
    },
  },

  observe = function(ctx, object)
    return { spec = object.spec, now = ctx.now, cluster = ctx.get("Cluster", object.spec.cluster) }
  end,

  plan = function(seen)
    local spec, cluster = seen.spec, seen.cluster
    local busy, left = look(spec, seen.now)
    if busy == nil then
      return blocked("BadTimes", 'want from before to, as in "08:00", and utc_offset as in "+01:00"')
    elseif not cluster then
      return wait(60, "NoCluster", "there is no Cluster " .. spec.cluster)
    end
    local want, actions = busy and spec.busy or spec.quiet, array {}
    if cluster.spec.instances ~= want then
      actions[1] = patch { kind = "Cluster", name = spec.cluster, body = { spec = { instances = want } } }
      actions[2] = event("Scaled", ("%s gets %d instances"):format(spec.cluster, want))
    end
    local plan = ready(actions, { instances = want, busy = busy })
    plan.requeue_s = left
    return plan
  end,

  cases = {
    {
      name = "on Monday morning the Cluster grows, and is looked at again when work ends",
      given = at(MONDAY_10, 1),
      expect = {
        actions = {
          { op = "patch", name = "shop", body = { spec = { instances = 3 } } }, { reason = "Scaled" },
        },
        status = { busy = true, instances = 3 },
        requeue_s = 7 * 3600, -- it is 11:00 where they work
      },
    },
    {
      name = "who has as many as wanted is left alone",
      given = at(MONDAY_10, 3),
      expect = { ready = true, actions = array {} },
    },
    {
      name = "at night and on Sundays it shrinks",
      given = at(MONDAY_10 - 86400, 3),
      expect = { actions = { { body = { spec = { instances = 1 } } }, { reason = "Scaled" } } },
    },
    {
      name = "hours that end before they begin are none",
      given = at(MONDAY_10, 3, { from = "18:00", to = "08:00" }),
      expect = { ready = false, reason = "BadTimes", actions = array {} },
    },
    {
      name = "without its Cluster it waits",
      given = at(MONDAY_10),
      expect = { ready = false, reason = "NoCluster", requeue_s = 60 },
    },
  },
}
