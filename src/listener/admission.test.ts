import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import type { Origin } from '../config/diagnostic.ts'
import type { InboundScope, InboundValues, ListenSettings } from '../config/settings.ts'
import { Admission, type Placement, type Slot } from './admission.ts'
import { deliveryBudget, descriptorLimit, sessionBudget } from './descriptors.ts'

type Limits = Partial<
  Record<'listener_sessions' | 'service_sessions', readonly [limit: number, line: number]>
>

function scopeOf(limits: Limits): InboundScope {
  const value = (name: keyof Limits): number => limits[name]?.[0] ?? 0
  const options = {
    listener_sessions: value('listener_sessions'),
    service_sessions: value('service_sessions'),
  }
  const origin = (option: keyof InboundValues): Origin => {
    const line = limits[option as keyof Limits]?.[1]
    return line === undefined ? 'default' : { file: 'gate.conf', line, column: 3, length: 8 }
  }
  return { id: '', options: options as InboundValues, pathway: 'default', pathwayGroup: 'default', origin }
}

function listenOf(instance: string, limits: Limits = {}): ListenSettings {
  const at = { file: 'gate.conf', line: 1, column: 1, length: 1 }
  return {
    instance,
    address: { kind: 'tcp', host: undefined, port: 25, family: 4 },
    at,
    scope: scopeOf(limits),
  }
}

const outside = (listen: ListenSettings): Placement => ({ listen, scope: listen.scope })
const inPeer = (listen: ListenSettings, limits: Limits): Placement => ({ listen, scope: scopeOf(limits) })

/** How many of `tries` arrivals get in. */
function fill(admission: Admission<number>, placement: Placement, tries = 20): Slot[] {
  return Array.from({ length: tries }, (_, i) => admission.admit(placement, i)).filter(
    (slot) => slot !== undefined,
  )
}

describe('Listener_Sessions', () => {
  test('outside a Peer is one budget for all sources of a Listen, and another one for the next Listen', () => {
    const admission = new Admission<number>(1000)
    const limits: Limits = { listener_sessions: [3, 10] }
    const [first, second] = [listenOf(':25', limits), listenOf(':587', limits)]
    assert.equal(fill(admission, outside(first)).length, 3)
    assert.equal(fill(admission, outside(second)).length, 3)
  })

  test('inside a Peer is a budget of each block, and those outside do not count against it', () => {
    const admission = new Admission<number>(1000)
    const listen = listenOf(':25', { listener_sessions: [1, 10] })
    assert.equal(fill(admission, outside(listen)).length, 1)
    assert.equal(fill(admission, inPeer(listen, { listener_sessions: [4, 20] })).length, 4)
    assert.equal(fill(admission, inPeer(listen, { listener_sessions: [2, 30] })).length, 2)
  })

  test('a Peer that is silent about it shares the budget of the scope around it', () => {
    const admission = new Admission<number>(1000)
    const listen = listenOf(':25', { listener_sessions: [3, 10] })
    fill(admission, outside(listen), 2)
    assert.equal(fill(admission, inPeer(listen, { listener_sessions: [3, 10] })).length, 1)
  })

  test('a Peer that sets 0 has no limit, whatever stands around it', () => {
    const admission = new Admission<number>(1000)
    const listen = listenOf(':25', { listener_sessions: [1, 10] })
    assert.equal(fill(admission, inPeer(listen, { listener_sessions: [0, 20] })).length, 20)
  })
})

describe('Service_Sessions', () => {
  test('counts over all Listens, also over those that set no limit', () => {
    const admission = new Admission<number>(1000)
    const limited = listenOf(':25', { service_sessions: [5, 10] })
    const unlimited = listenOf(':587')
    assert.equal(fill(admission, outside(unlimited), 4).length, 4)
    assert.equal(fill(admission, outside(limited)).length, 1)
    assert.equal(fill(admission, outside(unlimited), 4).length, 4)
  })

  test('inside a Peer is one budget of that block over all Listens', () => {
    const admission = new Admission<number>(1000)
    const limits: Limits = { service_sessions: [3, 20] }
    assert.equal(fill(admission, inPeer(listenOf(':25'), limits), 2).length, 2)
    assert.equal(fill(admission, inPeer(listenOf(':587'), limits)).length, 1)
    assert.equal(fill(admission, outside(listenOf(':25'))).length, 20)
  })
})

