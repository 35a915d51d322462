-- What scripts see of Lua's own library, and the glue between Lua and the host.
--
-- Runs once in a new state, before any script. Every function here keeps what it needs in locals, so that scripts may
-- change any global or library table without reaching it. It uses no globals after it has run.
--
-- Errors of an exceeded budget: everything that catches errors is here (pcall, xpcall, coroutine.resume and wrap) and
-- calls host.leave, which raises such an error again.
--
-- Waiting: a host function that waits makes its caller yield WAIT. Whatever resumes a coroutine hands WAIT up, so a
-- script can wait inside pcall and inside its own coroutines.

local host, global, build_library, build_handles = ...

local type, select, error, rawget, rawset, next = type, select, error, rawget, rawset, next
local tostring, setmetatable, getmetatable, ipairs, pairs = tostring, setmetatable, getmetatable, ipairs, pairs
local tonumber = tonumber
local native_getfenv, native_setfenv, native_loadstring = getfenv, setfenv, loadstring
local concat, insert = table.concat, table.insert
local sub, byte = string.sub, string.byte
local floor = math.floor
local create, native_resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local native_running, native_status = coroutine.running, coroutine.status
local collect = collectgarbage
local enter, leave = host.enter, host.leave

local WAIT = {}

-- ---- coroutines and protected calls --------------------------------------------------------------------------

-- Results of native_resume on their way up.
local function settle(co, ok, ...)
  leave()
  if ok and (...) == WAIT then
    yield(WAIT)
    enter(co)
    return settle(co, native_resume(co))
  end
  return ok, ...
end

local function resume(co, ...)
  enter(co)
  return settle(co, native_resume(co, ...))
end

-- pcall runs its function in a coroutine of its own; this maps that coroutine to the one that called pcall.
local caller_of = setmetatable({}, { __mode = "k" })

local function trampoline(f, ...)
  return f(...)
end

-- Results of a protected call; a yield of the script inside it is handed up.
local function protected(co, ok, ...)
  if ok and native_status(co) == "suspended" then
    return protected(co, resume(co, yield(...)))
  end
  return ok, ...
end

local function callable(f)
  local meta = getmetatable(f)
  return type(f) == "function" or type(meta) == "table" and meta.__call ~= nil
end

local function pcall(f, ...)
  if not callable(f) then
    return false, "attempt to call a " .. type(f) .. " value"
  end
  local co = create(trampoline)
  caller_of[co] = native_running()
  return protected(co, resume(co, f, ...))
end

local function handled(handler, ok, ...)
  if ok then
    return ok, ...
  end
  local _, result = pcall(handler, ...)
  return false, result
end

local function xpcall(f, handler)
  return handled(handler, pcall(f))
end

local function running()
  local co = native_running()
  while co and caller_of[co] do
    co = caller_of[co]
  end
  return co
end

local function status(co)
  if co == running() then
    return "running"
  end
  return native_status(co)
end

local function wrapped(ok, ...)
  if ok then
    return ...
  end
  local message = ...
  if type(message) == "string" then
    error(message, 3)
  end
  error(message, 0)
end

local function wrap(f)
  local co = create(f)
  return function(...)
    return wrapped(resume(co, ...))
  end
end

-- ---- code from text ------------------------------------------------------------------------------------------

local function loadstring(text, name)
  local refusal = host.refuse_chunk(text)
  if refusal then
    return nil, refusal
  end
  return native_loadstring(text, name)
end

local function load(reader, name)
  if type(reader) ~= "function" then
    error("bad argument #1 to 'load' (function expected, got " .. type(reader) .. ")", 2)
  end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    insert(pieces, piece)
  end
  return loadstring(concat(pieces), name or "=(load)")
end

-- ---- environments: a function or a stack level, never the thread ---------------------------------------------

local function target(f, name)
  if f == nil then
    return 1
  end
  if type(f) == "function" then
    return f
  end
  -- text that is a numeral counts as its number there, and NaN as 0
  local level = tonumber(f)
  if level ~= nil and not (level >= 1) then
    error(name .. ": the thread's environment is not available", 3)
  end
  return level or f
end

local function getfenv(f)
  local of = target(f, "getfenv")
  local environment = native_getfenv(type(of) == "number" and of + 1 or of)
  return environment
