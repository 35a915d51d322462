/**
 * Signatures over revocation lists, OCSP answers and the certificates of those who sign them (RFC 4055, 5758, 8410).
 *
 * Only what is named here is a signature: an algorithm that is not known is told apart from one that does not verify.
 */

import { constants, type KeyObject, verify } from 'node:crypto'

export interface SignedBytes {
  /** dotted */
  readonly algorithm: string
  readonly signed: Buffer
  readonly signature: Buffer
}

export interface SignatureRules {
  /** whether SHA-1 counts: two texts with one digest can be made for it */
  readonly sha1: boolean
}

/** @returns undefined when the algorithm is not known, or does not count */
export function verifySignature(
  { algorithm, signed, signature }: SignedBytes,
  key: KeyObject,
  { sha1 }: SignatureRules = { sha1: true },
): boolean | undefined {
  const hashes = HASHES.get(algorithm)?.filter((hash) => sha1 || hash !== 'sha1')
  if (hashes === undefined || hashes.length === 0) return undefined
  const padding =
    algorithm === RSA_PSS
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
      : {}
  try {
    return hashes.some((hash) => verify(hash, signed, { key, ...padding }, signature))
  } catch {
    // a key of another kind has signed nothing
    return false
  }
}

const RSA_PSS = '1.2.840.113549.1.1.10'

/** The digest of each signature algorithm; RSA-PSS names it in its parameters, so the usual ones are tried. */
const HASHES: ReadonlyMap<string, readonly (string | null)[]> = new Map([
  ['1.2.840.113549.1.1.5', ['sha1']],
  ['1.2.840.113549.1.1.14', ['sha224']],
  ['1.2.840.113549.1.1.11', ['sha256']],
  ['1.2.840.113549.1.1.12', ['sha384']],
  ['1.2.840.113549.1.1.13', ['sha512']],
  [RSA_PSS, ['sha256', 'sha384', 'sha512', 'sha1']],
  ['1.2.840.10045.4.1', ['sha1']],
  ['1.2.840.10045.4.3.1', ['sha224']],
  ['1.2.840.10045.4.3.2', ['sha256']],
  ['1.2.840.10045.4.3.3', ['sha384']],
  ['1.2.840.10045.4.3.4', ['sha512']],
  ['1.3.101.112', [null]],
  ['1.3.101.113', [null]],
])
