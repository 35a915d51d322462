import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds } from '../../test/support/properties.ts'
import type { DeliveryOutcome, Panic, Reception, Rejection } from '../events/events.ts'
import { bouncelogHeartbeat, formatBouncelog } from './bouncelog.ts'
import { envelope } from './envelope.fixture.ts'
import { escapeText, quoteWhenNeeded, unescapeText } from './escape.ts'
import { formatMainlog, mainlogHeartbeat } from './mainlog.ts'
import { formatPaniclog } from './paniclog.ts'
import { formatRejectlog, rejectlogHeartbeat } from './rejectlog.ts'
import { formatForStderr } from './stderr.ts'

const reception: Reception = { kind: 'reception', at: 1_064_868_656_789, envelope }

const outcome: DeliveryOutcome = {
  kind: 'delivery',
  at: 1_064_868_656_393,
  envelope: { ...envelope, bindingGroup: 'group-a', binding: 'binding-a' },
  connectionId: '01/00-04532-A3456B54',
  domain: 'postalengine.com',
  bytes: 266,
  retries: 0,
  stage: 5,
  remote: '10.0.0.1',
  text: '',
}

const rejection: Rejection = {
  kind: 'rejection',
  at: 1_236_672_125_000,
  connectionId: '18/00-07149-D7E16B94',
  remote: { address: '10.79.25.142', port: 42_601 },
  local: { address: '10.79.25.142', port: 25 },
  pathway: 'default',
  pathwayGroup: 'default',
  state: 'awaiting mailfrom',
  code: 550,
  module: 'scriptlet',
  connectionContext: { pathway: 'default', ehlo_string: 'EHLO rh52-node1', ehlo_domain: 'rh52-node1' },
  messageContext: { mailfrom_domain: '', mailfrom_string: 'MAIL FROM:<>', mailfrom_localpart: '' },
  text: 'relaying denied',
}

const panic: Panic = {
  kind: 'panic',
  at: 1_307_461_172_999,
  level: 'error',
  module: 'tls',
  text: 'no such file',
}

describe('the lines are those of Momentum’s pages', () => {
  test('a reception', () => {
    assert.equal(
      formatMainlog(reception),
      '1064868656@00/00-25004-31B987F3@00/00-03736-F4101B54@00/00-04532-A3456B54@R@bob@example.fict@info@postalengine.com@10.0.1.1@201@esmtp@default@default',
    )
  })

  test('a reception from the null sender leaves both of its fields empty', () => {
    const line = formatMainlog({ ...reception, envelope: { ...envelope, sender: undefined } })
    assert.match(line, /@R@bob@example\.fict@@@10\.0\.1\.1@/)
  })

  test('a delivery', () => {
    assert.equal(
      formatMainlog(outcome),
      '1064868656@00/00-25004-31B987F3@00/00-03736-F4101B54@01/00-04532-A3456B54@D@postalengine.com@266@group-a@binding-a@0@0.393@10.0.0.1',
    )
  })

  test('a transient failure', () => {
    const text = '421 no adequate servers'
    assert.equal(
      formatMainlog({
        ...outcome,
        kind: 'transient-failure',
        bytes: 0,
        stage: 15,
        at: 1_064_868_674_530,
        text,
      }),
      '1064868674@00/00-25004-31B987F3@00/00-03736-F4101B54@01/00-04532-A3456B54@T@postalengine.com@0@group-a@binding-a@15@0@18.53@10.0.0.1@421 no adequate servers',
    )
  })

  test('a permanent failure, with its text escaped like every other field', () => {
    const text = '552 <bob@example.fict>: no\r\nsuch account'
    assert.equal(
      formatMainlog({ ...outcome, kind: 'permanent-failure', bytes: 31, retries: 1, text }),
      '1064868656@00/00-25004-31B987F3@00/00-03736-F4101B54@01/00-04532-A3456B54@P@postalengine.com@31@group-a@binding-a@5@1@0.393@10.0.0.1@552 <bob\\@example.fict>: no\\r\\nsuch account',
    )
  })

  test('a clock that was set back gives no negative time', () => {
    assert.match(formatMainlog({ ...outcome, at: 1 }), /@0@0@10\.0\.0\.1$/)
  })

  test('a rejection', () => {
    assert.equal(
      formatRejectlog(rejection),
      '1236672125: R="10.79.25.142:42601" L="10.79.25.142:25" C="18/00-07149-D7E16B94" PATH="default" PATH_GRP="default" P="awaiting mailfrom" E=550 M=scriptlet CTXCONN=[pathway=default,ehlo_string="EHLO rh52-node1",ehlo_domain=rh52-node1] CTXMESS=[mailfrom_domain=,mailfrom_string="MAIL FROM:<>",mailfrom_localpart=] relaying denied',
    )
  })

  test('a rejection over IPv6, and one over a UNIX socket', () => {
    const remote = { address: '2001:db8::1', port: 4711 }
    assert.match(formatRejectlog({ ...rejection, remote }), /R="\[2001:db8::1\]:4711"/)
    const unix = { remote: { address: '', port: 0 }, local: { address: '/run/postern.sock', port: 0 } }
    assert.match(formatRejectlog({ ...rejection, ...unix }), /R="" L="\/run\/postern\.sock" C=/)
  })

  test('a panic, and the same for the foreground', () => {
    assert.equal(formatPaniclog(panic), '1307461172:tls: no such file')
    assert.equal(String(formatForStderr(panic)), 'postern: error: tls: no such file\n')
  })

  test('heartbeats', () => {
    assert.equal(mainlogHeartbeat(1_251_470_342_999), '1251470342@@@@M')
    assert.equal(rejectlogHeartbeat(1_252_064_908_000), '1252064908: Marker 1')
  })
})

