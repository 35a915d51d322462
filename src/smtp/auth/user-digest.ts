/** The secret of DIGEST-MD5 and of htdigest files: MD5(user:realm:password) in hex. */

import { createHash } from 'node:crypto'

/**
 * RFC 2831 §2.1.2.1: a name or password in UTF-8 whose characters all are ISO 8859-1 is hashed in that form, so that
 * it is the one hash of HTTP's digests too.
 */
export function userDigest(user: string, realm: string, password: string): string {
  const text = [user, realm, password].map(narrow).join(':')
  return createHash('md5').update(text, 'latin1').digest('hex')
}

function narrow(bytes: string): string {
  if (!/[\x80-\xff]/.test(bytes)) return bytes
  const text = Buffer.from(bytes, 'latin1').toString('utf8')
  return /[^\0-\xff]/.test(text) ? bytes : text
}
