/** The gate sends to a mail server: what arrives, what waits, what is bounced, and that the logs say so. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite, test } from 'node:test'
import { type Bench, messageOf, settled } from './bench.ts'
import { FAULTS, type FaultCase, faultDomain, localOf } from './faults.ts'
import type { History, LogLine } from './gate-logs.ts'
import { eventually } from './mta.ts'

/** What differs from one server to another. */
export interface Habits {
  /** the answer to a client without a certificate that verifies, as mainlog has it */
  readonly withoutCertificate: { readonly none: RegExp; readonly untrusted: RegExp; readonly clear: RegExp }
  /** what its Received field says of TLS 1.3 and 1.2 */
  readonly received: { readonly clear: RegExp; readonly tls13: RegExp; readonly tls12: RegExp }
}

export function nextHopTests(bench: () => Bench, habits: Habits): void {
  suite('TLS', () => tlsTests(bench, habits))
  suite('answers', () => answerTests(bench))
  suite('content', () => contentTests(bench))
  suite('broken lines', () => {
    faultTests(bench)
    anyFaultTests(bench)
  })
  suite('kills', () => killTests(bench))
}

function tlsTests(bench: () => Bench, { withoutCertificate, received }: Habits): void {
  const arrives = async (domain: string, expected: RegExp): Promise<void> => {
    const local = `to-${domain.split('.')[0]}`
    await bench().send({ domain, to: [local] })
    assertHistory(await bench().ended(local), [])
    await arrived(bench(), local, 1)
    assert.match(bench().mailbox(local)[0]?.text ?? '', expected)
  }

  test('in clear text, found by MX', () => arrives('plain.test', received.clear))

  test('verified by CA: the name does not matter', async () => {
    await arrives('by-ca.test', received.tls13)
    const { tls } = await bench().gate.event('delivery', ({ domain }) => domain === 'by-ca.test')
    assert.deepEqual([tls?.verifiedBy, tls?.subject], ['ca', 'CN=mta.test'])
  })

  test('verified by host', async () => {
    await arrives('by-host.test', received.tls13)
    const { tls } = await bench().gate.event('delivery', ({ domain }) => domain === 'by-host.test')
    assert.deepEqual([tls?.demand, tls?.verifiedBy, tls?.protocol], ['required', 'host', 'TLSv1.3'])
  })

  test('with TLS 1.2', () => arrives('older.test', received.tls12))

  test('a certificate with another name, of another CA or out of date: the mail waits, until it may go', async () => {
    const domains = {
      'wrong-name': '451 4.7.5 [internal] SSL certificate subject does not match host (wrong-name)',
      'unknown-ca': '451 4.7.5 [internal] SSL cert must be signed by a valid CA (untrusted)',
      'out-of-date': '451 4.7.5 [internal] SSL cert must be signed by a valid CA (expired)',
    }
    for (const local of Object.keys(domains)) await bench().send({ domain: `${local}.test`, to: [local] })
    for (const [local, text] of Object.entries(domains)) {
      const { main, bounces } = await bench().failed(local, 2)
      for (const line of [...main, ...bounces])
        assert.deepEqual(line, { type: 'T', stage: 17, text, remote: '127.0.0.1' })
      assert.equal(bench().mailbox(local).length, 0)
    }
    const file = path.join(bench().gate.folder, 'gate.conf')
    const conf = readFileSync(file, 'utf8')
    const relaxed =
      /^(Domain "(?:wrong-name|unknown-ca|out-of-date)\.test".*)TLS_Verify = host TLS_CA = \S+/gm
    writeFileSync(file, conf.replaceAll(relaxed, '$1'))
    await bench().gate.server.reload()
    for (const local of Object.keys(domains)) {
      await bench().ended(local)
      await arrived(bench(), local, 1)
    }
  })

  test('it demands a certificate, and is shown one that it trusts', () =>
    arrives('demands.test', received.tls13))

  test('it demands a certificate, and is shown none or one that it does not trust: the mail waits, and without TLS it fails', async () => {
    const cases = {
      'demands-shown-none': withoutCertificate.none,
      'demands-other': withoutCertificate.untrusted,
      'demands-no-tls': withoutCertificate.clear,
    }
    for (const local of Object.keys(cases)) await bench().send({ domain: `${local}.test`, to: [local] })
    for (const [local, text] of Object.entries(cases)) {
      const { main } = await bench().answered(local)
      for (const line of main) assert.match(line.text, text)
      const final = local === 'demands-no-tls'
      assert.ok(
        main.every(({ type }) => type === (final ? 'P' : 'T')),
        JSON.stringify(main),
      )
      assert.equal(bench().mailbox(local).length, 0)
    }
  })
}

