import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { HeaderBlock } from './headers.ts'
import { type MimePart, parseMime, parseParameters, walkMime } from './mime.ts'

const crlf = (text: string): string => text.replaceAll('\n', '\r\n')

function parse(header: string, body: string): { readonly top: MimePart; readonly text: string } {
  const text = crlf(body)
  return { top: parseMime(new HeaderBlock(crlf(header)), text), text }
}

const outline = (part: MimePart): unknown =>
  part.parts.length === 0 ? part.type : [part.type, ...part.parts.map(outline)]

test('a message without MIME fields is one text/plain part', () => {
  const { top, text } = parse('Subject: x\n', 'hello\n')
  assert.equal(top.type, 'text/plain')
  assert.equal(top.encoding, '7bit')
  assert.equal(text.slice(top.start, top.end), 'hello\r\n')
})

test('nested parts, preamble, epilogue, parts without a header', () => {
  const { top, text } = parse(
    'Content-Type: multipart/mixed; boundary="a b"\n',
    `preamble
--a b
Content-Type: multipart/alternative; boundary=x

--x

plain
--x
Content-Type: TEXT/HTML; charset="UTF-8"
Content-Transfer-Encoding: Base64

PGI+
--x--
--a b
Content-Type: application/pdf; name=one.pdf
Content-Disposition: attachment; filename="two \\"2\\".pdf"

data

--a b--
epilogue
--a b
`,
  )
  assert.deepEqual(outline(top), [
    'multipart/mixed',
    ['multipart/alternative', 'text/plain', 'text/html'],
    'application/pdf',
  ])
  const [, , plain, html, pdf] = [...walkMime(top)]
  assert.ok(plain !== undefined && html !== undefined && pdf !== undefined)
  assert.equal(text.slice(plain.start, plain.end), 'plain')
  assert.deepEqual([html.charset, html.encoding], ['utf-8', 'base64'])
  assert.equal(text.slice(html.start, html.end), 'PGI+')
  assert.deepEqual([pdf.filename, pdf.attachment], ['two "2".pdf', true])
  assert.equal(text.slice(pdf.start, pdf.end), 'data\r\n')
})

test('a multipart without a boundary, without parts or cut short', () => {
  assert.deepEqual(outline(parse('Content-Type: multipart/mixed\n', '--\nx\n').top), 'multipart/mixed')
  assert.deepEqual(
    outline(parse('Content-Type: multipart/mixed; boundary=a\n', 'x\n').top),
    'multipart/mixed',
  )
  const cut = parse('Content-Type: multipart/mixed; boundary=a\n', '--a\nX: y\n\nrest\n')
  assert.deepEqual(outline(cut.top), ['multipart/mixed', 'text/plain'])
})

test('depth and number of parts are bounded', () => {
  let body = ''
  for (let level = 0; level < 100; level += 1) {
    body += `--b${level}\nContent-Type: multipart/mixed; boundary=b${level + 1}\n\n`
  }
  const deep = parse('Content-Type: multipart/mixed; boundary=b0\n', body)
  assert.equal([...walkMime(deep.top)].length, 21)
  const many = parse('Content-Type: multipart/mixed; boundary=a\n', '--a\n\nx\n'.repeat(5000))
  assert.equal(many.top.parts.length, 0)
})

test('levels of a large message are bounded by what it takes to look at them', () => {
  const nested = Array.from(
    { length: 10 },
    (_, level) => `--b${level}\nContent-Type: multipart/mixed; boundary=b${level + 1}\n\n`,
  ).join('')
  const top = 'Content-Type: multipart/mixed; boundary=b0\n'
  const small = parse(top, `${nested}${'x\n'.repeat(1000)}`)
  assert.equal([...walkMime(small.top)].length, 11)
  const large = parse(top, `${nested}${'x\n'.repeat(1_000_000)}`)
  assert.equal([...walkMime(large.top)].length, 5)
  // inner levels that are small cost little
  const attached = parse(top, `${nested}\n--b1--\n--b0\n\n${'x\n'.repeat(1_000_000)}`)
  assert.equal([...walkMime(attached.top)].length, 12)
})

test('parameters: quotes, case, the first of a name, nothing behind what cannot be read', () => {
  const { value, parameters } = parseParameters('Text/Plain; CHARSET="a\\"b"; x=1; x=2; =bad; y=3')
  assert.equal(value, 'text/plain')
  assert.deepEqual(
    [...parameters],
    [
      ['charset', 'a"b'],
      ['x', '1'],
    ],
  )
})

test('whatever comes in, parts lie inside their container and do not overlap', () => {
  const token = fc.constantFrom(
    '--a',
    '--b',
    '--a--',
    '--b--',
    '\r\n',
    '\n',
    'x',
    ' ',
    'Content-Type: multipart/mixed; boundary=b',
  )
  const text = fc.array(token, { maxLength: 60 }).map((pieces) => pieces.join(''))
  holds(
    fc.property(text, (body) => {
      const check = (part: MimePart): void => {
        let at = part.start
        for (const child of part.parts) {
          assert.ok(child.headerStart >= at && child.start >= child.headerStart && child.end >= child.start)
          assert.ok(child.end <= part.end)
          at = child.end
          check(child)
        }
      }
      check(parseMime(new HeaderBlock('Content-Type: multipart/mixed; boundary=a\r\n'), body))
    }),
    { numRuns: 2000 },
  )
})
