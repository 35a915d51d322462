/**
 * The contract of spool.ts as tests, run over every implementation: `spoolContract(name, open)`.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Spool, SpoolFullError } from '../../src/spool/spool.ts'
import { appendAll, bodyOf, bytes, envelope, HEADER, idsOf, keep, reopen, type SpoolPlace } from './place.ts'

/** One place where mail is kept, and spools that open it. */

export function spoolContract(name: string, makePlace: () => Promise<SpoolPlace>): void {
  describe(`${name} keeps the contract:`, () => {
    const cases: readonly [string, (place: SpoolPlace) => Promise<void>][] = [
      ...keepingCases,
      ...changingCases,
      ...refusingCases,
    ]
    for (const [title, run] of cases) test(title, async () => await run(await makePlace()))
  })
}

const keepingCases: readonly [string, (place: SpoolPlace) => Promise<void>][] = [
  [
    'equal content is told by one number, also after reopening; one message can be asked for',
    async (place) => {
      const spool = await place.open()
      const writer = spool.create()
      await writer.append(bytes(100))
      const own = bytes(50, 2)
      const other = Buffer.from(HEADER.toString('latin1').replace('x', 'y'), 'latin1')
      await writer.commit([
        { envelope: envelope('a'), header: HEADER },
        { envelope: envelope('b'), header: other },
        { envelope: envelope('c'), header: Buffer.from(HEADER) },
        { envelope: envelope('d'), header: HEADER, body: own },
        { envelope: envelope('e'), header: other },
        { envelope: envelope('f'), header: HEADER, body: own },
      ])
      await keep(spool, 'g', bytes(100))
      await spool.close()
      const again = await place.open()
      const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      const keys = ids.map((id) => again.contentKey(id))
      assert.deepEqual(
        keys.map((key) => ids[keys.indexOf(key)]),
        ['a', 'b', 'a', 'd', 'b', 'd', 'g'],
      )
      await again.update('a', { attempts: 2, nextAttempt: 5, failed: false, lastText: 'later' })
      assert.deepEqual(await again.message('a'), {
        envelope: envelope('a'),
        state: { attempts: 2, nextAttempt: 5, failed: false, lastText: 'later' },
      })
      assert.equal(again.contentKey('a'), keys[2])
      await again.remove('a')
      assert.deepEqual([await again.message('a'), again.contentKey('a')], [undefined, undefined])
      assert.equal(again.contentKey('c'), keys[2])
      await again.close()
    },
  ],
  [
    'what was committed is there at once and after reopening, byte for byte',
    async (place) => {
      const first = await place.open()
      const body = bytes(5000)
      await keep(first, 'a', body)
      await keep(first, 'b', bytes(10, 2), { sender: undefined })
      await check(first)
      const again = await reopen(place, first)
      await check(again)
      await again.close()

      async function check(spool: Spool): Promise<void> {
        const messages = new Map([...spool.messages()].map((message) => [message.envelope.id, message]))
        assert.deepEqual(messages.get('a'), {
          envelope: envelope('a'),
          state: { attempts: 0, nextAttempt: 0, failed: false, lastText: '' },
        })
        assert.deepEqual(messages.get('b')?.envelope, envelope('b', { sender: undefined }))
        assert.deepEqual(Buffer.from((await spool.read('a'))?.header ?? []), HEADER)
        assert.deepEqual(await bodyOf(spool, 'a'), body)
      }
    },
  ],
  [
    'a message may bring a body of its own, shared by those that bring the same, of every size',
    async (place) => {
      const first = await place.open()
      const [small, large] = [bytes(3000, 7), bytes(300_000, 8)]
      for (const size of [0, 1000, 400_000]) {
        const writer = first.create()
        const received = bytes(size, 9)
        await appendAll(writer, received)
        assert.deepEqual(Buffer.from(await writer.read()), received)
        await writer.commit([
          { envelope: envelope(`plain${size}`), header: HEADER },
          { envelope: envelope(`small${size}`), header: HEADER, body: small },
          { envelope: envelope(`large${size}`), header: HEADER, body: large },
          { envelope: envelope(`again${size}`), header: HEADER, body: large },
          { envelope: envelope(`empty${size}`), header: HEADER, body: new Uint8Array() },
        ])
      }
      const only = first.create()
      await appendAll(only, bytes(500_000, 10))
      await only.commit([{ envelope: envelope('only'), header: HEADER, body: small }])
      await check(first)
      const again = await reopen(place, first)
      await check(again)
      for (const size of [0, 1000, 400_000]) {
        await again.remove(`large${size}`)
        assert.deepEqual(await bodyOf(again, `again${size}`), large)
        for (const kind of ['again', 'plain', 'small', 'empty']) await again.remove(`${kind}${size}`)
      }
      await again.remove('only')
      assert.equal([...again.messages()].length, 0)
      await again.close()

      async function check(spool: Spool): Promise<void> {
        for (const size of [0, 1000, 400_000]) {
          assert.deepEqual(await bodyOf(spool, `plain${size}`), bytes(size, 9))
          assert.deepEqual(await bodyOf(spool, `small${size}`), small)
          assert.deepEqual(await bodyOf(spool, `large${size}`), large)
          assert.deepEqual(await bodyOf(spool, `again${size}`), large)
          assert.deepEqual(await bodyOf(spool, `empty${size}`), Buffer.alloc(0))
        }
        assert.deepEqual(await bodyOf(spool, 'only'), small)
      }
    },
  ],
  [
    'a reception can be read while it goes on, and what it reserved comes back',
    async (place) => {
      const spool = await place.open()
      const body = bytes(700_000, 3)
      const writer = spool.create()
      await appendAll(writer, body.subarray(0, 300_000))
      assert.deepEqual(Buffer.from(await writer.read()), body.subarray(0, 300_000))
      await appendAll(writer, body.subarray(300_000))
      assert.deepEqual(Buffer.from(await writer.read()), body)
      for (let time = 0; time < 2; time++) {
        const pieces: Uint8Array[] = []
        for await (const piece of writer.chunks()) pieces.push(piece)
        assert.deepEqual(Buffer.concat(pieces), body)
      }
      // whoever stops half way is in nobody's way
      for await (const piece of writer.chunks()) if (piece.length > 0) break
      assert.equal(writer.reserve(1000), true)
      await writer.commit([{ envelope: envelope('read'), header: HEADER }])
      assert.deepEqual(await bodyOf(spool, 'read'), body)
      await assert.rejects(() => writer.read())
      await spool.close()
    },
  ],
  [
    'bodies of every size around the limits come back identical',
    async (place) => {
      const sizes = [0, 1, 2016, 2017, 4096, 65536, 262143, 262144, 262145, 1_000_003]
      const first = await place.open()
      for (const size of sizes) await keep(first, `s${size}`, bytes(size, size + 1))
      const again = await reopen(place, first)
      for (const size of sizes) assert.deepEqual(await bodyOf(again, `s${size}`), bytes(size, size + 1))
      await again.close()
    },
  ],
  [
    'a chunk may be reused by the caller as soon as append has settled',
    async (place) => {
      const spool = await place.open()
      const writer = spool.create()
      const chunk = Buffer.alloc(1000, 'a')
      await writer.append(chunk)
      chunk.fill('b')
      await writer.append(chunk)
      chunk.fill('c')
      assert.equal(writer.size, 2000)
      await writer.commit([{ envelope: envelope('a'), header: HEADER }])
      assert.equal((await bodyOf(spool, 'a')).toString(), 'a'.repeat(1000) + 'b'.repeat(1000))
      await spool.close()
    },
  ],
  [
    'the messages of a transaction have headers of their own and share the body until the last is gone',
    async (place) => {
      for (const size of [3000, 300_000]) {
        const first = await place.open()
        const body = bytes(size)
        const writer = first.create()
        await appendAll(writer, body)
        const ids = [1, 2, 3].map((n) => `m${n}-${size}`)
        await writer.commit(
          ids.map((id) => ({ envelope: envelope(id), header: Buffer.from(`X: ${id}\r\n\r\n`) })),
        )
        await first.remove(ids[0] ?? '')
        const again = await reopen(place, first)
        assert.equal(await again.read(ids[0] ?? ''), undefined)
        for (const id of ids.slice(1)) {
          assert.equal(Buffer.from((await again.read(id))?.header ?? []).toString(), `X: ${id}\r\n\r\n`)
          assert.deepEqual(await bodyOf(again, id), body)
        }
        await Promise.all(ids.slice(1).map(async (id) => await again.remove(id)))
        assert.deepEqual(idsOf(again), [])
        await again.close()
      }
    },
  ],
  [
    'many commits at the same time are all kept',
    async (place) => {
      const first = await place.open()
      const numbers = Array.from({ length: 120 }, (_, n) => n)
      await Promise.all(numbers.map(async (n) => await keep(first, `n${n}`, bytes(n * 31, n + 1))))
      const again = await reopen(place, first)
      assert.equal(idsOf(again).length, numbers.length)
      for (const n of numbers) assert.deepEqual(await bodyOf(again, `n${n}`), bytes(n * 31, n + 1))
      await again.close()
    },
  ],
]

