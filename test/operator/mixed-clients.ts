/** Sends the visits of a plan, some at once, and keeps books of what the clients were told. */

import type { ConnectionOptions } from 'node:tls'
import type { Credential } from '../../src/tls/authority.ts'
import type { Pki } from '../../src/tls/pki.ts'
import { type Address, ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import type { Fate, Fruitless, Login, Mail, Protection, Visit } from './mixed-plan.ts'
import { Tally } from './tally.ts'

export interface ClientsOptions {
  readonly visits: readonly Visit[]
  readonly pki: Pki
  /** of a CA that nobody knows, with a name that means harm */
  readonly hostile: Credential
  /** STARTTLS; and one with TLS from the first octet, that requires a certificate */
  readonly addresses: { readonly open: Address; readonly strict: Address }
  readonly atOnce: number
}

/** What clients saw. */
export interface Seen {
  /** connections that were made */
  connections: number
  /** messages, by recipient, that were answered 250 and are to be kept */
  kept: number
  /** transactions among them, and those that policy dropped behind their backs */
  thanked: number
  /** refusals by code, as replies */
  readonly refusals: Tally
  /** rejections that no reply tells of: copies that policy refused, messages that it dropped, handshakes that failed */
  silent: number
  /** complete handshakes, `verified resumed` */
  readonly handshakes: Tally
  failedHandshakes: number
  readonly logins: Tally
}

/** Clients from other networks come from elsewhere on the loopback. */
const BANNED = '127.0.0.66'
const STRANGE = '127.0.0.99'
const CROWDED = '127.0.0.77'
/** Reconfig_Message */
const COME_BACK = '421 4.3.2'
export const PASSWORD = 'correct horse'

export async function sendAll(options: ClientsOptions): Promise<Seen> {
  const clients = new Clients(options)
  const first = await clients.takeTheRoom()
  await Promise.all(Array.from({ length: options.atOnce }, () => clients.run()))
  first.destroy()
  return clients.seen
}

class Clients {
  readonly seen: Seen = {
    connections: 0,
    kept: 0,
    thanked: 0,
    refusals: new Tally(),
    silent: 0,
    handshakes: new Tally(),
    failedHandshakes: 0,
    logins: new Tally(),
  }
  readonly #options: ClientsOptions
  readonly #sessions = new Map<string, Buffer>()
  #next = 0

  constructor(options: ClientsOptions) {
    this.#options = options
  }

  /** The only session that its address may have. */
  async takeTheRoom(): Promise<SmtpClient> {
    this.seen.connections += 1
    const client = await SmtpClient.connect({ ...this.#options.addresses.open, from: CROWDED })
    expect(await client.reply(), 220)
    return client
  }

  async run(): Promise<void> {
    for (let visit = this.#turn(); visit !== undefined; visit = this.#turn()) {
      try {
        await this.#visit(visit)
      } catch (error) {
        throw new Error(`visit ${visit.number}: ${(error as Error).message}`, { cause: error })
      }
    }
  }

  #turn(): Visit | undefined {
    return this.#options.visits[this.#next++]
  }

  async #visit(visit: Visit): Promise<void> {
    const { fruitless } = visit
    // who is not let in has no session
    if (fruitless !== 'crowded') this.seen.connections += 1
    if (fruitless === 'no-certificate') return await this.#withoutCertificate()
    if (visit.strict) return await this.#strictly(visit)
    const client = await SmtpClient.connect({ ...this.#options.addresses.open, ...fromOf(visit) })
    try {
      const banner = await client.reply()
      if (fruitless === 'crowded') return this.#refused(banner, 421)
      if (fruitless === 'banned') return this.#refused(banner, 554)
      await this.#greet(client, fruitless === 'bad-name')
      if (fruitless === 'bad-name') return undefined
      if (fruitless === 'no-handshake' || fruitless === 'vanishes')
        return await this.#garbage(client, fruitless)
      if (visit.protection !== 'plain') await this.#secure(client, visit)
      if (fruitless === 'leaves') return await this.#leave(client)
      for (const login of visit.logins) await this.#login(client, login)
      for (const mail of visit.mails) if (!(await this.#began(client, mail))) return undefined
      expect(await client.command('QUIT'), 221)
      await client.closed()
    } finally {
      client.destroy()
    }
  }

  /** Where a certificate is required, to somebody who has one. */
  async #strictly({ mails }: Visit): Promise<void> {
    const { cert, key } = this.#options.pki.clients.valid
    const client = await SmtpClient.connectTls(this.#options.addresses.strict, { cert, key })
    try {
      expect(await client.reply(), 220)
      await this.#greet(client, false)
      this.seen.handshakes.add('strict')
      for (const mail of mails) if (!(await this.#began(client, mail))) return
    } finally {
      client.destroy()
    }
  }

  async #greet(client: SmtpClient, badly: boolean): Promise<void> {
    const reply = await client.command(`EHLO ${badly ? 'bad' : 'client'}.example`)
    if (badly) this.#refused(reply, 550)
    else expect(reply, 250)
  }

  async #secure(client: SmtpClient, visit: Visit): Promise<void> {
    expect(await client.command('STARTTLS'), 220)
    const kind = `${visit.protection} ${visit.oldTls ? 'old' : 'new'} ${unverifiedKind(visit)}`
    const session = visit.resume ? this.#sessions.get(kind) : undefined
    await client.secure({
      ...credentialOf(this.#options, visit),
      ...(visit.oldTls ? { maxVersion: 'TLSv1.2' } : {}),
      ...(session === undefined ? {} : { session }),
    })
    await this.#greet(client, false)
    const { tls } = client
    this.seen.handshakes.add(`${visit.protection} ${tls.isSessionReused() ? 'resumed' : 'full'}`)
    const ticket = client.session ?? tls.getSession()
    if (ticket !== undefined) this.#sessions.set(kind, ticket)
  }

  async #login(client: SmtpClient, how: Login): Promise<void> {
    if (how === 'unknown') return this.#refused(await client.command('AUTH X-NOTHING'), 504)
    if (how === 'cancelled') {
      expect(await client.command('AUTH PLAIN'), 334)
      return this.#refused(await client.command('*'), 501)
    }
    const password = how === 'fail' ? 'wrong' : PASSWORD
    const reply = await client.command(
      `AUTH PLAIN ${Buffer.from(`\0${how === 'barred' ? 'bob' : 'ann'}\0${password}`).toString('base64')}`,
    )
    this.seen.logins.add(how === 'pass' ? 'pass' : 'fail')
    if (how === 'pass') expect(reply, 235)
    else this.#refused(reply, 535)
  }

  /** @returns false: the server asks to come back to its new configuration */
  async #began(client: SmtpClient, mail: Mail): Promise<boolean> {
    const { fate, sender } = mail
    const size = fate === 'too-large' && mail.chunked ? ' SIZE=999999' : ''
    const mailFrom = await client.command(`MAIL FROM:<${sender}>${size}`)
    if (mailFrom.startsWith(COME_BACK)) {
      this.#refused(mailFrom, 421)
      return false
    }
    if (fate === 'policy-fails') {
      this.#refused(mailFrom, 421)
      return false
    }
    await this.#mail(client, mail, mailFrom)
    // whatever is left of it
    const reset = await client.command('RSET')
    if (reset.startsWith(COME_BACK)) this.#refused(reset, 421)
    else expect(reset, 250)
    return reset.startsWith('250')
  }

  async #mail(client: SmtpClient, mail: Mail, mailFrom: string): Promise<void> {
    const { fate } = mail
    if (fate === 'sender-refused') return this.#refused(mailFrom, 550)
    if (fate === 'too-large' && mail.chunked) return this.#refused(mailFrom, 552)
    expect(mailFrom, 250)
    if (fate === 'nonsense') this.#refused(await client.command('FROBNICATE'), 500)
    if (fate === 'out-of-order') this.#refused(await client.command('DATA'), 503)
    if (fate === 'recipient-refused') this.#refused(await client.command('RCPT TO:<nobody@hop.test>'), 550)
    if (fate === 'copy-refused') expect(await client.command('RCPT TO:<nocopy@d1.hop.test>'), 250)
    for (const { address, notify } of mail.recipients) {
      const reply = await client.command(`RCPT TO:<${address}>${notify ? ' NOTIFY=SUCCESS,FAILURE' : ''}`)
      if (fate === 'relay-refused' && !address.endsWith('@gate.example')) this.#refused(reply, 550)
      else expect(reply, 250)
    }
    await this.#content(client, mail)
  }

  async #content(client: SmtpClient, mail: Mail): Promise<void> {
    const { fate, recipients, chunked } = mail
    const taken = recipients.filter(
      ({ address }) => fate !== 'relay-refused' || address.endsWith('@gate.example'),
    ).length
    const text = textOf(mail)
    let reply: string
    if (chunked) {
      client.sendRaw(`BDAT ${text.length} LAST\r\n${text}`)
      reply = await client.reply()
    } else {
      reply = await client.command('DATA')
      if (taken > 0) {
        expect(reply, 354)
        reply = await client.command(`${text}.`)
      }
    }
    if (taken === 0) this.#refused(reply, 503)
    else if (fate === 'content-refused') this.#refused(reply, 554)
    else if (fate === 'too-large') this.#refused(reply, 552)
    else this.#thanked(reply, fate, taken)
  }

  #thanked(reply: string, fate: Fate, recipients: number): void {
    expect(reply, 250)
    this.seen.thanked += 1
    if (fate !== 'discarded') this.seen.kept += recipients
    if (fate === 'discarded' || fate === 'copy-refused') this.seen.silent += 1
  }

  async #withoutCertificate(): Promise<void> {
    this.seen.failedHandshakes += 1
    this.seen.silent += 1
    try {
      const client = await SmtpClient.connectTls(this.#options.addresses.strict, {})
      // in TLS 1.3 a client thinks that it is through before the server has looked
      const reply = await client.reply()
      throw new Error(`a certificate was required, and there was ${reply}`)
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error
    }
  }

  async #garbage(client: SmtpClient, how: Fruitless): Promise<void> {
    this.seen.failedHandshakes += 1
    this.seen.silent += 1
    expect(await client.command('STARTTLS'), 220)
    if (how === 'vanishes') return client.destroy()
    client.sendRaw('this is not a ClientHello\r\n')
    await client.closed()
  }

  async #leave(client: SmtpClient): Promise<void> {
    const reply = await client.command('MAIL FROM:<a@origin.test>')
    if (reply.startsWith(COME_BACK)) return this.#refused(reply, 421)
    expect(reply, 250)
    expect(await client.command('RCPT TO:<left@gate.example>'), 250)
    expect(await client.command('DATA'), 354)
    client.sendRaw('Subject: half a mess')
    client.end()
    await client.closed()
  }

  #refused(reply: string, code: number): void {
    expect(reply, code)
    this.seen.refusals.add(String(code))
  }
}

