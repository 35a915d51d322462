import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { settingsFor } from '../../test/support/messages.ts'
import { holds } from '../../test/support/properties.ts'
import { loadSettingsFromText } from '../config/load.ts'
import { defaultEgress, type HostScope } from '../config/settings-queue.ts'
import { HostGates } from './host-gates.ts'
import { Throttles, ThrottleWindow } from './throttle.ts'

test('there are never more than the throttle says in any stretch, and all of them in the end', () => {
  holds(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.record({ wait: fc.nat(4000), want: fc.integer({ min: 1, max: 5 }) }), { maxLength: 60 }),
      (count, seconds, steps) => {
        const window = new ThrottleWindow({ count, seconds })
        const taken: number[] = []
        let now = 1_700_000_000_000
        for (const { wait, want } of steps) {
          now += wait
          const granted = Math.min(want, window.available(now))
          window.take(now, granted)
          for (let n = 0; n < granted; n++) taken.push(now)
          const inStretch = taken.filter((at) => at > now - seconds * 1000).length
          assert.ok(inStretch <= count, `${inStretch} of ${count} in ${seconds} s`)
        }
        assert.ok(window.available(now + seconds * 1050) === count)
      },
    ),
  )
})

test('who has to wait is told a time at which there is something, one after the other', () => {
  const window = new ThrottleWindow({ count: 2, seconds: 10 })
  const now = 1_700_000_000_000
  window.take(now, 2)
  const promised = [1, 2, 3, 4].map(() => window.promise(now))
  assert.ok((promised[0] ?? 0) >= now + 10_000 && (promised[0] ?? 0) <= now + 10_500)
  assert.deepEqual(
    promised,
    promised.toSorted((a, b) => a - b),
  )
  assert.equal((promised[3] ?? 0) - (promised[0] ?? 0), 15_000)
  assert.equal(window.available(promised[0] ?? 0), 2)
})

test('what was not used is given back', () => {
  const window = new ThrottleWindow({ count: 3, seconds: 60 })
  window.take(1000, 3)
  window.giveBack(5000, 2)
  assert.equal(window.available(5000), 2)
  window.giveBack(5000, 9)
  assert.equal(window.available(5000), 3)
})

test('a clock that is set back lets nobody through, and holds nobody up until it has caught up', () => {
  const window = new ThrottleWindow({ count: 1, seconds: 1 })
  window.take(1_000_000, 1)
  assert.equal(window.promise(1_000_000), 1_001_050)
  assert.equal(window.available(10), 0)
  const promised = window.promise(10)
  assert.ok(promised <= 2100, `${promised}`)
  assert.equal(window.available(promised), 1)
})

test('throttles are shared by definition, and outlive a reload that leaves them as they are', async () => {
  const conf = 'Outbound_Throttle_Messages = 5\nDomain "/^a/" { Outbound_Throttle_Messages = "7/60" }\n'
  const throttles = new Throttles()
  const windowOf = async (text: string, domain: string) => {
    const { settings } = await loadSettingsFromText(text)
    assert.ok(settings)
    return throttles.of(settings.resolveOutbound(domain), 'outbound_throttle_messages')
  }
  const a1 = await windowOf(conf, 'a1.test')
  assert.equal(a1?.count, 7)
  assert.equal(await windowOf(conf, 'a2.test'), a1)
  assert.notEqual(await windowOf(conf, 'b.test'), a1)
  assert.equal(await windowOf(conf, 'b.test'), await windowOf(conf, 'c.test'))
  assert.notEqual(await windowOf(conf.replace('7/60', '8/60'), 'a1.test'), a1)
  assert.equal(await windowOf('', 'a1.test'), undefined)
})

test('a Host stanza bounds connections and messages, and holds back connections in addition to the domain', () => {
  let now = 1_700_000_000_000
  const gates = new HostGates(new Throttles(), () => now)
  const host: HostScope = {
    options: {
      max_outbound_connections: 2,
      outbound_throttle_messages: { count: 5, seconds: 1 },
      outbound_throttle_connections: { count: 1, seconds: 1 },
    },
    origin: () => 'default',
    definition: () => 'host',
  }
  const scope = settingsFor({ outbound_throttle_connections: { count: 1, seconds: 10 } }).resolveOutbound(
    'd.test',
  )
  const gate = gates.gate(scope, defaultEgress, (names) => (names.includes('mx.test') ? host : undefined))
  const mx = { name: 'MX.test', address: '192.0.2.1' }
  const first = gate.enter(mx, 3)
  assert.ok(first.kind === 'go' && first.messages === 3)
  const second = gate.enter(mx, 3)
  assert.ok(second.kind === 'go' && second.messages === 2)
  const third = gate.enter(mx, 1)
  assert.ok(third.kind === 'deferred' && third.until > now)
  const fourth = gate.enter(mx, 1)
  assert.ok(fourth.kind === 'deferred' && third.until < fourth.until)
  first.leave()
  const fifth = gate.enter(mx, 1)
  assert.ok(fifth.kind === 'deferred' && fifth.until >= now + 1000, 'the throttle of messages')
  now += 1100
  assert.equal(gate.enter(mx, 1).kind, 'go')
  assert.equal(gate.connect(mx), undefined)
  assert.ok((gate.connect(mx)?.until ?? 0) > now + 5000, 'the throttle of the domain')
  assert.equal(gate.enter({ name: 'other.test', address: '192.0.2.2' }, 9).kind, 'go')
})

test('processes that share a throttle have parts of it, which are never more than the whole', async () => {
  for (const [text, sharers, part] of [
    ['10/60', 4, { count: 2, seconds: 60 }],
    ['1/60', 4, { count: 1, seconds: 240 }],
    ['3/10', 7, { count: 1, seconds: 24 }],
  ] as const) {
    const { settings } = await loadSettingsFromText(`Outbound_Throttle_Messages = "${text}"`)
    assert.ok(settings)
    const window = new Throttles(sharers).of(settings.resolveOutbound('a.test'), 'outbound_throttle_messages')
    assert.deepEqual({ count: window?.count, seconds: window?.seconds }, part)
  }
})
