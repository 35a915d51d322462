/** Which mechanisms a scope has, and which of them this client may use now. */

import type { InboundScope } from '../../config/settings.ts'
import type { Session } from '../session-state.ts'
import type { MechanismRow } from './mechanism.ts'
import type { MechanismName } from './mechanism-name.ts'
import { MECHANISMS } from './mechanisms.ts'

/** What each scope has is read once: every EHLO inside TLS asks for it. */
const configured = new WeakMap<InboundScope, readonly MechanismRow[]>()

/** The mechanisms that SMTP_Extensions lists and that have their parameters; says nothing about who asks. */
export function configuredMechanisms(scope: InboundScope): readonly MechanismRow[] {
  let rows = configured.get(scope)
  if (rows === undefined) {
    rows = readMechanisms(scope)
    configured.set(scope, rows)
  }
  return rows
}

function readMechanisms({ options }: InboundScope): readonly MechanismRow[] {
  const named = new Set(
    options.smtp_extensions.flatMap((text) => {
      const [verb, ...names] = text.trim().toUpperCase().split(/\s+/)
      return verb === 'AUTH' ? names : []
    }),
  )
  return MECHANISMS.filter((row) => named.has(row.name) && options[row.option] !== undefined)
}

/**
 * The mechanisms that can be used now. Outside TLS there are none unless the scope says Allow_Plaintext_Auth, those
 * that send no password included: what they protect is the password, not the session that it opens.
 */
export function offeredMechanisms(session: Session): MechanismName[] {
  if (session.tls === undefined && !session.scope.options.allow_plaintext_auth) return []
  return configuredMechanisms(session.scope)
    .filter((row) => suits(session, row))
    .map(({ name }) => name)
}

/** EXTERNAL is for clients whose certificate verifies, and unheard of for all others. */
export function suits(session: Session, row: MechanismRow): boolean {
  return !row.needsCertificate || session.peer.kind === 'verified'
}
