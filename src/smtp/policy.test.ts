import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { LiveSession } from '../events/live.ts'
import type { AnyFacts, SessionFacts } from '../policy/phases.ts'
import type { Verdict } from '../policy/verdict.ts'
import { startHost } from './session-host.fixture.ts'
import { openData, withClient, withHost } from './with-client.fixture.ts'

const reply = (code: number, text: string): Verdict => ({ kind: 'reply', code, text, module: 'script' })
const disconnect = (code: number, text: string): Verdict => ({
  kind: 'disconnect',
  code,
  text,
  module: 'script',
})
const say = (): Verdict => reply(250, 'as policy says\nsecond line')
const headerText = (header: Uint8Array | undefined): string => Buffer.from(header ?? []).toString('latin1')
const discard: Verdict = {
  kind: 'discard',
  text: '550 5.7.1 [internal] discarded by policy',
  module: 'script',
}

test('a refusal at connect stands in for the banner and closes', async () => {
  for (const verdict of [reply(554, '5.7.1 go away'), disconnect(554, '5.7.1 go away')]) {
    await withHost({ policy: { connect: () => verdict } }, async (client, host) => {
      assert.equal(await client.reply(), '554 5.7.1 go away')
      await client.closed()
      assert.deepEqual(host.rejected(), ['just connected: 554 5.7.1 go away (script)'])
    })
  }
})

test('a 2xx replaces the words of a success, never the capabilities', async () => {
  const policy = { connect: say, ehlo: say, mailfrom: say, rcptto: say, data: say }
  await withHost({ policy }, async (client) => {
    assert.equal(await client.reply(), '220-as policy says\n220 second line')
    assert.equal(await client.command('EHLO x'), '250-as policy says\n250-PIPELINING\n250-8BITMIME\n250 SIZE')
    assert.equal(await client.command('MAIL FROM:<>'), '250-as policy says\n250 second line')
    assert.equal(await client.command('RCPT TO:<x@local.example>'), '250-as policy says\n250 second line')
    await client.command('DATA')
    assert.equal(await client.command('A: b\r\n\r\n.'), '250-as policy says\n250 second line')
  })
})

test('an enhanced status code in policy’s greeting never gets in front of the extensions', async () => {
  const policy = { ehlo: () => reply(250, '2.0.0 hello') }
  await withClient({ policy }, async (client) => {
    assert.equal(await client.command('EHLO x'), '250-hello\n250-PIPELINING\n250-8BITMIME\n250 SIZE')
  })
})

test('what policy does to the parameters that it is shown changes no other command', async () => {
  const policy = {
    mailfrom: ({ parameters }: AnyFacts['mailfrom']): Verdict => {
      if (parameters instanceof Map) parameters.set('X-MINE', 'on')
      return { kind: 'continue' }
    },
  }
  await withClient({ policy }, async (client) => {
    await client.command('EHLO x')
    for (let i = 0; i < 2; i += 1) {
      assert.match(await client.command('MAIL FROM:<a@b.example>'), /^250 /)
      assert.match(await client.command('RCPT TO:<x@local.example>'), /^250 /)
      await client.command('RSET')
    }
  })
})

