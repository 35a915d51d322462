/** Events as lines of JSON: whatever is in them, a line is one line, can be read, and holds what is declared. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds } from '../../../test/support/properties.ts'
import type { ContextSnapshot, Envelope } from '../../mail/envelope.ts'
import { eventKeys } from './event-keys.ts'
import type { JsonKey } from './keys.ts'
import { jsonHeartbeat, jsonLine, type LineEvent, MAX_LINE } from './line.ts'
import { MAX_TEXT, text, unicode } from './text.ts'

interface Hostile {
  /** a byte string, or one with characters that are no octets */
  readonly text: string
  readonly context: ContextSnapshot
  readonly number: number
  readonly at: number
}

const endpoint = ({ text: address, number: port }: Hostile) => ({ address, port })
const mailbox = ({ text: local }: Hostile) => ({ local, domain: local })

function envelope(hostile: Hostile): Envelope {
  const { text: each, context, number, at } = hostile
  return {
    id: each,
    batchId: each,
    connectionId: each,
    sender: mailbox(hostile),
    recipient: mailbox(hostile),
    bodyType: '8BITMIME',
    smtpUtf8: true,
    dsn: { envid: each },
    receivedAt: at - 393,
    size: number,
    client: endpoint(hostile),
    local: endpoint(hostile),
    bindingGroup: each,
    binding: each,
    routingDomain: each,
    loggedHeaders: { subject: 'for other eyes' },
    connectionContext: { ...context, auth_status: 'pass', auth_user: each },
    messageContext: { ...context, pathway: each },
  }
}

/** One of each kind, with something in every field. */
function eventsWith(hostile: Hostile): readonly LineEvent[] {
  const { text: each, context, number, at } = hostile
  const remote = endpoint(hostile)
  const outcome = {
    at,
    envelope: envelope(hostile),
    connectionId: each,
    domain: each,
    bytes: number,
    retries: number,
    stage: number,
    remote: each,
    text: each,
    local: each,
    tls: {
      demand: 'required',
      protocol: each,
      cipher: each,
      cipherAlgorithmBits: number,
      cipherUsedBits: number,
      verifiedBy: 'ca',
      cause: each,
      subject: each,
      issuer: each,
    },
  } as const
  const names = { bindingGroup: each, binding: each }
  return [
    { kind: 'reception', at, envelope: envelope(hostile), protocol: 'esmtp', tls: 'verified' },
    { kind: 'delivery', ...outcome },
    { kind: 'transient-failure', ...outcome },
    { kind: 'permanent-failure', ...outcome },
    {
      kind: 'out-of-band-bounce',
      at,
      ...names,
      messageId: each,
      batchId: each,
      connectionId: each,
      remote: each,
      text: each,
      recipient: mailbox(hostile),
      sender: mailbox(hostile),
      size: number,
      status: each,
    },
    {
      kind: 'rejection',
      at,
      connectionId: each,
      remote,
      local: remote,
      pathway: each,
      pathwayGroup: each,
      state: each,
      code: number,
      module: each,
      connectionContext: context,
      messageContext: context,
      text: each,
    },
    { kind: 'panic', at, level: 'error', module: each, text: each },
    {
      kind: 'authentication',
      at,
      connectionId: each,
      remote,
      listener: each,
      mechanism: each,
      user: each,
      status: 'fail',
      account: true,
    },
    {
      kind: 'operator',
      at,
      act: 'end',
      listener: each,
      remote,
      user: each,
      good: true,
      command: each,
      role: each,
    },
    {
      kind: 'operator-act',
      at,
      operator: each,
      from: each,
      act: each,
      messages: number,
      underWay: number,
      broken: each,
    },
    {
      kind: 'configuration-change',
      at,
      act: 'set',
      operator: each,
      from: each,
      place: each,
      scope: each,
      option: each,
      before: each,
      after: each,
      warning: each,
    },
  ]
}

const tables: Readonly<Record<LineEvent['kind'], keyof typeof eventKeys>> = {
  reception: 'Reception',
  delivery: 'DeliveryOutcome',
  'transient-failure': 'DeliveryOutcome',
  'permanent-failure': 'DeliveryOutcome',
  'out-of-band-bounce': 'OutOfBandBounce',
  rejection: 'Rejection',
  panic: 'Panic',
  authentication: 'AuthenticationFact',
  operator: 'OperatorFact',
  'operator-act': 'OperatorAct',
  'configuration-change': 'ConfigurationChange',
}

