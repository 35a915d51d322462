/** The pattern matcher: held to JavaScript's where the two dialects agree, and to PCRE's rules where they do not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../../../test/support/properties.ts'
import { compile } from './pcre-compile.ts'
import { PatternMatcher } from './pcre-match.ts'
import { parsePattern } from './pcre-parse.ts'
import { PatternError } from './pcre-reader.ts'

/** The whole match and its groups; undefined: no match. */
function run(pattern: string, text: string, from = 0): (string | undefined)[] | undefined {
  const program = compile(parsePattern(pattern))
  const matcher = new PatternMatcher(program, Buffer.from(text, 'latin1'), () => undefined)
  if (!matcher.search(from)) return undefined
  return Array.from({ length: program.groups + 1 }, (_, number) => {
    const group = matcher.group(number)
    return group && text.slice(group.from, group.to)
  })
}

const { pattern: randomPattern } = fc.letrec<{ pattern: string; sequence: string; atom: string }>((tie) => ({
  pattern: fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }).map((all) => all.join('|')),
  sequence: fc.array(tie('atom'), { maxLength: 4 }).map((all) => all.join('')),
  atom: fc.oneof(
    { maxDepth: 4 },
    fc
      .tuple(
        fc.constantFrom('a', 'b', 'c', '[ab]', '[^a]', '\\w', '\\d', '[b-c]', '\\n'),
        fc.constantFrom('', '', '', '*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,2}?'),
      )
      .map((parts) => parts.join('')),
    fc.constantFrom('^', '\\b', '\\B'),
    fc.tuple(fc.constantFrom('(?:', '(?=', '(?!'), tie('pattern')).map(([open, body]) => `${open}${body})`),
    fc
      .tuple(tie('pattern'), fc.constantFrom('', '*', '?', '+?', '{1,3}'))
      // a turn that takes nothing: PCRE leaves the loop, JavaScript tries another way
      .map(([body, repeat]) => `(?:[abc](?:${body}))${repeat}`),
  ),
}))

test('finds what JavaScript finds, for patterns that mean the same in both', () => {
  holds(
    fc.property(randomPattern, fc.stringMatching(/^[abc1\n]{0,12}$/), (pattern, text) => {
      const expected = new RegExp(pattern).exec(text)?.[0]
      assert.equal(run(pattern, text)?.[0], expected)
    }),
    { numRuns: 1000 },
  )
})

