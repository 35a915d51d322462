/** The pages that are made from the code's tables say what the tables say. */

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { generatedPages } from '../scripts/docs.ts'
import { loadSettingsFromText } from '../src/config/load.ts'

const root = path.join(import.meta.dirname, '..')

for (const [name, text] of generatedPages()) {
  test(`docs/${name} is up to date (npm run docs)`, () => {
    assert.equal(readFileSync(path.join(root, 'docs', name), 'utf8'), text)
  })
}

for (const page of [...globSync('*.md', { cwd: root }), ...globSync('{docs,src}/**/*.md', { cwd: root })]) {
  test(`${page}: every link to a file leads somewhere`, () => {
    const text = readFileSync(path.join(root, page), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      assert.ok(existsSync(path.join(root, path.dirname(page), target)), target)
    }
  })
}

test('the README’s configuration is understood', async () => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
  const text = /## Ten lines of configuration\n\n```\n([^]*?)```/.exec(readme)?.[1] ?? ''
  const { settings, diagnostics } = await loadSettingsFromText(
    text,
    path.join(root, 'examples', 'readme.conf'),
  )
  assert.ok(settings !== undefined, JSON.stringify(diagnostics))
  assert.equal(text.trim().split('\n').length, 10)
})
