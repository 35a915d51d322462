/**
 * What the Listen stanzas of one configuration ask the kernel for.
 *
 * `:25` and `*:25` are IPv4 and, where the kernel has it, IPv6 on one socket; `[*]:25` and `[::]:25` are IPv6 and take
 * IPv4 along unless somebody else asked for it (Momentum, listeners: one Listen is exactly one socket). When two Listens
 * of one port divide the families between them, each gets what its spelling names.
 */

import type { Server } from 'node:net'
import type { ListenAddress, ListenSettings } from '../config/settings.ts'

export type Target =
  | {
      readonly kind: 'tcp'
      readonly host: string
      readonly port: number
      readonly ipv6Only: boolean
      /** bound instead where this machine has no IPv6 */
      readonly fallbackHost: string | undefined
    }
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number }

export interface Planned {
  /** the same for the same socket, also in the next configuration */
  readonly key: string
  readonly listen: ListenSettings
  readonly target: Target
}

/** The sockets that are to be open. Listens with `Enable = false` are left out. */
export function planTargets(listens: readonly ListenSettings[]): Planned[] {
  const enabled = listens.filter((listen) => listen.scope.options.enable)
  const ephemeral = new Map<string, number>()
  return enabled.map((listen) => {
    const target = targetOf(listen, enabled)
    const key = keyOf(target)
    if (target.kind === 'unix' || target.port !== 0) return { key, listen, target }
    // Port 0 asks for any free port, each time for another one.
    const ordinal = ephemeral.get(key) ?? 0
    ephemeral.set(key, ordinal + 1)
    return { key: `${key}#${ordinal}`, listen, target }
  })
}

/** Where a Listen is bound, with the real port when it asked for port 0. */
export function describeServer(server: Server, listen: ListenSettings): string {
  const bound = server.address()
  if (bound === null) return listen.instance
  return typeof bound === 'string' ? bound : formatAddress(bound.address, bound.port)
}

/** `127.0.0.1:25`, `[::1]:25` or a path: as an operator writes it. */
function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function targetOf(listen: ListenSettings, all: readonly ListenSettings[]): Target {
  const { address } = listen
  if (address.kind === 'unix') {
    return { kind: 'unix', path: address.path, mode: listen.scope.options.file_mode }
  }
  const { host, port, family } = address
  const tcp = { kind: 'tcp', port, fallbackHost: undefined } as const
  if (host !== undefined && family !== 'dual') return { ...tcp, host, ipv6Only: family === 6 }
  if (family === 4) return { ...tcp, host: '0.0.0.0', ipv6Only: false }
  if (family === 6) return { ...tcp, host: '::', ipv6Only: true }
  const rivals = all.filter((other) => other !== listen && port !== 0 && portOf(other.address) === port)
  if (isBracketed(listen)) return { ...tcp, host: '::', ipv6Only: rivals.some((other) => names(other, 4)) }
  if (rivals.some((other) => names(other, 6))) return { ...tcp, host: '0.0.0.0', ipv6Only: false }
  return { ...tcp, host: '::', ipv6Only: false, fallbackHost: '0.0.0.0' }
}

/** Whether a Listen asks for this family in the first place, not only takes it along. */
function names(listen: ListenSettings, family: 4 | 6): boolean {
  if (listen.address.kind === 'unix') return false
  if (listen.address.family !== 'dual') return listen.address.family === family
  return isBracketed(listen) ? family === 6 : family === 4
}

function isBracketed(listen: ListenSettings): boolean {
  return listen.instance.trimStart().startsWith('[')
}

function portOf(address: ListenAddress): number | undefined {
  return address.kind === 'tcp' ? address.port : undefined
}

function keyOf(target: Target): string {
  if (target.kind === 'unix') return `unix ${target.path}`
  return `tcp ${formatAddress(target.host, target.port)}${target.ipv6Only ? ' ipv6only' : ''}`
}
