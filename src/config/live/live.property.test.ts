/**
 * Whatever is set and unset in whatever order, in transactions or not, with what is in the files and what was written back:
 * what is in force, and what the files say after a write-back, is what a file by another hand says; and what only sets
 * keeps every comment.
 */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type LiveConsole, liveConsole } from '../../../test/support/live-console.ts'
import { holdsAsync } from '../../../test/support/properties.ts'
import { type EvaluationPlace, evaluate } from '../evaluate.ts'
import { loadSettings, loadSettingsFromText } from '../load.ts'
import type { Settings } from '../settings.ts'

/** Scopes with another spelling of the same, and what may be set there. */
const scopes = [
  { path: '', typed: [''], options: ['retry_interval', 'message_expiration', 'relay_hosts'] },
  {
    path: 'ESMTP_Listener',
    typed: ['esmtp_listener'],
    options: ['idle_time', 'max_message_size', 'relay_hosts'],
  },
  {
    path: 'ESMTP_Listener/Listen "127.0.0.1:25"',
    typed: ['esmtp_listener listen 127.0.0.1:25', 'ESMTP_Listener Listen "127.0.0.1:25"'],
    options: ['idle_time', 'max_message_size', 'context'],
  },
  {
    path: 'ESMTP_Listener/Listen "[::1]:26"',
    typed: ['esmtp_listener listen "[::1]:26"', 'esmtp_listener listen "[0:0::1]:26"'],
    options: ['idle_time', 'max_message_size'],
  },
  {
    path: 'ESMTP_Listener/Peer "10.0.0.0/8"',
    typed: ['esmtp_listener peer 10.0.0.0/8', 'esmtp_listener peer 10.0.0.0/8'],
    options: ['idle_time', 'relay_hosts'],
  },
  {
    path: 'Domain "a.example"',
    typed: ['domain a.example', 'DOMAIN A.Example'],
    options: ['retry_interval', 'message_expiration'],
  },
  { path: 'Binding "b"/Domain "/a.*/"', typed: ['binding b domain "/a.*/"'], options: ['retry_interval'] },
] as const

const values: Readonly<Record<string, readonly string[]>> = {
  relay_hosts: ['( 10.0.0.1 )', '( 10.0.0.1 10.0.0.2/32 )', '( )'],
  context: ['[ a = "b c" ]', '[ x = 1 y = "#}" ]'],
}
const numbers = ['60', '61', '62']

/** What stands on one line, and what may stand on others. */
const MAIN = [
  'Retry_Interval = 1000',
  'ESMTP_Listener {',
  'Idle_Time =/* seconds */300',
  'Listen "127.0.0.1:25" {',
  'Max_Message_Size = 7',
  '}',
  'include "more.conf"',
  '}',
  'Binding "b" {',
  '}',
]
const MORE = [
  'Idle_Time = 301',
  'Listen "[::1]:26" {',
  '}',
  'Peer "10.0.0.0/8" {',
  'Relay_Hosts = ( "10.1.1.1" )',
  '}',
]

/** The same with any blanks, line ends and comments between its words. */
function laidOut(words: readonly string[]): fc.Arbitrary<string> {
  const gap = fc.constantFrom(
    ' ',
    '\n',
    '\n  ',
    '\n\t',
    '\n\n',
    ' # @{\n',
    ' # @{\n  ',
    '\n  # @\n',
    ' /* @} */ ',
    '/* @\n*/',
  )
  const gaps = fc.array(gap, { minLength: words.length, maxLength: words.length })
  return fc.tuple(gaps, fc.constantFrom('\n', '\r\n'), fc.boolean()).map(([chosen, lineEnd, isEnded]) => {
    let comments = 0
    const whole = chosen
      .map((each, index) => each.replace('@', () => `comment ${String(++comments)}.`) + (words[index] ?? ''))
      .join('')
    return (isEnded ? `${whole}\n` : `${whole} # the end`).replaceAll('\n', lineEnd)
  })
}

type Model = Map<string, Map<string, string>>
const asWritten = (): Model =>
  new Map([
    ['', new Map([['retry_interval', '1000']])],
    ['ESMTP_Listener', new Map([['idle_time', '301']])],
    ['ESMTP_Listener/Listen "127.0.0.1:25"', new Map([['max_message_size', '7']])],
    ['ESMTP_Listener/Listen "[::1]:26"', new Map()],
    ['ESMTP_Listener/Peer "10.0.0.0/8"', new Map([['relay_hosts', '( 10.1.1.1 )']])],
    ['Binding "b"', new Map()],
  ])

/** The other hand: every option in stanzas of its own. */
function print(model: Model): string {
  return [...model]
    .flatMap(([scope, options]) => {
      const steps = scope === '' ? [] : scope.split(/\/(?=Listen|Peer|Domain)/)
      const lines = [...options].map(([name, value]) => `${name} = ${value}`)
      return (lines.length === 0 ? [''] : lines).map((line) =>
        steps.reduceRight((inner, step) => `${step} { ${inner} }`, line),
      )
    })
    .join('\n')
}

const places: readonly EvaluationPlace[] = [
  { listen: '127.0.0.1:25' },
  { listen: '127.0.0.1:25', peer: '10.2.3.4' },
  { listen: '[::1]:26' },
  { domain: 'a.example' },
  { domain: 'a.example', binding: 'b' },
]

