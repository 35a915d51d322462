/**
 * Hosts that could not be connected to a short while ago (Momentum: config/ref-host-failure-retry): a host that is down
 * costs one attempt its time, not every message in the queue. Bounded; the oldest failure is forgotten first.
 */

const MAX_HOSTS = 10_000

export class HostFailures {
  readonly #failedAt = new Map<string, number>()
  readonly #clock: () => number

  /** @param clock milliseconds since the epoch */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  failed(host: HostPlace): void {
    const key = keyOf(host)
    this.#failedAt.delete(key)
    this.#failedAt.set(key, this.#clock())
    const [oldest] = this.#failedAt.keys()
    if (this.#failedAt.size > MAX_HOSTS && oldest !== undefined) this.#failedAt.delete(oldest)
  }

  answered(host: HostPlace): void {
    this.#failedAt.delete(keyOf(host))
  }

  forget(): void {
    this.#failedAt.clear()
  }

  /** Whether it failed less than so many seconds ago. */
  isDown(host: HostPlace, seconds: number): boolean {
    const at = this.#failedAt.get(keyOf(host))
    if (at === undefined) return false
    const age = this.#clock() - at
    return age >= 0 && age < seconds * 1000
  }
}

interface HostPlace {
  readonly address: string
  readonly port: number
  /** our own address, where it is not the system's choice: what one reaches another may not */
  readonly from?: string | undefined
}

function keyOf({ address, port, from = '' }: HostPlace): string {
  return `${address} ${port} ${from}`
}
