/** What it comes to, in one line. */

import type { ServerEvent } from '../../events/events.ts'
import type { Session } from '../../smtp/session-state.ts'
import type { Reply } from './conversation.ts'
import { type Conclusion, fromBytes, type PolicyAnswer, plain } from './document.ts'
import type { Handshake } from './explaining-gate.ts'
import type { Steps } from './step-builder.ts'

/** Where things stand. */
export interface Scene {
  readonly steps: Steps
  readonly session: Session
  readonly events: readonly ServerEvent[]
}

export function concludeLetIn(scene: Scene, asides: readonly string[]): Conclusion {
  const { session } = scene
  const text = [`let in ${describePeer(session)}`, ...asides].join('; ')
  return { ...common(scene), outcome: 'let-in', text }
}

export function concludeFailure(
  scene: Scene,
  { reason, alerts }: Extract<Handshake, { kind: 'failed' }>,
): Conclusion {
  const said = [...alerts].map(([version, alert]) => `${version} alert ${alert}`).join(', ')
  const text = `the handshake fails: ${plain(reason)}${said === '' ? '' : ` (${said})`}`
  return { ...common(scene), outcome: 'handshake-failed', text, cause: plain(reason) }
}

/** A client that insists on TLS goes away. */
export function concludeNoTls(scene: Scene, reply: Reply): Conclusion {
  const text = `no TLS to be had: STARTTLS is answered ${words(reply)}${decider(scene)}`
  return { ...common(scene), outcome: 'no-tls', text, ...codeOf(reply) }
}

export function concludeRefusal(scene: Scene, reply: Reply, where: string): Conclusion {
  const text =
    reply.code === undefined
      ? `the connection ends ${where} without a word${decider(scene)}`
      : `refused ${where} with ${words(reply)}${decider(scene)}`
  return { ...common(scene), outcome: 'refused', text, ...codeOf(reply) }
}

function common({ steps, session }: Scene): Pick<Conclusion, 'conditional' | 'peer' | 'cause'> {
  const { peer } = session
  return {
    conditional: steps.conditional,
    peer: peer.kind,
    ...(peer.kind === 'unverified' ? { cause: peer.cause } : {}),
  }
}

function describePeer({ peer, tls }: Session): string {
  switch (peer.kind) {
    case 'plaintext':
      return 'in clear text'
    case 'anonymous':
      return tls?.peer.kind === 'anonymous'
        ? 'inside TLS, without a certificate'
        : 'inside TLS, with a certificate that counts for nothing in the scope which policy has chosen since'
    case 'verified':
      return `as verified: ${fromBytes(peer.certificate.subject)}`
    default:
      return `with a certificate that does not verify (${peer.cause}): ${fromBytes(peer.certificate.subject)}`
  }
}

/** Whoever decided: a script and its line, or a module of the server. */
function decider({ steps, events }: Scene): string {
  const answer = steps.current.policy.findLast(refuses)
  const script = answer?.script
  if (script !== undefined) {
    const { name, callout, from, defined } = script
    const place = from ?? (defined === undefined ? undefined : `what the function at ${defined} returned`)
    return ` by script "${name}" (${callout}${place === undefined ? '' : `, ${place}`})`
  }
  const told = events.findLast((event) => event.kind === 'rejection')
  return answer !== undefined
    ? ` by ${answer.module ?? 'policy'}`
    : told === undefined
      ? ''
      : ` by ${told.module}`
}

function refuses({ answer, code = 0 }: PolicyAnswer): boolean {
  return answer === 'disconnect' || answer === 'discard' || (answer === 'reply' && code >= 400)
}

function words({ lines }: Reply): string {
  return lines.map(fromBytes).join(' / ')
}

function codeOf({ code }: Reply): Pick<Conclusion, 'code'> {
  return code === undefined ? {} : { code }
}