end

local function setfenv(f, environment)
  local of = target(f, "setfenv")
  local result = native_setfenv(type(of) == "number" and of + 1 or of, environment)
  return result
end

-- ---- modules -------------------------------------------------------------------------------------------------

local loaded, preload = {}, {}
-- what require answered, by module name (built in, preload) or by the file's path
local cache = {}
-- names that are Momentum's unless a file beside the script has the name
local fallback = {}
local LOADING = {}

local function finish_module(key, name, chunk)
  cache[key] = LOADING
  local result = chunk(name)
  if result == nil then
    result = loaded[name]
  end
  if result == nil then
    result = true
  end
  cache[key], loaded[name] = result, result
  return result
end

local function require(name)
  host.required(name)
  local known = cache[name]
  if known == nil and preload[name] ~= nil then
    return finish_module(name, name, preload[name])
  end
  local key = name
  if known == nil then
    key = host.locate(name, fallback[name] ~= nil)
    if key == nil then
      return fallback[name]
    end
    known = cache[key]
  end
  if known == LOADING then
    error("loop or previous error loading module '" .. name .. "'", 2)
  end
  if known ~= nil then
    return known
  end
  return finish_module(key, name, host.load_module(name))
end

local function module(name, ...)
  local made = loaded[name]
  if type(made) ~= "table" then
    local parent, last = global, name
    while true do
      local dot = host.find(last, ".", 1, true)
      if not dot then
        break
      end
      local part = sub(last, 1, dot - 1)
      if type(rawget(parent, part)) ~= "table" then
        rawset(parent, part, {})
      end
      parent, last = rawget(parent, part), sub(last, dot + 1)
    end
    made = type(rawget(parent, last)) == "table" and rawget(parent, last) or {}
    rawset(parent, last, made)
    loaded[name] = made
  end
  if made._NAME == nil then
    made._M, made._NAME = made, name
    made._PACKAGE = host.match(name, "^(.*%.)[^.]*$") or ""
  end
  native_setfenv(2, made)
  for i = 1, select("#", ...) do
    (select(i, ...))(made)
  end
end

local function seeall(made)
  local meta = getmetatable(made)
  if meta == nil then
    meta = {}
    setmetatable(made, meta)
  end
  meta.__index = global
end

-- ---- strings and tables --------------------------------------------------------------------------------------

local function replacement(value, whole)
  if not value then
    return whole
  end
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" then
    error("invalid replacement value (a " .. kind .. ")", 3)
  end
  return value
end

