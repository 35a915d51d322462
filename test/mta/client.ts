/** A mail server sends to the gate with its certificate: who gets in, and that every record names the right one. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite, test } from 'node:test'
import { type Bench, messageOf } from './bench.ts'
import { readLog } from './gate-logs.ts'
import { type ClientCredential, CREDENTIALS, delivered, eventually, GATES, type GateMode } from './mta.ts'

/** What differs from one server to another. */
export interface ClientHabits {
  /** what comes of a certificate of a CA that the gate did not name: some clients show nothing then */
  readonly untrusted: 'untrusted' | 'none shown'
  /** what it logs when the gate ends the handshake because no certificate was shown */
  readonly deferred: (local: string) => RegExp
  /** whether it resumes TLS sessions between deliveries */
  readonly resumes: boolean
}

/** A line of tls_log. */
interface Decision {
  readonly outcome: string
  readonly verify_mode: string
  readonly local_port: number
  readonly cause?: string
  readonly subject?: string
  readonly issuer?: string
  readonly serial?: string
  readonly protocol?: string
  readonly cipher?: string
  readonly resumed?: boolean
  readonly accepted: number
  readonly refused: number
  readonly answers?: readonly { readonly code: number; readonly text: string }[]
}

export function clientTests(bench: () => Bench, habits: ClientHabits): void {
  suite('as a client', () => {
    test('takes mail for every listener with every certificate', async () => {
      // the last test's: OpenSMTPD gives the whole host up for a while after it
      for (const credential of CREDENTIALS)
        for (const mode of GATES)
          if (`${credential}-${mode}` !== 'none-require') await relay(bench(), credential, mode)
    })
    for (const credential of CREDENTIALS)
      test(`${credential}, not asked for a certificate: gets in, and is nobody`, () =>
        getsInAsNobody(bench(), credential))
    for (const mode of ['unset', 'require'] as const) {
      test(`valid, ${mode}: gets in under its name`, () => getsIn(bench(), mode))
      for (const cause of ['untrusted', 'expired', 'revoked'] as const)
        test(`${cause}, ${mode}: policy refuses it, and its sender is told why`, () =>
          isRefused(bench(), { credential: cause, mode, cause }, habits))
    }
    test('none, unset: policy refuses it', () =>
      isRefused(bench(), { credential: 'none', mode: 'unset', cause: 'none shown' }, habits))
    test('what arrives is what was sent', () => carriesContent(bench()))
    test('a session that is resumed is judged as before, until the certificate is revoked', () =>
      resumes(bench(), habits))
    test('none, require: the handshake fails and the mail waits', async () =>
      waits(bench(), await relay(bench(), 'none', 'require'), habits))
  })
}

async function relay(
  bench: Bench,
  credential: ClientCredential,
  mode: GateMode,
  name = 'c',
): Promise<string> {
  const local = `${name}-${credential}-${mode}`
  const sender = `from-${local}@sender.test`
  await bench.relay({ domain: `${credential}-${mode}.out.test`, sender, to: [local] })
  return local
}

/** The message that arrived for a user of the gate; it arrived once. */
async function inbox(bench: Bench, local: string): Promise<string> {
  const folder = path.join(bench.receiving.folder, 'mail', local, 'new')
  const names = await eventually(
    () => `mail for ${local}; ${bench.mta.name} says ${bench.mta.log().slice(-1000)}`,
    () => {
      const found = list(folder)
      return found.length > 0 && found
    },
  )
  assert.equal(names.length, 1, `${names.length} files, ${storyOf(bench, local)}`)
  return readFileSync(path.join(folder, names[0] ?? ''), 'latin1')
}

/**
 * What both sides say of a message. Each R line of the gate is a transaction that the mail server began anew, because it
 * had not heard, or not kept, that the one before had been taken; a file's name comes from the id in its R line.
 */
