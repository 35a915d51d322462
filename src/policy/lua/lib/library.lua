-- The part of the library that is Lua: wrappers of functions that wait, and classes of objects.
--
-- Called once by prelude.lua, before any script. As there, everything that is needed later is kept in locals.

local library, place, core = ...

local host = library.helpers
local type, error, pairs, tostring, setmetatable = core.type, core.error, core.pairs, core.tostring, core.setmetatable
local rawget, next, select = core.rawget, core.next, core.select
local pcall, yield, awaited, WAIT = core.pcall, core.yield, core.awaited, core.WAIT
local insert, concat, sort, rep, format = core.insert, core.concat, core.sort, core.rep, core.format
local weak = { __mode = "k" }
-- an error at the line of the script that called
local raise = host.raise

for name, f in pairs(library.functions) do
  place(name, f)
end
for name, value in pairs(library.constants) do
  place(name, value)
end

-- ---- waiting -------------------------------------------------------------------------------------------------

local function finish(waits, ...)
  if waits then
    yield(WAIT)
    return awaited()
  end
  return ...
end

-- Makes a function of a host function that begins a wait or has its results at once.
local function waiting(start)
  return function(...)
    return finish(start(...))
  end
end

for name, start in pairs(library.waiting) do
  place(name, waiting(start))
end

-- ---- databases: an iterator over the rows ------------------------------------------------------------------------

local db_rows = waiting(host.db_rows)
place("msys.db.query", function(...)
  local rows, problem = db_rows(...)
  if rows == nil then
    return nil, problem
  end
  local at = 0
  return function()
    at = at + 1
    return rows[at]
  end
end)

-- ---- pools: there is one thread, so a pool is a protected call -------------------------------------------------

local function run_in_pool(pool, closure, completion)
  if type(pool) ~= "string" and type(pool) ~= "number" then
    raise("bad argument #1 to 'msys.runInPool' (string or number expected, got " .. type(pool) .. ")")
  end
  if type(closure) ~= "function" then
    raise("bad argument #2 to 'msys.runInPool' (function expected, got " .. type(closure) .. ")")
  end
  if not completion then
    return pcall(closure)
  end
  if completion ~= true and type(completion) ~= "function" then
    raise("bad argument #3 to 'msys.runInPool' (boolean or function expected, got " .. type(completion) .. ")")
  end
  if completion == true then
    host.run_later(closure)
  else
    host.run_later(closure, completion)
  end
end
place("msys.runInPool", run_in_pool)

-- There is one thread: what it keeps is there for all callouts, until the state is made anew.
place("_OSTLS", {})

local function no_session_storage()
  error("_TLS is recognised but not implemented: what a session keeps goes into self or the vctx", 2)
end
place("_TLS", setmetatable({}, { __index = no_session_storage, __newindex = no_session_storage, __metatable = false }))

-- There is one event loop; what names it is only good for runInInst.
place("msys.core.scheduler_for_domain", function(domain)
  if type(domain) ~= "string" then
    raise("bad argument #1 to 'msys.core.scheduler_for_domain' (string expected, got " .. type(domain) .. ")")
  end
  return "scheduler"
end)

place("msys.runInInst", function(inst, closure)
  if type(closure) ~= "function" then
    raise("bad argument #2 to 'msys.runInInst' (function expected, got " .. type(closure) .. ")")
  end
  return pcall(closure)
end)

-- ---- types ---------------------------------------------------------------------------------------------------

local function type_of(value)
  return host.type_name(value) or type(value)
end
place("msys.type", type_of)

place("msys.cast", function(object, name)
  if type(name) ~= "string" then
    raise("bad argument #2 to 'msys.cast' (string expected, got " .. type(name) .. ")")
  end
  local actual = type_of(object)
  -- only what it is already: anything else would be another object's memory
  if core.bare_name(name) ~= actual then
    raise("msys.cast: a " .. actual .. " is no " .. name)
  end
  return object
end)

-- ---- classes -------------------------------------------------------------------------------------------------

local classes = {}
local function class(name, methods, more)
  local meta = more or {}
  meta.__index, meta.__metatable = methods, name
  meta.__tostring = meta.__tostring or function() return name end
  classes[name] = methods
  host.box_class(name, meta)
