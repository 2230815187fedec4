--- PgRole: a role of PostgreSQL in the primary of a Cluster, its memberships, its password from a Secret.
---
---     apiVersion: roles.example.dev/v1
---     kind: PgRole
---     metadata: { name: reporting }
---     spec: { cluster: shop, member_of: [pg_read_all_data], password: { name: reporting, key: password } }
---
--- A role that was there before is left alone unless `adopt` says otherwise; those of the system always, and
--- so are those that may more than a role of an application: nobody joins, adopts or drops them here.
local DATABASE <const>, NAME_MAX <const> = "postgres", 63
local HARMLESS = array { "pg_read_all_data", "pg_write_all_data", "pg_monitor" }

--- Which of some roles are, or are by membership, what no PgRole gives; $1, $2, ... are their names.
local PRIVILEGED <const> = [[with recursive reach (name, oid) as (
  select rolname, oid from pg_roles where rolname in (%s)
  union select reach.name, m.roleid from reach join pg_auth_members m on m.member = reach.oid)
select reach.name as name, min(r.rolname::text) as through from reach join pg_roles r on r.oid = reach.oid
where r.rolsuper or r.rolreplication or r.rolbypassrls or r.rolcreaterole
  or r.rolname ~ '^(pg|cnpg)_' and r.rolname not in ('pg_read_all_data', 'pg_write_all_data', 'pg_monitor',
    'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables')
group by 1 order by 1]]

local function is_system(name)
  return name == "postgres" or name == "streaming_replica" or name:find("^pg_") or name:find("^cnpg_")
end

local function may_join(name)
  return HARMLESS:has(name) or not is_system(name)
end

local function name_of(object)
  return object.spec.role or object.metadata.name
end

--- A statement as the superuser; handle is that of a password.
local function on(seen, text, args, handle)
  return sql {
    cluster = seen.object.spec.cluster, database = DATABASE, as = "postgres", sql = text, args = args,
    password = handle,
  }
end

local function names(rows)
  local out = array {}
  for i, row in ipairs(rows) do
    out[i] = row.name
  end
  return out
end

