/** What the suites need of a mail server, whichever it is: where it listens, what it refuses, where its mailboxes are. */

import { generateKeyPairSync } from 'node:crypto'
import { chownSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { CertificateRequest } from '../../src/tls/authority.ts'
import type { Pki } from '../../src/tls/pki.ts'
import type { DebianRoot, RunningProgram } from './debian-root.ts'

/** Its listeners. All of them know STARTTLS and speak for `mta.test`. */
export interface MtaPorts {
  /** with a certificate for mta.test that verifies */
  readonly mail: number
  /** with one that has expired */
  readonly expired: number
  /** takes nothing without a client's certificate that verifies */
  readonly demanding: number
}

/** The certificates that it shows as a client; `none` shows none. */
export const CREDENTIALS = ['valid', 'untrusted', 'expired', 'revoked', 'none'] as const
export type ClientCredential = (typeof CREDENTIALS)[number]

/** The listeners of the gate that it sends to. */
export const GATES = ['unset', 'none', 'require'] as const
export type GateMode = (typeof GATES)[number]

/**
 * What it is made from. Mail for `CREDENTIAL-MODE.out.test` goes to the gate of that mode, in TLS and with that
 * certificate; mail for any other domain goes into a mailbox, but for
 *
 * - the sender `refused@sender.test`: 550 to MAIL; `late@sender.test`: 554 to the message
 * - recipients whose local part begins with `nobody`: 550; with `grey`: 450 the first time
 */
export interface MtaRequest {
  readonly ports: MtaPorts
  readonly gates: Readonly<Record<GateMode, number>>
  /** where a greylist is asked, see `greylist.ts` */
  readonly greylist: number
}

export interface Mta {
  readonly name: string
  readonly root: DebianRoot
  readonly ports: MtaPorts
  /** how many may connect to it at once, where that is few; see docs/interoperability.md */
  readonly atOnce?: number
  /** what it has logged */
  log(): string
  /** Starts it, also again after `stop`; resolves when it listens. */
  start(): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Has it try at once what it has queued. */
  flush(): void
}

/** A message in a mailbox. */
export interface Delivered {
  readonly recipient: string
  readonly text: string
}

export function delivered(mta: Mta): readonly Delivered[] {
  return mta.root.mailboxes().map(({ text }) => ({
    recipient: /^(?:Delivered-To|Envelope-to): (.*)$/im.exec(text)?.[1]?.toLowerCase() ?? '',
    text,
  }))
}

/**
 * Below those that the system hands out by itself, which somebody else could be given while a server is made or away;
 * each test process begins elsewhere.
 * @param wanted how many @returns ports that nobody listens on
 */
export async function freePorts(wanted: number): Promise<readonly number[]> {
  const free: number[] = []
  const first = 10_000 + (process.pid % 1_000) * 20
  for (let port = first; free.length < wanted; port++) {
    if (port === first + 20) throw new Error(`not even ${wanted} of the ports from ${first} are free`)
    const server = createServer()
    const listens = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (listens) free.push(port)
    await new Promise((resolve) => server.close(resolve))
  }
  return free
}

/**
 * Writes `/pki`: ca.pem, and NAME.pem and NAME.key of the server's and the client's certificates. Their keys are RSA,
 * because OpenSMTPD 6.8 with OpenSSL 3 cannot use others. The revoked one is on the revocation list of `pki`.
 * @param reader who may read the keys
 */
export function writeCertificates(root: DebianRoot, pki: Pki, reader = 0): void {
  const altNames = [{ kind: 'dns', value: 'mta.test' }] as const
  const server = { subject: 'mta.test', usage: 'server', altNames } as const
  const past = { notBefore: Date.now() - 2 * DAY_MS, notAfter: Date.now() - DAY_MS }
  const requests: Readonly<Record<string, CertificateRequest>> = {
    good: server,
    old: { ...server, ...past },
    valid: { subject: 'mta-valid.test' },
    untrusted: { subject: 'mta-untrusted.test' },
    expired: { subject: 'mta-expired.test', ...past },
    revoked: { subject: 'mta-revoked.test', serial: pki.clients.revoked.serial },
  }
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(PEM)
  root.write('pki/ca.pem', pki.authority.cert)
  for (const [name, request] of Object.entries(requests)) {
    const authority = name === 'untrusted' ? pki.otherAuthority : pki.authority
    root.write(`pki/${name}.pem`, authority.issue({ ...request, key: String(key) }).cert)
    root.write(`pki/${name}.key`, String(key), 0o600)
    chownSync(root.outside(`pki/${name}.key`), reader, reader)
  }
}

const DAY_MS = 86_400_000
const PEM = { type: 'pkcs8', format: 'pem' } as const

/** Waits until a program that was started greets. @throws Error with what it said, when it does not */
export async function greets(program: RunningProgram, port: number): Promise<void> {
  const until = Date.now() + 20_000
  while (!(await greeting(port)).startsWith('220 ')) {
    if (Date.now() > until || program.ended()) throw new Error(`does not start: ${program.output()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** The first octets that come from a port, if any do. */
function greeting(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('data', (chunk) => {
      socket.end('QUIT\r\n')
      resolve(chunk.toString('latin1'))
    })
    socket.on('error', () => undefined).once('close', () => resolve(''))
  })
}

/** Waits until `done` answers something. @throws Error that says for what was waited */
export async function eventually<T>(
  what: () => string,
  done: () => T | undefined | false,
  ms = 20_000,
): Promise<T> {
  const until = Date.now() + ms
  for (;;) {
    const result = done()
    if (result !== undefined && result !== false) return result
    if (Date.now() > until) throw new Error(`waited in vain: ${what()}`)
    // files of another program: there is no event to wait for
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
