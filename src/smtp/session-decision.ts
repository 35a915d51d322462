/**
 * The decision record of one session: notes what policy and the rules answered, and what TLS showed, and tells it once,
 * when the connection ends. A session without TLS tells nothing, unless Require_TLS would have refused it and
 * Require_TLS_Shadow asks who that is, and costs a note for each refusal.
 *
 * Nothing in here may hurt the mail: what goes wrong while a record is made is told in the panic log and forgotten.
 */

import { describeOrigin } from '../config/diagnostic.ts'
import type { InboundScope } from '../config/settings.ts'
import {
  type DecisionAnswer,
  type DecisionChange,
  type DecisionEnd,
  type DecisionIdentity,
  type DecisionRecord,
  decisionLimits,
  type LiveDecision,
  type LiveDecisions,
} from '../events/decision.ts'
import type { EventSink } from '../events/events.ts'
import type { Connection } from '../listener/connection.ts'
import type { AnsweredBy, Verdict } from '../policy/verdict.ts'
import type { TlsHandshakeError } from '../tls/gate.ts'
import type { CertificateFacts, TlsFacts } from '../tls/peer.ts'
import { shadowVerdict } from '../tls/shadow.ts'
import type { TrustSources } from '../tls/trust-sources.ts'

/** What the rest of the server is asked for. */
export interface DecisionServices {
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  readonly liveDecisions?: LiveDecisions
}

/** How a handshake came out. */
export type HandshakeResult =
  | { readonly kind: 'done'; readonly facts: TlsFacts; readonly sources: TrustSources | undefined }
  /** undefined: something of ours went wrong */
  | { readonly kind: 'failed'; readonly error: TlsHandshakeError | undefined; readonly reason: string }

/** What does not change after the handshake. */
type Handshake = Omit<
  DecisionRecord,
  'answers' | 'answersLeftOut' | 'changes' | 'changesLeftOut' | 'partner' | 'end' | 'requireTlsShadow'
>

type Settled = Exclude<Verdict, { kind: 'continue' | 'done' }>

export class SessionDecision implements LiveDecision {
  readonly connectionId: string
  /** the partner that the certificate stands for */
  partner: string | undefined
  readonly #services: DecisionServices
  /** put together when somebody asks: most sessions are over before anybody does */
  #handshake: (() => Handshake) | undefined
  #requireTlsShadow: DecisionRecord['requireTlsShadow']
  #answers: DecisionAnswer[] | undefined
  #leftOut = 0
  #changes: DecisionChange[] | undefined
  #changesLeftOut = 0
  #refused = 0
  /** the answer of policy that a refusal still to be told is about */
  #awaited: DecisionAnswer | undefined

  constructor(connectionId: string, services: DecisionServices) {
    this.connectionId = connectionId
    this.#services = services
  }

