/**
 * The instance of a Listen → what to bind (Momentum: listeners, esmtp-listener).
 *
 * `:25` and `*:25` are any address of both families, `[::]:25` and `[*]:25` too unless the other family has a Listen
 * of its own on that port; `0.0.0.0:25` is IPv4 alone. IPv6 needs brackets. A path is a UNIX socket. Names of hosts
 * are refused: what is bound must not depend on DNS.
 */

import path from 'node:path'
import { formatAddress, parseAddress } from './address.ts'
import type { ListenAddress } from './settings.ts'

/** What one instance says by itself. `any`: both families unless another Listen takes one of them. */
export type WrittenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly family: 4 | 6 }
  | { readonly kind: 'any'; readonly port: number; readonly written: 4 | 6 | 'none' }
  | { readonly kind: 'unix'; readonly path: string }

/** @returns the address, or what is wrong with the text, to stand after `… is not an address to listen on: ` */
export function parseListenAddress(text: string): WrittenAddress | string {
  if (text.startsWith('/')) {
    const normal = path.normalize(text)
    // sun_path has 108 octets, the last one for a NUL
    if (Buffer.byteLength(normal) > 107) return 'the path of a UNIX socket has at most 107 octets'
    return { kind: 'unix', path: normal }
  }
  const match = /^(?:\[(?<bracketed>[^\]]*)\]|(?<plain>[^[\]]*)):(?<port>\d{1,5})$/.exec(text)
  if (match?.groups === undefined) {
    return 'write "address:port", "[IPv6 address]:port", ":port" or the whole path of a UNIX socket ("/run/…")'
  }
  const { bracketed, plain = '' } = match.groups
  const port = Number(match.groups['port'])
  if (port > 65535) return 'a port is at most 65535'
  if (bracketed === undefined) return plainAddress(plain, port)
  if (bracketed === '*') return { kind: 'any', port, written: 6 }
  const address = bracketed.includes(':') ? parseAddress(bracketed) : undefined
  if (address === undefined) return `"${bracketed}" is not an IPv6 address`
  const zone = bracketed.includes('%') ? bracketed.slice(bracketed.indexOf('%')) : ''
  const host = formatAddress(address)
  if (host === '::') return { kind: 'any', port, written: 6 }
  if (host === '0.0.0.0') return { kind: 'any', port, written: 4 }
  return { kind: 'tcp', host: address.family === 6 ? `${host}${zone}` : host, port, family: address.family }
}

/** One text for each address: spellings that denote the same one are the same Listen. */
export function listenKey(address: WrittenAddress): string {
  if (address.kind === 'unix') return address.path
  return `${address.kind === 'any' ? `any ${address.written}` : address.host}:${address.port}`
}

/** The addresses to bind, once all Listens are known: one that says "any" leaves a family that another one names. */
export function bindAddresses(all: readonly WrittenAddress[]): ListenAddress[] {
  const taken = (port: number, family: 4 | 6 | 'none') =>
    // port 0 is a new port each time
    port !== 0 && all.some((each) => each.kind === 'any' && each.port === port && each.written === family)
  return all.map((each) => {
    if (each.kind === 'unix') return { kind: 'unix', path: each.path }
    if (each.kind === 'tcp') return { kind: 'tcp', host: each.host, port: each.port, family: each.family }
    const { port, written } = each
    const anyFamily = { kind: 'tcp', host: undefined, port } as const
    if (written === 4) return { ...anyFamily, family: 4 }
    if (written === 6) return { ...anyFamily, family: taken(port, 4) || taken(port, 'none') ? 6 : 'dual' }
    if (taken(port, 6)) return { ...anyFamily, family: 4 }
    return { ...anyFamily, family: taken(port, 4) ? 6 : 'dual' }
  })
}

function plainAddress(host: string, port: number): WrittenAddress | string {
  if (host === '' || host === '*') return { kind: 'any', port, written: 'none' }
  if (host.includes(':')) return `an IPv6 address needs brackets: "[${host}]:${port}"`
  const address = parseAddress(host)
  if (address === undefined) return `"${host}" is not an IPv4 address (names of hosts are not looked up here)`
  if (host === '0.0.0.0') return { kind: 'any', port, written: 4 }
  return { kind: 'tcp', host, port, family: 4 }
}
