import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ValidationContext } from '../policy/context.ts'
import { MemorySpool } from '../spool/memory-spool.ts'
import type { Session } from './session-state.ts'
import { CopySigner } from './signing.ts'

test('a header that many copies share is read once', async () => {
  const asked: string[] = []
  const authenticity = {
    signs: true,
    keysFor: (domain: string) => {
      asked.push(domain)
      return []
    },
  }
  const signer = new CopySigner(
    { services: { authenticity } } as unknown as Session,
    new MemorySpool().create(),
  )
  const copy = {
    recipient: { local: 'bob', domain: 'x.test' },
    context: new ValidationContext(),
    content: { replaced: undefined },
  }
  const timeOf = async (copies: number): Promise<number> => {
    const header = Buffer.from(`From: a@gate.example\r\n${'a:\r\n'.repeat(20_000)}\r\n`)
    const started = performance.now()
    for (let n = 0; n < copies; n++) assert.equal(await signer.sign(copy, header), header)
    return performance.now() - started
  }
  const few = Math.max(await timeOf(1), await timeOf(1))
  assert.ok((await timeOf(1000)) < 100 * few)
  assert.deepEqual([asked.length, new Set(asked).size], [1002, 1])
})
