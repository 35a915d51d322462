import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import {
  contentOf,
  openGate,
  outboundDefaults,
  storedMessage,
  webhookSettings,
} from '../../../test/support/messages.ts'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import { type ReceivedPost, WebhookReceiver } from '../../../test/support/webhook-receiver.ts'
import type { OutboundValues } from '../../config/settings.ts'
import type { WebhookSettings } from '../../config/settings-delivery.ts'
import type { StoredContent, StoredMessage } from '../../spool/spool.ts'
import type { AttemptResult } from '../transport.ts'
import { answerOf } from './answer.ts'
import { WebhookMaterial } from './material.ts'
import { WebhookTransport } from './webhook-transport.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())

const KEY = 'a key of 32 octets, or some more of them'
const OTHER = 'another key of 32 octets, for when it is replaced'

function keyFile(name: string, text: string) {
  writeFileSync(pki.file(name), text)
  return { path: pki.file(name), text: name }
}

const key_file = [keyFile('app.key', `${KEY}\n`)]

interface Sent {
  readonly message?: StoredMessage
  readonly content?: StoredContent
  readonly changes?: Partial<WebhookSettings>
  readonly options?: Partial<OutboundValues>
  readonly transport?: WebhookTransport
}

async function send(url: string, sent: Sent = {}): Promise<AttemptResult> {
  const { message = storedMessage('m'), content = contentOf('Subject: hi\r\n\r\n', 'one\r\n.two\r\n') } = sent
  const transport = sent.transport ?? new WebhookTransport({ material: new WebhookMaterial() })
  try {
    const [result] = await transport.deliver([message], content, {
      route: { kind: 'webhook', webhook: webhookSettings(url, { key_file, ...sent.changes }) },
      options: { ...outboundDefaults, ...sent.options },
      mayRepeat: false,
      gate: openGate,
      signal: new AbortController().signal,
    })
    assert.ok(result !== undefined)
    return result
  } finally {
    if (sent.transport === undefined) transport.close()
  }
}

const outcome = ({ kind, text }: AttemptResult): string => `${kind} ${text}`

async function withReceiver<T>(
  answer: (post: ReceivedPost, response: ServerResponse) => void,
  run: (receiver: WebhookReceiver, url: string) => Promise<T>,
  key = KEY,
): Promise<T> {
  const receiver = await WebhookReceiver.start(key)
  receiver.answer = answer
  try {
    return await run(receiver, `http://127.0.0.1:${receiver.port}/mail?gate=1`)
  } finally {
    await receiver.close()
  }
}

const ok = (_: ReceivedPost, response: ServerResponse): void => void response.writeHead(202).end()

test('a message is posted as it is, with its envelope and what is known of the client', async () => {
  await withReceiver(ok, async (receiver, url) => {
    const message = storedMessage('00/01-2', {
      sender: undefined,
      recipient: { local: 'M\xc3\xbcller', domain: 'example.com' },
      connectionContext: {
        tls_client_verified: 'yes',
        tls_client_cert_subject: 'CN=B\xc3\xb6rse\\0A,O=x',
        tls_partner: 'acme',
        tls_client_cert_san_uri: 'x'.repeat(2000),
        secret: 'not asked for',
      },
      messageContext: { tls_partner: 'forged by nobody', spf: 'pass' },
    })
    const changes = {
      context_keys: [
        'tls_client_verified',
        'tls_client_cert_subject',
        'tls_client_cert_san_uri',
        'tls_partner',
        'spf',
        'absent',
        '__proto__',
        'constructor',
      ],
    }
    const result = await send(url, { message, changes })
    assert.deepEqual(result, {
      kind: 'delivered',
      stage: 9,
      text: '250 2.0.0 [internal] webhook "app" answered 202',
      bytes: 26,
      remote: '127.0.0.1',
      notice: 'delivered',
    })
    const [post] = receiver.posts
    assert.equal(receiver.bad, 0)
    assert.equal(post?.body, 'Subject: hi\r\n\r\none\r\n.two\r\n')
    assert.equal(post.headers['content-type'], 'message/rfc822')
    assert.equal(post.headers['content-length'], '26')
    assert.equal(post.headers['idempotency-key'], '"00/01-2"')
    assert.deepEqual(post.envelope, {
      id: '00/01-2',
      batch: '00/02-00001-00000001',
      attempt: 1,
      sender: null,
      recipient: 'Müller@example.com',
      receivedAt: '2023-11-14T22:13:20.000Z',
      client: '192.0.2.1',
      connection: {
        tls_client_verified: 'yes',
        tls_client_cert_subject: 'CN=Börse\\0A,O=x',
        tls_partner: 'acme',
      },
      message: { tls_partner: 'forged by nobody', spf: 'pass' },
      omitted: ['tls_client_cert_san_uri'],
    })
  })
})

