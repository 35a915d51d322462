import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  contentOf,
  openGate,
  outboundDefaults,
  pipeSettings,
  storedMessage,
} from '../../../test/support/messages.ts'
import type { PipeSettings, Template } from '../../config/settings-delivery.ts'
import type { Envelope } from '../../mail/envelope.ts'
import type { AttemptResult } from '../transport.ts'
import { commandLine, takesRecipient } from './command-line.ts'
import { PipeTransport } from './pipe-transport.ts'

const root = mkdtempSync(join(tmpdir(), 'postern-pipe-'))
after(() => rmSync(root, { recursive: true }))
let number = 0

/** A program of the test's own, and the folder in which it is. */
function program(script: string): { readonly path: string; readonly folder: string } {
  const folder = join(root, String(++number))
  mkdirSync(folder)
  const path = join(folder, 'program')
  writeFileSync(path, `#!/bin/sh\nPATH=/usr/bin:/bin\ncd ${folder} || exit 71\n${script}\n`, { mode: 0o755 })
  return { path, folder }
}

function text(value: string): Template {
  return { text: value, parts: [value] }
}

const transport = new PipeTransport({ folder: join(root, 'messages'), reserve: 0, graceMs: 200 })
const content = contentOf('Subject: hi\r\nReturn-Path: <forged@x>\r\n\r\n', 'one\r\n', 'From two\r\n.\r\n')

async function run(
  path: string,
  changes: Partial<PipeSettings> = {},
  options: { readonly envelope?: Partial<Envelope>; readonly signal?: AbortSignal } = {},
): Promise<AttemptResult> {
  const [result] = await transport.deliver([storedMessage('m', options.envelope)], content, {
    route: { kind: 'pipe', pipe: pipeSettings(path, changes) },
    options: outboundDefaults,
    mayRepeat: false,
    gate: openGate,
    signal: options.signal ?? new AbortController().signal,
  })
  assert.ok(result !== undefined)
  return result
}

const outcome = ({ kind, text: said }: AttemptResult): string => `${kind} ${said}`

test('the message comes on standard input, with UNIX line ends and the true Return-Path on top', async () => {
  const { path, folder } = program('cat > message')
  assert.equal(
    outcome(await run(path)),
    'delivered 250 2.0.0 [internal] Delivered to pipe_transport "program"',
  )
  assert.equal(
    readFileSync(join(folder, 'message'), 'utf8'),
    'Return-Path: <alice@example.org>\nSubject: hi\n\none\nFrom two\n.\n',
  )
  assert.deepEqual(readdirSync(join(root, 'messages')), [], 'nothing is left of it')
})

test('a program that does not read, or reads twice, is served too', async () => {
  assert.equal((await run(program('exit 0').path)).kind, 'delivered')
  const { path, folder } = program('head -n 1 > /dev/null; cat /dev/stdin > message')
  assert.equal((await run(path)).kind, 'delivered')
  assert.match(readFileSync(join(folder, 'message'), 'utf8'), /\.\n$/)
})

test('the arguments and the environment are those of the configuration and no others', async () => {
  const { path, folder } = program(`printf '%s|' "$0" "$@" > arguments; /usr/bin/env > environment`)
  const changes: Partial<PipeSettings> = {
    arguments: [
      text('two words'),
      text('$(touch hacked);*'),
      { text: '', parts: ['--from=', { macro: 'sender' }] },
      text('--'),
      { text: '', parts: [{ macro: 'recipient_local' }, '%', { macro: 'recipient_domain' }] },
    ],
    environment: { ID: { text: '', parts: [{ macro: 'id' }] }, EMPTY: text('') },
  }
  assert.equal((await run(path, changes)).kind, 'delivered')
  const expected = [
    path,
    'two words',
    '$(touch hacked);*',
    '--from=alice@example.org',
    '--',
    'bob%example.com',
    '',
  ]
  assert.equal(readFileSync(join(folder, 'arguments'), 'utf8'), expected.join('|'))
  const names = readFileSync(join(folder, 'environment'), 'utf8')
    .split('\n')
    .map((line) => line.split('=')[0] ?? '')
  // the last ones are what a shell makes by itself
  assert.deepEqual(
    names
      .filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_', ''].includes(name))
      .toSorted((a, b) => a.localeCompare(b)),
    ['EMPTY', 'ID'],
  )
  assert.ok(!existsSync(join(folder, 'hacked')))
})

