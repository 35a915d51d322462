/**
 * Certificate revocation lists (RFC 5280 §5): a file of TLS_Client_CRL → lists that OpenSSL will take, and their dates.
 *
 * A file may hold several lists; every CA in a chain needs its own. Here only the form is checked, strictly; OpenSSL
 * judges signatures and looks serials up. A list without nextUpdate is used. Nothing is ever fetched.
 */

import { createHash } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { DerReader, MalformedCertificate, readTime } from './der.ts'
import { readName, toRfc4514 } from './names.ts'
import { blocksOf, MAX_CRL_FILE, PemError, readBounded, toPem } from './pem.ts'

const MAX_ELEMENTS = 4_000_000

export interface CrlFacts {
  /** RFC 4514, escaped */
  readonly issuer: string
  /** milliseconds since the epoch */
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
  /** revoked certificates that are listed */
  readonly entries: number
}

export interface RevocationLists {
  /** one list each */
  readonly pem: readonly string[]
  readonly lists: readonly CrlFacts[]
  /** SHA-256 of all lists, hex */
  readonly digest: string
  /** octets of all lists */
  readonly size: number
}

/**
 * Reads all lists of a file.
 * @throws PemError with the reason in plain words, without the file's name
 */
export async function loadRevocationLists(path: string): Promise<RevocationLists> {
  const blocks = blocksOf(await readBounded(path, MAX_CRL_FILE), ['X509 CRL', 'CRL'], 'CRL')
  const hash = createHash('sha256')
  let size = 0
  const lists = blocks.map((der, index) => {
    hash.update(createHash('sha256').update(der).digest())
    size += der.length
    try {
      return readCrl(der)
    } catch (error) {
      if (!(error instanceof MalformedCertificate)) throw error
      throw new PemError(`CRL ${index + 1} is malformed: ${error.message}`, { cause: error })
    }
  })
  const pem = blocks.map((der) => toPem('X509 CRL', der))
  pem.forEach(checkWithOpenSsl)
  return { pem, lists, digest: hash.digest('hex'), size }
}

/** What OpenSSL would refuse must not come to light in the middle of a handshake. */
function checkWithOpenSsl(crl: string, index: number): void {
  try {
    createSecureContext({ ca: [], crl })
  } catch (error) {
    throw new PemError(`CRL ${index + 1} is malformed: OpenSSL cannot read it`, { cause: error })
  }
}

/** @throws MalformedCertificate */
export function readCrl(der: Buffer): CrlFacts {
  const document = DerReader.of(der, MAX_ELEMENTS)
  const list = document.enter(0x30)
  document.end()
  const body = list.enter(0x30)
  list.read(0x30)
  list.read(0x03)
  list.end()
  body.optional(0x02)
  body.read(0x30)
  const issuer = toRfc4514(readName(body))
  const thisUpdate = readTime(body.read())
  const nextUpdate = body.peek() === 0x17 || body.peek() === 0x18 ? readTime(body.read()) : undefined
  const entries = readEntries(body)
  body.optional(0xa0)
  body.end()
  return { issuer, thisUpdate, nextUpdate, entries }
}

function readEntries(body: DerReader): number {
  const revoked = body.optional(0x30)
  if (revoked === undefined) return 0
  const entries = body.inside(revoked)
  let count = 0
  for (; !entries.done; count += 1) {
    const entry = entries.enter(0x30)
    entry.read(0x02)
    readTime(entry.read())
    entry.optional(0x30)
    entry.end()
  }
  return count
}
