/**
 * The options of a reception that act, besides TLS: codec, default, scopes.
 *
 * Defaults are Momentum's (config-options-summary) except where the design says otherwise: Idle_Time 300,
 * Max_Received_Headers 100. Rows marked + are extensions.
 */

import { bool, count, hostname, line, oneOf, permissions, seconds, size } from './codec.ts'
import {
  cramMd5Parameters,
  digestMd5Parameters,
  externalParameters,
  passwordParameters,
} from './codec-auth.ts'
import { banner, contextValues, domain, domainGlobs, extensions, networks } from './codec-mail.ts'
import {
  bundleScopes,
  connectionScopes,
  type OptionTable,
  sessionAndGlobal,
  sessionScopes,
  socketScopes,
} from './option-row.ts'
import { tlsOptions } from './options-tls.ts'
import type { InboundValues } from './settings.ts'

const receptionOptions: OptionTable<Omit<InboundValues, keyof typeof tlsOptions>> = {
  enable: { codec: bool, default: true, scopes: socketScopes },
  listen_backlog: {
    codec: count('a whole number', { min: 1, max: 65535 }),
    default: 500,
    scopes: socketScopes,
  },
  file_mode: { codec: permissions, default: 0o660, scopes: socketScopes },
  disable_nagle_algorithm: { codec: bool, default: false, scopes: [...socketScopes, 'global'] },

  // read for the address that connects: the header that says another one has not been seen yet
  proxy_protocol: { codec: bool, default: false, scopes: connectionScopes },
  proxy_protocol_timeout: { codec: seconds, default: 60, scopes: connectionScopes },
  /** + */
  proxy_hosts: { codec: networks, default: Object.freeze([]), scopes: connectionScopes },
  /** + */
  proxy_tls_hosts: { codec: networks, default: Object.freeze([]), scopes: connectionScopes },

  listener_sessions: { codec: count(), default: 0, scopes: sessionScopes },
  service_sessions: { codec: count(), default: 0, scopes: sessionScopes },
  idle_time: { codec: seconds, default: 300, scopes: sessionScopes },
  max_receptions_per_connection: { codec: count(), default: 0, scopes: sessionAndGlobal },
  max_recipients_per_connection: {
    codec: count(),
    default: 0,
    scopes: ['esmtp_listener', 'listen', 'peer', 'pathway', 'pathway_group', 'global'],
  },
  max_recipients_per_message: { codec: count(), default: 0, scopes: sessionScopes },
  max_message_size: { codec: size, default: 0, scopes: sessionScopes },
  /** + */
  data_timeout: { codec: seconds, default: 1800, scopes: sessionAndGlobal },
  /** + */
  data_minimum_rate: { codec: size, default: 32, scopes: sessionAndGlobal },
  /** momentum: modules/mail-loop, whose default is 20; RFC 5321 §6.3 asks for at least 100 */
  max_received_headers: {
    codec: count('a whole number', { min: 1 }),
    default: 100,
    scopes: sessionAndGlobal,
  },

  banner_hostname: { codec: hostname, default: undefined, scopes: sessionScopes },
  static_banner: { codec: banner, default: undefined, scopes: sessionScopes },
  received_hostname: { codec: hostname, default: undefined, scopes: sessionScopes },
  require_ehlo: { codec: bool, default: false, scopes: sessionAndGlobal },
  smtp_extensions: { codec: extensions, default: Object.freeze([]), scopes: sessionScopes },
  context: { codec: contextValues, default: Object.freeze({}), scopes: sessionScopes },
  pathway: { codec: line, default: undefined, scopes: ['esmtp_listener', 'listen', 'peer'] },
  reconfig_message: { codec: line, default: '4.3.2 Reconfiguration in progress', scopes: ['esmtp_listener'] },

  open_relay: { codec: bool, default: false, scopes: sessionScopes },
  relay_hosts: { codec: networks, default: Object.freeze([]), scopes: sessionAndGlobal },
  relay_domains: { codec: domainGlobs, default: Object.freeze([]), scopes: bundleScopes },
  bounce_domains: { codec: domainGlobs, default: Object.freeze([]), scopes: bundleScopes },
  relay_for_sending_domains: { codec: domainGlobs, default: undefined, scopes: sessionScopes },
  allow_ip_literal: { codec: bool, default: true, scopes: sessionAndGlobal },
  allow_null_envelope_sender: { codec: bool, default: true, scopes: sessionAndGlobal },
  allow_trailing_whitespace_in_commands: { codec: bool, default: false, scopes: sessionAndGlobal },
  domain_for_unqualified_recipient_addresses: { codec: domain, default: undefined, scopes: sessionAndGlobal },
  domain_for_unqualified_sender_address: { codec: domain, default: undefined, scopes: sessionAndGlobal },
  rfc2822_trace_headers: { codec: bool, default: true, scopes: bundleScopes },

  // Momentum's table leaves Peer out for some of these, its change log has them there
  authplainparameters: { codec: passwordParameters, default: undefined, scopes: sessionScopes },
  authloginparameters: { codec: passwordParameters, default: undefined, scopes: sessionScopes },
  authcrammd5parameters: { codec: cramMd5Parameters, default: undefined, scopes: sessionScopes },
  authdigestmd5parameters: { codec: digestMd5Parameters, default: undefined, scopes: sessionScopes },
  /** + */
  authexternalparameters: { codec: externalParameters, default: undefined, scopes: sessionScopes },
  /** + */
  allow_plaintext_auth: { codec: bool, default: false, scopes: sessionScopes },
  always_allow: { codec: bool, default: false, scopes: sessionScopes },
  always_deny: { codec: bool, default: false, scopes: sessionScopes },
  /** + */
  auth_failure_limit: { codec: count(), default: 20, scopes: sessionAndGlobal },
  /** + */
  auth_failure_window: {
    codec: count('a whole number of seconds', { min: 1, max: 86_400 }),
    default: 600,
    scopes: sessionAndGlobal,
  },
  /** + */
  auth_failure_delay: {
    codec: count('a whole number of seconds', { max: 60 }),
    default: 5,
    scopes: sessionAndGlobal,
  },
  /** + Momentum's header masks the user's name since 4.2.38 */
  authentication_results: {
    codec: oneOf(['masked', 'full', 'none']),
    default: 'masked',
    scopes: sessionAndGlobal,
  },
}

export const inboundOptions: OptionTable<InboundValues> = { ...receptionOptions, ...tlsOptions }
