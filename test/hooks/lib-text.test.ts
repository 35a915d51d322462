/** Codecs, JSON, addresses, macros, types: functions that turn one value into another. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holdsAsync } from '../support/properties.ts'
import { errorsOf, gateOf, prints } from './library.fixture.ts'
import { askMail, session, temporaryIssue } from './scripts.fixture.ts'

const utf8 = (text: string): string => Buffer.from(text).toString('latin1')

test('base64 both ways, folded, and with charsets', async () => {
  assert.deepEqual(
    await prints(String.raw`
      print(msys.base64.encode("hello\0"), msys.base64.decode("aGVsbG8A") == "hello\0", msys.base64.encode(""))
      print((msys.base64.encode(("x"):rep(80), true):gsub("\r\n", "|")))
      print(msys.base64.decode("aGVs\r\n bG8="), msys.base64.encode("\195\169", nil, "iso-8859-1"), msys.base64.decode("6Q==", "iso-8859-1") == "\195\169")`),
    [
      'aGVsbG8A true ',
      `${'eHh4'.repeat(19)}|${Buffer.from('x'.repeat(23)).toString('base64')}`,
      'hello 6Q== true',
    ],
  )
  const errors = await errorsOf([
    'msys.base64.decode("a*b=")',
    'msys.base64.decode("abcde")',
    'msys.base64.encode({})',
    'msys.base64.encode("x", nil, "klingon")',
    'msys.base64.encode("\\226\\130\\172", nil, "iso-8859-1")',
    'msys.base64.decode("gA==", "utf-8")',
  ])
  assert.deepEqual(Object.values(errors), [
    'msys.base64.decode: not base64',
    'msys.base64.decode: not base64',
    "bad argument #1 to 'msys.base64.encode' (string expected, got table)",
    `bad argument #3 to 'msys.base64.encode' (the text cannot be converted, or the charset "klingon" is not known)`,
    `bad argument #3 to 'msys.base64.encode' (the text cannot be converted, or the charset "iso-8859-1" is not known)`,
    `bad argument #2 to 'msys.base64.decode' (the text cannot be converted, or the charset "utf-8" is not known)`,
  ])
})

test('quoted-printable both ways', async () => {
  assert.deepEqual(
    await prints(String.raw`
      print(msys.qp.encode("caf\195\169 = "), msys.qp.decode("caf=C3=A9 =3D=20") == "caf\195\169 = ")
      local long = msys.qp.encode(("word "):rep(40))
      local most = 0 for line in long:gmatch("[^\r\n]+") do if #line > most then most = #line end end
      print(most <= 76, msys.qp.decode(long) == ("word "):rep(40))
      print((msys.qp.encode("a\r\nb\nc"):gsub("\r\n", "|")), msys.qp.decode("a=\r\nb") , msys.qp.decode("a  \r\nb") == "a\r\nb")
      print((msys.qp.encode(("x"):rep(75) .. ".y", nil, true):gsub("\r\n", "|")))
      print(msys.qp.encode("\195\169", "iso-8859-1"), msys.qp.decode("=E9", "iso-8859-1") == "\195\169")`),
    ['caf=C3=A9 =3D=20 true', 'true true', 'a|b|c ab true', `${'x'.repeat(75)}=|..y`, '=E9 true'],
  )
  assert.deepEqual(await errorsOf(['msys.qp.decode("a=ZZ")', 'msys.qp.encode(nil)']), {
    'msys.qp.decode("a=ZZ")': 'msys.qp.decode: not quoted-printable',
    'msys.qp.encode(nil)': "bad argument #1 to 'msys.qp.encode' (string expected, got nil)",
  })
})

test('a long run of blanks costs a quoted-printable decoder no more than its length', async () => {
  await prints(
    'local s = (" "):rep(1e6) .. "x" assert(msys.qp.decode(s) == s) assert(#msys.base64.decode((" "):rep(1e6)) == 0)',
    { limits: { time: 500 } },
  )
})

test('internationalised domain names', async () => {
  assert.deepEqual(
    await prints(String.raw`
      print(msys.idn.to_idn("b\195\188cher.example"), msys.idn.to_utf8("xn--bcher-kva.example"), msys.idn.to_idn("plain.example"))
      print(msys.idn.to_idn("a b")) print(msys.idn.to_utf8("xn--\255"))`),
    [
      `xn--bcher-kva.example ${utf8('bücher.example')} plain.example`,
      'nil not a domain name that can be converted',
      'nil not a domain name that can be converted',
    ],
  )
})

test('JSON: reading, changing, writing', async () => {
  assert.deepEqual(
    await prints(String.raw`
      local o = json.decode([[{"foo": "bar", "n": null, "list": [1, null, 3, null], "deep": {"t": true}, "u": "\u00e9\ud83d\ude00\n"}]])
      print(o.foo, o.n, o.list[1], o.list[3], o.deep.t, #o.u)
      print(o)
      o.int = 4 o.num = 3.5 o.foo = nil o.n = "now" o.arr = json.encode({ 0, 1, 3 }) o.raw = { "x", { y = false } }
      print(tostring(o))
      local n = json.new() n.name = "va\"l\\ue\1" print(n, json.new(), json.decode("[]"), json.encode({}))
      print(json.encode(42) .. json.encode("s") .. json.encode(true) .. json.encode(nil) .. json.encode({ 1, 2, nil, 4 }))
      print(json.encode({ [1] = "a", x = 1 }), json.encode({ [2] = "b", x = 1 }))
      print(json.decode("7") + 1, json.decode("\"s\""), json.decode("null"), json.decode(" [1] ")[1], type(o))`),
    [
      'bar nil 1 3 true 7',
      `{ "deep": { "t": true }, "foo": "bar", "list": [ 1, null, 3, null ], "n": null, "u": "${utf8('é😀')}\\n" }`,
      `{ "arr": [ 0, 1, 3 ], "deep": { "t": true }, "int": 4, "list": [ 1, null, 3, null ], "n": "now", "num": 3.5, "raw": [ "x", { "y": false } ], "u": "${utf8('é😀')}\\n" }`,
      '{ "name": "va\\"l\\\\ue\\u0001" } { } [ ] { }',
      '42"s"truenull[ 1, 2 ]',
      '[ "a" ] { "2": "b", "x": 1 }',
      '8 s nil 1 table',
    ],
  )
})

test('what is no JSON answers with nil, a code and a message', async () => {
  const texts: Readonly<Record<string, string>> = {
    '{': 'ERROR_PARSE_EOF',
    '': 'ERROR_PARSE_EOF',
    '{a:1}': 'ERROR_PARSE_OBJECT_KEY_NAME',
    '{"a" 1}': 'ERROR_PARSE_OBJECT_KEY_SEP',
    '{"a":1 "b"}': 'ERROR_PARSE_OBJECT_VALUE_SEP',
    '[1 2]': 'ERROR_PARSE_ARRAY',
    '[1,]': 'ERROR_PARSE_UNEXPECTED',
    nul: 'ERROR_PARSE_NULL',
    truth: 'ERROR_PARSE_BOOLEAN',
    '-x': 'ERROR_PARSE_NUMBER',
    '01': 'ERROR_PARSE_UNEXPECTED',
    '"\\x"': 'ERROR_PARSE_STRING',
    '"\n"': 'ERROR_PARSE_STRING',
    '/* */ 1': 'ERROR_PARSE_COMMENT',
    '{} x': 'ERROR_PARSE_UNEXPECTED',
    '"open': 'ERROR_PARSE_EOF',
  }
  const body = Object.keys(texts)
    .map((text) => `print(select(2, json.decode([==[\n${text}]==])))`)
    .join('\n')
  const codes = await prints(
    `local names = {} for k, v in pairs(json) do if k:find("^ERROR") then names[v] = k end end
     local p = print local print = function(code, text) p(names[code], text, json.strerror(code)) end\n${body}
     print((select(2, json.decode(("["):rep(200)))), "") p(json.strerror(99))`,
  )
  assert.deepEqual(
    codes.slice(0, -2).map((line) => line.split(' ')[0]),
    Object.values(texts),
  )
  assert.match(codes[0] ?? '', /unexpected end of the text at offset 1 unexpected end of the text$/)
  assert.match(codes.at(-2) ?? '', /^ERROR_DEPTH/)
  assert.equal(codes.at(-1), 'unknown error')
})