function declaredFor(event: LineEvent): readonly JsonKey<never>[] {
  return Object.values<readonly JsonKey<never>[]>(eventKeys[tables[event.kind]]).flat()
}

function parsed(event: LineEvent): Record<string, unknown> {
  const line = jsonLine(event)
  assert.match(line, /^[ -~]+$/, 'printable ASCII on one line')
  assert.ok(line.length <= MAX_LINE, `${line.length} octets`)
  return JSON.parse(line) as Record<string, unknown>
}

const fits: Readonly<Record<JsonKey<never>['type'], (value: unknown) => boolean>> = {
  text: (value) => typeof value === 'string' && value.isWellFormed(),
  number: (value) => typeof value === 'number' && value >= 0,
  integer: Number.isSafeInteger,
  boolean: (value) => typeof value === 'boolean',
  time: (value) => typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value),
  object: (value) =>
    Object.entries(value as object).every((each) => each.every((part) => typeof part === 'string')),
}

const plain: Hostile = { text: 'x', context: { key: 'value' }, number: 1, at: 1_700_000_000_000 }
const only = (kind: LineEvent['kind'], hostile: Partial<Hostile>): Record<string, unknown> => {
  const [event] = eventsWith({ ...plain, ...hostile }).filter((each) => each.kind === kind)
  assert.ok(event)
  return parsed(event)
}

function rejectionOn(pathway: string): LineEvent {
  const [rejection] = eventsWith(plain).filter((each) => each.kind === 'rejection')
  assert.ok(rejection)
  return { ...rejection, pathway, pathwayGroup: pathway }
}

test('an event with something in every field has every key that is declared, in this order, and no other', () => {
  for (const event of eventsWith(plain)) {
    const keys = declaredFor(event)
      .map(({ key }) => key)
      .filter((key) => !(key.endsWith('_left_out') || (key.startsWith('class') && event.kind === 'delivery')))
    assert.deepEqual(Object.keys(parsed(event)), keys, event.kind)
    assert.equal(new Set(keys).size, keys.length, 'each key once')
    assert.deepEqual(keys.slice(0, 2), ['event', 'time'])
    assert.equal(parsed(event)['event'], event.kind)
  }
})

test('whatever anybody writes, a line can be read and holds what is declared, in its type', () => {
  const hostile = fc.oneof(
    anyText({ maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) }),
    fc.constantFrom('__proto__', '"}', '\\', '\n{"event":"reception"}', '\u2028', '\ud800', '\udc00x'),
    fc
      .constantFrom('a', '"', '\\', '\u20ac', '\xff', '\ud83d\ude00', '\x00')
      .map((one) => one.repeat(70_000)),
  )
  const event = fc
    .record({
      text: hostile,
      context: fc
        .array(fc.tuple(hostile, hostile), { maxLength: 12 })
        .map((entries) => Object.fromEntries(entries)),
      number: fc.oneof(fc.nat(), fc.constantFrom(Number.NaN, Infinity, -1, 0.5)),
      at: fc.integer({ min: 1_000, max: 4e12 }),
    })
    .chain((each) => fc.constantFrom(...eventsWith(each)))
  holds(
    fc.property(event, (each) => {
      const line = parsed(each)
      const declared = declaredFor(each)
      const names = declared.map(({ key }) => key)
      assert.deepEqual(
        Object.keys(line).filter((key) => !names.includes(key)),
        [],
      )
      for (const { key, type, optional } of declared) {
        if (Object.hasOwn(line, key)) assert.ok(fits[type](line[key]), key)
        else assert.ok(optional || type === 'integer', key)
      }
    }),
    { numRuns: 200 },
  )
})