const unsafe = [
  '-rf',
  '--help',
  '.bashrc',
  '..',
  '../etc/passwd',
  '/etc/passwd',
  'a b',
  'a\tb',
  'a\nb',
  'a"b',
  "o'brien",
  '$(id)',
  '`id`',
  'a;id',
  'a|id',
  'a&b',
  '*',
  '~root',
  'a>b',
  '%{sender}',
  '+x',
  '=x',
  '@a',
  'a\\b',
  'm\xfcller',
  'a\0b',
  '',
  'x'.repeat(65),
]

for (const local of unsafe) {
  test(`a local part such as ${JSON.stringify(local)} is never put into a command`, async () => {
    for (const changes of [
      { arguments: [{ text: '', parts: [{ macro: 'recipient_local' as const }] }] },
      { arguments: [{ text: '', parts: ['--to=', { macro: 'recipient' as const }] }] },
      { environment: { WHO: { text: '', parts: [{ macro: 'recipient_local' as const }] } } },
    ]) {
      const pipe = pipeSettings('/bin/false', changes)
      assert.equal(takesRecipient(pipe, { local, domain: 'example.com' }), false)
      const { sender } = storedMessage('m').envelope
      const unfit = commandLine(pipe, { id: 'm', sender, recipient: { local, domain: 'example.com' } })
      assert.deepEqual(unfit, { kind: 'unfit', whose: 'recipient' })
    }
    const { path, folder } = program('touch ran')
    const named = { arguments: [{ text: '', parts: [{ macro: 'sender' as const }] }] }
    const refused = await run(path, named, { envelope: { sender: { local, domain: 'example.com' } } })
    assert.match(outcome(refused), /^permanent 550 5\.1\.7 /)
    assert.ok(!existsSync(join(folder, 'ran')))
    // where nobody has to be named, everybody gets mail
    assert.ok(takesRecipient(pipeSettings(path), { local, domain: 'example.com' }))
  })
}

test('usual local parts are put in as they are, and the null sender is nothing', () => {
  const pipe = pipeSettings('/x', {
    arguments: [
      { text: '', parts: [{ macro: 'recipient' }] },
      { text: '', parts: [{ macro: 'sender' }] },
    ],
  })
  for (const local of ['bob', 'Bob.Smith', 'bob+lists', '0', '_x', 'prvs=1a=bob', 'a-b', 'x'.repeat(64)]) {
    const command = commandLine(pipe, {
      id: 'm',
      sender: undefined,
      recipient: { local, domain: 'example.com' },
    })
    assert.deepEqual(command.kind === 'command' && command.arguments, [`${local}@example.com`, ''])
  }
})

const statuses: readonly (readonly [number, RegExp])[] = [
  [1, /^transient 451 4\.3\.0 .* gave exit status 1: said so$/],
  [64, /^transient 451/],
  [65, /^permanent 554 5\.6\.0 .* gave exit status 65: said so$/],
  [66, /^transient 451/],
  [67, /^permanent 550 5\.1\.1/],
  [68, /^permanent 550 5\.1\.2/],
  [69, /^permanent 554 5\.3\.0/],
  [73, /^transient 451/],
  [75, /^transient 451/],
  [77, /^permanent 554 5\.7\.0/],
  [78, /^transient 451/],
  [127, /^transient 451/],
]

for (const [status, expected] of statuses) {
  test(`exit status ${status} is an answer of its own`, async () => {
    assert.match(outcome(await run(program(`echo said so >&2; exit ${status}`).path)), expected)
  })
}

test('Code stands before sysexits.h, for 0 too', async () => {
  const code = { 0: '450 not yet', 67: '450 try again later', 100: '550 command failed', 99: '250 ok' }
  for (const [status, expected] of [
    [0, 'transient 450 not yet'],
    [67, 'transient 450 try again later'],
    [100, 'permanent 550 command failed'],
    [99, 'delivered 250 ok'],
  ] as const) {
    assert.equal(outcome(await run(program(`exit ${status}`).path, { code })), expected)
  }
})

test('a signal is transient, and so is a program that cannot be started', async () => {
  assert.match(
    outcome(await run(program('kill -SEGV $$').path)),
    /^transient 451 4\.3\.0 .* was ended by SIGSEGV$/,
  )
  assert.match(outcome(await run(join(root, 'missing'))), /^transient 451 4\.3\.5 .*\(ENOENT\)$/)
  const { path } = program('exit 0')
  const nowhere = { path: join(root, 'nowhere'), text: 'nowhere' }
  assert.match(outcome(await run(path, { directory: nowhere })), /^transient 451 4\.3\.5 .*\(ENOENT\)$/)
})

