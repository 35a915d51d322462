import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds, holdsAsync } from '../../test/support/properties.ts'
import { wrongJson } from '../config/json-format.ts'
import { loadSettingsFromText } from '../config/load.ts'
import { type LogStage, logFormat, logMacros, stageLetters, TIME_CONVERSIONS } from '../config/log-format.ts'
import type { DeliveryOutcome, Reception, Rejection } from '../events/events.ts'
import type { Envelope } from '../mail/envelope.ts'
import { compileFormat } from './custom-log.ts'
import { envelope as shown } from './envelope.fixture.ts'
import { unescapeText } from './escape.ts'
import type { LoggedEvent } from './log-macros.ts'
import { strftime } from './strftime.ts'

const envelope: Envelope = {
  ...shown,
  sender: { local: 'info', domain: 'sender.example' },
  bindingGroup: 'group-a',
  binding: 'binding-a',
  connectionContext: { pathway: 'partners', auth_status: 'pass', auth_name: 'PLAIN', auth_user: 'ann' },
  messageContext: { rule: 'r7' },
  loggedHeaders: { subject: 'Hello you' },
}

const reception: Reception = { kind: 'reception', at: 1_064_868_656_789, envelope }

const tls = {
  demand: 'required',
  protocol: 'TLSv1.3',
  cipher: 'TLS_AES_256_GCM_SHA384',
  cipherAlgorithmBits: 256,
  cipherUsedBits: 256,
  verifiedBy: 'host',
  cause: '',
  subject: 'CN=mx.example',
  issuer: 'CN=Test CA',
} as const

const failure: DeliveryOutcome = {
  kind: 'transient-failure',
  at: 1_064_868_674_530,
  envelope,
  connectionId: '01/00-04532-A3456B54',
  domain: 'routed.example',
  bytes: 0,
  retries: 3,
  stage: 5,
  remote: '10.0.0.1',
  local: '10.0.9.9',
  text: '450 4.2.1 mailbox busy',
  tls,
}

const rejection: Rejection = {
  kind: 'rejection',
  at: 1_236_672_125_000,
  connectionId: '18/00-07149-D7E16B94',
  remote: { address: '10.79.25.142', port: 42_601 },
  local: { address: '10.79.25.1', port: 25 },
  pathway: 'default',
  pathwayGroup: 'default',
  state: 'awaiting mailfrom',
  code: 550,
  module: 'scriptlet',
  connectionContext: { ehlo_domain: 'rh52' },
  messageContext: { mailfrom_localpart: 'ann', mailfrom_domain: 'a.example' },
  text: 'relaying denied',
}

const stages = {
  reception: 'reception',
  delivery: 'delivery',
  'transient-failure': 'transient_failure',
  'permanent-failure': 'permanent_failure',
  rejection: 'rejection',
} as const

/** The line of an event by the format and options of a configuration. */
async function line(format: string, event: LoggedEvent, options = ''): Promise<string> {
  const stage = stages[event.kind]
  const { settings, diagnostics } = await loadSettingsFromText(
    `Pathway_Group "outer" { Pathway "partners" { } }
     custom_logger "c" { mainlog = "x" namespace = "custom_logger,outbound_tls" ${stage}_format = '${format}' ${options} }`,
  )
  const logger = settings?.customLoggers[0]
  const compiled = logger?.[`${stage}_format`]
  assert.ok(logger !== undefined && compiled !== undefined, JSON.stringify(diagnostics))
  return compileFormat(compiled, logger.sanitize, (pathway) => settings?.pathwayGroup(pathway) ?? '')(event)
}