local function gsub(text, pattern, by, limit)
  local kind = type(by)
  if kind ~= "table" and kind ~= "function" then
    return host.gsubText(text, pattern, by, limit)
  end
  text = host.text(text, 1, "gsub")
  pattern = host.text(pattern, 2, "gsub")
  local size = #text
  limit = limit or size + 1
  local anchored = byte(pattern) == 94
  local pieces, count, at = {}, 0, 1
  local function substitute(from, behind, ...)
    if from == nil then
      return nil
    end
    local value
    if kind == "function" then
      value = by(...)
    else
      value = by[(...)]
    end
    pieces[#pieces + 1] = sub(text, at, from - 1)
    pieces[#pieces + 1] = replacement(value, sub(text, from, behind - 1))
    at = behind
    return from == behind
  end
  while count < limit do
    local empty = substitute(host.gsubNext(text, pattern, at))
    if empty == nil then
      break
    end
    count = count + 1
    if empty then
      if at > size then
        break
      end
      pieces[#pieces + 1] = sub(text, at, at)
      at = at + 1
    end
    if anchored then
      break
    end
  end
  pieces[#pieces + 1] = sub(text, at)
  return concat(pieces), count
end

local function less(a, b)
  return a < b
end

-- A merge sort: the comparison is called from Lua, may wait, and cannot make it quadratic or endless.
local function sort(list, before)
  if type(list) ~= "table" then
    error("bad argument #1 to 'sort' (table expected, got " .. type(list) .. ")", 2)
  end
  if before ~= nil and type(before) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. type(before) .. ")", 2)
  end
  before = before or less
  local size = #list
  -- on copies: a comparison that fails leaves the list as it was
  local from, to = {}, {}
  for i = 1, size do
    from[i] = list[i]
  end
  local width = 1
  while width < size do
    for left = 1, size, 2 * width do
      local middle = left + width
      local stop = middle + width
      if middle > size + 1 then
        middle = size + 1
      end
      if stop > size + 1 then
        stop = size + 1
      end
      local a, b = left, middle
      for k = left, stop - 1 do
        if a < middle and (b >= stop or not before(from[b], from[a])) then
          to[k] = from[a]
          a = a + 1
        else
          to[k] = from[b]
          b = b + 1
        end
      end
    end
    from, to = to, from
    width = 2 * width
  end
  for i = 1, size do
    list[i] = from[i]
  end
end

local function foreach(list, f)
  for key, value in next, list do
    local result = f(key, value)
    if result ~= nil then
      return result
    end
  end
end

local function foreachi(list, f)
  for i = 1, #list do
    local result = f(i, list[i])
    if result ~= nil then
      return result
    end
  end
end

-- ---- the rest ------------------------------------------------------------------------------------------------

-- The collector runs by itself; a script may look, not drive.
local collect_options = { stop = 0, restart = 0, collect = 0, step = true, setpause = 200, setstepmul = 200 }
local function collectgarbage(option)
  if option == "count" then
    return collect("count")
  end
  local answer = collect_options[option or "collect"]
  if answer == nil then
    error("bad argument #1 to 'collectgarbage' (invalid option '" .. tostring(option) .. "')", 2)
  end
  return answer
end

local function joined(...)
  local parts = {}
  for i = 1, select("#", ...) do
    parts[i] = tostring((select(i, ...)))
  end
  return concat(parts, " ")
end

local function print(...)
  host.print(joined(...))
end

-- Whatever is not listed here is gone.
local kept = {
  _VERSION = global._VERSION, assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs,
  next = next, pairs = pairs, rawequal = rawequal, rawget = rawget, rawset = rawset, select = select,
  setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
  pcall = pcall, xpcall = xpcall, loadstring = loadstring, load = load, getfenv = getfenv, setfenv = setfenv,
  require = require, module = module, collectgarbage = collectgarbage, print = print,
  gcinfo = function() return floor(collect("count")) end,
  coroutine = { create = create, resume = resume, wrap = wrap, yield = yield, running = running, status = status },
  package = { loaded = loaded, preload = preload, path = "", cpath = "", seeall = seeall },
  os = { time = host.time, date = host.date, clock = host.clock, difftime = host.difftime },
  table = table, string = string, math = math,
}
for key in pairs(global) do
  global[key] = nil
end
for key, value in pairs(kept) do
  global[key] = value
end
global._G = global
loaded._G, loaded.string, loaded.table, loaded.math = global, string, table, math
loaded.coroutine, loaded.os, loaded.package = global.coroutine, global.os, global.package

local string, table = global.string, global.table
string.dump = nil
string.find, string.match, string.rep, string.gsub = host.find, host.match, host.rep, gsub
string.gmatch, string.gfind = host.gmatch, host.gmatch
table.sort, table.foreach, table.foreachi = sort, foreach, foreachi

-- What "text":method() goes through cannot be replaced; the string table itself is the scripts' own.
getmetatable("").__metatable = "string"

-- ---- msys ----------------------------------------------------------------------------------------------------

local msys = { core = {} }
global.msys = msys
cache["msys.core"] = msys.core
for name, value in pairs(host.constants) do
  msys.core[name] = value
end

function msys.registerModule(name, methods)
  host.register(name, methods)
end

function msys.log(level, ...)
  host.log(level, joined(...))
end

-- Each chain is verified before validate_data where the configuration says so; then its result is in the context.
msys.validate = {
  openarc = {
    verify = function(msg)
      if msg:context_exists(msys.core.VCTX_MESS, "arc_cv") == 0 then
        error("msys.validate.openarc.verify needs openarc { validate = true }, and works from validate_data on", 2)
      end
    end,
  },
}

msys.tls_params = {
  set = function(params, name, value)
    host.set_parameter(params, name, value)
  end,
}

-- Puts a value where its name says, and makes the tables on the way.
local function place(name, value)
  local parent, path = global, name
  while true do
    local dot = host.find(path, ".", 1, true)
    if not dot then
      break
    end
    local part = sub(path, 1, dot - 1)
    if parent[part] == nil then
      parent[part] = {}
    end
    parent, path = parent[part], sub(path, dot + 1)
  end
  if parent[path] == nil then
    parent[path] = value
  end
end

local function bare_name(class_name)
  return host.match(class_name, "^msys%.core:_?(.*)$") or class_name
end

local library_classes, waiting = build_library(host.library, place, {
  type = type, error = error, pairs = pairs, tostring = tostring, setmetatable = setmetatable,
  getmetatable = getmetatable, rawget = rawget, next = next, select = select, pcall = pcall, yield = yield,
  awaited = host.awaited, WAIT = WAIT, insert = insert, concat = concat, sort = sort, rep = host.rep,
  format = string.format, bare_name = bare_name,
  split_header = function(line) return host.match(line, "^([^:]+):%s*(.*)$") end,
})

build_handles(host, place, waiting, {
  type = type, next = next, pairs = pairs, getmetatable = getmetatable, setmetatable = setmetatable,
  lower = string.lower,
})

local function unbuilt(name)
  return function()
    error(name .. " is recognised but not implemented", 2)
  end
end

-- Names of Momentum that are not built: present, and each says so when it is called.
for _, name in ipairs(host.unbuilt_functions) do
  place(name, unbuilt(name))
end
for _, name in ipairs(host.known_modules) do
  local space = global
  for part in host.gmatch(name, "[^.]+") do
    space = type(space) == "table" and space[part] or nil
  end
  local found = type(space) == "table" and space or msys
  if host.find(name, "^msys%.") == nil then
    fallback[name] = found
  elseif cache[name] == nil then
    cache[name] = found
  end
end

-- ---- objects of a callout ------------------------------------------------------------------------------------

-- An object is userdata that names its callout. Methods are host functions; other names are fields.
local function class(kind)
  local methods = host.methods[kind]
  for name, start in pairs(host.waiting_methods[kind]) do
    methods[name] = waiting(start)
  end
  for _, name in ipairs(host.unbuilt_methods[kind]) do
    methods[name] = unbuilt(kind .. ":" .. name)
  end
  local get, set = host.get_field[kind], host.set_field[kind]
  return {
    __metatable = kind,
    __tostring = function() return kind end,
    __index = function(object, name)
      local method = methods[name]
      if method ~= nil then
        return method
      end
      return get(object, name)
    end,
    __newindex = function(object, name, value)
      set(object, name, value)
    end,
  }
end

function msys.core.accept_construct_get_message_construct(ac)
  return host.message_construct(ac)
end

local response = class("response")
local response_field = host.get_field.response
response.__tostring = function(object) return response_field(object, "text") end
response.__len = function(object) return #response_field(object, "text") end

host.classes({
  ac = class("ac"), vctx = class("vctx"), msg = class("msg"), mc = class("mc"), params = class("params"), response = response,
})

local envelope_part = host.methods.msg.get_envelope2
host.methods.msg.get_envelope2 = function(msg, flags, localpart, domain)
  local first, second = envelope_part(msg, flags)
  if localpart ~= nil then
    localpart:set(first)
  end
  if domain ~= nil and second ~= nil then
    domain:set(second)
  end
  return 1
end

-- Parts of a message: tables that know their message and their number. `parts`, `parent` and `thread` say where each is.
local message_methods = host.methods.msg
local mime_outline, mime_part, mime_make = message_methods.mime_outline, message_methods.mime_part, message_methods.mime_make
message_methods.mime_outline, message_methods.mime_part, message_methods.mime_make = nil, nil, nil
local part_methods, place_of = {}, setmetatable({}, { __mode = "k" })
local part_class = { __index = part_methods, __metatable = "msgpart", __tostring = function() return "msgpart" end }
-- of each message, its parts by number
local parts_of = setmetatable({}, { __mode = "k" })

local function part_at(msg, number)
  local parts = parts_of[msg]
  if parts == nil then
    parts = setmetatable({}, { __mode = "v" })
    parts_of[msg] = parts
  end
  local part = parts[number]
  if part == nil then
    part = setmetatable({}, part_class)
    place_of[part] = { msg = msg, number = number }
    parts[number] = part
  end
  return part
end

-- Says anew where every part is; returns the message's own.
local function link(msg)
  local outline = mime_outline(msg)
  local all = {}
  for i, entry in ipairs(outline) do
    local part = part_at(msg, entry[1])
    all[i] = part
    part.parts, part.parent, part.thread = nil, nil, nil
  end
  for i, entry in ipairs(outline) do
    local part = all[i]
    if entry[2] > 0 then
      local above = part_at(msg, entry[2])
      above.parts = above.parts or {}
      insert(above.parts, part)
      part.parent = above
      all[i - 1].thread = part
    end
  end
  return all[1]
end

local function place_or_raise(part)
  local place = place_of[part]
  if place == nil then
    error("a msgpart expected; use ':' to call its methods", 3)
  end
  return place
end

for _, name in ipairs(host.part_methods) do
  part_methods[name] = function(part, ...)
    local place = place_or_raise(part)
    local result = mime_part(place.msg, place.number, name, ...)
    if name == "unlink" then
      link(place.msg)
    end
    return result
  end
end
for _, name in ipairs(host.placing_methods) do
  part_methods[name] = function(part, other)
    local place, beside = place_or_raise(part), place_or_raise(other)
    if place.msg ~= beside.msg then
      error("msgpart:" .. name .. ": both parts belong to one message", 2)
    end
    local result = mime_part(place.msg, place.number, name, beside.number)
    link(place.msg)
    return result
  end
end
message_methods.mime = link
message_methods.makeContainer = function(msg, kind, boundary)
  return part_at(msg, mime_make(msg, "container", kind, boundary))
end
message_methods.makePart = function(msg, kind, body, encoding)
  if type(body) == "userdata" then
    body = tostring(body)
  end
  return part_at(msg, mime_make(msg, "part", kind, body, encoding))
end

-- The pairs of a table in an order that is always the same: by rank, then by name.
local function sorted_pairs(table_of, rank)
  local list = {}
  for name, value in pairs(table_of or {}) do
    if type(name) ~= "string" then
      error("msg:build: names and values expected", 3)
    end
    insert(list, { name, value })
  end
  sort(list, function(a, b)
    local first, second = rank(a[1]), rank(b[1])
    if first ~= second then
      return first < second
    end
    return a[1] < b[1]
  end)
  return list
end

local build = message_methods.build
message_methods.build = function(msg, headers, parts, attachments)
  local items, count = {}, 0
  local function add(...)
    for i = 1, 6 do
      items[count * 6 + i] = (select(i, ...)) or ""
    end
    count = count + 1
  end
  for _, pair in ipairs(sorted_pairs(headers, function() return 0 end)) do
    add("header", pair[1], pair[2])
  end
  local rank = function(kind)
    kind = kind:lower()
    return kind:find("text/plain", 1, true) == 1 and 0 or kind:find("text/html", 1, true) == 1 and 1 or 2
  end
  for _, pair in ipairs(sorted_pairs(parts, rank)) do
    add("part", pair[1], pair[2])
  end
  for _, each in ipairs(attachments or {}) do
    local content = each.content
    if content == nil then
      error("msg:build: an attachment has no content", 2)
    elseif getmetatable(content) == "msg" then
      add("message", "", (content:raw()))
    elseif type(content) == "string" then
      add("attachment", each.type, content, each.name, each.headers, "quoted-printable")
    else
      add("attachment", each.type, tostring(content), each.name, each.headers, "base64")
    end
  end
  if count > 500 then
    error("msg:build: more than 500 fields, parts and attachments", 2)
  end
  return build(msg, count, unpack(items, 1, count * 6))
end

-- Methods of a class, for scripts that add their own.
for class_name, kind in pairs({ accept_construct = "ac", validate_context = "vctx", ec_message = "msg" }) do
  library_classes[class_name] = host.methods[kind]
end
function msys.getClassMetaTable(class_name)
  local methods = type(class_name) == "string" and library_classes[bare_name(class_name)] or nil
  if methods == nil then
    error("msys.getClassMetaTable: there is no class " .. tostring(class_name), 2)
  end
  return { __index = methods }
end
