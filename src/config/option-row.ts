/** What a row of the option tables says, and the scopes that rows speak of. */

import type { Codec } from './codec.ts'

/** The scopes whose contents are read. All other stanzas are skipped as a whole. */
export type ScopeName =
  | 'global'
  | 'esmtp_listener'
  | 'listen'
  | 'peer'
  | 'pathway'
  | 'pathway_group'
  | 'domain'
  | 'host'
  | 'binding'
  | 'binding_group'
  | 'security'
  | 'scriptlet'
  | 'script'
  | 'ec_logger'
  | 'bounce_logger'
  | 'custom_logger'
  | 'tls_log'
  | 'maildir'
  | 'pipe_transport'
  | 'webhook'
  | 'datasource'
  | 'auth_ds'
  | 'scheme'
  | 'authenticate'
  | 'querygroups'
  | 'enumgroups'
  | 'tls_sni'
  | 'tls_ocsp'
  | 'spf_v1'
  | 'opendkim'
  | 'dkim_domain'
  | 'openarc'
  | 'dmarc'
  | 'partner'
  | 'control_listener'
  | 'http_listener'
  // a Listen of theirs
  | 'control_listen'
  | 'http_listen'
  // a Peer of a Control_Listener
  | 'control_peer'
  | 'authorization'
  | 'role'

/** An option that acts. */
export interface OptionRow<T> {
  readonly codec: Codec<T>
  readonly default: T
  readonly scopes: readonly ScopeName[]
}

/** One row for each name of a settings type: a missing one does not compile. */
export type OptionTable<Values> = { readonly [Name in keyof Values]: OptionRow<Values[Name]> }

/** The same option in other scopes. */
export function within<T>(
  { codec, default: unset }: OptionRow<T>,
  scopes: readonly ScopeName[],
): OptionRow<T> {
  return { codec, default: unset, scopes }
}

/** Momentum's listener family and the bundles that stand in for it. */
export const sessionScopes = ['esmtp_listener', 'listen', 'peer', 'pathway', 'pathway_group'] as const
export const sessionAndGlobal = [...sessionScopes, 'global'] as const
export const socketScopes = ['esmtp_listener', 'listen'] as const
export const connectionScopes = ['esmtp_listener', 'listen', 'peer'] as const
export const bundleScopes = ['pathway', 'pathway_group', 'global'] as const
export const destinationScopes = ['domain', 'binding', 'binding_group', 'global'] as const
export const domainScopes = ['domain', 'global'] as const
export const bindingScopes = ['binding', 'binding_group', 'global'] as const
