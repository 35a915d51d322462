/** The options of a TLS_OCSP stanza: an OCSP responder for certificates of clients. All are extensions. */

import { type Codec, count, filePath, oneOf, scalar } from './codec.ts'
import type { OptionTable, ScopeName } from './option-row.ts'
import type { OcspSettings } from './settings-ocsp.ts'

const tlsOcsp: readonly ScopeName[] = ['tls_ocsp']

const url: Codec<string> = scalar('an http or https URL such as "http://ocsp.example.com/"', (text) => {
  const parsed = /^https?:\/\/[\x21-\x7e]+$/i.test(text) ? URL.parse(text) : null
  // a password would end in a log; a fragment is never sent
  const plain = parsed !== null && parsed.username === '' && parsed.password === '' && parsed.hash === ''
  return plain && parsed.hostname !== '' ? parsed.href : undefined
})

export const ocspOptions: OptionTable<Omit<OcspSettings, 'name' | 'at'>> = {
  /** required, as is responder: the defaults are never used */
  ca: { codec: filePath, default: { path: '', text: '' }, scopes: tlsOcsp },
  responder: { codec: url, default: '', scopes: tlsOcsp },
  signer: { codec: filePath, default: undefined, scopes: tlsOcsp },
  responder_ca: { codec: filePath, default: undefined, scopes: tlsOcsp },
  timeout: { codec: count('a number of seconds', { min: 1, max: 60 }), default: 5, scopes: tlsOcsp },
  cache_time: { codec: count('a number of seconds', { max: 604_800 }), default: 3600, scopes: tlsOcsp },
  nonce: { codec: oneOf(['send', 'require', 'off']), default: 'send', scopes: tlsOcsp },
}
