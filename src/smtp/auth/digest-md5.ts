/**
 * DIGEST-MD5: RFC 2831, authentication only (qop=auth), no security layer. The client proves that it knows the password,
 * and so does the server (rspauth). A nonce is made for one exchange and answered once, with nc=00000001: there is no
 * subsequent authentication.
 *
 * The realm is the scope's, else this host's name; a client that answers in another one fails. Of digest-uri the service
 * must be ours; the host is whatever name the client knows us by, so it is not compared.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { parseDirectives, quoted } from './digest-directives.ts'
import type { Grounds, Mechanism, Step } from './mechanism.ts'
import { challenge, MalformedResponse, orFailure, outcome } from './mechanism.ts'

/** What goes into the digest besides the secret. All byte strings. */
interface Inputs {
  readonly nonce: string
  readonly cnonce: string
  readonly nc: string
  readonly uri: string
  /** '' when the client sent none */
  readonly authzid: string
}

export function digestMd5(grounds: Grounds, nonce = randomBytes(24).toString('base64')): Mechanism {
  const { store, parameters, hostname, client, service = 'smtp' } = grounds
  const realm = parameters['realm'] ?? hostname
  let proven: string | undefined
  const judge = async (given: Response): Promise<Step> => {
    const { user, authzid } = given
    const ours = given.nonce === nonce && given.realm === realm && given.nc === '00000001'
    const fitting =
      ours && given.uri.toLowerCase().startsWith(`${service}/`) && (authzid === '' || authzid === user)
    if (user === '' || !fitting) return outcome(user, false)
    const known = await store.digest(user, realm, client)
    // An unknown user is computed as well, with a hash that nobody has.
    const secret = known ?? randomBytes(16).toString('hex')
    const expected = digestResponse('AUTHENTICATE', secret, given)
    const same = timingSafeEqual(Buffer.from(expected), Buffer.from(given.response))
    if (known === undefined || !same) return outcome(user, false)
    proven = user
    return challenge(`rspauth=${digestResponse('', secret, given)}`)
  }
  return {
    name: 'DIGEST-MD5',
    start: () =>
      challenge(`realm=${quoted(realm)},nonce=${quoted(nonce)},qop="auth",charset=utf-8,algorithm=md5-sess`),
    next(text) {
      if (proven === undefined) {
        const given = readResponse(text)
        return orFailure(given.user, () => judge(given))
      }
      // RFC 2831 §2.1.3, RFC 4954 §4: the client acknowledges our proof with nothing.
      if (text !== '') throw new MalformedResponse()
      return outcome(proven, true)
    },
  }
}

type Response = Inputs & { readonly user: string; readonly realm: string; readonly response: string }

/** @throws MalformedResponse */
function readResponse(text: string): Response {
  const directives = parseDirectives(text)
  const required = (key: string): string => {
    const value = directives?.get(key)
    if (value === undefined) throw new MalformedResponse()
    return value
  }
  const response = required('response')
  if (!/^[0-9a-f]{32}$/.test(response)) throw new MalformedResponse()
  const charset = directives?.get('charset')?.toLowerCase() ?? 'utf-8'
  if (charset !== 'utf-8' || (directives?.get('qop') ?? 'auth') !== 'auth') throw new MalformedResponse()
  return {
    user: required('username'),
    nonce: required('nonce'),
    cnonce: required('cnonce'),
    nc: required('nc'),
    uri: required('digest-uri'),
    // RFC 2831 §2.1.2: a missing realm is the empty one
    realm: directives?.get('realm') ?? '',
    authzid: directives?.get('authzid') ?? '',
    response,
  }
}

/**
 * RFC 2831 §2.1.2.1, algorithm md5-sess.
 * @param method `AUTHENTICATE` for the client's proof, '' for ours
 * @param secret MD5(user:realm:password) in hex
 */
export function digestResponse(
  method: string,
  secret: string,
  { nonce, cnonce, nc, uri, authzid }: Inputs,
): string {
  const a1 = Buffer.concat([
    Buffer.from(secret, 'hex'),
    Buffer.from(`:${nonce}:${cnonce}${authzid === '' ? '' : `:${authzid}`}`, 'latin1'),
  ])
  return md5(`${md5(a1)}:${nonce}:${nc}:${cnonce}:auth:${md5(`${method}:${uri}`)}`)
}

function md5(data: string | Uint8Array): string {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data
  return createHash('md5').update(bytes).digest('hex')
}
