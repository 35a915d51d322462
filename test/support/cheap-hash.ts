/** Hashed passwords as `postern passwd` writes them, but cheap, for tests that are about something else than the cost. */

import { argon2Sync, randomBytes, scryptSync } from 'node:crypto'

const text = (octets: Buffer): string => octets.toString('base64').replace(/=+$/, '')

/**
 * @param password a byte string
 * @param passes scrypt's log2 of N; 13 takes some 20 ms
 */
export function cheapHash(kind: 'argon2id' | 'scrypt', password: string, passes = 4): string {
  const message = Buffer.from(password, 'latin1')
  const salt = randomBytes(16)
  if (kind === 'scrypt') {
    const hash = scryptSync(message, salt, 32, { N: 2 ** passes, r: 8, p: 1 })
    return `$scrypt$ln=${passes},r=8,p=1$${text(salt)}$${text(hash)}`
  }
  const costs = { memory: 64, passes: 1, parallelism: 1 }
  const hash = argon2Sync('argon2id', { message, nonce: salt, tagLength: 32, ...costs })
  return `$argon2id$v=19$m=64,t=1,p=1$${text(salt)}$${text(hash)}`
}
