/**
 * Random configurations of a gate and certificates to knock with, from a seed: every option that a verdict on a
 * certificate rests on, at random in every scope, and scripts that look at what TLS has found.
 */

import type { Credential } from '../../src/tls/authority.ts'
import { toPem } from '../../src/tls/pem.ts'
import { intermediateAuthority, issueClient, testPki } from '../support/test-ca.ts'

/** Numbers that only the seed decides (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(values: readonly T[]): T {
    const value = values[Math.floor(this.next() * values.length)]
    if (value === undefined) throw new RangeError('nothing to pick from')
    return value
  }
}

/** A certificate as a client shows it, with its key. */
export interface Shown {
  readonly name: string
  /** PEM, the chain; undefined: it has none */
  readonly cert: string | undefined
  readonly key: string | undefined
}

const NOBODY: Shown = { name: 'none', cert: undefined, key: undefined }

export async function certificates(): Promise<readonly Shown[]> {
  const { clients, otherAuthority, authority } = await testPki()
  const intermediate = await intermediateAuthority()
  const deep = intermediate.intermediate({ subject: 'Postern test intermediate 2' })
  const expired = { notBefore: Date.now() - 2e9, notAfter: Date.now() - 1e9 }
  return [
    NOBODY,
    NOBODY,
    NOBODY,
    ...Object.entries(clients).map(([name, own]) => shown(name, own)),
    shown('intermediate', intermediate.issue({ subject: 'by intermediate' }), intermediate.cert),
    shown(
      'intermediate, root sent',
      intermediate.issue({ subject: 'with root' }),
      intermediate.cert,
      authority.cert,
    ),
    shown('intermediate not sent', intermediate.issue({ subject: 'incomplete' })),
    shown('deep', deep.issue({ subject: 'deep' }), deep.cert, intermediate.cert),
    shown(
      'deep for servers',
      deep.issue({ subject: 'deep server', usage: 'server' }),
      deep.cert,
      intermediate.cert,
    ),
    shown('foreign for servers', otherAuthority.issue({ subject: 'foreign server', usage: 'server' })),
    shown('foreign, with what is ours', otherAuthority.issue({ subject: 'foreign' }), intermediate.cert),
    shown('expired by intermediate', intermediate.issue({ subject: 'old', ...expired }), intermediate.cert),
    shown('for anything', await issueClient({ subject: 'any', usage: 'any' })),
    forged(await issueClient({ subject: 'forged' })),
  ]
}

function shown(name: string, own: Credential, ...above: readonly string[]): Shown {
  return { name, cert: [own.cert, ...above].join(''), key: own.key }
}

/** Its signature is wrong. */
function forged({ der, key }: Credential): Shown {
  const bent = Buffer.from(der)
  bent[bent.length - 3] = (bent[bent.length - 3] ?? 0) ^ 1
  return { name: 'forged', cert: toPem('CERTIFICATE', bent), key }
}

/** Files beside `pki/`: revocation lists in every state. */
export async function listFiles(): Promise<Record<string, string>> {
  const { authority, clients, crl, otherAuthority } = await testPki()
  const past = { thisUpdate: Date.now() - 2e9, nextUpdate: Date.now() - 1e9 }
  return {
    'good.crl': crl,
    'old.crl': authority.crl({ ...past }),
    'old-revoked.crl': authority.crl({ revoked: [clients.revoked.serial, clients.valid.serial], ...past }),
    'foreign.crl': otherAuthority.crl(),
  }
}

const REQUIRE = 'TLS_Verify_Mode = "require"'

/** One option line of a scope, or none; what stands more often is more likely. */
const LINES: readonly (readonly string[])[] = [
  ['', '', REQUIRE, REQUIRE, 'TLS_Verify_Mode = "none"', 'TLS_Verify_Mode = "optional"'],
  ['', '', 'TLS_Client_CRL = "good.crl"', 'TLS_Client_CRL = "old.crl"', 'TLS_Client_CRL = "old-revoked.crl"'],
  ['', '', '', 'TLS_Client_CRL_Mode = "soft"', 'TLS_Client_CRL_Mode = "hard"'],
  ['', '', 'TLS_Client_EKU = "any"', 'TLS_Client_EKU = "report"', 'TLS_Client_EKU = "clientAuth"'],
  ['', '', '', 'TLS_Verify_Depth = 0', 'TLS_Verify_Depth = 1', 'TLS_Verify_Depth = 2'],
  ['', '', '', '', '', 'TLS_Client_CA = "pki/other-ca.pem"', 'TLS_Client_CA = "pki/ca.pem"'],
  ['', '', '', '', 'Require_TLS = true'],
  ['', '', '', 'TLS_Verified_Peer_Can_Relay = true'],
  ['', '', '', '', 'TLS_DN_Format = "oneline"'],
  ['', '', '', 'Pathway = "strict"', 'Pathway = "loose"'],
]

export function options(dice: Dice): string {
  return LINES.map((line) => dice.pick(line)).join('\n')
}

export interface RandomGate {
  readonly conf: string
  /** the Listens' instances, in their order */
  readonly listens: readonly string[]
  readonly script: string
}

