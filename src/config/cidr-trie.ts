/**
 * Which blocks hold an address, from the longest prefix to the shortest: a bit trie for each family.
 *
 * Nodes are two integers in a flat array, so ten thousand IPv6 hosts cost a few megabytes and a lookup at most 128 steps.
 */

import type { Address } from './address.ts'
import type { Cidr } from './settings.ts'

export class CidrTrie<T> {
  readonly #families = { 4: new BitTrie<T>(), 6: new BitTrie<T>() }

  /** The value of an equal block that is already in, or undefined after adding. */
  add(cidr: Cidr, value: T): T | undefined {
    return this.#families[cidr.family].add(cidr, value)
  }

  get(cidr: Cidr): T | undefined {
    return this.#families[cidr.family].get(cidr)
  }

  /** @param longest only blocks of at most this prefix: for a block as a question instead of an address */
  matches(address: Address, longest = address.bytes.length * 8): T[] {
    return this.#families[address.family].matches(address.bytes, longest)
  }
}

class BitTrie<T> {
  /** children of node n at 2n (bit 0) and 2n + 1 (bit 1); 0 = none, since no child is the root */
  #children = new Int32Array(128)
  #count = 1
  readonly #values = new Map<number, T>()

  add(cidr: Cidr, value: T): T | undefined {
    let node = 0
    for (let depth = 0; depth < cidr.prefix; depth += 1) {
      const slot = 2 * node + bit(cidr.bytes, depth)
      node = this.#children[slot] || this.#newChild(slot)
    }
    const known = this.#values.get(node)
    if (known === undefined) this.#values.set(node, value)
    return known
  }

  get(cidr: Cidr): T | undefined {
    let node = 0
    for (let depth = 0; depth < cidr.prefix; depth += 1) {
      node = this.#children[2 * node + bit(cidr.bytes, depth)] ?? 0
      if (node === 0) return undefined
    }
    return this.#values.get(node)
  }

  matches(bytes: Uint8Array, longest: number): T[] {
    const found: T[] = []
    for (let node = 0, depth = 0; ; depth += 1) {
      const value = this.#values.get(node)
      if (value !== undefined) found.push(value)
      if (depth === longest) break
      node = this.#children[2 * node + bit(bytes, depth)] ?? 0
      if (node === 0) break
    }
    return found.toReversed()
  }

  #newChild(slot: number): number {
    const node = this.#count
    this.#count += 1
    if (2 * this.#count > this.#children.length) {
      const larger = new Int32Array(this.#children.length * 2)
      larger.set(this.#children)
      this.#children = larger
    }
    this.#children[slot] = node
    return node
  }
}

function bit(bytes: Uint8Array, index: number): 0 | 1 {
  return (((bytes[index >> 3] ?? 0) >> (7 - (index & 7))) & 1) as 0 | 1
}
