/**
 * `msys.lock`, `msys.unlock` and the mutexes of `thread.mutex`.
 *
 * Scripts of one process run one at a time, and change places only where they wait; a lock keeps others out across
 * such a wait. Who has to wait for one is suspended and served in order. A lock that its callout did not give back is
 * taken from it when the callout ends, so that nobody waits for ever.
 */

import type { Callout } from '../callout.ts'
import { type LuaState, ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Boxes } from './boxes.ts'
import type { Family } from './family.ts'
import type { Waits } from './waits.ts'

/** Who holds a lock; 'loading' is a script at load time, which ends before anything else runs. */
type Holder = Callout | 'loading'

interface Lock {
  holder: Holder
  /** how often, for recursive mutexes */
  times: number
  /** each takes the lock over when it is called */
  readonly waiting: Set<() => void>
}

interface LockHost {
  readonly state: LuaState
  readonly waits: Waits
  readonly boxes: Boxes
  readonly current: () => Callout | undefined
}

const maxLocks = 10_000

export function lockFamily(host: LockHost): Family {
  const table = new LockTable()
  const { state, waits, boxes, current } = host
  const me = (): Holder => current() ?? 'loading'
  const mutexKey = (L: number): string => `mutex ${boxes.idAt(L, 1, 'mutex')}`
  const lock = (L: number, name: string, key: string, recursive: boolean): number => {
    const holder = me()
    const taken = table.take(key, holder, recursive)
    if (taken === 'mine') throw new ScriptError(`${name}: this callout holds the lock already`)
    if (taken === 'taken') return waits.without(L, () => 0)
    return waits.begin(L, name, async (signal) => {
      await table.queue(key, holder, signal)
      return () => 0
    })
  }
  return {
    waiting: {
      'msys.lock': (L) => {
        const name = new Arguments(state, L, 'msys.lock').string(1)
        return lock(L, 'msys.lock', `name ${name}`, false)
      },
    },
    functions: {
      'msys.unlock': (L) => {
        const name = new Arguments(state, L, 'msys.unlock').string(1)
        if (!table.give(`name ${name}`, me()))
          throw new ScriptError(`msys.unlock: this callout does not hold "${name}"`)
        return 0
      },
    },
    helpers: {
      // mutex_lock(mutex, recursive), a starter
      mutex_lock: (L) => lock(L, 'mutex:lock', mutexKey(L), state.lua.lua_toboolean(L, 2) === 1),
      // mutex_trylock(mutex, recursive)
      mutex_trylock: (L) => {
        const taken = table.take(mutexKey(L), me(), state.lua.lua_toboolean(L, 2) === 1)
        state.lua.lua_pushboolean(L, taken === 'taken' ? 1 : 0)
        return 1
      },
      mutex_unlock: (L) => {
        if (!table.give(mutexKey(L), me()))
          throw new ScriptError('mutex:unlock: this callout does not hold the mutex')
        return 0
      },
    },
  }
}

class LockTable {
  readonly #locks = new Map<string, Lock>()

  take(key: string, holder: Holder, recursive: boolean): 'taken' | 'mine' | 'busy' {
    const lock = this.#locks.get(key)
    // what a script took while it loaded and kept is nobody's any more once callouts run
    if (lock === undefined || (lock.holder === 'loading' && holder !== 'loading')) {
      if (this.#locks.size >= maxLocks) throw new ScriptError(`scripts hold at most ${maxLocks} locks`)
      this.#hold(key, holder, new Set())
      return 'taken'
    }
    if (lock.holder !== holder) return 'busy'
    if (!recursive) return 'mine'
    lock.times++
    return 'taken'
  }

  /** Resolves when the holder has the lock. */
  queue(key: string, holder: Holder, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#locks.get(key)?.waiting
      const turn = (): void => {
        this.#hold(key, holder, waiting ?? new Set())
        resolve()
      }
      waiting?.add(turn)
      signal.addEventListener('abort', () => waiting?.delete(turn), { once: true })
    })
  }

  /** Returns whether the holder had it. */
  give(key: string, holder: Holder): boolean {
    const lock = this.#locks.get(key)
    if (lock === undefined || lock.holder !== holder) return false
    if (--lock.times === 0) this.#pass(key, lock)
    return true
  }

  #hold(key: string, holder: Holder, waiting: Set<() => void>): void {
    const lock: Lock = { holder, times: 1, waiting }
    this.#locks.set(key, lock)
    if (holder === 'loading') return
    holder.whenEnded(() => {
      if (this.#locks.get(key) === lock) this.#pass(key, lock)
    })
  }

  #pass(key: string, lock: Lock): void {
    this.#locks.delete(key)
    const [next] = lock.waiting
    if (next === undefined) return
    lock.waiting.delete(next)
    next()
  }
}
