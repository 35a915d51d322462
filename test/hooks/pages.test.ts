/**
 * The pages about hooks say what is so: every callout has its page with the arguments and answers of the code, and every
 * example does on a running gate what its conversations show.
 */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { before, test } from 'node:test'
import { signatures } from '../../src/policy/lua/arguments.ts'
import { callouts } from '../../src/policy/phases.ts'
import { calloutOf, policyNames } from '../../src/policy/typescript/callouts.ts'
import { permittedAnswers } from '../../src/policy/typescript/verdicts.ts'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { blocksOf, examplesOf, playExample, startGate } from './pages.fixture.ts'

const root = path.join(import.meta.dirname, '..', '..')
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8')
const index = read('docs/hooks/README.md')
const usualConf = blocksOf(index).find(({ language }) => language === 'conf')?.text ?? ''
const hookPages = globSync('docs/hooks/*.md', { cwd: root })
  .filter((file) => !file.endsWith('README.md'))
  .toSorted()
const pages = [...hookPages, 'docs/policy.md']

/** functions of a script that belong to no phase */
const lifeCycle = ['init', 'rsrc_setup', 'deinit', 'validate_dealloc']

let pki: Pki
before(async () => {
  pki = await makePki()
})

for (const page of pages) {
  for (const example of examplesOf(read(page), usualConf)) {
    for (const language of example.policies.keys()) {
      test(`${page}:${example.line}: clients meet what the page shows (${language})`, async () => {
        const shown = example.conversations.length + example.findings.length
        assert.ok(shown > 0, 'nothing shows what this policy does')
        await playExample(example, language, pki)
      })
    }
  }
}

/** A cell of the table at the top of a page. */
function row(page: string, name: string): string {
  return new RegExp(`^\\| ${name} \\| (.*) \\|$`, 'm').exec(read(page))?.[1] ?? ''
}

/** `name(argument, …)` → name, and how many arguments */
function written(cell: string): (readonly [string, number])[] {
  return Array.from(cell.matchAll(/`(\w+)\((.*?)\)`/g), ([, name = '', args = '']) => [
    name,
    args === '' ? 0 : args.split(', ').length,
  ])
}

test('every callout has one page, with as many arguments as it gets, and every page a callout', () => {
  const found = hookPages.flatMap((page) => {
    const names = written(row(page, 'Lua'))
    assert.ok(names.length > 0, page)
    return names
  })
  const expected = [...Object.values(callouts).flat(), ...lifeCycle].map((name) => [
    name,
    signatures[name]?.length ?? 0,
  ])
  assert.deepEqual(found.map(String).toSorted(), expected.map(String).toSorted())
})

test('every method of a policy in TypeScript has a page, with the answers that its phase permits', () => {
  const phases = Object.keys(permittedAnswers) as (keyof typeof permittedAnswers)[]
  const expected = phases.map((phase) => [calloutOf(phase)?.method, permittedAnswers[phase]])
  const found = hookPages.flatMap((page) =>
    written(row(page, 'TypeScript')).map(([method]) => {
      // a method may have answers of its own behind those of the page
      const [usual = '', ...own] = row(page, 'may answer').split('; ')
      const named = `\`${method}\`: `
      const answers = own.find((each) => each.startsWith(named))?.slice(named.length) ?? usual
      return [method, answers === '–' ? [] : answers.split(', ')]
    }),
  )
  assert.deepEqual(new Map(found as [string, string[]][]), new Map(expected as [string, string[]][]))
  assert.deepEqual(
    found.map(([method]) => String(method)).toSorted(),
    policyNames.filter((name) => name !== 'name').toSorted(),
  )
})

test('a page of a phase that both languages have shows both', () => {
  for (const page of hookPages) {
    const languages = new Set(blocksOf(read(page)).map(({ language }) => language))
    assert.ok(languages.has('lua'), page)
    assert.equal(languages.has('ts'), row(page, 'TypeScript') !== '–', page)
  }
})

/** as the index draws them, from top to bottom */
const drawn = Array.from(
  (blocksOf(index).find(({ language }) => language === 'text')?.text ?? '').matchAll(
    /\b(?:validate|core)_\w+|\b(?:(?:de)?init|rsrc_setup)\b/g,
  ),
  ([name]) => name,
)

/** says its name, and goes on */
function observer(name: string): string {
  const answer = name.startsWith('core_')
    ? name === 'core_pre_esmtp_auth'
      ? 'return -1'
      : ''
    : 'return core.VALIDATE_CONT'
  return `function gate:${name}() print("${name}") ${/init$|^rsrc/.test(name) ? 'return true' : answer} end`
}

test('one reception asks every callout, in the order that the index draws', async () => {
  const script = ['local core, gate = require("msys.core"), {}', ...drawn.map(observer)]
  const gate = await startGate(
    {
      conf: usualConf,
      policies: new Map([['lua', `${script.join('\n')}\nmsys.registerModule("gate", gate)\n`]]),
    },
    'lua',
    pki,
  )
  try {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.ehlo()
    await client.command('STARTTLS')
    await client.secure(pki.clients.valid)
    await client.ehlo()
    assert.match(await client.command('AUTH PLAIN AGFubgBzZWNyZXQ='), /^235 /)
    assert.match(await client.deliver('a@b.example', 'ann@example.com', 'Subject: x\n\nx'), /^250 /)
    assert.match(await client.command('QUIT'), /^221 /)
  } finally {
    await gate.stop()
  }
  const asked = gate.events.flatMap((event) => (event.kind === 'panic' ? [event.text] : []))
  assert.deepEqual([...new Set(asked)], drawn)
})

test('the index draws every callout once, and links to every page', () => {
  const names = [...Object.values(callouts).flat(), ...lifeCycle].filter(
    // one stands for both names; ac_auth is a store and no phase of every reception; what is outbound comes later
    (name) => name !== 'core_validate_auth_hook' && !/^ac_auth_|_outbound_/.test(name),
  )
  assert.deepEqual(drawn.toSorted(), names.toSorted())
  const linked = Array.from(
    index.matchAll(/^\| \[.*?\]\((.*?)\) \| (.*) \|$/gm),
    ([, page = '', cell = '']) => ({
      page: `docs/hooks/${page}`,
      names: Array.from(cell.matchAll(/`(\w+)`/g), ([, name]) => name),
    }),
  )
  assert.deepEqual(linked.map(({ page }) => page).toSorted(), hookPages)
  for (const { page, names: listed } of linked) {
    assert.deepEqual(
      listed,
      written(row(page, 'Lua')).map(([name]) => name),
      page,
    )
  }
})
