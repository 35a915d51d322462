/** The door of one connection to the console: its logins and its commands (`console-doors.ts`). */

import { setTimeout as delay } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import type { ControlAccess } from '../config/settings-control.ts'
import type { Admission, Door, LoginOffer, LoginStep, Standing } from '../console/door.ts'
import type { Operator } from '../console/operator.ts'
import { clientAddress } from '../console/places.ts'
import { fromBytes } from '../console/render.ts'
import type { Room } from '../console/waiting-room.ts'
import type { EventSink, OperatorFact } from '../events/events.ts'
import { type AuthFailures, addressKey, delayFor } from '../smtp/auth/failures.ts'
import {
  type Grounds,
  MalformedResponse,
  type Mechanism,
  type MechanismRow,
  type Outcome,
  type Step,
} from '../smtp/auth/mechanism.ts'
import { MECHANISMS } from '../smtp/auth/mechanisms.ts'
import { AuthBusyError, AuthUnavailableError, EMPTY_STORE, type StampQuestion } from '../smtp/auth/store.ts'
import type { CredentialStores } from '../smtp/auth/stores.ts'
import type { Peer } from '../tls/peer.ts'
import { decodeBase64 } from '../wire/base64.ts'
import type { Acquaintances } from './acquaintances.ts'
import type { Rights } from './rights.ts'
import { StampedStore } from './stamped-store.ts'
import { proofFolder, provenUser, userName } from './system-user.ts'

/** of clients on a UNIX socket: who owns the folder */
const SYSTEM_USER = 'SYSTEM-USER'
/** what DIGEST-MD5 calls us */
const SERVICE = 'postern'
const WRONG = 'Authentication failed'
/** the stamp of what has none, and after how many milliseconds such a login has to be repeated where it was a password */
const UNCHANGING = ''
const UNCHANGING_MS = 900_000
/** for how many milliseconds a command that goes on is not asked about again: databases may have to be */
const STANDS_MS = 1000

/** What belongs to the configuration in force. */
export interface Material {
  readonly settings: Settings
  readonly stores: CredentialStores
  readonly rights: Rights
  readonly hostname: string
}

export interface Arrival {
  /** the Listen as configured */
  readonly listener: string
  /** normalised; '' for a UNIX socket */
  readonly address: string
  /** where a UNIX socket really is (`realSocket`); undefined: TCP, or nobody can tell */
  readonly socket?: string | undefined
  readonly port: number
  readonly peer: Peer
}

/** What all doors share. */
export interface Doors {
  readonly events: EventSink
  readonly clock: () => number
  readonly failures: AuthFailures
  readonly acquaintances: Acquaintances
  readonly material: Material
  /** Tells the panic log, and the same not again and again: the page asks by itself, and anybody may try to log in. */
  readonly alarm: (text: string) => void
  /** Where a client waits for his handshake and his login. */
  roomOf(arrival: Arrival): Room
  /** What holds now; undefined: the configuration in force has no such Listen. */
  accessOf(arrival: Arrival): ControlAccess | undefined
}

interface Proof {
  readonly mechanism: string
  /** a byte string */
  readonly user: string
  /** of the store (`CredentialStore.stamp`) */
  readonly stamp: string | undefined
  /** milliseconds, as the clock gives them */
  readonly at: number
}

/** Of a command; without a reason it may run. */
interface Judgement {
  readonly reason?: string
  readonly close?: boolean
  /** undefined: nobody asks for roles */
  readonly good: boolean | undefined
  readonly role?: string
}

export class ConsoleDoor implements Door {
  readonly listener: string
  readonly address: string
  readonly operator: Operator | undefined
  readonly offer: LoginOffer
  readonly #doors: Doors
  readonly #arrival: Arrival
  #exchange: Mechanism | undefined
  /** of the password that it looks at */
  #stampOfLogin: () => string | undefined = () => undefined
  /** how somebody logged in: whether it would still do is asked before each command */
  #proof: Proof | undefined
  /** of the command that goes on */
  #standsUntil = 0
  /** whose failures are counted together: an address, on a UNIX socket a user of the system or all who show none */
  #counted: string