describe('every macro', () => {
  const lines: readonly [string, LoggedEvent, string][] = [
    ['%i@%BI@%CI@[%OC]', reception, '00/00-25004-31B987F3@00/00-03736-F4101B54@00/00-04532-A3456B54@[]'],
    ['%r@%R@%m@%M', reception, 'bob@example.fict@info@sender.example'],
    ['%H %B %p %g %b %d', reception, '10.0.1.1 201 esmtp group-a binding-a example.fict'],
    ['%A %U %P %PG', reception, 'PLAIN ann partners outer'],
    ['%t.%us{3} %us{6} %us{1}', reception, '1064868656.789 789000 7'],
    ['%h{SubJect}|%h{X-None}|%vctx_conn{auth_user}|%vctx_mess{rule}', reception, 'Hello you||ann|r7'],
    ['100%% %T %N %n|%s|%S|%c|%C', reception, '100% 0.79 0 ||||'],
    ['%local_ip %outbound_tls[%outbound_tls_type]', reception, '10.0.1.2 unknown[]'],
    ['%d %OC %N %T %T{0} %T{3}', failure, 'routed.example 01/00-04532-A3456B54 3 18.53 19 18.530'],
    ['%s;%S;%c;%C;%n', failure, 'after RCPT TO;5;Soft Bounce;20;450 4.2.1 mailbox busy'],
    ['%H %local_ip %custom_logger:p', failure, '10.0.0.1 10.0.9.9 esmtp'],
    [
      '%outbound_tls;%outbound_tls_type;%outbound_tls_cipher;%outbound_tls_cipher_algbits;%outbound_tls_cipher_usebits',
      failure,
      'TLS;required;TLS_AES_256_GCM_SHA384;256;256',
    ],
    [
      '%outbound_tls_protocol;%outbound_tls:outbound_tls_verified;%outbound_tls_issuer;%outbound_tls_subject',
      failure,
      'TLSv1.3;verified;CN=Test CA;CN=mx.example',
    ],
    ['%CI %H %local_ip %n', rejection, '18/00-07149-D7E16B94 10.79.25.142 10.79.25.1 550 relaying denied'],
    ['%m@%M@%r@%R@%s@%P@%PG', rejection, 'ann@a.example@@@awaiting mailfrom@default@default'],
    ['%i|%B|%b|%T|%N|%d|%vctx_conn{ehlo_domain}', rejection, '||||||rh52'],
  ]
  for (const [format, event, expected] of lines) {
    test(`${event.kind}: ${format}`, async () => assert.equal(await line(format, event), expected))
  }

  test('is in the table above', () => {
    const used = new Set(
      lines.flatMap(([format]) =>
        [...format.matchAll(/%(?:\w+:)?([A-Za-z_]+)/g)].map(([, name = '']) => name),
      ),
    )
    assert.deepEqual(
      Object.keys(logMacros).filter((name) => !used.has(name)),
      [],
    )
  })

  test('says nothing in a stage that is not its own, and never throws', async () => {
    const events: readonly LoggedEvent[] = [
      reception,
      { ...failure, kind: 'delivery' },
      failure,
      { ...failure, kind: 'permanent-failure' },
      rejection,
    ]
    const examples: Readonly<Record<string, string>> = { header: '{a}', key: '{a}', digits: '{3}' }
    for (const event of events) {
      for (const [name, { stages: own, argument }] of Object.entries(logMacros)) {
        const text = await line(`<%${name}${examples[argument] ?? ''}>`, event)
        if (!own.includes(stageLetters[stages[event.kind]]) && !name.startsWith('outbound_tls'))
          assert.equal(text, '<>', `${name} in ${event.kind}`)
      }
    }
  })
})

test('without TLS the macros about it say so, without a connection that nobody knows', async () => {
  const format = '%outbound_tls %outbound_tls_type %outbound_tls_verified [%outbound_tls_cipher_algbits]'
  const { tls: _tls, ...plain } = failure
  assert.equal(await line(format, plain), 'SMTP no unverified []')
  assert.equal(
    await line(format, {
      ...failure,
      tls: { ...tls, demand: 'ifavailable', protocol: '', cipherAlgorithmBits: 0, verifiedBy: undefined },
    }),
    'SMTP ifavailable unverified []',
  )
  assert.equal(await line(format, { ...failure, stage: 0 }), 'unknown   [256]')
})

test('who has not authenticated is nobody', async () => {
  const context = { auth_status: 'fail', auth_name: 'PLAIN', auth_user: 'mallory' }
  const event = { ...reception, envelope: { ...envelope, connectionContext: context } }
  assert.equal(await line('[%A|%U]', event), '[|]')
})

test('keys and headers that JavaScript knows are not there unless somebody has set them', async () => {
  assert.equal(
    await line('[%vctx_mess{constructor}|%vctx_conn{__proto__}|%h{constructor}]', reception),
    '[||]',
  )
})

