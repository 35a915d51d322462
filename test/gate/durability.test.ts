/**
 * 250 means that it is on stable storage, seen from outside: of the whole server's recorded I/O, the syncs of data,
 * envelope and directory entries come before each 250 that is written to a client. (kill.test.ts cannot show a missing
 * sync, since the page cache survives a kill.)
 */

import assert from 'node:assert/strict'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type IoCall, straceMissing, traceIo } from '../support/io-trace.ts'

const SESSION = path.join(import.meta.dirname, 'durability-session.ts')
const NAMES = [
  'one',
  ...Array.from({ length: 8 }, (_, n) => [`c${n}a`, `c${n}b`]).flat(),
  'three',
  'large1',
  'large2',
  'large3',
  'large4',
  'last',
]
const missing = straceMissing()

describe('the recorded I/O of a server', { skip: missing }, () => {
  let folder: string
  let calls: readonly IoCall[]
  /** the 250 of each message, by the message's id */
  let answers: ReadonlyMap<string, IoCall>

  before(async () => {
    folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'postern-durability-')))
    calls = await traceIo([process.execPath, SESSION, folder], path.join(folder, 'trace'))
    answers = new Map(
      calls.flatMap((call) =>
        [...call.text.matchAll(/250 2\.0\.0 message (\S+) accepted/g)].map(
          ([, id = '']) => [id, call] as const,
        ),
      ),
    )
  })
  after(() => rmSync(folder, { recursive: true }))

  test('every message has one answer, written to a socket', () => {
    assert.equal(answers.size, NAMES.length)
    for (const { name, path: target } of answers.values()) {
      assert.match(name, /^writev?$/)
      assert.match(target, /^(?:socket|TCP):/)
    }
  })

  for (const name of NAMES) {
    test(`${name}: header and envelope are synced, and the store's new root after them`, () => {
      const envelope = written(`\\"sender\\":{\\"local\\":\\"${name}\\"`)
      const header = written(`X-Mark: ${name}\\r`)
      const body = name.startsWith('large') ? header : written(`body-of ${name}\\r`)
      const [, id = ''] =
        /\\"batchId\\":\\"([^"\\]+)\\"/.exec(near(envelope.text, `\\"local\\":\\"${name}\\"`)) ?? []
      const answer = answers.get(id)
      assert.ok(answer, `${name} was answered as ${id}`)
      assertRootSynced(Math.max(envelope.end, header.end, body.end), answer.start)
      if (name.startsWith('large')) assertFileSynced(name, envelope.start)
    })
  }

  test('the entries of everything that was created are synced before the first answer', () => {
    const first = Math.min(...[...answers.values()].map(({ start }) => start))
    const top = path.join(folder, 'new')
    const made = ['spool/0/bodies', 'spool/0/data.mdb', 'spool/0', 'spool', '.'].map((name) =>
      path.join(top, name),
    )
    for (const target of made) {
      const creation = calls.find(
        (call) =>
          call.path === target && call.ok && (call.name.startsWith('mkdir') || /O_CREAT/.test(call.text)),
      )
      assert.ok(creation, `${target} was created`)
      const synced = calls.find(
        (call) =>
          call.name === 'fsync' && call.ok && call.path === path.dirname(target) && call.start > creation.end,
      )
      assert.ok(synced !== undefined && synced.end < first, `the entry of ${target} was synced`)
    }
  })

  /** The write that brought a text to the store. */
  function written(mark: string): IoCall {
    const call = calls.find(
      ({ name, path: target, text, ok }) =>
        ok && target.endsWith('/0/data.mdb') && /^p?writev?|^pwrite64/.test(name) && text.includes(mark),
    )
    assert.ok(call, `${mark} was written to the store`)
    return call
  }

  /** fdatasync of the data, then the meta page through the descriptor with O_DSYNC, then the answer. */
  function assertRootSynced(from: number, until: number): void {
    const store = calls.filter(({ path: target, ok }) => ok && target.endsWith('/0/data.mdb'))
    const sync = store.find(({ name, start }) => name === 'fdatasync' && start > from)
    assert.ok(sync !== undefined && sync.end < until, 'fdatasync before the 250')
    const descriptor = /= (\d+)/.exec(store.find(({ text }) => text.includes('O_DSYNC'))?.text ?? '')?.[1]
    const root = store.find(
      ({ text, start }) => start > sync.end && text.startsWith(`pwrite64(${descriptor}<`),
    )
    assert.ok(root !== undefined && root.end < until, 'the meta page before the 250')
  }

  /** write, fsync, rename, fsync of the directory, and only then the record that refers to the file. */
  function assertFileSynced(name: string, recorded: number): void {
    const start = calls.find(
      ({ path: target, text }) => target.endsWith('.part') && text.includes(`body-of ${name}\\r`),
    )
    assert.ok(start, 'the body went to a file')
    const last = calls.findLast((call) => call.path === start.path && /write/.test(call.name))
    const sync = calls.find(
      (call) =>
        call.path === start.path && call.name === 'fsync' && call.ok && call.start > (last?.end ?? Infinity),
    )
    assert.ok(sync, 'synced after its last write')
    const renamed = calls.find(
      (call) => call.name.startsWith('rename') && call.path === start.path && call.ok,
    )
    assert.ok(renamed !== undefined && renamed.start > sync.end, 'renamed after that')
    const entry = calls.find(
      (call) => call.name === 'fsync' && call.ok && call.path.endsWith('/bodies') && call.start > renamed.end,
    )
    assert.ok(
      entry !== undefined && entry.end < recorded,
      'the directory synced before the record is written',
    )
  }
})

/** The JSON record around a mark, as strace shows it. */
function near(text: string, mark: string): string {
  const at = text.indexOf(mark)
  const from = text.lastIndexOf('{\\"id\\"', at)
  return text.slice(Math.max(0, from), at + 200)
}
