/**
 * Certificate revocation lists (RFC 5280 §5): a file of TLS_Client_CRL → lists that OpenSSL will take, and their dates.
 *
 * A file may hold several lists; every CA in a chain needs its own. Here only the form is checked, strictly; OpenSSL
 * judges signatures and looks serials up. A list without nextUpdate is used. Nothing is ever fetched.
 */

import { createHash } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { type CrlFacts, type ParsedCrl, parseCrl } from './crl.ts'
import { MalformedCertificate } from './der.ts'
import { blocksOf, MAX_CRL_FILE, PemError, readBounded, toPem } from './pem.ts'

export interface RevocationLists {
  /** one list each */
  readonly pem: readonly string[]
  readonly lists: readonly CrlFacts[]
  readonly parsed: readonly ParsedCrl[]
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
  const parsed = blocks.map((der, index) => {
    hash.update(createHash('sha256').update(der).digest())
    size += der.length
    try {
      return parseCrl(der)
    } catch (error) {
      if (!(error instanceof MalformedCertificate)) throw error
      throw new PemError(`CRL ${index + 1} is malformed: ${error.message}`, { cause: error })
    }
  })
  const pem = blocks.map((der) => toPem('X509 CRL', der))
  pem.forEach(checkWithOpenSsl)
  return { pem, lists: parsed.map(({ facts }) => facts), parsed, digest: hash.digest('hex'), size }
}

/** What OpenSSL would refuse must not come to light in the middle of a handshake. */
function checkWithOpenSsl(crl: string, index: number): void {
  try {
    createSecureContext({ ca: [], crl })
  } catch (error) {
    throw new PemError(`CRL ${index + 1} is malformed: OpenSSL cannot read it`, { cause: error })
  }
}