test('of members with the same name the last one counts, also where it is a null', async () => {
  assert.deepEqual(
    await prints(`local o = json.decode('{"a": 1, "a": null, "b": null, "b": 2}') print(o.a, o.b, o)`),
    ['nil 2 { "a": null, "b": 2 }'],
  )
})

test('any text is the JSON that every other reader sees in it, or none', async () => {
  const gate = await gateOf(`
    local value, code = json.decode(vctx:get(core.VCTX_CONN, "text"))
    local _, text = pcall(json.encode, value)
    vctx:set(core.VCTX_CONN, "said", code == nil and tostring(text) or "none")`)
  const piece = fc.constantFrom(
    ...String.raw`{ } [ ] , : "a" "b" 1 - 0 .5 e3 E + 01 true false null "\u00 "\ud83d\ude00" "\ud83d" "\n" "/" \ " / 1e21`.split(
      ' ',
    ),
    ' ',
    '\n',
    '\0',
    utf8('"é"'),
  )
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom('1', '-1.5e10', 'null', 'false', '""', '"x\\u00e9"'),
      fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
      fc
        .array(fc.tuple(fc.constantFrom('a', 'b', '1', ''), tie('value')), { maxLength: 4 })
        .map((members) => `{${members.map(([name, inner]) => `"${name}":${inner}`).join(',')}}`),
    ),
  }))
  // a number beyond all that are finite is read, and has no place in what is written
  const soup = fc
    .array(piece, { maxLength: 10 })
    .map((pieces) => pieces.join('').replaceAll(/e\+?\d{3,}/gi, 'e9'))
  await holdsAsync(
    fc.asyncProperty(fc.oneof(soup, value), async (text) => {
      const facts = session({ text })
      assert.deepEqual(await askMail(gate, facts), { kind: 'continue' })
      assert.equal(facts.context.get('connection', 'said'), asWritten(text) ?? 'none')
    }),
  )
})

