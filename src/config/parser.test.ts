import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds, holdsAsync } from '../../test/support/properties.ts'
import { ownTime } from '../../test/support/time.ts'
import { loadSettingsFromText } from './load.ts'
import { parse } from './parser.ts'
import { renderDiagnostics } from './render.ts'
import type { Statement, Value } from './tree.ts'

/** A statement without its places. */
type Plain =
  | readonly [name: string, value: PlainValue]
  | readonly [name: string, instance: string | undefined, body: readonly Plain[]]
type PlainValue = string | readonly string[] | readonly (readonly [string, PlainValue])[]

describe('the parser', () => {
  test('reads back every tree that is written down, however it is quoted', () => {
    holds(
      fc.property(fc.array(plain(3), { maxLength: 5 }), fc.constantFrom('"', "'"), (tree, quote) => {
        const { statements, diagnostics } = parse(tree.map((each) => write(each, quote)).join('\n'), 'x')
        assert.deepEqual(diagnostics, [])
        assert.deepEqual(statements.map(plainOf), tree)
      }),
      { numRuns: 300 },
    )
  })

  test('never throws, always ends, and names places that exist', () => {
    holds(
      fc.property(fc.oneof(soup, anyText({ maxLength: 200 })), (text) => {
        const { diagnostics } = parse(text, 'x')
        const lines = text.split('\n')
        for (const { at, note } of diagnostics) {
          for (const place of [at, note?.at]) {
            if (place === undefined) continue
            assert.ok(place.line >= 1 && place.line <= lines.length)
            assert.ok(place.column >= 1 && place.column <= (lines[place.line - 1] ?? '').length + 1)
          }
        }
      }),
      { numRuns: 400 },
    )
  })

  test('whatever the text, loading it ends with settings or with an error, never with an exception', async () => {
    await holdsAsync(
      fc.asyncProperty(soup, async (text) => {
        const { settings, diagnostics, readSource } = await loadSettingsFromText(text)
        const errors = diagnostics.filter((each) => each.severity === 'error')
        assert.equal(settings === undefined, errors.length > 0)
        assert.equal(typeof renderDiagnostics(diagnostics, readSource), 'string')
      }),
      { numRuns: 300 },
    )
  })

  test('ends soon on what invites it to run away', () => {
    for (const text of [
      '{'.repeat(50_000),
      'a { '.repeat(50_000),
      'a = [ b '.repeat(50_000),
      '"\\'.repeat(50_000),
      '/*'.repeat(50_000),
    ]) {
      const time = ownTime(() => assert.ok(parse(text, 'x').diagnostics.length > 0))
      assert.ok(time < 4000, `${time} ms for ${text.slice(0, 10)}`)
    }
  })

  test('a file may lack its last line end, begin with a byte order mark and have CR LF line ends', () => {
    const { statements, diagnostics } = parse('\uFEFFa = b\r\nc {\r\n  d = "e"\r\n}', 'x')
    assert.deepEqual(diagnostics, [])
    assert.deepEqual(statements.map(plainOf), [
      ['a', 'b'],
      ['c', undefined, [['d', 'e']]],
    ])
    assert.equal(statements[0]?.kind === 'assignment' && statements[0].name.at.column, 1)
  })

  test('refuses NUL and text that is not UTF-8, but not in comments', () => {
    assert.deepEqual(
      parse('# \uFFFD \0\na = "b\0"\nc = d\uFFFD', 'x').diagnostics.map((each) => [
        each.message,
        each.at?.line,
      ]),
      [
        ['this text holds a control character', 2],
        ['this text is not valid UTF-8', 3],
      ],
    )
  })
})

/** Pieces of the language in any order: more errors per character than random text. */
const pieces = String.raw`{ } [ ] ( ) = , " ' # /* */ \ ESMTP_Listener Listen ":25" Peer 10.0.0.0/8 ::/0 Pathway "p" include
  "gate.conf" TLS_Verify_Mode require context SMTP_Extensions STARTTLS Domain "/(/" scriptlet script maildir`
const soup = fc
  .array(fc.constantFrom('\n', ...pieces.split(/\s+/)), { maxLength: 60 })
  .map((chosen) => chosen.join(' '))

const word = fc
  .stringMatching(/^[A-Za-z0-9_-]{1,8}$/)
  .filter((each) => !/^(?:readonly_)?include$/i.test(each))
// a backslash before r, n or t is an escape, and some texts look as if their first quote had been forgotten
const text = fc.string({ maxLength: 8 }).map((each) => each.replace(/[\\'"]|\p{Cc}/gu, '#'))
const value: fc.Arbitrary<PlainValue> = fc.oneof(
  text,
  fc.array(text, { maxLength: 4 }).map((items) => items as PlainValue),
  fc.array(fc.tuple(word, text), { minLength: 1, maxLength: 3 }),
)

function plain(depth: number): fc.Arbitrary<Plain> {
  const assignment = fc.tuple(word, value)
  if (depth === 0) return assignment
  const stanza = fc.tuple(
    word,
    fc.option(text, { nil: undefined }),
    fc.array(plain(depth - 1), { maxLength: 3 }),
  )
  return fc.oneof(assignment, stanza)
}

function write(statement: Plain, quote: string): string {
  const quoted = (each: string) => `${quote}${each}${quote}`
  if (statement.length === 3) {
    const [name, instance, body] = statement
    return `${name} ${instance === undefined ? '' : quoted(instance)} {\n${body.map((each) => write(each, quote)).join('\n')}\n}`
  }
  const [name, written] = statement
  return `${name} = ${writeValue(written, quoted)}`
}

function writeValue(written: PlainValue, quoted: (text: string) => string): string {
  if (typeof written === 'string') return quoted(written)
  const items = written.map((each) =>
    typeof each === 'string' ? quoted(each) : `${each[0]} = ${writeValue(each[1], quoted)}`,
  )
  const isDictionary = written.some((each) => typeof each !== 'string')
  return isDictionary ? `[ ${items.join(' ')} ]` : `( ${items.join(' ')} )`
}

function plainOf(statement: Statement): Plain {
  switch (statement.kind) {
    case 'assignment':
      return [statement.name.text, plainValue(statement.value)]
    case 'stanza':
      return [statement.name.text, statement.instance?.text, statement.body.map(plainOf)]
    case 'include':
      throw new Error('no includes here')
    default:
      return statement satisfies never
  }
}

function plainValue(each: Value): PlainValue {
  if (each.kind === 'scalar') return each.text
  if (each.kind === 'array') return each.items.map((item) => item.text)
  return each.entries.map((entry) => [entry.key.text, plainValue(entry.value)] as const)
}
