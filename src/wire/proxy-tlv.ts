/**
 * What a version 2 PROXY header says beside the addresses (haproxy, doc/proxy-protocol.txt §2.2.1 to §2.2.7): type,
 * length and value. A list that does not end where the header ends, or a checksum that is wrong, refuses the header; of
 * a type that comes twice the first counts, and what is not known is skipped.
 *
 * All of it is what the proxy asserts. Values are raw octets, one character each, and nothing of them has been looked at.
 */

/** What the proxy's client showed to the proxy. */
export interface ProxyTls {
  /** the client connected to the proxy over TLS */
  readonly secure: boolean
  /** the client showed a certificate: on this connection, or earlier in the session that it resumed */
  readonly certificate: 'connection' | 'session' | undefined
  /** 0: the proxy has verified that certificate */
  readonly verify: number
  readonly version: string | undefined
  readonly commonName: string | undefined
  readonly cipher: string | undefined
  readonly signatureAlgorithm: string | undefined
  readonly keyAlgorithm: string | undefined
}

export interface ProxyTlvs {
  /** the host that the client asked for */
  readonly authority: string | undefined
  readonly tls: ProxyTls | undefined
}

/** @returns the problem as text: it is for the log and holds nothing that the client sent */
export function readTlvs(header: Buffer, start: number): ProxyTlvs | string {
  const values = split(header.subarray(start))
  if (values === undefined) return 'TLVs cut short'
  const sum = values.get(CRC32C)
  if (sum !== undefined && !matches(header, sum)) return 'wrong checksum'
  const ssl = values.get(SSL)
  const tls = ssl && readTls(ssl)
  if (typeof tls === 'string') return tls
  return { authority: text(values.get(AUTHORITY)), tls }
}

function readTls(value: Buffer): ProxyTls | string {
  const parts = value.length < 5 ? undefined : split(value.subarray(5))
  if (parts === undefined) return 'TLV of TLS cut short'
  const flags = value.readUInt8(0)
  return {
    secure: (flags & 0x01) !== 0,
    certificate: (flags & 0x02) !== 0 ? 'connection' : (flags & 0x04) !== 0 ? 'session' : undefined,
    verify: value.readUInt32BE(1),
    version: text(parts.get(0x21)),
    commonName: text(parts.get(0x22)),
    cipher: text(parts.get(0x23)),
    signatureAlgorithm: text(parts.get(0x24)),
    keyAlgorithm: text(parts.get(0x25)),
  }
}

/** undefined: the list does not come out even. Bounded by the header's length. */
function split(octets: Buffer): Map<number, Buffer> | undefined {
  const values = new Map<number, Buffer>()
  let at = 0
  while (at < octets.length) {
    if (octets.length - at < 3) return undefined
    const type = octets.readUInt8(at)
    const end = at + 3 + octets.readUInt16BE(at + 1)
    if (end > octets.length) return undefined
    if (!values.has(type)) values.set(type, octets.subarray(at + 3, end))
    at = end
  }
  return values
}

function text(value: Buffer | undefined): string | undefined {
  return value?.toString('latin1')
}

/** §2.2.3: over the whole header, with the octets of the checksum itself taken as zero. */
function matches(header: Buffer, sum: Buffer): boolean {
  if (sum.length !== 4) return false
  const at = sum.byteOffset - header.byteOffset
  let crc = 0xffffffff
  for (let i = 0; i < header.length; i += 1) {
    crc ^= i >= at && i < at + 4 ? 0 : (header[i] ?? 0)
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ CASTAGNOLI
  }
  return (crc ^ 0xffffffff) >>> 0 === sum.readUInt32BE(0)
}

/** reflected */
const CASTAGNOLI = 0x82f63b78

const AUTHORITY = 0x02
const CRC32C = 0x03
const SSL = 0x20
