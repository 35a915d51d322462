/**
 * The contract of transport.ts as tests, run over every implementation: `transportContract(name, open)`.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DeliverableRoute } from '../../src/delivery/route.ts'
import type { AttemptContext, AttemptResult, MessageResult, Transport } from '../../src/delivery/transport.ts'
import type { StoredContent, StoredMessage } from '../../src/spool/spool.ts'
import { contentOf, openGate, outboundDefaults, storedMessage } from './messages.ts'

/** A destination that takes everything. */
export interface TransportPlace<R extends DeliverableRoute> {
  readonly transport: Transport<R>
  readonly route: R
  /** what has arrived, with CRLF line ends, without what the destination itself put on top */
  arrived(): Promise<readonly string[]>
  close(): Promise<void>
  /** what the tests cannot ask of it, and why */
  readonly cannot?: Partial<Record<Ability, string>>
  /** a message that goes out twice, because nobody knew of the first time, arrives so often */
  readonly repeats: 1 | 2
  /** From now on it takes so many milliseconds to answer. */
  slow?(milliseconds: number): void
  /** From now on it dies, or not, when it has a part of the message. */
  die?(dies: boolean): void
  /** A destination that takes the beginning of a message and then reads no more. */
  stuck?(): Promise<{ readonly route: R; close(): Promise<void> }>
}

/**
 * `judge`: its answer is the local part of the recipient, one of `delivered`, `transient`, `permanent`.
 * The others: it has the method of that name.
 */
type Ability = 'judge' | 'slow' | 'die' | 'stuck'

interface Case {
  readonly place: Omit<TransportPlace<DeliverableRoute>, 'transport' | 'route' | 'stuck'>
  /** an attempt at a destination that is stuck */
  readonly deliverStuck: (content: StoredContent, signal: AbortSignal) => Promise<unknown>
  readonly deliverAll: (
    messages: readonly StoredMessage[],
    content: StoredContent,
  ) => Promise<readonly MessageResult[]>
  readonly arrived: () => Promise<readonly string[]>
  readonly deliver: (delivery: {
    readonly message: StoredMessage
    readonly content: StoredContent
    readonly signal?: AbortSignal
    readonly mayRepeat?: boolean
  }) => Promise<AttemptResult>
}

const HEADER = 'Subject: x\r\n\r\n'

export function transportContract<R extends DeliverableRoute>(
  name: string,
  open: () => Promise<TransportPlace<R>>,
): void {
  describe(`${name} keeps the contract:`, () => {
    for (const [title, run, needs] of cases) {
      test(title, async (t) => {
        const place = await open()
        const reason = needs === undefined ? undefined : place.cannot?.[needs]
        if (reason !== undefined) {
          t.skip(reason)
          await place.close()
          return
        }
        const context: Omit<AttemptContext<R>, 'signal'> = {
          route: place.route,
          options: outboundDefaults,
          mayRepeat: false,
          gate: openGate,
        }
        try {
          await run({
            place,
            arrived: async () => await place.arrived(),
            deliverAll: async (messages, content) => {
              const { signal } = new AbortController()
              return await place.transport.deliver(messages, content, { ...context, signal })
            },
            deliverStuck: async (content, signal) => {
              const stuck = await place.stuck?.()
              assert.ok(stuck !== undefined, 'a destination that can be stuck')
              const { route } = stuck
              try {
                return await place.transport.deliver([storedMessage('m')], content, {
                  ...context,
                  route,
                  signal,
                })
              } finally {
                await stuck.close()
              }
            },
            deliver: async ({
              message,
              content,
              signal = new AbortController().signal,
              mayRepeat = false,
            }) => {
              const attempt = { ...context, signal, mayRepeat }
              const [result] = await place.transport.deliver([message], content, attempt)
              if (result === undefined || result.kind === 'deferred') assert.fail('no attempt was made')
              return result
            },
          })
        } finally {
          await place.close()
        }
      })
    }
  })
}

