/** A gate for certificates made to do harm: what of them reaches a context, a header and the logs, each octet of it looked at. */

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, afterEach, before } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import type { AltName, Credential, NameAttribute } from '../../src/tls/authority.ts'
import { TAG } from '../../src/tls/der-writer.ts'
import type { Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { hostileNames, testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'
import { assertNoPanic, assertServes } from './attack-gate.ts'

const logs = mkdtempSync(path.join(tmpdir(), 'postern-logs-'))
const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.5.1:0" { Use_SSL = true }
  Listen "127.0.5.2:0" { Use_SSL = true TLS_DN_Format = "oneline" }
  Listen "127.0.5.3:0" { Use_SSL = true TLS_Verify_Mode = "require" TLS_Verified_Peer_Can_Relay = true }
  Listen "127.0.5.4:0" { }
  Listen "127.0.5.5:0" { Use_SSL = true TLS_Client_CRL = "pki/crl.pem" }
}
${MAILDIR}
ec_logger "l" { mainlog = "${logs}/main.ec" rejectlog = "${logs}/reject.ec" paniclog = "${logs}/panic.ec" }
`
export const UNSET = 0
export const ONELINE = 1
export const REQUIRE = 2
const CLEAR = 3
export const WITH_CRL = 4

export let pki: Pki
export let gate: TestGate
before(async () => {
  pki = await testPki()
  gate = await startTestGate({ conf, pki })
})
afterEach(() => assertNoPanic(gate))
after(async () => {
  await assertServes(gate.address(CLEAR))
  await gate.stop()
  assertLogs()
  rmSync(logs, { recursive: true })
})

function count(...kinds: readonly string[]): number {
  return gate.events.filter(({ kind }) => kinds.includes(kind)).length
}

function lines(name: string): string[] {
  return readFileSync(path.join(logs, name), 'latin1').split('\n').slice(0, -1)
}

/** Every line of every log is one fact, and begins as its format says. */
function assertLogs(): void {
  const rejected = lines('reject.ec')
  for (const line of rejected)
    assert.match(line, /^\d+: R="127\.0\.0\.1:\d+" L="[\d.:]+" C="[^"]+" PATH="default" [ -~\x80-\xff]*$/)
  assert.equal(rejected.length, count('rejection'))
  const main = lines('main.ec')
  for (const line of main) assert.match(line, /^\d+@[^@]+@[^@]+@[^@]+@[RD]@[ -~]*$/)
  assert.equal(main.length, count('reception', 'delivery'))
  assert.deepEqual(lines('panic.ec'), [])
}

export function credential({ cert, key }: Credential, ...more: readonly string[]): ConnectionOptions {
  return { cert: [cert, ...more].join('\n'), key }
}

export async function connect(index: number, options: ConnectionOptions): Promise<SmtpClient> {
  const client = await SmtpClient.connectTls(gate.address(index), options)
  assert.match(await client.reply(), /^220 /)
  assert.match(await client.command('EHLO client.example'), /^250/)
  return client
}

/** XDUMPCONTEXT with each of its octets looked at. */
export async function contextOf(client: SmtpClient): Promise<Map<string, string>> {
  const reply = await client.command('XDUMPCONTEXT')
  for (const line of reply.split('\n')) {
    assert.match(
      line,
      /^(?:250-\[(?:connection|message)\] [a-z_]+ [ -~\x80-\xff]+|250 XDUMPCONTEXT complete)$/,
    )
  }
  assert.equal(client.pending, '')
  const entries = [...reply.matchAll(/^250-\[connection\] (\S+) (.*)$/gm)]
  return new Map(entries.map(([, key = '', value = '']) => [key, value]))
}

/** A refusal and a delivery, so that the certificate reaches the logs and a header. @returns the delivered text */
export async function leaveTraces(client: SmtpClient, mailbox: string): Promise<string> {
  assert.match(await client.command('MAIL FROM:<a@b.example>'), /^250/)
  assert.match(await client.command('RCPT TO:<x@elsewhere.example>'), /^550 5\.7\.1/)
  assert.match(await client.command('RSET'), /^250/)
  return await delivered(client, mailbox)
}

export async function delivered(client: SmtpClient, mailbox: string): Promise<string> {
  const reply = await client.deliver('a@b.example', `${mailbox}@gate.example`, 'Subject: traces\n\nbody')
  const [, id] = /^250 2\.0\.0 message (\S+) accepted$/.exec(reply) ?? []
  await gate.event('delivery', ({ envelope }) => envelope.id === id)
  const folder = path.join(gate.folder, 'mail', mailbox, 'new')
  return readFileSync(path.join(folder, readdirSync(folder)[0] ?? ''), 'latin1')
}

/** The header has the fields that it should have and no other, and nothing but printable ASCII. */
export function assertHeader(text: string): void {
  const header = text.slice(0, text.indexOf('\n\n'))
  assert.deepEqual(
    header
      .split('\n')
      .filter((line) => !/^[ \t]/.test(line))
      .map((line) => line.slice(0, line.indexOf(':'))),
    ['Return-Path', 'Received', 'Subject'],
  )
  assert.match(header, /^[ -~\t\n]*$/)
  assert.ok(
    header.split('\n').every((line) => line.length <= 998),
    'RFC 5322 line length',
  )
  assert.match(text, /\n\nbody\n$/)
}

const many = (count: number, value: (n: number) => string): NameAttribute[] =>
  Array.from({ length: count }, (_, n) => ({ type: '2.5.4.3', value: value(n) }))

/** OpenSSL refuses to read these, on the client's side already; they go out another way. */
export const unreadable = ['invalid UTF-8', 'no string']

export const names: readonly (readonly [string, readonly NameAttribute[]])[] = [
  ...[...hostileNames]
    .filter(([what]) => !unreadable.includes(what) && what !== 'long')
    .map(([what, attribute]) => [what, [attribute]] as const),
  ['a CN of ten kilobytes', [{ type: '2.5.4.3', value: 'x'.repeat(10_000) }]],
  ['a hundred CNs', many(100, (n) => `cn${n}`)],
  ['a hundred CNs with line ends', many(100, (n) => `cn${n}\r\nX-Injected: ${n}`)],
  ['an unknown attribute with CR LF', [{ type: '1.2.3.4', value: 'x\r\nX-Injected: yes' }]],
  [
    'an e-mail address with CR LF',
    [{ type: '1.2.840.113549.1.9.1', tag: TAG.ia5String, value: 'a@b\r\nX: y' }],
  ],
  ['comment and header syntax', [{ type: '2.5.4.3', value: `') verified) X-A: b; (by "evil` }]],
  ['a reply of ours', [{ type: '2.5.4.3', value: '250-[connection] tls_client_verified yes' }]],
  ['a log line of ours', [{ type: '2.5.4.3', value: '"] CTXMESS=[] ok\n1: R="1.2.3.4:5"' }]],
  ['an empty value', [{ type: '2.5.4.3', value: '' }]],
]

export function altNamesOf(attribute: NameAttribute | undefined): AltName[] {
  const value =
    typeof attribute?.value === 'string' ? attribute.value.slice(0, 4000) : (attribute?.value ?? '')
  return [
    { kind: 'dns', value },
    { kind: 'email', value },
    { kind: 'uri', value },
    { kind: 'ip', value: Buffer.from('0d0a0d0a', 'hex') },
    { kind: 'ip', value: Buffer.from('0d0a0d0a0d', 'hex') },
  ]
}
