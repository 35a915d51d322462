/**
 * The decision record, end to end: one for each TLS connection, whatever its outcome and mode; what it says of the
 * configuration, of the shadow mode and of the scripts that answered; and the tls_log's lines.
 */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'
import type { ClientKind } from '../../src/tls/pki.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { hostileNames, intermediateAuthority } from '../support/test-ca.ts'
import { startTestGate } from '../support/test-gate.ts'
import {
  answers,
  as,
  conf,
  decisions,
  fill,
  gate,
  greeted,
  type Listen,
  listens,
  pki,
  script,
  shadowTable,
  verdict,
  visit,
  visitInClear,
} from './decisions.fixture.ts'

suite('outcome × mode', () => {
  const expected: Readonly<Record<Listen, Readonly<Record<'nobody' | ClientKind, string>>>> = {
    unset: {
      nobody: 'anonymous - - would-refuse no-certificate',
      valid: 'verified - - would-continue verified',
      untrusted: 'unverified untrusted UNABLE_TO_VERIFY_LEAF_SIGNATURE would-continue unverified',
      selfsigned: 'unverified untrusted UNABLE_TO_GET_CRL would-continue unverified',
      expired: 'unverified expired CERT_HAS_EXPIRED would-continue unverified',
      'not-yet-valid': 'unverified not-yet-valid CERT_NOT_YET_VALID would-continue unverified',
      'wrong-usage': 'unverified wrong-usage INVALID_PURPOSE would-continue unverified',
      revoked: 'unverified revoked CERT_REVOKED would-continue unverified',
    },
    none: fill('anonymous - - unknown not-asked-for'),
    require: {
      nobody:
        'failed peer did not return a certificate PEER_DID_NOT_RETURN_A_CERTIFICATE unknown handshake-failed',
      valid: 'verified - - would-continue would-not-ask',
      untrusted: 'unverified untrusted UNABLE_TO_VERIFY_LEAF_SIGNATURE would-continue would-not-ask',
      selfsigned: 'unverified untrusted UNABLE_TO_GET_CRL would-continue would-not-ask',
      expired: 'unverified expired CERT_HAS_EXPIRED would-continue would-not-ask',
      'not-yet-valid': 'unverified not-yet-valid CERT_NOT_YET_VALID would-continue would-not-ask',
      'wrong-usage': 'unverified wrong-usage INVALID_PURPOSE would-continue would-not-ask',
      revoked: 'unverified revoked CERT_REVOKED would-continue would-not-ask',
    },
    implicit: {
      ...fill('anonymous - - no shadow'),
      valid: 'verified - - no shadow',
      untrusted: 'unverified untrusted UNABLE_TO_VERIFY_LEAF_SIGNATURE no shadow',
      selfsigned: 'unverified untrusted UNABLE_TO_GET_CRL no shadow',
      expired: 'unverified expired CERT_HAS_EXPIRED no shadow',
      'not-yet-valid': 'unverified not-yet-valid CERT_NOT_YET_VALID no shadow',
      'wrong-usage': 'unverified wrong-usage INVALID_PURPOSE no shadow',
      revoked: 'unverified revoked CERT_REVOKED no shadow',
    },
  }
  for (const listen of listens) {
    for (const [who, said] of Object.entries(expected[listen])) {
      test(`${listen}, ${who}: ${said}`, async () => {
        const record = await visit(listen, who === 'nobody' ? {} : as(who as ClientKind))
        assert.equal(verdict(record), said)
        assert.equal(
          record.identity === undefined,
          record.outcome === 'anonymous' || record.outcome === 'failed',
        )
        assert.equal(record.end?.how, record.outcome === 'failed' ? 'failed' : 'quit')
      })
    }
  }
})

test('clear text that Require_TLS would refuse is let in, and told: record, tls_log line, table', async () => {
  const before = decisions().length
  const mail = ['MAIL FROM:<a@b.example>', 'RSET', 'MAIL FROM:<a@b.example>']
  // nothing is told of who sends no mail, nor where the option is off
  await visitInClear(listens.length, ['NOOP'])
  await visitInClear(0, mail)
  await visitInClear(listens.length, mail)
  await gate.event('decision', (event) => decisions().indexOf(event) >= before)
  const [record, ...more] = decisions().slice(before)
  assert.deepEqual(more, [])
  const text = (await readFile(path.join(gate.folder, 'gate.conf'), 'utf8')).split('\n')
  const line = text.findIndex((each) => each.includes('Require_TLS_Shadow')) + 1
  assert.deepEqual(
    [record?.outcome, record?.requireTlsShadow?.from, record?.scope.listen, record?.end?.how],
    ['plaintext', `${path.join(gate.folder, 'gate.conf')}:${line}`, '127.0.3.5:0', 'quit'],
  )
  const { rows } = gate.server.decisions.shadow()
  const row = rows.find(({ reason }) => reason === 'no-tls')
  assert.deepEqual([row?.network, row?.certificate, row?.verdict], ['127.0.0.0/24', 'none', 'would-refuse'])
})

