/** The pages that are made from the code's tables say what the tables say. */

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { commandLineFiles } from '../scripts/command-line.ts'
import { generatedPages } from '../scripts/docs.ts'
import { runProgram } from '../src/cli/program.ts'
import { findOption, findStanza } from '../src/config/known-names.ts'
import { loadSettingsFromText } from '../src/config/load.ts'
import { pipeOptions, webhookOptions } from '../src/config/options-delivery.ts'
import { maildirOptions, outboundOptions } from '../src/config/options-other.ts'
import { hostOptions, queueGlobals } from '../src/config/options-queue.ts'
import { sessionGlobals } from '../src/config/options-session.ts'

const root = path.join(import.meta.dirname, '..')

for (const [name, text] of generatedPages()) {
  test(`docs/${name} is up to date (npm run docs)`, () => {
    assert.equal(readFileSync(path.join(root, 'docs', name), 'utf8'), text)
  })
}

for (const [name, text] of commandLineFiles()) {
  test(`${name} is up to date (npm run docs)`, () => {
    assert.equal(readFileSync(path.join(root, name), 'utf8'), text)
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

test('docs/delivery.md has every option of delivery, and tells of none that does not act', () => {
  const text = readFileSync(path.join(root, 'docs/delivery.md'), 'utf8')
  const listed = new Set(
    [...text.matchAll(/^\| `([A-Za-z0-9_]+)` \|/gm)].map(([, name = '']) => name.toLowerCase()),
  )
  const tables = [
    outboundOptions,
    queueGlobals,
    sessionGlobals,
    hostOptions,
    maildirOptions,
    pipeOptions,
    webhookOptions,
  ]
  for (const name of tables.flatMap((each) => Object.keys(each))) assert.ok(listed.has(name), name)
  const scopes = [
    'global',
    'domain',
    'binding',
    'host',
    'maildir',
    'pipe_transport',
    'webhook',
    'bounce_logger',
  ] as const
  const acts = (name: string): boolean =>
    [...scopes, 'pathway' as const, 'listen' as const].some((scope) => {
      const found = findOption(name, scope) ?? findStanza(name, scope)
      return found?.kind === 'acts' || found?.kind === 'read'
    })
  const mentioned = [...text.matchAll(/`([A-Z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+)(?: = [^`]*)?`/g)].map(
    ([, name = '']) => name,
  )
  assert.ok(mentioned.length > 50)
  const others = new Set([
    'EX_DATAERR',
    'EX_NOUSER',
    'EX_NOHOST',
    'EX_UNAVAILABLE',
    'EX_NOPERM',
    'EX_TEMPFAIL',
  ])
  assert.deepEqual(
    mentioned.filter((name) => !others.has(name) && !acts(name.toLowerCase())),
    [],
  )
})

/** Pages of this repository that a page leads to. */
function targetsOf(page: string): ReadonlySet<string> {
  const text = readFileSync(path.join(root, page), 'utf8')
  const targets = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target)
  return new Set(targets.map((target) => path.join(path.dirname(page), target)))
}

// the other half of a page that is made of two
const parts = new Set(['docs/compatibility.head.md'])

test('the README leads to every page in docs/, and the page about hooks to every hook', () => {
  const fromReadme = targetsOf('README.md')
  for (const page of globSync('docs/*.md', { cwd: root }))
    if (!parts.has(page)) assert.ok(fromReadme.has(page), page)
  const index = 'docs/hooks/README.md'
  assert.ok(fromReadme.has(index))
  const fromIndex = targetsOf(index)
  for (const page of globSync('docs/hooks/*.md', { cwd: root }))
    if (page !== index) assert.ok(fromIndex.has(page), page)
})

test('postern --help has every command of the program, and every command that a page shows is one', async () => {
  const stdout = new PassThrough()
  assert.equal(await runProgram(['--help'], { stdout, stderr: stdout, terminal: false }), 0)
  const help = String(stdout.read())
  const listed = new Set([...help.matchAll(/^  ([a-z]+)\b/gm)].map(([, name = '']) => name))
  const source = readFileSync(path.join(root, 'src/cli/program.ts'), 'utf8')
  const known = [...source.matchAll(/\.command\('([a-z]+)/g)].map(([, name = '']) => name)
  assert.ok(known.length >= 9)
  for (const name of known) assert.ok(listed.has(name), `${name} is not in --help`)
  const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md', { cwd: root })]
  for (const page of pages) {
    const text = readFileSync(path.join(root, page), 'utf8')
    for (const [, name = ''] of text.matchAll(/(?:^|`)(?:bin\/)?postern ([a-z]+)\b/gm))
      assert.ok(listed.has(name) || name === 'ready', `${page}: postern ${name}`)
  }
})
