/**
 * Names → addresses.
 *
 * The system resolver is getaddrinfo: it knows /etc/hosts and whatever else the machine is set up for. It runs on
 * libuv's small thread pool, which file I/O shares, so only a few look-ups run at once; the others wait in line and
 * leave it when their signal aborts. MX and TLSA records need a resolver that speaks DNS itself and come with it.
 */

import { lookup } from 'node:dns/promises'

export interface HostAddress {
  readonly address: string
  readonly family: 4 | 6
}

/** A look-up that gave no address. `temporary`: the question may be answered later; `not-found`: there is no such name. */
export class LookupError extends Error {
  readonly kind: 'not-found' | 'temporary'

  constructor(kind: LookupError['kind'], name: string, options?: ErrorOptions) {
    super(kind === 'not-found' ? `host "${name}" not found` : `looking up "${name}" failed`, options)
    this.name = 'LookupError'
    this.kind = kind
  }
}

export interface Resolver {
  /**
   * Addresses of a host, at least one, IPv4 first.
   * @throws LookupError, or the signal's reason when it aborts first
   */
  lookupHost(name: string, signal: AbortSignal): Promise<readonly HostAddress[]>
}

/** What getaddrinfo is asked through; replaced in tests. */
export type SystemLookup = (
  name: string,
) => Promise<readonly { readonly address: string; readonly family: number }[]>

const askSystem: SystemLookup = (name) => lookup(name, { all: true })

export class SystemResolver implements Resolver {
  readonly #ask: SystemLookup
  /** look-ups that may hold a thread at once */
  readonly #concurrency: number
  #running = 0
  readonly #waiting = new Set<() => void>()
  /** one question for all that ask it at the same time */
  readonly #underWay = new Map<string, Promise<readonly HostAddress[]>>()

  constructor(options: { readonly ask?: SystemLookup; readonly concurrency?: number } = {}) {
    this.#ask = options.ask ?? askSystem
    this.#concurrency = options.concurrency ?? 2
  }

  async lookupHost(name: string, signal: AbortSignal): Promise<readonly HostAddress[]> {
    signal.throwIfAborted()
    const key = name.toLowerCase()
    const underWay = this.#underWay.get(key)
    if (underWay !== undefined) return orAborted(underWay, signal)
    await this.#takeTurn(signal)
    const answer = this.#underWay.get(key) ?? this.#begin(key)
    this.#passTurnAfter(answer)
    return orAborted(answer, signal)
  }

  #begin(key: string): Promise<readonly HostAddress[]> {
    const answer = this.#lookup(key).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, answer)
    return answer
  }

  async #lookup(name: string): Promise<readonly HostAddress[]> {
    let found: Awaited<ReturnType<SystemLookup>>
    try {
      found = await this.#ask(name)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : ''
      throw new LookupError(code === 'ENOTFOUND' || code === 'ENODATA' ? 'not-found' : 'temporary', name, {
        cause: error,
      })
    }
    const addresses = found.map(
      ({ address, family }): HostAddress => ({ address, family: family === 6 ? 6 : 4 }),
    )
    if (addresses.length === 0) throw new LookupError('not-found', name)
    return addresses.toSorted((a, b) => a.family - b.family)
  }

  #takeTurn(signal: AbortSignal): Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#running++
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.delete(go)
        reject(signal.reason)
      }
      this.#waiting.add(go)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  /** The thread is free when getaddrinfo returns, not when whoever asked lost patience. */
  #passTurnAfter(answer: Promise<unknown>): void {
    const pass = (): void => {
      const [next] = this.#waiting
      if (next === undefined) {
        this.#running--
        return
      }
      this.#waiting.delete(next)
      next()
    }
    answer.then(pass, pass)
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
