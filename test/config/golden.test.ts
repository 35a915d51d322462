/**
 * Each `*.conf` beside this file is a case: a configuration, a line of ten dashes, and what it comes to.
 *
 * What is expected is the text of all diagnostics, then one line for each question `QUESTION -> VALUE (FILE:LINE)`:
 *   `:25 10.0.0.1 Option`      an inbound option for a client of that Listen (`unix` for a UNIX client)
 *   `:25 10.0.0.1 @name Option` the same on a pathway that a script chose
 *   `global Option`, `domain example.com Option`
 *   `domain example.com via group/binding Option`, `host mx.example.com via group/binding Option`
 *   `control /run/console`, `control :2025 10.0.0.1`  who may use a console
 *   `listens`, `scripts`, `loggers`, `maildirs`, `pipes`, `webhooks`, `security`, `roles`, `files`  the whole of it
 * A line `===== name` starts a further file beside the configuration.
 *
 * With UPDATE_GOLDEN=1 in the environment what comes out is written back: read the difference before you keep it.
 */

import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { describeOrigin } from '../../src/config/diagnostic.ts'
import { displayName } from '../../src/config/known-names.ts'
import { type LoadResult, loadSettingsFromText } from '../../src/config/load.ts'
import { renderDiagnostics } from '../../src/config/render.ts'
import type { GlobalValues, InboundValues, OutboundValues, Settings } from '../../src/config/settings.ts'
import type { Egress, HostValues } from '../../src/config/settings-queue.ts'

const line = '-'.repeat(10)
const directory = import.meta.dirname

for (const file of globSync('*.conf', { cwd: directory }).toSorted()) {
  test(`golden ${file}`, async () => {
    const whole = readFileSync(path.join(directory, file), 'utf8')
    const [text = '', expected] = whole.split(`\n${line}\n`)
    assert.ok(expected !== undefined, `a line of ten dashes is missing in ${file}`)
    const [main = '', ...others] = `${text}\n`.split(/^===== /m)
    const beside = Object.fromEntries(
      others.map((each) => [each.slice(0, each.indexOf('\n')), each.slice(each.indexOf('\n') + 1)]),
    )
    const result = await loadSettingsFromText(main, 'gate.conf', beside)
    const questions = expected.split('\n').filter((each) => each.includes(' -> ') && !each.startsWith(' '))
    const actual = report(
      result,
      questions.map((each) => each.slice(0, each.indexOf(' -> '))),
    )
    if (process.env['UPDATE_GOLDEN'] === '1')
      writeFileSync(path.join(directory, file), `${text}\n${line}\n${actual}`)
    else assert.equal(actual, expected)
  })
}

function report({ settings, diagnostics, readSource }: LoadResult, questions: readonly string[]): string {
  const rendered = renderDiagnostics(diagnostics, readSource)
  const answers = questions.map(
    (each) => `${each} -> ${settings === undefined ? 'no settings' : answer(settings, each)}\n`,
  )
  return rendered + answers.join('')
}

function answer(settings: Settings, question: string): string {
  const words = question.split(' ')
  const option = (words.at(-1) ?? '').toLowerCase()
  if (words[0] === 'control') {
    const listen = settings.controlListens.find(({ instance }) => instance === words[1])
    return show(listen?.access(words[2] ?? ''))
  }
  if (words[0] === 'global') {
    return `${show(settings.global[option as keyof GlobalValues])} (${describeOrigin(settings.globalOrigin(option as keyof GlobalValues))})`
  }
  if (words[0] === 'domain') {
    const scope = settings.resolveOutbound(words[1] ?? '', via(words))
    return `${show(scope.options[option as keyof OutboundValues])} (${describeOrigin(scope.origin(option as keyof OutboundValues))})`
  }
  if (words[0] === 'host') {
    const scope = settings.resolveHost([words[1] ?? ''], via(words))
    const origin = scope?.origin(option as keyof HostValues) ?? 'default'
    return `${show(scope?.options[option as keyof HostValues])} (${describeOrigin(origin)})`
  }
  if (words.length === 1) {
    const name = Object.keys(settings).find((each) => each.toLowerCase() === option) as 'listens'
    return show(settings[name], ['scope'])
  }
  const listen = settings.listens.find((each) => each.instance === words[0])
  assert.ok(listen, `no Listen ${words[0]}`)
  const address = words[1] === 'unix' ? '' : (words[1] ?? '')
  const pathway = words[2]?.startsWith('@') ? words[2].slice(1) : undefined
  const scope = settings.resolveInbound(listen, address, pathway)
  if (option === 'id') return `${scope.id}; pathway ${scope.pathway}, group ${scope.pathwayGroup}`
  assert.ok(Object.hasOwn(scope.options, option), `no option ${displayName(option)}`)
  return `${show(scope.options[option as keyof InboundValues])} (${describeOrigin(scope.origin(option as keyof InboundValues))})`
}

function via(words: readonly string[]): Egress | undefined {
  if (words[2] !== 'via') return undefined
  const [bindingGroup = '', binding = ''] = words[3]?.split('/') ?? []
  return { bindingGroup, binding }
}

/** Without this machine's own directory; a network as it is written, a path as text → path. */
function show(value: unknown, without: readonly string[] = []): string {
  if (value === undefined) return 'unset'
  const text = JSON.stringify(value, (key, each: unknown) => {
    if (without.includes(key)) return undefined
    if (typeof each !== 'object' || each === null) return each
    if ('line' in each && 'file' in each) return describeOrigin(each as Parameters<typeof describeOrigin>[0])
    if ('bytes' in each) return (each as { text?: unknown }).text
    return each
  })
  return text.replaceAll(`${process.cwd()}/`, '$PWD/')
}