function effective(settings: Settings): readonly string[] {
  const names = [
    'idle_time',
    'max_message_size',
    'relay_hosts',
    'context',
    'retry_interval',
    'message_expiration',
  ]
  return places.flatMap((place) =>
    names.map((name) => {
      try {
        return `${JSON.stringify(place)} ${name} ${evaluate(settings, name, place).text}`
      } catch {
        // a Listen that is not there
        return `${JSON.stringify(place)} ${name} none`
      }
    }),
  )
}

async function loaded(text: string): Promise<readonly string[]> {
  const { settings, diagnostics } = await loadSettingsFromText(text)
  assert.ok(settings, `${JSON.stringify(diagnostics)}\n${text}`)
  return effective(settings)
}

type Act =
  | {
      readonly kind: 'set'
      readonly scope: number
      readonly option: number
      readonly value: number
      readonly spelling: number
    }
  | {
      readonly kind: 'unset' | 'unset scope'
      readonly scope: number
      readonly option: number
      readonly spelling: number
    }
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'writeback' | 'reload' }

const one = { scope: fc.nat(scopes.length - 1), option: fc.nat(2), spelling: fc.nat(1) }
const set = { weight: 8, arbitrary: fc.record({ kind: fc.constant('set'), ...one, value: fc.nat(2) }) }
const unset = { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('unset', 'unset scope'), ...one }) }
const whole = {
  weight: 3,
  arbitrary: fc.record({ kind: fc.constantFrom('begin', 'commit', 'rollback', 'writeback', 'reload') }),
}
const size = { minLength: 5, maxLength: 25 }
const acts: fc.Arbitrary<readonly Act[]> = fc.oneof(
  { weight: 3, arbitrary: fc.array(fc.oneof(set, unset, whole), size) },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.oneof(set, whole), size)
      .map((some): readonly Act[] => [...some, { kind: 'commit' }, { kind: 'writeback' }]),
  },
)

/** What the console is told, and what the model becomes. */
function step(
  model: Model,
  each: Exclude<Act, { kind: 'begin' | 'commit' | 'rollback' | 'writeback' | 'reload' }>,
): string {
  const { path: scope, typed, options } = scopes[each.scope] ?? scopes[0]
  const words = typed[each.spelling % typed.length] ?? ''
  const option = options[each.option % options.length] ?? ''
  if (each.kind === 'set') {
    const list = values[option] ?? numbers
    const value = list[each.value % list.length] ?? ''
    model.set(scope, (model.get(scope) ?? new Map<string, string>()).set(option, value))
    return `config set ${words} ${option} = ${value}`
  }
  if (each.kind === 'unset') {
    model.get(scope)?.delete(option)
    return `config unset ${words} ${option}`
  }
  if (scope === '') return 'config get hostname'
  const keys = [...model.keys()]
  for (const key of keys) if (key === scope || key.startsWith(`${scope}/`)) model.delete(key)
  return `config unset ${words}`
}

const copy = (model: Model): Model => new Map([...model].map(([key, options]) => [key, new Map(options)]))

async function play(console: LiveConsole, acts: readonly Act[], main: string): Promise<void> {
  let [inForce, onDisk] = [asWritten(), asWritten()]
  let open: Model | undefined
  for (const each of acts) {
    switch (each.kind) {
      case 'begin':
        await console.type('config begin')
        open ??= copy(inForce)
        break
      case 'commit':
      case 'rollback':
        assert.equal((await console.type(`config ${each.kind}`)).startsWith('! '), open === undefined)
        if (each.kind === 'commit') inForce = open ?? inForce
        open = undefined
        break
      case 'writeback':
        assert.ok(!(await console.type('config writeback')).startsWith('!'))
        onDisk = copy(inForce)
        break
      case 'reload':
        if (open === undefined) inForce = copy(onDisk)
        await console.type('config reload')
        break
      default: {
        const answer = await console.type(step(open ?? inForce, each))
        assert.ok(!answer.startsWith('! ') || answer.startsWith('! there is no'), answer)
      }
    }
    const view = await console.live.viewInForce()
    assert.ok(view.settings, JSON.stringify(view.diagnostics))
    assert.deepEqual(effective(view.settings), await loaded(print(inForce)), 'in force')
  }
  const { settings } = await loadSettings(main)
  assert.ok(settings)
  assert.deepEqual(effective(settings), await loaded(print(onDisk)), 'on disk')
}

function comments(text: string): readonly string[] {
  return text.match(/comment \d+\.|# the end/g) ?? []
}

test('changes from the console come to what a file by another hand says', async () => {
  await holdsAsync(
    fc.asyncProperty(acts, laidOut(MAIN), laidOut(MORE), async (acts, text, more) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'postern-live-'))
      try {
        const main = path.join(folder, 'gate.conf')
        const included = path.join(folder, 'more.conf')
        writeFileSync(main, text)
        writeFileSync(included, more)
        await play(await liveConsole(main), acts, main)
        if (acts.some(({ kind }) => kind.startsWith('unset'))) return
        assert.deepEqual(comments(readFileSync(main, 'utf8')), comments(text), text)
        assert.deepEqual(comments(readFileSync(included, 'utf8')), comments(more), more)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    }),
    { numRuns: 25 },
  )
})
