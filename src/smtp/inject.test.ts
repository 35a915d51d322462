/** Messages that policy sends while it is asked about another one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMailbox } from '../mail/address.ts'
import { HeaderBlock } from '../mail/headers.ts'
import type { NewMail } from '../policy/phases.ts'
import type { ScriptedPolicy, SessionHost } from './session-host.fixture.ts'
import { withClient } from './with-client.fixture.ts'

function mail(over: Partial<NewMail> = {}): NewMail {
  const recipient = parseMailbox('copy@local.example')
  assert.ok(recipient !== undefined)
  const headers = new HeaderBlock('Subject: made\r\n')
  return { sender: undefined, recipients: [recipient], headers, body: 'made\n', ...over }
}

interface Kept {
  readonly text: string
  readonly id: string
  readonly to: string
}

async function kept(host: SessionHost): Promise<Kept[]> {
  return await Promise.all(
    [...host.spool.messages()].map(async ({ envelope }) => {
      const content = await host.spool.read(envelope.id)
      assert.ok(content !== undefined)
      const chunks: Uint8Array[] = []
      for await (const chunk of content.body()) chunks.push(chunk)
      const text = Buffer.concat([content.header, ...chunks]).toString('latin1')
      return { text, id: envelope.id, to: envelope.recipient.local }
    }),
  )
}

/** What comes of one message while policy sends so in `data`. */
async function deliver(
  send: (take: (mail: NewMail) => Promise<void>) => Promise<void>,
  text = 'Subject: x\n\nx',
) {
  let failure: unknown
  let asked = 0
  const policy: ScriptedPolicy = {
    data: async ({ message }) => {
      asked++
      assert.ok(message.send !== undefined)
      await send(message.send).catch((error: unknown) => {
        failure = error
      })
      return { kind: 'continue' }
    },
  }
  const hosts: SessionHost[] = []
  await withClient({ policy }, async (client, started) => {
    hosts.push(started)
    await client.ehlo()
    assert.match(await client.deliver('a@b.example', 'c@local.example', text), /^250/)
  })
  const [host] = hosts
  assert.ok(host !== undefined)
  return { messages: await kept(host), failure, asked, host }
}

test('a message of policy is kept, told and handed over under ids of its own, and nobody is asked about it', async () => {
  const { messages, failure, asked, host } = await deliver((take) => take(mail()))
  assert.equal(failure, undefined)
  assert.equal(asked, 1)
  assert.deepEqual(messages.map(({ to }) => to).toSorted(), ['c', 'copy'])
  assert.equal(new Set(messages.map(({ id }) => id)).size, 2)
  const made = messages.find(({ to }) => to === 'copy')
  assert.match(
    made?.text ?? '',
    /^Received: by \S+ \(envelope-from <>\)\r\n\t\(postern 1\.0\.0\) id \S+; .*\r\nX-Postern-Generation: 1\r\nSubject: made\r\nDate: .*\r\nMessage-ID: <.*@gate\.example>\r\n\r\nmade\r\n$/,
  )
  const told = host.events.filter((event) => event.kind === 'reception')
  assert.deepEqual(
    told.map(({ protocol, envelope }) => [protocol, envelope.recipient.local]),
    [
      ['internal', 'copy'],
      ['esmtp', 'c'],
    ],
  )
  assert.deepEqual(
    host.enqueued.map(({ envelope }) => envelope.recipient.local),
    ['copy', 'c'],
  )
})

test('mail in answer to mail in answer to mail ends', async () => {
  for (const [value, taken] of [
    ['4', true],
    ['5', false],
    ['1\nX-Postern-Generation: 5', false],
    ['none', false],
  ] as const) {
    const { messages, failure } = await deliver(
      (take) => take(mail()),
      `X-Postern-Generation: ${value}\nSubject: x\n\nx`,
    )
    assert.equal(messages.length, taken ? 2 : 1, value)
    assert.equal(failure === undefined, taken, value)
    if (taken) assert.match(messages.map(({ text }) => text).join(''), /^X-Postern-Generation: 5\r$/m)
  }
})

test('a transaction sends so many messages and no more', async () => {
  const [recipient] = mail().recipients
  assert.ok(recipient !== undefined)
  const { messages, failure } = await deliver(async (take) => {
    await take(mail({ recipients: Array.from({ length: 1000 }, () => recipient) }))
    await take(mail())
  })
  assert.equal(messages.length, 1001)
  assert.match(String(failure), /at most 1000 messages/)
})

test('what cannot be sent is refused whole', async () => {
  for (const bad of [
    mail({ body: 'a\0b' }),
    mail({ body: 'x'.repeat(16 * 1024 * 1024 + 1) }),
    mail({ recipients: [] }),
    mail({ headers: new HeaderBlock(`X: ${'x'.repeat(300_000)}\r\n`) }),
  ]) {
    const { messages, failure } = await deliver((take) => take(bad))
    assert.ok(failure instanceof Error)
    assert.equal(messages.length, 1)
  }
})
