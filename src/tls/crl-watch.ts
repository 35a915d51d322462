/**
 * Revocation lists that change while the gate runs.
 *
 * Every path is looked at once a second. What changed is checked before it is used (form, signature, issuer, dates) and
 * is then in force for the next handshake. What fails the check, has vanished or is older than what is in force leaves the
 * last good list of that CA in force and raises an alarm; a reload takes the files as they are. A list that goes out of
 * date, or grows older than TLS_Client_CRL_Alarm_Age, raises an alarm, and again every day.
 */

import type { EventSink, Panic } from '../events/events.ts'
import type { ClientCas } from './material.ts'
import {
  isForged,
  joinLists,
  type ListsRead,
  type RevocationList,
  type RevocationLists,
  readRevocationLists,
  stateOfLists,
} from './revocation.ts'

/** One TLS_Client_CRL, over all scopes that name it. */
export interface CrlUse {
  readonly path: string
  /** the TLS_Client_CA of these scopes */
  readonly bundles: ReadonlySet<ClientCas>
  /** seconds; 0 = no alarm */
  readonly alarmAge: number
}

export interface CrlWatchOptions {
  readonly uses: readonly CrlUse[]
  readonly current: (path: string) => RevocationLists | undefined
  /** puts lists in force */
  readonly replace: (path: string, lists: RevocationLists) => void
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** milliseconds between two looks */
  readonly interval: number
}

const DAY = 86_400_000

interface Watched {
  readonly use: CrlUse
  /** of what is in force */
  state: string | undefined
  /** of what failed when it was read; it is told when it stays so */
  failed: string | undefined
  told: boolean
}

export class CrlWatch {
  readonly #options: CrlWatchOptions
  #watched: readonly Watched[]
  readonly #paths: ReadonlySet<string>
  /** those who have handed over to this one */
  readonly #followers = new Set<CrlWatch>()
  #leave: (() => void) | undefined
  /** by list and what is wrong with it: when it was told last */
  #alarms = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined

  constructor(options: CrlWatchOptions) {
    this.#options = options
    this.#watched = options.uses.map((use) => ({ use, state: undefined, failed: undefined, told: false }))
    this.#paths = new Set(options.uses.map(({ path }) => path))
  }

