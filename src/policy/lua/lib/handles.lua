-- Functions of Momentum's that work on handles: results of DKIM, dictionaries that are walked by hand, new messages.
--
-- Called once by prelude.lua, before any script. As there, everything that is needed later is kept in locals.

local host, place, waiting, core = ...

local type, next, pairs, getmetatable, setmetatable = core.type, core.next, core.pairs, core.getmetatable, core.setmetatable
local raise = host.library.helpers.raise
local weak = { __mode = "k" }

-- ---- DKIM ----------------------------------------------------------------------------------------------------

local methods, waiting_methods = host.methods.msg, host.waiting_methods.msg
local signatures, sign = methods.dkim_signatures, waiting(waiting_methods.dkim_sign)
methods.dkim_signatures, waiting_methods.dkim_sign = nil, nil

local constants = {}
for name, value in pairs(host.dkim_constants) do
  constants[name] = value
  place("opendkim.dkim." .. name, value)
end
local OK, INVALID = constants.DKIM_STAT_OK, constants.DKIM_STAT_INVALID

-- A handle is an empty table; what it stands for is kept here.
local behind = setmetatable({}, weak)
local function handles(name)
  return { __metatable = name, __tostring = function() return name end }
end
local dkim, siginfo = handles("DKIM"), handles("DKIM_SIGINFO")

local function behind_or_raise(handle, class, name)
  if type(handle) ~= "table" or getmetatable(handle) ~= class.__metatable or behind[handle] == nil then
    raise("bad argument #1 to 'msys.validate.opendkim." .. name .. "' (what " ..
      (class == dkim and "verify" or "get_sig") .. " returned expected, got " .. type(handle) .. ")")
  end
  return behind[handle]
end

local function opendkim(name, f)
  place("msys.validate.opendkim." .. name, f)
end

local function require_message(msg, name)
  if getmetatable(msg) ~= "msg" then
    raise("bad argument #1 to 'msys.validate.opendkim." .. name .. "' (a message expected, got " .. type(msg) .. ")")
  end
end

opendkim("verify", function(msg)
  require_message(msg, "verify")
  local list, status = signatures(msg)
  local found = setmetatable({}, dkim)
  local all = {}
  for i = 1, #list do
    all[i] = setmetatable({}, siginfo)
    behind[all[i]] = list[i]
  end
  behind[found] = all
  return found, status
end)

opendkim("get_num_sigs", function(found)
  return #behind_or_raise(found, dkim, "get_num_sigs"), OK
end)

-- counts from 0
opendkim("get_sig", function(found, index)
  local all = behind_or_raise(found, dkim, "get_sig")
  if type(index) ~= "number" or all[index + 1] == nil then
    return nil, INVALID
  end
  return all[index + 1], OK
end)

local function told(value)
  return value, value == nil and INVALID or OK
end
local fields = {
  get_sig_canons = "canonicalization", get_sig_domain = "domain", get_sig_errorstr = "error", get_sig_flags = "flags",
  get_sig_keysize = "bits", get_sig_selector = "selector", get_sig_signalg = "algorithm",
}
for name, field in pairs(fields) do
  opendkim(name, function(signature)
    return told(behind_or_raise(signature, siginfo, name)[field])
  end)
end

opendkim("get_sig_identity", function(found, signature)
  -- the signature alone, or behind what verify returned
  return told(behind_or_raise(signature == nil and found or signature, siginfo, "get_sig_identity").identity)
end)

opendkim("get_sig_hdrsigned", function(signature, name)
  local headers = behind_or_raise(signature, siginfo, "get_sig_hdrsigned").headers
  if type(name) ~= "string" then
    raise("bad argument #2 to 'msys.validate.opendkim.get_sig_hdrsigned' (string expected, got " .. type(name) .. ")")
  end
  name = core.lower(name)
  for i = 1, #(headers or {}) do
    if headers[i] == name then
      return true, OK
    end
  end
  return false, OK
end)

opendkim("sign", function(msg, vctx, options)
  require_message(msg, "sign")
  return sign(msg, vctx, options)
end)

-- ---- dictionaries --------------------------------------------------------------------------------------------

-- What Momentum keeps in dictionaries is in tables here; an iterator remembers the key where it is.
local at = setmetatable({}, weak)
local iterators = handles("dictionary iterator")

local function dictionary(value, name)
  if type(value) ~= "table" then
    raise("bad argument #1 to 'msys.core." .. name .. "' (table expected, got " .. type(value) .. ")")
  end
end

place("msys.core.dict_iter2", function(dict)
  dictionary(dict, "dict_iter2")
  local iterator = setmetatable({}, iterators)
  at[iterator] = { over = dict }
  return iterator
end)

place("msys.core.dict_next", function(dict, iterator)
  dictionary(dict, "dict_next")
  local state = at[iterator]
  if state == nil or state.over ~= dict then
    raise("bad argument #2 to 'msys.core.dict_next' (what dict_iter2 returned for this dictionary expected)")
  end
  if state.ended then
    return 0
  end
  local key, value = next(dict, state.key)
  state.key, state.ended = key, key == nil
  if key == nil then
    return 0
  end
  return 1, key, value
end)

place("msys.core.dict_iter2_free", function(dict, iterator)
  dictionary(dict, "dict_iter2_free")
  if iterator ~= nil then
    at[iterator] = nil
  end
end)

-- ---- messages ------------------------------------------------------------------------------------------------

local new_message = host.message_new
place("msys.core.ec_message_new", function()
  return new_message()
end)
