import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemorySpool } from '../spool/memory-spool.ts'
import { type NewMessage, SpoolFullError } from '../spool/spool.ts'
import type { ScriptedPolicy } from './session-host.fixture.ts'
import { openData, withClient } from './with-client.fixture.ts'

/** Policies that say nothing about copies, and the same with somebody who is asked about each and changes nothing. */
const policies: Readonly<Record<string, ScriptedPolicy>> = {
  none: {},
  'of the message': {
    data: ({ message }) => {
      message.headers?.append('X-Seen', 'data')
      message.context.set('message', 'seen', 'data')
      message.context.set('message', 'rcptto_localpart', 'forged')
      message.sender = { local: 'other', domain: 'from.example' }
      message.routingDomain = 'next.example'
      return undefined
    },
    data_spool: ({ message }) => {
      message.context.set('connection', 'seen', 'data_spool')
      message.content?.replace('caf\xe9\r\n')
      return { kind: 'reply', code: 250, text: 'thank you', module: 'scriptlet' }
    },
  },
}

for (const [name, policy] of Object.entries(policies)) {
  test(`copies are the same whether or not anybody is asked about them (policy: ${name})`, async () => {
    const [plain, asked] = await Promise.all([
      kept(policy),
      kept({ ...policy, set_binding: () => undefined }),
    ])
    assert.equal(plain.length, 3)
    assert.deepEqual(plain, asked)
    assert.deepEqual(
      plain.map(({ envelope: { messageContext: keys } }) => [
        keys['rcptto_localpart'],
        keys['rcptto_string'],
      ]),
      ['a', 'b', 'c'].map((local) => [local, `RCPT TO:<${local}@local.example>`]),
    )
  })
}

test('a message for several that cannot be kept is refused once, on record for the first of them', async () => {
  for (const policy of [{}, { set_binding: () => undefined }]) {
    const spool = new MemorySpool()
    const create = spool.create.bind(spool)
    spool.create = () => Object.assign(create(), { commit: () => Promise.reject(new SpoolFullError()) })
    await withClient({ spool, policy }, async (client, host) => {
      await openData(client, 'a@local.example', 'b@local.example')
      assert.match(await client.command('A: b\r\n\r\n.'), /^452 4\.3\.1 /)
      assert.deepEqual(
        host.events.map(({ kind }) => kind),
        ['rejection'],
      )
      assert.equal(host.rejections()[0]?.messageContext['rcptto_localpart'], 'a')
      assert.deepEqual(host.enqueued, [])
    })
  }
})

test('Received says of each message of a session what holds for that message', async () => {
  await withClient(
    {
      pathways: { other: { received_hostname: 'other.example' } },
      policy: {
        mailfrom: ({ session, sender }) => {
          if (sender?.local === 'moved') session.context.set('message', 'pathway', 'other')
          return undefined
        },
      },
    },
    async (client, host) => {
      const send = async (...before: readonly string[]): Promise<string> => {
        for (const line of before) assert.match(await client.command(line), /^250/)
        assert.match(await client.command('RCPT TO:<x@local.example>'), /^250/)
        assert.match(await client.command('DATA'), /^354/)
        assert.match(await client.command('A: b\r\n\r\n.'), /^250/)
        const { header, envelope } = host.enqueued.at(-1) as NewMessage
        const text = Buffer.from(header).toString('latin1')
        assert.ok(text.includes(`id ${envelope.id}; `), text)
        return text.replace(/ \(127\.0[^]*helo=/, ' helo=').replace(/id [^]*/, '')
      }
      assert.match(
        await send('EHLO one', 'MAIL FROM:<a@from.example>'),
        /helo=one\)[^]*by gate\.example [^]*<a@[^]*ESMTP/,
      )
      assert.match(
        await send('MAIL FROM:<b@from.example>'),
        /helo=one\)[^]*by gate\.example [^]*<b@[^]*ESMTP/,
      )
      assert.match(
        await send('MAIL FROM:<moved@from.example>'),
        /helo=one\)[^]*by other\.example [^]*<moved@/,
      )
      assert.match(
        await send('HELO two', 'MAIL FROM:<>'),
        /helo=two\)[^]*by gate\.example [^]*from <>[^]*with SMTP/,
      )
      assert.match(
        await send('MAIL FROM:<a@from.example>'),
        /helo=two\)[^]*by gate\.example [^]*<a@[^]*with SMTP/,
      )
    },
  )
})

/** A message for three, as it is handed to delivery, without what differs from one run to the next. */
async function kept(policy: ScriptedPolicy): Promise<readonly NewMessage[]> {
  let messages: readonly NewMessage[] = []
  const services = { clock: () => 1_000_000_000_000 }
  await withClient({ policy, services }, async (client, host) => {
    await openData(client, 'a@local.example', 'b@local.example', 'c@local.example')
    assert.match(await client.command('Subject: s\r\n\r\nbody\r\n.'), /^250/)
    const ids = new Map(host.enqueued.map(({ envelope }, index) => [envelope.id, `message ${index}`]))
    messages = host.enqueued.map(({ envelope, header, ...more }) => {
      const port = envelope.client.port
      const text = Buffer.from(header).toString('latin1').replace(`:${port}]`, ':port]')
      return {
        ...more,
        header: Buffer.from(text.replace(envelope.batchId, 'batch'), 'latin1'),
        envelope: {
          ...envelope,
          id: ids.get(envelope.id) ?? '',
          batchId: ids.get(envelope.batchId) ?? '',
          client: { ...envelope.client, port: 0 },
          local: { ...envelope.local, port: 0 },
          size: envelope.size - String(port).length,
        },
      }
    })
  })
  return messages
}
