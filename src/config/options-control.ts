/**
 * The options of a Control_Listener, its Listens and its Peers (momentum: control-listener, control-auth) and those of
 * Authorization (momentum: control-authz). Codecs and defaults are those of the ESMTP_Listener where it has them.
 */

import { bool, seconds } from './codec.ts'
import { authorizationParameters, commandPatterns } from './codec-control.ts'
import { type OptionTable, type ScopeName, within } from './option-row.ts'
import { inboundOptions } from './options-inbound.ts'
import type { InboundValues } from './settings.ts'
import type { ControlOwnValues, RoleSettings } from './settings-control.ts'

const control: readonly ScopeName[] = ['control_listener', 'control_listen']
/** what can be another for one network */
const whom: readonly ScopeName[] = [...control, 'control_peer']

type SharedName =
  | 'enable'
  | 'listen_backlog'
  | 'file_mode'
  | 'always_allow'
  | 'always_deny'
  | 'authplainparameters'
  | 'authloginparameters'
  | 'authcrammd5parameters'
  | 'authdigestmd5parameters'
  | 'authexternalparameters'
  | 'auth_failure_limit'
  | 'auth_failure_window'
  | 'auth_failure_delay'
  | 'use_ssl'
  | 'tls_certificate'
  | 'tls_key'
  | 'tls_client_ca'
  | 'tls_client_crl'
  | 'tls_verify_mode'
  | 'tls_ciphers'
  | 'tlsv13_ciphersuites'
  | 'tls_protocols'
  | 'tls_handshake_timeout'
  | 'tls_max_handshakes_per_address'

export type ControlValues = Pick<InboundValues, SharedName> & ControlOwnValues

export const controlOptions: OptionTable<ControlValues> = {
  enable: within(inboundOptions.enable, control),
  listen_backlog: within(inboundOptions.listen_backlog, control),
  file_mode: within(inboundOptions.file_mode, control),
  timeout: { codec: seconds, default: undefined, scopes: control },
  enable_authentication: { codec: bool, default: undefined, scopes: whom },
  enable_authorization: { codec: bool, default: undefined, scopes: whom },
  authorizationparameters: { codec: authorizationParameters, default: undefined, scopes: whom },
  always_allow: within(inboundOptions.always_allow, whom),
  always_deny: within(inboundOptions.always_deny, whom),
  authplainparameters: within(inboundOptions.authplainparameters, whom),
  authloginparameters: within(inboundOptions.authloginparameters, whom),
  authcrammd5parameters: within(inboundOptions.authcrammd5parameters, whom),
  authdigestmd5parameters: within(inboundOptions.authdigestmd5parameters, whom),
  authexternalparameters: within(inboundOptions.authexternalparameters, whom),
  auth_failure_limit: within(inboundOptions.auth_failure_limit, whom),
  auth_failure_window: within(inboundOptions.auth_failure_window, whom),
  auth_failure_delay: within(inboundOptions.auth_failure_delay, whom),
  use_ssl: within(inboundOptions.use_ssl, control),
  tls_certificate: within(inboundOptions.tls_certificate, control),
  tls_key: within(inboundOptions.tls_key, control),
  tls_client_ca: within(inboundOptions.tls_client_ca, control),
  tls_client_crl: within(inboundOptions.tls_client_crl, control),
  tls_verify_mode: within(inboundOptions.tls_verify_mode, control),
  tls_ciphers: within(inboundOptions.tls_ciphers, control),
  tlsv13_ciphersuites: within(inboundOptions.tlsv13_ciphersuites, control),
  tls_protocols: within(inboundOptions.tls_protocols, control),
  tls_handshake_timeout: within(inboundOptions.tls_handshake_timeout, control),
  tls_max_handshakes_per_address: within(inboundOptions.tls_max_handshakes_per_address, control),
}

export const roleOptions: OptionTable<Pick<RoleSettings, 'allow'>> = {
  allow: { codec: commandPatterns, default: Object.freeze([]), scopes: ['role'] },
}