test('a record says where everything comes from', async () => {
  const { scope, ca, crl, mode, modeFrom, shadow, protocol, cipher, sni, resumed, remote, local } =
    await visit('require', { options: { ...as('valid').options, servername: 'mx.gate.example' } })
  const file = path.join(gate.folder, 'gate.conf')
  const text = (await readFile(file, 'utf8')).split('\n')
  const lineOf = (words: string): string => `${file}:${text.findIndex((each) => each.includes(words)) + 1}`
  assert.deepEqual(
    [mode, modeFrom, shadow?.from],
    ['require', lineOf('TLS_Verify_Mode = "require"'), lineOf('TLS_Verify_Mode_Shadow = "none"')],
  )
  assert.deepEqual(scope.peer, { network: '127.0.0.0/24', inside: 'listen' })
  assert.deepEqual([scope.listen, scope.pathway, scope.pathwayGroup], ['127.0.3.3:0', 'inner', 'partners'])
  assert.match(scope.id, /^listen "127\.0\.3\.3:0" peer 127\.0\.0\.0\/24 listener-peer 127\.0\.0\.0\/8/)
  assert.equal(ca?.path, path.join(gate.folder, 'pki/ca.pem'))
  assert.match(ca.digest, /^[0-9a-f]{64}$/)
  assert.equal(crl?.path, path.join(gate.folder, 'pki/crl.pem'))
  assert.ok(Math.abs(crl.thisUpdate - Date.now()) < 7 * 86_400_000 && (crl.nextUpdate ?? 0) > Date.now())
  assert.deepEqual([crl.lists, crl.forgiven], [1, false])
  assert.deepEqual([protocol, sni, resumed], ['TLSv1.3', 'mx.gate.example', false])
  assert.match(cipher, /^TLS_AES/)
  assert.deepEqual([remote.address, local.address], ['127.0.0.1', '127.0.3.3'])
})

test('a record shows the certificate, verified or not', async () => {
  const { identity } = await visit('unset', as('expired'))
  assert.ok(identity)
  assert.equal(identity.subject, 'CN=client-expired.example')
  assert.equal(identity.issuer, 'CN=Postern test CA')
  assert.deepEqual(
    [identity.sanDns, identity.sanEmail],
    [['client-expired.example'], ['expired@example.com']],
  )
  assert.ok((identity.notAfter ?? 0) < Date.now())
  for (const hex of [identity.fingerprint, identity.spki]) assert.match(hex, /^[0-9a-f]{64}$/)
})

test('the element of the chain that failed is named', async () => {
  const root = pki.authority
  const middle = await intermediateAuthority({ subject: 'middle' })
  const leaf = middle.issue({ subject: 'leaf' })
  assert.notEqual(middle.cert, root.cert)
  const { outcome, cause, failing } = await visit('implicit', {
    options: { cert: leaf.cert + middle.cert, key: leaf.key },
  })
  assert.deepEqual([outcome, cause], ['unverified', 'untrusted'])
  assert.deepEqual(failing, { depth: 1, subject: 'CN=middle' })
})

test('a resumed session has a record of its own, with the same verdict', async () => {
  const before = decisions().length
  const client = await greeted(0)
  await client.command('STARTTLS')
  await client.secure({ ...as('valid').options, maxVersion: 'TLSv1.2' })
  await client.command('QUIT')
  const session = client.session
  assert.ok(session)
  client.destroy()
  await gate.event('decision', (event) => decisions().indexOf(event) >= before)
  const record = await visit('unset', { options: { session, maxVersion: 'TLSv1.2' } })
  assert.deepEqual([record.resumed, verdict(record)], [true, 'verified - - would-continue verified'])
})

test('a session in clear text has no record', async () => {
  const before = decisions().length
  const client = await greeted(0)
  await client.command('MAIL FROM:<a@partner.example>')
  await client.command('QUIT')
  await client.closed()
  await visit('unset')
  assert.equal(decisions().length, before + 1)
})