describe('what a value holds', () => {
  const hostile = { ...failure, text: '550 a@b c\r\n1064868656@D@\\\u0000\u00e9' }

  test('does not end its field or its line', async () => {
    assert.equal(
      await line('%t@%n@%i', hostile),
      '1064868674@550 a\\@b c\\r\\n1064868656\\@D\\@\\\\\\x00\u00e9@00/00-25004-31B987F3',
    )
  })

  test('at the end of a line keeps its blanks, and nowhere else', async () => {
    assert.equal(
      await line('%t %n %i %n', { ...failure, text: 'a b' }),
      '1064868674 a\\ b 00/00-25004-31B987F3 a b',
    )
  })

  test('is sanitized as the option says', async () => {
    const text = 'a b\t\u00e9\n\\,z'
    const event = { ...failure, text }
    assert.equal(await line('%n', event, 'sanitize = "special_characters,tr/ /_/"'), 'a_b\\t\u00e9\\n\\\\,z')
    assert.equal(await line('%n', event, 'sanitize = "non_printable"'), 'a b\\009\\233\\010\\\\,z')
    assert.equal(
      await line('%n', event, 'sanitize = "tr/a-z,/A-Z;/, non_printable"'),
      'A B\\009\\233\\010\\\\;Z',
    )
    assert.equal(await line('%n|', event, "sanitize = 'tr/a/\\n/,tr/ b/||/'"), '\\n\\|\\|\\t\u00e9\\n\\\\,z|')
  })

  test('comes back out of the line, whatever it is', async () => {
    const format = '%m@%M@%n@%h{subject}@%vctx_mess{rule}'
    const compiled = await compiledFormat(format)
    const octets = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    })
    holds(
      fc.property(
        fc.array(octets, { minLength: 5, maxLength: 5 }),
        ([local = '', domain = '', text = '', subject = '', rule = '']) => {
          const written = compiled({
            ...failure,
            text,
            envelope: {
              ...envelope,
              sender: { local, domain },
              loggedHeaders: { subject },
              messageContext: { rule },
            },
          })
          assert.doesNotMatch(written, /[^ -~\u0080-\u00ff]/)
          const fields = [...written.matchAll(/((?:[^@\\]|\\.)*)(?:@|$)/g)].slice(0, 5)
          assert.deepEqual(
            fields.map(([, field = '']) => unescapeText(field)),
            [local, domain, text, subject, rule],
          )
        },
      ),
    )
  })
})

async function compiledFormat(format: string): Promise<(event: LoggedEvent) => string> {
  const { settings } = await loadSettingsFromText(
    `custom_logger "c" { mainlog = "x" transient_failure_format = '${format}' }`,
  )
  const logger = settings?.customLoggers[0]
  assert.ok(logger?.transient_failure_format !== undefined)
  return compileFormat(logger.transient_failure_format, logger.sanitize, () => 'default')
}

test('whatever a format is, it is refused or makes one line', async () => {
  const pieces = fc.constantFrom(
    '%',
    '{',
    '}',
    't',
    'h',
    'us',
    'vctx_conn',
    '_',
    ':',
    '%%',
    ' ',
    '@',
    '3',
    'é',
    '\\',
    'outbound_tls',
  )
  await holdsAsync(
    fc.asyncProperty(fc.array(pieces, { minLength: 1, maxLength: 12 }), async (parts) => {
      const { settings, diagnostics } = await loadSettingsFromText(
        `custom_logger "c" { mainlog = "x" transient_failure_format = '${parts.join('')}' }`,
      )
      const logger = settings?.customLoggers[0]
      if (logger?.transient_failure_format === undefined) {
        assert.ok(diagnostics.some(({ severity }) => severity === 'error'))
        return
      }
      const { transient_failure_format: format, sanitize } = logger
      assert.doesNotMatch(compileFormat(format, sanitize, () => '')(failure), /[^ -~\u0080-\u00ff]/)
    }),
  )
})

/** In the place of each kind of argument of a macro. */
const ARGUMENTS = {
  none: '',
  header: '{Subject}',
  key: '{rule}',
  time: '',
  places: '',
  digits: '{3}',
} as const

/** An event in which everybody else's words are these. */
function saying(value: unknown, words: string): unknown {
  if (typeof value === 'string') return words
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries<unknown>({ ...value }).map(([name, one]) => [
    name,
    name === 'kind' ? one : saying(one, words),
  ])
  return Object.fromEntries(entries)
}

