/** Policies in TypeScript: what they get, what they may answer, how they mix with Lua, and what becomes of errors. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { AnyPhase } from '../../src/policy/phases.ts'
import { policyText } from './modules.fixture.ts'
import { callout, mail, session, temporaryIssue } from './scripts.fixture.ts'
import {
  answers,
  close,
  factsOf,
  folder,
  goOn,
  load,
  methods,
  nextName,
  parameters,
  permitted,
  phases,
  reply,
} from './typescript.fixture.ts'

test('each phase calls its own method with its facts, and no other phase is wanted', async () => {
  const shown: {
    readonly [P in AnyPhase]: readonly [parameters: string, text: string, expected: string]
  } = {
    accept: ['s', '[s.remote.port]', '[40123]'],
    connect: ['s', '[s.remote.address, s.local.port]', '["192.0.2.7",25]'],
    connected: ['s', '[s.connectionId]', '["00/00-00001-00000001"]'],
    tls_parameters: ['s, t', '[t.use, t.mode, t.ca ?? "none"]', '[true,"unset","none"]'],
    tls_verify: ['s, c', 'c', '{"verified":true,"subject":"CN=a","issuer":"CN=ca"}'],
    host_verify: ['h, c', '[h.name, h.domain, c.verified]', '["mx.test","b.test",true]'],
    auth_before: ['s', '[s.peer.kind]', '["anonymous"]'],
    auth_perform: ['s, l', '[l.user, l.password]', '["ann","secret"]'],
    auth_failed: ['s, u, r', '[u, r]', '["ann","535 5.7.8 no"]'],
    each_rcpt_after: ['s, m', '[m.recipient.local]', '["bob"]'],
    final_validation: ['s, m', '[m.id]', '["00/01-00001-00000002"]'],
    rcptto_list: ['s, m, r', '[m.size, r.mailboxes[0].local]', '[1234,"bob"]'],
    rcptto_list_final: ['s, m, r', '[m.size, r === m.recipients]', '[1234,true]'],
    final_validation2: ['s, m', '[m.recipient.local]', '["bob"]'],
    post_final_validation: ['s, m', '[m.id]', '["00/01-00001-00000002"]'],
    ehlo: ['s, line', '[line]', '["EHLO one"]'],
    tls: ['s', '[s.peer.kind]', '["anonymous"]'],
    auth: ['s, a', 'a', '{"status":"pass","user":"ann","mechanism":"PLAIN"}'],
    mailfrom: [
      's, sender, p',
      '[sender, p.get("SIZE")]',
      '[{"local":"alice","domain":"from.example"},"1000"]',
    ],
    rcptto: ['s, m, r', '[m.id, r.local]', '["00/01-00001-00000002","bob"]'],
    data: ['s, m', '[m.headers.values("x-tag"), m.size]', '[["a","b"],1234]'],
    data_spool: ['s, m', '[m.recipient.local]', '["bob"]'],
    data_spool_each_rcpt: ['s, m', '[m.sender.local]', '["alice"]'],
    set_binding: ['s, m', '[m.id]', '["00/01-00001-00000002"]'],
  }
  for (const phase of phases) {
    const [parameters, text, expected] = shown[phase]
    // there is no session on the way out
    const keep = phase === 'host_verify' ? 'h.note(' : "s.context.set('connection', 'seen', "
    const { policy, panics } = await load(
      `${methods[phase]}(${parameters}) { ${keep}JSON.stringify(${text})) },`,
    )
    const facts = session({ auth_user: 'ann', auth_name: 'PLAIN' }, { kind: 'anonymous' })
    assert.deepEqual(policy.ask(phase, factsOf(facts)[phase] as never), goOn, phase)
    assert.equal(facts.context.get('connection', 'seen'), expected, phase)
    assert.deepEqual(panics, [])
    for (const other of phases) assert.equal(policy.wants(other), other === phase)
  }
})

/** What each expression comes to where it is permitted. */
test('every answer in every phase: its verdict where it is permitted, else the 421 and a line that names it', async () => {
  for (const [answer, kind, verdict] of answers) {
    const { policy, panics, name } = await load(
      phases.map((phase) => `${methods[phase]}: () => ${answer} as never,`).join('\n'),
    )
    for (const phase of phases) {
      panics.length = 0
      const got = policy.ask(phase, factsOf(session())[phase])
      const may = permitted[phase].split(' ').includes(kind)
      assert.deepEqual(got, may ? verdict : temporaryIssue, `${answer} in ${phase}`)
      assert.equal(panics.length, may ? 0 : 1)
      const line = 5 + phases.indexOf(phase)
      if (!may)
        assert.match(
          panics[0] ?? '',
          new RegExp(`^${methods[phase]} error: ${name}:${line}: returned \\{"kind"`),
        )
    }
  }
})

