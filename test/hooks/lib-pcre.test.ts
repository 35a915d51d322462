/** msys.pcre: matching, replacing, splitting; hostile patterns end with the callout's budget. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorsOf, gateOf, prints } from './library.fixture.ts'
import { askMail, temporaryIssue } from './scripts.fixture.ts'

test('match gives the whole, the groups by number and by name, or nil', async () => {
  assert.deepEqual(
    await prints(String.raw`
      local m = msys.pcre.match("alice@example.com", "(?P<user>\\w+)@(?<host>[\\w.]+)")
      print(m[0], m[1], m[2], m.user, m.host, m[3])
      local o = msys.pcre.match("b", "(a)|(b)")
      print(o[0], o[1], o[2])
      print(msys.pcre.match("abc", "x"), msys.pcre.match("", "^$")[0] == "", select("#", msys.pcre.match("a", "b")))
      print(#msys.pcre.match("a\0b", "a\\0b")[0], msys.pcre.match("\255", "\\xff")[0] == "\255")`),
    ['alice@example.com alice example.com alice example.com nil', 'b nil b', 'nil true 1', '3 true'],
  )
})

test('a pattern that is refused answers with nil, a message and a number', async () => {
  assert.deepEqual(
    await prints(String.raw`
      for _, p in ipairs({ "(a", "(?|a)", "[z-a]", "\\pL", "a)", "(?R)", "(?(1)a|b)", "*a", "\\G", "(?<=a*)b", "(?P<n>a)(?P<n>b)", "\\x{100}", "[[:nope:]]", "(*UTF)a", "\\2(a)" }) do
        print(p, msys.pcre.match("a", p))
      end
      print(msys.pcre.replace("a", "(", "b")) print(msys.pcre.split("a", "("))`),
    [
      '(a nil missing closing parenthesis at offset 2 1',
      '(?|a) nil groups that share numbers, (?|, are not supported at offset 2 1',
      '[z-a] nil range out of order in a class at offset 4 1',
      '\\pL nil \\p is not supported at offset 2 1',
      'a) nil unmatched closing parenthesis at offset 1 1',
      '(?R) nil recursion is not supported at offset 2 1',
      '(?(1)a|b) nil conditions such as (?(1)a|b) are not supported at offset 2 1',
      '*a nil a quantifier without anything to repeat at offset 0 1',
      '\\G nil \\G is not supported at offset 2 1',
      '(?<=a*)b nil what is looked behind for has no fixed length at offset 7 1',
      '(?P<n>a)(?P<n>b) nil two groups are named "n" at offset 14 1',
      '\\x{100} nil a character beyond \\xff: patterns match octets at offset 7 1',
      '[[:nope:]] nil unknown class [:nope:] at offset 2 1',
      '(*UTF)a nil verbs such as (*COMMIT) are not supported at offset 1 1',
      '\\2(a) nil reference to a group that does not exist at offset 5 1',
      'nil missing closing parenthesis at offset 1 1',
      'nil missing closing parenthesis at offset 1 1',
    ],
  )
})

test('replace changes every match, with references to groups', async () => {
  assert.deepEqual(
    await prints(String.raw`
      print(msys.pcre.replace("a1b22", "(\\d+)", "<$1>"), msys.pcre.replace("ab", "(?<x>a)(b)", "$" .. "{x}-\\2-$0-$$"))
      print(msys.pcre.replace("abc", "", "-"), msys.pcre.replace("abc", "x", "y"), msys.pcre.replace("a", "(b)?a", "[$1]"))
      print(msys.pcre.replace("Hello", "(?i)h", "J"), (msys.pcre.replace("a\nb", "(?m)^", "> "):gsub("\n", "|")))`),
    ['a<1>b<22> a-b-ab-$', '-a-b-c- abc []', 'Jello > a|> b'],
  )
})

test('split gives the pieces, empty ones too', async () => {
  assert.deepEqual(
    await prints(String.raw`
      local function show(t) print(#t, table.concat(t, "|")) end
      show(msys.pcre.split("a,b,,c", ",")) show(msys.pcre.split("one  two", "\\s+")) show(msys.pcre.split("", ","))
      show(msys.pcre.split("abc", "")) show(msys.pcre.split("a\nb", "\\n")) show(msys.pcre.split("x", "y"))`),
    ['4 a|b||c', '2 one|two', '1 ', '3 a|b|c', '2 a|b', '1 x'],
  )
})

test('arguments of the wrong kind are errors that name function and argument', async () => {
  assert.deepEqual(
    await errorsOf([
      'msys.pcre.match()',
      'msys.pcre.match("a", {})',
      'msys.pcre.replace("a", "b")',
      'msys.pcre.split(nil, "b")',
    ]),
    {
      'msys.pcre.match()': "bad argument #1 to 'msys.pcre.match' (string expected, got no value)",
      'msys.pcre.match("a", {})': "bad argument #2 to 'msys.pcre.match' (string expected, got table)",
      'msys.pcre.replace("a", "b")': "bad argument #3 to 'msys.pcre.replace' (string expected, got no value)",
      'msys.pcre.split(nil, "b")': "bad argument #1 to 'msys.pcre.split' (string expected, got nil)",
    },
  )
})

const bombs: Readonly<Record<string, string>> = {
  'nested quantifiers': 'msys.pcre.match(("a"):rep(60) .. "b", "^(a+)+$")',
  'overlapping alternatives': 'msys.pcre.match(("a"):rep(60) .. "b", "^(a|a)*$")',
  'many optional parts': 'msys.pcre.match(("a"):rep(40), ("a?"):rep(60) .. ("a"):rep(60))',
  'several open quantifiers': 'msys.pcre.match(("a"):rep(4000), "a*a*a*a*a*b")',
  'a bomb in replace': 'msys.pcre.replace(("a"):rep(60) .. "b", "^(a+)+$", "x")',
  'a bomb in split': 'msys.pcre.split(("a"):rep(60) .. "b", "(x+x+)+y|^(a+)+$")',
  'a bomb again and again': 'while true do pcall(msys.pcre.match, ("a"):rep(60) .. "b", "^(a+)+$") end',
  'many harmless matches': 'while true do msys.pcre.match(("a"):rep(2000), "a*b") end',
  'new patterns without end': 'for i = 1, 1e9 do msys.pcre.match("a", "a" .. i) end',
}

for (const [name, body] of Object.entries(bombs)) {
  test(`${name}: stopped by the budget, which cannot be caught`, async () => {
    const gate = await gateOf(`pcall(function() ${body} end)`, { limits: { time: 60 } })
    const began = performance.now()
    assert.deepEqual(await askMail(gate), temporaryIssue)
    assert.ok(performance.now() - began < 10_000, `took ${performance.now() - began} ms`)
    assert.match(gate.panics[0] ?? '', /gate\.lua:\d+: time budget of 0\.06 s exceeded/)
  })
}

test('a pattern that is too large is refused', async () => {
  const [first, second, third] = await prints(`
    print(msys.pcre.match("a", "(a{1000}){1000}"))
    print(select(2, msys.pcre.match("a", ("a"):rep(9000))))
    print(select(2, msys.pcre.match("a", ("("):rep(200) .. (")"):rep(200))))`)
  assert.equal(first, 'nil')
  assert.match(second ?? '', /at most 8192 octets/)
  assert.match(third ?? '', /nested too deeply/)
})
