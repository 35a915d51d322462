/** A resolver that knows what it was told. `[]` is a name without addresses; a name it was not told is not found. */

import { type HostAddress, LookupError, type Resolver } from '../../src/dns/resolver.ts'

export class StaticResolver implements Resolver {
  readonly #table: ReadonlyMap<string, readonly string[] | Error>
  readonly asked: string[] = []

  constructor(table: Readonly<Record<string, readonly string[] | Error>>) {
    this.#table = new Map(Object.entries(table))
  }

  async lookupHost(name: string, signal: AbortSignal): Promise<readonly HostAddress[]> {
    signal.throwIfAborted()
    this.asked.push(name)
    const answer = this.#table.get(name.toLowerCase())
    if (answer instanceof Error) throw answer
    if (answer === undefined || answer.length === 0) throw new LookupError('not-found', name)
    return answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  }
}
