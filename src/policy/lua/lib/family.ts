/** What a family of library functions is made of, and what it gets from the engine. */

import type { Callout, ScriptLog } from '../callout.ts'
import type { ObjectKind } from '../object-kinds.ts'
import type { ScriptOffers } from '../offers.ts'
import type { Outcome, Task } from '../outcome.ts'
import type { LuaState } from '../state.ts'
import type { LibraryServices } from './services.ts'
import type { Waits } from './waits.ts'

/** Gets the thread that called, returns how many results it pushed. */
export type HostFunction = (L: number) => number
export type HostFunctions = Readonly<Record<string, HostFunction>>

export interface Family {
  /** by the name that scripts use: `msys.pcre.match` */
  readonly functions?: HostFunctions
  /** the same for functions that may wait: they end with `Waits.begin` or `Waits.without` */
  readonly waiting?: HostFunctions
  /** what `library.lua` needs, by the name it uses */
  readonly helpers?: HostFunctions
  /** numbers, by the name that scripts use: `msys.counter.STRICT` */
  readonly constants?: Readonly<Record<string, number>>
}

export interface LibraryHost {
  readonly state: LuaState
  readonly log: ScriptLog
  readonly waits: Waits
  readonly services: LibraryServices
  readonly offers: ScriptOffers
  /** the callout that runs; undefined while scripts load */
  readonly current: () => Callout | undefined
  /** where the calling script's file is */
  readonly directory: (L: number) => string | undefined
  /** calls a function outside of any session */
  readonly run: (task: Task) => Outcome | Promise<Outcome>
  /** gives up a registry reference */
  readonly release: (reference: number) => void
  /** does something when the state is not used any more */
  readonly whenClosed: (closer: () => void) => void
  /** which object of a callout a value is */
  readonly kindOf: (L: number, index: number) => ObjectKind | undefined
}