local function attributes(seen, name, actions)
  local login = seen.role ~= nil and seen.role.login == "t"
  if not seen.role then
    actions[1] = on(seen, "CREATE ROLE %I", { name })
  end
  if login ~= seen.object.spec.login then
    actions[#actions + 1] = on(seen, login and "ALTER ROLE %I NOLOGIN" or "ALTER ROLE %I LOGIN", { name })
  end
end

--- %P is the verifier of what the handle stands for.
local function password(seen, name, actions)
  local status, wanted = seen.object.status or {}, seen.object.spec.password
  if seen.secret and (seen.secret ~= status.password_version or not seen.role) then
    local handle = secret(wanted.name, wanted.key)
    actions[#actions + 1] = on(seen, "ALTER ROLE %I PASSWORD %P", { name }, handle)
  end
end

local function memberships(seen, name, actions)
  local want, have = seen.object.spec.member_of, seen.member_of or array {}
  for _, group in ipairs(want) do
    if not have:has(group) then
      actions[#actions + 1] = on(seen, "GRANT %I TO %I", { group, name })
    end
  end
  for _, group in ipairs(have) do
    if not want:has(group) then
      actions[#actions + 1] = on(seen, "REVOKE %I FROM %I", { group, name })
    end
  end
end

--- PostgreSQL cuts a longer name off, and then it is another one.
local function too_long(name)
  if #name > NAME_MAX then
    return blocked("NameTooLong", ("%s has more than %d bytes: choose a shorter name"):format(name, NAME_MAX))
  end
end

--- What nobody may, whatever is in the cluster.
local function forbidden(object)
  local name = name_of(object)
  if is_system(name) then
    return blocked("SystemRole", name .. " is PostgreSQL's own or the operator's")
  end
  local why = too_long(name)
  for _, group in ipairs(object.spec.member_of) do
    if not may_join(group) then
      return blocked("SystemRole", "nobody is made a member of " .. group)
    end
    why = why or too_long(group)
  end
  return why
end

local function privileged(found)
  local through = found.through == found.name and "" or (" through " .. found.through)
  return ("%s may more than a PgRole gives%s (superuser, replication, bypassrls, createrole, pg_*): "
    .. "name another role, or let an administrator take that away"):format(found.name, through)
end

--- Why this object cannot be followed; nothing if it can.
local function fault(seen)
  local object = seen.object
  local name, status = name_of(object), object.status or {}
  local never, found = forbidden(object), seen.privileged and seen.privileged[1]
  if never then
    return never
  elseif not seen.primary then
    return wait(10, "NoPrimary", ("Cluster %s has no primary yet"):format(object.spec.cluster))
  elseif found then
    return blocked("PrivilegedRole", privileged(found))
  elseif seen.role and not status.owned and not object.spec.adopt then
    return blocked("NotOurs", ("role %s was there before; spec.adopt takes it over"):format(name))
  elseif object.spec.password and not seen.secret then
    return wait(10, "NoSecret", ("there is no Secret %s"):format(object.spec.password.name))
  end
end

--- Before a role is made its object says that it will be ours: were that said afterwards, who is
--- interrupted in between would take his own role for somebody else's.
local function claim()
  local plan = wait(1, "Claimed", "the role is made next")
  plan.status = { owned = true }
  return plan
end

--- What observe sees of the example above; `more` is what else there is.
local function seen_with(spec, more)
  spec.cluster = "shop"
  local object = { metadata = { name = "reporting" }, spec = spec }
  local seen = { object = object, cluster = true, primary = "shop-1" }
  for key, value in pairs(more or {}) do
    seen[key] = value
  end
  return seen
end

return controller "PgRole" {
  api = "roles.example.dev/v1",
  columns = { "spec.cluster" },
  spec = {
    cluster = str,
    role = optional(str),
    login = flag(true),
    member_of = list(str),
    password = optional(secret_key),
    adopt = flag(false),
  },
  watches = { { kind = "Cluster", field = "spec.cluster" } },
  needs = {
    api = {
      { group = "postgresql.cnpg.io", resource = "clusters", verbs = { "get", "list", "watch" } },
      { group = "", resource = "secrets", verbs = { "get" } },
    },
    sql = { { database = DATABASE, as = "postgres" } },
  },

  observe = function(ctx, object)
    local spec = object.spec
    local cluster = ctx.get("Cluster", spec.cluster)
    local seen = { object = object, cluster = cluster ~= nil }
    seen.primary = cluster and cluster.status and cluster.status.currentPrimary
    if not seen.primary then
      return seen
    end
    local function rows(text, params)
      return ctx.sql {
        cluster = spec.cluster, database = DATABASE, as = "postgres",
        sql = text, params = params or { name_of(object) },
      }
    end
    local asked, places = array { name_of(object) }, "$1"
    for i, group in ipairs(spec.member_of) do
      asked[i + 1], places = group, ("%s, $%d"):format(places, i + 1)
    end
    seen.privileged = rows(PRIVILEGED:format(places), asked)
    seen.role = rows("select rolcanlogin as login from pg_roles where rolname = $1")[1]
    seen.member_of = names(rows([[select g.rolname as name from pg_auth_members m
      join pg_roles g on g.oid = m.roleid join pg_roles r on r.oid = m.member
      where r.rolname = $1 order by 1]]))
    local secret = spec.password and ctx.get("Secret", spec.password.name)
    seen.secret = secret and secret.metadata.resourceVersion
    return seen
  end,

  plan = function(seen)
    local why = fault(seen)
    if why then
      return why
    end
    if not seen.role and not (seen.object.status or {}).owned then
      return claim()
    end
    local name, actions = name_of(seen.object), array {}
    attributes(seen, name, actions)
    memberships(seen, name, actions)
    password(seen, name, actions)
    local plan = ready(actions, { owned = true, password_version = seen.secret or null })
    plan.requeue_s = 60
    return plan
  end,

  --- Runs instead of plan once the object is being deleted; it stays until this succeeded.
  finalize = function(seen)
    local owned = (seen.object.status or {}).owned
    if seen.cluster and not seen.primary then
      return wait(10, "NoPrimary", "the role is dropped when there is a primary")
    elseif not owned or not seen.role then
      return ready()
    end
    local found = seen.privileged and seen.privileged[1]
    if found and found.name == name_of(seen.object) then
      return ready { event("RoleStays", privileged(found), "Warning") }
    end
    return ready { on(seen, "DROP ROLE IF EXISTS %I", { name_of(seen.object) }) }
  end,

  cases = {
    {
      name = "a role that is not there is claimed before it is made",
      given = seen_with({}),
      expect = { actions = array {}, ready = false, status = { owned = true }, requeue_s = 1 },
    },
    {
      name = "a role is made, and then what it may",
      given = (function()
        local seen = seen_with({ member_of = array { "pg_read_all_data" } })
        seen.object.status = { owned = true }
        return seen
      end)(),
      expect = {
        actions = {
          { op = "sql", cluster = "shop", as = "postgres", sql = "CREATE ROLE %I", args = { "reporting" } },
          { sql = "ALTER ROLE %I LOGIN" },
          { sql = "GRANT %I TO %I", args = { "pg_read_all_data", "reporting" } },
        },
        status = { owned = true },
      },
    },
    {
      name = "a password is set again when its Secret is another one",
      given = (function()
        local spec = { password = { name = "reporting" } }
        local seen = seen_with(spec, { role = { login = "t" }, secret = "8" })
        seen.object.status = { owned = true, password_version = "7" }
        return seen
      end)(),
      expect = {
        actions = {
          { sql = "ALTER ROLE %I PASSWORD %P", password = { secret = "reporting", key = "password" } },
        },
        status = { password_version = "8" },
      },
    },
    {
      name = "a role that was there before is left alone",
      given = seen_with({}, { role = { login = "t" } }),
      expect = { ready = false, reason = "NotOurs", actions = array {} },
    },
    {
      name = "nobody is made a superuser by being a member",
      given = seen_with({ member_of = array { "postgres" } }),
      expect = { reason = "SystemRole", actions = array {} },
    },
    {
      name = "nor by being a member of somebody who is",
      given = seen_with({ member_of = array { "admins" } }, {
        privileged = array { { name = "admins", through = "dba" } },
      }),
      expect = { reason = "PrivilegedRole", actions = array {} },
    },
    {
      name = "who may more is not taken over, even if the object says so",
      given = seen_with({ adopt = true }, {
        role = { login = "t" }, privileged = array { { name = "reporting", through = "reporting" } },
      }),
      expect = { reason = "PrivilegedRole", actions = array {} },
    },
    {
      name = "a name is not cut off, to be that of somebody else",
      given = seen_with({ member_of = array { ("a"):rep(64) } }),
      expect = { reason = "NameTooLong", actions = array {} },
    },
    {
      name = "who may more stays",
      finalize = true,
      given = (function()
        local seen = seen_with({}, {
          role = { login = "t" }, privileged = array { { name = "reporting", through = "dba" } },
        })
        seen.object.status = { owned = true }
        return seen
      end)(),
      expect = { actions = { { op = "event", reason = "RoleStays" } } },
    },
    {
      name = "a role of its own goes with its object",
      finalize = true,
      given = (function()
        local seen = seen_with({}, { role = { login = "t" } })
        seen.object.status = { owned = true }
        return seen
      end)(),
      expect = { actions = { { sql = "DROP ROLE IF EXISTS %I", args = { "reporting" } } } },
    },
    {
      name = "a role of somebody else stays",
      finalize = true,
      given = seen_with({}, { role = { login = "t" } }),
      expect = { actions = array {} },
    },
  },
}