/** What a policy with this `tlsParameters` makes of them. */
async function askParameters(body: string) {
  const { policy, panics } = await load(`tlsParameters(s, t) { ${body} },`)
  const facts = factsOf(session()).tls_parameters
  return { verdict: await policy.ask('tls_parameters', facts), parameters: facts.parameters, panics }
}

test('TLS parameters are set by name and value; what does not exist is a 421 and sets nothing', async () => {
  const set = await askParameters(
    "t.mode = 'require'; t.ca = 'ca.pem'; t.certificate = 'c'; t.key = 'k'; t.ciphers = 'x'",
  )
  assert.deepEqual(set.verdict, goOn)
  const all = { use: true, mode: 'require', ca: 'ca.pem', certificate: 'c', key: 'k', ciphers: 'x' }
  assert.deepEqual(set.parameters, all)
  assert.deepEqual((await askParameters('t.use = false')).parameters, { ...parameters(), use: false })
  for (const wrong of [
    "t.mode = 'required'",
    't.mode = undefined',
    't.use = 0',
    "t.ca = ''",
    't.ca = 7',
    "t.key = 'a\\0b'",
    "t.verify = 'require'",
    "t.ciphers = 'x'.repeat(5000)",
  ]) {
    const { verdict, parameters: now, panics } = await askParameters(wrong)
    assert.deepEqual(verdict, temporaryIssue, wrong)
    assert.deepEqual(now, parameters(), wrong)
    assert.match(panics[0] ?? '', /^tlsParameters error: policy\d+\.ts:5:\d+: TypeError/)
  }
})

test('recipients are replaced as a whole', async () => {
  const { policy } = await load(
    'rcptToList: (s, m, list) => list.replace([...list.mailboxes, { local: "ann", domain: "here.example" }]),',
  )
  const facts = factsOf(session()).rcptto_list
  assert.deepEqual(policy.ask('rcptto_list', facts), goOn)
  assert.deepEqual(
    facts.message.recipients?.mailboxes.map(({ local }) => local),
    ['bob', 'ann'],
  )
})

test('a tarpit waits first and then answers', async () => {
  const { policy } = await load("mailFrom: () => tarpit(3, reject(450, '4.7.1 later')),")
  // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field
  const expected = { kind: 'tarpit', seconds: 3, then: reply(450, '4.7.1 later') }
  assert.deepEqual(policy.ask('mailfrom', mail()), expected)
})

test('what is no answer is an error, and so are codes that mean something else', async () => {
  const wrong = [
    'true',
    '550',
    "'550 no'",
    '({})',
    "({ kind: 'reject', code: 250, text: 'x' })",
    "({ kind: 'reject', code: 550 })",
    "({ kind: 'tarpit', seconds: -1, after: proceed })",
    "({ kind: 'tarpit', seconds: 1, after: tarpit(1) })",
    "({ kind: 'tarpit', seconds: 1, after: discard() })",
    "reject(250, 'fine')",
    "accept(354, 'go on')",
    'tarpit(Infinity)',
  ]
  for (const value of wrong) {
    const { policy, panics, name } = await load(`mailFrom: () => ${value} as never,`)
    assert.deepEqual(policy.ask('mailfrom', mail()), temporaryIssue, value)
    assert.match(panics.join(), new RegExp(`^mailFrom error: ${name}:5`), value)
  }
})

