import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SmtpClient } from '../../test/support/smtp-client.ts'
import { withClient } from './with-client.fixture.ts'

const MESSAGE = 'Subject: hello\n\nbody'

test('a message goes from the banner to the spool, and is kept before it is answered', async () => {
  const order: string[] = []
  await withClient({ services: { enqueue: () => order.push('enqueued') } }, async (client, host) => {
    assert.deepEqual(await client.ehlo(), ['PIPELINING', '8BITMIME', 'SIZE'])
    assert.equal(
      await client.command('MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME'),
      '250 2.1.0 MAIL FROM accepted',
    )
    assert.equal(await client.command('RCPT TO:<x@local.example>'), '250 2.1.5 RCPT TO accepted.')
    assert.equal(await client.command('DATA'), '354 continue.  finished with "\\r\\n.\\r\\n"')
    const reply = await client.command('Subject: hello\r\n\r\n..dot\r\n.')
    const [stored] = [...host.spool.messages()]
    assert.equal(reply, `250 2.0.0 message ${stored?.envelope.id} accepted`)
    assert.deepEqual(order, ['enqueued'])
    assert.equal(stored?.envelope.bodyType, '8BITMIME')
    assert.deepEqual(stored?.envelope.recipient, { local: 'x', domain: 'local.example' })
    const content = await host.spool.read(stored?.envelope.id ?? '')
    const header = Buffer.from(content?.header ?? []).toString('latin1')
    assert.match(
      header,
      /^Received: from \[127\.0\.0\.1\] \(\[127\.0\.0\.1:\d+\] helo=client\.example\)\r\n\tby gate\.example \(envelope-from <a@b\.example>\)\r\n\t\(postern 1\.0\.0\) with ESMTP\r\n\tid [^;]+; .+\r\nSubject: hello\r\n\r\n$/,
    )
    assert.equal(stored?.envelope.size, header.length + '.dot\r\n'.length)
    assert.deepEqual(
      host.events.map(({ kind }) => kind),
      ['reception'],
    )
    assert.equal(await client.command('QUIT'), '221 2.0.0 gate.example closing connection')
    await client.closed()
    await host.sessionsEnded()
  })
})

test('a transaction in one segment is answered in order, wherever the segments are cut', async () => {
  const script =
    'EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<x@local.example>\r\nRCPT TO:<nobody@local.example>\r\nDATA\r\n'
  const text = `${script}A: b\r\n\r\nhi\r\n.\r\nNOOP\r\nQUIT\r\n`
  const codes = ['250', '250', '250', '550', '354', '250', '250', '221']
  for (const cut of [text.length, 1, 7, 16, script.length - 1, script.length + 1, text.length - 8]) {
    await withClient({}, async (client, host) => {
      for (let at = 0; at < text.length; at += cut) {
        client.sendRaw(text.slice(at, at + cut))
        await new Promise((resolve) => setImmediate(resolve))
      }
      for (const code of codes) assert.equal((await client.reply()).slice(0, 3), code, `cut at ${cut}`)
      assert.equal([...host.spool.messages()].length, 1)
    })
  }
})

test('a client that closes its side after QUIT still gets all its replies', async () => {
  await withClient({}, async (client) => {
    client.sendRaw('EHLO c.example\r\nMAIL FROM:<>\r\nQUIT\r\n')
    client.end()
    assert.match(await client.reply(), /^250-/)
    assert.match(await client.reply(), /^250 /)
    assert.match(await client.reply(), /^221 /)
    await client.closed()
  })
})

test('commands out of order get the documented replies, each told once', async () => {
  const cases: [string, RegExp][] = [
    ['RCPT TO:<x@local.example>', /^503 RCPT TO without MAIL FROM$/],
    ['DATA', /^503 5\.5\.1 DATA without MAIL FROM$/],
    ['EHLO', /^501 5\.5\.2 invalid EHLO$/],
    ['HELO a b', /^501 5\.5\.2 invalid HELO$/],
    ['FOO', /^500 5\.5\.2 unrecognized command$/],
    ['XDUMPCONTEXT', /^500 5\.5\.2 unrecognized command$/],
    ['STARTTLS', /^502 5\.5\.1 /],
    ['AUTH PLAIN AGEAYg==', /^502 5\.5\.1 /],
    ['RSET now', /^501 5\.5\.4 invalid arguments to RSET$/],
    ['VRFY', /^501 5\.5\.4 /],
    ['MAIL FROM:a@b.example', /^501 5\.5\.2 MAIL FROM syntax error$/],
    ['MAIL FROM:<a@b.example> FOO=1', /^555 5\.5\.4 /],
    ['MAIL FROM:<a@b.example> SIZE=x', /^501 5\.5\.4 /],
    ['MAIL FROM:<a@b.example> AUTH=<>', /^555 5\.5\.4 /],
    ['MAIL FROM:<\xfc@b.example>', /^553 5\.6\.7 /],
  ]
  await withClient({}, async (client, host) => {
    for (const [command, reply] of cases) assert.match(await client.command(command), reply, command)
    assert.equal(host.rejections().length, cases.length)
    assert.match(await client.command('VRFY someone'), /^252 /)
    assert.match(await client.command('HELP'), /^214 /)
    assert.match(await client.command('NOOP anything'), /^250 /)
  })
})

