/** The pages about the console and the metrics name what is there: no more, no less. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { usageOf } from '../src/console/command.ts'
import { consoleCommands } from '../src/console/commands.ts'
import { Metrics } from '../src/web/metrics.ts'

const page = (name: string): string =>
  readFileSync(path.join(import.meta.dirname, '..', 'docs', name), 'utf8')

/** The cells of a table's rows, without the backticks of the first. */
function tableRows(text: string, head: string): readonly (readonly string[])[] {
  const [, rows = ''] = text.split(`${head}\n`)
  const lines = rows.slice(0, rows.indexOf('\n\n')).split('\n').slice(1)
  return lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('\\|', '|')),
  )
}

test('docs/console.md has every command of the table with its arguments, and claims no other', () => {
  const rows = tableRows(page('console.md'), '| command | status | what it does here |')
  const there = rows.filter(([, status = '']) => ['same', 'differs', '+'].includes(status))
  const named = there.map(([command = '']) => command.replace(/^`|`$/g, '')).filter((name) => name !== 'quit')
  const known = consoleCommands.map((command) =>
    command.name === 'config eval' ? 'config eval … OPTION' : usageOf(command),
  )
  assert.deepEqual(
    named.filter((name) => name !== 'a script\u2019s commands' && name !== "a script's commands").toSorted(),
    known.toSorted(),
  )
  const absent = rows.filter(([, status = '']) => ['not yet', 'never'].includes(status))
  assert.equal(there.length + absent.length, rows.length, 'every row has one of the statuses')
  for (const [names = ''] of absent)
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g))
      assert.ok(!consoleCommands.some((command) => command.name === name), `${name} is there`)
})

test('docs/metrics.md has every metric with its type and labels, and claims no other', async () => {
  const metrics = new Metrics({ version: 'x', gauges: () => assert.fail('nobody looks') })
  const known = metrics.describe().map(({ name, type, labels }) => `${name} ${type} ${labels.join(' ')}`)
  const rows = tableRows(page('metrics.md'), '| metric | type | labels | meaning |')
  const named = rows.map((cells) => cells.slice(0, 3).join(' ').replaceAll('`', ''))
  assert.deepEqual(named.map((row) => row.trim()).toSorted(), known.map((row) => row.trim()).toSorted())
})
