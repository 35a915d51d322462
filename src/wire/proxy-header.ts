/**
 * The header of the PROXY protocol, versions 1 and 2 (haproxy, doc/proxy-protocol.txt §2.1 and §2.2): who is at the far
 * end of a connection that a proxy made.
 *
 * Reads strictly and refuses at the first octet that cannot belong to a header, so that a client that talks SMTP or TLS
 * is told apart at once and no more than a bounded number of octets is ever waited for. Where the proxy speaks for
 * itself (LOCAL), or for somebody whose address is no IP address (UNKNOWN, UNSPEC, UNIX), there are no endpoints and the
 * address that connected stays. A header for datagrams cannot stand on a stream: it is refused. TLVs are skipped.
 */

import { isIPv4, isIPv6 } from 'node:net'
import { type ProxyTlvs, readTlvs } from './proxy-tlv.ts'

export interface ProxyEndpoint {
  /** as the header has it; an IPv6 address may be a mapped IPv4 one */
  readonly address: string
  readonly port: number
}

export interface ProxyHeader {
  readonly kind: 'header'
  readonly version: 1 | 2
  /** octets of the header; what follows belongs to the session */
  readonly length: number
  /** undefined: the address that connected is the client's */
  readonly endpoints: { readonly source: ProxyEndpoint; readonly destination: ProxyEndpoint } | undefined
  /** what else it asserts; only beside endpoints */
  readonly tlvs?: ProxyTlvs
}

export type ProxyResult =
  | ProxyHeader
  /** it can still become a header */
  | { readonly kind: 'incomplete' }
  /** it never will. `problem` is for the log and holds nothing that the client sent */
  | { readonly kind: 'malformed'; readonly problem: string }

/** octets of a version 1 header, CR LF included (§2.1) */
export const MAX_V1 = 107

/** octets after the fixed part of a version 2 header: addresses and TLVs */
export const MAX_V2_REST = 4096

/** @param octets everything that was received so far, from the first octet of the connection */
export function parseProxyHeader(octets: Buffer): ProxyResult {
  if (octets.length === 0) return INCOMPLETE
  return octets[0] === SIGNATURE[0] ? parseVersion2(octets) : parseVersion1(octets)
}

function parseVersion1(octets: Buffer): ProxyResult {
  const start = octets.toString('latin1', 0, Math.min(octets.length, MAX_V1))
  if (!start.startsWith(PREFIX.slice(0, start.length))) return malformed('missing')
  const end = start.indexOf('\r\n')
  const line = end < 0 ? start : start.slice(0, end)
  // the CR that ends the line may be the last octet that is there
  if (/[\r\n]/.test(end < 0 ? line.replace(/\r$/, '') : line)) return malformed('line not ended by CR LF')
  if (end < 0) return start.length < MAX_V1 ? INCOMPLETE : malformed('line too long')
  const length = end + 2
  const [, family, ...fields] = line.split(' ')
  // what follows UNKNOWN is to be ignored (§2.1)
  if (family === 'UNKNOWN') return { kind: 'header', version: 1, length, endpoints: undefined }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : undefined
  if (isAddress === undefined) return malformed('unknown protocol')
  const [source = '', destination = '', sourcePort = '', destinationPort = ''] = fields
  if (fields.length !== 4) return malformed('wrong number of fields')
  if (!isAddress(source) || !isAddress(destination)) return malformed('bad address')
  if (!isPort(sourcePort) || !isPort(destinationPort)) return malformed('bad port')
  const endpoints = {
    source: { address: source, port: Number(sourcePort) },
    destination: { address: destination, port: Number(destinationPort) },
  }
  return { kind: 'header', version: 1, length, endpoints }
}

function parseVersion2(octets: Buffer): ProxyResult {
  const known = Math.min(octets.length, SIGNATURE.length)
  if (octets.compare(SIGNATURE, 0, known, 0, known) !== 0) return malformed('missing')
  if (octets.length < FIXED) {
    const early = octets[12] === undefined ? undefined : problemOfCommand(octets[12])
    return early === undefined ? INCOMPLETE : malformed(early)
  }
  const command = octets.readUInt8(12)
  const rest = octets.readUInt16BE(14)
  const wrong = problemOfCommand(command)
  if (wrong !== undefined) return malformed(wrong)
  if (rest > MAX_V2_REST) return malformed('header too long')
  const local = (command & 0x0f) === 0
  // §2.2: after LOCAL the rest is discarded, the family included
  const addresses = local ? 0 : ADDRESS_OCTETS.get(octets.readUInt8(13))
  if (addresses === undefined) return malformed('unknown address family or protocol')
  if (rest < addresses) return malformed('addresses cut short')
  const length = FIXED + rest
  if (octets.length < length) return INCOMPLETE
  const endpoints = readEndpoints(octets.subarray(FIXED, FIXED + addresses))
  if (endpoints === undefined) return { kind: 'header', version: 2, length, endpoints }
  const tlvs = readTlvs(octets.subarray(0, length), FIXED + addresses)
  if (typeof tlvs === 'string') return malformed(tlvs)
  return { kind: 'header', version: 2, length, endpoints, tlvs }
}

function problemOfCommand(octet: number): string | undefined {
  if (octet >> 4 !== 2) return 'unknown version'
  return (octet & 0x0f) > 1 ? 'unknown command' : undefined
}

/** @param block as long as the family's addresses: what is of another length has none */
function readEndpoints(block: Buffer): ProxyHeader['endpoints'] {
  const size = block.length === 12 ? 4 : block.length === 36 ? 16 : undefined
  if (size === undefined) return undefined
  const text = size === 4 ? dotted : colons
  return {
    source: { address: text(block.subarray(0, size)), port: block.readUInt16BE(2 * size) },
    destination: { address: text(block.subarray(size, 2 * size)), port: block.readUInt16BE(2 * size + 2) },
  }
}

function dotted(octets: Buffer): string {
  return octets.join('.')
}

function colons(octets: Buffer): string {
  return Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(2 * index).toString(16)).join(':')
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

/** decimal without leading zeros (§2.1) */
function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}

function malformed(problem: string): ProxyResult {
  return { kind: 'malformed', problem }
}

const INCOMPLETE: ProxyResult = { kind: 'incomplete' }

const PREFIX = 'PROXY '

/** §2.2: twelve octets that no other protocol begins with */
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** signature, version and command, family and protocol, length */
const FIXED = 16

/** Family and protocol → octets of the two endpoints: UNSPEC, TCP over IPv4, TCP over IPv6, UNIX stream. */
const ADDRESS_OCTETS: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
  [0x31, 216],
])
