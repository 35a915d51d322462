/**
 * The contract of transport.ts as tests, run over every implementation: `transportContract(name, open)`.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DeliverableRoute } from '../../src/delivery/route.ts'
import type { AttemptContext, AttemptResult, Transport } from '../../src/delivery/transport.ts'
import type { StoredContent, StoredMessage } from '../../src/spool/spool.ts'
import { contentOf, openGate, outboundDefaults, storedMessage } from './messages.ts'

/** A destination that takes everything. */
export interface TransportPlace<R extends DeliverableRoute> {
  readonly transport: Transport<R>
  readonly route: R
  /** what has arrived, with CRLF line ends, without what the destination itself put on top */
  arrived(): Promise<readonly string[]>
  close(): Promise<void>
}

interface Case {
  readonly arrived: () => Promise<readonly string[]>
  readonly deliver: (delivery: {
    readonly message: StoredMessage
    readonly content: StoredContent
    readonly signal?: AbortSignal
  }) => Promise<AttemptResult>
}

const HEADER = 'Subject: x\r\n\r\n'

export function transportContract<R extends DeliverableRoute>(
  name: string,
  open: () => Promise<TransportPlace<R>>,
): void {
  describe(`${name} keeps the contract:`, () => {
    for (const [title, run] of cases) {
      test(title, async () => {
        const place = await open()
        const context: Omit<AttemptContext<R>, 'signal'> = {
          route: place.route,
          options: outboundDefaults,
          mayRepeat: false,
          gate: openGate,
        }
        try {
          await run({
            arrived: async () => await place.arrived(),
            deliver: async ({ message, content, signal = new AbortController().signal }) => {
              const [result] = await place.transport.deliver([message], content, { ...context, signal })
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

const cases: readonly (readonly [string, (place: Case) => Promise<void>])[] = [
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
]

function byText(a: string, b: string): number {
  return a.localeCompare(b)
}
