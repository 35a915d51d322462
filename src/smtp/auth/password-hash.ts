/**
 * Hashed passwords as PHC strings (github.com/P-H-C/phc-string-format): `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`
 * (RFC 9106) and `$scrypt$ln=15,r=8,p=1$salt$hash` (RFC 7914), computed by Node's own OpenSSL.
 *
 * Costs are bounded when a string is read, so that a line of a file cannot take the machine's memory.
 */

import * as crypto from 'node:crypto'
import { promisify } from 'node:util'
import { AuthUnavailableError } from './store.ts'

export type HashKind = 'argon2id' | 'scrypt'

interface Costs {
  readonly kind: HashKind
  /** argon2id: KiB of memory; scrypt: block size r */
  readonly memory: number
  /** argon2id: passes; scrypt: log2 of N */
  readonly passes: number
  readonly parallelism: number
}

export interface PasswordHash {
  readonly costs: Costs
  readonly salt: Buffer
  readonly hash: Buffer
}

/** OWASP's and RFC 9106's middle ground: about 40 ms and 19 MiB for argon2id, 90 ms and 32 MiB for scrypt. */
export const USUAL_COSTS: Readonly<Record<HashKind, Costs>> = {
  argon2id: { kind: 'argon2id', memory: 19_456, passes: 2, parallelism: 1 },
  scrypt: { kind: 'scrypt', memory: 8, passes: 15, parallelism: 1 },
}

const MAX_MEMORY_OCTETS = 256 * 1024 * 1024
const SALT_OCTETS = 16
const HASH_OCTETS = 32

/** undefined: not a hash that this reads, or one beyond the bounds */
export function parseHash(text: string): PasswordHash | undefined {
  const argon = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([^$]+)\$([^$]+)$/.exec(text)
  const scrypt = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,2})\$([^$]+)\$([^$]+)$/.exec(text)
  const [, first, second, third, saltText = '', hashText = ''] = argon ?? scrypt ?? []
  const [a, b, parallelism] = [Number(first), Number(second), Number(third)]
  const costs: Costs | undefined = argon
    ? { kind: 'argon2id', memory: a, passes: b, parallelism }
    : scrypt
      ? { kind: 'scrypt', memory: b, passes: a, parallelism }
      : undefined
  const salt = decode(saltText)
  const hash = decode(hashText)
  if (costs === undefined || salt === undefined || hash === undefined || !bearable(costs)) return undefined
  if (salt.length < 8 || salt.length > 64 || hash.length < 16 || hash.length > 64) return undefined
  return { costs, salt, hash }
}

/** A new hash of a password (a byte string), with a salt of its own. */
export async function makeHash(kind: HashKind, password: string): Promise<string> {
  const costs = USUAL_COSTS[kind]
  const salt = crypto.randomBytes(SALT_OCTETS)
  const hash = await derive(costs, { password, salt, length: HASH_OCTETS })
  const { memory, passes, parallelism } = costs
  const head =
    kind === 'argon2id'
      ? `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}`
      : `$scrypt$ln=${passes},r=${memory},p=${parallelism}`
  return `${head}$${encode(salt)}$${encode(hash)}`
}

/** @throws AuthUnavailableError when this Node cannot compute it */
export async function verifyHash({ costs, salt, hash }: PasswordHash, password: string): Promise<boolean> {
  const computed = await derive(costs, { password, salt, length: hash.length })
  return crypto.timingSafeEqual(computed, hash)
}

/** What nobody's password hashes to, at the same cost. */
export function dummyHash(costs: Costs): PasswordHash {
  return { costs, salt: crypto.randomBytes(SALT_OCTETS), hash: crypto.randomBytes(HASH_OCTETS) }
}

function bearable({ kind, memory, passes, parallelism }: Costs): boolean {
  if (parallelism < 1 || parallelism > 16) return false
  if (kind === 'argon2id') {
    return passes >= 1 && passes <= 64 && memory >= 8 * parallelism && memory * 1024 <= MAX_MEMORY_OCTETS
  }
  return passes >= 1 && passes <= 20 && memory >= 1 && 128 * memory * 2 ** passes <= MAX_MEMORY_OCTETS
}

async function derive(
  { kind, memory, passes, parallelism }: Costs,
  { password, salt, length }: { readonly password: string; readonly salt: Buffer; readonly length: number },
): Promise<Buffer> {
  const message = Buffer.from(password, 'latin1')
  if (kind === 'argon2id') {
    if (typeof crypto.argon2 !== 'function') {
      throw new AuthUnavailableError(`argon2id needs Node 24.7 or later; this is ${process.version}`)
    }
    const parameters = { message, nonce: salt, parallelism, tagLength: length, memory, passes }
    return new Promise((resolve, reject) => {
      crypto.argon2('argon2id', parameters, (error, key) => {
        if (error === null) resolve(key)
        else reject(error)
      })
    })
  }
  const N = 2 ** passes
  const maxmem = 2 * 128 * memory * (N + parallelism + 2)
  return scrypt(message, salt, length, { N, r: memory, p: parallelism, maxmem })
}

const scrypt = promisify<Buffer, Buffer, number, crypto.ScryptOptions, Buffer>(crypto.scrypt)

/** PHC's base64: without padding, one spelling only. */
function decode(text: string): Buffer | undefined {
  const octets = Buffer.from(text, 'base64')
  return encode(octets) === text ? octets : undefined
}

function encode(octets: Buffer): string {
  return octets.toString('base64').replace(/=+$/, '')
}
