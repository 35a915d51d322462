/**
 * Takes each defence of `test/attacks/defences.ts` away once and runs the test that should notice.
 *
 *     npm run test:mutations [WORD…]
 *
 * It works on a copy of the committed tree in a folder of its own; with words, only on defences whose line has one of them.
 * A mutation that no test notices, and one whose text is not there exactly once, is a failure. Takes minutes: for a
 * night, or by hand.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Defence } from '../test/attacks/defence.ts'
import { defences } from '../test/attacks/defences.ts'

const root = path.join(import.meta.dirname, '..')
/** a mutant may wait for what never comes */
const DEADLINE = 180_000

const folder = mkdtempSync(path.join(tmpdir(), 'postern-mutations-'))
try {
  process.exitCode = run(process.argv.slice(2)) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** @returns whether every mutation was noticed */
function run(words: readonly string[]): boolean {
  execFileSync('git', ['clone', '--quiet', root, folder])
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  const chosen = defences.filter(
    (defence) =>
      defence.mutation !== undefined &&
      (words.length === 0 || words.some((word) => JSON.stringify(defence).includes(word))),
  )
  const results = chosen.map((defence) => {
    const result = tryOne(defence)
    console.log(`${result === 'noticed' ? 'noticed' : 'FAILED '} ${defence.source}: ${defence.attack}`)
    console.log(`        ${result === 'noticed' ? '' : `${result}; `}${defence.test.join(': ')}`)
    return result === 'noticed'
  })
  console.log(`${results.filter(Boolean).length} of ${chosen.length} mutations were noticed`)
  return results.every(Boolean)
}

function tryOne({ source, mutation, test: [file, title] }: Defence): string {
  const changes = (mutation ?? []).map(([text, replacement, other = source]) => ({
    text,
    replacement,
    target: path.join(folder, other),
  }))
  const originals = new Map(changes.map(({ target }) => [target, readFileSync(target, 'utf8')]))
  const unfit = changes.find(({ text, target }) => originals.get(target)?.split(text).length !== 2)
  if (unfit !== undefined) return `not there exactly once: ${JSON.stringify(unfit.text)}`
  if (!passes(file, title)) return 'the test fails without a mutation, or has no such title'
  for (const { text, replacement, target } of changes)
    writeFileSync(
      target,
      readFileSync(target, 'utf8').replace(text, () => replacement),
    )
  try {
    return passes(file, title) ? 'no test noticed' : 'noticed'
  } finally {
    for (const [target, original] of originals) writeFileSync(target, original)
  }
}

/** Whether the tests whose titles fit pass, and there are any. */
function passes(file: string, title: string): boolean {
  const pattern = title === '' ? [] : ['--test-name-pattern', titlePattern(title)]
  const args = ['--test', '--test-force-exit', '--test-reporter=tap', ...pattern, file]
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: DEADLINE,
    killSignal: 'SIGKILL',
  })
  return status === 0 && /^# pass [1-9]/m.test(stdout)
}

/** A title as the source writes it, `${…}` standing for anything. */
function titlePattern(title: string): string {
  const parts = title.split(/\$\{(?:[^{}]|\{[^}]*\})*\}?/)
  return parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('.*')
}
