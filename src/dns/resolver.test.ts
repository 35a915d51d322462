import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LookupError, SystemResolver } from './resolver.ts'

const patient = new AbortController().signal

const fail = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }))

function deferred<T>() {
  return Promise.withResolvers<T>()
}

test('localhost has a loopback address, IPv4 before IPv6', async () => {
  const found = await new SystemResolver().lookupHost('localhost', patient)
  assert.ok(found.some(({ address }) => address === '127.0.0.1' || address === '::1'))
  assert.deepEqual(
    found.map(({ family }) => family),
    found.map(({ family }) => family).toSorted((a, b) => a - b),
  )
})

test('a name that does not exist is told apart from a question that was not answered', async () => {
  const missing = new SystemResolver({ ask: fail('ENOTFOUND') })
  await assert.rejects(missing.lookupHost('x.test', patient), { name: 'LookupError', kind: 'not-found' })
  const broken = new SystemResolver({ ask: fail('EAI_AGAIN') })
  await assert.rejects(broken.lookupHost('x.test', patient), { name: 'LookupError', kind: 'temporary' })
  const empty = new SystemResolver({ ask: async () => [] })
  await assert.rejects(empty.lookupHost('x.test', patient), LookupError)
})

test('the same question asked twice at once is put once', async () => {
  const answer = deferred<{ address: string; family: number }[]>()
  let asked = 0
  const resolver = new SystemResolver({
    ask: () => {
      asked++
      return answer.promise
    },
  })
  const both = Promise.all([resolver.lookupHost('a.test', patient), resolver.lookupHost('A.test', patient)])
  answer.resolve([{ address: '192.0.2.1', family: 4 }])
  const [first, second] = await both
  assert.equal(asked, 1)
  assert.deepEqual(first, second)
})

test('look-ups wait in line for a thread, and one whose signal aborts leaves the line', async () => {
  const answers = new Map([
    ['a.test', deferred<{ address: string; family: number }[]>()],
    ['b.test', deferred<{ address: string; family: number }[]>()],
  ])
  const asked: string[] = []
  const resolver = new SystemResolver({
    concurrency: 1,
    ask: (name) => {
      asked.push(name)
      return answers.get(name)?.promise ?? Promise.reject(new Error('not expected'))
    },
  })
  const first = resolver.lookupHost('a.test', patient)
  const hasty = new AbortController()
  const dropped = assert.rejects(resolver.lookupHost('c.test', hasty.signal), /hasty/)
  const second = resolver.lookupHost('b.test', patient)
  hasty.abort(new Error('hasty'))
  await dropped
  answers.get('a.test')?.resolve([{ address: '192.0.2.1', family: 4 }])
  await first
  answers.get('b.test')?.resolve([{ address: '192.0.2.2', family: 4 }])
  assert.deepEqual(await second, [{ address: '192.0.2.2', family: 4 }])
  assert.deepEqual(asked, ['a.test', 'b.test'])
})

test('whoever loses patience is answered at once while the look-up still holds its thread', async () => {
  const answer = deferred<{ address: string; family: number }[]>()
  const resolver = new SystemResolver({ concurrency: 1, ask: () => answer.promise })
  const hasty = new AbortController()
  const dropped = assert.rejects(resolver.lookupHost('a.test', hasty.signal), /hasty/)
  hasty.abort(new Error('hasty'))
  await dropped
  const second = resolver.lookupHost('a.test', patient)
  answer.resolve([{ address: '::1', family: 6 }])
  assert.deepEqual(await second, [{ address: '::1', family: 6 }])
})
