/** What is decided before a word is said: the Listen, admission, and the scope with the options that matter. */

import { describeOrigin } from '../../config/diagnostic.ts'
import { format } from '../../config/evaluate.ts'
import { displayName } from '../../config/known-names.ts'
import type { ScopeSpeaker } from '../../config/scope-speaker.ts'
import type { InboundScope, InboundValues, ListenSettings, Settings } from '../../config/settings.ts'
import type { Client } from './client.ts'
import type { Steps } from './step-builder.ts'

/** @returns whether anybody is listened to there */
export function explainListen(steps: Steps, { listen, address }: Client): boolean {
  const { enable } = listen.scope.options
  steps.begin('listen', `Listen "${listen.instance}" accepts the connection`, describeOrigin(listen.at))
  steps.detail('address', describeAddress(listen))
  steps.detail('client', address === '' ? 'local, matches as loopback' : address)
  if (!enable)
    steps.detail('Enable', 'false: nobody can connect', describeOrigin(listen.scope.origin('enable')))
  return enable
}

function describeAddress({ address }: ListenSettings): string {
  if (address.kind === 'unix') return address.path
  const families = address.family === 'dual' ? 'IPv4 and IPv6' : `IPv${address.family}`
  return `${address.host ?? 'any address'}, port ${address.port}, ${families}`
}

/** How many may be there already is not known here; the limits are. */
export function explainAdmission(
  steps: Steps,
  { listen }: Client,
  settings: Settings,
  scope: InboundScope,
): void {
  steps.begin('admission', 'Admission: the client is taken in while there is room')
  const { max_sessions: most } = settings.global
  const derived = most === 0 ? 'derived from the limit of file descriptors' : String(most)
  steps.detail('Max_Sessions', derived, describeOrigin(settings.globalOrigin('max_sessions')))
  for (const option of ['listener_sessions', 'service_sessions'] as const) {
    const value = scope.options[option]
    steps.detail(
      displayName(option),
      value === 0 ? 'no limit' : String(value),
      describeOrigin(scope.origin(option)),
    )
  }
  if (!scope.options.proxy_protocol && !listen.scope.options.proxy_protocol) return
  const from = describeOrigin(scope.origin('proxy_protocol'))
  steps.detail('Proxy_Protocol', 'a proxy tells who the client is; --peer is taken for what it tells', from)
}

/** The stanzas that speak for the client, and for each option that matters the line that decides. */
export function explainScope(steps: Steps, scope: InboundScope, title = 'Scope'): void {
  const mode = scope.options.tls_verify_mode ?? 'unset'
  steps.begin(
    'scope',
    `${title}: TLS_Verify_Mode is ${mode}`,
    describeOrigin(scope.origin('tls_verify_mode')),
  )
  for (const speaker of scope.speakers?.() ?? []) {
    if (speaker.scope === 'global' && speaker.says('tls_verify_mode') === undefined) continue
    const place = speaker.at === undefined ? undefined : describeOrigin(speaker.at)
    steps.detail(nameOf(speaker), saysOfMode(speaker, scope), place)
  }
  for (const option of [...always, ...wherever]) {
    const origin = scope.origin(option)
    const set = origin !== 'default'
    if (!set && !always.includes(option)) continue
    steps.detail(displayName(option), valueOf(scope, option), describeOrigin(origin))
  }
  steps.detail('pathway', scope.pathway)
}

function valueOf({ options }: InboundScope, option: keyof InboundValues): string {
  // the certificates of TLS_SNI are told by the names that a client asks for
  const value = option === 'tls_sni' ? options.tls_sni.map(({ host }) => host) : options[option]
  const unset =
    option === 'tls_verify_mode' ? 'unset: a certificate is asked for and may be missing' : 'not set'
  return format(value, option) ?? unset
}

function nameOf({ scope, instance }: ScopeSpeaker): string {
  const name = SCOPES[scope] ?? scope
  return instance === '' ? `scope ${name}` : `scope ${name} "${instance}"`
}

const SCOPES: Readonly<Partial<Record<ScopeSpeaker['scope'], string>>> = {
  global: 'global',
  esmtp_listener: 'ESMTP_Listener',
  listen: 'Listen',
  peer: 'Peer',
  pathway: 'Pathway',
  pathway_group: 'Pathway_Group',
}

function saysOfMode(speaker: ScopeSpeaker, scope: InboundScope): string {
  const said = speaker.says('tls_verify_mode')
  if (said === undefined) return 'matches, and says nothing of TLS_Verify_Mode'
  const value = typeof said.value === 'string' ? said.value : 'optional'
  const deciding = describeOrigin(scope.origin('tls_verify_mode')) === describeOrigin(said.at)
  return `TLS_Verify_Mode = "${value}"${deciding ? ', which decides' : ', which a narrower scope overrides'}`
}

const always: readonly (keyof InboundValues)[] = ['tls_verify_mode', 'tls_certificate', 'tls_client_ca']

/** told where the configuration says something about them */
const wherever: readonly (keyof InboundValues)[] = [
  'use_ssl',
  'require_tls',
  'require_tls_shadow',
  'tls_key',
  'tls_sni',
  'tls_client_crl',
  'tls_client_crl_mode',
  'tls_client_eku',
  'tls_verify_depth',
  'tls_verified_peer_can_relay',
  'tls_session_tickets',
  'tls_protocols',
  'tls_ciphers',
  'tlsv13_ciphersuites',
  'tls_ec_curve_names',
  'starttls_injection_policy',
  'tls_dn_format',
  'tls_handshake_timeout',
  'tls_max_handshakes_per_address',
]
