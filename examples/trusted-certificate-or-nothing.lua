-- Mail is taken only from clients whose certificate verifies against TLS_Client_CA and who are on the list below.
--
-- Use it where TLS_Verify_Mode is "require" or not set. "require" alone ends a handshake without a certificate; one
-- that does not verify is left to policy, which is this script. A verified certificate says who it is, not what it
-- may do: that is the list.
--
--   scriptlet "scriptlet" {
--     script "trusted_certificate_or_nothing" { source = "./trusted-certificate-or-nothing.lua" }
--   }

require("msys.core")
require("msys.extended.vctx")

-- Common names of the certificates that may send, and whether they may relay to other domains.
local partners = {
  ["partner.example"] = { relay = true },
  ["scanner.branch.example"] = { relay = false },
  ["client-valid.example"] = { relay = false }, -- made by "postern pki", for trying it out
}

local mod = {}

local function get(vctx, key)
  return vctx:get(msys.core.VCTX_CONN, key)
end

-- The partner that the client is; otherwise nil, after the reply has been set.
local function partner_of(vctx)
  if get(vctx, "tls") ~= "on" then
    vctx:set_code(530, "5.7.0 Must issue a STARTTLS command first")
    return nil
  end
  if get(vctx, "tls_client_verified") ~= "yes" then
    print("refused certificate of", get(vctx, "tls_client_cert_subject"), get(vctx, "tls_client_verify_error"))
    vctx:disconnect(550, "5.7.1 client certificate not accepted")
    return nil
  end
  local partner = partners[get(vctx, "tls_client_cert_subject_cn")]
  if partner == nil then
    vctx:disconnect(550, "5.7.1 client certificate not authorized")
  end
  return partner
end

-- Credentials are not taken from strangers either.
function mod:core_validate_auth_hook(vctx, auth_info, auth_status)
  if partner_of(vctx) == nil then
    return msys.core.VALIDATE_DONE
  end
end

function mod:validate_mailfrom(str, ac, vctx)
  local partner = partner_of(vctx)
  if partner == nil then
    return msys.core.VALIDATE_DONE
  end
  if partner.relay then
    vctx:set(msys.core.VCTX_CONN, "can_relay", "true")
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("trusted_certificate_or_nothing", mod)