describe('a format that is JSON', () => {
  const at = { file: 'x', line: 1, column: 1, length: 1 }
  /** undefined: it is refused */
  const compiledJson = (
    text: string,
    stage: LogStage = 'transient_failure',
  ): ((event: LoggedEvent) => string) | undefined => {
    const context = { directory: '/', error: () => undefined, warning: () => undefined }
    const read = logFormat({ kind: 'scalar', text, at }, context)
    if (read === undefined || wrongJson(read.value, stage) !== undefined) return undefined
    const sanitize = { text: 'json', json: true, nonPrintable: false, translate: new Map() }
    return compileFormat(read.value, sanitize, () => 'default')
  }

  test('makes an object of whatever values there are, or is refused', () => {
    const sound = fc.constantFrom(
      ...'"%i" %B "%h{subject}" %t.%us{3} -%T %T{0} "%t{%F"}" {"%m":[%C,%S]} %N'.split(' '),
    )
    const macro = fc.constantFrom(
      ...Object.entries(logMacros).map(([name, { argument }]) => `%${name}${ARGUMENTS[argument]}`),
    )
    const piece = fc.constantFrom(
      ...'" \\ \\u00 \\u000 %us{1} %T{6} %t{%M} - . 0 1 e , [ ] { } : tru'.split(' '),
    )
    const value = fc.oneof(
      sound,
      macro.map((one) => `"${one}"`),
      macro,
      fc.array(fc.oneof(piece, macro), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('')),
    )
    const hostile = fc.oneof(
      anyText(),
      fc.constantFrom('e', '0', '"', '\\', '}', '\n', '"}\n{"a":"', 'x'.repeat(5000)),
    )
    const event = fc.constantFrom<LoggedEvent>(
      reception,
      failure,
      rejection,
      { ...failure, kind: 'delivery' },
      { ...failure, kind: 'permanent-failure', stage: 0, remote: '' },
    )
    let taken = 0
    holds(
      fc.property(value, hostile, fc.nat(2e12), event, (inside, said, time, of) => {
        const compiled = compiledJson(`{"a":${inside}}`, stages[of.kind])
        if (compiled === undefined) return
        taken += 1
        const written = compiled({ ...(saying(of, said) as LoggedEvent), at: time })
        assert.match(written, /^[ -~]+$/)
        assert.equal(typeof JSON.parse(written), 'object', written)
      }),
      { numRuns: 1000 },
    )
    assert.ok(taken > 300, `${taken} formats were taken`)
  })

  test('has one point in a number', () => {
    for (const value of ['%T.%us{3}', '%T{1}.0', '%T%T', '%T{0}.%T'])
      assert.equal(compiledJson(`{"a":${value}}`), undefined, value)
    for (const value of ['%T', '%T{0}.%us{3}', '%t.%us{3}', '%T{0}e1', '"%T.%T"'])
      assert.notEqual(compiledJson(`{"a":${value}}`), undefined, value)
  })

  test('has values as they are, and other octets by their numbers', () => {
    const compiled = compiledJson('{"text": "%n", "at": %t, "class": %C, "ü": "100%%"}')
    const read = (text: string): unknown =>
      JSON.parse(Buffer.from(compiled?.({ ...failure, text }) ?? '', 'latin1').toString('utf8'))
    const rest = { at: 1_064_868_674, class: 10, ü: '100%' }
    assert.deepEqual(read('no such user "\\\r\n \xc3\xbc\xff'), {
      text: 'no such user "\\\r\n ü\\xff',
      ...rest,
    })
  })
})

test('times are laid out as date(1) does it', () => {
  // names of zones differ between the two outside UTC
  const conversions = Array.from(TIME_CONVERSIONS, (each) => `%${each}`).filter((each) => each !== '%Z')
  const format = conversions.join('|')
  for (const seconds of [
    0, 1_064_868_656, 1_230_768_000, 1_293_840_000, 1_325_375_999, 1_709_200_800, 1_735_689_599,
  ]) {
    const said = execFileSync('date', ['-d', `@${seconds}`, `+${format}`], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
    })
    assert.equal(strftime(format, seconds * 1000), said.trimEnd())
  }
  assert.match(strftime('%Z', 0), /^\S+$/)
})