test('within a transaction MAIL and DATA without recipients are refused, and the transaction lives', async () => {
  await withClient({}, async (client, host) => {
    await client.ehlo()
    await client.command('MAIL FROM:<a@b.example>')
    assert.equal(await client.command('MAIL FROM:<c@d.example>'), '501 5.5.1 MAIL FROM already established')
    assert.equal(await client.command('DATA'), '503 5.5.1 DATA without RCPT TO')
    assert.equal(await client.command('DATA now'), '501 5.5.4 unexpected argument to DATA')
    assert.match(await client.command('RCPT TO:<x@local.example> NOTIFY=NEVER'), /^555 /)
    assert.equal(await client.command('RCPT TO:<x@elsewhere.example>'), '550 5.7.1 relaying denied')
    assert.equal(await client.command('RCPT TO:<nobody@local.example>'), '550 5.1.1 no such mailbox here')
    assert.match(await client.command('RCPT TO:<Postmaster>'), /^250 /)
    assert.match(await client.command('RCPT TO:<x@local.example>'), /^250 /)
    assert.deepEqual(host.rejected().slice(-2), [
      'relaying denied: 550 5.7.1 relaying denied (relay)',
      'awaiting rcptto: 550 5.1.1 no such mailbox here (core)',
    ])
    assert.match(await client.command('EHLO again.example'), /^250/)
    assert.match(await client.command('DATA'), /^503 5\.5\.1 DATA without MAIL FROM/)
  })
})

test('an invalid EHLO changes nothing, a refused one leaves the name of the one before', async () => {
  const policy = {
    ehlo: ({ line }: { line: string }) =>
      line.includes('bad')
        ? ({ kind: 'reply', code: 550, text: '5.7.1 no', module: 'test' } as const)
        : undefined,
  }
  await withClient({ policy, options: { smtp_extensions: ['XDUMPCONTEXT'] } }, async (client, host) => {
    await client.ehlo('good.example')
    await client.command('MAIL FROM:<a@b.example>')
    assert.equal(await client.command('EHLO bad.example'), '550 5.7.1 no')
    assert.equal(host.rejections()[0]?.connectionContext['ehlo_domain'], 'bad.example')
    assert.match(await client.command('EHLO'), /^501/)
    const context = await client.context()
    assert.equal(context.get('connection.ehlo_string'), 'EHLO good.example')
    assert.equal(context.get('message.mailfrom_domain'), 'b.example')
    assert.match(await client.command('RCPT TO:<x@local.example>'), /^250/)
  })
})

test('Require_EHLO refuses everything that needs a name', async () => {
  await withClient({ options: { require_ehlo: true } }, async (client) => {
    assert.equal(await client.command('MAIL FROM:<>'), '550 5.5.1 RFC2821 HELO/EHLO needed')
    assert.match(await client.command('NOOP'), /^250/)
    assert.match(await client.command('HELO x'), /^250 gate\.example says HELO to 127\.0\.0\.1$/)
    assert.match(await client.command('MAIL FROM:<>'), /^250/)
  })
})

test('Require_TLS refuses MAIL and VRFY in clear text', async () => {
  await withClient({ options: { require_tls: true } }, async (client) => {
    await client.ehlo()
    assert.equal(await client.command('MAIL FROM:<>'), '530 5.7.0 Must issue a STARTTLS command first')
    assert.match(await client.command('VRFY x'), /^530/)
    assert.match(await client.command('NOOP'), /^250/)
  })
})

