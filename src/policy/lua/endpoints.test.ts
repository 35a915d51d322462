/** How many requests scripts answer at once. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScriptLog } from './callout.ts'
import { ScriptEndpoints } from './endpoints.ts'
import type { Outcome } from './outcome.ts'

test('no more than 64 requests wait for scripts, and room comes back, also after a failure', async () => {
  const waiting: ((outcome: Outcome) => void)[] = []
  const endpoints = new ScriptEndpoints({
    log: new ScriptLog({ emit: () => undefined }, Date.now),
    run: () => new Promise((resolve) => waiting.push(resolve)),
  })
  endpoints.add('GET', '/x', 1)
  const ask = () => endpoints.request({ method: 'GET', path: '/x', url: '/x' })
  const first = Array.from({ length: 64 }, ask)
  assert.deepEqual(await ask(), { kind: 'busy' })
  for (const [index, end] of waiting.splice(0).entries())
    end(index === 0 ? { kind: 'failed', message: 'x' } : { kind: 'returned', value: undefined, shown: 'nil' })
  assert.deepEqual(
    (await Promise.all(first)).map((answer) => answer?.kind),
    ['failed', ...Array<string>(63).fill('answered')],
  )
  const next = ask()
  assert.equal(waiting.length, 1)
  waiting[0]?.({ kind: 'returned', value: undefined, shown: 'nil' })
  assert.equal((await next)?.kind, 'answered')
})
