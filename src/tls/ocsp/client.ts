/**
 * Asks OCSP responders, and remembers what they said.
 *
 * An answer is used again until its next update, at most for the stanza's Cache_Time; a responder that fails is not
 * asked again for some seconds, and until its next update an answer stands in for it, except where each answer must
 * have our nonce. About one certificate there is one question under way, whoever waits for it. An answer never takes the
 * place of a newer one, and who was revoked stays so until a newer answer says otherwise, also when there is none. What
 * is remembered and what is under way is bounded.
 */

import { randomBytes } from 'node:crypto'
import type { EventSink, Panic } from '../../events/events.ts'
import type { ChainElement } from '../chain-element.ts'
import type { ParsedCrl } from '../crl.ts'
import { certIdOf, type Subject } from './cert-id.ts'
import { OcspFault } from './fault.ts'
import { postRequest } from './fetch.ts'
import { type Answer, judgeResponse } from './judge.ts'
import { encodeRequest } from './request.ts'
import type { Responder } from './responders.ts'

export interface OcspClientOptions {
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** what was learnt before a reload */
  readonly memory?: OcspMemory
  /** milliseconds for which a failure is remembered; 10 seconds unless given */
  readonly failureTime?: number
}

interface Entry {
  readonly answer: Answer | undefined
  /** the last attempt came to nothing */
  readonly fault: OcspFault | undefined
  /** when to ask again, milliseconds since the epoch */
  readonly until: number
}

/** What is known of a certificate, or why nothing is. */
export interface Told {
  readonly answer: Answer | OcspFault
  /** it was said before, and the responder not asked again, or in vain */
  readonly remembered: boolean
}

const MAX_ENTRIES = 10_000
const MAX_UNDER_WAY = 256
const MAX_RESPONDERS = 1000
const FAILURE_TIME = 10_000
const MINUTE = 60_000
const HOUR = 60 * MINUTE
/** octets (RFC 9654 §2.1) */
const NONCE_LENGTH = 32

/** What outlives a reload. */
export class OcspMemory {
  /** by responder and certificate */
  readonly entries = new Map<string, Entry>()
  /** by responder: when its failure was told last */
  readonly failing = new Map<string, number>()
  /** how often lists have changed: what was asked before is not kept */
  epoch = 0
  /** the lists by which answers were judged */
  lists: string | undefined
}

export class OcspClient {
  readonly #options: OcspClientOptions
  readonly #underWay = new Map<string, Promise<Told>>()
  readonly memory: OcspMemory

  constructor(options: OcspClientOptions) {
    this.#options = options
    this.memory = options.memory ?? new OcspMemory()
  }

