import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { HeaderBlock } from './headers.ts'
import { type MimePart, parseMime, walkMime } from './mime.ts'
import { decodeQuotedPrintable } from './quoted-printable.ts'
import { stripEighthBit, toSevenBit } from './seven-bit.ts'

/** The content of each leaf, decoded. */
function leaves({ header, body }: { readonly header: string; readonly body: string }): string[] {
  return [...walkMime(parseMime(new HeaderBlock(header), body))]
    .filter(({ parts }) => parts.length === 0)
    .map(({ start, end, encoding }) => decoded(body.slice(start, end), encoding))
}

function decoded(text: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString('latin1')
  return encoding === 'quoted-printable' ? (decodeQuotedPrintable(text) ?? '?') : text
}

const MIXED =
  'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'

test('text becomes quoted-printable, all else base64, and what was plain stays as it was', () => {
  const parts = [
    'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9 \r\n.\r\n',
    'Content-Type: application/x-y\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff\xfe\r\n',
    'Content-Type: text/plain\r\n\r\nplain = plain',
  ]
  const body = `--b\r\n${parts.join('\r\n--b\r\n')}\r\n--b--\r\n`
  const made = toSevenBit(MIXED, body)
  assert.ok(made)
  assert.match(made.header + made.body, /^[\t\r\n -~]*$/)
  assert.deepEqual(leaves(made), ['caf\xc3\xa9 \r\n.\r\n', '\xff\xfe\r\n', 'plain = plain'])
  assert.match(made.header, /Content-Transfer-Encoding: 7bit/)
  assert.ok(made.body.endsWith('Content-Type: text/plain\r\n\r\nplain = plain\r\n--b--\r\n'))
})

test('a text without MIME is labelled as what it is: nobody knows', () => {
  const made = toSevenBit('Subject: x\r\n\r\n', 'caf\xe9\r\n')
  assert.equal(
    made?.header,
    'Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n',
  )
  assert.equal(made.body, 'caf=E9\r\n')
})

test('a message in a message is converted inside: it has no encoding of its own', () => {
  const inner = 'Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe9\r\n'
  const header =
    'MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
  const made = toSevenBit(header, inner)
  assert.match(made?.header ?? '', /Content-Transfer-Encoding: 7bit/)
  assert.equal(
    made?.body,
    'Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n',
  )
})

test('a message in a message that has no header keeps its first lines', () => {
  const header = 'MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n'
  const made = toSevenBit(header, '\r\nfirst: line\r\n\r\n\xe9\r\n')
  assert.match(made?.body ?? '', /\r\n\r\nfirst: line\r\n\r\n=E9\r\n$/)
  assert.equal(toSevenBit(header, 'no: end\r\n\xe9\r\n'), undefined)
})

test('what cannot be converted without harm is not', () => {
  const signed = '--b\r\nContent-Type: text/plain\r\n\r\n\xe9\r\n--b\r\n\r\nsignature\r\n--b--\r\n'
  const refused: readonly (readonly [string, string])[] = [
    ['Content-Type: multipart/signed; boundary=b\r\n\r\n', signed],
    [
      MIXED,
      `--b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\n\xe9\r\n--c--\r\n\r\n--b--\r\n`,
    ],
    // the header, that of a part, the preamble
    ['Subject: \xe9\r\n\r\n', 'x'],
    [MIXED, '--b\r\nX: \xe9\r\n\r\nx\r\n--b--\r\n'],
    [MIXED, '\xe9\r\n--b\r\n\r\nx\r\n--b--\r\n'],
    // no structure, or one that is not what it says
    ['Content-Type: multipart/mixed; boundary=b\r\n\r\n', '\xe9'],
    ['MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n', '\xe9'],
    ['MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\n', 'x'],
    ['MIME-Version: 1.0\r\nContent-Type: message/partial\r\n\r\n', '\xe9'],
  ]
  for (const [header, body] of refused) assert.equal(toSevenBit(header, body), undefined, header)
  const plain = signed.replace('\xe9', 'e')
  const kept = toSevenBit('Content-Type: multipart/signed; boundary=b\r\n\r\n', plain)
  assert.equal(kept?.body, plain)
})

test('messages in messages end', () => {
  const layer = 'Content-Type: message/rfc822\r\n\r\n'
  assert.equal(toSevenBit(layer, `${layer.repeat(50)}A: b\r\n\r\n\xe9`), undefined)
})

function level(boundary: string): string {
  return `Content-Type: multipart/mixed; boundary=${boundary}\r\n\r\n--${boundary}\r\n`
}