  start(): void {
    if (this.#timer !== undefined || this.#watched.length === 0) return
    this.#timer = setInterval(() => void this.look(), this.#options.interval)
    this.#timer.unref()
    void this.look()
  }

  /** Nothing is put in force any more; resolves when no look is under way. */
  async stop(): Promise<void> {
    this.#leave?.()
    clearInterval(this.#timer)
    this.#timer = undefined
    await this.#looking
  }

  /**
   * Another one looks at the files that both have from now on, and raises the alarms. What is in force there is in force
   * here too, until `stop`; what only this one has it follows itself.
   */
  handOver(next: CrlWatch): void {
    const shared = this.#watched.filter(({ use }) => next.#paths.has(use.path))
    this.#watched = this.#watched.filter((watched) => !shared.includes(watched))
    next.#followers.add(this)
    this.#leave = () => next.#followers.delete(this)
    for (const { use } of shared) {
      const lists = next.#options.current(use.path)
      if (lists !== undefined) this.#put(use.path, lists)
    }
  }

  #put(path: string, lists: RevocationLists): void {
    if (!this.#paths.has(path)) return
    if (this.#options.current(path)?.digest !== lists.digest) this.#options.replace(path, lists)
    for (const follower of this.#followers) follower.#put(path, lists)
  }

  /** One look at everything. What goes wrong is told, and everything stays as it is. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    try {
      for (const watched of this.#watched) await this.#lookAt(watched)
      this.#tellAges()
    } catch (error) {
      this.#tell('error', `revocation lists cannot be looked at: ${String(error)}`)
    }
  }

  async #lookAt(watched: Watched): Promise<void> {
    const { path, bundles } = watched.use
    const state = await stateOfLists(path)
    const before = this.#options.current(path)
    if (state === watched.state || before === undefined) return
    if (watched.failed === state && watched.told) return
    const { entries, alarms } = successor(before, await readRevocationLists(path), {
      bundles,
      now: this.#options.clock(),
    })
    if (this.#timer === undefined || !this.#watched.includes(watched)) return
    const lists = joinLists(entries)
    if (lists.digest !== before.digest) {
      this.#put(path, lists)
      this.#tell(
        'notice',
        `TLS_Client_CRL ${path}: ${entries.length} revocation lists are in force, as they are now`,
      )
    }
    if (alarms.length === 0) {
      Object.assign(watched, { state, failed: undefined, told: false })
      return
    }
    // a file may be in the middle of being written: it is told when it is found so twice
    if (watched.failed === state) {
      for (const alarm of alarms) this.#tell('critical', `TLS_Client_CRL ${path}: ${alarm}`)
      watched.told = true
    } else Object.assign(watched, { failed: state, told: false })
  }

  #tellAges(): void {
    const now = this.#options.clock()
    const alarms = new Map<string, number>()
    for (const { use } of this.#watched) {
      for (const list of this.#options.current(use.path)?.entries ?? []) {
        for (const [level, text] of ageAlarms(list, use, now)) {
          const key = `${list.digest} ${level}`
          const last = this.#alarms.get(key)
          const due = last === undefined || now - last >= DAY
          alarms.set(key, due ? now : last)
          if (due)
            this.#tell(level, `TLS_Client_CRL ${use.path}: the list of "${list.parsed.facts.issuer}" ${text}`)
        }
      }
    }
    this.#alarms = alarms
  }

  #tell(level: Panic['level'], text: string): void {
    const { events, clock } = this.#options
    events.emit({ kind: 'panic', at: clock(), level, module: 'tls', text })
  }
}

/** What is to be in force after a change, CA by CA, and what an operator must know of it. */
function successor(
  before: RevocationLists,
  { entries, faults }: ListsRead,
  { bundles, now }: { readonly bundles: ReadonlySet<ClientCas>; readonly now: number },
): { readonly entries: readonly RevocationList[]; readonly alarms: readonly string[] } {
  const alarms = faults.map(({ file, reason }) => `${file}: ${reason}; the last good lists stay in force`)
  const forged = new Set(entries.filter((entry) => isForged(entry, bundles)))
  for (const { file, parsed } of forged) {
    alarms.push(
      `${file}: a list of "${parsed.facts.issuer}" is not signed by that CA; the last good one stays in force`,
    )
  }
  const good = Map.groupBy(
    entries.filter((entry) => !forged.has(entry)),
    issuerOf,
  )
  const spoiled = new Set([...faults.map(({ file }) => file), ...[...forged].map(({ file }) => file)])
  for (const [issuer, old] of Map.groupBy(before.entries, issuerOf)) {
    const reason = whyNot(old, good.get(issuer), now)
    if (reason === undefined) continue
    good.set(issuer, old)
    const known = reason === GONE && old.some(({ file }) => spoiled.has(file))
    if (!known)
      alarms.push(
        `the list of "${old[0]?.parsed.facts.issuer ?? ''}" ${reason}; the last good one stays in force`,
      )
  }
  return { entries: [...good.values()].flat(), alarms }
}

const GONE = 'is gone'

/** Why new lists of a CA do not take the place of the old ones. */
function whyNot(
  old: readonly RevocationList[],
  fresh: readonly RevocationList[] | undefined,
  now: number,
): string | undefined {
  if (fresh === undefined) return GONE
  if (newest(fresh) < newest(old)) return 'is older than the one in force'
  if (fresh.every(({ parsed }) => parsed.facts.thisUpdate > now)) {
    return old.some(({ parsed }) => parsed.facts.thisUpdate <= now) ? 'is not valid yet' : undefined
  }
  return undefined
}

function newest(entries: readonly RevocationList[]): number {
  return Math.max(...entries.map(({ parsed }) => parsed.facts.thisUpdate))
}

function issuerOf({ parsed }: RevocationList): string {
  return parsed.issuer
}

function ageAlarms(
  { parsed }: RevocationList,
  { alarmAge }: CrlUse,
  now: number,
): [Panic['level'], string][] {
  const { thisUpdate, nextUpdate } = parsed.facts
  const alarms: [Panic['level'], string][] = []
  if (nextUpdate !== undefined && now >= nextUpdate) {
    alarms.push(['error', `is out of date since ${new Date(nextUpdate).toISOString()}`])
  }
  if (alarmAge > 0 && now - thisUpdate > alarmAge * 1000) {
    alarms.push([
      'warning',
      `was made on ${new Date(thisUpdate).toISOString()}, more than ${alarmAge} seconds ago`,
    ])
  }
  return alarms
}