test('header lines stay below what a receiver takes, however much is known', async () => {
  await withReceiver(ok, async (receiver, url) => {
    const context_keys = Array.from({ length: 60 }, (_, n) => `key${n}`)
    const connectionContext = Object.fromEntries(context_keys.map((key) => [key, '"'.repeat(900)]))
    const message = storedMessage('m', { connectionContext, messageContext: connectionContext })
    assert.equal((await send(url, { message, changes: { context_keys } })).kind, 'delivered')
    assert.ok((receiver.posts[0]?.envelope.omitted.length ?? 0) > 50)
  })
})

test('a request with another key, time, envelope or message is not signed', async () => {
  await withReceiver(
    ok,
    async (receiver, url) => {
      assert.match(
        outcome(await send(url)),
        /^permanent 554 5\.3\.0 \[internal\] webhook "app" answered 401$/,
      )
      assert.equal(receiver.posts.length, 0)
    },
    OTHER,
  )
  await withReceiver(ok, async (receiver, url) => {
    const transport = new WebhookTransport({
      material: new WebhookMaterial(),
      clock: () => Date.now() - 400_000,
    })
    await send(url, { transport })
    transport.close()
    assert.equal(receiver.posts.length, 0, 'too old')
    await send(url)
    const [post] = receiver.posts
    assert.ok(post !== undefined)
    const again = async (changes: { readonly body?: string; readonly envelope?: string }) => {
      const signature = String(post.headers['postern-signature'])
      const envelope = changes.envelope ?? String(post.headers['postern-envelope'])
      const headers = { 'postern-signature': signature, 'postern-envelope': envelope }
      const { status } = await fetch(url, { method: 'POST', body: changes.body ?? post.body, headers })
      return status
    }
    const forSomebodyElse = { ...post.envelope, recipient: 'root@example.com' }
    const envelope = Buffer.from(JSON.stringify(forSomebodyElse)).toString('base64url')
    assert.deepEqual(
      [await again({}), await again({ body: `${post.body}x` }), await again({ envelope })],
      [202, 401, 401],
    )
  })
})

test('while a key is replaced both sign, so a receiver with either takes it', async () => {
  const changes = { key_file: [keyFile('new.key', OTHER), keyFile('old.key', KEY)] }
  for (const key of [KEY, OTHER]) {
    await withReceiver(
      ok,
      async (receiver, url) => {
        assert.equal((await send(url, { changes })).kind, 'delivered')
        assert.match(
          String(receiver.posts[0]?.headers['postern-signature']),
          /^t=\d+,v1=[0-9a-f]{64},v1=[0-9a-f]{64}$/,
        )
      },
      key,
    )
  }
})

const statuses: readonly (readonly [number, RegExp])[] = [
  [200, /^delivered 250 2\.0\.0/],
  [204, /^delivered/],
  [301, /^transient 451 4\.3\.0/],
  [307, /^transient/],
  [400, /^permanent 554 5\.3\.0/],
  [401, /^permanent/],
  [404, /^permanent/],
  [408, /^transient 451/],
  [410, /^permanent/],
  [413, /^permanent/],
  [425, /^transient/],
  [429, /^transient/],
  [500, /^transient/],
  [503, /^transient/],
]

test('a status is an answer, and a redirect leads nowhere', async () => {
  for (const [status, expected] of statuses) {
    await withReceiver(
      (_, response) => response.writeHead(status, { location: '/elsewhere' }).end(),
      async (receiver, url) => {
        assert.match(outcome(await send(url)), expected)
        assert.equal(receiver.posts.length, 1)
      },
    )
  }
})

test('what a receiver says in plain text is told; what it says otherwise is not', async () => {
  for (const [type, expected] of [
    ['text/plain; charset=utf-8', /answered 404: No such ticket\\x07$/],
    ['text/html', /answered 404$/],
  ] as const) {
    await withReceiver(
      (_, response) => response.writeHead(404, { 'content-type': type }).end('\nNo such ticket\x07\r\nmore'),
      async (_, url) => assert.match(outcome(await send(url)), expected),
    )
  }
})

const NOW = Date.parse('2026-01-01T00:00:00Z')
const waits: readonly (readonly [string | undefined, number, number | undefined])[] = [
  [undefined, 43_200, undefined],
  ['120', 43_200, 120],
  ['0', 43_200, 10],
  ['999999999', 43_200, 43_200],
  ['999999999', 0, 86_400],
  ['Thu, 01 Jan 2026 00:05:00 GMT', 43_200, 300],
  ['Thu, 01 Jan 2020 00:05:00 GMT', 43_200, 10],
  ['soon', 43_200, undefined],
  ['-5', 43_200, undefined],
  ['1e9', 43_200, undefined],
]