suite('text', () => {
  test('octets are what they encode; those that encode nothing are told one by one', () => {
    assert.equal(text('M\xc3\xbcller \xf0\x9f\x98\x80'), 'Müller 😀')
    assert.equal(text('caf\xe9 \xc3'), 'caf\\xe9 \\xc3')
    // overlong, a surrogate, beyond Unicode
    assert.equal(
      text('\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80'),
      '\\xc0\\xaf \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80',
    )
    assert.equal(text('a file called \u20ac, \xc3\xbc'), 'a file called €, ü')
  })

  test('what anybody has written in UTF-8 comes back, and Unicode text does', () => {
    const written = anyText({ maxLength: 200 }).map((each) => each.toWellFormed())
    holds(
      fc.property(written, (each) => {
        assert.equal(text(Buffer.from(each, 'utf8').toString('latin1')), each)
        assert.equal(unicode(each), each)
      }),
    )
    assert.equal(unicode('a\ud800b'), 'a\ufffdb')
  })

  test('a name of the configuration is itself, whether it comes as text or as octets', () => {
    for (const name of ['caf\xe9', 'caf\xc3\xa9']) {
      const rejection = parsed(rejectionOn(name))
      assert.deepEqual(
        [rejection['pathway'], rejection['pathway_group'], rejection['text']],
        ['café', 'café', 'x'],
      )
    }
    assert.equal(parsed(rejectionOn('\u20ac\xe9'))['pathway'], '€é')
  })

  test('it is cut between characters where it takes too much of the line', () => {
    assert.equal(text('a'.repeat(MAX_TEXT)), 'a'.repeat(MAX_TEXT))
    assert.equal(text('a'.repeat(MAX_TEXT + 1)), `${'a'.repeat(MAX_TEXT - 6)}…`)
    const faces = text('\xf0\x9f\x98\x80'.repeat(5000))
    assert.equal(faces, `${'😀'.repeat(Math.floor((MAX_TEXT - 6) / 12))}…`)
    assert.ok(text('"'.repeat(5000)).length <= MAX_TEXT / 2)
  })
})

test('a context is an object whatever its keys are called, and says what there was no room for', () => {
  const context = JSON.parse('{"__proto__":"a","constructor":"b","\\u00e9":"c"}') as ContextSnapshot
  const line = only('rejection', { context })
  assert.deepEqual(Object.entries(line['connection_context'] as object), [
    ['__proto__', 'a'],
    ['constructor', 'b'],
    ['\\xe9', 'c'],
  ])
  assert.ok(!('connection_context_left_out' in line))
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`k${n}`, 'x'.repeat(1000)]))
  const cut = only('rejection', { context: many })
  assert.equal(Object.keys(cut['message_context'] as object).length, 8)
  assert.equal(cut['message_context_left_out'], 92)
})

test('long values of a context, which a client can bring along, hide no other', () => {
  const long = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`san_${n}`, 'x'.repeat(3000)]))
  const line = only('rejection', {
    context: { tls: 'on', ...long, ehlo_domain: 'a.example', auth_user: 'ann' },
  })
  const keys = Object.keys(line['connection_context'] as object)
  for (const each of ['tls', 'ehlo_domain', 'auth_user']) assert.ok(keys.includes(each), each)
  assert.equal(keys[0], 'tls')
  assert.equal(keys.length + Number(line['connection_context_left_out']), 12)
})

test('what an operator does is told to its end, as long as a line of the console is', () => {
  // 4096 octets as they are typed, where each word is a quotation mark
  const command = `config set Relay_Hosts ${String.raw`"\"" `.repeat(2028)} "0.0.0.0/0"`
  for (const [kind, key] of [
    ['operator', 'command'],
    ['operator-act', 'command'],
    ['configuration-change', 'before'],
    ['configuration-change', 'after'],
  ] as const)
    assert.equal(only(kind, { text: command })[key], command)
})

test('headers that a custom_logger has asked for, and contexts, are in no line of a message', () => {
  const line = JSON.stringify(only('delivery', { context: { secret: 'hunter2' } }))
  assert.doesNotMatch(line, /for other eyes|hunter2/)
})

test('a key without a value is absent; who is nobody is said', () => {
  const [reception] = eventsWith(plain)
  assert.ok(reception?.kind === 'reception')
  const { smtpUtf8: _, dsn: __, routingDomain: ___, ...bare } = reception.envelope
  const own = { ...bare, sender: undefined, connectionContext: { auth_user: 'mallory' }, messageContext: {} }
  const line = parsed({ kind: 'reception', at: reception.at, envelope: own, protocol: 'internal' })
  for (const key of ['smtputf8', 'envid', 'routing_domain', 'user', 'tls', 'sender_domain'])
    assert.ok(!(key in line), key)
  assert.deepEqual([line['sender'], line['pathway'], line['protocol']], ['', 'default', 'internal'])
})

test('a heartbeat says when and whose', () => {
  assert.equal(
    jsonHeartbeat('mainlog', 0),
    '{"event":"heartbeat","time":"1970-01-01T00:00:00.000Z","log":"mainlog"}',
  )
})
