/**
 * The inbound TLS options that act (momentum: inbound-tls, inbound-ssl and the config pages of each name).
 *
 * TLS_Verify_Mode and what goes with it are not valid in the global scope. Rows marked + are extensions. The word
 * `none` takes back a certificate or key that a wider scope names; a CA or a CRL cannot be taken back.
 */

import { bool, type CodecContext, count, filePath, longSeconds, oneOf, pathUnless, seconds } from './codec.ts'
import { ciphers, curves, protocols, tls13Suites, verifyDepth, verifyMode } from './codec-tls.ts'
import { type OptionTable, sessionAndGlobal, sessionScopes } from './option-row.ts'
import type { FilePath, InboundValues } from './settings.ts'
import type { Value } from './tree.ts'

type TlsName = Extract<
  keyof InboundValues,
  `tls_${string}` | 'tlsv13_ciphersuites' | 'use_ssl' | 'starttls_injection_policy' | `require_tls${string}`
>

export const tlsOptions: OptionTable<Pick<InboundValues, TlsName>> = {
  use_ssl: { codec: bool, default: false, scopes: sessionScopes },
  tls_certificate: { codec: pathUnless('none'), default: undefined, scopes: sessionAndGlobal },
  tls_key: { codec: pathUnless('none'), default: undefined, scopes: sessionAndGlobal },
  /** + a stanza, whose instances are merged by host */
  tls_sni: { codec: stanzaOnly, default: Object.freeze([]), scopes: sessionAndGlobal },
  tls_client_ca: { codec: filePath, default: undefined, scopes: sessionAndGlobal },
  /** + in the scopes of TLS_Client_CA */
  tls_client_crl: { codec: filePath, default: undefined, scopes: sessionAndGlobal },
  /** + not global: a relaxation is written where it is meant */
  tls_client_crl_mode: { codec: oneOf(['hard', 'soft']), default: 'hard', scopes: sessionScopes },
  /** + */
  tls_client_crl_alarm_age: { codec: longSeconds, default: 0, scopes: sessionAndGlobal },
  /** + */
  tls_client_ocsp: { codec: bool, default: false, scopes: sessionAndGlobal },
  /** + not global: a relaxation is written where it is meant */
  tls_client_ocsp_mode: { codec: oneOf(['hard', 'soft']), default: 'hard', scopes: sessionScopes },
  tls_verify_mode: { codec: verifyMode, default: undefined, scopes: sessionScopes },
  /** + in the scopes of the mode that it stands beside */
  tls_verify_mode_shadow: { codec: verifyMode, default: undefined, scopes: sessionScopes },
  /** + not global: a relaxation is written where it is meant */
  tls_client_eku: {
    codec: oneOf(['clientAuth', 'any', 'report']),
    default: 'clientAuth',
    scopes: sessionScopes,
  },
  /** + */
  tls_verify_depth: { codec: verifyDepth, default: undefined, scopes: sessionAndGlobal },
  tls_verified_peer_can_relay: { codec: bool, default: false, scopes: sessionScopes },
  tls_ciphers: { codec: ciphers, default: undefined, scopes: sessionAndGlobal },
  tlsv13_ciphersuites: { codec: tls13Suites, default: undefined, scopes: sessionAndGlobal },
  tls_protocols: { codec: protocols, default: undefined, scopes: sessionAndGlobal },
  tls_ec_curve_names: { codec: curves, default: undefined, scopes: ['global'] },
  /** Momentum's default is true; renegotiation is never allowed here, and asking for it is warned about */
  tls_allow_renegotiation: { codec: bool, default: false, scopes: sessionScopes },
  starttls_injection_policy: {
    codec: oneOf(['reject', 'ignore', 'allow']),
    default: 'reject',
    scopes: sessionScopes,
  },
  /** + */
  require_tls: { codec: bool, default: false, scopes: sessionScopes },
  /** + in the scopes of the option that it stands beside */
  require_tls_shadow: { codec: bool, default: false, scopes: sessionScopes },
  /** + */
  tls_session_tickets: { codec: bool, default: true, scopes: sessionScopes },
  /** + */
  tls_authentication_results: { codec: bool, default: false, scopes: sessionAndGlobal },
  /** + */
  tls_dn_format: { codec: oneOf(['rfc4514', 'oneline']), default: 'rfc4514', scopes: sessionAndGlobal },
  /** + */
  tls_handshake_timeout: { codec: seconds, default: 30, scopes: sessionAndGlobal },
  /** + */
  tls_max_handshakes_per_address: { codec: count(), default: 64, scopes: sessionAndGlobal },
}

/** Inside TLS_SNI. */
export const sniOptions: OptionTable<{
  readonly tls_certificate: FilePath
  readonly tls_key: FilePath | undefined
}> = {
  // required, so never its default
  tls_certificate: { codec: filePath, default: { path: '', text: '' }, scopes: ['tls_sni'] },
  tls_key: { codec: filePath, default: undefined, scopes: ['tls_sni'] },
}

/** TLS_SNI = … is a mistake. */
function stanzaOnly(value: Value, context: CodecContext): undefined {
  return context.error('is a stanza and not an option: write TLS_SNI "…" { … }', value.at)
}