/** @param count Listens, each a configuration of its own */
export function randomGate(dice: Dice, count: number): RandomGate {
  const listens = Array.from({ length: count }, (_, index) => `127.0.0.${index + 1}:0`)
  const blocks = listens.map((instance) => {
    const peers = ['127.0.0.0/8', '127.0.0.1', '127.1.0.0/16'].filter(() => dice.chance(0.6))
    const own = [
      dice.chance(0.15) ? 'Use_SSL = true' : '',
      dice.chance(0.1) ? 'SMTP_Extensions = ( "ENHANCEDSTATUSCODES" )' : '',
      dice.chance(0.5) ? options(dice) : '',
    ]
    return `Listen "${instance}" {
${own.join('\n')}
${peers.map((peer) => `Peer "${peer}" { ${options(dice)} }`).join('\n')}
}`
  })
  const outer = dice.chance(0.5) ? `Peer "127.1.2.0/24" { ${options(dice)} }` : ''
  const general = dice.chance(0.4) ? options(dice).replace('TLS_Client_CA', '# TLS_Client_CA') : ''
  const script = dice.pick(SCRIPTS)
  const conf = `
TLS_Certificate = "pki/server.pem"
TLS_Key = "pki/server.key"
ESMTP_Listener {
  SMTP_Extensions = ( "ENHANCEDSTATUSCODES" "STARTTLS" )
  ${dice.chance(0.9) ? 'TLS_Client_CA = "pki/ca.pem"' : ''}
  ${general}
  ${outer}
  ${blocks.join('\n')}
}
Pathway "strict" { TLS_Verify_Mode = "require" ${dice.chance(0.5) ? 'TLS_Verify_Depth = 1' : ''} }
Pathway "loose" { ${dice.pick(['TLS_Verify_Mode = "none"', 'TLS_Client_EKU = "any"', 'Require_TLS = true'])} }
Domain "relayed.example" { Gateway = "127.0.0.1:9" }
${script === '' ? '' : 'scriptlet "scriptlet" { script "policy" { source = "./policy.lua" } }'}
`
  return { conf, listens, script }
}

const HEAD = 'require("msys.core")\nlocal mod = {}\nlocal core = msys.core\n'
const TAIL = '\nmsys.registerModule("policy", mod)\n'

/** What scripts do with what TLS has found; '' = there is none. */
const SCRIPTS: readonly string[] = [
  '',
  // refuses by the cause, at MAIL
  `${HEAD}
function mod:validate_mailfrom(str, ac, vctx)
  local cause = vctx:get(core.VCTX_CONN, "tls_client_verify_error")
  if cause ~= "" then
    vctx:set_code(550, "5.7.1 " .. cause .. " at " .. vctx:get(core.VCTX_CONN, "tls_client_verify_depth")
      .. " by " .. vctx:get(core.VCTX_CONN, "tls_verify_mode_from"))
    return core.VALIDATE_DONE
  end
  return core.VALIDATE_CONT
end${TAIL}`,
  // ends the session right after the handshake
  `${HEAD}
function mod:core_inbound_smtp_tls_post_accept(mc, event, eventtype, vclosure, now)
  local vctx = mc.ctx
  if vctx:get(core.VCTX_CONN, "tls_client_verified") ~= "yes" then
    vctx:disconnect(421, "4.7.0 not verified: " .. vctx:get(core.VCTX_CONN, "tls_client_cert_subject"))
  end
end${TAIL}`,
  // has a say on each certificate of the chain
  `${HEAD}
function mod:core_inbound_smtp_tls_verify_callback(mc, vctx, ok, subject, issuer, x509)
  vctx:set(core.VCTX_CONN, "seen", vctx:get(core.VCTX_CONN, "seen") .. "[" .. tostring(subject) .. "]")
  if tostring(subject):find("intermediate 2", 1, true) then return 0 end
  return 1
end
function mod:validate_mailfrom(str, ac, vctx)
  vctx:set_code(250, "2.0.0 seen " .. vctx:get(core.VCTX_CONN, "seen") .. " verified "
    .. vctx:get(core.VCTX_CONN, "tls_client_verified") .. vctx:get(core.VCTX_CONN, "tls_client_verify_error"))
  return core.VALIDATE_CONT
end${TAIL}`,
  // sets parameters for the handshake
  `${HEAD}
function mod:core_get_inbound_tls_parameters(mc, vctx, params)
  if vctx:get(core.VCTX_CONN, "pathway") == "loose" then params.tls_verify = 2 end
end${TAIL}`,
  // sends a client to another pathway, and lets the verified relay
  `${HEAD}
function mod:validate_connect(ac, vctx)
  if vctx:get(core.VCTX_CONN, "pathway") == "default" then vctx:set(core.VCTX_CONN, "pathway", "strict") end
  return core.VALIDATE_CONT
end
function mod:validate_ehlo(str, ac, vctx)
  if vctx:get(core.VCTX_CONN, "tls_client_cert_server_only") ~= "" then
    vctx:set(core.VCTX_CONN, "pathway", "loose")
  end
  if vctx:get(core.VCTX_CONN, "tls_client_verified") == "yes" then
    vctx:set(core.VCTX_CONN, "can_relay", "true")
  end
  return core.VALIDATE_CONT
end${TAIL}`,
  // writes to a maildir's neighbour: an error of its own
  `${HEAD}
function mod:validate_rcptto(str, ac, vctx)
  if vctx:get(core.VCTX_CONN, "tls_client_verify_error") == "expired" then error("expired, says the script") end
  return core.VALIDATE_CONT
end${TAIL}`,
]
