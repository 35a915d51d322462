import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatMailbox, formatPath, parseMailbox } from '../../src/mail/address.ts'
import { isUtf8Text } from '../../src/mail/utf8.ts'
import { anyText, holds } from '../support/properties.ts'
import { octets } from './fuzz.ts'

const pieces = [
  'a',
  'b.c',
  '.',
  '@',
  '"',
  '\\',
  ' ',
  'example.com',
  '[192.0.2.1]',
  '[IPv6:2001:db8::1]',
  '-',
  '<',
  '>',
]
const text = octets([...pieces, '\r\n', '\xe4'], 8).map((bytes) => bytes.toString('latin1'))
/** any string at all: lone surrogates, characters beyond a byte */
const anything = anyText({ maxLength: 80 })

test('an address that parses is written so that it parses to the same mailbox', () => {
  holds(
    fc.property(text, (address) => {
      const mailbox = parseMailbox(address)
      if (mailbox === undefined) return
      assert.deepEqual(parseMailbox(formatMailbox(mailbox)), mailbox)
      assert.match(mailbox.local, /^[ -~]{1,62}/)
      assert.equal(mailbox.domain, mailbox.domain.toLowerCase())
    }),
  )
})

test('every local part of printable ASCII can be written', () => {
  const local = fc.string({ minLength: 1, maxLength: 31 })
  holds(
    fc.property(local, (local) => {
      const mailbox = { local, domain: 'example.com' }
      assert.deepEqual(parseMailbox(formatMailbox(mailbox)), mailbox)
    }),
  )
})

test('a made-up mailbox cannot leave its line, its path or its quotes', () => {
  holds(
    fc.property(anything, anything, (local, domain) => {
      const path = formatPath({ local, domain })
      // an international one keeps its octets (RFC 6531)
      const shown = isUtf8Text(local) ? path.replace(/[\x80-\xff]/g, 'x') : path
      assert.match(shown, /^<(?:[^"<>@ ,;:]+|"(?:[ !#-[\]-~]|\\["\\])*")(?:@[A-Za-z0-9.:_?[\]-]+)?>$/)
      assert.match(shown, /^[ -~]*$/)
    }),
  )
})