test('a refusal at MAIL, RCPT and after the data is told once, in the state that awaited the command', async () => {
  let phase = 'mailfrom'
  const when = (name: string) => (): Verdict =>
    phase === name ? reply(550, `5.7.1 ${name}`) : { kind: 'done' }
  const policy = {
    mailfrom: when('mailfrom'),
    rcptto: when('rcptto'),
    data: when('data'),
    data_spool: when('data_spool'),
    data_spool_each_rcpt: when('each'),
    set_binding: when('set_binding'),
  }
  await withClient({ policy }, async (client, host) => {
    await client.ehlo()
    assert.equal(await client.command('MAIL FROM:<a@b.example>'), '550 5.7.1 mailfrom')
    assert.match(await client.command('RCPT TO:<x@local.example>'), /^503/)
    phase = 'rcptto'
    await client.command('MAIL FROM:<a@b.example>')
    assert.equal(await client.command('RCPT TO:<x@local.example>'), '550 5.7.1 rcptto')
    assert.match(await client.command('DATA'), /^503/)
    await client.command('RSET')
    for (const name of ['data', 'data_spool', 'each', 'set_binding']) {
      phase = name
      await openData(client)
      assert.equal(await client.command('A: b\r\n\r\n.'), `550 5.7.1 ${name}`)
    }
    assert.deepEqual(
      host.rejected().filter((text) => text.includes('script')),
      [
        'awaiting mailfrom: 550 5.7.1 mailfrom (script)',
        'awaiting rcptto: 550 5.7.1 rcptto (script)',
        'reading body: 550 5.7.1 data (script)',
        'async body response: 550 5.7.1 data_spool (script)',
        'async body response: 550 5.7.1 each (script)',
        'async body response: 550 5.7.1 set_binding (script)',
      ],
    )
    assert.equal(host.enqueued.length, 0)
  })
})

test('disconnect and 421 close after the reply', async () => {
  for (const verdict of [reply(421, '4.7.0 later'), disconnect(550, '5.7.1 never'), disconnect(250, 'bye')]) {
    await withClient({ policy: { mailfrom: () => verdict } }, async (client, host) => {
      client.sendRaw('MAIL FROM:<>\r\nNOOP\r\n')
      assert.match(await client.reply(), /^(421 4\.7\.0 later|550 5\.7\.1 never|421 bye)$/)
      await client.closed()
      assert.equal(client.pending, '')
      assert.equal(host.rejections().length, 1)
    })
  }
})

test('an answer that is none, and a policy that throws, fail closed', async () => {
  for (const code of [354, 250.5, 450.5, Number.NaN]) {
    await withClient({ policy: { mailfrom: () => reply(code, 'go on') } }, async (client, host) => {
      assert.equal(await client.command('MAIL FROM:<>'), '451 4.3.0 transaction failed')
      assert.equal(host.events.filter(({ kind }) => kind === 'panic').length, 1)
    })
    await withHost({ policy: { connect: () => reply(code, 'go on') } }, async (client) => {
      assert.equal(await client.reply(), '451 4.3.0 transaction failed')
      await client.closed()
    })
  }
  await withClient(
    { policy: { mailfrom: () => Promise.reject(new Error('boom')) } },
    async (client, host) => {
      assert.equal(
        await client.command('MAIL FROM:<>'),
        '421 gate.example temporary issue, please retry your message later',
      )
      await client.closed()
      assert.equal(host.events.filter(({ kind }) => kind === 'panic').length, 1)
      assert.equal(host.rejections().length, 1)
    },
  )
})

test('some recipients refused: 250, and the others get the message', async () => {
  const policy = {
    data_spool_each_rcpt: ({ message }: { message: { recipient: { local: string } | undefined } }) =>
      message.recipient?.local === 'bad' ? reply(550, '5.7.1 not you') : undefined,
  }
  await withClient({ policy }, async (client, host) => {
    await openData(client, 'good@local.example', 'bad@local.example', 'fine@local.example')
    assert.match(await client.command('A: b\r\n\r\n.'), /^250/)
    assert.deepEqual(
      host.enqueued.map(({ envelope }) => envelope.recipient.local),
      ['good', 'fine'],
    )
    assert.deepEqual(host.rejected(), ['async body response: 550 5.7.1 not you (script)'])
    assert.equal(host.rejections()[0]?.messageContext['rcptto_localpart'], 'bad')
    await openData(client, 'bad@local.example', 'bad@local.example')
    assert.equal(await client.command('A: b\r\n\r\n.'), '550 5.7.1 not you')
    assert.equal(host.rejections().length, 3)
  })
})

