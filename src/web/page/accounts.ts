/**
 * What operators do on the page and what they look at: judged by their roles, and written down as the console does it (momentum:
 * control-acct), which is its command before it runs and how it ended. Views come again and again by themselves: of one session
 * the same one is written down once in a while (`looks.ts`).
 */

import type { PageSettings } from '../../config/settings.ts'
import type { ControlAuthorization } from '../../config/settings-control.ts'
import type { Operator } from '../../console/operator.ts'
import type { Visitor } from '../visitor.ts'
import { PageError } from './http.ts'
import { Looks } from './looks.ts'
import type { PageSession } from './sessions.ts'

/** Who asks, and where. */
export interface PageVisit {
  readonly terms: PageSettings
  readonly place: string
  readonly visitor: Visitor
  /** the connection is encrypted */
  readonly secure: boolean
  /** of the client; '' on a UNIX socket */
  readonly address: string
  readonly port: number
  /** of the Listen; 0 on a UNIX socket */
  readonly localPort: number
  /** told when he is found to be logged in */
  readonly onLogin?: (() => void) | undefined
}

/** For the log of what operators do. Unicode text. */
export interface PageFact {
  readonly act: 'login' | 'command' | 'end'
  readonly place: string
  readonly address: string
  readonly port: number
  readonly user: string
  /** undefined: nobody asks whether he may */
  readonly good: boolean | undefined
  /** '' for a login */
  readonly command: string
  /** that allows it; '' where none does, and for a login */
  readonly role: string
}

export interface AccountsHost {
  /** The role that lets somebody give a command, as it is now; undefined: none does, or nobody can tell. */
  readonly roleFor: (
    authorization: ControlAuthorization,
    user: string,
    command: string,
  ) => Promise<string | undefined>
  /** a login, good or not; what is done or looked at, before and when it has ended */
  readonly account: (fact: PageFact) => void
  /** milliseconds since the epoch */
  readonly clock: () => number
}

/** What somebody wants. */
interface Order {
  /** by which roles judge it */
  readonly command: string
  /** as it is written down, where that is not the same */
  readonly shown?: string
  /** changes nothing, and comes again and again */
  readonly look: boolean
  /** what allows it where nobody asks for roles */
  readonly by?: string
}

interface Actor {
  readonly visit: PageVisit
  readonly session: PageSession
  readonly operator: Operator
}

export class Accounts {
  readonly #host: AccountsHost
  readonly #looks: Looks

  constructor(host: AccountsHost) {
    this.#host = host
    this.#looks = new Looks(host.clock)
  }

  /** Judged by his roles and written down before it is done, and when it has ended. @throws PageError where no role lets him */
  async run<T>({ visit, session, operator }: Actor, order: Order, work: () => Promise<T>): Promise<T> {
    const { command, shown = command, look, by = '' } = order
    const about = { user: operator.name, command: shown }
    const isToTell = (end: string): boolean => !look || this.#looks.isNew(session, `${end} ${command}`)
    const role = await this.#roleFor(visit, session, command).catch((error: unknown) => {
      if (isToTell('denied')) this.tell(visit, { ...about, act: 'command', good: false })
      throw error
    })
    const tells = isToTell('allowed')
    // an act is allowed by something in any case
    const good = role === undefined && by === '' ? undefined : true
    if (tells) this.tell(visit, { ...about, act: 'command', good, role: role ?? by })
    let isDone = false
    try {
      const result = await work()
      isDone = true
      return result
    } finally {
      if (tells) this.tell(visit, { ...about, act: 'end', good: isDone })
    }
  }

  tell(
    { place, address, port }: PageVisit,
    fact: Omit<PageFact, 'place' | 'address' | 'port' | 'command' | 'role'> & Partial<PageFact>,
  ): void {
    this.#host.account({ place, address, port, command: '', role: '', ...fact })
  }

  /** @returns undefined where nobody asks for roles. @throws PageError where none lets him */
  async #roleFor(visit: PageVisit, session: PageSession, command: string): Promise<string | undefined> {
    const { authorization } = visit.terms
    if (authorization === undefined) return undefined
    const role = await this.#host.roleFor(authorization, session.user.name, command)
    if (role === undefined) throw new PageError(403, `None of your roles allows this: ${command}`)
    return role
  }
}
