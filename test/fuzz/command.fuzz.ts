import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatPath } from '../../src/mail/address.ts'
import { parseCommand, parseHello, parseMailCommand, parseRcptCommand } from '../../src/wire/command.ts'
import { holds } from '../support/properties.ts'
import { octets } from './fuzz.ts'

const pieces = [
  'MAIL',
  'FROM:',
  'to:',
  '<',
  '>',
  'a@b',
  '"',
  '\\',
  ' ',
  'SIZE=1',
  '=',
  '@x,@y:',
  'postmaster',
  ':',
  '.',
]
const line = octets([...pieces, '[', ']', '\t', '\xff', 'BODY=8BITMIME'], 12).map((bytes) =>
  bytes.toString('latin1'),
)
const options = fc.record({ allowTrailingWhitespace: fc.boolean(), allowUnqualified: fc.boolean() })

test('any line has a verb in upper case or none, and no line is an exception', () => {
  holds(
    fc.property(line, options, (text, options) => {
      const { verb, args } = parseCommand(text)
      assert.match(verb, /^[A-Z0-9-]*$/)
      assert.ok(text.endsWith(args))
      for (const prefix of ['', 'FROM:', 'TO:', 'FROM:<', 'TO:<']) {
        parseMailCommand(prefix + text, options)
        parseRcptCommand(prefix + text, options)
      }
    }),
  )
})

test('a sender that is accepted reads the same when it is written down again', () => {
  holds(
    fc.property(line, line, (path, parameters) => {
      const command = parseMailCommand(`FROM:<${path}>${parameters}`, { allowUnqualified: true })
      if (command.kind === 'problem') return
      const again = parseMailCommand(`FROM:${formatPath(command.sender)}`, { allowUnqualified: true })
      assert.deepEqual(again, { ...command, parameters: new Map() })
      for (const [key, value] of command.parameters) {
        assert.match(key, /^[A-Z0-9][A-Z0-9-]*$/)
        assert.match(value ?? 'none', /^[!-<>-~]+$/)
      }
    }),
  )
})

test('only the postmaster is a recipient without a domain', () => {
  holds(
    fc.property(line, (path) => {
      const command = parseRcptCommand(`TO:<${path}>`)
      if (command.kind === 'problem' || command.recipient.domain !== '') return
      assert.equal(command.recipient.local.toLowerCase(), 'postmaster')
    }),
  )
})

test('a greeting name holds nothing that could break a header or a log line', () => {
  holds(
    fc.property(line, (args) => {
      const name = parseHello(args)
      if (name !== undefined) assert.match(name, /^[A-Za-z0-9._:%[\]-]{1,255}$/)
    }),
  )
})