test('what a script changes for one recipient stays with that recipient', async () => {
  await withClient(
    {
      policy: {
        data: ({ message }) => {
          message.headers?.append('X-All', 'yes')
          message.context.set('message', 'seen', message.context.get('message', 'rcptto_localpart'))
          message.sender = undefined
          return undefined
        },
        data_spool_each_rcpt: ({ message }) => {
          if (message.recipient?.local !== 'b') return undefined
          message.headers?.append('X-Copy', 'b')
          message.context.set('message', 'copy', 'b')
          message.recipient = { local: 'c', domain: 'local.example' }
          return undefined
        },
      },
    },
    async (client, host) => {
      await openData(client, 'a@local.example', 'b@local.example')
      assert.match(await client.command('Subject: s\r\n\r\nbody\r\n.'), /^250/)
      const [first, second] = host.enqueued
      assert.match(
        headerText(first?.header),
        /^Received: [^]*envelope-from <>[^]*\r\nSubject: s\r\nX-All: yes\r\n\r\n$/,
      )
      assert.match(
        headerText(second?.header),
        /^Received: [^]*\r\nSubject: s\r\nX-All: yes\r\nX-Copy: b\r\n\r\n$/,
      )
      assert.equal(first?.envelope.messageContext['copy'], undefined)
      assert.equal(second?.envelope.messageContext['copy'], 'b')
      assert.equal(second?.envelope.recipient.local, 'c')
      assert.equal(second?.envelope.messageContext['rcptto_localpart'], 'b')
      assert.equal(first?.envelope.messageContext['seen'], 'a')
      assert.equal(first?.envelope.sender, undefined)
      assert.equal(first?.envelope.id, first?.envelope.batchId)
      assert.equal(second?.envelope.batchId, first?.envelope.id)
      const body = (await host.spool.read(first?.envelope.id ?? ''))?.bodySize ?? 0
      assert.equal(second?.envelope.size, (second?.header.length ?? 0) + body)
    },
  )
})

test('a discarded message is answered 250, told as a rejection and not kept', async () => {
  for (const phase of [
    'mailfrom',
    'rcptto',
    'data',
    'data_spool',
    'data_spool_each_rcpt',
    'set_binding',
  ] as const) {
    const looks: (() => LiveSession)[] = []
    const liveSessions = {
      add: (look: () => LiveSession) => {
        looks.push(look)
        return () => undefined
      },
    }
    const options = { policy: { [phase]: () => discard }, services: { liveSessions } }
    await withClient(options, async (client, host) => {
      await openData(client)
      assert.match(await client.command('A: b\r\n\r\n.'), /^250 2\.0\.0 message .* accepted$/, phase)
      assert.equal(looks[0]?.().receptions, 0, 'nor counted as taken')
      assert.equal(host.enqueued.length, 0)
      assert.equal(host.rejections().length, 1, phase)
      assert.equal(host.rejections()[0]?.text, '550 5.7.1 [internal] discarded by policy')
      assert.match(await client.command('DATA'), /^503/)
    })
  }
})

test('a tarpit delays its own session, no longer than the limit, and no other', async () => {
  let seconds = 0.05
  const policy = { mailfrom: () => tarpit(seconds, tarpit(seconds, reply(550, 'slow'))) }
  await withClient({ policy, services: { limits: { tarpit: 80 } } }, async (client) => {
    const started = performance.now()
    assert.equal(await client.command('MAIL FROM:<>'), '550 slow')
    assert.ok(performance.now() - started >= 75)
    seconds = Number.POSITIVE_INFINITY
    assert.equal(await client.command('MAIL FROM:<>'), '550 slow')
  })
})

test('policy that waits hears that the connection is lost', { timeout: 10_000 }, async () => {
  for (const phase of ['connect', 'mailfrom'] as const) {
    const asked = Promise.withResolvers<AbortSignal | undefined>()
    const policy = {
      [phase]: async ({ session: { gone } }: { session: SessionFacts }): Promise<Verdict> => {
        asked.resolve(gone)
        if (gone !== undefined) await once(gone, 'abort')
        return { kind: 'continue' }
      },
    }
    const host = await startHost({ policy })
    try {
      const socket = connect(host.address)
      socket.write('EHLO x\r\nMAIL FROM:<>\r\n')
      assert.ok((await asked.promise) !== undefined, 'policy is told of no end')
      socket.resetAndDestroy()
      await host.sessionsEnded()
    } finally {
      await host.stop()
    }
  }
})