end

local function check(object, name)
  if not host.box_is(object, name) then
    raise("a " .. name .. " expected; use ':' to call its methods")
  end
end

class("timer", {
  stop = host.timer_stop,
  start = host.timer_start,
  name = host.timer_name,
}, { __gc = host.timer_collected })

-- A string that C functions write into.
local text_of = setmetatable({}, weak)
class("ec_string", {
  set = function(object, value)
    check(object, "ec_string")
    if type(value) ~= "string" and type(value) ~= "number" then
      raise("bad argument #1 to 'set' (string expected, got " .. type(value) .. ")")
    end
    text_of[object] = tostring(value)
  end,
}, {
  __tostring = function(object) return text_of[object] or "" end,
  __len = function(object) return #(text_of[object] or "") end,
  __concat = function(a, b) return tostring(a) .. tostring(b) end,
  __eq = function(a, b) return text_of[a] == text_of[b] end,
})
place("msys.core.string_new", function()
  return host.box_new("ec_string")
end)

-- ---- counters ------------------------------------------------------------------------------------------------

local path_of = setmetatable({}, weak)
local function path(counter)
  return path_of[counter] or counter
end
local counter = {
  add = function(which, delta) host.counter_add(path(which), delta) end,
  inc = function(which) host.counter_add(path(which), 1) end,
  read = function(which) return host.counter_read(path(which)) end,
  reset = function(which) host.counter_reset(path(which)) end,
}
class("counter", counter)
for name, f in pairs(counter) do
  place("msys.counter." .. name, f)
end
place("msys.counter.open", function(name, semantics)
  local object = host.box_new("counter")
  path_of[object] = host.counter_path(name)
  return object
end)

-- ---- mutexes -------------------------------------------------------------------------------------------------

local NORMAL, RECURSIVE, ERRORCHECK = 0, 1, 2
place("thread.MUTEX_NORMAL", NORMAL)
place("thread.MUTEX_RECURSIVE", RECURSIVE)
place("thread.MUTEX_ERRORCHECK", ERRORCHECK)
local recursive = setmetatable({}, weak)
local lock = waiting(host.mutex_lock)
class("mutex", {
  lock = function(mutex) return lock(mutex, recursive[mutex]) end,
  trylock = function(mutex) return host.mutex_trylock(mutex, recursive[mutex]) end,
  unlock = function(mutex) return host.mutex_unlock(mutex) end,
})
place("thread.mutex", function(kind)
  if kind ~= nil and kind ~= NORMAL and kind ~= RECURSIVE and kind ~= ERRORCHECK then
    raise("bad argument #1 to 'thread.mutex' (thread.MUTEX_NORMAL, MUTEX_RECURSIVE or MUTEX_ERRORCHECK expected)")
  end
  local mutex = host.box_new("mutex")
  recursive[mutex] = kind == RECURSIVE
  return mutex
end)

-- ---- HTTP ----------------------------------------------------------------------------------------------------

local client_of = setmetatable({}, weak)
local function client(object)
  check(object, "http client")
  return client_of[object]
end
local function received(self, code, reason, headers, body)
  if code == nil then
    return nil, reason
  end
  self.code, self.reason, self.headers, self.body = code, reason, headers, body
  return true