const cases: readonly (readonly [
  pattern: string,
  text: string,
  found: readonly (string | undefined)[] | undefined,
])[] = [
  ['a(b)?', 'a', ['a', undefined]],
  ['(a)|(b)', 'b', ['b', undefined, 'b']],
  ['(?P<x>a)(?P=x)', 'aa', ['aa', 'a']],
  ["(?'x'a)\\k{x}\\k'x'\\k<x>", 'aaaa', ['aaaa', 'a']],
  ['(a)\\g{1}\\g1\\g{-1}', 'aaaa', ['aaaa', 'a']],
  // a group that took no part matches nothing
  ['(b)?\\1a', 'a', undefined],
  ['\\1(a)', 'aa', undefined],
  ['a++a', 'aaa', undefined],
  ['(?>a+)a', 'aaa', undefined],
  ['(?>a|ab)c', 'abc', undefined],
  ['a*+b', 'aab', ['aab']],
  ['foo\\Kbar', 'foobar', ['bar']],
  ['(?<=a|bc)d', 'bcd', ['d']],
  ['(?<!a|bc)d', 'bcd', undefined],
  ['(?<=^|,)x', 'a,x', ['x']],
  // $ and \Z also before a newline that ends the text, \z only at the end
  ['a$', 'a\n', ['a']],
  ['a\\Z', 'a\n', ['a']],
  ['a\\z', 'a\n', undefined],
  ['a$', 'a\nb', undefined],
  ['(?m)a$', 'a\nb', ['a']],
  ['(?m)^b', 'a\nb', ['b']],
  ['\\Ab', 'a\nb', undefined],
  // . is everything but the newline, unless (?s)
  ['a.b', 'a\rb', ['a\rb']],
  ['a.b', 'a\nb', undefined],
  ['(?s)a.b', 'a\nb', ['a\nb']],
  ['(?s:a.)b.', 'a\nb\n', undefined],
  ['a\\Rb', 'a\r\nb', ['a\r\nb']],
  ['\\R\\n', '\r\n', undefined],
  ['a\\Nb', 'a\nb', undefined],
  ['\\h+', 'a \t\u00a0b', [' \t\u00a0']],
  ['\\v', '\u0085', ['\u0085']],
  ['\\s', '\u00a0', undefined],
  ['\\w', '\u00e9', undefined],
  // letters fold in ASCII alone
  ['(?i)HeLLo', 'hEllO', ['hEllO']],
  ['(?i)\u00e9', '\u00c9', undefined],
  ['(?i)[^a]', 'A', undefined],
  ['(?i)(a)\\1', 'aA', ['aA', 'a']],
  ['a(?i)b|C', 'c', ['c']],
  ['a(?i:b)c', 'aBc', ['aBc']],
  ['(?i)a(?-i)b', 'AB', undefined],
  ['(?x) a b # comment\n c', 'abc', ['abc']],
  ['a(?#comment)b', 'ab', ['ab']],
  ['[]a]+', ']a', [']a']],
  ['[^]a]', ']', undefined],
  ['[a-]+', 'a-', ['a-']],
  ['[\\d-z]+', '5-z', ['5-z']],
  ['[[:alpha:][:digit:]_]+', 'a1_-', ['a1_']],
  ['[[:^space:]]+', 'ab c', ['ab']],
  ['[\\b]', '\b', ['\b']],
  ['\\Qa.b*\\E+', 'a.b**', ['a.b**']],
  ['\\x41\\x{42}\\103\\0', 'ABC\0', ['ABC\0']],
  ['\\cA\\e\\a', '\u0001\u001b\u0007', ['\u0001\u001b\u0007']],
  ['a{,2}', 'a{,2}', ['a{,2}']],
  ['a{2', 'a{2', ['a{2']],
  ['x{0}y', 'y', ['y']],
  ['(a{0,2}){2}', 'aaa', ['aaa', 'a']],
  ['(a*)*', 'b', ['', '']],
  ['(a*)+b', 'aab', ['aab', '']],
  ['(?:a|b)*?c', 'abac', ['abac']],
  ['^(?:(a)|b)*$', 'ab', ['ab', 'a']],
  ['', 'a', ['']],
  ['|a', 'a', ['']],
  ['(?!)', 'a', undefined],
  ['(?=(a))a', 'a', ['a', 'a']],
  ['(?!(a))b', 'b', ['b', undefined]],
]

for (const [pattern, text, found] of cases) {
  test(`${JSON.stringify(pattern)} in ${JSON.stringify(text)}`, () => {
    assert.deepEqual(run(pattern, text), found)
  })
}

test('a search goes on from where it is told', () => {
  assert.deepEqual(run('a', 'aba', 1), ['a'])
  assert.equal(run('^a', 'aa', 1), undefined)
  assert.equal(run('a', 'aba', 3), undefined)
})

test('whatever the pattern is, it is read or refused', () => {
  holds(
    fc.property(fc.stringMatching(/^[\x20-\x7e]{0,30}$/), (pattern) => {
      try {
        parsePattern(pattern)
      } catch (error) {
        assert.ok(error instanceof PatternError, String(error))
      }
    }),
    { numRuns: 5000 },
  )
})

test('who is told of the steps can end the search; the stack is bounded', () => {
  const program = compile(parsePattern('^(a+)+$'))
  const stop = new Error('enough')
  const matcher = new PatternMatcher(program, Buffer.from(`${'a'.repeat(60)}b`), () => {
    throw stop
  })
  assert.throws(() => matcher.search(0), stop)
  const deep = compile(parsePattern('(?:(a)|b)*c'))
  const long = new PatternMatcher(deep, Buffer.alloc(2_000_000, 'a'), () => undefined)
  assert.throws(() => long.search(0), /tries too many ways/)
})