/** What `json.encode` writes, by another hand. */
function asWritten(text: string): string | undefined {
  const write = (value: unknown): string => {
    if (Array.isArray(value)) return value.length === 0 ? '[ ]' : `[ ${value.map(write).join(', ')} ]`
    if (typeof value !== 'object' || value === null) return JSON.stringify(value)
    const members = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1))
    const written = members.map(([name, inner]) => `${JSON.stringify(name)}: ${write(inner)}`)
    return written.length === 0 ? '{ }' : `{ ${written.join(', ')} }`
  }
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'latin1').toString())
    return Buffer.from(write(value)).toString('latin1').replaceAll('\\ud83d', utf8('\uFFFD'))
  } catch {
    return undefined
  }
}

test('what has no place in JSON is an error', async () => {
  const errors = await errorsOf([
    'json.encode(print)',
    'json.encode({ f = print })',
    'json.encode(0 / 0)',
    'json.encode(vctx)',
    'json.decode(nil)',
    'json.decode(("x"):rep(5e6))',
    '(function() local t = {} t.t = t return json.encode(t) end)()',
    '(function() local t = json.new() t.t = t return tostring(t) end)()',
  ])
  const messages = Object.values(errors)
  assert.deepEqual(messages.slice(0, 6), [
    'json: a function has no place in JSON',
    'json: a function has no place in JSON',
    'json: a number that is not finite has no place in JSON',
    'json: a userdata has no place in JSON',
    "bad argument #1 to 'json.decode' (string expected, got nil)",
    "bad argument #1 to 'json.decode' (at most 4194304 octets)",
  ])
  assert.match(messages[6] ?? '', /nested too deeply, or a table that holds itself/)
  assert.match(messages[7] ?? '', /nested too deeply, or a table that holds itself/)
})

test('a small table that would be an endless text stops with the budget', async () => {
  const gate = await gateOf(
    'local t = { "x" } for i = 1, 40 do t = { t, t } end pcall(function() return tostring(json.encode(t)) end)',
    { limits: { time: 60 } },
  )
  assert.deepEqual(await askMail(gate), temporaryIssue)
  assert.match(gate.panics[0] ?? '', /time budget of 0\.06 s exceeded/)
})

test('addresses of a header', async () => {
  assert.deepEqual(
    await prints(String.raw`
      local text = 'Alice <alice+news@example.com>, "B, C" <"b c"@x.example>, list: d@e.f, (c(omment)) g . h@ i.j;, broken@, k@[192.0.2.1], <@route,@two:r@s.t>'
      local function show(part) print(table.concat(msys.parseRFC2822Addresses(text, part), " ")) end
      show() show("localpart") show("user") show("detail") show("domain")
      print(#msys.parseRFC2822Addresses(""), #msys.parseRFC2822Addresses((","):rep(1000)))`),
    [
      'alice+news@example.com "b c"@x.example d@e.f g.h@i.j k@[192.0.2.1] r@s.t',
      'alice+news "b c" d g.h k r',
      'alice "b c" d g.h k r',
      'news     ',
      'example.com x.example e.f i.j [192.0.2.1] s.t',
      '0 0',
    ],
  )
  assert.deepEqual(
    await errorsOf(['msys.parseRFC2822Addresses({})', 'msys.parseRFC2822Addresses("a", "b")']),
    {
      'msys.parseRFC2822Addresses({})':
        "bad argument #1 to 'msys.parseRFC2822Addresses' (string expected, got table)",
      'msys.parseRFC2822Addresses("a", "b")':
        "bad argument #2 to 'msys.parseRFC2822Addresses' (all, localpart, user, detail, domain expected)",
    },
  )
})