test('text for a client is octets: what is beyond ASCII becomes UTF-8 and can start no line', async () => {
  const { policy } = await load("mailFrom: () => reject(550, '5.7.1 n\\u{10d}n\\u010a250 ok'),")
  const got = policy.ask('mailfrom', mail())
  assert.deepEqual(got, reply(550, Buffer.from('5.7.1 n\u{10d}n\u010a250 ok').toString('latin1')))
})

test('a context and a header take byte strings only', async () => {
  const { policy, panics, name } = await load(
    `mailFrom: (s) => s.context.set('connection', 'x', 'a\\u010ab'),
     ehlo: (s) => s.context.set('connection', 'y', 'a\\u00fcb'),
     data: (s, m) => m.headers.prepend('X', 'a\\u010ab'),`,
  )
  const facts = session()
  assert.deepEqual(policy.ask('mailfrom', mail(facts)), temporaryIssue)
  assert.deepEqual(policy.ask('data', factsOf(facts).data), temporaryIssue)
  assert.deepEqual(policy.ask('ehlo', { session: facts, line: 'EHLO x' }), goOn)
  assert.deepEqual([...facts.context.connection], [['y', 'a\u00fcb']])
  assert.match(
    panics[0] ?? '',
    new RegExp(`^mailFrom error: ${name}:5:\\d+: RangeError: a context holds byte strings`),
  )
  assert.match(panics[1] ?? '', new RegExp(`^data error: ${name}:7:\\d+: RangeError`))
})

/** Leaves its name in the connection's `trail`, and stops where the connection's `stop` says so. */
function lua(name: string): string {
  return callout(
    `vctx:set(core.VCTX_CONN, "trail", vctx:get(core.VCTX_CONN, "trail") .. " ${name}")
       if vctx:get(core.VCTX_CONN, "stop") == "${name}" then return core.VALIDATE_DONE end
       return core.VALIDATE_CONT`,
    undefined,
    name,
  )
}

test('Lua and TypeScript are asked in the order of the configuration, each after what the others did', async () => {
  folder.write({
    'one.lua': lua('one'),
    'two.ts': policyText(`
      async mailFrom(session) {
        await null
        session.context.set('connection', 'trail', session.context.get('connection', 'trail') + ' two')
        return session.context.get('connection', 'stop') === 'two' ? done() : proceed
      },`),
    'three.lua': lua('three'),
    'four.ts': policyText(`
      mailFrom(session: Session) {
        session.context.set('connection', 'trail', session.context.get('connection', 'trail') + ' four')
      },`),
  })
  const { policy, diagnostics } = await folder.load(['one.lua', 'two.ts', 'three.lua', 'four.ts'])
  assert.deepEqual(diagnostics, [])
  for (const [stop, trail, verdict] of [
    ['', ' one two three four', goOn],
    ['one', ' one', { kind: 'done' }],
    ['two', ' one two', { kind: 'done' }],
    ['three', ' one two three', { kind: 'done' }],
  ] as const) {
    const facts = session({ stop })
    assert.deepEqual(await policy.ask('mailfrom', mail(facts)), verdict)
    assert.equal(facts.context.get('connection', 'trail'), trail)
  }
})

test('what a Lua script refused and left standing is not taken back by accept, discard or done', async () => {
  folder.write({
    'strict.lua': callout(
      'vctx:set_code(550, "5.7.1 no") return core.VALIDATE_CONT',
      'validate_data(msg, ac, vctx)',
      'strict',
    ),
  })
  for (const answer of ["accept(250, '2.0.0 ok')", 'discard()', 'done()', 'undefined']) {
    folder.write({ 'mild.ts': policyText(`data: () => ${answer},`) })
    const { policy } = await folder.load(['strict.lua', 'mild.ts'])
    assert.deepEqual(policy.ask('data', factsOf(session()).data), reply(550, '5.7.1 no'), answer)
  }
})

