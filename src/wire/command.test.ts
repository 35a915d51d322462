import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type CommandOptions,
  parseCommand,
  parseHello,
  parseMailCommand,
  parseRcptCommand,
  type SyntaxProblem,
} from './command.ts'

function mail(args: string, options?: CommandOptions): string {
  const command = parseMailCommand(args, options)
  if (command.kind === 'problem') return problem(command)
  return [command.sender === undefined ? 'null' : `${command.sender.local}|${command.sender.domain}`]
    .concat([...command.parameters].map(([key, value]) => (value === undefined ? key : `${key}=${value}`)))
    .join(' ')
}

function rcpt(args: string, options?: CommandOptions): string {
  const command = parseRcptCommand(args, options)
  return command.kind === 'problem'
    ? problem(command)
    : `${command.recipient.local}|${command.recipient.domain}`
}

function problem({ problem, parameter }: SyntaxProblem): string {
  return parameter === undefined ? `! ${problem}` : `! ${problem} ${parameter}`
}

test('a command is a verb and what follows it', () => {
  assert.deepEqual(parseCommand('ehlo mx.test'), { verb: 'EHLO', args: 'mx.test' })
  assert.deepEqual(parseCommand('MAIL  FROM:<> '), { verb: 'MAIL', args: 'FROM:<> ' })
  assert.deepEqual(parseCommand('QUIT'), { verb: 'QUIT', args: '' })
  assert.deepEqual(parseCommand('DATA \t '), { verb: 'DATA', args: '' })
  assert.deepEqual(parseCommand('GET / HTTP/1.1'), { verb: 'GET', args: '/ HTTP/1.1' })
})

test('what does not start with a word has no verb', () => {
  for (const line of ['', ' NOOP', '\x16\x03\x01', 'RSE\xdf', 'NOOP\xa0', '250 ok', '__proto__']) {
    assert.deepEqual(parseCommand(line), { verb: '', args: '' }, line)
  }
})

test('MAIL has a sender or the null sender, and parameters', () => {
  assert.equal(mail('FROM:<a@B.test>'), 'a|b.test')
  assert.equal(mail('from:<>'), 'null')
  assert.equal(mail('FROM: <a@b.test>'), 'a|b.test')
  assert.equal(
    mail('FROM:<a@b.test> SIZE=10 body=8BITMIME  SMTPUTF8'),
    'a|b.test SIZE=10 BODY=8BITMIME SMTPUTF8',
  )
  assert.equal(mail('FROM:<a@b> AUTH=e+3Dmc2@example.com'), 'a|b AUTH=e+3Dmc2@example.com')
  assert.equal(mail('FROM:<"a> SIZE=1"@b.test> SIZE=2'), 'a> SIZE=1|b.test SIZE=2')
  assert.equal(mail('FROM:<"a\\"> "@b.test>'), 'a"> |b.test')
  assert.equal(mail('FROM:<a@[192.0.2.1]>'), 'a|[192.0.2.1]')
})

test('a source route is accepted and ignored', () => {
  assert.equal(mail('FROM:<@a.test,@b.test:c@d.test>'), 'c|d.test')
  assert.equal(rcpt('TO:<@a.test:c@d.test>'), 'c|d.test')
  for (const route of [
    '@a.test',
    '@:c@d',
    '@a,b:c@d',
    '@a,:c@d',
    'a:c@d',
    '@a.test,@b.test c@d',
    '@a.test:',
  ]) {
    assert.equal(mail(`FROM:<${route}>`), '! syntax', route)
  }
})

test('MAIL without a proper path is a syntax error', () => {
  const wrong = [
    '',
    'FROM',
    'FROM:',
    'FROM:a@b',
    'FROM <a@b>',
    'FROM :<a@b>',
    'TO:<a@b>',
    'FROM:<a@b',
    'FROM:a@b>',
    'FROM:<@>',
    'FROM:<a@>',
    'FROM:<a>',
    'FROM:<a@b>>',
    'FROM:<<a@b>',
    'FROM:<a@b>SIZE=1',
    'FROM:<a b@c>',
    'FROM:<"a@b>',
    'FROM:<\r\n>',
  ]
  for (const args of wrong) assert.equal(mail(args), '! syntax', args)
})