function fromOf({ fruitless, stranger }: Visit): { readonly from?: string } {
  if (fruitless === 'banned') return { from: BANNED }
  if (fruitless === 'crowded') return { from: CROWDED }
  return stranger ? { from: STRANGE } : {}
}

const UNVERIFIED = ['expired', 'untrusted', 'revoked', 'hostile'] as const

function unverifiedKind({ protection, number }: Visit): string {
  return protection === 'unverified' ? (UNVERIFIED[number % UNVERIFIED.length] ?? 'expired') : ''
}

function credentialOf({ pki: { clients }, hostile }: ClientsOptions, visit: Visit): ConnectionOptions {
  const kinds = { ...clients, hostile }
  const by: Readonly<Record<Protection, Credential | undefined>> = {
    plain: undefined,
    anonymous: undefined,
    verified: clients.valid,
    unverified: kinds[UNVERIFIED[visit.number % UNVERIFIED.length] ?? 'expired'],
  }
  const credential = by[visit.protection]
  return credential === undefined ? {} : { cert: credential.cert, key: credential.key }
}

function textOf({ number, fate }: Mail): string {
  const orders: Partial<Record<Fate, string>> = {
    'content-refused': 'X-Refuse: yes\r\n',
    discarded: 'X-Drop: yes\r\n',
  }
  const body =
    fate === 'too-large' ? `${'x'.repeat(998)}\r\n`.repeat(30) : 'Hello.\r\n'.repeat(1 + (number % 40))
  return `Subject: m${number}\r\nMessage-ID: <m${number}@origin.test>\r\n${orders[fate] ?? ''}\r\n${body}`
}

function expect(reply: string, code: number): void {
  if (!reply.startsWith(String(code))) throw new Error(`${code} was expected, and came: ${reply}`)
}