test('after a handshake a disconnect stands as it is, whatever note a Lua script has left', async () => {
  const note = 'mc.ctx:set(core.VCTX_CONN, "_tls_note", "550 note")'
  folder.write({
    'note.lua': callout(note, 'core_inbound_smtp_tls_post_accept(mc)', 'note'),
    'end.ts': policyText("tls: () => disconnect(421, '4.7.0 not you'),"),
  })
  const { policy } = await folder.load(['note.lua', 'end.ts'])
  assert.deepEqual(policy.ask('tls', { session: session() }), close(421, '4.7.0 not you'))
})

test('a promise holds up its own session only', async () => {
  const { policy } = await load(`async mailFrom(session) {
    if (session.context.get('connection', 'slow') === '') return done()
    await new Promise((resolve) => setTimeout(resolve, 50))
    return reject(451, '4.7.1 slow')
  },`)
  const slow = Array.from({ length: 500 }, async () => policy.ask('mailfrom', mail(session({ slow: 'yes' }))))
  const first = Promise.race([...slow, policy.ask('mailfrom', mail())])
  assert.deepEqual(await first, { kind: 'done' })
  for (const verdict of await Promise.all(slow)) assert.deepEqual(verdict, reply(451, '4.7.1 slow'))
})

test('a callout that does not answer in time is a 421, its signal is aborted, and what it says later is not heard', async () => {
  const { policy, panics, name } = await load(
    `mailFrom: (session, sender, parameters, { signal }) => new Promise((resolve, reject) => {
       signal.addEventListener('abort', () => {
         session.context.set('connection', 'aborted', signal.reason.message)
         reject(new Error('late'))
       })
     }),
     ehlo: () => new Promise(() => {}),`,
    { deadline: 30 },
  )
  const facts = session()
  assert.deepEqual(await policy.ask('mailfrom', mail(facts)), temporaryIssue)
  assert.deepEqual(await policy.ask('ehlo', { session: facts, line: 'EHLO x' }), temporaryIssue)
  await delay(1)
  assert.equal(facts.context.get('connection', 'aborted'), 'no answer within 0.03 s')
  assert.deepEqual(panics, [
    `mailFrom error: ${name}:5: no answer within 0.03 s`,
    `ehlo error: ${name}:11: no answer within 0.03 s`,
  ])
})

test('whatever is thrown or rejected is a 421 and names the line, in helpers too; the next session is served', async () => {
  folder.write({
    'lib/helper.ts': '\n\nexport function fail(): never {\n  throw new TypeError("helped")\n}\n',
  })
  const cases = [
    ['mailFrom: () => { throw new Error("oops") },', /^mailFrom error: (policy\d+\.ts):6:25: oops$/],
    [
      'mailFrom: async () => { await null; throw new Error("oops") },',
      /^mailFrom error: (policy\d+\.ts):6:43: oops$/,
    ],
    [
      'mailFrom: () => (undefined as any).x,',
      /^mailFrom error: (policy\d+\.ts):6:\d+: TypeError: Cannot read/,
    ],
    ['mailFrom: () => fail(),', /^mailFrom error: (lib\/helper\.ts):4:9: TypeError: helped$/],
    ['mailFrom: () => { throw "text" },', /^mailFrom error: (policy\d+\.ts):6: threw "text"$/],
    [
      'mailFrom: () => { throw { get message() { throw 1 }, toJSON() { throw 2 } } },',
      /^mailFrom error: .*: threw something that cannot be shown$/,
    ],
    [
      'mailFrom: () => ({ then() { throw new Error("no promise") } }) as never,',
      /^mailFrom error: .*: no promise$/,
    ],
    ['mailFrom: () => Promise.reject(undefined),', /^mailFrom error: .*: threw undefined$/],
  ] as const
  for (const [method, expected] of cases) {
    const name = nextName()
    const text = policyText(
      `connect: () => undefined,\n${method}`,
      "import { fail } from './lib/helper.ts'\n",
    )
    folder.write({ [name]: text })
    const { policy, panics } = await folder.load([name])
    assert.deepEqual(await policy.ask('mailfrom', mail()), temporaryIssue, method)
    assert.equal(panics.length, 1)
    assert.match(panics[0] ?? '', expected)
    assert.deepEqual(policy.ask('connect', { session: session() }), goOn)
  }
})