function answerTests(bench: () => Bench): void {
  test('greylisting: the mail waits, then arrives', async () => {
    await bench().send({ domain: 'direct.test', to: ['grey-one'] })
    assertHistory(await bench().ended('grey-one'), [{ stage: 5, text: /^45[01] .*greylisted/ }])
    await arrived(bench(), 'grey-one', 1)
  })

  test('refused at MAIL, at RCPT and after the message: the sender is told, once', async () => {
    const cases = [
      { local: 'at-mail', sender: 'refused@sender.test', stage: 3, text: /^550 5\.7\.1 .*not from you/ },
      { local: 'nobody-one', sender: 'teller@sender.test', stage: 5, text: /^550 5\.1\.1 / },
      { local: 'at-end', sender: 'late@sender.test', stage: 9, text: /^55[04] 5\.7\.1 .*not this/ },
    ]
    for (const { local, sender } of cases) await bench().send({ domain: 'direct.test', sender, to: [local] })
    for (const { local, sender, stage, text } of cases) {
      const { main, bounces } = await bench().ended(local)
      assert.deepEqual(
        [...main, ...bounces].map((line) => [line.type, line.stage, text.test(line.text), line.remote]),
        [
          ['P', stage, true, '127.0.0.1'],
          ['B', stage, true, '127.0.0.1'],
        ],
        JSON.stringify([main, bounces]),
      )
      const told = sender.split('@')[0] ?? ''
      await arrived(bench(), told, 1)
      const bounce = bench().mailbox(told)[0]?.text ?? ''
      assert.match(bounce, new RegExp(`^Final-Recipient: rfc822; ${local}@direct\\.test$`, 'm'))
      assert.match(bounce, /^Action: failed\nStatus: 5\.[17]\.1$/m)
      assert.doesNotMatch(bounce, /^Return-Path: <.+>$/im)
      assert.equal(bench().mailbox(local).length, 0)
    }
  })

  test('several recipients of one message: each has what was said to it', async () => {
    const to = ['good-one', 'nobody-two', 'grey-two', 'good-two']
    await bench().send({ domain: 'direct.test', sender: 'several@sender.test', to })
    assertHistory(await bench().ended('good-one'), [])
    assertHistory(await bench().ended('good-two'), [])
    assertHistory(await bench().ended('grey-two'), [{ stage: 5, text: /greylisted/ }])
    const refused = await bench().ended('nobody-two')
    assert.deepEqual(
      refused.main.map(({ type, stage }) => [type, stage]),
      [['P', 5]],
    )
    for (const local of ['good-one', 'good-two', 'grey-two', 'several']) await arrived(bench(), local, 1)
    assert.equal(bench().mailbox('nobody-two').length, 0)
  })

  test('the server is away while mail is queued: all of it arrives when it is back', async () => {
    const locals = Array.from({ length: 12 }, (_, index) => `queued-${index}`)
    await bench().mta.stop()
    try {
      for (const local of locals) await bench().send({ domain: 'direct.test', to: [local] })
      const [first = ''] = locals
      const { main } = await bench().failed(first)
      assert.deepEqual(main[0], {
        type: 'T',
        stage: 0,
        text: '451 4.4.1 [internal] Connection refused',
        remote: '127.0.0.1',
      })
    } finally {
      // every test after this one needs it
      await bench().mta.start()
    }
    for (const local of locals) {
      const history = await bench().ended(local)
      assert.equal(history.main.filter(({ type }) => type === 'D').length, 1)
      await arrived(bench(), local, 1)
    }
  })
}

function killTests(bench: () => Bench): void {
  test('the server is killed while mail flows: nothing is lost', async () => {
    const locals = Array.from({ length: 40 }, (_, index) => `killed-${index}`)
    const [first = ''] = locals
    await Promise.all(locals.map((local) => bench().send({ domain: 'killed.test', to: [local] })))
    await bench().ended(first)
    await bench().mta.stop('SIGKILL')
    await bench().mta.start()
    for (const local of locals) {
      const { main } = await bench().ended(local)
      assert.equal(main.filter(({ type }) => type === 'D').length, 1)
      // a server that is killed may deliver again what it had delivered: that is its own affair
      await eventually(
        () => `mail for ${local}`,
        () => bench().mailbox(local).length > 0,
      )
    }
  })
}

function anyFaultTests(bench: () => Bench): void {
  test('a line that breaks again and again, anywhere: each arrives, and again only if its end had been sent', async () => {
    const locals = Array.from({ length: 40 }, (_, index) => `any-${index}`)
    const body = 'a line of it\r\n'.repeat(150)
    await Promise.all(locals.map((local) => bench().send({ domain: 'any-fault.test', to: [local], body })))
    for (const local of locals) {
      const { main } = await bench().ended(local)
      assert.equal(main.filter(({ type }) => type === 'D').length, 1)
    }
    await settled(bench())
    const seen = locals.map((local) => bench().mailbox(local).length)
    assert.ok(Math.min(...seen) >= 1, `seed ${bench().seed}: nothing is lost`)
    for (const local of locals) {
      const { main } = await bench().ended(local)
      const open = main.filter(({ type, stage }) => type === 'T' && stage === 9).length
      assert.ok(bench().mailbox(local).length <= 1 + open, `seed ${bench().seed}: ${JSON.stringify(main)}`)
    }
    const proxy = bench().proxies.get('any-fault.test')
    // two messages a connection, and every fourth breaks for sure
    assert.ok((proxy?.broken ?? 0) >= 5, `seed ${bench().seed}: ${proxy?.broken} lines broke`)
  })
}

