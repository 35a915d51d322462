import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseProxyHeader } from './proxy-header.ts'

const tlv = (type: number, value: string | Buffer): Buffer => {
  const octets = Buffer.from(value as string, 'latin1')
  return Buffer.concat([Buffer.of(type, octets.length >> 8, octets.length & 255), octets])
}
const ssl = (flags: number, verify: number, ...parts: Buffer[]): Buffer =>
  tlv(0x20, Buffer.concat([Buffer.of(flags, 0, 0, 0, verify), ...parts]))

/** TCP over IPv4. */
function header(...tlvs: Buffer[]): Buffer {
  const rest = Buffer.concat([Buffer.from('c0000201c633640230390019', 'hex'), ...tlvs])
  const start = Buffer.from('0d0a0d0a000d0a515549540a2111', 'hex')
  return Buffer.concat([start, Buffer.of(rest.length >> 8, rest.length & 255), rest])
}

function read(...tlvs: Buffer[]): unknown {
  const result = parseProxyHeader(header(...tlvs))
  return result.kind === 'header' ? result.tlvs : result
}

const noTls = { authority: undefined, tls: undefined }

test('what haproxy says of a client with a certificate', () => {
  const all = ssl(
    7,
    0,
    tlv(0x21, 'TLSv1.3'),
    tlv(0x22, 'gate.example'),
    tlv(0x23, 'TLS_AES_256_GCM_SHA384'),
    tlv(0x24, 'SHA256'),
    tlv(0x25, 'EC256'),
  )
  assert.deepEqual(read(tlv(0x02, 'mx.example.org'), all), {
    authority: 'mx.example.org',
    tls: {
      secure: true,
      certificate: 'connection',
      verify: 0,
      version: 'TLSv1.3',
      commonName: 'gate.example',
      cipher: 'TLS_AES_256_GCM_SHA384',
      signatureAlgorithm: 'SHA256',
      keyAlgorithm: 'EC256',
    },
  })
})

test('a header without TLVs says nothing; unknown ones are skipped; of two the first counts', () => {
  assert.deepEqual(read(), noTls)
  assert.deepEqual(read(tlv(0xee, 'x'), tlv(0x04, ''), tlv(0x30, 'ns')), noTls)
  assert.deepEqual(read(tlv(0x02, 'first'), tlv(0x02, 'second')), { ...noTls, authority: 'first' })
})

describe('refused', () => {
  const cases: readonly (readonly [string, Buffer[], string])[] = [
    ['a TLV longer than the header', [Buffer.of(0x02, 0, 5, 0x61)], 'TLVs cut short'],
    ['half a TLV', [Buffer.of(0x02, 0)], 'TLVs cut short'],
    ['a TLS value without its flags', [tlv(0x20, 'abcd')], 'TLV of TLS cut short'],
    ['a part longer than the TLS value', [ssl(1, 0, Buffer.of(0x22, 0, 9, 0x61))], 'TLV of TLS cut short'],
    ['a wrong checksum', [tlv(0x03, '\0\0\0\0')], 'wrong checksum'],
    ['a checksum of another length', [tlv(0x03, '\0\0\0')], 'wrong checksum'],
  ]
  for (const [name, tlvs, problem] of cases) {
    test(name, () => assert.deepEqual(read(...tlvs), { kind: 'malformed', problem }))
  }
})

test('a checksum over the whole header is right for that header alone', () => {
  const blank = header(tlv(0x02, 'a'), tlv(0x03, '\0\0\0\0'))
  const signed = Buffer.from(blank)
  signed.writeUInt32BE(crc32c(blank), blank.length - 4)
  assert.equal(parseProxyHeader(signed).kind, 'header')
  const type = signed.length - 7
  for (let at = 16; at < signed.length; at += 1) {
    // without its type it is no checksum
    if (at === type) continue
    const changed = Buffer.from(signed)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.notEqual(parseProxyHeader(changed).kind, 'header', `octet ${at}`)
  }
})

function mirror(value: number, bits: number): bigint {
  return BigInt(`0b${value.toString(2).padStart(bits, '0').split('').toReversed().join('')}`)
}

/** As polynomial division, most significant bit first (RFC 3385), and so by another way than the code. */
function crc32c(octets: Buffer): number {
  let rest = 0xffffffffn
  for (const octet of octets) {
    rest ^= mirror(octet, 8) << 24n
    for (let bit = 0; bit < 8; bit += 1)
      rest = ((rest << 1n) ^ (rest >> 31n === 1n ? 0x11edc6f41n : 0n)) & 0xffffffffn
  }
  return Number(mirror(Number(rest), 32) ^ 0xffffffffn)
}

test('the checksum of the tests is CRC-32C', () => assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283))