test('a large message that has to be gone over for each of many levels is refused before that takes seconds', () => {
  const layers = Array.from({ length: 9 }, (_, n) => {
    const multiparts = Array.from({ length: 18 }, (_, m) => level(`b${n}x${m}`)).join('')
    return `${multiparts}Content-Type: message/rfc822\r\n\r\n`
  }).join('')
  const [, header = '', body = ''] = /^(.*?\r\n\r\n)([^]*)$/.exec(layers) ?? []
  const started = performance.now()
  assert.equal(toSevenBit(header, `${body}A: b\r\n\r\n${'\xe9\r\n'.repeat(4_000_000)}`), undefined)
  assert.ok(performance.now() - started < 5000)
})

const pieces = [
  'a',
  '=',
  ' ',
  '\t',
  '\r\n',
  '\r\n',
  '\r',
  '\n',
  '\xe9',
  '\0',
  '--b',
  '--c',
  'x'.repeat(70),
  '=41',
  '=\r\n',
]
const text = fc.array(fc.constantFrom(...pieces), { maxLength: 12, size: 'max' }).map((all) => all.join(''))
const eightBit = 'Content-Transfer-Encoding: 8bit\r\n'
const head = fc.constantFrom(
  '',
  'Content-Type: text/plain\r\n',
  `Content-Type: application/x\r\n${eightBit}`,
  'Content-Transfer-Encoding: 7bit\r\nContent-Type: TEXT/html; charset=utf-8\r\n',
  'Content-Transfer-Encoding: base64\r\n',
)
/** Messages in parts in messages. */
const { message } = fc.letrec<{ message: string }>((tie) => ({
  message: fc.oneof(
    { maxDepth: 4 },
    fc.tuple(head, text).map(([lines, body]) => `${lines}\r\n${body}`),
    fc
      .record({
        boundary: fc.constantFrom('b', 'c', 'd'),
        kind: fc.constantFrom('mixed', 'alternative', 'signed'),
        parts: fc.array(tie('message'), { minLength: 1, maxLength: 3 }),
        more: fc.constantFrom('', eightBit),
        lead: fc.constantFrom('', 'lead\r\n'),
        closing: fc.constantFrom('--', ''),
      })
      .map(({ boundary, kind, parts, more, lead, closing }) => {
        const inside = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('')
        return `Content-Type: multipart/${kind}; boundary=${boundary}\r\n${more}\r\n${lead}${inside}--${boundary}${closing}\r\n`
      }),
    fc
      .tuple(tie('message'), fc.constantFrom('', eightBit))
      .map(([inner, more]) => `Content-Type: message/rfc822\r\n${more}\r\n${inner}`),
  ),
}))

/** Behind the header's empty line; 0 where there is none. */
function bodyAt(text: string): number {
  return (/^(?:[^]*?\r\n)??\r\n/.exec(text)?.[0] ?? '').length
}

/** The types of all parts, and what those that hold no others say. */
function said(given: string): unknown {
  const end = bodyAt(given)
  const body = given.slice(end)
  const see = (part: MimePart): unknown => {
    if (part.parts.length > 0) return [part.type, ...part.parts.map(see)]
    const content = body.slice(part.start, part.end)
    if (part.type === 'message/rfc822' && bodyAt(content) > 0) return [part.type, said(content)]
    return [part.type, decoded(content, part.encoding)]
  }
  return see(parseMime(new HeaderBlock(given.slice(0, end)), body))
}

test('any message is converted to seven bits or refused, and each part says what it said', () => {
  holds(
    fc.property(message, (given) => {
      const end = bodyAt(given)
      const made = toSevenBit(given.slice(0, end), given.slice(end))
      if (made === undefined) return
      assert.doesNotMatch(made.header + made.body, /[\x80-\xff]/)
      assert.deepEqual(said(made.header + made.body), said(given))
      assert.deepEqual(toSevenBit(made.header, made.body), made)
    }),
  )
})

test('any octets of one part are converted', () => {
  holds(
    fc.property(text, fc.boolean(), (content, isText) => {
      const type = isText ? 'text/plain' : 'application/octet-stream'
      const made = toSevenBit(`MIME-Version: 1.0\r\nContent-Type: ${type}\r\n\r\n`, content)
      assert.ok(made)
      assert.doesNotMatch(made.body, /[\x80-\xff]/)
      assert.deepEqual(leaves(made), [content])
    }),
  )
})

test('the eighth bit can be stripped, and no octet becomes a line end by it', () => {
  assert.equal(stripEighthBit('a\xe9\x8d\x8a\x80\xff\r\n'), 'ai????\r\n')
})
