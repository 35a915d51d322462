/** Addresses counted by networks (momentum: console-commands/count). */

import { cidrContains, formatCidr, parseAddress, parseCidr } from '../../config/address.ts'
import type { Cidr } from '../../config/settings.ts'

/** One network, or all networks of so many bits: a wide one, and the narrow ones inside. */
export type Span =
  | { readonly kind: 'network'; readonly cidr: Cidr }
  | { readonly kind: 'bits'; readonly from: number; readonly to: number }

export interface AddressCount {
  readonly network: string
  readonly bits: number
  readonly sessions: number
}

/** `192.0.2.7`, `192.0.2.0/24`, `32`, `16-32`. undefined: none of these */
export function parseSpan(text: string): Span | undefined {
  const bits = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(text)
  if (bits === null) {
    const cidr = parseCidr(text)
    return cidr && { kind: 'network', cidr }
  }
  const [from, to] = [Number(bits[1]), Number(bits[2] ?? bits[1])]
  return from <= to && to <= 128 ? { kind: 'bits', from, to } : undefined
}

/** Each wide network is followed by the narrow ones inside; the fullest first. What has no address is left out. */
export function countByAddress(addresses: readonly string[], span: Span): readonly AddressCount[] {
  const known = addresses.filter((address) => parseAddress(address) !== undefined)
  if (span.kind === 'network') {
    const { cidr } = span
    const sessions = known.filter((address) => cidrContains(cidr, address)).length
    return [{ network: formatCidr(cidr), bits: cidr.prefix, sessions }]
  }
  return countWithin(known, span.from).flatMap((wide) => {
    const inside = span.from === span.to ? [] : countWithin(wide.addresses, span.to)
    const narrow = inside.filter(({ network }) => network !== wide.network)
    return [wide, ...narrow].map(({ network, bits, addresses: those }) => {
      return { network, bits, sessions: those.length }
    })
  })
}

interface Group {
  readonly network: string
  readonly bits: number
  readonly addresses: string[]
}

function countWithin(addresses: readonly string[], bits: number): readonly Group[] {
  const groups = new Map<string, Group>()
  for (const address of addresses) {
    const network = networkOf(address, bits)
    const group = groups.get(network) ?? { network, bits, addresses: [] }
    group.addresses.push(address)
    groups.set(network, group)
  }
  return [...groups.values()].toSorted(
    (a, b) => b.addresses.length - a.addresses.length || (a.network < b.network ? -1 : 1),
  )
}

/** IPv4 has 32 bits at most. */
function networkOf(address: string, bits: number): string {
  const most = parseAddress(address)?.family === 4 ? 32 : 128
  const cidr = parseCidr(`${address.replace(/%.*$/, '')}/${Math.min(bits, most)}`)
  return cidr === undefined ? address : formatCidr(cidr)
}