function storyOf(bench: Bench, local: string): string {
  const gate = readLog(bench.receiving.folder, 'main.ec').filter((line) => line.includes(local))
  const receptions = gate.filter((line) => line.split('@')[4] === 'R').length
  const lines = bench.mta.log().split('\n')
  const ids = lines.filter((line) => line.includes(local)).flatMap((line) => line.match(QUEUE_ID) ?? [])
  const server = lines.filter((line) => line.includes(local) || ids.some((id) => line.includes(id)))
  return [`${receptions} receptions`, ...gate, `${bench.mta.name} says`, ...server].join('\n')
}

/** of Exim, of Postfix, of a session or an envelope of OpenSMTPD */
const QUEUE_ID = /\b(?:\w{6}-\w{6}-\w{2}|[0-9A-F]{9,12}|[0-9a-f]{16})\b/g

/** The decision records that fit, once there are so many. A record is told when its connection ends. */
function decisions(
  bench: Bench,
  mode: GateMode,
  fits: (decision: Decision) => boolean,
  atLeast = 1,
): Promise<Decision[]> {
  const all = (): Decision[] =>
    readLog(bench.receiving.folder, 'tls.jsonl').map((line) => JSON.parse(line) as Decision)
  return eventually(
    () => `${atLeast} decisions; ${bench.mta.name} says ${bench.mta.log().slice(-1000)}`,
    () => {
      const found = all().filter((each) => each.verify_mode === mode && fits(each))
      return found.length >= atLeast && found
    },
  )
}

/** Lines of the rejectlog that fit, once there is one: they come a moment after the answers that they tell of. */
function rejections(bench: Bench, fits: (line: string) => boolean): Promise<string[]> {
  return eventually(
    () => 'a line in the rejectlog',
    () => {
      const found = readLog(bench.receiving.folder, 'reject.ec').filter(fits)
      return found.length > 0 && found
    },
  )
}

async function getsInAsNobody(bench: Bench, credential: ClientCredential): Promise<void> {
  const text = await inbox(bench, `c-${credential}-none`)
  assert.match(text, /with ESMTPS/)
  assert.doesNotMatch(text, /mta-(?:valid|untrusted|expired|revoked)/)
  for (const { outcome, subject, cause } of await decisions(bench, 'none', () => true))
    assert.deepEqual([outcome, subject, cause], ['anonymous', undefined, undefined])
}

async function getsIn(bench: Bench, mode: GateMode): Promise<void> {
  const text = await inbox(bench, `c-valid-${mode}`)
  assert.match(text, /with ESMTPS/)
  assert.match(text, /client certificate 'mta-valid\.test' from 'Postern test CA' verified/)
  const [decision] = await decisions(bench, mode, ({ subject }) => subject === 'CN=mta-valid.test')
  assert.deepEqual(
    [decision?.outcome, decision?.cause, decision?.issuer, decision?.refused, decision?.accepted],
    ['verified', undefined, 'CN=Postern test CA', 0, 1],
  )
}

interface Refusal {
  readonly credential: ClientCredential
  readonly mode: GateMode
  readonly cause: string
}

async function isRefused(bench: Bench, refusal: Refusal, habits: ClientHabits): Promise<void> {
  const { credential, mode } = refusal
  const cause = credential === 'untrusted' ? habits.untrusted : refusal.cause
  const local = `c-${credential}-${mode}`
  if (cause === 'none shown' && mode === 'require') return waits(bench, local, habits)
  const shown = cause !== 'none shown'
  const subject = shown ? `CN=mta-${credential}.test` : undefined
  const fits = (each: Decision): boolean => each.subject === subject && each.refused > 0
  const [decision] = await decisions(bench, mode, fits)
  assert.deepEqual(
    [decision?.outcome, decision?.cause, decision?.accepted],
    shown ? ['unverified', cause, 0] : ['anonymous', undefined, 0],
  )
  assert.equal(decision?.answers?.[0]?.text, `5.7.1 certificate: ${cause}`)
  const bounce = await eventually(
    () => `a bounce to from-${local}; ${bench.mta.name} says ${bench.mta.log().slice(-1000)}`,
    () => bounces(bench, local)[0],
  )
  assert.match(bounce, new RegExp(`550[ -]5\\.7\\.1 certificate: ${cause}`))
  assert.equal(bounces(bench, local).length, 1)
  assert.deepEqual(list(path.join(bench.receiving.folder, 'mail', local)), [])
  for (const line of await rejections(bench, (each) => each.endsWith(`certificate: ${cause}`))) {
    assert.match(line, /P="awaiting mailfrom" E=550 M=scriptlet/)
    assert.doesNotMatch(line, /tls_client_verified=yes/)
    if (shown) assert.match(line, new RegExp(`tls_client_cert_subject="?CN=mta-${credential}\\.test`))
  }
  return undefined
}