suite('what policy answered', () => {
  test('a script’s refusal: its phase, code, text, name and line; once, though it is told as a rejection too', async () => {
    const record = await visit('unset', { lines: ['MAIL FROM:<a@partner.example>'] })
    assert.deepEqual(answers(record), [
      'mailfrom|refuse|550|5.7.1 a certificate, please|scriptlet|gate validate_mailfrom gate.lua:6',
    ])
    assert.deepEqual([record.end?.accepted, record.end?.refused], [0, 1])
  })

  test('a refusal of the server’s own has no phase and no script', async () => {
    const record = await visit('unset', {
      lines: ['MAIL FROM:<a@b.example>', 'RCPT TO:<x@elsewhere.example>'],
    })
    assert.deepEqual(answers(record).length, 1)
    assert.match(answers(record)[0] ?? '', /^-\|refuse\|550\|[^|]*\|relay\|-$/)
  })

  test('a script that closes, and what was said in clear text before', async () => {
    const before = decisions().length
    const client = await greeted(0)
    await client.command('MAIL FROM:<a@partner.example>')
    await client.command('STARTTLS')
    await client.secure({})
    await client.ehlo()
    assert.match(await client.command('MAIL FROM:<bye@b.example>'), /^421/)
    await client.closed()
    await gate.event('decision', (event) => decisions().indexOf(event) >= before)
    const record = decisions().at(-1)
    assert.ok(record)
    assert.deepEqual(
      answers(record).map((each) => each.split('|').slice(0, 3).join('|')),
      ['mailfrom|refuse|550', 'mailfrom|disconnect|421'],
    )
    assert.equal(record.end?.how, 'closed')
  })

  test('messages that were taken', async () => {
    const before = decisions().length
    const client = await greeted(0)
    await client.command('STARTTLS')
    await client.secure(as('valid').options ?? {})
    await client.ehlo()
    assert.match(await client.deliver('a@b.example', 'bob@gate.example', 'Subject: x\n\nhello'), /^250/)
    const id = gate.server.decisions.live()[0]?.connectionId ?? ''
    const live = gate.server.decisions.find(id)
    assert.deepEqual([live?.outcome, live?.end], ['verified', undefined])
    client.destroy()
    await gate.event('decision', (event) => decisions().indexOf(event) >= before)
    assert.deepEqual(gate.server.decisions.live(), [])
    const { end } = gate.server.decisions.find(id) ?? {}
    assert.deepEqual([end?.how, end?.accepted, end?.refused], ['left', 1, 0])
  })

  test('only so many answers are kept, the first and the last ones', async () => {
    const lines = Array.from({ length: 19 }, () => [
      'RCPT TO:<x@elsewhere.example>',
      'RCPT TO:<y@elsewhere.example>',
    ]).flat()
    const record = await visit('unset', { lines: ['MAIL FROM:<a@b.example>', ...lines, 'NONSENSE'] })
    assert.deepEqual([record.answers.length, record.answersLeftOut], [32, 7])
    assert.equal(record.answers.at(-1)?.code, 500)
    assert.equal(record.end?.refused, 39)
  })
})

test('the shadow table adds up by network and certificate, and counts no client that verifies', async () => {
  const earlier = shadowTable()
  const { totals } = gate.server.decisions.shadow()
  await visit('unset')
  await visit('unset')
  await visit('unset', as('valid'))
  await visit('unset', as('expired'))
  await visit('none', as('expired'))
  const added = [...shadowTable()]
    .map(([key, count]) => [key, count - (earlier.get(key) ?? 0)])
    .filter(([, count]) => count !== 0)
  assert.deepEqual(Object.fromEntries(added), {
    '127.0.0.0/24|none|would-refuse|no-certificate|': 2,
    '127.0.0.0/24|CN=client-expired.example|would-continue|unverified|expired': 1,
    '127.0.0.0/24|none|unknown|not-asked-for|': 1,
  })
  const now = gate.server.decisions.shadow().totals
  assert.deepEqual(
    [
      now.wouldRefuse - totals.wouldRefuse,
      now.unverified - totals.unverified,
      now.verified - totals.verified,
      now.unknown - totals.unknown,
    ],
    [2, 1, 1, 1],
  )
})

test('tls_log has one line of JSON for each record', async () => {
  await visit('unset', { ...as('valid'), lines: ['MAIL FROM:<bye@b.example>'] })
  await gate.server.reload()
  const log = await readFile(path.join(gate.folder, 'tls.jsonl'), 'latin1')
  const lines = log
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(
    lines.map((line) => line['connection']),
    decisions().map(({ connectionId }) => connectionId),
  )
  const last = lines.at(-1)
  assert.deepEqual(
    [last?.['outcome'], last?.['how'], last?.['refused'], last?.['subject']],
    ['verified', 'closed', 1, 'CN=client-valid.example'],
  )
})