const cases: readonly (readonly [string, (place: Case) => Promise<void>, Ability?])[] = [
  [
    'what it calls delivered has arrived, octet for octet',
    async ({ deliver, arrived }) => {
      const bodies = ['', 'a\r\n', '.\r\n', '..\r\n.x\r\n\r\n', 'From me\r\n', '\xff\xfe\r\n']
      for (const [n, body] of bodies.entries()) {
        const content = contentOf(HEADER, ...body.split(/(?<=x)/))
        const result = await deliver({ message: storedMessage(`m${n}`), content })
        assert.equal(result.kind, 'delivered')
        assert.equal(result.bytes, HEADER.length + body.length)
      }
      assert.deepEqual(
        (await arrived()).toSorted(byText),
        bodies.map((body) => HEADER + body).toSorted(byText),
      )
    },
  ],
  [
    'a large message is streamed',
    async ({ deliver, arrived }) => {
      const line = `${'y'.repeat(78)}\r\n`
      const content = contentOf(HEADER, ...Array.from({ length: 100 }, () => line.repeat(800)))
      assert.equal((await deliver({ message: storedMessage('m'), content })).kind, 'delivered')
      const [text = ''] = await arrived()
      assert.equal(text.length, HEADER.length + 80 * 800 * 100)
    },
  ],
  [
    'many attempts at once do not mix',
    async ({ deliver, arrived }) => {
      const texts = Array.from({ length: 20 }, (_, n) => `message ${n}\r\n`.repeat(n + 1))
      const results = await Promise.all(
        texts.map(
          async (text, n) =>
            await deliver({ message: storedMessage(`m${n}`), content: contentOf(HEADER, text) }),
        ),
      )
      assert.ok(results.every(({ kind }) => kind === 'delivered'))
      assert.deepEqual(
        (await arrived()).toSorted(byText),
        texts.map((text) => HEADER + text).toSorted(byText),
      )
    },
  ],
  [
    'a body that cannot be read is thrown, and nothing of it arrives',
    async ({ deliver, arrived }) => {
      const content: StoredContent = {
        header: Buffer.from(HEADER),
        bodySize: 100,
        body: async function* () {
          yield await Promise.resolve(Buffer.from('half\r\n'))
          throw new Error('bad sector')
        },
      }
      await assert.rejects(deliver({ message: storedMessage('m'), content }), /bad sector/)
      assert.deepEqual(await arrived(), [])
    },
  ],
  [
    'an attempt that is broken off throws the reason, and nothing of it arrives',
    async ({ deliver, arrived }) => {
      const stop = new AbortController()
      const content: StoredContent = {
        header: Buffer.from(HEADER),
        bodySize: 100,
        body: async function* () {
          yield await Promise.resolve(Buffer.from('half\r\n'))
          stop.abort(new Error('stopping'))
          yield Buffer.from('whole\r\n')
        },
      }
      const attempt = deliver({ message: storedMessage('m'), content, signal: stop.signal })
      await assert.rejects(attempt, /stopping/)
      assert.deepEqual(await arrived(), [])
    },
  ],
  [
    'an attempt that is broken off before it begins sends nothing',
    async ({ deliver, arrived }) => {
      const signal = AbortSignal.abort(new Error('stopping'))
      const attempt = deliver({ message: storedMessage('m'), content: contentOf(HEADER, 'x'), signal })
      await assert.rejects(attempt, /stopping/)
      assert.deepEqual(await arrived(), [])
    },
  ],
  [
    'what may be a repetition is delivered all the same, and recognised by whom it can be',
    async ({ place, deliver, arrived }) => {
      const content = contentOf(HEADER, 'twice\r\n')
      for (const mayRepeat of [false, true]) {
        const { kind } = await deliver({ message: storedMessage('m'), content, mayRepeat })
        assert.equal(kind, 'delivered')
      }
      assert.equal((await arrived()).length, place.repeats)
    },
  ],
  [
    'recipients of one batch have outcomes of their own, in their order',
    async ({ deliverAll }) => {
      const kinds = ['permanent', 'delivered', 'transient', 'delivered', 'permanent']
      const messages = kinds.map((local, n) =>
        storedMessage(`m${n}`, { recipient: { local, domain: 'example.com' } }),
      )
      const results = await deliverAll(messages, contentOf(HEADER, 'x\r\n'))
      assert.deepEqual(
        results.map(({ kind }) => kind),
        kinds,
      )
      for (const each of results) if ('text' in each) assert.match(each.text, /^[245]\d\d [ -~]*$/)
    },
    'judge',
  ],
  [
    'a destination that takes its time is waited for',
    async ({ place, deliver }) => {
      place.slow?.(300)
      const begun = performance.now()
      const { kind } = await deliver({ message: storedMessage('m'), content: contentOf(HEADER, 'x\r\n') })
      assert.equal(kind, 'delivered')
      assert.ok(performance.now() - begun >= 290, 'it has not been waited for')
    },
    'slow',
  ],
  [
    'a destination that dies midway has taken nothing, and is tried again later',
    async ({ place, deliver, arrived }) => {
      const message = storedMessage('m')
      const content = contentOf(
        HEADER,
        ...Array.from({ length: 40 }, () => `${'z'.repeat(998)}\r\n`.repeat(100)),
      )
      place.die?.(true)
      assert.equal((await deliver({ message, content })).kind, 'transient')
      assert.deepEqual(await arrived(), [])
      place.die?.(false)
      assert.equal((await deliver({ message, content, mayRepeat: true })).kind, 'delivered')
      assert.equal((await arrived()).length, 1)
    },
    'die',
  ],
  [
    'no more of a message is read than the destination takes, and it can be broken off there',
    async ({ deliverStuck }) => {
      const stop = new AbortController()
      const chunk = Buffer.from(`${'y'.repeat(998)}\r\n`.repeat(64))
      let read = 0
      let quiet: NodeJS.Timeout | undefined
      const content: StoredContent = {
        header: Buffer.from(HEADER),
        bodySize: chunk.length * 1000,
        body: async function* () {
          read = 0
          for (let n = 0; n < 1000; n++) {
            clearTimeout(quiet)
            quiet = setTimeout(() => stop.abort(new Error('stopping')), 300)
            read += chunk.length
            yield await Promise.resolve(chunk)
          }
        },
      }
      await assert.rejects(deliverStuck(content, stop.signal), /stopping/)
      clearTimeout(quiet)
      assert.ok(read < 32 * 1024 ** 2, `${read} octets were read for a destination that takes none`)
    },
    'stuck',
  ],
]

function byText(a: string, b: string): number {
  return a.localeCompare(b)
}