test('the context has the documented keys with the documented lifetimes', async () => {
  const options = { smtp_extensions: ['xdumpcontext'], context: { site: 'north', tls: 'on' } }
  await withClient({ options }, async (client) => {
    const fresh = await client.context()
    assert.deepEqual(Object.fromEntries(fresh), {
      'connection.site': 'north',
      'connection.pathway': 'default',
    })
    await client.command('ehlo Client.Example')
    await client.command('MAIL FROM:<"a b"@b.example>')
    await client.command('RCPT TO:<X@local.example>')
    await client.command('RCPT TO:<y@local.example>')
    const context = await client.context()
    assert.deepEqual(Object.fromEntries(context), {
      'connection.site': 'north',
      'connection.pathway': 'default',
      'connection.ehlo_string': 'ehlo Client.Example',
      'connection.ehlo_domain': 'Client.Example',
      'connection.connection_message_count': '1',
      'connection.connection_rcpt_count': '2',
      'connection.message_rcpt_count': '2',
      'message.mailfrom_string': 'MAIL FROM:<"a b"@b.example>',
      'message.mailfrom_localpart': 'a b',
      'message.mailfrom_domain': 'b.example',
      'message.rcptto_string': 'RCPT TO:<y@local.example>',
      'message.rcptto_localpart': 'y',
      'message.rcptto_domain': 'local.example',
    })
    await client.command('RSET')
    const after = await client.context()
    assert.deepEqual(
      [...after.keys()].filter((key) => key.startsWith('message.') || key.includes('message_rcpt')),
      [],
    )
    assert.equal(after.get('connection.connection_rcpt_count'), '2')
  })
})

test('limits answer 452 and the connection goes on', async () => {
  const options = {
    max_recipients_per_message: 2,
    max_recipients_per_connection: 3,
    max_receptions_per_connection: 2,
  }
  await withClient({ options }, async (client) => {
    await client.ehlo()
    await client.command('MAIL FROM:<>')
    await client.command('RCPT TO:<a@local.example>')
    await client.command('RCPT TO:<b@local.example>')
    const third = await client.command('RCPT TO:<c@local.example>')
    assert.equal(third, '452 4.5.3 Service unavailable, recipients per message limit reached')
    await client.command('DATA')
    assert.match(await client.command('A: b\r\n\r\n.'), /^250/)
    await client.command('MAIL FROM:<>')
    await client.command('RCPT TO:<a@local.example>')
    const fourth = await client.command('RCPT TO:<b@local.example>')
    assert.equal(fourth, '452 4.5.3 Service unavailable, recipients per connection limit reached')
    await client.command('DATA')
    await client.command('A: b\r\n\r\n.')
    assert.equal(await client.command('MAIL FROM:<>'), '452 4.5.3 Service unavailable, batch limit reached')
  })
})

