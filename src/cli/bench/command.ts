/**
 * `postern bench ADDRESS`: sends mail to any SMTP server as fast as it takes it, or at a given rate, and says how fast that
 * was. The mail is real: the server's operator should know of it.
 *
 * Exit code: 0 when every message was taken and every connection ended well, 1 otherwise.
 */

import { readFileSync } from 'node:fs'
import type { Io } from '../io.ts'
import { Generator, type LoadSummary, type Quantiles } from './generator.ts'
import type { LoadOrder } from './order.ts'

export interface BenchOptions {
  readonly messages: number
  readonly connections: number
  readonly perConnection: number
  readonly size: number
  readonly rate?: number
  readonly processes: number
  readonly starttls?: true
  readonly resume?: true
  readonly cert?: string
  readonly key?: string
  readonly from: string
  readonly to: string
  readonly quitWait: boolean
  readonly json?: true
}

/** @param address `host:port`. @returns the exit code */
export async function runBench(address: string, options: BenchOptions, io: Io): Promise<number> {
  const target = parseTarget(address)
  const problem = target === undefined ? `"${address}" is not host:port` : contradiction(options)
  if (target === undefined || problem !== undefined) {
    io.stderr.write(`postern bench: ${problem}\n`)
    return 1
  }
  const { cert, key } = options
  const generator = new Generator(options.processes)
  try {
    const summary = await generator.run({
      ...target,
      security: options.starttls === true ? 'starttls' : 'plain',
      resume: options.resume === true,
      credential: cert === undefined ? undefined : readCredential(cert, key ?? cert),
      connections: options.connections,
      perConnection: options.perConnection,
      messages: options.messages,
      size: options.size,
      rate: options.rate,
      sender: options.from,
      recipient: options.to,
      awaitQuit: options.quitWait,
    })
    io.stdout.write(options.json === true ? `${JSON.stringify(summary)}\n` : describe(summary))
    return summary.accepted === options.messages && Object.keys(summary.errors).length === 0 ? 0 : 1
  } finally {
    await generator.end()
  }
}

function contradiction({ starttls, resume, cert, key, from, to }: BenchOptions): string | undefined {
  if (starttls !== true && (cert !== undefined || key !== undefined || resume === true)) {
    return '--cert, --key and --resume need --starttls'
  }
  if (cert === undefined && key !== undefined) return '--key needs --cert'
  const unfit = [from, to].find((text) => /[^\x21-\x7e]|[<>]/.test(text))
  return unfit === undefined ? undefined : `"${unfit}" is not an address`
}

function parseTarget(text: string): Pick<LoadOrder, 'host' | 'port'> | undefined {
  const match = /^(?:\[(?<bracketed>[^\]]+)\]|(?<name>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text)?.groups
  const host = match?.['bracketed'] ?? match?.['name']
  const port = Number(match?.['port'])
  return host === undefined || port === 0 || port > 65_535 ? undefined : { host, port }
}

function readCredential(cert: string, key: string): { readonly cert: string; readonly key: string } {
  return { cert: readFileSync(cert, 'latin1'), key: readFileSync(key, 'latin1') }
}

function describe(summary: LoadSummary): string {
  const { accepted, seconds, perSecond, handshakes, resumed, cpuSeconds } = summary
  const lines = [
    `accepted     ${accepted} messages in ${seconds.toFixed(2)} s: ${perSecond.toFixed(0)} per second`,
    `transaction  ${quantiles(summary.transaction)}`,
    ...(summary.fromDue === undefined ? [] : [`from due     ${quantiles(summary.fromDue)}`]),
    ...(handshakes === 0 ? [] : [`handshakes   ${handshakes}, of which ${resumed} resumed`]),
    `own CPU      ${cpuSeconds.toFixed(2)} s (${((cpuSeconds / Math.max(1, accepted)) * 1000).toFixed(2)} s per 1,000 messages)`,
    ...Object.entries(summary.errors).map(([what, count]) => `error        ${count} × ${printable(what)}`),
  ]
  return `${lines.join('\n')}\n`
}

function quantiles(values: Quantiles | undefined): string {
  if (values === undefined) return 'none'
  return `p50 ${values.p50.toFixed(2)} ms, p99 ${values.p99.toFixed(2)} ms`
}

/** What a server said must not reach a terminal as it is. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}
