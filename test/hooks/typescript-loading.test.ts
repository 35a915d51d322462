/** Loading policies in TypeScript: what is wrong with one and where, what `postern` means to it, and reloads. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { calloutOf } from '../../src/policy/typescript/callouts.ts'
import { permittedAnswers } from '../../src/policy/typescript/verdicts.ts'
import { PolicyFolder, policyText } from './modules.fixture.ts'
import { mail, session, temporaryIssue } from './scripts.fixture.ts'

const folder = new PolicyFolder()

test('what is wrong with a module stands at its line, and closes the gate', async () => {
  folder.write({
    'lib/broken.ts': 'export const a = 1\nexport const b = = 2\n',
    'lib/fine.ts': 'export const a = 1\n',
  })
  const cases = [
    [
      'ts',
      'export const policy = {\n  mailFrom(session: string {\n  },\n}\n',
      /^gate\.ts:2:28: .*Expected ',', got '\{'$/,
    ],
    ['ts', 'const a = 1\nenum X { A }\n', /^gate\.ts:2:1: .*enum is not supported in strip-only mode$/],
    ['js', 'const a = 1\nconst b = = 2\n', /^gate\.js:2:11: .*Unexpected token '='$/],
    ['mjs', 'const a: number = 1\n', /^gate\.mjs:1:7: .*Missing initializer/],
    ['ts', "\nimport { a } from './lib/none.ts'\n", /^gate\.ts:2:19: .*Cannot find module 'lib\/none\.ts'/],
    [
      'ts',
      "\n\nimport a from 'not-installed'\nvoid a\n",
      /^gate\.ts:3:15: .*Cannot find package 'not-installed'/,
    ],
    [
      'ts',
      "import { nope } from './lib/fine.ts'\nvoid nope\n",
      /^gate\.ts:1:10: .*does not provide an export named 'nope'/,
    ],
    [
      'ts',
      "import { nope } from 'postern'\nvoid nope\n",
      /^gate\.ts:1:10: .*does not provide an export named 'nope'/,
    ],
    ['ts', "import { b } from './lib/broken.ts'\nvoid b\n", /^lib\/broken\.ts:2:18: .*Expression expected$/],
    [
      'ts',
      "const a: number = 1\nthrow new TypeError('boom' + a)\n",
      /^gate\.ts:2:7: error: script "gate": TypeError: boom1$/,
    ],
    ['ts', 'throw 1\n', /^gate\.ts:1:1: error: script "gate": threw 1$/],
    [
      'ts',
      'await new Promise(() => {})\n',
      /^gate\.ts:1:1: error: script "gate": was not loaded within 0\.3 s$/,
    ],
    [
      'ts',
      'export const a = 1\n',
      /^gate\.ts:1:14: .*no "export const policy = definePolicy\(\{ … \}\)" \(it exports a\)$/,
    ],
    ['ts', 'export default {}\n', /^gate\.ts:1:1: .*no "export const policy .*\(it exports default\)$/],
    ['ts', '', /^gate\.ts:1:1: .*no "export const policy/],
    ['cts', '', /^gate\.conf:1:1: .*a policy is an ES module/],
    [
      'ts',
      policyText('  connect: () => undefined,\n  mailfrom: () => undefined,\n'),
      /^gate\.ts:6:3: error: .*no phase is named mailfrom; did you mean "mailFrom"\?$/,
    ],
    [
      'ts',
      policyText('  async rcptToo() {},\n'),
      /^gate\.ts:5:9: .*no phase is named rcptToo; did you mean "rcptTo"\?$/,
    ],
    ['ts', policyText('  data: 1 as never,\n'), /^gate\.ts:5:3: .*data is not a function$/],
    [
      'ts',
      policyText("  name: 'other',\n"),
      /^gate\.ts:5:3: .*the policy is named "other", the script "gate"$/,
    ],
  ] as const
  for (const [kind, text, expected] of cases) {
    folder.write({ [`gate.${kind}`]: text })
    const loaded = await folder.load([`gate.${kind}`], { deadline: 300 })
    assert.match(folder.shown(loaded)[0] ?? '', expected, text)
    assert.equal(loaded.diagnostics.length, 1, text)
    assert.deepEqual(await loaded.policy.ask('mailfrom', mail()), temporaryIssue)
    assert.equal(loaded.policy.wants('connect'), true)
  }
})

test('a diagnostic names the stanza of the configuration beside the policy’s line', async () => {
  folder.write({ 'gate.ts': policyText('mialFrom() {},') })
  const { diagnostics } = await folder.load(['gate.ts'])
  assert.equal(diagnostics[0]?.note?.message, 'named here')
  assert.match(diagnostics[0]?.note?.at.file ?? '', /gate\.conf$/)
})

test('a policy without a phase is a warning; every known name and plain JavaScript are fine', async () => {
  folder.write({
    'idle.ts': policyText("name: 'idle',"),
    'plain.mjs': policyText('mailFrom() { return done() },').replace(', type Session', ''),
  })
  const idle = await folder.load(['idle.ts'])
  assert.deepEqual(folder.shown(idle), [
    'idle.ts:4:14: warning: script "idle": the policy has no phase: it is never asked',
  ])
  const plain = await folder.load(['plain.mjs'])
  assert.deepEqual(folder.shown(plain), [])
  assert.deepEqual(plain.policy.ask('mailfrom', mail()), { kind: 'done' })
})

test('a policy is an ES module whatever package.json lies above it, and so is what it imports', async () => {
  folder.write({
    'common/package.json': '{ "type": "commonjs" }',
    'common/gate.js': `import { code } from './lib/code.js'
import texts from './texts.json' with { type: 'json' }
import { definePolicy, reject } from 'postern'
export const policy = definePolicy({ mailFrom: () => reject(code, texts.no) })`,
    'common/lib/code.js':
      "import { discard } from 'postern'\nexport const code = discard().kind === 'discard' ? 550 : 0\n",
    'common/texts.json': '{ "no": "5.7.1 no" }',
  })
  const { policy, diagnostics } = await folder.load(['common/gate.js'])
  assert.deepEqual(diagnostics, [])
  assert.deepEqual(policy.ask('mailfrom', mail()), {
    kind: 'reply',
    code: 550,
    text: '5.7.1 no',
    module: 'scriptlet',
  })
})

/** How often the policy's module was run, as the policy itself counts it in `counter`. */
const counting = (counter: string, text: string): string =>
  `${policyText(`mailFrom: () => reject(550, '${text}' + word),`)}
import { word } from './lib/word.ts'
const runs = globalThis as unknown as Record<string, number>
runs['${counter}'] = (runs['${counter}'] ?? 0) + 1
`