const changingCases: readonly [string, (place: SpoolPlace) => Promise<void>][] = [
  [
    'an update replaces the state and nothing else, and survives',
    async (place) => {
      const first = await place.open()
      await keep(first, 'a', bytes(100))
      const state = {
        attempts: 3,
        nextAttempt: 1_700_000_123_456,
        failed: true,
        lastText: '450 4.2.0 sp\xe4ter',
      }
      await first.update('a', {
        attempts: 1,
        nextAttempt: 5,
        failed: false,
        lastText: 'a longer text than the next',
      })
      await first.update('a', state)
      await first.update('gone', state)
      const again = await reopen(place, first)
      assert.deepEqual([...again.messages()], [{ envelope: envelope('a'), state }])
      assert.deepEqual(await bodyOf(again, 'a'), bytes(100))
      await again.close()
    },
  ],
  [
    'what the sender is told, and how often it was told of a delay, is part of the state, and goes with the next one',
    async (place) => {
      const first = await place.open()
      await keep(first, 'a', bytes(100))
      await keep(first, 'b', bytes(500_000))
      const told = {
        attempts: 1,
        nextAttempt: 0,
        failed: true,
        lastText: '250 kept',
        success: 'relayed',
      } as const
      const late = { attempts: 2, nextAttempt: 9, failed: false, lastText: '451 later', delayNotices: 15 }
      await first.update('a', told)
      await first.update('b', late)
      const again = await reopen(place, first)
      assert.deepEqual((await again.message('a'))?.state, told)
      assert.deepEqual((await again.message('b'))?.state, late)
      assert.deepEqual(await bodyOf(again, 'b'), bytes(500_000))
      const { success: _, ...plain } = told
      await again.update('a', { ...plain, success: 'delivered' })
      assert.equal((await again.message('a'))?.state.success, 'delivered')
      await again.update('a', plain)
      assert.deepEqual((await again.message('a'))?.state, plain)
      await again.close()
    },
  ],
  [
    'what was removed stays gone, and removing it again is harmless',
    async (place) => {
      const first = await place.open()
      for (const id of ['a', 'b']) await keep(first, id, bytes(500_000))
      await first.remove('a')
      await first.remove('a')
      await first.remove('never')
      assert.equal(await first.read('a'), undefined)
      const again = await reopen(place, first)
      assert.deepEqual(idsOf(again), ['b'])
      await again.close()
    },
  ],
  [
    'messages may be removed while they are listed',
    async (place) => {
      const spool = await place.open()
      for (const id of ['a', 'b', 'c']) await keep(spool, id, bytes(10))
      for (const { envelope } of spool.messages()) await spool.remove(envelope.id)
      assert.deepEqual(idsOf(spool), [])
      await spool.close()
    },
  ],
  [
    'an aborted reception leaves nothing, small or large, and abort is harmless after commit',
    async (place) => {
      const first = await place.open()
      for (const size of [100, 700_000]) {
        const writer = first.create()
        await appendAll(writer, bytes(size))
        await writer.abort()
        await writer.abort()
        await assert.rejects(writer.commit([{ envelope: envelope('x'), header: HEADER }]))
      }
      const kept = first.create()
      await appendAll(kept, bytes(300_000))
      await kept.commit([{ envelope: envelope('a'), header: HEADER }])
      await kept.abort()
      const again = await reopen(place, first)
      assert.deepEqual(idsOf(again), ['a'])
      assert.deepEqual(await bodyOf(again, 'a'), bytes(300_000))
      await again.close()
    },
  ],
]