describe('hostile values', () => {
  test('a quoted local part keeps its @ and its backslash, escaped', () => {
    const recipient = { local: 'a@b\\c d', domain: 'example.fict' }
    assert.match(
      formatMainlog({ ...reception, envelope: { ...envelope, recipient } }),
      /@R@a\\@b\\\\c d@example\.fict@/,
    )
  })

  test('a value cannot end its quotes, its list or its line', () => {
    const connectionContext = { ehlo_string: 'EHLO "] M=forged\n1: R="x' }
    const line = formatRejectlog({ ...rejection, connectionContext })
    assert.match(line, /CTXCONN=\[ehlo_string="EHLO \\"\] M=forged\\n1: R=\\"x"\] CTXMESS=/)
  })

  test('a terminal gets no escape sequence', () => {
    assert.equal(
      String(formatForStderr({ ...panic, text: '\u001b[2J\u0007' })),
      'postern: error: tls: \\x1b[2J\\x07\n',
    )
  })

  test('a character that is no octet cannot turn into a line feed when it is written', () => {
    const line = formatPaniclog({ ...panic, text: 'a\u010ab' })
    assert.equal(Buffer.from(line, 'latin1').toString('utf8'), '1307461172:tls: a\u010ab')
  })

  test('octets above 127 go out as they came in', () => {
    assert.equal(escapeText('\u00c3\u00a9\u0085'), '\u00c3\u00a9\u0085')
  })
})

const limits = { numRuns: 1500 } as const
/** Octets, with those that mean something more often than by chance. */
const octets = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
      fc.constantFrom('@', '\\', '"', ',', '=', '[', ']', '\n', '\r', ' ', ':', 'n', 'x', '0'),
    ),
    { maxLength: 24 },
  )
  .map((parts) => parts.join(''))
const line = fc.oneof(octets, anyText())
/** What a byte string becomes of text that was none. */
const bytesOf = (text: string): string =>
  text.replace(/[\u0100-\uffff]+/g, (wide) => Buffer.from(wide, 'utf8').toString('latin1'))

function assertOneLine(text: string): void {
  assert.doesNotMatch(text, /[^ -~\u0080-\u00ff]/)
}

