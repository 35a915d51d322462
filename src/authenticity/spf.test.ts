import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Zone } from '../../test/support/dns-server.ts'
import { type Lab, startLab } from './origin.fixture.ts'
import { receivedSpf, type SpfOutcome, spfStatement } from './outcome.ts'
import { checkSpf, type SpfQuestion } from './spf.ts'

const QUESTION: SpfQuestion = {
  address: '192.0.2.1',
  helo: 'mx.example.com',
  sender: { local: 'alice', domain: 'example.com' },
  hostname: 'gate.example',
}

interface Asked {
  readonly outcome: SpfOutcome
  readonly questions: number
}

async function check(
  zone: Zone,
  changes: Partial<SpfQuestion> = {},
  odd?: Lab['dns']['odd'],
): Promise<Asked> {
  const lab = await startLab(zone)
  try {
    if (odd !== undefined) lab.dns.odd = odd
    const outcome = await checkSpf({ ...QUESTION, ...changes }, lab.bounds)
    return { outcome, questions: lab.dns.asked.length }
  } finally {
    await lab.close()
  }
}

for (const [record, result] of [
  ['v=spf1 ip4:192.0.2.0/24 -all', 'pass'],
  ['v=spf1 ip4:198.51.100.1 -all', 'fail'],
  ['v=spf1 ~all', 'softfail'],
  ['v=spf1 ?all', 'neutral'],
  ['v=spf1 ip4:300.0.0.1 -all', 'permerror'],
  ['v=spf1 a:mail.example.com -all', 'pass'],
  ['something else', 'none'],
] as const) {
  test(`"${record}" comes to ${result}`, async () => {
    const { outcome } = await check({ 'TXT example.com': [record], 'A mail.example.com': ['192.0.2.1'] })
    assert.equal(outcome.result, result)
    assert.equal(outcome.identity, 'mailfrom')
    assert.equal(outcome.domain, 'example.com')
  })
}

test('the name in HELO is looked at by itself, and for the null sender instead', async () => {
  const zone = { 'TXT mx.example.com': ['v=spf1 ip4:192.0.2.1 -all'], 'TXT example.com': ['v=spf1 -all'] }
  const both = await check(zone)
  assert.deepEqual(spfStatement(both.outcome), [
    'spf=fail smtp.mailfrom=example.com',
    'spf=pass smtp.helo=mx.example.com',
  ])
  const bounce = await check(zone, { sender: undefined })
  assert.deepEqual(spfStatement(bounce.outcome), ['spf=pass smtp.helo=mx.example.com'])
})

test('an address of IPv6 is one', async () => {
  const { outcome } = await check(
    { 'TXT example.com': ['v=spf1 ip6:2001:db8::/32 -all'] },
    { address: '2001:db8::1' },
  )
  assert.equal(outcome.result, 'pass')
})

test('a loop of includes, ten names without records, and names by the hundred end soon, as permanent errors', async () => {
  const loop = {
    'TXT example.com': ['v=spf1 include:loop.example -all'],
    'TXT loop.example': ['v=spf1 include:example.com -all'],
  }
  const voids = { 'TXT example.com': ['v=spf1 a:a.test a:b.test a:c.test a:d.test -all'] }
  const hosts = Array.from({ length: 11 }, (_, n) => ({ exchange: `h${n}.example`, preference: n }))
  const many: Zone = {
    'TXT example.com': [`v=spf1 ${Array.from({ length: 9 }, (_, n) => `mx:m${n}.example`).join(' ')} -all`],
    ...Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`MX m${n}.example`, hosts])),
  }
  for (const zone of [loop, voids, many]) {
    const { outcome, questions } = await check(zone)
    assert.equal(outcome.result, 'permerror')
    assert.ok(questions < 40, String(questions))
  }
})

test('servers that are silent or fail are a temporary error, in bounded time', async () => {
  const started = performance.now()
  const silent = await check({}, {}, () => ({ silent: true }))
  assert.deepEqual([silent.outcome.result, silent.outcome.helo.result], ['temperror', 'temperror'])
  assert.ok(performance.now() - started < 3000)
  assert.equal((await check({}, {}, () => ({ rcode: 2 }))).outcome.result, 'temperror')
})

test('names that are none ask nothing, and stand nowhere', async () => {
  const nasty = { helo: '[192.0.2.7]\x1b(', sender: { local: 'a"\r\nX: y', domain: 'exa mple.com\r\nX: y' } }
  const { outcome, questions } = await check({}, nasty)
  assert.equal(questions, 0)
  assert.deepEqual(spfStatement(outcome), ['spf=none', 'spf=none'])
  const value = receivedSpf(outcome, {
    address: '192.0.2.1',
    hostname: 'gate.example',
    local: nasty.sender.local,
  })
  assert.equal(value, 'none client-ip=192.0.2.1;\r\nreceiver=gate.example;\r\nidentity=mailfrom')
})

test('Received-SPF tells who was asked about', async () => {
  const { outcome } = await check(
    { 'TXT example.com': ['v=spf1 ip6:2001:db8::/32 -all'] },
    { address: '2001:db8::1' },
  )
  assert.equal(
    receivedSpf(outcome, { address: '2001:db8::1', hostname: 'gate.example', local: 'alice' }).replaceAll(
      '\r\n',
      ' ',
    ),
    'pass client-ip="2001:db8::1"; envelope-from="alice@example.com"; helo=mx.example.com; receiver=gate.example; identity=mailfrom',
  )
})
