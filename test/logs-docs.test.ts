/** docs/logs.md has the macros of custom_logger as the code has them: no more, no less. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { loadSettingsFromText } from '../src/config/load.ts'
import { logMacros } from '../src/config/log-format.ts'

const page = readFileSync(path.join(import.meta.dirname, '..', 'docs', 'logs.md'), 'utf8')

test('every macro is there with its stages and its argument, and no other', () => {
  const rows = [...page.matchAll(/^\| `%(\w+)(\{\w+\})?` \| (\w+) \| (.+) \|$/gm)]
  const written = rows.map(
    ([, name = '', argument = '', stages]) => `${name}${argument === '' ? '' : '{}'} ${stages}`,
  )
  const known = Object.entries(logMacros).flatMap(([name, { argument, stages }]) => {
    const bare = `${name} ${stages}`
    const braced = `${name}{} ${stages}`
    if (argument === 'none') return [bare]
    // these two may go without
    return argument === 'time' || argument === 'places' ? [bare, braced] : [braced]
  })
  assert.deepEqual(written.toSorted(), known.toSorted())
})

test('the macros about TLS are the ones that the page says need their namespace', () => {
  const from = page.indexOf('| `%outbound_tls` |')
  for (const [name, { namespace }] of Object.entries(logMacros)) {
    const at = page.search(new RegExp(`^\\| \`%${name}[{\`]`, 'm'))
    assert.equal(at >= from, namespace === 'outbound_tls', name)
  }
})

test('the examples are understood', async () => {
  const pages = `${page}${readFileSync(path.join(import.meta.dirname, '..', 'docs', 'json-lines.md'), 'utf8')}`
  const examples = [...pages.matchAll(/\n```\n([^]*?)```/g)].map(([, text = '']) => text)
  assert.equal(examples.length, 3)
  for (const text of examples) {
    const { settings, diagnostics } = await loadSettingsFromText(text)
    assert.deepEqual(diagnostics, [])
    assert.ok(settings !== undefined)
  }
})
