/**
 * The options that shape a session with a next hop: TLS, DANE, MTA-STS, outbound AUTH and XCLIENT (momentum: config/ref-tls,
 * tls-verify, tls-ca, use-dane, mta-sts, modules/outbound-smtp-auth). Rows marked + are extensions.
 */

import { bool, type Codec, count, filePath, line, longSeconds, oneOf, pathUnless } from './codec.ts'
import { deliveryMethod, lmtpPort } from './codec-delivery.ts'
import { ciphers, protocols, tls13Suites } from './codec-tls.ts'
import { destinationScopes, type OptionTable, type ScopeName } from './option-row.ts'
import type { OutboundSessionValues, SessionGlobals } from './settings-session.ts'

const global: readonly ScopeName[] = ['global']
const demand = oneOf(['no', 'ifavailable', 'required'])
const file: Codec<OutboundSessionValues['tls_certificate']> = pathUnless('none')

export const sessionOptions: OptionTable<OutboundSessionValues> = {
  tls: { codec: demand, default: 'no', scopes: destinationScopes },
  tls_ifavailable_fallback: { codec: bool, default: true, scopes: destinationScopes },
  tls_fallback_always_new_connection: { codec: bool, default: true, scopes: destinationScopes },
  tls_verify: { codec: oneOf(['no', 'ca', 'host', 'optional']), default: 'no', scopes: destinationScopes },
  tls_ca: { codec: filePath, default: undefined, scopes: destinationScopes },
  tls_certificate: { codec: file, default: undefined, scopes: destinationScopes },
  tls_key: { codec: file, default: undefined, scopes: destinationScopes },
  tls_ciphers: { codec: ciphers, default: undefined, scopes: destinationScopes },
  tlsv13_ciphersuites: { codec: tls13Suites, default: undefined, scopes: destinationScopes },
  tls_protocols: { codec: protocols, default: undefined, scopes: destinationScopes },
  use_dane: { codec: bool, default: false, scopes: ['domain', 'global'] },
  enable_dane: { codec: bool, default: undefined, scopes: destinationScopes },
  use_mta_sts: { codec: bool, default: false, scopes: ['domain', 'global'] },
  enable_mta_sts: { codec: bool, default: undefined, scopes: destinationScopes },
  mta_sts_dns_cname_max_depth: {
    codec: count('a whole number', { min: 0, max: 15 }),
    default: 5,
    scopes: ['domain', 'global'],
  },
  xclient: { codec: demand, default: 'no', scopes: destinationScopes },
  delivery_method: { codec: deliveryMethod, default: 'ESMTP', scopes: destinationScopes },
  lmtp_port: { codec: lmtpPort, default: 2003, scopes: destinationScopes },
  outbound_smtp_auth_type: {
    codec: oneOf(['PLAIN', 'LOGIN', 'XOAUTH2']),
    default: undefined,
    scopes: destinationScopes,
  },
  outbound_smtp_auth_user: { codec: line, default: undefined, scopes: destinationScopes },
  outbound_smtp_auth_pass: { codec: line, default: undefined, scopes: destinationScopes },
  /** + */
  outbound_smtp_auth_plaintext: { codec: bool, default: false, scopes: destinationScopes },
}

export const sessionGlobals: OptionTable<SessionGlobals> = {
  tlsa_expire_interval: { codec: longSeconds, default: 3600, scopes: global },
  mta_sts_policy_store: { codec: filePath, default: undefined, scopes: global },
  /** + */
  mta_sts_ca: { codec: filePath, default: undefined, scopes: global },
  /** + */
  tls_rpt_log: { codec: filePath, default: undefined, scopes: global },
}
