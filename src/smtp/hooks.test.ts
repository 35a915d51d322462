/** The hooks between the phases, on a real session: their order, and what each may change; and the pathways that scripts choose. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMailbox } from '../mail/address.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { AnyPhase } from '../policy/phases.ts'
import type { Verdict } from '../policy/verdict.ts'
import type { ScriptedPolicy } from './session-host.fixture.ts'
import { openData, withClient, withHost } from './with-client.fixture.ts'

const refuse = (code: number): Verdict => ({ kind: 'reply', code, text: 'x no', module: 'test' })

function mailbox(text: string): Mailbox {
  const parsed = parseMailbox(text)
  assert.ok(parsed !== undefined)
  return parsed
}

test('policy is asked in the order of a reception', async () => {
  const asked: string[] = []
  const phases: readonly AnyPhase[] = [
    'connected',
    'accept',
    'connect',
    'final_validation',
    'rcptto_list_final',
    'data',
    'rcptto_list',
    'data_spool',
    'each_rcpt_after',
    'data_spool_each_rcpt',
    'post_final_validation',
    'set_binding',
    'final_validation2',
  ]
  const note = (phase: AnyPhase) => () => {
    asked.push(phase)
    return undefined
  }
  const policy: ScriptedPolicy = Object.fromEntries(phases.map((phase) => [phase, note(phase)]))
  await withClient({ policy }, async (client) => {
    await client.ehlo()
    assert.match(await client.deliver('a@b.example', 'c@local.example', 'Subject: x\n\nx'), /^250/)
  })
  assert.deepEqual(asked, [
    'accept',
    'connect',
    'connected',
    'data',
    'rcptto_list',
    'rcptto_list_final',
    'data_spool',
    'data_spool_each_rcpt',
    'each_rcpt_after',
    'set_binding',
    'final_validation2',
    'final_validation',
    'post_final_validation',
  ])
})

test('accept and connected refuse in the place of the banner, and the session ends', async () => {
  for (const phase of ['accept', 'connected'] as const) {
    await withHost({ policy: { [phase]: () => refuse(554) } }, async (client) => {
      assert.match(await client.reply(), /^554 x no/)
      assert.equal((await client.closed()).code, 'CLOSED')
    })
  }
})

test('recipients can be added and removed from data to rcptto_list_final, within the limit, and not later', async () => {
  const added = mailbox('archive@elsewhere.example')
  const seen: (number | undefined)[] = []
  const policy: ScriptedPolicy = {
    data: ({ message }) => {
      message.recipients?.replace([...message.recipients.mailboxes, added])
      return undefined
    },
    rcptto_list_final: ({ message }) => {
      message.recipients?.replace(message.recipients.mailboxes.filter(({ local }) => local !== 'gone'))
      assert.throws(() => message.recipients?.replace(Array.from({ length: 1001 }, () => added)), RangeError)
      return undefined
    },
    data_spool: ({ message }) => {
      seen.push(message.recipients?.mailboxes.length)
      assert.equal(message.recipient?.local, 'kept')
      assert.equal(message.context.get('message', 'rcptto_localpart'), 'kept')
      return undefined
    },
  }
  await withClient({ policy }, async (client, host) => {
    await client.ehlo()
    await openData(client, 'gone@local.example', 'kept@local.example')
    assert.match(await client.command('Subject: x\r\n\r\nx\r\n.'), /^250/)
    const kept = [...host.spool.messages()].map(({ envelope }) => envelope.recipient)
    assert.deepEqual(kept.map(({ local, domain }) => `${local}@${domain}`).toSorted(), [
      'archive@elsewhere.example',
      'kept@local.example',
    ])
  })
  assert.deepEqual(seen, [undefined])
})

test('a message that policy leaves without a recipient is discarded on record', async () => {
  const policy: ScriptedPolicy = {
    rcptto_list: ({ message }) => {
      message.recipients?.replace([])
      return undefined
    },
  }
  await withClient({ policy }, async (client, host) => {
    await client.ehlo()
    assert.match(await client.deliver('a@b.example', 'c@local.example', 'Subject: x\n\nx'), /^250/)
    assert.equal([...host.spool.messages()].length, 0)
    assert.deepEqual(host.rejected(), [
      'rcptto list final response: 550 550 5.7.0 discarded by policy: no recipient is left (scriptlet)',
    ])
  })
})

test('final_validation2 refuses one copy, or all of them', async () => {
  const policy: ScriptedPolicy = {
    final_validation2: ({ message }) => (message.recipient?.local === 'bad' ? refuse(550) : undefined),
  }
  await withClient({ policy }, async (client, host) => {
    await client.ehlo()
    assert.match(await client.deliver('a@b.example', 'bad@local.example', 'Subject: x\n\nx'), /^550 x no/)
    await openData(client, 'bad@local.example', 'good@local.example')
    assert.match(await client.command('Subject: x\r\n\r\nx\r\n.'), /^250/)
    assert.deepEqual(
      [...host.spool.messages()].map(({ envelope }) => envelope.recipient.local),
      ['good'],
    )
  })
})

test('scripts change what EHLO says, never what is possible', async () => {
  const options = {
    smtp_extensions: ['ENHANCEDSTATUSCODES', 'AUTH PLAIN', 'AUTH LOGIN'],
    allow_plaintext_auth: true,
    authplainparameters: { uri: 'file:///x' },
    authloginparameters: { uri: 'file:///x' },
  }
  const policy: ScriptedPolicy = {
    connect: ({ session }) => {
      session.capabilities?.remove('pipelining')
      session.capabilities?.remove('AUTH login')
      session.capabilities?.add('X-NOTE one two')
      session.capabilities?.add('STARTTLS')
      session.capabilities?.remove('ENHANCEDSTATUSCODES')
      session.capabilities?.add('enhancedstatuscodes')
      return undefined
    },
  }
  await withClient({ policy, options }, async (client) => {
    const lines = await client.ehlo()
    for (const line of ['8BITMIME', 'ENHANCEDSTATUSCODES', 'AUTH PLAIN', 'AUTH=PLAIN', 'X-NOTE one two']) {
      assert.ok(lines.includes(line), `${line} in ${lines.join(', ')}`)
    }
    assert.ok(!lines.includes('PIPELINING'))
    assert.ok(!lines.includes('STARTTLS'))
  })
})

test('auth_before refuses before any credential is read, or lets the attempt succeed', async () => {
  const options = {
    smtp_extensions: ['AUTH PLAIN'],
    allow_plaintext_auth: true,
    authplainparameters: { uri: 'file:///x' },
  }
  const wrong = Buffer.from('\0user\0wrong').toString('base64')
  const refusing: ScriptedPolicy = { auth_before: () => refuse(535) }
  await withClient({ policy: refusing, options }, async (client) => {
    await client.ehlo()
    assert.match(await client.command('AUTH PLAIN'), /^535/)
  })
  const granting: ScriptedPolicy = {
    auth_before: () => ({ kind: 'reply', code: 235, text: '2.7.0 fine', module: 'test' }),
  }
  await withClient({ policy: granting, options }, async (client) => {
    await client.ehlo()
    assert.match(await client.command(`AUTH PLAIN ${wrong}`), /^235/)
  })
  const denied = { ...options, always_deny: true }
  await withClient({ policy: granting, options: denied }, async (client) => {
    await client.ehlo()
    assert.match(await client.command(`AUTH PLAIN ${wrong}`), /^535/)
  })
  await withClient({ policy: { auth_before: () => undefined }, options }, async (client) => {
    await client.ehlo()
    assert.match(await client.command(`AUTH PLAIN ${wrong}`), /^535/)
  })
})

test('what policy says of urgency travels with the copy', async () => {
  const policy: ScriptedPolicy = {
    set_binding: ({ message }) => {
      message.priority = message.recipient?.local === 'soon' ? 1 : 0
      return undefined
    },
  }
  await withClient({ policy }, async (client, host) => {
    await client.ehlo()
    await openData(client, 'soon@local.example', 'later@local.example')
    assert.match(await client.command('Subject: x\r\n\r\nx\r\n.'), /^250/)
    const priorities = [...host.spool.messages()].map(({ envelope }) => [
      envelope.recipient.local,
      envelope.priority,
    ])
    assert.deepEqual(Object.fromEntries(priorities), { soon: 1, later: undefined })
  })
})

test('a pathway that a script names together with a refusal is in force from then on', async () => {
  await withClient(
    {
      options: { max_recipients_per_message: 2 },
      pathways: { slow: { max_recipients_per_message: 1 } },
      policy: {
        mailfrom: ({ session, line }) => {
          if (!line.includes('bad@')) return undefined
          session.context.set('connection', 'pathway', 'slow')
          return { kind: 'reply', code: 550, text: '5.7.1 not you', module: 'test' }
        },
      },
    },
    async (client, host) => {
      await client.ehlo()
      assert.equal(await client.command('MAIL FROM:<bad@x.example>'), '550 5.7.1 not you')
      assert.equal(host.rejections()[0]?.pathway, 'slow')
      await client.command('EHLO again.example')
      await client.command('MAIL FROM:<a@b.example>')
      assert.match(await client.command('RCPT TO:<x@local.example>'), /^250/)
      assert.match(await client.command('RCPT TO:<y@local.example>'), /^452/)
    },
  )
})

test('a pathway in the message context holds for that message and grants no relaying', async () => {
  const pathways = {
    quiet: { rfc2822_trace_headers: false, open_relay: true, relay_domains: ['elsewhere.example'] },
  }
  await withClient(
    {
      pathways,
      policy: {
        mailfrom: ({ session, line }) => {
          if (line.includes('quiet')) session.context.set('message', 'pathway', 'quiet')
          return undefined
        },
      },
    },
    async (client, host) => {
      await client.command('MAIL FROM:<quiet@from.example>')
      assert.equal(await client.command('RCPT TO:<x@elsewhere.example>'), '550 5.7.1 relaying denied')
      assert.equal(host.rejections()[0]?.pathway, 'quiet')
      await client.command('RCPT TO:<x@local.example>')
      await client.command('DATA')
      await client.command('A: b\r\n\r\n.')
      await openData(client)
      await client.command('A: b\r\n\r\n.')
      const headers = host.enqueued.map(({ header }) => Buffer.from(header).toString('latin1').slice(0, 8))
      assert.deepEqual(headers, ['A: b\r\n\r\n', 'Received'])
    },
  )
})
