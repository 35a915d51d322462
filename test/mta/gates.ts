/** Configurations of the gate that sends and of the gate that receives. */

import type { CuttingProxy } from '../support/cutting-proxy.ts'
import { LOGS } from './gate-logs.ts'
import { CREDENTIALS, GATES, type GateMode, type Mta } from './mta.ts'

/** Shows no certificate where nothing else is said, and asks for TLS only where a Domain does. */
export function GATE_CONF(around: {
  readonly dns: number
  readonly mta: Pick<Mta, 'ports' | 'atOnce'>
  readonly proxies: ReadonlyMap<string, CuttingProxy>
}): string {
  const { dns, mta, proxies } = around
  const { ports, atOnce } = mta
  const verified = 'TLS = required TLS_Verify = host TLS_CA = pki/ca.pem'
  return `
DNS_Servers = ( "127.0.0.1:${dns}" )
Remote_SMTP_Port = ${ports.mail}
Retry_Interval = 1
Max_Retry_Interval = 1
Bounces_Inline_Original = headers
${atOnce === undefined ? '' : `Max_Outbound_Connections = ${atOnce}`}
${LOGS}
ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }
Domain "sender.test" { Gateway = "mta.test:${ports.mail}" }
${domain('direct', ports.mail, '')}
${domain('killed', ports.mail, ['EHLO', 'Mailfrom', 'Rcptto', 'Body'].map((each) => `${each}_Timeout = 6`).join(' '))}
${domain('by-ca', ports.mail, 'TLS = required TLS_Verify = ca TLS_CA = pki/ca.pem', 'other.test')}
${domain('by-host', ports.mail, verified)}
${domain('older', ports.mail, `${verified} TLS_Protocols = "+ALL:-TLSv1.3"`)}
${domain('wrong-name', ports.mail, verified, 'other.test')}
${domain('unknown-ca', ports.mail, verified.replace('ca.pem', 'other-ca.pem'))}
${domain('out-of-date', ports.expired, verified)}
${domain('demands', ports.demanding, `${verified} ${shown('valid')}`)}
${domain('demands-other', ports.demanding, `${verified} ${shown('untrusted')}`)}
${domain('demands-shown-none', ports.demanding, verified)}
${domain('demands-no-tls', ports.demanding, '')}
${[...proxies].map(([name, proxy]) => `Domain "${name}" { Gateway = "mta.test:${proxy.port}" ${faultOptions(name)} }`).join('\n')}
`
}

function domain(name: string, port: number, options: string, host = 'mta.test'): string {
  return `Domain "${name}.test" { Gateway = "${host}:${port}" ${options} }\n`
}

function shown(kind: string): string {
  return `TLS_Certificate = pki/client-${kind}.pem TLS_Key = pki/client-${kind}.key`
}

/** Faults that are silence need deadlines; a busy machine needs long ones elsewhere, above all for the banner. */
function faultOptions(name: string): string {
  const tls = name.includes('tls') ? 'TLS = required TLS_Verify = host TLS_CA = pki/ca.pem' : ''
  if (name.startsWith('any-fault')) return 'Max_Deliveries_Per_Connection = 2'
  if (/silent.*(?:banner|ehlo|tls)|slow/.test(name)) return `EHLO_Timeout = 6 ${tls}`
  if (!name.startsWith('silent')) return tls
  return ['Mailfrom', 'Rcptto', 'Body'].map((each) => `${each}_Timeout = 4`).join(' ')
}

/** Listeners of the three modes. */
export function RECEIVING_CONF(ports: Readonly<Record<GateMode, number>>): string {
  const domains = CREDENTIALS.flatMap((credential) => GATES.map((mode) => `"${credential}-${mode}.out.test"`))
  return `
${LOGS}
TLS_Certificate = pki/server.pem
TLS_Key = pki/server.key
TLS_Client_CA = pki/ca.pem
TLS_Client_CRL = pki/crl.pem
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "ENHANCEDSTATUSCODES" "DSN" "SMTPUTF8" "CHUNKING" )
  Listen "127.0.0.1:${ports.unset}" { }
  Listen "127.0.0.1:${ports.none}" { TLS_Verify_Mode = "none" }
  Listen "127.0.0.1:${ports.require}" { TLS_Verify_Mode = "require" }
}
scriptlet "scriptlet" { script "gate" { source = "./gate.lua" } }
maildir "m" { basedir = "mail" create_users = true domains = ( ${domains.join(' ')} ) }
`
}

/** Where a certificate is asked for, only a client whose certificate verifies may send. */
export const RECEIVING_SCRIPT = `local core = require("msys.core")
local mod = {}
function mod:validate_mailfrom(str, accept, vctx)
  if vctx:get(core.VCTX_CONN, "tls_verify_mode") ~= "none" and vctx:get(core.VCTX_CONN, "tls_client_verified") ~= "yes" then
    local cause = vctx:get(core.VCTX_CONN, "tls_client_verify_error")
    if cause == nil or cause == "" then cause = "none shown" end
    vctx:set_code(550, "5.7.1 certificate: " .. cause)
    return core.VALIDATE_DONE
  end
  return core.VALIDATE_CONT
end
msys.registerModule("gate", mod)
`
