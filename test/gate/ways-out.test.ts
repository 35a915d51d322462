/** LMTP, a program and a webhook on a running gate, and a gate that is killed while they have a message. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { startTestGate } from '../support/test-gate.ts'
import { type ReceivedPost, WebhookReceiver } from '../support/webhook-receiver.ts'

const KEY = '0123456789abcdef0123456789abcdef'
const PROGRAM = `#!/bin/sh
PATH=/usr/bin:/bin
[ "$1" = nobody ] && { echo "who is $1?"; exit 67; }
cat > "$OUT/$1.$$.part" && mv "$OUT/$1.$$.part" "$OUT/$1.$$.mail"
`

function conf(folder: string, receiver: { readonly port: number }): string {
  return `
ESMTP_Listener { Relay_Hosts = ( "127.0.0.1" ) Listen "127.0.0.1:0" { } }
Retry_Interval = 1
Domain "store.example" { Gateway = "unix:${folder}/lmtp" Delivery_Method = "LMTP" }
pipe_transport "program" {
  program_name = "program"
  domain = ( "pipe.example" )
  arguments = ( "%{recipient_local}" )
  environment = [ OUT = "${folder}" ]
}
webhook "app" { url = "http://127.0.0.1:${receiver.port}/mail" domains = ( "app.example" ) key_file = "app.key" }
`
}

function place(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-ways-'))
  writeFileSync(path.join(folder, 'program'), PROGRAM, { mode: 0o755 })
  writeFileSync(path.join(folder, 'app.key'), `${KEY}\n`, { mode: 0o600 })
  return folder
}

async function connect(address: { readonly host: string; readonly port: number }): Promise<SmtpClient> {
  const client = await SmtpClient.connect(address)
  await client.reply()
  await client.ehlo()
  return client
}

test('mail leaves by LMTP, into a program and by HTTP, and what each says is the outcome', async () => {
  const folder = place()
  const receiver = await WebhookReceiver.start(KEY)
  receiver.answer = ({ envelope }, response) =>
    response.writeHead(envelope.attempt === 1 ? 503 : 200, { 'retry-after': '0' }).end()
  const sink = await SmtpSink.start({ messageFor: () => '250 2.0.0 kept' }, path.join(folder, 'lmtp'))
  const files = { program: PROGRAM, 'app.key': KEY }
  const gate = await startTestGate({
    conf: conf(folder, receiver).replace('"program"\n  domain', `"${folder}/program"\n  domain`),
    files,
  })
  try {
    const client = await connect(gate.address())
    // a local part that would be an option is refused before there is a message
    await client.command('MAIL FROM:<a@b.example>')
    assert.match(await client.command('RCPT TO:<-rf@pipe.example>'), /^550 5\.1\.1 /)
    await client.command('RSET')
    for (const to of [
      'ann@store.example',
      'bob@pipe.example',
      'nobody@pipe.example',
      'any.one+x@app.example',
    ])
      assert.match(await client.deliver('a@b.example', to, 'Subject: x\n\nhello'), /^250 /)
    client.destroy()
    const texts = new Map<string, string>()
    for (const domain of ['store.example', 'pipe.example']) {
      const { text, envelope } = await gate.event('delivery', (event) => event.domain === domain)
      texts.set(envelope.recipient.local, text)
    }
    assert.equal(texts.get('ann'), '250 2.0.0 kept')
    assert.equal(texts.get('bob'), '250 2.0.0 [internal] Delivered to pipe_transport "program"')
    const failure = await gate.event('permanent-failure', ({ domain }) => domain === 'pipe.example')
    assert.match(failure.text, /^550 5\.1\.1 .* gave exit status 67: who is nobody\?$/)
    const later = await gate.event('transient-failure', ({ domain }) => domain === 'app.example')
    assert.match(later.text, /^451 4\.3\.0 \[internal\] webhook "app" answered 503$/)
    assert.equal(receiver.posts[0]?.envelope.recipient, 'any.one+x@app.example')
    assert.equal(receiver.posts[0]?.envelope.connection['ehlo_domain'] !== undefined, true)
    const [mail] = readdirSync(folder).filter((name) => name.endsWith('.mail'))
    assert.match(
      readFileSync(path.join(folder, mail ?? ''), 'utf8'),
      /^Return-Path: <a@b\.example>\nReceived: /,
    )
  } finally {
    await gate.stop()
    await sink.close()
    await receiver.close()
    rmSync(folder, { recursive: true })
  }
})

test('kill -9 while the next hop has a message loses none, and repeats only what nobody had an answer to', async () => {
  const folder = place()
  const receiver = await WebhookReceiver.start(KEY)
  const held: ReceivedPost[] = []
  let wake: (() => void) | undefined
  receiver.answer = (post) => {
    held.push(post)
    wake?.()
  }
  // of three recipients of one transaction two have their answer when the gate dies
  let lmtp = 0
  const sink = await SmtpSink.start(
    { messageFor: (_, index) => (index < 2 ? '250 kept' : 'hang') },
    path.join(folder, 'lmtp'),
  )
  const file = path.join(folder, 'gate.conf')
  writeFileSync(
    file,
    `Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\nDNS_Servers = ( "127.0.0.1:9" )\n${conf(folder, receiver)}`,
  )
  try {
    const gate = await startGateProcess(file)
    const [address] = gate.addresses
    assert.ok(address !== undefined)
    const client = await connect(address)
    await client.command('MAIL FROM:<a@b.example>')
    for (const name of ['x', 'y', 'z']) await client.command(`RCPT TO:<${name}@store.example>`)
    await client.command('DATA')
    assert.match(await client.command('Subject: three\r\n\r\nx\r\n.'), /^250 /)
    assert.match(await client.deliver('a@b.example', 'w@app.example', 'Subject: web\n\nx'), /^250 /)
    assert.match(await client.deliver('a@b.example', 'p@pipe.example', 'Subject: pipe\n\nx'), /^250 /)
    await sink.until(({ received }) => received.length > 0)
    while (held.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    assert.equal(await gate.end('SIGKILL'), 'SIGKILL')
    client.destroy()
    lmtp = sink.received.length
    sink.script = () => ({ messageFor: () => '250 kept' })
    receiver.answer = (_, response) => response.writeHead(200).end()

    const again = await startGateProcess(file)
    await sink.until(({ received }) => received.slice(lmtp).some(({ rcpt }) => rcpt.join('').includes('z@')))
    for (const until = Date.now() + 20_000; Date.now() < until; ) {
      const names = readdirSync(folder).filter((name) => name.endsWith('.mail'))
      if (receiver.posts.length > held.length && names.length > 0) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(await again.end('SIGTERM'), 0)
    assert.ok(readdirSync(folder).some((name) => name.startsWith('p.') && name.endsWith('.mail')))
    assert.equal(readdirSync(path.join(folder, 'spool', 'pipe')).length, 0, 'no message lies about')
    // the receiver knows the message by its key: it was posted again, and is there once
    assert.equal(receiver.kept.length, 1)
    assert.ok(receiver.posts.length >= 2)
    assert.deepEqual(new Set(receiver.posts.map(({ body }) => body)).size, 1)
  } finally {
    await sink.close()
    await receiver.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the example of a receiver takes what is signed, once', async () => {
  const folder = place()
  const example = path.join(import.meta.dirname, '..', '..', 'examples', 'webhook-receiver.ts')
  const child = spawn(process.execPath, [example, path.join(folder, 'app.key'), '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => String((await lines.next()).value)
  try {
    const { port } = JSON.parse((await line()).replace(/^ready /, '')) as { port: number }
    assert.equal((await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' })).status, 401)
    const gate = await startTestGate({
      conf: conf(folder, { port }).replace('"program"\n  domain', `"${folder}/program"\n  domain`),
      files: { 'app.key': KEY },
    })
    const client = await connect(gate.address())
    assert.match(await client.deliver('a@b.example', 'w@app.example', 'Subject: x\n\nhello'), /^250 /)
    client.destroy()
    const { envelope, text } = await gate.event('delivery')
    assert.equal(text, '250 2.0.0 [internal] webhook "app" answered 204')
    const told = await line()
    assert.ok(told.startsWith(`${envelope.id} a@b.example w@app.example - `), told)
    await gate.stop()
  } finally {
    child.kill()
    rmSync(folder, { recursive: true })
  }
})
