/**
 * How long a configuration with 10,000 Peer stanzas takes to load, and how long a look-up of a client's scope takes:
 * with the address in the cache, with the address new, and with a new scope as well.
 *
 * Run it: node bench/scopes.ts
 */

import { loadSettingsFromText } from '../src/config/load.ts'

export interface ScopeFigures {
  readonly peers: number
  readonly loadMilliseconds: number
  /** microseconds for each look-up */
  readonly cachedMicroseconds: number
  readonly newAddressMicroseconds: number
  readonly newScopeMicroseconds: number
}

export async function measureScopes(peers = 10_000, lookUps = 1_000_000): Promise<ScopeFigures> {
  const before = performance.now()
  const { settings } = await loadSettingsFromText(configuration(peers))
  const loadMilliseconds = performance.now() - before
  const listen = settings?.listens[0]
  if (settings === undefined || listen === undefined) throw new Error('the configuration has errors')
  const resolve = (address: string) => settings.resolveInbound(listen, address)
  // one client of each Peer, then others of the same Peers, then the same again
  const newScopeMicroseconds = each(resolve, addresses(peers, 1), peers)
  const newAddressMicroseconds = each(resolve, addresses(peers, 2), peers)
  const cachedMicroseconds = each(resolve, addresses(peers, 2), lookUps)
  return { peers, loadMilliseconds, cachedMicroseconds, newAddressMicroseconds, newScopeMicroseconds }
}

/** Half of the Peers in the Listen and half in the listener, a quarter of them IPv6, each with three options. */
function configuration(peers: number): string {
  const all = Array.from({ length: peers }, (_, n) => stanza(n))
  return `TLS_Certificate = server.pem
TLS_Client_CA = ca.pem
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" )
  Listen ":25" {
    ${all.slice(0, peers / 2).join('\n    ')}
  }
  Peer "10.0.0.0/8" { Idle_Time = 60 }
  ${all.slice(peers / 2).join('\n  ')}
}
`
}

function stanza(n: number): string {
  return `Peer "${block(n)}" {
    TLS_Verify_Mode = ${n % 3 === 0 ? 'require' : 'none'}
    Max_Message_Size = ${n + 1}
    context = [ partner = "p${n}" ]
  }`
}

function block(n: number): string {
  return n % 4 === 0 ? `2001:db8:${n.toString(16)}::/48` : `10.${n >> 8}.${n & 255}.0/24`
}

function addresses(peers: number, host: number): string[] {
  return Array.from({ length: peers }, (_, n) =>
    n % 4 === 0 ? `2001:db8:${n.toString(16)}::${host}` : `10.${n >> 8}.${n & 255}.${host}`,
  )
}

function each(resolve: (address: string) => unknown, clients: readonly string[], count: number): number {
  const before = performance.now()
  for (let index = 0; index < count; index += 1) resolve(clients[index % clients.length] ?? '')
  return ((performance.now() - before) * 1000) / count
}

function line(what: string, value: number, unit: string): string {
  return `${what.padEnd(28)}${value.toFixed(2).padStart(10)} ${unit}\n`
}

if (import.meta.main) {
  const figures = await measureScopes()
  process.stdout.write(
    `${figures.peers} Peer stanzas\n` +
      line('load', figures.loadMilliseconds, 'ms') +
      line('look-up, address in cache', figures.cachedMicroseconds, 'µs') +
      line('look-up, new address', figures.newAddressMicroseconds, 'µs') +
      line('look-up, new scope', figures.newScopeMicroseconds, 'µs'),
  )
}
