/**
 * Who is logged in to the page. A session is a random token of 256 bits in a cookie; here only its SHA-256 is kept, so that
 * whoever reads this memory cannot be anybody. It belongs to one Listen, and to one certificate where certificates decide;
 * it ends after a time without use, after a longest time, and by logging out. Nothing outlives the process.
 *
 * Bounded: a user who has too many loses the oldest, and so does everybody when there are too many in all.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

export interface PageUser {
  /** who logged in, or the subject of the certificate; Unicode text */
  readonly name: string
  readonly known: 'password' | 'certificate'
  /** what changes when the password does; '' for a certificate */
  readonly stamp: string
}

/** What a session is good with, and nothing else. */
export interface SessionPlace {
  /** of the Listen */
  readonly place: string
  /** SHA-256 of the client's certificate where it has to have one; '' otherwise */
  readonly certificate: string
}

export interface PageSession {
  readonly user: PageUser
  /** what every act has to repeat: no other site can read it */
  readonly csrf: string
}

interface Entry extends PageSession, SessionPlace {
  readonly began: number
  seen: number
}

interface SessionTimes {
  /** milliseconds without use */
  readonly idle: number
  /** milliseconds in all */
  readonly longest: number
}

const MINUTE = 60_000
const usualTimes: SessionTimes = { idle: 30 * MINUTE, longest: 12 * 60 * MINUTE }
const MAX_SESSIONS = 500
const MAX_PER_USER = 20

export class PageSessions {
  readonly #clock: () => number
  readonly #times: SessionTimes
  /** by the token's hash, in the order in which they began */
  readonly #entries = new Map<string, Entry>()

  /** @param clock milliseconds since the epoch */
  constructor(clock: () => number, times: SessionTimes = usualTimes) {
    this.#clock = clock
    this.#times = times
  }

  get size(): number {
    return this.#entries.size
  }

  /** @returns the token, which nobody can be told again */
  begin(user: PageUser, place: SessionPlace): { readonly token: string; readonly session: PageSession } {
    this.#makeRoom(user)
    const token = secret()
    const now = this.#clock()
    const entry: Entry = { user, ...place, csrf: secret(), began: now, seen: now }
    this.#entries.set(hash(token), entry)
    return { token, session: entry }
  }

  /** @param use false: a page that refreshes itself is not somebody who uses it */
  find(token: string, { place, certificate }: SessionPlace, use = true): PageSession | undefined {
    const key = hash(token)
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (this.#isOver(entry)) {
      this.#entries.delete(key)
      return undefined
    }
    if (entry.place !== place || entry.certificate !== certificate) return undefined
    if (use) entry.seen = this.#clock()
    return entry
  }

  end(token: string): void {
    this.#entries.delete(hash(token))
  }

  /** Ends every session of a Listen, or all of them. */
  endAll(place?: string): void {
    for (const [key, entry] of this.#entries)
      if (place === undefined || entry.place === place) this.#entries.delete(key)
  }

  #isOver({ began, seen }: Entry): boolean {
    const now = this.#clock()
    return now - seen >= this.#times.idle || now - began >= this.#times.longest
  }

  #makeRoom({ name, known }: PageUser): void {
    for (const [key, entry] of this.#entries) if (this.#isOver(entry)) this.#entries.delete(key)
    const own = [...this.#entries].filter(([, { user }]) => user.name === name && user.known === known)
    const [oldest] =
      own.length >= MAX_PER_USER ? own : this.#entries.size >= MAX_SESSIONS ? this.#entries : []
    if (oldest !== undefined) this.#entries.delete(oldest[0])
  }
}

/** Takes the same time wherever they differ. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b))
}

function secret(): string {
  return randomBytes(32).toString('base64url')
}

function hash(token: string): string {
  return digest(token).toString('hex')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