test('a tarpit ends when its client leaves', { timeout: 10_000 }, async () => {
  for (const phase of ['connect', 'mailfrom'] as const) {
    const policy = { [phase]: () => tarpit(60, { kind: 'continue' }) }
    await withHost({ policy }, async (client, host) => {
      if (phase === 'mailfrom') client.send('MAIL FROM:<>')
      await new Promise((resolve) => setTimeout(resolve, 20))
      client.destroy()
      await host.sessionsEnded()
    })
  }
})

test('policy is told once when a session ends, however it ends', async () => {
  for (const last of ['QUIT\r\n', 'MAIL FROM:<>\r\nRCPT TO:<x@local.example>\r\nDATA\r\nhalf']) {
    const ended: string[] = []
    await withClient({ ended: (id) => ended.push(id) }, async (client, host) => {
      client.sendRaw(last)
      client.end()
      await host.sessionsEnded()
      assert.deepEqual(ended, ['00/00-00001-00000001'])
    })
  }
})

test('a script moves the connection to another pathway; an unknown one refuses', async () => {
  const pathways = { strict: { max_message_size: 5, context: { site: 'strict' } } }
  const options = { smtp_extensions: ['XDUMPCONTEXT'], context: { site: 'usual' } }
  let wanted = 'strict'
  await withHost(
    {
      options,
      pathways,
      policy: {
        connect: ({ session }) => {
          session.context.set('connection', 'pathway', wanted)
          return undefined
        },
      },
    },
    async (client, host) => {
      await client.reply()
      assert.ok((await client.ehlo()).includes('SIZE 5'))
      const context = await client.context()
      assert.equal(context.get('connection.site'), 'strict')
      await client.command('BAD')
      assert.equal(host.rejections()[0]?.pathway, 'strict')
    },
  )
  wanted = 'strct'
  await withHost(
    {
      options,
      pathways,
      policy: {
        connect: ({ session }) => {
          session.context.set('connection', 'pathway', wanted)
          return undefined
        },
      },
    },
    async (client, host) => {
      assert.match(await client.reply(), /^421 gate\.example temporary issue/)
      await client.closed()
      assert.equal(host.events.filter(({ kind }) => kind === 'panic').length, 1)
    },
  )
})

test('can_relay that a script sets before RCPT is honoured, and goes when a rule set it that no longer holds', async () => {
  const options = { open_relay: true, smtp_extensions: ['XDUMPCONTEXT'] }
  const pathways = { closed: { open_relay: false } }
  await withClient(
    {
      options,
      pathways,
      policy: {
        ehlo: ({ session, line }) => {
          if (line.includes('closed')) session.context.set('connection', 'pathway', 'closed')
          if (line.includes('granted')) session.context.set('connection', 'can_relay', 'true')
          return undefined
        },
      },
    },
    async (client) => {
      assert.equal((await client.context()).get('connection.can_relay'), 'true')
      await client.command('EHLO closed.example')
      assert.equal((await client.context()).get('connection.can_relay'), undefined)
      await client.command('MAIL FROM:<>')
      assert.match(await client.command('RCPT TO:<x@elsewhere.example>'), /^550 5\.7\.1/)
      await client.command('EHLO granted.example')
      await client.command('MAIL FROM:<>')
      assert.match(await client.command('RCPT TO:<x@elsewhere.example>'), /^250/)
    },
  )
})

function tarpit(seconds: number, next: Verdict): Verdict {
  // oxlint-disable-next-line unicorn/no-thenable -- the Verdict's own word; it holds no function
  return { kind: 'tarpit', seconds, then: next }
}