  /** Policy has answered. */
  answered(phase: string, verdict: Verdict): void {
    if (verdict.kind === 'continue' || verdict.kind === 'done') return
    const answer = { at: this.#services.clock(), phase, ...answerOf(verdict), ...scriptOf(verdict.by) }
    this.#note(answer)
    this.#awaited = answer
    if (verdict.kind === 'tarpit') this.answered(phase, verdict.then)
  }

  /** Something was refused; what policy has just answered is not noted twice. */
  rejected({ code, text, module }: { code: number; text: string; module: string }): void {
    this.#refused += 1
    const awaited = this.#awaited
    this.#awaited = undefined
    if (awaited?.module === module && awaited.text === cut(text)) return
    this.#note({ at: this.#services.clock(), answer: 'refuse', code, text: cut(text), module })
  }

  /** The session is another client's, or in another scope. */
  changed(change: Omit<DecisionChange, 'at'>): void {
    this.#changes ??= []
    if (keepEnds(this.#changes, { at: this.#services.clock(), ...change }, decisionLimits.changes)) return
    this.#changesLeftOut += 1
  }

  /** A handshake came to its end. */
  shook(connection: Connection, scope: InboundScope, result: HandshakeResult): void {
    this.#guarded(() => {
      const ingredients = { connection, scope, result, at: this.#services.clock() }
      this.#handshake = () => handshakeOf(ingredients)
      this.#services.liveDecisions?.add(this)
    })
  }

  /** Require_TLS would have refused a command; the first one is noted. */
  wouldNeedTls(connection: Connection, scope: InboundScope): void {
    if (this.#requireTlsShadow !== undefined) return
    this.#guarded(() => {
      this.#requireTlsShadow = { from: describeOrigin(scope.origin('require_tls_shadow')) }
      const at = this.#services.clock()
      this.#handshake = () => ({ ...basisOf(connection, scope, at), ...notBegun(scope) })
      this.#services.liveDecisions?.add(this)
    })
  }

  /** @throws Error before there is something to tell of TLS */
  record(): DecisionRecord {
    if (this.#handshake === undefined) throw new Error('there was neither a handshake nor a shadow')
    return {
      ...this.#handshake(),
      ...(this.#requireTlsShadow === undefined ? {} : { requireTlsShadow: this.#requireTlsShadow }),
      ...(this.partner === undefined ? {} : { partner: this.partner }),
      changes: [...(this.#changes ?? [])],
      changesLeftOut: this.#changesLeftOut,
      answers: [...(this.#answers ?? [])],
      answersLeftOut: this.#leftOut,
    }
  }

  /** The connection is closed: the record is told, where there is one. */
  ended(how: DecisionEnd['how'], accepted: number): void {
    if (this.#handshake === undefined) return
    this.#guarded(() => this.#services.liveDecisions?.remove(this))
    this.#guarded(() => {
      const record = this.record()
      const end: DecisionEnd = {
        at: this.#services.clock(),
        how: record.outcome === 'failed' ? 'failed' : how,
        accepted,
        refused: this.#refused,
      }
      this.#services.events.emit({ ...record, end })
    })
  }

  #note(answer: DecisionAnswer): void {
    this.#answers ??= []
    if (!keepEnds(this.#answers, answer, decisionLimits.answers)) this.#leftOut += 1
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      const text = `${this.connectionId}: no decision record: ${String(error)}`
      const { events, clock } = this.#services
      events.emit({ kind: 'panic', at: clock(), level: 'error', module: 'tls', text })
    }
  }
}

/** The first ones and the last ones are kept. @returns whether there was room */
function keepEnds<T>(all: T[], one: T, limit: number): boolean {
  all.push(one)
  if (all.length <= limit) return true
  all.splice(limit / 2, 1)
  return false
}

interface Ingredients {
  readonly connection: Connection
  readonly scope: InboundScope
  readonly result: HandshakeResult
  readonly at: number
}

function handshakeOf(ingredients: Ingredients): Handshake {
  const { connection, scope, result, at } = ingredients
  const sources = result.kind === 'done' ? result.sources : result.error?.sources
  const forgiven =
    result.kind === 'done' && result.facts.crlForgiven === true && result.facts.peer.kind === 'verified'
  return {
    ...basisOf(connection, scope, at),
    ...(result.kind === 'done' ? shaken(scope, result.facts) : notShaken(scope, result, sources)),
    ...(sources?.ca === undefined ? {} : { ca: sources.ca }),
    ...(sources?.crl === undefined ? {} : { crl: { ...sources.crl, forgiven } }),
  }
}

type Basis = Pick<Handshake, 'kind' | 'at' | 'connectionId' | 'remote' | 'local' | 'scope'>
type Judged = Omit<Handshake, keyof Basis | 'ca' | 'crl'>

function basisOf(connection: Connection, scope: InboundScope, at: number): Basis {
  return {
    kind: 'decision',
    at,
    connectionId: connection.id,
    remote: connection.remote,
    local: connection.local,
    scope: {
      id: scope.id,
      listen: connection.listen.instance,
      ...(scope.peer === undefined ? {} : { peer: scope.peer }),
      pathway: scope.pathway,
      pathwayGroup: scope.pathwayGroup,
    },
  }
}

/** In clear text. */
function notBegun(scope: InboundScope): Judged {
  return {
    mode: scope.options.tls_verify_mode ?? 'unset',
    modeFrom: describeOrigin(scope.origin('tls_verify_mode')),
    outcome: 'plaintext',
    ...NOTHING,
    cause: '',
    code: '',
  }
}

/** What a session has where nothing was negotiated. */
const NOTHING = { protocol: '', cipher: '', sni: '', resumed: false } as const

function shaken(scope: InboundScope, facts: TlsFacts): Judged {
  const { mode, modeFrom, peer, ocsp, protocol, cipher, sni, resumed } = facts
  const shadow = shadowVerdict(scope, { kind: 'done', mode, peer })
  const failing = peer.kind === 'unverified' ? peer.failing : undefined
  return {
    mode,
    modeFrom,
    ...(shadow === undefined ? {} : { shadow }),
    outcome: peer.kind,
    cause: peer.kind === 'unverified' ? peer.cause : '',
    code: peer.kind === 'unverified' ? peer.code : '',
    ...(failing === undefined ? {} : { failing: { depth: failing.depth, subject: failing.subject } }),
    ...(ocsp === undefined ? {} : { ocsp: { ...ocsp, forgiven: ocsp.forgiven && peer.kind === 'verified' } }),
    ...(peer.kind === 'anonymous' ? {} : { identity: identityOf(peer.certificate) }),
    protocol,
    cipher,
    sni,
    resumed,
  }
}

function notShaken(
  scope: InboundScope,
  { error, reason }: Extract<HandshakeResult, { kind: 'failed' }>,
  sources: TrustSources | undefined,
): Judged {
  const code = openSslCode(error)
  const shadow = shadowVerdict(scope, { kind: 'failed', code })
  return {
    mode: sources?.mode ?? scope.options.tls_verify_mode ?? 'unset',
    modeFrom: sources?.modeFrom ?? describeOrigin(scope.origin('tls_verify_mode')),
    ...(shadow === undefined ? {} : { shadow }),
    outcome: 'failed',
    cause: reason,
    code,
    ...NOTHING,
  }
}

/** Node puts `ERR_SSL_` in front of OpenSSL's words; anything else is not OpenSSL's. */
export function openSslCode(error: TlsHandshakeError | undefined): string {
  const { cause } = error ?? {}
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return /^ERR_SSL_(\w+)$/.exec(code)?.[1] ?? ''
}

/** What was made of facts that cannot change: the same few clients come again and again. */
const identities = new WeakMap<CertificateFacts, DecisionIdentity>()

function identityOf(facts: CertificateFacts): DecisionIdentity {
  const known = identities.get(facts)
  if (known !== undefined) return known
  const identity = Object.freeze(readIdentity(facts))
  for (const names of [identity.sanDns, identity.sanEmail, identity.sanUri, identity.sanIp])
    Object.freeze(names)
  if (Object.isFrozen(facts)) identities.set(facts, identity)
  return identity
}

function readIdentity(facts: CertificateFacts): DecisionIdentity {
  let room: number = decisionLimits.alternativeNames
  let leftOut = 0
  const some = (names: readonly string[]): string[] => {
    const kept = names.slice(0, room).map(cut)
    room -= kept.length
    leftOut += names.length - kept.length
    return kept
  }
  const [sanDns, sanEmail, sanUri, sanIp] = [facts.sanDns, facts.sanEmail, facts.sanUri, facts.sanIp].map(
    some,
  )
  return {
    subject: facts.subject,
    issuer: facts.issuer,
    serial: facts.serial,
    fingerprint: facts.fingerprint,
    spki: facts.spki,
    sanDns: sanDns ?? [],
    sanEmail: sanEmail ?? [],
    sanUri: sanUri ?? [],
    sanIp: sanIp ?? [],
    sansLeftOut: leftOut,
    // only a certificate that could not be read has no serial number, and then it has no dates
    ...(facts.serial === '' ? {} : { notBefore: facts.notBefore, notAfter: facts.notAfter }),
  }
}

function answerOf(verdict: Settled): Pick<DecisionAnswer, 'answer' | 'code' | 'text' | 'module'> {
  switch (verdict.kind) {
    case 'tarpit':
      return { answer: 'tarpit', code: 0, text: `${verdict.seconds} s`, module: 'scriptlet' }
    case 'discard':
      return { answer: 'discard', code: 0, ...wordsOf(verdict) }
    case 'disconnect':
      return { answer: 'disconnect', code: verdict.code, ...wordsOf(verdict) }
    default:
      return { answer: verdict.code >= 400 ? 'refuse' : 'reply', code: verdict.code, ...wordsOf(verdict) }
  }
}

function wordsOf({ text, module }: { readonly text: string; readonly module: string }): {
  readonly text: string
  readonly module: string
} {
  return { text: cut(text), module }
}

function scriptOf(by: AnsweredBy | undefined): { readonly script?: AnsweredBy } {
  return by === undefined ? {} : { script: by }
}

function cut(text: string): string {
  return text.length <= decisionLimits.text ? text : `${text.slice(0, decisionLimits.text - 4)}\\...`
}
