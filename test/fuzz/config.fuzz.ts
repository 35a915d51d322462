/** Configuration text of any kind: tokens and diagnostics with their places, never an exception, never a byte passed over. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { tokenize } from '../../src/config/lexer.ts'
import { parse } from '../../src/config/parser.ts'
import { holds } from '../support/properties.ts'
import { octets } from './fuzz.ts'

const pieces = [
  'ESMTP_Listener',
  'Peer',
  'TLS_Verify_Mode',
  '=',
  '"require"',
  "'none'",
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ',',
  ' ',
  '\n',
  '\r\n',
  '\t',
  '"',
  "'",
  '\\',
  '\\"',
  '#',
  '/*',
  '*/',
  '/',
  '10.0.0.0/8',
  'include',
  '\u00e9',
  '\0',
]
const text = octets(pieces, 40).map((bytes) => bytes.toString('latin1'))
const words = fc.array(fc.stringMatching(/^[a-z0-9_.:/-]{1,8}$/), { maxLength: 12 })

test('any text is tokens and diagnostics that lie within it, and ends', () => {
  holds(
    fc.property(text, (source) => {
      const lines = source.split('\n')
      const { tokens, diagnostics } = tokenize(source, 'gate.conf')
      assert.equal(tokens.at(-1)?.kind, 'end')
      assert.equal(tokens.filter(({ kind }) => kind === 'end').length, 1)
      let before = 0
      for (const { at } of tokens) {
        assert.ok(at.line >= 1 && at.line <= lines.length, `line ${at.line} of ${lines.length}`)
        assert.ok(at.column >= 1 && at.column <= (lines[at.line - 1]?.length ?? 0) + 1)
        const place = at.line * 1e6 + at.column
        assert.ok(place >= before, 'in the order of the text')
        before = place
      }
      for (const { message } of diagnostics) assert.match(message, /./)
      parse(source, 'gate.conf')
    }),
  )
})

test('a mistake is never silent: text with an open quote or brace has a diagnostic', () => {
  holds(
    fc.property(words, fc.constantFrom('"', "'", '{', '(', '[', '}'), (before, open) => {
      const source = `${before.map((word) => `a = ${JSON.stringify(word)}\n`).join('')}Peer ${open}`
      assert.notDeepEqual(parse(source, 'gate.conf').diagnostics, [], source)
    }),
  )
})

function kinds(source: string): string[][] {
  return tokenize(source, 'a').tokens.map(({ kind, text: value }) => [kind, value])
}

test('comments and blanks between tokens change nothing', () => {
  holds(
    fc.property(words, fc.constantFrom(' ', '\t', '\n', ' # a "comment" {\n', ' /* } " */ '), (list, gap) => {
      const quoted = list.map((word) => JSON.stringify(word))
      assert.deepEqual(kinds(quoted.join(gap)), kinds(quoted.join(' ')))
    }),
  )
})
