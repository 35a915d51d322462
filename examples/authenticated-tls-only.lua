-- Mail is taken only from clients that have authenticated, and passwords only inside TLS.
--
-- TLS_Verify_Mode is not a means for requiring TLS. This is the way that its reference page describes: the result of
-- an authentication is seen in core_validate_auth_hook, and inside TLS the connection context holds tls = "on".
--
--   scriptlet "scriptlet" {
--     script "authenticated_tls_only" { source = "./authenticated-tls-only.lua" }
--   }

require("msys.core")
require("msys.extended.vctx")

local mod = {}

-- Whether the connection has been upgraded to TLS.
local function in_tls(vctx)
  return vctx:get(msys.core.VCTX_CONN, "tls") == "on"
end

-- After every AUTH: a password that came in clear text is known to others by now, so it does not count.
function mod:core_validate_auth_hook(vctx, auth_info, auth_status)
  if not in_tls(vctx) then
    vctx:disconnect(421, "4.7.0 authentication needs TLS")
  end
end

function mod:validate_mailfrom(str, ac, vctx)
  if not in_tls(vctx) then
    vctx:set_code(530, "5.7.0 Must issue a STARTTLS command first")
    return msys.core.VALIDATE_DONE
  end
  if vctx:get(msys.core.VCTX_CONN, "auth_status") ~= "pass" then
    vctx:set_code(530, "5.7.0 Authentication required")
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("authenticated_tls_only", mod)