end
local send = waiting(host.http_send)
local max_headers = 100
class("http client", {
  do_request = function(object, method, url, data)
    local self = client(object)
    self.code, self.reason, self.headers, self.body = nil, nil, nil, nil
    return received(self, send(method, url, data, self.timeout, self.names, self.values))
  end,
  set_header = function(object, header)
    local self = client(object)
    if header == nil then
      self.names, self.values = {}, {}
      return
    end
    local name, value = host.http_header(header)
    if #self.names >= max_headers then
      raise("client:set_header: at most " .. max_headers .. " headers")
    end
    insert(self.names, name)
    insert(self.values, value)
  end,
  set_timeout = function(object, seconds)
    local self = client(object)
    if seconds ~= nil and (type(seconds) ~= "number" or not (seconds > 0 and seconds <= 300)) then
      raise("bad argument #1 to 'client:set_timeout' (seconds, more than 0 and at most 300)")
    end
    self.timeout = seconds
  end,
  get_status = function(object)
    local self = client(object)
    return self.code, self.reason
  end,
  get_body = function(object) return client(object).body end,
  get_headers = function(object) return client(object).headers end,
  parse_headers = function(object, lines)
    client(object)
    if type(lines) ~= "table" then
      raise("bad argument #1 to 'client:parse_headers' (table expected, got " .. type(lines) .. ")")
    end
    local headers = {}
    for i = 1, #lines do
      local name, value = core.split_header(lines[i])
      if name then
        headers[name] = value
      end
    end
    return headers
  end,
})
class("ec_httpsrv_session", {
  request_url_get = function(session) return host.httpsrv_url(session) end,
  response_status_set_std = function(session, code, text, kind) host.httpsrv_answer(code, text, kind, session) end,
})
place("msys.http.client.new", function()
  local object = host.box_new("http client")
  client_of[object] = { names = {}, values = {} }
  return object
end)

-- ---- JSON ----------------------------------------------------------------------------------------------------

-- A JSON object or array is a table; its metatable says which, and makes text of it.
local function json_text(value)
  return host.json_write(value)
end
local function json_join(a, b)
  return (type(a) == "table" and json_text(a) or tostring(a)) .. (type(b) == "table" and json_text(b) or tostring(b))
end
local function json_class()
  return { __tostring = json_text, __concat = json_join, __metatable = "json" }
end
local json_object, json_array, json_scalar = json_class(), json_class(), json_class()
local nulls, scalar_of = setmetatable({}, weak), setmetatable({}, weak)
host.json_marks(json_object, json_array, nulls, json_scalar, scalar_of)
place("json.new", function()
  return setmetatable({}, json_object)
end)

local max_depth = 100
local function encoded(value, depth)
  if type(value) ~= "table" then
    return value
  end
  if depth > max_depth then
    raise("json.encode: nested too deeply, or a table that holds itself")
  end
  local kind = core.getmetatable(value)
  if kind == "json" then
    return value
  end
  local copy = {}
  if rawget(value, 1) ~= nil then
    local i = 1
    while rawget(value, i) ~= nil do
      copy[i] = encoded(rawget(value, i), depth + 1)
      i = i + 1
    end
    return setmetatable(copy, json_array)
  end
  for key, item in next, value do
    copy[type(key) == "string" and key or tostring(key)] = encoded(item, depth + 1)
  end
  return setmetatable(copy, json_object)
end
place("json.encode", function(value)
  local made
  if type(value) == "table" then
    made = encoded(value, 1)
  else
    made = setmetatable({}, json_scalar)
    scalar_of[made] = value
  end
  -- functions and their like are refused here, not where the text is made
  json_text(made)
  return made
end)

-- ---- Dumper --------------------------------------------------------------------------------------------------

local function by_name(a, b)
  local x, y = type(a), type(b)
  if x ~= y then
    return x < y
  end
  if x == "number" or x == "string" then
    return a < b
  end
  return false
end

local function shown(value)
  local kind = type(value)
  if kind == "string" then
    return format("%q", value)
  end
  if kind == "number" or kind == "boolean" or kind == "nil" then
    return tostring(value)
  end
  return "<" .. type_of(value) .. ">"
end

local function dump(out, value, depth, above)
  if type(value) ~= "table" then
    insert(out, shown(value))
    return
  end
  if above[value] or depth > 20 then
    insert(out, above[value] and "<cycle>" or "<deeper>")
    return
  end
  above[value] = true
  local keys = {}
  for key in next, value do
    insert(keys, key)
  end
  sort(keys, by_name)
  insert(out, "{\n")
  for i = 1, #keys do
    insert(out, rep("  ", depth) .. "[" .. shown(keys[i]) .. "] = ")
    dump(out, rawget(value, keys[i]), depth + 1, above)
    insert(out, ",\n")
  end
  insert(out, rep("  ", depth - 1) .. "}")
  above[value] = nil
end

place("msys.dumper.Dumper", function(value)
  local out = {}
  dump(out, value, 1, {})
  return concat(out)
end)

return classes, waiting