  constructor(doors: Doors, arrival: Arrival, access: ControlAccess) {
    this.#doors = doors
    this.#arrival = arrival
    this.listener = arrival.listener
    this.address = arrival.address
    this.#counted = arrival.address
    const folder = arrival.socket === undefined ? undefined : proofFolder(arrival.socket)
    const from = arrival.address === '' ? 'local' : clientAddress(arrival)
    this.operator = access.loginNeeded ? undefined : { name: 'console', known: 'not', from }
    this.offer = {
      needed: access.loginNeeded,
      mechanisms: this.#rows(access).map(({ name }) => name),
      ...(folder === undefined ? {} : { folder }),
    }
  }

  get network(): string {
    return addressKey(this.#counted)
  }

  get room(): Room {
    return this.#doors.roomOf(this.#arrival)
  }

  get timeout(): number {
    return (this.#doors.accessOf(this.#arrival)?.timeout ?? 1) * 1000
  }

  async begin(mechanism: string, initial: string | undefined): Promise<LoginStep> {
    if (mechanism === SYSTEM_USER) return await this.#bySystem()
    const access = this.#doors.accessOf(this.#arrival)
    const row = access && this.#rows(access).find(({ name }) => name === mechanism)
    if (access === undefined || access.denied || row === undefined)
      return { kind: 'failed', reason: 'this mechanism is not offered', close: false }
    if (this.#isTurnedAway(access)) return this.#tooMany()
    const first = initial === undefined ? undefined : decode(initial)
    if (initial !== undefined && (first === undefined || !row.clientFirst)) return malformed()
    this.#exchange = undefined
    return await this.#advance(() => {
      const { store, ...grounds } = this.#groundsOf(access, row)
      const stamped = new StampedStore(store, questionOf(row, grounds))
      const exchange = row.begin({ ...grounds, store: stamped })
      this.#exchange = exchange
      this.#stampOfLogin = () => (store.stamp === undefined ? UNCHANGING : stamped.taken)
      return exchange.start(first)
    })
  }

  async next(response: string): Promise<LoginStep> {
    const exchange = this.#exchange
    const answer = decode(response)
    if (exchange === undefined || response === '*' || answer === undefined) {
      this.#exchange = undefined
      return response === '*' ? { kind: 'failed', reason: 'given up', close: false } : malformed()
    }
    return await this.#advance(() => exchange.next(answer))
  }

  async admit(operator: Operator, command: string, shown: string): Promise<Admission> {
    const { reason, close = false, good, role = '' } = await this.#judgeCommand(operator, command)
    this.#standsUntil = 0
    this.#tell(operator.name, { act: 'command', good, command: shown, role })
    if (reason === undefined && this.#proof !== undefined) this.#doors.acquaintances.welcome(this.address)
    return reason === undefined ? { kind: 'allowed' } : { kind: 'denied', reason, close }
  }

  async stillAllows(operator: Operator, command: string): Promise<boolean> {
    const now = this.#doors.clock()
    if (now < this.#standsUntil) return true
    const stands = (await this.#judgeCommand(operator, command)).reason === undefined
    this.#standsUntil = stands && this.#asksDatabases() ? now + STANDS_MS : 0
    return stands
  }

  /** Files are read at once. */
  #asksDatabases(): boolean {
    const { authorization, mechanisms } = this.#doors.accessOf(this.#arrival) ?? {}
    const uris = Object.values(mechanisms ?? {}).map((parameters) => parameters['uri'] ?? 'file://')
    return authorization?.groups?.kind === 'scheme' || uris.some((uri) => !/^(?:file|digest):/i.test(uri))
  }

  async #judgeCommand(operator: Operator, command: string): Promise<Judgement> {
    const access = this.#doors.accessOf(this.#arrival)
    const stranger = operator.known === 'not' || operator.known === 'system-user'
    if (access === undefined || access.denied || (access.loginNeeded && stranger))
      return { good: false, reason: 'the configuration has changed: connect again', close: true }
    if (!(await this.#isStillKnown(access)))
      return { good: false, reason: 'this login is no longer good: log in again', close: true }
    if (access.authorization === undefined) return { good: undefined }
    const { rights } = this.#doors.material
    const finding = await rights.judge(access.authorization, this.#nameOf(operator), command)
    return finding.kind === 'allowed'
      ? { good: true, role: finding.role }
      : { good: false, reason: finding.reason }
  }

  ended(operator: Operator, shown: string, good: boolean): void {
    this.#tell(operator.name, { act: 'end', good, command: shown })
  }

  /** Whoever logged in stays in only as long as he could. What cannot be told keeps out. */
  async #isStillKnown(access: ControlAccess): Promise<boolean> {
    const proof = this.#proof
    if (proof === undefined) return true
    const { mechanism, user, stamp, at } = proof
    const row = this.#rows(access).find(({ name }) => name === mechanism)
    if (row === undefined) return false
    try {
      if (!row.needsCertificate)
        return (
          stamp !== undefined &&
          (stamp !== UNCHANGING || this.#doors.clock() - at < UNCHANGING_MS) &&
          (await this.#stampOf(access, row, user)) === stamp
        )
      const step = await row.begin(this.#groundsOf(access, row)).start(user)
      return step.kind === 'outcome' && step.status === 'pass' && step.user === user
    } catch (error) {
      this.#doors.alarm(
        error instanceof AuthUnavailableError ? error.message : 'a login cannot be checked again',
      )
      return false
    }
  }

  async #stampOf(access: ControlAccess, row: MechanismRow, user: string): Promise<string | undefined> {
    const { store, ...grounds } = this.#groundsOf(access, row)
    if (store.stamp === undefined) return UNCHANGING
    return await store.stamp(user, questionOf(row, grounds))
  }

  async standingOf(operator: Operator): Promise<Standing> {
    const authorization = this.#doors.accessOf(this.#arrival)?.authorization
    return await this.#doors.material.rights.standing(authorization, this.#nameOf(operator))
  }

  /** By which roles and groups know him; undefined: nobody knows who he is, or his name is not text */
  #nameOf({ name, known }: Operator): string | undefined {
    const odd = this.#proof !== undefined && this.#proof.user !== toBytes(name)
    return known === 'not' || odd ? undefined : name
  }

  /** The mechanisms that this client can use. */
  #rows({ mechanisms }: ControlAccess): readonly MechanismRow[] {
    return MECHANISMS.filter(
      ({ option, needsCertificate }) =>
        mechanisms[option] !== undefined && (!needsCertificate || this.#arrival.peer.kind === 'verified'),
    )
  }

  #groundsOf({ mechanisms }: ControlAccess, { option, needsCertificate }: MechanismRow): Grounds {
    const { stores, hostname } = this.#doors.material
    const parameters = mechanisms[option] ?? {}
    const { uri } = parameters
    if (uri === undefined && !needsCertificate) throw new AuthUnavailableError(`${option} has no uri`)
    return {
      store: needsCertificate || uri === undefined ? EMPTY_STORE : stores.open(uri, parameters),
      identities: async () => (uri === undefined ? undefined : await stores.identities(uri)),
      parameters,
      service: SERVICE,
      hostname,
      peer: this.#arrival.peer,
      client: addressKey(this.#counted),
    }
  }

  /** Only messages that were written for it reach the log: an unforeseen one might quote what it choked on. */
  async #advance(work: () => Step | Promise<Step>): Promise<LoginStep> {
    try {
      const step = await work()
      if (step.kind === 'outcome') return await this.#judge(step)
      const access = this.#doors.accessOf(this.#arrival)
      // a further challenge would tell that the answer was right (rspauth)
      if (access === undefined || this.#isTurnedAway(access)) return this.#tooMany()
      return { kind: 'challenge', data: Buffer.from(step.data, 'latin1').toString('base64') }
    } catch (error) {
      this.#exchange = undefined
      if (error instanceof MalformedResponse) return malformed()
      if (error instanceof AuthBusyError)
        return { kind: 'failed', reason: 'too many passwords wait to be checked', close: true }
      this.#doors.alarm(error instanceof AuthUnavailableError ? error.message : 'the authenticator failed')
      return { kind: 'failed', reason: 'nobody can log in at the moment', close: true }
    }
  }

  async #judge({ status, user, alarm }: Outcome): Promise<LoginStep> {
    const mechanism = this.#exchange?.name
    this.#exchange = undefined
    if (alarm !== undefined) this.#doors.alarm(alarm)
    const access = this.#doors.accessOf(this.#arrival)
    const away = access === undefined || access.denied || this.#isTurnedAway(access)
    const passed = status === 'pass' && user !== '' && !away
    const name = fromBytes(user)
    this.#tell(name, { act: 'login', good: passed })
    if (passed) {
      this.#proof = { mechanism: mechanism ?? '', user, stamp: this.#stampOfLogin(), at: this.#doors.clock() }
      this.#doors.acquaintances.welcome(this.address)
      const known = mechanism === 'EXTERNAL' ? 'certificate' : 'password'
      const from = this.address === '' ? 'local' : clientAddress(this.#arrival)
      return { kind: 'passed', operator: { name, known, from } }
    }
    if (away) return this.#tooMany()
    const { window, delay: longest } = access.failures
    const failures = this.#doors.failures.add(this.#counted, window)
    await delay(delayFor(failures, longest), undefined, { ref: false })
    return { kind: 'failed', reason: WRONG, close: false }
  }

  async #bySystem(): Promise<LoginStep> {
    const { folder } = this.offer
    const uid = folder === undefined ? undefined : await provenUser(folder)
    if (uid === undefined)
      return { kind: 'failed', reason: 'nothing shows whose process this is', close: false }
    this.#counted = `uid ${uid}`
    if (this.offer.needed) return { kind: 'noted' }
    const name = await userName(uid)
    this.#tell(name, { act: 'login', good: true })
    return { kind: 'passed', operator: { name, known: 'system-user', from: 'local' } }
  }

  #isTurnedAway({ failures: { limit } }: ControlAccess): boolean {
    return limit > 0 && this.#doors.failures.count(this.#counted) >= limit
  }

  #tooMany(): LoginStep {
    this.#exchange = undefined
    const whose = this.address === '' ? 'user' : 'address'
    return { kind: 'failed', reason: `too many failed logins from this ${whose}`, close: true }
  }

  #tell(user: string, fact: Pick<OperatorFact, 'act' | 'good'> & Partial<OperatorFact>): void {
    const { events, clock } = this.#doors
    const { listener, address, port } = this.#arrival
    events.emit({
      kind: 'operator',
      at: clock(),
      listener,
      remote: { address, port },
      role: '',
      ...fact,
      user: toBytes(user),
      command: toBytes(fact.command ?? ''),
    })
  }
}

function questionOf(
  { name }: MechanismRow,
  { parameters, hostname }: Pick<Grounds, 'parameters' | 'hostname'>,
): StampQuestion {
  return { mechanism: name, realm: parameters['realm'] ?? hostname }
}

function malformed(): LoginStep {
  return { kind: 'failed', reason: 'malformed authentication message', close: true }
}

/** As a byte string; `=` stands for nothing. */
function decode(text: string): string | undefined {
  return text === '=' ? '' : decodeBase64(text)?.toString('latin1')
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
