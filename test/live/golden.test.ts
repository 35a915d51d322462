/**
 * Each `*.txt` beside this file is a case: files, each behind a line `===== NAME` (the first one is the main file), then a
 * line `===== console` and a transcript: lines that begin with `> ` are typed, the others are what comes back. A name with a
 * number, as in `2> config begin`, is a second connection. What a file has become in the end stands behind `===== NAME now`.
 *
 * With UPDATE_GOLDEN=1 in the environment what comes out is written back: read the difference before you keep it.
 */

import assert from 'node:assert/strict'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { loadSettings } from '../../src/config/load.ts'
import { liveConsole, withoutFolder } from '../support/live-console.ts'

for (const file of globSync('*.txt', { cwd: import.meta.dirname }).toSorted()) {
  test(`the console and the files: ${file}`, async () => {
    const whole = readFileSync(path.join(import.meta.dirname, file), 'utf8')
    const actual = await run(whole)
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path.join(import.meta.dirname, file), actual)
    else assert.equal(actual, whole)
  })
}

async function run(whole: string): Promise<string> {
  const sections = whole
    .split(/^===== /m)
    .filter((each) => each !== '')
    .map((each) => [each.slice(0, each.indexOf('\n')), each.slice(each.indexOf('\n') + 1)] as const)
  const files = sections.slice(
    0,
    sections.findIndex(([name]) => name === 'console'),
  )
  const typed = sections.find(([name]) => name === 'console')?.[1].split('\n') ?? []
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-live-'))
  try {
    for (const [name, text] of files) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
      writeFileSync(path.join(folder, name), text)
    }
    const main = path.join(folder, files[0]?.[0] ?? '')
    const console = await liveConsole(main)
    const connections = new Map<string, AbortController>()
    let transcript = ''
    for (const line of typed) {
      const [, number = '', command = ''] = /^(\d?)> (.*)$/.exec(line) ?? []
      if (command === '') continue
      const connection = connections.get(number) ?? new AbortController()
      connections.set(number, connection)
      const answer = await console.type(
        command.replaceAll('FOLDER', folder),
        number === '' ? 'alice' : 'bob',
        connection.signal,
      )
      transcript += `${line}\n${withoutFolder(answer, folder)}`
    }
    const before = sections.slice(0, files.length).map(([name, text]) => `===== ${name}\n${text}`)
    const names = [
      ...new Set([...files.map(([name]) => name), ...globSync('**/*.conf', { cwd: folder }).toSorted()]),
    ]
    const now = names.flatMap((name) => {
      const text = readFileSync(path.join(folder, name), 'utf8')
      return files.some(([known, old]) => known === name && old === text)
        ? []
        : [`===== ${name} now\n${text}`]
    })
    const { diagnostics } = await loadSettings(main)
    assert.deepEqual(
      diagnostics.filter(({ severity }) => severity === 'error'),
      [],
    )
    return [...before, `===== console\n${transcript}`, ...now].join('')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
