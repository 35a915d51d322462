/**
 * What a proxy says of its client's TLS, as keys of the connection's context: `proxy_tls` and names that begin with
 * `proxy_tls_`, and no others.
 *
 * An assertion is no identity: it never becomes a `tls_` key or a peer, and grants nothing. It is taken from the hosts of
 * Proxy_TLS_Hosts alone. Values are one printable word each, escaped and cut like names of certificates.
 */

import { cidrContains } from '../config/address.ts'
import type { InboundScope } from '../config/settings.ts'
import { escapeWord } from '../tls/names.ts'
import type { ProxyHeader } from '../wire/proxy-header.ts'

/**
 * @param scope of the address that connected
 * @param address of whoever connected
 */
export function assertedKeys(
  { tlvs }: ProxyHeader,
  { options }: InboundScope,
  address: string,
): ReadonlyMap<string, string> | undefined {
  if (tlvs === undefined || !options.proxy_tls_hosts.some((block) => cidrContains(block, address)))
    return undefined
  const { tls, authority } = tlvs
  const entries: (readonly [string, string | undefined])[] = [['proxy_tls_authority', authority]]
  if (tls?.secure === true) {
    const shown = tls.certificate !== undefined
    entries.push(
      ['proxy_tls', 'on'],
      ['proxy_tls_protocol', tls.version],
      ['proxy_tls_cipher', tls.cipher],
      ['proxy_tls_client_cert', tls.certificate],
      // where no certificate was shown 0 means nothing
      ['proxy_tls_client_verify', shown ? String(tls.verify) : undefined],
      ['proxy_tls_client_verified', shown && tls.verify === 0 ? 'yes' : undefined],
      ['proxy_tls_client_cn', shown ? tls.commonName : undefined],
      ['proxy_tls_sig_alg', tls.signatureAlgorithm],
      ['proxy_tls_key_alg', tls.keyAlgorithm],
    )
  }
  const words = entries.flatMap(([key, value]) =>
    value === undefined || value === '' ? [] : [[key, escapeWord(Buffer.from(value, 'latin1'))] as const],
  )
  if (words.length === 0) return undefined
  return new Map([...words, ['proxy_tls_asserted_by', address === '' ? 'local' : address]])
}