test('a program whose time is up is ended with all that it started, by force if need be', async () => {
  // both ignore SIGTERM, and the child would hold the output open for a minute
  const { path, folder } = program(
    `trap '' TERM; (trap '' TERM; echo $$ > /dev/null; sh -c 'echo $PPID > child; sleep 60'; touch late) & sleep 60; touch late`,
  )
  const begun = performance.now()
  const result = await run(path, { timeout: 0.3 })
  assert.match(outcome(result), /^transient 451 4\.4\.2 .* took longer than 0\.3 s$/)
  assert.ok(performance.now() - begun < 5000, 'it was waited for')
  assert.ok(existsSync(join(folder, 'child')))
  const child = Number(readFileSync(join(folder, 'child'), 'utf8'))
  await gone(child)
  assert.ok(!existsSync(join(folder, 'late')))
})

/** Killed, though perhaps not collected yet by whoever took it over. */
async function gone(pid: number): Promise<void> {
  for (const until = Date.now() + 5000; Date.now() < until; ) {
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : 'gone'
    if (stat === 'gone' || /\) Z /.test(stat)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.fail(`process ${pid} lives on`)
}

test('one that says that all is well when it is told to end is not believed', async () => {
  const { path } = program(`trap 'exit 0' TERM; while :; do sleep 0.05; done`)
  assert.match(outcome(await run(path, { timeout: 0.3 })), /^transient 451 4\.4\.2 /)
})

test('stopping ends the program and throws the reason', async () => {
  const stop = new AbortController()
  const { path, folder } = program('touch begun; sleep 60; touch late')
  const attempt = run(path, {}, { signal: stop.signal })
  const watch = setInterval(() => existsSync(join(folder, 'begun')) && stop.abort(new Error('stopping')), 10)
  await assert.rejects(attempt, /stopping/)
  clearInterval(watch)
  assert.ok(!existsSync(join(folder, 'late')))
})

test('what the program writes is bounded, printable, and never blocks it', async () => {
  const { path } = program(
    `printf '\\033[31mred\\377 and so on %0300d\\n' 7; head -c 10000000 /dev/zero; exit 75`,
  )
  const { text: said } = await run(path)
  assert.match(said, /: \\x1b\[31mred\\xff and so on 0+$/)
  assert.ok(said.length < 500)
})

test('something that the program leaves behind holds nobody up', async () => {
  const begun = performance.now()
  assert.equal((await run(program('sleep 30 & exit 0').path)).kind, 'delivered')
  assert.ok(performance.now() - begun < 5000)
})

test('output and errors go to the files that are named for them, at their ends', async () => {
  const { path, folder } = program('echo out; echo err >&2; exit 75')
  const file = (name: string) => ({ path: join(folder, name), text: name })
  writeFileSync(join(folder, 'out'), 'before\n')
  const changes = { output_file: file('out'), error_file: file('err') }
  const { text: said } = await run(path, changes)
  await run(path, changes)
  assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'before\nout\nout\n')
  assert.equal(readFileSync(join(folder, 'err'), 'utf8'), 'err\nerr\n')
  assert.match(said, /gave exit status 75$/)
})

test('no more than Max_Concurrent run at once', async () => {
  const { path, folder } = program('mkdir "run.$$"; ls -d run.* | wc -l >> most; sleep 0.1; rmdir "run.$$"')
  const changes = { name: 'few', max_concurrent: 2 }
  const results = await Promise.all(Array.from({ length: 6 }, async () => await run(path, changes)))
  assert.ok(results.every(({ kind }) => kind === 'delivered'))
  const most = Math.max(...readFileSync(join(folder, 'most'), 'utf8').trim().split('\n').map(Number))
  assert.equal(most, 2)
})

test('the room that is reserved for the spool is left alone, and the message waits', async () => {
  const full = new PipeTransport({ folder: join(root, 'full'), reserve: Number.MAX_SAFE_INTEGER })
  const { path, folder } = program('touch ran')
  const [result] = await full.deliver([storedMessage('m')], content, {
    route: { kind: 'pipe', pipe: pipeSettings(path) },
    options: outboundDefaults,
    mayRepeat: false,
    gate: openGate,
    signal: new AbortController().signal,
  })
  assert.ok(result !== undefined)
  assert.match(outcome(result), /^transient 452 4\.3\.1 /)
  assert.ok(!existsSync(join(folder, 'ran')))
})
