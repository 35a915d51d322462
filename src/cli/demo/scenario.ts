/**
 * What the demonstration shows: one configuration in which all four scopes decide about client certificates, the
 * policy script that says what a verdict is worth, and the visitors.
 */

export interface Visitor {
  readonly who: string
  /** base name of the certificate in the PKI's folder; undefined = comes without one */
  readonly certificate: string | undefined
  /** the address the visitor comes from */
  readonly from: string
  /** which of the two gates it knocks at */
  readonly gate: 'front' | 'side'
  readonly expect: 'delivered' | 'refused by policy' | 'refused in the handshake'
}

export const visitors: readonly Visitor[] = [
  {
    who: 'partner, no certificate',
    certificate: undefined,
    from: '127.0.10.1',
    gate: 'front',
    expect: 'refused in the handshake',
  },
  {
    who: 'partner, valid',
    certificate: 'client-valid',
    from: '127.0.10.2',
    gate: 'front',
    expect: 'delivered',
  },
  {
    who: 'partner, untrusted',
    certificate: 'client-untrusted',
    from: '127.0.10.3',
    gate: 'front',
    expect: 'refused by policy',
  },
  {
    who: 'partner, expired',
    certificate: 'client-expired',
    from: '127.0.10.4',
    gate: 'front',
    expect: 'refused by policy',
  },
  {
    who: 'partner, revoked',
    certificate: 'client-revoked',
    from: '127.0.10.5',
    gate: 'front',
    expect: 'refused by policy',
  },
  {
    who: 'printer, no certificate',
    certificate: undefined,
    from: '127.0.20.1',
    gate: 'front',
    expect: 'delivered',
  },
  {
    who: 'stranger, no certificate',
    certificate: undefined,
    from: '127.0.30.1',
    gate: 'front',
    expect: 'refused in the handshake',
  },
  {
    who: 'stranger, no certificate',
    certificate: undefined,
    from: '127.0.30.2',
    gate: 'side',
    expect: 'refused by policy',
  },
  {
    who: 'traveller, valid',
    certificate: 'client-valid',
    from: '127.0.30.3',
    gate: 'side',
    expect: 'delivered',
  },
]

/** The configuration, written to be read: `gate.conf` in the demonstration's folder. */
export const gateConf = `# The demonstration's gate. Each scope that decides about client certificates says so.

Hostname = "gate.example"
Spoolbase = "spool"

ESMTP_Listener {
  SMTP_Extensions = ( "ENHANCEDSTATUSCODES" "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key         = "pki/server.key"
  TLS_Client_CA   = "pki/ca.pem"
  TLS_Client_CRL  = "pki/crl.pem"
  TLS_Verify_Mode = "optional"    # clients are asked for a certificate and may come without: as if it were not set

  Peer "127.0.10.0/24" {          # partners
    Pathway = "partners"
  }

  Listen "127.0.0.1:0" {          # the front gate (port 0: any free one)
    TLS_Verify_Mode = "require"

    Peer "127.0.20.0/24" {        # the office's printers have no certificates
      TLS_Verify_Mode = "none"
      Context = [ office = "yes" ]
    }
  }

  Listen "127.0.0.2:0" {          # the side gate: silent, so the listener's word holds
  }
}

Pathway "partners" {
  TLS_Verify_Mode = "require"
}

scriptlet "scriptlet" {
  script "gate" { source = "./gate.lua" }
}

maildir "mailboxes" {
  basedir = "mail"
  domains = ( "gate.example" )
  create_users = true
}

ec_logger "logs" {
  mainlog   = "logs/mainlog.ec"
  rejectlog = "logs/rejectlog.ec"
  paniclog  = "logs/paniclog.ec"
}
`

/** The policy, `gate.lua` in the same folder. */
export const gateLua = `-- Who may hand over mail: the office, and whoever has a certificate that verifies.
require("msys.core")
require("msys.extended.vctx")

local gate = {}

function gate:validate_mailfrom(str, ac, vctx)
  local function conn(key) return vctx:get(msys.core.VCTX_CONN, key) end
  if conn("office") == "yes" then
    return msys.core.VALIDATE_CONT
  end
  if conn("tls_client_verified") ~= "yes" then
    local cause = conn("tls_client_verify_error")
    if cause == "" then cause = "none presented" end
    vctx:set_code(550, "5.7.1 client certificate not accepted: " .. cause)
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end

msys.registerModule("gate", gate)
`