describe('slots', () => {
  test('a session that finds one budget full takes nothing from another', () => {
    const admission = new Admission<number>(1000)
    const listen = listenOf(':25', { listener_sessions: [1, 10], service_sessions: [2, 11] })
    assert.equal(fill(admission, outside(listen)).length, 1)
    assert.equal(fill(admission, outside(listenOf(':587', { service_sessions: [2, 11] }))).length, 1)
  })

  test('a slot that is given back twice is given back once', () => {
    const admission = new Admission<number>(2)
    const [first] = fill(admission, outside(listenOf(':25')))
    first?.release()
    first?.release()
    assert.equal(admission.sessions, 1)
    assert.equal(fill(admission, outside(listenOf(':25'))).length, 1)
  })

  test('after a reload everybody who is there counts by the new configuration', () => {
    const admission = new Admission<number>(1000)
    const before = fill(admission, outside(listenOf(':25')), 4)
    const listen = listenOf(':25', { listener_sessions: [5, 12] })
    admission.recount(1000, () => outside(listen))
    assert.equal(fill(admission, outside(listen)).length, 1)
    for (const slot of before) slot.release()
    assert.equal(fill(admission, outside(listen)).length, 4)
  })

  test('a session whose Listen is gone counts against Max_Sessions alone', () => {
    const admission = new Admission<number>(1000)
    fill(admission, outside(listenOf(':25', { service_sessions: [5, 10] })))
    admission.recount(7, () => undefined)
    assert.equal(fill(admission, outside(listenOf(':587', { service_sessions: [5, 10] }))).length, 2)
  })

  test('no sequence of arrivals, departures and reloads leaks a slot or exceeds a limit', () => {
    const placements = [
      outside(listenOf(':25', { listener_sessions: [2, 1], service_sessions: [4, 2] })),
      outside(listenOf(':587', { service_sessions: [3, 3] })),
      inPeer(listenOf(':25', { service_sessions: [4, 2] }), {
        listener_sessions: [3, 4],
        service_sessions: [2, 5],
      }),
      outside(listenOf('/run/gate.sock')),
    ] as const
    const step = fc.oneof(
      fc.record({ do: fc.constant('arrive' as const), which: fc.nat(3) }),
      fc.record({ do: fc.constant('leave' as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant('reload' as const), which: fc.nat(4) }),
    )
    holds(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const admission = new Admission<number>(8)
        const slots: Slot[] = []
        const gone = new Set<Slot>()
        for (const { do: what, which } of steps) {
          const slot = what === 'arrive' ? admission.admit(placements[which]!, which) : undefined
          if (slot !== undefined) slots.push(slot)
          const leaver = what === 'leave' ? slots[which] : undefined
          leaver?.release()
          if (leaver !== undefined) gone.add(leaver)
          if (what === 'reload') admission.recount(8, (key) => placements[(key + which) % placements.length])
          assert.equal(admission.sessions, slots.length - gone.size)
          assert.ok(admission.sessions <= 8 && admission.counters <= 2 * admission.sessions)
        }
        for (const slot of slots) slot.release()
        assert.deepEqual([admission.sessions, admission.counters], [0, 0])
      }),
      { numRuns: 1000 },
    )
  })
})

describe('Max_Sessions', () => {
  test('bounds all sessions together', () => {
    const admission = new Admission<number>(6)
    assert.equal(fill(admission, outside(listenOf(':25')), 4).length, 4)
    assert.equal(fill(admission, outside(listenOf(':587'))).length, 2)
  })

  test('is derived from the limit of open files, with a reserve', () => {
    assert.deepEqual(sessionBudget(0, 1024), { sessions: 336, warning: undefined })
    assert.deepEqual(sessionBudget(0, 65_536), { sessions: 31_704, warning: undefined })
    assert.deepEqual(sessionBudget(0, 1), { sessions: 1, warning: undefined })
  })

  test('leaves descriptors for deliveries, whatever the limit is', () => {
    assert.equal(deliveryBudget(1024), 112)
    assert.equal(deliveryBudget(65_536), 1000)
    for (const limit of [64, 256, 1024, 4096, 1_048_576]) {
      const open = 2 * sessionBudget(0, limit).sessions + 2 * deliveryBudget(limit)
      assert.ok(open < limit - 30, `${open} of ${limit}`)
    }
  })

  test('that exceeds the limit of open files is cut down, and says so', () => {
    const { sessions, warning } = sessionBudget(5000, 1024)
    assert.equal(sessions, 672)
    assert.match(warning ?? '', /Max_Sessions is 5000, but with at most 1024 open files only 672/)
    assert.deepEqual(sessionBudget(672, 1024), { sessions: 672, warning: undefined })
  })

  test('the limit is the soft one that the system reports', () => {
    const text =
      'Limit Soft Limit Hard Limit Units\nMax open files            2048                 4096                 files \n'
    assert.equal(descriptorLimit(text), 2048)
    assert.equal(descriptorLimit(text.replace('2048', 'unlimited')), 1_048_576)
    assert.equal(descriptorLimit(''), 1024)
    assert.ok(descriptorLimit() > 0)
  })
})