const refusingCases: readonly [string, (place: SpoolPlace) => Promise<void>][] = [
  [
    'an id that is taken and a commit of nothing are refused and change nothing',
    async (place) => {
      const spool = await place.open()
      await keep(spool, 'a', bytes(10))
      await assert.rejects(keep(spool, 'a', bytes(300_000, 2)), /taken/)
      await assert.rejects(spool.create().commit([]), RangeError)
      const twice = { envelope: envelope('t'), header: HEADER }
      await assert.rejects(spool.create().commit([twice, twice]), /same id/)
      assert.deepEqual(idsOf(spool), ['a'])
      assert.deepEqual(await bodyOf(spool, 'a'), bytes(10))
      await spool.close()
    },
  ],
  [
    'without room new mail is refused, kept mail can be read, updated and removed, and room comes back',
    async (place) => {
      const spool = await place.open()
      await keep(spool, 'a', bytes(20_000))
      const waiting = spool.create()
      await waiting.append(bytes(10))
      const release = await place.fill(spool)
      assert.equal(spool.hasRoom(), false)
      await assert.rejects(async () => await waiting.append(bytes(10)), SpoolFullError)
      await waiting.abort()
      await assert.rejects(keep(spool, 'b', bytes(300_000)), SpoolFullError)
      await spool.update('a', { attempts: 1, nextAttempt: 1, failed: false, lastText: 'later' })
      assert.deepEqual(await bodyOf(spool, 'a'), bytes(20_000))
      await release()
      await spool.remove('a')
      assert.equal(spool.hasRoom(), true)
      await keep(spool, 'b', bytes(300_000))
      assert.deepEqual(idsOf(spool), ['b'])
      await spool.close()
    },
  ],
  [
    'a closed spool takes and gives nothing',
    async (place) => {
      const spool = await place.open()
      const writer = spool.create()
      await keep(spool, 'a', bytes(10))
      await spool.close()
      await spool.close()
      assert.equal(spool.hasRoom(), false)
      assert.throws(() => spool.create(), /closed/)
      await assert.rejects(writer.commit([{ envelope: envelope('b'), header: HEADER }]), /closed/)
      await assert.rejects(spool.read('a'), /closed/)
      await assert.rejects(spool.remove('a'), /closed/)
    },
  ],
]
