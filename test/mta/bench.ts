/** A mail server, a gate that sends to it and a gate that it sends to, with what stands between them. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pki } from '../../src/tls/pki.ts'
import { CuttingProxy, Doorway } from '../support/cutting-proxy.ts'
import { TestDnsServer } from '../support/dns-server.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'
import { anyFault, FAULTS, faultDomain } from './faults.ts'
import { type History, historyOf } from './gate-logs.ts'
import { GATE_CONF, RECEIVING_CONF, RECEIVING_SCRIPT } from './gates.ts'
import { Greylist } from './greylist.ts'
import { type Delivered, delivered, eventually, freePorts, type Mta, type MtaRequest } from './mta.ts'
import { listenOverflows, stateOf } from './state.ts'

/** A message for the gate, or for the mail server. */
export interface Submission {
  readonly sender?: string
  /** the domain of all of them */
  readonly domain: string
  /** local parts; unique, because they are what the logs and the mailboxes are searched for */
  readonly to: readonly string[]
  /** with CRLF, behind the header */
  readonly body?: string
}

export interface Bench {
  readonly pki: Pki
  readonly mta: Mta
  /** sends to the mail server */
  readonly gate: TestGate
  /** is sent to by the mail server */
  readonly receiving: TestGate
  readonly proxies: ReadonlyMap<string, CuttingProxy>
  /** of the line to any-fault.test */
  readonly seed: number
  /** Hands a message to the gate, which takes it. */
  send(submission: Submission): Promise<void>
  /** Hands a message to the mail server, which takes it. */
  relay(submission: Submission): Promise<void>
  /** What the gate's logs say, once it is over with the message: delivered or refused for good. */
  ended(local: string): Promise<History>
  /** What they say once there is a line about an attempt. */
  answered(local: string): Promise<History>
  /** What they say once there are so many failed attempts. */
  failed(local: string, attempts?: number): Promise<History>
  /** What has reached a mailbox of the mail server by now. */
  mailbox(local: string): readonly Delivered[]
  close(): Promise<void>
}

/** Makes everything, and takes it away again if something fails. */
export async function startBench(make: (request: MtaRequest, pki: Pki) => Mta): Promise<Bench> {
  const stack = new AsyncDisposableStack()
  try {
    return await assemble(make, stack)
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

async function assemble(
  make: (request: MtaRequest, pki: Pki) => Mta,
  stack: AsyncDisposableStack,
): Promise<Bench> {
  const pki = await testPki()
  const greylist = stack.adopt(await Greylist.start(), (each) => each.close())
  const [mail = 0, expired = 0, demanding = 0, unset = 0, none = 0, require = 0] = await freePorts(6)
  const gates = { unset, none, require }
  const files = { 'gate.lua': RECEIVING_SCRIPT }
  const receiving = stack.adopt(await startTestGate({ conf: RECEIVING_CONF(gates), pki, files }), (each) =>
    each.stop(),
  )
  const request = { ports: { mail, expired, demanding }, gates, greylist: greylist.port }
  const mta = stack.adopt(make(request, pki), (each) => each.root.remove())
  stack.defer(() => mta.stop())
  await mta.start()
  const proxies = new Map<string, CuttingProxy>()
  const doorway = new Doorway(mta.atOnce ?? Number.POSITIVE_INFINITY)
  for (const fault of FAULTS) {
    const proxy = await CuttingProxy.start(mail, fault, doorway)
    proxies.set(
      faultDomain(fault),
      stack.adopt(proxy, (each) => each.close()),
    )
  }
  const seed = Date.now() % 100_000
  proxies.set(
    'any-fault.test',
    stack.adopt(await CuttingProxy.start(mail, anyFault(seed), doorway), (each) => each.close()),
  )
  const names = ['mta.test', 'other.test']
  const dns = stack.adopt(
    await TestDnsServer.start({
      ...Object.fromEntries(names.map((name) => [`A ${name}`, ['127.0.0.1']])),
      'MX plain.test': [{ preference: 10, exchange: 'mta.test' }],
    }),
    (each) => each.close(),
  )
  const conf = GATE_CONF({ dns: dns.port, mta, proxies })
  const gate = stack.adopt(await startTestGate({ conf, pki }), (each) => each.stop())
  const history = (local: string): History => historyOf(gate.folder, local)
  const overflows = listenOverflows()
  const seen = (local: string): string =>
    `${JSON.stringify(history(local))}\n${stateOf({ mta, gate, proxies, overflows })}`
  return {
    pki,
    mta,
    gate,
    receiving,
    proxies,
    seed,
    send: (submission) => submit(gate.address(), submission),
    relay: (submission) => submit({ host: '127.0.0.1', port: mail }, submission),
    ended: (local) =>
      eventually(
        () => `an end of the message for ${local}; ${seen(local)}`,
        () => told(history(local), ({ main }) => main.some(({ type }) => type !== 'T')),
        30_000,
      ),
    answered: (local) =>
      eventually(
        () => `an attempt to deliver to ${local}; ${seen(local)}`,
        () => told(history(local), ({ main }) => main.length > 0),
      ),
    failed: (local, attempts = 1) =>
      eventually(
        () => `${attempts} failed attempts for ${local}; ${seen(local)}`,
        () => told(history(local), ({ main }) => main.filter(({ type }) => type === 'T').length >= attempts),
      ),
    mailbox: (local) => delivered(mta).filter(({ recipient }) => recipient.startsWith(`${local}@`)),
    close: () => stack.disposeAsync(),
  }
}

/** A history that fits and is complete: both logs have their line of each failure. */
function told(history: History, fits: (history: History) => boolean): History | undefined {
  const failures = history.main.filter(({ type }) => type !== 'D').length
  return fits(history) && history.bounces.length >= failures ? history : undefined
}

/** The text of a message; its body names its recipients. */
export function messageOf({ to, body = '' }: Submission): string {
  return `From: <ann@sender.test>\r\nSubject: for ${to[0]}\r\nMessage-ID: <${to[0]}@sender.test>\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nfor ${to.join(' ')}\r\n${body}`
}

async function submit(address: Address, submission: Submission): Promise<void> {
  const { sender = 'ann@sender.test', domain, to } = submission
  const client = await SmtpClient.connect(address)
  try {
    await client.reply()
    const eightBit = (await client.ehlo()).includes('8BITMIME')
    const commands = [`MAIL FROM:<${sender}>${eightBit ? ' BODY=8BITMIME' : ''}`]
    for (const command of [...commands, ...to.map((local) => `RCPT TO:<${local}@${domain}>`), 'DATA'])
      assert.match(await client.command(command), /^[23]/, command)
    const content = messageOf(submission).replaceAll(/^\./gm, '..')
    assert.match(await client.command(`${content}.`), /^250/)
    assert.match(await client.command('QUIT'), /^221/)
  } finally {
    client.destroy()
  }
}

/** Waits until nothing new has come to the mailboxes for a while, since what must not come cannot be awaited. */
export async function settled(bench: Bench): Promise<void> {
  for (let before = -1, now = delivered(bench.mta).length; before !== now; ) {
    await delay(700)
    before = now
    now = delivered(bench.mta).length
  }
}
