/**
 * Whether a host that mail could be sent to is this server: by its name, or by an address and port on which it listens.
 * For the loop guard of RFC 5321 §5.1.
 */

import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { ListenAddress } from '../config/settings.ts'

export interface OwnHostsOptions {
  readonly names: readonly string[]
  readonly listens: readonly ListenAddress[]
  /** addresses of this machine; those of its interfaces unless given */
  readonly addresses?: () => readonly string[]
}

export class OwnHosts {
  readonly #names: ReadonlySet<string>
  readonly #listens: readonly ListenAddress[]
  readonly #addresses: () => readonly string[]

  constructor({ names, listens, addresses = interfaceAddresses }: OwnHostsOptions) {
    this.#names = new Set(names.map((name) => name.toLowerCase()))
    this.#listens = listens
    this.#addresses = addresses
  }

  /** @param name in lower case, without the final dot */
  hasName(name: string): boolean {
    return this.#names.has(name)
  }

  hasAddress(address: string, port: number): boolean {
    return this.#listens.some((listen) => {
      if (listen.kind !== 'tcp' || listen.port !== port) return false
      if (listen.host !== undefined && !isUnspecified(listen.host)) return listen.host === address
      if (isIPv6(address) && listen.family === 4) return false
      return isLoopback(address) || isUnspecified(address) || this.#addresses().includes(address)
    })
  }
}

/** A connection to one of these goes to this machine too. */
function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address))
}
