/**
 * Which servers are asked: those of a configuration, or those of /etc/resolv.conf (resolv.conf(5)), which is read again
 * when it may have changed. Without any, the one on this machine, as resolv.conf(5) has it.
 */

import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { ServerAddress } from './exchange.ts'

const DNS_PORT = 53
/** as many as resolv.conf(5) has */
const MAX_SERVERS = 3
const LOOK_AGAIN_MS = 10_000

/** `address`, `address:port`, `[v6]` or `[v6]:port`. @returns undefined for anything else */
export function parseServer(text: string): ServerAddress | undefined {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT }
  const [, v6, v4, digits] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = v6 ?? v4 ?? ''
  const port = digits === undefined ? DNS_PORT : Number(digits)
  const family = v6 === undefined ? 4 : 6
  return isIP(address) === family && port >= 1 && port <= 65_535 ? { address, port } : undefined
}

/** The `nameserver` lines of a resolv.conf. */
export function parseResolvConf(text: string): readonly ServerAddress[] {
  const servers = text.split('\n').flatMap((line) => {
    const [, address = ''] = /^\s*nameserver\s+(\S+)/.exec(line) ?? []
    return isIP(address) === 0 ? [] : [{ address, port: DNS_PORT }]
  })
  return servers.length === 0 ? [{ address: '127.0.0.1', port: DNS_PORT }] : servers.slice(0, MAX_SERVERS)
}

/** The servers to ask now. */
export type NameServers = () => Promise<readonly ServerAddress[]>

export function fixedServers(servers: readonly ServerAddress[]): NameServers {
  return async () => await Promise.resolve(servers)
}

/** @param clock milliseconds */
export function systemServers(clock: () => number, path = '/etc/resolv.conf'): NameServers {
  let known: Promise<readonly ServerAddress[]> | undefined
  let readAt = 0
  return async () => {
    if (known === undefined || clock() - readAt >= LOOK_AGAIN_MS || clock() < readAt) {
      readAt = clock()
      known = readFile(path, 'utf8').then(parseResolvConf, () => parseResolvConf(''))
    }
    return await known
  }
}