test('macros of the context; any other is an error', async () => {
  const facts = session({ ehlo_string: 'client.example', 'odd:key': 'x' })
  facts.context.set('message', 'kind', '%{vctx_conn:ehlo_string}')
  assert.deepEqual(
    await prints(
      `print(msys.expandMacro("<%{vctx_conn:ehlo_string}|%{vctx_mess:kind}|%vctx_conn{odd:key}|%{vctx_conn:none}|100%%|5% off>"))`,
      { facts },
    ),
    ['<client.example|%{vctx_conn:ehlo_string}|x||100%|5% off>'],
  )
  assert.deepEqual(
    await errorsOf([
      'msys.expandMacro("%{date}")',
      'msys.expandMacro("%{vctx_conn:x")',
      'msys.expandMacro()',
    ]),
    {
      'msys.expandMacro("%{date}")': 'msys.expandMacro: "%{date}" is not a macro that is known here',
      'msys.expandMacro("%{vctx_conn:x")': 'msys.expandMacro: "%{vctx_conn:x" has no end',
      'msys.expandMacro()': "bad argument #1 to 'msys.expandMacro' (string expected, got no value)",
    },
  )
})

test('macros that ask for far too much are an error of the script, and scripts keep what they have', async () => {
  const facts = session({ long: 'x'.repeat(8000) })
  const gate = await gateOf(`kept = (kept or 0) + 1
    print(kept, pcall(msys.expandMacro, string.rep("%{vctx_conn:long}", 500000)))`)
  for (let n = 0; n < 2; n++) await askMail(gate, facts)
  const tooLong = 'false msys.expandMacro: the result is longer than 65536 octets'
  assert.deepEqual(gate.panics, [`1 ${tooLong}`, `2 ${tooLong}`])
})

test('operators on bits, as functions', async () => {
  assert.deepEqual(
    await prints(
      'print(bit.band(6, 3), bit.bor(1, 2, 4), bit.bxor(6, 3), bit.bnot(0), bit.lshift(1, 40), bit.rshift(-8, 1), bit.band(7.9, 7))',
    ),
    ['2 7 5 -1 1099511627776 -4 7'],
  )
  assert.deepEqual(Object.values(await errorsOf(['bit.band(1)', 'bit.bor("x", 1)', 'bit.lshift(1, 64)'])), [
    "bad argument #2 to 'bit.band' (number expected, got no value)",
    "bad argument #1 to 'bit.bor' (number expected, got string)",
    "bad argument #2 to 'bit.lshift' (a number from 0 to 63 expected)",
  ])
})

test('Dumper shows tables, sorted, and stops at cycles', async () => {
  const [text = ''] = await prints(
    `local t = { "a", n = 1, [true] = { x = "q\\"" } } t.self = t print((msys.dumper.Dumper(t):gsub("\\n", "|"))) print(msys.dumper.Dumper(nil), msys.dumper.Dumper(vctx))`,
  )
  assert.equal(
    text,
    '{|  [true] = {|    ["x"] = "q\\"",|  },|  [1] = "a",|  ["n"] = 1,|  ["self"] = <cycle>,|}',
  )
})

test('types, casts, class tables and strings of C', async () => {
  assert.deepEqual(
    await prints(
      String.raw`
      print(msys.type(vctx), msys.type(ac), msys.type(1), msys.type(nil), msys.type(msys.core.string_new()), msys.type(msys.http.client.new()))
      print(msys.cast(vctx, "validate_context") == vctx, msys.cast(vctx, "msys.core:_validate_context") == vctx)
      msys.getClassMetaTable("validate_context").__index.shout = function(self, key) return self:get(core.VCTX_CONN, key):upper() end
      print(vctx:shout("k"), type(msys.getClassMetaTable("ec_message").__index.header))
      local s = msys.core.string_new() print(#s, s .. "|") s:set("ab") print(#s, tostring(s), s .. s)
      print(msys.core.get_now_ts() == os.time())`,
      { facts: session({ k: 'v' }) },
    ),
    [
      'validate_context accept_construct number nil ec_string http client',
      'true true',
      'V function',
      '0 |',
      '2 ab abab',
      'true',
    ],
  )
  assert.deepEqual(
    Object.values(
      await errorsOf([
        'msys.cast(vctx, "ec_message")',
        'msys.cast({}, "validate_context")',
        'msys.cast(vctx)',
        'msys.getClassMetaTable("nope")',
        'msys.core.string_new().set("x", "y")',
      ]),
    ),
    [
      'msys.cast: a validate_context is no ec_message',
      'msys.cast: a table is no validate_context',
      "bad argument #2 to 'msys.cast' (string expected, got nil)",
      'msys.getClassMetaTable: there is no class nope',
      "a ec_string expected; use ':' to call its methods",
    ],
  )
})