async function waits(bench: Bench, local: string, habits: ClientHabits): Promise<void> {
  const [decision] = await decisions(bench, 'require', ({ outcome }) => outcome === 'failed')
  assert.equal(decision?.cause, 'peer did not return a certificate')
  await eventually(
    () => `a deferral of ${local}; ${bench.mta.log().slice(-1000)}`,
    () => habits.deferred(local).test(bench.mta.log()),
  )
  await rejections(bench, (line) => / M=tls /.test(line))
  assert.equal(bounces(bench, local).length, 0)
  assert.deepEqual(list(path.join(bench.receiving.folder, 'mail', local)), [])
}

async function carriesContent(bench: Bench): Promise<void> {
  const bodies = {
    'i-eight-bits': 'Gr\xc3\xbc\xc3\x9fe\r\n',
    'i-dots': '.\r\n..\r\n.leading\r\nend.\r\n.\r\n',
    'i-megabytes': `${'0123456789abcdef'.repeat(4)}\r\n`.repeat(60_000),
  }
  for (const [local, body] of Object.entries(bodies))
    await bench.relay({ domain: 'valid-unset.out.test', to: [local], body })
  for (const [local, body] of Object.entries(bodies)) {
    const text = await inbox(bench, local)
    const sent = messageOf({ domain: '', to: [local], body }).replaceAll('\r\n', '\n')
    assert.ok(text.slice(text.indexOf('\n\n')) === sent.slice(sent.indexOf('\n\n')), local)
  }
}

async function resumes(bench: Bench, habits: ClientHabits): Promise<void> {
  const before = (await decisions(bench, 'require', isValid)).length
  for (const name of ['again', 'once-more']) await inbox(bench, await relay(bench, 'valid', 'require', name))
  const later = (await decisions(bench, 'require', isValid, before + 2)).slice(before)
  assert.deepEqual(
    later.map(({ outcome }) => outcome),
    ['verified', 'verified'],
  )
  assert.equal(
    later.some(({ resumed }) => resumed === true),
    habits.resumes,
    JSON.stringify(later),
  )
  const serials = [BigInt(`0x${later[0]?.serial}`), bench.pki.clients.revoked.serial]
  const crl = bench.pki.authority.crl({ revoked: serials, nextUpdate: Date.now() + 86_400_000 })
  writeFileSync(path.join(bench.receiving.folder, 'pki/crl.pem'), crl)
  await bench.receiving.server.reload()
  const local = await relay(bench, 'valid', 'require', 'too-late')
  await eventually(
    () => `a bounce to from-${local}; ${bench.mta.log().slice(-1000)}`,
    () => bounces(bench, local)[0],
  )
  const [refused, ...others] = (await decisions(bench, 'require', isValid, before + 3)).slice(before + 2)
  assert.deepEqual(
    [refused?.outcome, refused?.cause, refused?.resumed, refused?.accepted, others],
    ['unverified', 'revoked', false, 0, []],
  )
}

function isValid({ subject }: Decision): boolean {
  return subject === 'CN=mta-valid.test'
}

/** What the mail server wrote to the sender of a message. */
function bounces(bench: Bench, local: string): readonly string[] {
  return delivered(bench.mta)
    .filter(({ recipient }) => recipient === `from-${local}@sender.test`)
    .map(({ text }) => text)
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
