import assert from 'node:assert/strict'
import { test } from 'node:test'
import { domainMatches, formatMailbox, formatPath, isAddressLiteral, parseMailbox } from './address.ts'

test('an address keeps the case of its local part and not that of its domain', () => {
  assert.deepEqual(parseMailbox('Some.Body+tag@Example.COM'), {
    local: 'Some.Body+tag',
    domain: 'example.com',
  })
  assert.deepEqual(parseMailbox("!#$%&'*+/=?^_`{|}~-@x"), { local: "!#$%&'*+/=?^_`{|}~-", domain: 'x' })
})

test('a quoted local part is the text between its quotes', () => {
  assert.deepEqual(parseMailbox('"a b"@x.test'), { local: 'a b', domain: 'x.test' })
  assert.deepEqual(parseMailbox('"a\\"b\\\\c"@x.test'), { local: 'a"b\\c', domain: 'x.test' })
  assert.deepEqual(parseMailbox('"a@b>c"@x.test'), { local: 'a@b>c', domain: 'x.test' })
  assert.deepEqual(parseMailbox('"plain"@x.test'), { local: 'plain', domain: 'x.test' })
})

test('address literals are domains', () => {
  assert.equal(parseMailbox('a@[192.0.2.1]')?.domain, '[192.0.2.1]')
  assert.equal(parseMailbox('a@[IPv6:2001:DB8::1]')?.domain, '[ipv6:2001:db8::1]')
  assert.equal(isAddressLiteral('[192.0.2.1]'), true)
  assert.equal(isAddressLiteral('192.0.2.1'), false)
})

const refused = {
  'no domain': ['a', 'a@', '@x', '', '@'],
  'two at signs': ['a@b@c'],
  'dots out of place': ['.a@x', 'a.@x', 'a..b@x', 'a@.x', 'a@x.', 'a@x..y'],
  'blanks and brackets': ['a b@x', ' a@x', 'a@x ', '<a@x>', 'a@x y'],
  'quotes out of place': ['"a@x', 'a"b@x', '"a"b@x', '"a""b"@x', '"a\\"@x', '""@x'],
  'control characters': ['a\r\nb@x', '"a\r\nb"@x', '"a\0"@x', 'a@x\n', '"a\\\n"@x', '"a\tb"@x'],
  'octets beyond ASCII': ['\xe4@x', '"\xe4"@x', 'a@\xe4.test'],
  'domains with odd characters': ['a@b_c', 'a@-b', 'a@b-', 'a@b-.c', 'a@b/../c', 'a@*'],
  'literals that are no address': [
    'a@[1.2.3]',
    'a@[1.2.3.256]',
    'a@[2001:db8::1]',
    'a@[IPv6:fe80::1%eth0]',
    'a@[1.2.3.4',
    'a@[]',
  ],
}

for (const [reason, addresses] of Object.entries(refused)) {
  test(`refused: ${reason}`, () => {
    for (const address of addresses) assert.equal(parseMailbox(address), undefined, JSON.stringify(address))
  })
}

test('lengths are bounded where RFC 5321 bounds them', () => {
  const domain = `${'d'.repeat(63)}.`.repeat(3) + 'd'.repeat(63)
  assert.ok(parseMailbox(`${'a'.repeat(64)}@x`))
  assert.equal(parseMailbox(`${'a'.repeat(65)}@x`), undefined)
  assert.ok(parseMailbox(`a@${domain}`))
  assert.equal(parseMailbox(`a@${domain}e`), undefined)
  assert.equal(parseMailbox(`a@${'d'.repeat(64)}.test`), undefined)
  assert.equal(parseMailbox(`a@${'d.'.repeat(127)}dd`), undefined)
})

test('a mailbox is quoted only where it must be', () => {
  assert.equal(formatMailbox({ local: 'a.b', domain: 'x.test' }), 'a.b@x.test')
  assert.equal(formatMailbox({ local: 'a b', domain: 'x.test' }), '"a b"@x.test')
  assert.equal(formatMailbox({ local: 'a"\\', domain: 'x.test' }), '"a\\"\\\\"@x.test')
  assert.equal(formatMailbox({ local: 'postmaster', domain: '' }), 'postmaster')
  assert.equal(formatMailbox({ local: 'a', domain: '[ipv6:2001:db8::1]' }), 'a@[IPv6:2001:db8::1]')
  assert.equal(formatPath(undefined), '<>')
  assert.equal(formatPath({ local: 'a', domain: 'x.test' }), '<a@x.test>')
})

test('a mailbox that no parser made cannot end the line or the path', () => {
  // U+010A would become a line feed when it is written as latin1
  const path = formatPath({ local: 'a\r\nRCPT TO:<b>\u010a', domain: 'x>\r\ny\u010a' })
  assert.equal(path, '<"a??RCPT TO:<b>?"@x???y?>')
})

test('UTF-8 that is not well-formed, ends lines or turns the direction of writing is in no address', () => {
  assert.equal(utf8Mailbox('j\xc3\xb6rg')?.local, 'j\xc3\xb6rg')
  const unfit = ['\u0085', '\u061c', '\u200e', '\u2028', '\u202e', '\u2066', '\ufeff']
  const written = unfit.map((each) => Buffer.from(each, 'utf8').toString('latin1'))
  for (const octets of [...written, '\xff', '\xc0\xaf', '\xe2\x80', '\xed\xa0\x80', '\xf4\x90\x80\x80']) {
    assert.equal(utf8Mailbox(`j${octets}`), undefined, JSON.stringify(octets))
    assert.equal(utf8Mailbox(`"j${octets}"`), undefined, JSON.stringify(octets))
  }
})

function utf8Mailbox(local: string) {
  return parseMailbox(`${local}@example.com`, { utf8: true })
}

test('globs match as Momentum says', () => {
  assert.equal(domainMatches(['*.x.com'], 'a.x.com'), true)
  assert.equal(domainMatches(['*.x.com'], 'x.com'), false)
  assert.equal(domainMatches(['*x.com'], 'badx.com'), true)
  assert.equal(domainMatches(['*x.com'], 'x.com'), true)
  assert.equal(domainMatches(['*'], 'anything.test'), true)
  assert.equal(domainMatches(['a.test', 'X.Com'], 'x.com'), true)
  assert.equal(domainMatches(['x.com'], 'x.COM'), true)
  assert.equal(domainMatches(['x.*'], 'x.com'), false)
  assert.equal(domainMatches(['x.com'], 'a.x.com'), false)
  assert.equal(domainMatches([], 'x.com'), false)
})

test('characters beyond an octet are no UTF-8, also where what is left of them in one would be', () => {
  // cut to octets: E6 80 80, a character of UTF-8
  const local = '\u{89b80}\x80'
  assert.equal(formatMailbox({ local, domain: 'b.example' }), '"???"@b.example')
  assert.equal(formatMailbox({ local: '\u4e2d', domain: 'b.example' }), '"?"@b.example')
})
