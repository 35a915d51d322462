import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { History, historyFile } from './history.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-history-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('lines come back the next time, the newest first, without repetitions and secrets, for the owner alone', () => {
  const file = path.join(folder, 'deep', 'history')
  const first = new History(file)
  for (const line of ['pid', 'summary', 'summary', 'config set Outbound_SMTP_Auth_Pass hunter2', ' '])
    first.add(line)
  assert.deepEqual(new History(file).lines, ['summary', 'pid'])
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(statSync(path.dirname(file)).mode & 0o777, 0o700)
})

test('it does not grow without end', () => {
  const file = path.join(folder, 'long')
  const history = new History(file)
  for (let number = 0; number < 1500; number++) history.add(`mailq -l ${number}`)
  assert.ok(readFileSync(file, 'utf8').split('\n').length <= 1202)
  assert.equal(new History(file).lines.length, 1000)
  assert.equal(new History(file).lines[0], 'mailq -l 1499')
})

test('what others may read, and what a link leads to, is left alone', () => {
  const target = path.join(folder, 'target')
  writeFileSync(target, 'theirs\n', { mode: 0o600 })
  const link = path.join(folder, 'link')
  symlinkSync(target, link)
  const shared = path.join(folder, 'shared')
  writeFileSync(shared, 'theirs\n')
  chmodSync(shared, 0o644)
  for (const file of [link, shared]) {
    const history = new History(file)
    assert.deepEqual(history.lines, [])
    history.add('pid')
    assert.equal(readFileSync(file, 'utf8'), 'theirs\n')
  }
})

test('the file is that of XDG where it is set', () => {
  assert.equal(historyFile({ XDG_STATE_HOME: '/state' }), '/state/postern/history')
  assert.match(historyFile({ XDG_STATE_HOME: 'relative' }), /\/\.postern_history$/)
})
