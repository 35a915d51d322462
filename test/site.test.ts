/** The site of the documentation: it is built whole, which refuses links that lead nowhere, and needs no server. */

import assert from 'node:assert/strict'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { buildSite } from '../scripts/site.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-site-'))
after(() => rmSync(folder, { recursive: true }))
before(() => buildSite(folder))

const pages = (): readonly string[] => globSync('**/*.html', { cwd: folder })

test('every page of docs/ is there, and every link and asset leads to a file of the site', () => {
  const root = path.join(import.meta.dirname, '..')
  for (const source of globSync('docs/**/*.md', { cwd: root, exclude: ['docs/compatibility.head.md'] }))
    assert.ok(pages().includes(source.replace('README.md', 'index.html').replace(/\.md$/, '.html')), source)
  for (const page of pages()) {
    const html = readFileSync(path.join(folder, page), 'utf8')
    for (const [, target = ''] of html.matchAll(/(?:href|src)="([^"#]+)[^"]*"/g))
      if (!/^[a-z]+:/.test(target))
        assert.ok(existsSync(path.join(folder, path.dirname(page), target)), `${page}: ${target}`)
  }
})

test('the menu has the groups of the README, and says where the reader is', () => {
  const html = readFileSync(path.join(folder, 'docs', 'console.html'), 'utf8')
  assert.match(html, /<h2>running it<\/h2>/)
  assert.match(html, /<a href="\.\.\/docs\/console\.html" aria-current="page">/)
})