test('a parameter that is malformed or comes twice is named', () => {
  assert.equal(mail('FROM:<> SIZE='), '! parameter SIZE=')
  assert.equal(mail('FROM:<> SIZE=1 size=2'), '! parameter SIZE')
  assert.equal(mail('FROM:<> =1'), '! parameter =1')
  assert.equal(mail('FROM:<> A=b=c'), '! parameter A=b=c')
  assert.equal(mail('FROM:<> A\t'), '! parameter A?')
  assert.equal(mail(`FROM:<> \xff${'x'.repeat(100)}`), `! parameter ?${'x'.repeat(63)}`)
})

test('an address beyond ASCII is told from a wrong one', () => {
  assert.equal(mail('FROM:<\xc3\xa4@b.test>'), '! non-ascii')
  assert.equal(mail('FROM:<a@b\xc3\xa4.test> SIZE='), '! non-ascii')
  assert.equal(rcpt('TO:<"\xc3\xa4"@b.test>'), '! non-ascii')
})

test('an address that is too long is told from a wrong one', () => {
  assert.equal(mail(`FROM:<${'a'.repeat(64)}@b>`), `${'a'.repeat(64)}|b`)
  assert.equal(mail(`FROM:<${'a'.repeat(65)}@b>`), '! too-long')
  assert.equal(rcpt(`TO:<a@${'b.'.repeat(128)}b>`), '! too-long')
})

test('blanks inside the brackets and at the end need the option', () => {
  const allowTrailingWhitespace = true
  for (const args of ['FROM:< a@b.test >', 'FROM:<a@b.test> ', 'FROM:<a@b.test>\t']) {
    assert.equal(mail(args), '! syntax', args)
    assert.equal(mail(args, { allowTrailingWhitespace }), 'a|b.test', args)
  }
  assert.equal(mail('FROM:< >', { allowTrailingWhitespace }), 'null')
  assert.equal(mail('FROM:<a@b> SIZE=1 '), '! syntax')
  assert.equal(mail('FROM:<a@b> SIZE=1 ', { allowTrailingWhitespace }), 'a|b SIZE=1')
})

test('the postmaster is a recipient without a domain; others only where that is allowed', () => {
  assert.equal(rcpt('TO:<Postmaster>'), 'Postmaster|')
  assert.equal(rcpt('TO:<"postmaster">'), 'postmaster|')
  assert.equal(rcpt('TO:<info>'), '! syntax')
  assert.equal(rcpt('TO:<info>', { allowUnqualified: true }), 'info|')
  assert.equal(mail('FROM:<info>', { allowUnqualified: true }), 'info|')
  assert.equal(mail('FROM:<postmaster>'), '! syntax')
  assert.equal(rcpt('TO:<>'), '! syntax')
  assert.equal(rcpt('TO:<>', { allowUnqualified: true }), '! syntax')
  assert.equal(rcpt('TO:<info@>', { allowUnqualified: true }), '! syntax')
})

test('a greeting is a domain or an address literal', () => {
  for (const name of [
    'mx.test',
    'MX',
    'my_pc.local',
    'a.b.',
    '192.0.2.1',
    '[192.0.2.1]',
    '[IPv6:2001:db8::1]',
    '[::1]',
    'a-b',
  ]) {
    assert.equal(parseHello(name), name)
  }
  assert.equal(parseHello('mx.test  '), 'mx.test')
  const wrong = [
    '',
    ' ',
    'a b',
    'a..b',
    '.a',
    '-a',
    'a\r\nb',
    'a\0',
    '\xe4',
    '<a>',
    '(a)',
    '[a b]',
    '[]',
    '[',
    'a]',
    'a;b',
    'a'.repeat(256),
  ]
  for (const name of wrong) assert.equal(parseHello(name), undefined, JSON.stringify(name))
})