test('no name in a certificate can break a line, a value or a terminal', async () => {
  // OpenSSL itself refuses these (test/attacks/certificates.test.ts)
  const refused = ['invalid UTF-8', 'no string', 'long']
  for (const [what, attribute] of hostileNames) {
    if (refused.includes(what)) continue
    const { cert, key } = pki.authority.issue({
      subject: [attribute],
      altNames: [{ kind: 'dns', value: 'a\n"b\u0007' }],
    })
    const { outcome, identity } = await visit('implicit', { options: { cert, key } })
    assert.ok(identity, what)
    assert.equal(outcome, 'verified', what)
    assert.ok(identity.subject.length <= 1100, what)
  }
  await gate.server.reload()
  const log = await readFile(path.join(gate.folder, 'tls.jsonl'), 'latin1')
  const lines = log.trimEnd().split('\n')
  assert.equal(lines.length, decisions().length)
  for (const line of lines) {
    assert.match(line, /^[ -~]+$/)
    const { subject, san_dns: names } = JSON.parse(line) as { subject?: string; san_dns?: string[] }
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    assert.doesNotMatch([subject, ...(names ?? [])].join(), /[\0-\x1f\x7f-\x9f\u2028-\u202e]/)
  }
})

test('a shadow mode changes nothing for clients: a session from before it is resumed', async () => {
  const own = await startTestGate({
    pki,
    conf: conf.replaceAll('127.0.3.', '127.0.5.'),
    files: { 'gate.lua': script },
  })
  const resumes = async (session?: Buffer): Promise<{ reused: boolean; session: Buffer | undefined }> => {
    const client = await SmtpClient.connectTls(own.address(3), {
      maxVersion: 'TLSv1.2',
      ...(session && { session }),
    })
    await client.reply()
    const { tls } = client
    const reused = tls.isSessionReused()
    await client.command('QUIT')
    client.destroy()
    return { reused, session: client.session }
  }
  try {
    const { session } = await resumes()
    assert.ok(session)
    assert.equal((await resumes(session)).reused, true)
    const file = path.join(own.folder, 'gate.conf')
    const text = await readFile(file, 'utf8')
    await writeFile(
      file,
      text.replace('TLS_Verify_Mode_Shadow = "optional"', 'TLS_Verify_Mode_Shadow = "require"'),
    )
    await own.server.reload()
    assert.equal((await resumes(session)).reused, true)
    const { resumed } = await own.event('decision', ({ shadow }) => shadow?.verdict === 'would-refuse')
    assert.equal(resumed, true)
  } finally {
    await own.stop()
  }
})

test('a partner is named, and a list that was forgiven is told with its age', async () => {
  const day = 86_400_000
  const stale = { thisUpdate: Date.now() - 2 * day, nextUpdate: Date.now() - day }
  const own = await startTestGate({
    pki,
    conf: `Partner "acme" { SAN_DNS = "client-valid.example" }
${conf.replaceAll('127.0.3.', '127.0.6.').replace('"pki/crl.pem"', '"stale.pem"\n  TLS_Client_CRL_Mode = "soft"')}`,
    files: { 'gate.lua': script, 'stale.pem': pki.authority.crl(stale) },
  })
  try {
    const client = await SmtpClient.connectTls(own.address(3), as('valid').options ?? {})
    await client.reply()
    await client.command('QUIT')
    client.destroy()
    const { outcome, partner, crl } = await own.event('decision')
    assert.deepEqual([outcome, partner, crl?.forgiven], ['verified', 'acme', true])
    // certificates know whole seconds
    assert.equal(crl?.nextUpdate, Math.floor(stale.nextUpdate / 1000) * 1000)
  } finally {
    await own.stop()
  }
})

test('a mode that policy set is told, also of a handshake that it made fail', async () => {
  const body = `function mod:core_get_inbound_tls_parameters(mc, vctx, params) params.tls_verify = 2 end`
  const other = await startTestGate({
    pki,
    conf: conf.replaceAll('127.0.3.', '127.0.4.'),
    files: { 'gate.lua': script.replace('msys.registerModule', `${body}\nmsys.registerModule`) },
  })
  try {
    const client = await SmtpClient.connect(other.address(0))
    await client.reply()
    await client.ehlo()
    await client.command('STARTTLS')
    await assert.rejects(
      client.secure({}).then(() => client.ehlo()),
      ConnectionLost,
    )
    const record = await other.event('decision')
    assert.deepEqual([record.outcome, record.mode, record.modeFrom], ['failed', 'require', 'policy'])
    const { mode, modeFrom } = await other.event('tls')
    assert.deepEqual([mode, modeFrom], ['require', 'policy'])
    assert.deepEqual([record.shadow?.verdict, record.shadow?.reason], ['would-refuse', 'no-certificate'])
  } finally {
    await other.stop()
  }
})
