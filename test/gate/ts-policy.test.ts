/** Policies in TypeScript on a running gate: certificates as a type, waits, errors, reloads, `check`, embedding. */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { createServer, definePolicy, type PosternServer, reject, type ServerEvent } from 'postern'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { bin, startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const example = (name: string): string => path.join(import.meta.dirname, '..', '..', 'examples', name)

const waiting = `import { setTimeout as delay } from 'node:timers/promises'
import { definePolicy, discard, proceed, reject, tarpit } from 'postern'

const known = new WeakMap<object, number>()

export const policy = definePolicy({
  ehlo(session, line) {
    known.set(session, (known.get(session) ?? 0) + 1)
    session.context.set('connection', 'greetings', String(known.get(session)))
    if (line.includes('slow')) return tarpit(0.05)
  },
  async mailFrom(session, sender, parameters) {
    await delay(10)
    session.context.set('message', 'declared', parameters.get('SIZE') ?? 'none')
    if (sender?.local === 'broken') throw new Error('a fault of the policy')
    return sender?.local === 'spammer' ? reject(550, '5.7.1 not from you') : proceed
  },
  data(session, message) {
    if (message.headers.values('X-Drop').length > 0) return discard('asked for')
    message.headers.prepend('X-Seen-By', session.peer.kind)
  },
})
`

let pki: Pki
let gate: TestGate
before(async () => {
  pki = await makePki()
  gate = await startTestGate({
    pki,
    files: {
      'waiting.ts': waiting,
      'partners.ts': readFileSync(example('partner-policy.ts'), 'utf8').replace(
        'mail.alpha.example',
        'client-valid.example',
      ),
    },
    conf: `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "ENHANCEDSTATUSCODES" "SIZE" )
  TLS_Certificate = "pki/server.pem"  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"  TLS_Client_CRL = "pki/crl.pem"
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" { script "waiting" { source = "./waiting.ts" } }
${MAILDIR}
ec_logger "l" { rejectlog = "reject.ec" paniclog = "panic.ec" }
`,
  })
})
after(() => gate.stop())

async function connect(to = gate.address()): Promise<SmtpClient> {
  const client = await SmtpClient.connect(to)
  await client.reply()
  await client.ehlo()
  return client
}

/** messages in the mailboxes */
const kept = (): string[] =>
  readdirSync(path.join(gate.folder, 'mail'), { recursive: true })
    .map(String)
    .filter((name) => /new\/./.test(name))

const text = (header = ''): string => `Subject: x\n${header}\nbody\n`

test('facts, waits and verdicts reach the client and the mailbox', async () => {
  const client = await connect()
  await client.ehlo('slow.example')
  assert.match(await client.command('MAIL FROM:<spammer@x.example>'), /^550 5\.7\.1 not from you$/)
  await client.command('MAIL FROM:<a@x.example> SIZE=123')
  const context = await client.context()
  assert.equal(context.get('connection.greetings'), '2')
  assert.equal(context.get('message.declared'), '123')
  await client.command('RSET')
  assert.match(await client.deliver('a@x.example', 'b@gate.example', text('X-Drop: yes\n')), /^250/)
  assert.match(await client.deliver('a@x.example', 'b@gate.example', text()), /^250/)
  client.destroy()
  await gate.event('delivery')
  const rejected = await gate.event('rejection', (event) => event.text.includes('asked for'))
  assert.equal(rejected.text, '550 5.7.0 asked for')
  assert.equal(kept().length, 1)
  assert.match(
    readFileSync(path.join(gate.folder, 'mail', kept()[0] ?? ''), 'latin1'),
    /^X-Seen-By: plaintext\r?$/m,
  )
})

test('an error closes its session with the 421 and tells the line; others go on', async () => {
  const [broken, other] = [await connect(), await connect()]
  const answer = broken.command('MAIL FROM:<broken@x.example>')
  assert.match(await other.command('MAIL FROM:<a@x.example>'), /^250/)
  assert.match(await answer, /^421 gate\.example temporary issue, please retry your message later$/)
  assert.equal((await broken.closed()).code, 'CLOSED')
  assert.match(await other.command('RCPT TO:<b@gate.example>'), /^250/)
  other.destroy()
  const panic = await gate.event('panic')
  assert.match(panic.text, /^mailFrom error: .*waiting\.ts:15:43: a fault of the policy$/)
})

/** After STARTTLS, with a certificate or without. */
async function secure(kind: 'valid' | 'expired' | undefined): Promise<SmtpClient> {
  const client = await connect()
  await client.command('STARTTLS')
  await client.secure(kind === undefined ? {} : { cert: pki.clients[kind].cert, key: pki.clients[kind].key })
  return client
}

test('the partner example: the certificate decides who may send for which domain', async () => {
  const conf = path.join(gate.folder, 'gate.conf')
  writeFileSync(
    conf,
    readFileSync(conf, 'utf8').replace(
      'script "waiting" { source = "./waiting.ts" }',
      'script "partners" { source = "./partners.ts" }',
    ),
  )
  await gate.server.reload()
  const anonymous = await secure(undefined)
  await anonymous.ehlo()
  assert.match(await anonymous.command('MAIL FROM:<a@alpha.example>'), /^530 5\.7\.0 a certificate is needed/)
  anonymous.destroy()
  const expired = await secure('expired')
  expired.send('EHLO x')
  assert.match(await expired.reply(), /^421 4\.7\.0 your certificate is not accepted: expired$/)
  expired.destroy()
  const partner = await secure('valid')
  await partner.ehlo()
  assert.match(
    await partner.command('MAIL FROM:<a@beta.example>'),
    /^550 5\.7\.1 your certificate is not one of beta\.example$/,
  )
  assert.match(
    await partner.deliver('a@alpha.example', 'b@gate.example', text('X-Partner: forged\n')),
    /^250/,
  )
  await gate.event('delivery', () => kept().length === 2)
  const stamps = kept().map((name) =>
    [...readFileSync(path.join(gate.folder, 'mail', name), 'latin1').matchAll(/^X-Partner: (.*?)\r?$/gm)].map(
      ([, value]) => value,
    ),
  )
  assert.deepEqual(stamps.flat(), ['CN=client-valid.example'])
  partner.destroy()
})

test('a bad new text keeps the old policy; check names file, line and suggestion', async () => {
  const file = path.join(gate.folder, 'partners.ts')
  const good = readFileSync(file, 'utf8')
  writeFileSync(file, good.replace('mailFrom(session, sender)', 'mailForm(session, sender)'))
  await assert.rejects(gate.server.reload(), /no phase is named mailForm; did you mean "mailFrom"\?/)
  const client = await connect()
  assert.match(await client.command('MAIL FROM:<a@alpha.example>'), /^530 5\.7\.0 a certificate is needed/)
  client.destroy()
  const { code, stderr } = await promisify(execFile)(bin, ['check', 'gate.conf'], { cwd: gate.folder }).then(
    () => ({ code: 0, stderr: '' }),
    (error: { readonly code: number; readonly stderr: string }) => error,
  )
  assert.equal(code, 1)
  assert.match(
    stderr,
    /^partners\.ts:27:3: error: script "partners": no phase is named mailForm; did you mean "mailFrom"\?\n +27 \| +mailForm\(session, sender\) \{\n +\| +\^~{7}$/m,
  )
  writeFileSync(file, good.replace('a certificate is needed here', 'show a certificate'))
  await gate.server.reload()
  const next = await connect()
  assert.match(await next.command('MAIL FROM:<a@alpha.example>'), /^530 5\.7\.0 show a certificate/)
  next.destroy()
})

/** What the first Listen answers to RCPT for nobody and for somebody. */
async function exchange(server: PosternServer): Promise<string[]> {
  const [host = '', port] = (server.addresses[0] ?? '').split(':')
  const client = await connect({ host, port: Number(port) })
  const replies = [await client.deliver('a@x.example', 'nobody@gate.example', text())]
  replies.push(await client.command('RCPT TO:<b@gate.example>'))
  client.destroy()
  return replies
}

test('createServer embeds a gate: text or file, policy, events, reload, close', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-embed-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const events: ServerEvent[] = []
  const conf = `Hostname = "gate.example" Spoolbase = "spool"
ESMTP_Listener { Listen "127.0.0.1:0" { } }
${MAILDIR}`
  const policy = definePolicy({
    rcptTo: (_session, _message, { local }) =>
      local === 'nobody' ? reject(550, '5.1.1 nobody is here') : undefined,
  })
  const fromText = await createServer({
    config: { text: conf, directory: folder },
    policy,
    onEvent: (event) => events.push(event),
  })
  assert.deepEqual(await exchange(fromText), ['550 5.1.1 nobody is here', '250 2.1.5 RCPT TO accepted.'])
  await fromText.reload()
  assert.deepEqual(await exchange(fromText), ['550 5.1.1 nobody is here', '250 2.1.5 RCPT TO accepted.'])
  await fromText.close()
  assert.ok(events.some(({ kind }) => kind === 'rejection'))
  writeFileSync(path.join(folder, 'gate.conf'), conf)
  const fromFile = await createServer({ config: path.join(folder, 'gate.conf') })
  assert.match((await exchange(fromFile))[0] ?? '', /^550 5\.1\.1 no such mailbox|^354|^250/)
  await fromFile.close()
  await assert.rejects(createServer({ config: { text: 'Nonsense = 1', directory: folder } }), {
    name: 'ConfigError',
  })
})

test('the embedding example serves, and ends on a signal', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-embed-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const child = spawn(process.execPath, [example('embed.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const first = String((await lines.next()).value)
  const [, host = '', port] = /^listening on (.*):(\d+)$/.exec(first) ?? []
  const client = await connect({ host, port: Number(port) })
  assert.match(await client.deliver('a@x.example', 'b@gate.example', text()), /^250/)
  client.destroy()
  assert.match(String((await lines.next()).value), /^received /)
  child.kill('SIGINT')
  const ended = await new Promise((resolve) => child.once('exit', (code) => resolve(code)))
  assert.equal(ended, 0)
})

test('errors that a policy lets go of are told and end nothing', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-stray-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const careless = `export const policy = {
  ehlo() {
    void Promise.reject(new Error('let go of'))
    setTimeout(() => { throw new TypeError('in a timer') }, 1)
    return new Promise((resolve) => setTimeout(resolve, 20))
  },
}`
  writeFileSync(path.join(folder, 'gate.js'), careless)
  const conf = `Hostname = "gate.example" Spoolbase = "spool"
ESMTP_Listener { Listen "127.0.0.1:0" { } }
scriptlet "scriptlet" { script "gate" { source = "gate.js" } }
ec_logger "l" { paniclog = "panic.ec" }
${MAILDIR}`
  writeFileSync(path.join(folder, 'gate.conf'), conf)
  const served = await startGateProcess(path.join(folder, 'gate.conf'))
  const client = await connect(served.addresses[0])
  assert.match(await client.deliver('a@x.example', 'b@gate.example', text()), /^250/)
  client.destroy()
  assert.equal(await served.end('SIGTERM'), 0)
  const panics = readFileSync(path.join(folder, 'panic.ec'), 'utf8')
  assert.match(panics, /nobody waited for an error: .*gate\.js:3:25: let go of$/m)
  assert.match(panics, /nobody waited for an error: .*gate\.js:4:30: TypeError: in a timer$/m)
})
