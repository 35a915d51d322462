/**
 * A password as a database keeps it (momentum: modules/auth-ds, type_map), and whether it is the one given. Comparisons
 * take as long whether they fail early or late. All strings are byte strings.
 *
 * What is kept in clear but looks like a hash fits nobody: whoever steals hashes must not be able to log in with one.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { PasswordType } from '../../config/settings.ts'
import { type PasswordHash, parseHash } from './password-hash.ts'

export type StoredPassword =
  | { readonly kind: 'clear'; readonly password: string }
  /** made to be costly */
  | { readonly kind: 'hash'; readonly hash: PasswordHash }
  | {
      readonly kind: 'digest'
      readonly algorithm: 'md5' | 'sha1'
      readonly digest: Buffer
      readonly salt: Buffer
    }
  /** MD5(user:realm:password) in hex */
  | { readonly kind: 'user-digest'; readonly digest: string }
  /** says why, without what is kept */
  | { readonly kind: 'unusable'; readonly why: string }

export function readStored(type: PasswordType, text: string): StoredPassword {
  switch (type) {
    case 'clear':
      return readClear(text)
    case 'phc':
      return readHash(text)
    case 'md5':
      return text.length === 32 ? readHex('md5', text) : readBase64('md5', text)
    case 'md5_hex':
      return readHex('md5', text)
    case 'md5_base64':
      return readBase64('md5', text)
    case 'smd5':
      return readSalted('md5', text)
    case 'sha1_hex':
      return readHex('sha1', text)
    case 'sha1_base64':
      return readBase64('sha1', text)
    case 'ssha1':
      return readSalted('sha1', text)
    case 'rfc2307':
      return readRfc2307(text)
    case 'digest-md5':
      return /^[0-9a-f]{32}$/i.test(text)
        ? { kind: 'user-digest', digest: text.toLowerCase() }
        : unusable('no MD5 digest in hex')
    default:
      return unusable(`a password of type ${type}, which is recognised, not implemented`)
  }
}

/** Whether a digest is that of this password. */
export function fits(
  { algorithm, digest, salt }: Extract<StoredPassword, { kind: 'digest' }>,
  password: string,
): boolean {
  const computed = createHash(algorithm).update(password, 'latin1').update(salt).digest()
  return timingSafeEqual(computed, digest)
}

/** Both are hashed first: nothing is learnt of the length. */
export function sameText(a: string, b: string): boolean {
  const key = randomBytes(16)
  const [first, second] = [a, b].map((text) =>
    createHash('sha256').update(key).update(text, 'latin1').digest(),
  )
  return first !== undefined && second !== undefined && timingSafeEqual(first, second)
}

function readClear(text: string): StoredPassword {
  if (/^\$[A-Za-z0-9-]{1,32}\$/.test(text)) return readHash(text)
  if (/^\{(?:s?sha|s?md5|crypt)\d*\}/i.test(text)) return unusable('a hash as in RFC 2307: type = "rfc2307"')
  return text === '' ? unusable('no password') : { kind: 'clear', password: text }
}

function readHash(text: string): StoredPassword {
  const hash = parseHash(text)
  if (hash !== undefined) return { kind: 'hash', hash }
  const what = /^\$([A-Za-z0-9-]{1,32})\$/.exec(text)?.[1]
  return unusable(
    what === undefined
      ? 'no hash such as $argon2id$… or $scrypt$…'
      : `a hash "$${what}$" of a kind or cost that is not read`,
  )
}

const lengths = { md5: 16, sha1: 20 } as const

function readHex(algorithm: 'md5' | 'sha1', text: string): StoredPassword {
  return /^[0-9a-f]+$/i.test(text) && text.length === 2 * lengths[algorithm]
    ? { kind: 'digest', algorithm, digest: Buffer.from(text, 'hex'), salt: Buffer.alloc(0) }
    : unusable(`no ${algorithm.toUpperCase()} digest in hex`)
}

function readBase64(algorithm: 'md5' | 'sha1', text: string): StoredPassword {
  const digest = decode(text)
  return digest?.length === lengths[algorithm]
    ? { kind: 'digest', algorithm, digest, salt: Buffer.alloc(0) }
    : unusable(`no ${algorithm.toUpperCase()} digest in base64`)
}

/** The salt follows the digest, as in RFC 2307's {SSHA}. */
function readSalted(algorithm: 'md5' | 'sha1', text: string): StoredPassword {
  const octets = decode(text.replace(/^\{s(?:md5|sha)\}/i, ''))
  const length = lengths[algorithm]
  if (octets === undefined || octets.length <= length || octets.length > length + 64)
    return unusable(`no salted ${algorithm.toUpperCase()} digest in base64`)
  return { kind: 'digest', algorithm, digest: octets.subarray(0, length), salt: octets.subarray(length) }
}

/** Without a scheme it is clear text (RFC 2307 §5.3 leaves that open). */
function readRfc2307(text: string): StoredPassword {
  const [, scheme = '', rest = ''] = /^\{([a-z0-9]{1,16})\}(.*)$/is.exec(text) ?? []
  switch (scheme.toLowerCase()) {
    case '':
      return readClear(text)
    case 'md5':
      return readBase64('md5', rest)
    case 'smd5':
      return readSalted('md5', rest)
    case 'sha':
      return readBase64('sha1', rest)
    case 'ssha':
      return readSalted('sha1', rest)
    default:
      return unusable(`a password of the kind {${scheme}}, which is recognised, not implemented`)
  }
}

function decode(text: string): Buffer | undefined {
  const octets = Buffer.from(text, 'base64')
  return octets.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '') ? octets : undefined
}

function unusable(why: string): StoredPassword {
  return { kind: 'unusable', why }
}