for (const [retryAfter, max_retry_interval, seconds] of waits) {
  test(`Retry-After: ${retryAfter ?? 'none'} with Max_Retry_Interval ${max_retry_interval}`, () => {
    const posted = { kind: 'answered', status: 503, whole: true, retryAfter, text: '', remote: '' } as const
    const { kind, retryAt } = answerOf('app', posted, { max_retry_interval }, NOW)
    assert.equal(kind, 'transient')
    assert.equal(retryAt, seconds === undefined ? undefined : NOW + seconds * 1000)
  })
}

test('no answer in time, a broken answer and nobody at all are tried again later', async () => {
  await withReceiver(
    () => undefined,
    async (_, url) => {
      const result = await send(url, { changes: { timeout: 0.2 } })
      assert.equal(outcome(result), 'transient 451 4.4.2 [internal] webhook "app": no answer in time')
    },
  )
  const server = createServer()
  server.on('connection', (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end('SMTP is something else\r\n'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const broken = await send(`http://127.0.0.1:${port}/`)
  assert.match(outcome(broken), /^transient 451 4\.4\.2 \[internal\] webhook "app": HPE_/)
  await new Promise((resolve) => server.close(resolve))
  const refused = await send(`http://127.0.0.1:${port}/`)
  assert.equal(outcome(refused), 'transient 451 4.4.1 [internal] webhook "app": connection refused')
  assert.deepEqual([refused.stage, refused.bytes], [0, 0])
})

test('an answer without end counts by its status, and costs no more than it must', async () => {
  let written = 0
  await withReceiver(
    (_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384))) written += 16_384
      }
      response.on('drain', more)
      more()
    },
    async (_, url) => assert.equal((await send(url)).kind, 'delivered'),
  )
  assert.ok(written < 32 * 1024 ** 2)
})

test('one that says yes before it has the message has not got it', async () => {
  const server = createServer((_, response) => response.writeHead(200).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const chunk = 'y'.repeat(64 * 1024)
  const content = contentOf('Subject: x\r\n\r\n', ...Array.from({ length: 400 }, () => chunk))
  const { port } = server.address() as AddressInfo
  const result = await send(`http://127.0.0.1:${port}/`, { content })
  assert.match(outcome(result), /^transient 451 4\.5\.0 .*before it had the message\)$/)
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

test('connections are kept, and one that the receiver has closed costs no attempt', async () => {
  const transport = new WebhookTransport({ material: new WebhookMaterial() })
  await withReceiver(ok, async (receiver, url) => {
    for (const id of ['a', 'b', 'c']) await send(url, { transport, message: storedMessage(id) })
    assert.equal(receiver.connections, 1)
    // the next answer is the end of the connection, just when the next message is on it
    receiver.answer = ({ connection }, response) => {
      if (connection === 1) response.destroy()
      else response.writeHead(200).end()
    }
    assert.equal((await send(url, { transport, message: storedMessage('d') })).kind, 'delivered')
    assert.equal(receiver.connections, 2)
    assert.equal(receiver.kept.length, 4)
  })
  transport.close()
})

test('https: the receiver is who the certificate of a named CA says, and nobody else', async () => {
  const server = await WebhookReceiver.start(KEY, {
    cert: readFileSync(pki.file('server.pem')),
    key: readFileSync(pki.file('server.key')),
    ca: readFileSync(pki.file('ca.pem')),
    requestCert: true,
    rejectUnauthorized: true,
  })
  const file = (name: string) => ({ path: pki.file(name), text: name })
  const tls = {
    tls_ca: file('ca.pem'),
    tls_certificate: file('client-valid.pem'),
    tls_key: file('client-valid.key'),
  }
  try {
    const url = `https://localhost:${server.port}/`
    assert.equal(
      outcome(await send(url, { changes: tls })),
      'delivered 250 2.0.0 [internal] webhook "app" answered 204',
    )
    const wrongCa = await send(url, { changes: { ...tls, tls_ca: file('other-ca.pem') } })
    assert.match(outcome(wrongCa), /^transient 451 4\.4\.\d .*(?:UNABLE_TO|SELF_SIGNED)/)
    const noCertificate = await send(url, { changes: { tls_ca: file('ca.pem') } })
    assert.equal(noCertificate.kind, 'transient')
    const wrongName = await send(`https://127.0.0.2:${server.port}/`, { changes: tls })
    assert.equal(wrongName.kind, 'transient')
    assert.equal(server.posts.length, 1)
  } finally {
    await server.close()
  }
})

test('a key that is too short, missing or no file at all is not used', async () => {
  for (const [text, message] of [
    ['short\n', /it has 5 octets, and a key needs at least 32/],
    [undefined, /./],
  ] as const) {
    const key = text === undefined ? { path: pki.file('none'), text: 'none' } : keyFile('short.key', text)
    await assert.rejects(send('http://127.0.0.1:9/', { changes: { key_file: [key] } }), message)
  }
})