const runs = (): unknown => (globalThis as unknown as Record<string, unknown>)['postern-test-runs']

async function say(text: string, word: string): Promise<void> {
  folder.write({
    'say.ts': counting('postern-test-runs', text),
    'lib/word.ts': `export const word = '${word}'`,
  })
  const { policy, diagnostics } = await folder.load(['say.ts'])
  assert.deepEqual(diagnostics, [])
  const expected = { kind: 'reply', code: 550, text: text + word, module: 'scriptlet' }
  assert.deepEqual(policy.ask('mailfrom', mail()), expected)
}

test('a reload runs the text as it is now, also that of what it imports, and a text that is the same not again', async () => {
  await say('5.7.1 ', 'one')
  await say('5.7.2 ', 'one')
  assert.equal(runs(), 2)
  await say('5.7.2 ', 'two')
  assert.equal(runs(), 3)
  await say('5.7.2 ', 'two')
  assert.equal(runs(), 3)
})

test('a module that could not be loaded for the moment’s sake is loaded again when the moment has passed', async () => {
  folder.write({
    'list.ts': `import { readFileSync } from 'node:fs'
const list = readFileSync(new URL('list.txt', import.meta.url), 'utf8')
${policyText('mailFrom: () => reject(550, list),')}`,
  })
  const first = await folder.load(['list.ts'])
  assert.match(folder.shown(first)[0] ?? '', /^list\.ts:2:14: error: .*ENOENT/)
  folder.write({ 'list.txt': '5.7.1 listed' })
  const second = await folder.load(['list.ts'])
  assert.deepEqual(second.diagnostics, [])
  assert.equal((await second.policy.ask('mailfrom', mail())).kind, 'reply')
})

test('a policy of the program itself is asked after the scripts, and judged like them', async () => {
  folder.write({ 'first.ts': policyText("mailFrom: (s) => s.context.set('connection', 'first', 'yes'),") })
  const facts = session()
  const { policy, diagnostics } = await folder.load(['first.ts'], {
    policies: [
      { mailFrom: ({ context }) => context.set('connection', 'second', context.get('connection', 'first')) },
    ],
  })
  assert.deepEqual(diagnostics, [])
  assert.deepEqual(await policy.ask('mailfrom', mail(facts)), { kind: 'continue' })
  assert.equal(facts.context.get('connection', 'second'), 'yes')
  const typo: object = { mailfrom: () => undefined }
  const wrong = await folder.load([], { policies: [typo] })
  assert.deepEqual(folder.shown(wrong), [
    'error: policy "policy": no phase is named mailfrom; did you mean "mailFrom"?',
  ])
  const failing = await folder.load([], {
    policies: [
      {
        mailFrom: () => {
          throw new Error('oops')
        },
      },
    ],
  })
  assert.deepEqual(await failing.policy.ask('mailfrom', mail()), temporaryIssue)
  assert.match(failing.panics[0] ?? '', /^mailFrom error: .*typescript-loading\.test\.ts:\d+:\d+: oops$/)
})

const text = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

test('the example and every policy in the pages load', async () => {
  const blocks = Array.from(
    text('docs/typescript.md').matchAll(/^```ts\n([^]*?)^```/gm),
    ([, code = '']) => code,
  )
  assert.ok(blocks.length >= 2)
  for (const code of [text('examples/partner-policy.ts'), ...blocks]) {
    folder.write({ 'partners.ts': code })
    assert.deepEqual(folder.shown(await folder.load(['partners.ts'])), [], code)
  }
})

test('the page about embedding shows the example that is tested', () => {
  const [, code = ''] = /^```ts\n([^]*?)^```/m.exec(text('docs/library.md')) ?? []
  assert.ok(text('examples/embed.ts').endsWith(`\n\n${code}`))
})

test('the page’s table of phases is the code’s', () => {
  const rows = Array.from(
    text('docs/typescript.md').matchAll(/^\| `(\w+)` \| (?:session|host).*\| (.*?) \|$/gm),
  )
  const written = rows.map(([, method = '', answers = '']) => [
    method,
    answers === '–' ? [] : answers.split(', '),
  ])
  const phases = Object.keys(permittedAnswers) as (keyof typeof permittedAnswers)[]
  assert.deepEqual(
    written,
    phases.map((phase) => [calloutOf(phase)?.method, permittedAnswers[phase]]),
  )
})
