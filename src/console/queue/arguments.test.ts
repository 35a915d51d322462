import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConsoleError } from '../answer.ts'
import { oneDomain, takeBinding, takeClauses, takeDomain } from './arguments.ts'

test('a dry run is one wherever it is written, and never becomes a word of something else', () => {
  for (const words of ['--dry-run a.test x', 'a.test --dry-run x', 'a.test x --dry-run']) {
    const { dryRun, rest } = takeClauses(words.split(' '))
    assert.deepEqual([dryRun, rest], [true, ['a.test', 'x']])
  }
  assert.equal(takeClauses(['a.test']).dryRun, false)
})

test('there is one filter at most, whole, in front; options have one value', () => {
  const { filter, rest, values } = takeClauses(
    ['--to', 'm1', '--header', 'X-Größe', ' 5', 'a.test'],
    ['--to'],
  )
  // queues and messages have octets
  assert.deepEqual(filter, { kind: 'header', name: 'X-Gr\xc3\xb6\xc3\x9fe', line: ' 5' })
  assert.deepEqual([rest, values.get('--to')], [['a.test'], 'm1'])
  for (const words of [
    '--meta a',
    '--meta a b --header c d',
    '--meta a b --meta c d',
    '--dryrun',
    '--to m1 --to m2',
    '--to',
  ])
    assert.throws(() => takeClauses(words.split(' '), ['--to']), ConsoleError, words)
})

test('a binding is in any group, or in the one before the first slash', () => {
  assert.deepEqual(takeBinding('m1', ''), { binding: 'm1' })
  assert.deepEqual(takeBinding('g/m1', ''), { bindingGroup: 'g', binding: 'm1' })
  assert.deepEqual(takeBinding('g/m1/2', ''), { bindingGroup: 'g', binding: 'm1/2' })
  assert.deepEqual(takeBinding('ALL', ''), {})
  assert.throws(() => takeBinding('', ''), ConsoleError)
})

test('a domain is what a queue can have for a name', () => {
  assert.equal(takeDomain('all', ''), undefined)
  assert.equal(oneDomain('A.Example'), 'a.example')
  assert.equal(oneDomain('bücher.example'), 'xn--bcher-kva.example')
  assert.equal(oneDomain('[192.0.2.1]'), '[192.0.2.1]')
  assert.equal(oneDomain('_pool.example'), '_pool.example')
  for (const word of ['a b', 'a..b', '-a', '*', 'a@b'])
    assert.throws(() => oneDomain(word), ConsoleError, word)
})
