import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { storedMessage } from '../../../test/support/messages.ts'
import { type SinkScript, SmtpSink } from '../../../test/support/smtp-sink.ts'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import { against, certificateFor, transportFor, tryAt } from './session.fixture.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())
const tls = certificateFor(pki.pki)

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64')
const offering = (script: SinkScript = {}): SinkScript => ({
  tls,
  secureExtensions: ['AUTH PLAIN LOGIN XOAUTH2'],
  ...script,
})
const login = {
  tls: 'required',
  outbound_smtp_auth_type: 'PLAIN',
  outbound_smtp_auth_user: 'ük',
  outbound_smtp_auth_pass: 'secr3t',
} as const

test('each mechanism says what its RFC says, inside TLS', async () => {
  const plain = await against(offering(), { options: login })
  assert.equal(plain.result.kind, 'delivered', plain.result.text)
  assert.ok(plain.sink.commands.includes(`AUTH PLAIN ${base64('\0ük\0secr3t')}`))

  const auth = ['334 VXNlcm5hbWU6', '334 UGFzc3dvcmQ6', '235 2.7.0 ok']
  const steps = await against(offering({ auth }), { options: { ...login, outbound_smtp_auth_type: 'LOGIN' } })
  assert.equal(steps.result.kind, 'delivered', steps.result.text)
  assert.deepEqual(steps.sink.commands.slice(3, 6), ['AUTH LOGIN', base64('ük'), base64('secr3t')])

  const bearer = await against(offering(), { options: { ...login, outbound_smtp_auth_type: 'XOAUTH2' } })
  assert.equal(bearer.result.kind, 'delivered', bearer.result.text)
  assert.equal(bearer.sink.commands[3], `AUTH XOAUTH2 ${base64('user=ük\x01auth=Bearer secr3t\x01\x01')}`)
})

test('the error of XOAUTH2 is answered with an empty line', async () => {
  const auth = ['334 eyJzdGF0dXMiOiI0MDAifQ==', '535 5.7.8 no']
  const { result, sink } = await against(offering({ auth }), {
    options: { ...login, outbound_smtp_auth_type: 'XOAUTH2' },
  })
  assert.deepEqual([result.kind, sink.commands[4]], ['transient', ''])
  assert.match(result.text, /535 5\.7\.8 no/)
})

test('a password that is refused keeps the mail, and is in no text', async () => {
  const echo = `535 5.7.8 no such user: AUTH PLAIN ${base64('\0ük\0secr3t')}`
  for (const answer of [
    '535 5.7.8 wrong',
    '454 4.7.0 later',
    '550 5.7.1 go away',
    echo,
    '535 secr3t is wrong',
  ]) {
    const { result, sink } = await against(offering({ auth: [answer] }), { options: login })
    assert.equal(result.kind, 'transient')
    assert.match(result.text, /^454 4\.7\.0 \[internal\] Authentication with the remote host failed: \d/)
    assert.ok(!result.text.includes('secr3t') && !result.text.includes(base64('\0ük\0secr3t')), result.text)
    assert.deepEqual(sink.received, [])
  }
})

test('a host that falls silent in the middle of AUTH leaves no password in the text', async () => {
  const auth = ['334 x', 'hang'] as const
  const { result } = await against(offering({ auth }), {
    options: { ...login, outbound_smtp_auth_type: 'LOGIN', ehlo_timeout: 0.2 },
  })
  assert.equal(result.text, '451 4.4.2 [internal] Timed out waiting for the reply to AUTH')
})

test('without TLS the password is not sent, unless the configuration says so in so many words', async () => {
  const clear = { extensions: ['AUTH PLAIN'] }
  for (const use of ['no', 'ifavailable'] as const) {
    const { result, sink } = await against(clear, { options: { ...login, tls: use } })
    assert.equal(result.kind, 'transient')
    assert.match(result.text, /the connection is not encrypted$/)
    assert.ok(!sink.commands.some((line) => line.startsWith('AUTH')))
    const options = { ...login, tls: use, outbound_smtp_auth_plaintext: true }
    assert.equal((await against(clear, { options })).result.kind, 'delivered')
  }
})

test('AUTH that was offered before TLS counts no longer', async () => {
  const script = { tls, extensions: ['STARTTLS', 'AUTH PLAIN'], secureExtensions: ['AUTH LOGIN'] }
  const { result } = await against(script, { options: login })
  assert.match(result.text, /the host does not offer AUTH PLAIN$/)
})

test('a message’s own context says who logs in, and half of it is not enough', async () => {
  const own = {
    outbound_smtp_auth_type: 'login',
    outbound_smtp_auth_user: 'other',
    outbound_smtp_auth_pass: 'pw',
  }
  const auth = ['334 u', '334 p', '235 ok']
  const message = storedMessage('m', { messageContext: own })
  const { result, sink } = await against(offering({ auth }), { options: login, message })
  assert.equal(result.kind, 'delivered', result.text)
  assert.deepEqual(sink.commands.slice(3, 6), ['AUTH LOGIN', base64('other'), base64('pw')])
  for (const messageContext of [
    { outbound_smtp_auth_type: 'PLAIN' },
    { outbound_smtp_auth_type: 'CRAM-MD5', outbound_smtp_auth_user: 'u', outbound_smtp_auth_pass: 'p' },
    { ...own, outbound_smtp_auth_user: 'a\r\nMAIL FROM:<>' },
    { ...own, outbound_smtp_auth_pass: 'a\0b' },
  ]) {
    const { result: kept, sink: host } = await against(offering(), {
      options: { tls: 'required' },
      message: storedMessage('m', { messageContext }),
    })
    assert.equal(kept.kind, 'transient')
    assert.match(kept.text, /^454 4\.7\.0/)
    assert.equal(host.connections, 0)
  }
})

test('a session that has logged in is used by whoever logs in the same, and by nobody else', async () => {
  const sink = await SmtpSink.start(offering())
  const transport = transportFor({}, { port: sink.port, events: [] })
  try {
    const others = [{}, { outbound_smtp_auth_user: 'v' }, { outbound_smtp_auth_pass: 'x' }]
    for (const other of [...others, ...others]) {
      const options = { ...login, ...other, idle_timeout: 60 }
      assert.equal((await tryAt(sink, { transport, options })).result.kind, 'delivered')
    }
    const nobody = { tls: 'required', idle_timeout: 60 } as const
    await tryAt(sink, { transport, options: nobody })
    assert.equal(sink.connections, others.length + 1)
  } finally {
    transport.close()
    await sink.close()
  }
})