  /** @param lists all revocation lists that are at hand: they speak of those who sign answers */
  async ask(subject: Subject, responder: Responder, lists: readonly ParsedCrl[]): Promise<Told> {
    this.#follow(lists)
    const key = `${responder.digest} ${keyOf(subject)}`
    const known = this.memory.entries.get(key)
    if (known !== undefined && this.#options.clock() < known.until) {
      return { answer: worth(known), remembered: true }
    }
    let question = this.#underWay.get(key)
    if (question === undefined) {
      if (this.#underWay.size >= MAX_UNDER_WAY) {
        const answer = new OcspFault('ocsp-unavailable', 'too many questions are under way')
        return { answer, remembered: false }
      }
      const asked = this.#find(key, { subject, responder, lists }).finally(() => {
        if (this.#underWay.get(key) === asked) this.#underWay.delete(key)
      })
      question = asked
      this.#underWay.set(key, question)
    }
    return await question
  }

  /** Revocation lists have changed, and with them perhaps who may sign answers: only who is revoked is remembered. */
  forget(): void {
    const { entries } = this.memory
    this.memory.epoch += 1
    this.#underWay.clear()
    for (const [key, { answer }] of entries) {
      // in its place: an entry that is put at the end would be met again, without end
      if (answer?.status === 'revoked') entries.set(key, { answer, fault: undefined, until: 0 })
      else entries.delete(key)
    }
  }

  /** A reload may bring lists that nobody has told of. */
  #follow(lists: readonly ParsedCrl[]): void {
    const now = JSON.stringify(lists.map(({ facts }) => facts))
    const before = this.memory.lists
    this.memory.lists = now
    if (before !== undefined && before !== now) this.forget()
  }

  async #find(key: string, question: Asked): Promise<Told> {
    const { epoch } = this.memory
    const { clock, failureTime = FAILURE_TIME } = this.#options
    const before = this.memory.entries.get(key)?.answer
    let entry: Entry
    try {
      const fresh = await this.#fetch(question)
      const now = clock()
      const answer = newer(before, fresh, now)
      const usual = question.responder.settings.cache_time * 1000
      // who is not known yet may be in a moment
      const cached = now + (answer.status === 'unknown' ? Math.min(usual, failureTime) : usual)
      entry = { answer, fault: undefined, until: Math.min(cached, Math.max(answer.until, now)) }
      this.#tellWorking(question.responder)
    } catch (error) {
      if (!(error instanceof OcspFault)) throw error
      this.#tellFailing(question.responder, error)
      entry = without(before, error, { now: clock(), failureTime, nonce: question.responder.settings.nonce })
    }
    if (epoch === this.memory.epoch) this.#keep(key, entry)
    const answer = worth(entry)
    return { answer, remembered: answer === before }
  }

  async #fetch({ subject, responder, lists }: Asked): Promise<Answer> {
    const { settings, roots } = responder
    const nonce = settings.nonce === 'off' ? undefined : randomBytes(NONCE_LENGTH)
    const signal = AbortSignal.timeout(settings.timeout * 1000)
    const body = encodeRequest(subject, nonce)
    const der = await postRequest({ url: settings.responder, roots: roots?.map(pemOf) }, body, signal)
    return judgeResponse(der, { subject, responder, nonce, lists, now: this.#options.clock() })
  }

  #keep(key: string, entry: Entry): void {
    const { entries } = this.memory
    entries.delete(key)
    entries.set(key, entry)
    const [oldest] = entries.keys()
    if (entries.size > MAX_ENTRIES && oldest !== undefined) entries.delete(oldest)
  }

  #tellFailing({ settings, digest }: Responder, { message }: OcspFault): void {
    const now = this.#options.clock()
    const told = this.memory.failing.get(digest)
    if (told !== undefined && now - told < HOUR) return
    if (this.memory.failing.size >= MAX_RESPONDERS) this.memory.failing.clear()
    this.memory.failing.set(digest, now)
    this.#tell('error', `TLS_OCSP "${settings.name}", ${settings.responder}: ${message}`)
  }

  #tellWorking({ settings, digest }: Responder): void {
    const told = this.memory.failing.get(digest)
    // about some certificates it may answer and about others not: that must not fill the log
    if (told === undefined || this.#options.clock() - told < MINUTE) return
    this.memory.failing.delete(digest)
    this.#tell('notice', `TLS_OCSP "${settings.name}", ${settings.responder}: answers again`)
  }

  #tell(level: Panic['level'], text: string): void {
    const { events, clock } = this.#options
    events.emit({ kind: 'panic', at: clock(), level, module: 'tls', text })
  }
}

/** Issuer and serial, as answers have it: a certificate may be encoded in several ways, and is revoked in all of them. */
function keyOf(subject: Subject): string {
  const id = certIdOf(subject)
  if (id === undefined) throw new TypeError('SHA-1 is always known')
  return [id.nameHash, id.keyHash, id.serial].map((octets) => octets.toString('hex')).join(' ')
}

function pemOf({ certificate }: ChainElement): string {
  return certificate.toString()
}

interface Asked {
  readonly subject: Subject
  readonly responder: Responder
  readonly lists: readonly ParsedCrl[]
}

/** @throws OcspFault */
function newer(before: Answer | undefined, fresh: Answer, now: number): Answer {
  if (before === undefined || fresh.thisUpdate > before.thisUpdate) return fresh
  if (before.status !== 'revoked' && fresh.thisUpdate === before.thisUpdate) return fresh
  if (before.status === 'revoked' || now < before.until) return before
  if (fresh.status === 'revoked') return fresh
  throw new OcspFault('ocsp-invalid', 'the answer is older than one that was seen before')
}

/** What counts when there is no answer: an earlier one, as long as it says that it does, unless each must be new. */
function without(
  before: Answer | undefined,
  fault: OcspFault,
  { now, failureTime, nonce }: { readonly now: number; readonly failureTime: number; readonly nonce: string },
): Entry {
  const until = now + failureTime
  if (before === undefined || nonce === 'require' || now >= before.until)
    return { answer: before, fault, until }
  return { answer: before, fault: undefined, until: Math.min(until, before.until) }
}

/** What is known, when the last attempt may have failed. */
function worth({ answer, fault }: Entry): Answer | OcspFault {
  if (answer !== undefined && (fault === undefined || answer.status === 'revoked')) return answer
  return fault ?? new OcspFault('ocsp-unavailable', 'there is no answer')
}
