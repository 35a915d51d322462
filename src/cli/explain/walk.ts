/**
 * The walk of one client through a session: the session is the server's own (`smtp/session.ts`), held in memory, and what
 * it does between two commands is written down.
 */

import type { Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { describeOrigin } from '../../config/diagnostic.ts'
import type { InboundScope } from '../../config/settings.ts'
import { type AnyPhase, callouts } from '../../policy/phases.ts'
import { listed } from '../../smtp/capabilities.ts'
import { holdSession } from '../../smtp/session.ts'
import { Session } from '../../smtp/session-state.ts'
import type { Client } from './client.ts'
import { concludeFailure, concludeLetIn, concludeNoTls, concludeRefusal, type Scene } from './conclusion.ts'
import { Conversation, type Reply } from './conversation.ts'
import type { Conclusion } from './document.ts'
import { fromBytes } from './document.ts'
import { ExplainingGate } from './explaining-gate.ts'
import { explainLogin, explainMail, explainRecipient, type Talk } from './mail-steps.ts'
import { type Prepared, servicesOf } from './prepared.ts'
import { explainAdmission, explainListen, explainScope } from './scope-steps.ts'
import type { Steps } from './step-builder.ts'
import { explainContext, explainHandshake, explainPartner } from './tls-steps.ts'

export async function walk(client: Client, prepared: Prepared): Promise<Conclusion> {
  const { settings, steps } = prepared
  const scope = settings.resolveInbound(client.listen, client.address)
  if (!explainListen(steps, client)) return notServed(steps)
  explainAdmission(steps, client, settings, scope)
  explainScope(steps, scope)
  const [near, far] = duplexPair({ allowHalfOpen: true })
  const gate = new ExplainingGate(prepared.tls, client, () => steps.begin('handshake', 'The handshake'))
  const session = new Session(connectionOf(client, scope, near), servicesOf(prepared, gate))
  const walker = new Walker(client, prepared, {
    session,
    gate,
    conversation: new Conversation(far, steps),
  })
  // its first step has begun when policy answers about the connection, which may be at once
  const conclusion = walker.walk()
  const held = holdSession(session)
  try {
    return await conclusion
  } finally {
    far.destroy()
    near.destroy()
    // one whose script still waits is left behind
    await Promise.race([held, delay(LEAVE_MS, undefined, { ref: false })])
  }
}

function notServed(steps: Steps): Conclusion {
  const text = 'nobody is served here: the Listen is not enabled'
  return { outcome: 'not-served', text, conditional: steps.conditional, peer: 'plaintext' }
}

function connectionOf({ listen, address }: Client, scope: InboundScope, near: Duplex): Session['connection'] {
  const here = listen.address.kind === 'unix' ? listen.address.path : (listen.address.host ?? ANY_ADDRESS)
  return {
    id: '00/00-00000-00000000',
    // the duplex does all that a session asks of its socket
    socket: near as Socket,
    listen,
    remote: { address, port: 0 },
    local: { address: here, port: listen.address.kind === 'unix' ? 0 : listen.address.port },
    scope,
    release: () => undefined,
  }
}

const LEAVE_MS = 1000

/** which of its addresses a client met is not known */
const ANY_ADDRESS = '0.0.0.0'

interface Parts {
  readonly session: Session
  readonly gate: ExplainingGate
  readonly conversation: Conversation
}

class Walker {
  readonly #client: Client
  readonly #prepared: Prepared
  readonly #steps: Steps
  readonly #parts: Parts
  readonly #talk: Talk
  /** the EHLO reply offers STARTTLS */
  #offered = false
  /** what else there is to say at the end */
  readonly #asides: string[] = []

  constructor(client: Client, prepared: Prepared, parts: Parts) {
    this.#client = client
    this.#prepared = prepared
    this.#steps = prepared.steps
    this.#parts = parts
    this.#talk = { steps: prepared.steps, session: parts.session, conversation: parts.conversation }
  }

  async walk(): Promise<Conclusion> {
    const ended =
      (await this.#meet()) ?? (await this.#secure()) ?? (await this.#login()) ?? (await this.#send())
    if (ended !== undefined) return ended
    this.#tellWhatFollows()
    return concludeLetIn(this.#scene, this.#asides)
  }

  get #scene(): Scene {
    return { steps: this.#steps, session: this.#parts.session, events: this.#prepared.events }
  }

  /** From the connection to the answer to the first EHLO. */
  async #meet(): Promise<Conclusion | undefined> {
    const { session, conversation } = this.#parts
    const { use_ssl } = session.scope.options
    const from = describeOrigin(session.scope.origin('use_ssl'))
    if (use_ssl) this.#steps.begin('connect', 'The connection, where TLS comes before the banner', from)
    else this.#steps.begin('connect', 'The connection')
    const greeting = await conversation.hear()
    return this.#afterHandshake() ?? this.#refusal(greeting, 'on connecting') ?? this.#hello()
  }

  async #hello(): Promise<Conclusion | undefined> {
    const { conversation } = this.#parts
    const { helo } = this.#client
    this.#steps.begin('hello', `EHLO ${fromBytes(helo)}`)
    const reply = await conversation.say(`EHLO ${helo}`)
    this.#offered = reply.lines.some((line) => /^250[ -]STARTTLS\s*$/i.test(line))
    return this.#refusal(reply, 'at EHLO')
  }

  /** STARTTLS, where the client wants it. */
  async #secure(): Promise<Conclusion | undefined> {
    const { session, conversation } = this.#parts
    const { tls, chain } = this.#client
    if (session.tls !== undefined) return undefined
    const offered = this.#offered
    this.#steps.begin('starttls', offered ? 'STARTTLS is offered' : 'STARTTLS is not offered')
    if (!offered) this.#steps.detail('why', ...whyNoTls(session.scope))
    if (tls === false) this.#steps.detail('client', 'does without TLS (--no-tls)')
    if (tls !== true && (tls === false || !offered)) {
      if (chain.length > 0) this.#asides.push('its certificate is never seen')
      const { require_tls: required, require_tls_shadow: shadow } = session.scope.options
      if (shadow && !required) {
        const from = describeOrigin(session.scope.origin('require_tls_shadow'))
        this.#steps.detail('Require_TLS_Shadow', 'would refuse MAIL (no-tls)', from)
      }
      return undefined
    }
    const reply = await conversation.say('STARTTLS')
    if (reply.code !== 220) return concludeNoTls(this.#scene, reply)
    // what policy refuses right after the handshake is said in the place of this answer
    const next = await conversation.probe()
    return this.#afterHandshake() ?? this.#refusal(next, 'after the handshake') ?? this.#hello()
  }

  /** undefined: it was made, or there was none */
  #afterHandshake(): Conclusion | undefined {
    const { gate, session } = this.#parts
    if (gate.last === undefined) return undefined
    const basis = { steps: this.#steps, client: this.#client, tls: this.#prepared.tls }
    explainHandshake(basis, gate.last, session.tls?.peer)
    if (gate.last.kind === 'failed') return concludeFailure(this.#scene, gate.last)
    explainPartner(this.#steps, session, this.#prepared.settings.partners.length > 0)
    explainContext(this.#steps, session)
    return undefined
  }

  async #login(): Promise<Conclusion | undefined> {
    const { user } = this.#client
    if (user === undefined) return undefined
    const reply = await explainLogin(this.#talk, user)
    const { session, conversation } = this.#parts
    if (session.authenticated !== undefined)
      this.#asides.push(`logged in as ${fromBytes(session.authenticated.user)}`)
    else this.#asides.push(`the login fails${reply.code === undefined ? '' : ` with ${reply.code}`}`)
    return conversation.over || reply.code === 421
      ? concludeRefusal(this.#scene, reply, 'at AUTH')
      : undefined
  }

  async #send(): Promise<Conclusion | undefined> {
    const { sender, recipients } = this.#client
    const { session } = this.#parts
    const { require_tls } = session.scope.options
    // without a sender only what holds for every sender can be told
    if (sender === undefined && !(require_tls && session.tls === undefined)) return undefined
    const mail = await explainMail(this.#talk, sender ?? '')
    const refused = this.#refusal(mail, 'at MAIL FROM')
    if (refused !== undefined) return refused
    this.#noteDiscard()
    const refusals: Conclusion[] = []
    for (const recipient of recipients) {
      const reply = await explainRecipient(this.#talk, this.#prepared.settings, recipient)
      const conclusion = this.#refusal(reply, `at RCPT TO <${fromBytes(recipient)}>`)
      if (conclusion !== undefined) refusals.push(conclusion)
      else this.#noteDiscard()
      if (this.#parts.conversation.over) break
    }
    const [first] = refusals
    if (first !== undefined && (refusals.length === recipients.length || this.#parts.conversation.over))
      return first
    if (first !== undefined)
      this.#asides.push(`${refusals.length} of ${recipients.length} recipients ${first.text}`)
    return undefined
  }

  /** The client hears of a success, and nothing is kept. */
  #noteDiscard(): void {
    if (!this.#steps.current.policy.some(({ answer }) => answer === 'discard')) return
    const aside = 'policy accepts the message and throws it away'
    if (!this.#asides.includes(aside)) this.#asides.push(aside)
  }

  #refusal(reply: Reply, where: string): Conclusion | undefined {
    if (reply.code !== undefined && reply.code < 400) return undefined
    return concludeRefusal(this.#scene, reply, where)
  }

  /** Policy that speaks when a message has come, which is not explained. */
  #tellWhatFollows(): void {
    const { policy } = this.#prepared
    const wanted = MESSAGE_PHASES.filter((phase) => policy.wants(phase))
    if (wanted.length === 0) return
    this.#steps.begin('later', 'What is asked when the message has come, and is not explained here')
    for (const phase of wanted) this.#steps.detail(phase, callouts[phase].join(', '))
  }
}

const MESSAGE_PHASES: readonly AnyPhase[] = [
  'data',
  'rcptto_list',
  'rcptto_list_final',
  'data_spool',
  'data_spool_each_rcpt',
  'each_rcpt_after',
  'set_binding',
  'final_validation2',
  'final_validation',
  'post_final_validation',
]

/** @returns what keeps TLS from being offered, and where that is said */
function whyNoTls(scope: InboundScope): [string, string] {
  if (!listed({ scope }, 'STARTTLS')) {
    return ['SMTP_Extensions does not list STARTTLS', describeOrigin(scope.origin('smtp_extensions'))]
  }
  if (scope.options.tls_certificate === undefined) {
    return ['there is no TLS_Certificate', describeOrigin(scope.origin('tls_certificate'))]
  }
  return ['a script has taken it out of the list', 'policy']
}