function contentTests(bench: () => Bench): void {
  test('what arrives is what was sent: eight bits, dots, empty lines, some megabytes', async () => {
    const bodies = {
      'eight-bits': 'Gr\xc3\xbc\xc3\x9fe \xff\xfe\x80\r\n',
      dots: '.\r\n..\r\n.leading\r\n...\r\nend.\r\n.\r\n',
      'empty-lines': '\r\n\r\n\r\n',
      'long-lines': `${'x'.repeat(997)}\r\n${'y'.repeat(998)}\r\n`,
      megabytes: `${'0123456789abcdef'.repeat(4)}\r\n`.repeat(120_000),
    }
    for (const [local, body] of Object.entries(bodies))
      await bench().send({ domain: 'direct.test', to: [local], body })
    for (const [local, body] of Object.entries(bodies)) {
      assertHistory(await bench().ended(local), [])
      await arrived(bench(), local, 1)
      const text = bench().mailbox(local)[0]?.text ?? ''
      const sent = messageOf({ domain: '', to: [local], body }).replaceAll('\r\n', '\n')
      assert.ok(bodyOf(text) === bodyOf(sent), `${local}: ${bodyOf(text).slice(0, 200)}`)
    }
  })

  test('many messages one after the other, over few connections', async () => {
    const locals = Array.from({ length: 60 }, (_, index) => `series-${index}`)
    await Promise.all(locals.map((local) => bench().send({ domain: 'direct.test', to: [local] })))
    for (const local of locals) assertHistory(await bench().ended(local), [])
    for (const local of locals) await arrived(bench(), local, 1)
  })
}

function faultTests(bench: () => Bench): void {
  const body = 'a line of it\r\n'.repeat(400)
  /** How many came: as many as got through to their end, and one unless the line broke behind that. */
  const count = (fault: FaultCase): number => {
    const came = bench().mailbox(localOf(fault.name)).length
    const tls = fault.name.endsWith('tls')
    const through = tls ? 1 : (bench().proxies.get(faultDomain(fault))?.complete ?? 0)
    assert.ok(came >= 1, `${fault.name} is not lost`)
    assert.ok(
      came <= through && through <= (fault.twice === true ? 2 : 1),
      `${fault.name} came ${came} times`,
    )
    return came
  }

  test('messages are taken for all of them', async () => {
    await Promise.all(
      FAULTS.map((fault) => bench().send({ domain: faultDomain(fault), to: [localOf(fault.name)], body })),
    )
  })
  for (const fault of FAULTS) {
    test(`${fault.name}: one failed attempt, and it arrives${fault.twice ? ', perhaps twice' : ' once'}`, async () => {
      const local = localOf(fault.name)
      assertHistory(await bench().ended(local), [fault])
      assert.equal(bench().proxies.get(faultDomain(fault))?.broken, 1, 'the line broke')
      await eventually(
        () => `the message for ${local}`,
        () => bench().mailbox(local).length > 0,
      )
      count(fault)
    })
  }
  test('nothing came later, and what can come twice does', async () => {
    await settled(bench())
    const twice = FAULTS.filter((fault) => count(fault) === 2)
    assert.ok(twice.length >= 3, twice.map(({ name }) => name).join(', '))
  })
}

interface Expected {
  readonly stage: number | readonly number[]
  readonly text: RegExp
}

function bodyOf(message: string): string {
  return message.slice(message.indexOf('\n\n'))
}

/** Delivered in the end, after exactly these failures; bouncelog has the same failures. */
function assertHistory({ main, bounces }: History, failures: readonly Expected[]): void {
  const seen = JSON.stringify({ main, bounces })
  assert.deepEqual(
    main.map(({ type }) => type),
    [...failures.map(() => 'T'), 'D'],
    seen,
  )
  const fits = (line: LogLine | undefined, { stage, text }: Expected): boolean =>
    line !== undefined && [stage].flat().includes(line.stage) && text.test(line.text)
  failures.forEach((failure, index) => {
    assert.ok(fits(main[index], failure), seen)
    assert.deepEqual(bounces[index], main[index], seen)
  })
  assert.equal(bounces.length, failures.length, seen)
}

/** Waits until so many have arrived; more than that is an error already. */
async function arrived(bench: Bench, local: string, count: number): Promise<void> {
  await eventually(
    () => `${count} messages for ${local} in the mailbox`,
    () => bench.mailbox(local).length >= count,
  )
  assert.equal(bench.mailbox(local).length, count, local)
}
