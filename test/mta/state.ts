/** How things stand when a message is waited for in vain: the gate's queue, the lines in between, the server's own log. */

import { readFileSync } from 'node:fs'
import type { CuttingProxy } from '../support/cutting-proxy.ts'
import type { TestGate } from '../support/test-gate.ts'
import type { Mta } from './mta.ts'

export interface Parties {
  readonly mta: Mta
  readonly gate: TestGate
  readonly proxies: ReadonlyMap<string, CuttingProxy>
  /** what `listenOverflows` said at the beginning */
  readonly overflows: number
}

export function stateOf({ mta, gate, proxies, overflows }: Parties): string {
  const { queue } = gate.server.view.services
  const domains = queue.byDomain().map((each) => {
    const proxy = proxies.get(each.domain)
    const line = proxy === undefined ? '' : `; of its line: ${proxy.state()}`
    return `${each.domain} ${each.active} ready or under way, ${each.delayed} delayed${line}`
  })
  return [
    `queue ${JSON.stringify(queue.counts)}`,
    ...domains,
    `${listenOverflows() - overflows} connections of this machine found no place in a listener's queue`,
    `${mta.name} says ${mta.log().slice(-1500)}`,
  ].join('\n')
}

/** TcpExtListenOverflows: handshakes that were dropped because a program did not accept fast enough. */
export function listenOverflows(): number {
  const lines = readFileSync('/proc/net/netstat', 'latin1').split('\n')
  const [names = [], values = []] = lines
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '))
  return Number(values[names.indexOf('ListenOverflows')] ?? 0)
}
