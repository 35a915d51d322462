/** The page of past vulnerabilities says what the table does, and the table names tests and files that exist. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { Defence } from './defence.ts'
import { defences } from './defences.ts'

const root = path.join(import.meta.dirname, '..', '..')
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8')

for (const {
  attack,
  test: [file, title],
  source,
  mutation,
} of defences) {
  test(`${attack}: has its test and its file`, () => {
    assert.ok(existsSync(path.join(root, source)), source)
    assert.ok(title.length > 10, 'a title that says something')
    assert.match(file, /\.(?:test|fuzz|long)\.ts$/)
    const titles = read(file).matchAll(/(?:\btest\(\s*|^\s*\[\s*)(['"`])(.*)\1,/gm)
    assert.ok(
      [...titles].some(([, , written = '']) => written.startsWith(title)),
      `${file} has no test "${title}"`,
    )
    for (const [text, , other = source] of mutation ?? [])
      assert.equal(read(other).split(text).length, 2, `not exactly once in ${other}: ${text}`)
  })
}

test('docs/past-vulnerabilities.md has a row for each of them, and no other', () => {
  const page = read('docs/past-vulnerabilities.md')
  const table = [
    '| Known as | Attack | Prevented by | Tried by |',
    '| --- | --- | --- | --- |',
    ...defences.map(row),
  ]
  const written = page.replace(/(?:^\|.*\n)+/m, () => `${table.join('\n')}\n`)
  // UPDATE_GOLDEN=1 writes the table
  if (process.env['UPDATE_GOLDEN'] === '1')
    writeFileSync(path.join(root, 'docs/past-vulnerabilities.md'), written)
  else assert.equal(page, written)
})

function row({ known, attack, source, test: [file, title], mutation }: Defence): string {
  const name = title.replaceAll(/\$\{(?:[^{}]|\{[^}]*\})*\}/g, '…').replaceAll('|', '\\|')
  const proof = mutation === undefined ? '' : ' ✂'
  return `| ${known} | ${attack} | [${source}](../${source}) | [${file}](../${file}): ${name}${proof} |`
}