test('ten thousand recipients: a thousand are taken, the others are told to come again', async () => {
  await withClient({}, async (client, host) => {
    await client.ehlo()
    await client.command('MAIL FROM:<>')
    const codes = new Map<string, number>()
    for (let group = 0; group < 10; group += 1) {
      client.sendRaw(
        Array.from({ length: 1000 }, (_, i) => `RCPT TO:<r${group}.${i}@local.example>\r\n`).join(''),
      )
      for (let i = 0; i < 1000; i += 1) {
        const code = (await client.reply()).slice(0, 9)
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    }
    assert.deepEqual(Object.fromEntries(codes), { '250 2.1.5': 1000, '452 4.5.3': 9000 })
    await client.command('DATA')
    assert.match(await client.command('A: b\r\n\r\n.'), /^250/)
    assert.equal(host.enqueued.length, 1000)
    const ids = new Set(host.enqueued.map(({ envelope }) => envelope.id))
    assert.equal(ids.size, 1000)
    assert.equal(new Set(host.enqueued.map(({ envelope }) => envelope.batchId)).size, 1)
    // one header for all of them, not a thousand copies
    assert.equal(new Set(host.enqueued.map(({ header }) => header)).size, 1)
  })
})

test('after twenty bad commands the next one gets 421', async () => {
  await withClient({}, async (client, host) => {
    for (let i = 0; i < 20; i += 1) assert.match(await client.command('BAD'), /^500/)
    assert.match(await client.command('NOOP'), /^250/)
    assert.equal(await client.command('BAD'), '421 4.7.0 too many bad commands')
    await client.closed()
    assert.equal(host.rejections().length, 21)
  })
})

test('over-long lines, NUL, bare CR and LF in commands get one 500 each', async () => {
  await withClient({}, async (client) => {
    for (const bad of [
      'NO\0OP\r\n',
      'NOOP\nNOOP\r\n',
      'NOOP\rNOOP\r\n',
      `NOOP ${'x'.repeat(3000)}\r\n`,
      `${'y'.repeat(100_000)}\r\n`,
    ]) {
      client.sendRaw(bad)
      assert.match(await client.reply(), /^500 5\.5\.2 /)
    }
    assert.match(await client.command('NOOP'), /^250/)
    assert.equal(client.pending, '')
  })
})

test('a browser is sent away at its first line', async () => {
  await withClient({}, async (client, host) => {
    client.sendRaw('POST / HTTP/1.1\r\nHost: gate\r\n\r\nMAIL FROM:<a@b.example>\r\n')
    assert.match(await client.reply(), /^421 4\.7\.0 /)
    await client.closed()
    assert.equal(client.pending, '')
    assert.equal(host.rejections().length, 1)
  })
})

test('an idle client hears 421, which is no rejection', async () => {
  await withClient({ options: { idle_time: 0.05 } }, async (client, host) => {
    assert.match(await client.reply(), /^421 4\.4\.2 /)
    await client.closed()
    assert.equal(host.rejections().length, 0)
  })
})

test('a client that does not read is cut off', { timeout: 10_000 }, async () => {
  const limits = { writeStall: 50, lingerTime: 50 }
  await withClient(
    { services: { limits }, options: { smtp_extensions: ['XDUMPCONTEXT'] } },
    async (client, host) => {
      client.pause()
      const flood = setInterval(() => client.sendRaw('XDUMPCONTEXT\r\n'.repeat(4000)), 1)
      try {
        await host.sessionsEnded()
      } finally {
        clearInterval(flood)
      }
    },
  )
})

test('an error inside is a 451 and a panic, and the session lives', async () => {
  const local = {
    lookup: () => {
      throw new TypeError('broken table')
    },
  }
  await withClient({ services: { local } }, async (client, host) => {
    await client.command('MAIL FROM:<>')
    assert.equal(await client.command('RCPT TO:<x@local.example>'), '451 4.3.0 transaction failed')
    assert.match(await client.command('NOOP'), /^250/)
    const panics = host.events.filter((event) => event.kind === 'panic')
    assert.equal(panics.length, 1)
    assert.match(panics[0]?.text ?? '', /TypeError: broken table/)
    assert.equal(host.rejections().length, 1)
  })
})

test('a draining server lets a transaction end and refuses the next command', async () => {
  await withClient({}, async (client, host) => {
    await client.ehlo()
    await client.command('MAIL FROM:<>')
    await client.command('RCPT TO:<x@local.example>')
    const idle = await SmtpClient.connect(host.address)
    await idle.reply()
    host.drain()
    assert.equal(await idle.reply(), '421 4.4.5 Service unavailable')
    await idle.closed()
    await client.command('DATA')
    assert.match(await client.command('A: b\r\n\r\n.'), /^250/)
    assert.equal(await client.reply(), '421 4.4.5 Service unavailable')
    await client.closed()
    await host.sessionsEnded()
  })
})

test('listed words are announced by our rules, unknown ones verbatim', async () => {
  const options = {
    smtp_extensions: [
      'EnhancedStatusCodes',
      'STARTTLS',
      'AUTH PLAIN',
      'X-House 7',
      'XDUMPCONTEXT',
      'BINARYMIME',
      'A\r\nB',
    ],
    authplainparameters: { uri: 'file:///x' },
  }
  await withClient({ options }, async (client) => {
    assert.deepEqual(await client.ehlo(), [
      'PIPELINING',
      '8BITMIME',
      'SIZE',
      'ENHANCEDSTATUSCODES',
      'XDUMPCONTEXT',
      'X-House 7',
    ])
  })
})

test('a message that is too large is refused without keeping the session', { timeout: 20_000 }, async () => {
  const limits = { discard: 100_000, lingerTime: 200 }
  await withClient({ options: { max_message_size: 50_000 }, services: { limits } }, async (client, host) => {
    await client.deliver('', 'x@local.example', MESSAGE)
    await client.command('MAIL FROM:<>')
    await client.command('RCPT TO:<x@local.example>')
    await client.command('DATA')
    // a little too large: read to the end, then refused, and the session goes on
    assert.equal(
      await client.command(`A: b\r\n\r\n${'x'.repeat(70_000)}\r\n.`),
      '552 5.3.4 message size limit exceeded',
    )
    assert.match(await client.command('NOOP'), /^250/)
    await client.command('MAIL FROM:<>')
    await client.command('RCPT TO:<x@local.example>')
    await client.command('DATA')
    // endless: refused in mid-flight and cut
    client.sendRaw('A: b\r\n\r\n')
    const flood = setInterval(() => client.sendRaw(`${'y'.repeat(998)}\r\n`.repeat(60)), 1)
    try {
      assert.equal(await client.reply(), '552 5.3.4 message size limit exceeded')
      await client.closed()
    } finally {
      clearInterval(flood)
    }
    assert.equal(host.rejections().length, 2)
    assert.equal([...host.spool.messages()].length, 1)
  })
})
