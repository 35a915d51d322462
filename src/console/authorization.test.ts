import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allowingRole, PatternTimeout, parseGroups } from './authorization.ts'

test('groups are read in both forms; what is none adds nobody', () => {
  const groups = parseGroups(
    '# x\nroot:root\nadmin:serv,ec\nold:unused:serv , ann\n:x\nnobody\na:b:c:d\nempty:\n',
  )
  assert.deepEqual(Object.fromEntries(groups), {
    root: ['root'],
    serv: ['admin', 'old'],
    ec: ['admin'],
    ann: ['old'],
  })
})

test('the first role of mine that allows it counts; nothing is allowed by default', () => {
  const roles = [
    { name: 'root', allow: [/.*/u] },
    { name: 'admin', allow: [/^config/u, /^summary$/u] },
    { name: 'ann', allow: [/^pid$/u] },
  ]
  assert.equal(allowingRole(['ann', 'admin'], roles, 'config eval x'), 'admin')
  assert.equal(allowingRole(['ann', 'admin'], roles, 'pid'), 'ann')
  assert.equal(allowingRole(['ann', 'admin'], roles, 'summary reset'), undefined)
  assert.equal(allowingRole(['bob'], roles, 'pid'), undefined)
  assert.equal(allowingRole([], roles, 'pid'), undefined)
  assert.equal(allowingRole(['root'], [], 'pid'), undefined)
})

test('a command that makes a pattern search for ever holds nobody up, and is not allowed', () => {
  const roles = [{ name: 'ann', allow: [/^(?:config( \S+)*)*$/u, /^show (\w+ ?)*$/u] }]
  const began = Date.now()
  assert.throws(() => allowingRole(['ann'], roles, `show ${'a'.repeat(25)}!`), PatternTimeout)
  assert.ok(Date.now() - began < 5000)
  assert.equal(allowingRole(['ann'], roles, 'show inbound'), 'ann')
})