describe('any event is exactly one line that reads back', () => {
  test('escaping has an exact inverse', () => {
    holds(
      fc.property(line, (text) => {
        assert.equal(unescapeText(escapeText(text, '@"')), bytesOf(text))
      }),
      limits,
    )
  })

  test('mainlog', () => {
    holds(
      fc.property(
        fc.array(line, { minLength: 9, maxLength: 9 }),
        fc.constantFrom('transient-failure', 'permanent-failure'),
        (values, kind) => {
          const [id, batchId, connectionId, domain, bindingGroup, binding, remote, text, local] = values
          const hostile = {
            ...envelope,
            id: id!,
            batchId: batchId!,
            bindingGroup: bindingGroup!,
            binding: binding!,
          }
          const failure = formatMainlog({
            ...outcome,
            kind,
            envelope: hostile,
            connectionId: connectionId!,
            domain: domain!,
            remote: remote!,
            text: text!,
          })
          assertOneLine(failure)
          assert.deepEqual(readFields(failure), [
            '1064868656',
            ...[id!, batchId!, connectionId!].map(bytesOf),
            kind === 'transient-failure' ? 'T' : 'P',
            bytesOf(domain!),
            '266',
            bytesOf(bindingGroup!),
            bytesOf(binding!),
            '5',
            '0',
            '0.393',
            bytesOf(remote!),
            bytesOf(text!),
          ])
          const recipient = { local: local!, domain: domain! }
          const received = formatMainlog({
            ...reception,
            envelope: { ...hostile, recipient, sender: recipient },
          })
          assertOneLine(received)
          const fields = readFields(received)
          assert.equal(fields.length, 14)
          assert.deepEqual(fields.slice(5, 9), [local!, domain!, local!, domain!].map(bytesOf))
        },
      ),
      limits,
    )
  })

  test('rejectlog', () => {
    const context = fc.dictionary(line, line, { maxKeys: 5 })
    holds(
      fc.property(
        fc.array(line, { minLength: 6, maxLength: 6 }),
        context,
        context,
        (values, connectionContext, messageContext) => {
          const [connectionId, pathway, pathwayGroup, state, module, text] = values as [
            string,
            string,
            string,
            string,
            string,
            string,
          ]
          const event = {
            ...rejection,
            connectionId,
            pathway,
            pathwayGroup,
            state,
            module,
            text,
            connectionContext,
            messageContext,
          }
          const written = formatRejectlog(event)
          assertOneLine(written)
          const read = readRejection(written)
          const plain = [connectionId, pathway, pathwayGroup, state, module, text].map(bytesOf)
          assert.deepEqual(read.plain, plain)
          assert.deepEqual(
            read.connection,
            Object.entries(connectionContext).map((pair) => pair.map(bytesOf)),
          )
          assert.deepEqual(
            read.message,
            Object.entries(messageContext).map((pair) => pair.map(bytesOf)),
          )
        },
      ),
      limits,
    )
  })

  test('paniclog and stderr', () => {
    holds(
      fc.property(line, line, (module, text) => {
        const written = formatPaniclog({ ...panic, module, text })
        assertOneLine(written)
        assert.match(
          formatForStderr({ ...panic, module, text }).toString('latin1'),
          /^[ -~\u0080-\u00ff]*\n$/,
        )
        const parts = /^(\d+):((?:[^:\\]|\\.)*): (.*)$/s.exec(written)
        assert.deepEqual(parts?.slice(1).map(unescapeText), ['1307461172', bytesOf(module), bytesOf(text)])
      }),
      limits,
    )
  })

  test('a value stays bare only when nothing in it has a meaning', () => {
    holds(
      fc.property(line, (value) => {
        const written = quoteWhenNeeded(value)
        if (written !== value) assert.match(written, /^".*"$/s)
        else assert.doesNotMatch(written, /[\s",=\\[\]]/)
      }),
      limits,
    )
  })
})

/** A reader of mainlog lines, written from the format's description. */
function readFields(text: string): string[] {
  return [...text.matchAll(/((?:[^@\\]|\\.)*)(?:@|$)/gs)]
    .slice(0, count(text))
    .map(([, field = '']) => unescapeText(field))
}

function count(text: string): number {
  return text.replace(/\\./gs, '').split('@').length
}

/** A reader of rejectlog lines: takes one thing after the other from the front. */
function readRejection(text: string): { plain: string[]; connection: string[][]; message: string[][] } {
  let rest = text
  const take = (pattern: RegExp): string => {
    const found = pattern.exec(rest)
    assert.ok(found !== null && found.index === 0, `expected ${pattern} at: ${rest}`)
    rest = rest.slice(found[0].length)
    return found[1] ?? ''
  }
  const value = (): string => {
    if (rest.startsWith('"')) return unescapeText(take(/^"((?:[^"\\]|\\.)*)"/s))
    return take(/^([^\s",=\\[\]]*)/)
  }
  const list = (): string[][] => {
    const pairs: string[][] = []
    take(/^\[/)
    while (!rest.startsWith(']')) {
      const key = value()
      take(/^=/)
      pairs.push([key, value()])
      if (rest.startsWith(',')) take(/^,/)
    }
    take(/^\]/)
    return pairs
  }
  take(/^\d+: R="[^"]*" L="[^"]*" C=/)
  const plain = [value()]
  for (const name of ['PATH', 'PATH_GRP', 'P']) {
    take(new RegExp(`^ ${name}=`))
    plain.push(value())
  }
  take(/^ E=550 M=/)
  plain.push(value())
  take(/^ CTXCONN=/)
  const connection = list()
  take(/^ CTXMESS=/)
  const message = list()
  take(/^ /)
  plain.push(unescapeText(rest))
  return { plain, connection, message }
}

describe('bouncelog', () => {
  test('a failure has its sixteen fields', () => {
    const failure: DeliveryOutcome = {
      ...outcome,
      kind: 'permanent-failure',
      text: '550 5.1.1 <bob@example.fict> unknown',
    }
    assert.equal(
      formatBouncelog(failure),
      '1064868656@00/00-25004-31B987F3@00/00-03736-F4101B54@01/00-04532-A3456B54@B@bob@example.fict@info' +
        '@postalengine.com@group-a@binding-a@5@10@201@10.0.0.1@550 5.1.1 <bob\\@example.fict> unknown',
    )
    assert.match(formatBouncelog({ ...failure, kind: 'transient-failure', text: '450 later' }), /@T@.*@70@/)
  })

  test('a heartbeat has its own form', () => {
    assert.equal(bouncelogHeartbeat(1_064_868_656_999), '1064868656@@@@M1')
  })

  test('a message of our own is told as internal in the mainlog', () => {
    assert.match(formatMainlog({ ...reception, protocol: 'internal' }), /@201@internal@default@default$/)
  })
})
