/** What `postern explain` tells of each part of a client's way, and what it says to a user's mistakes. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import { type ExplainOptions, UsageError } from '../../src/cli/explain/client.ts'
import type { Explanation, StepName } from '../../src/cli/explain/document.ts'
import { explain } from '../../src/cli/explain/explain.ts'
import { renderExplanation } from '../../src/cli/explain/render.ts'
import { ConfigError } from '../../src/config/diagnostic.ts'
import { writePki } from '../../src/tls/pki.ts'
import { cheapHash } from '../support/cheap-hash.ts'
import { hostileNames, issueClient, testPki } from '../support/test-ca.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-explain-'))
after(() => rmSync(folder, { recursive: true, force: true }))

before(async () => {
  await writePki(path.join(folder, 'pki'), await testPki())
  writeFileSync(path.join(folder, 'users'), `joe:secret\nann:${cheapHash('scrypt', 'secret')}\n`)
})

/** Lines after the usual head; the first of `text` is line 6. */
function write(text: string, script?: string): string {
  const file = path.join(folder, 'gate.conf')
  const policy =
    script === undefined ? '' : 'scriptlet "scriptlet" { script "judge" { source = "./judge.lua" } }\n'
  if (script !== undefined) writeFileSync(path.join(folder, 'judge.lua'), `require("msys.core")\n${script}`)
  writeFileSync(
    file,
    `Hostname = "gate.example"
TLS_Certificate = "pki/server.pem"
TLS_Key = "pki/server.key"
${policy === '' ? '#\n' : policy}maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
${text}`,
  )
  return file
}

const listener = (inner: string): string =>
  `ESMTP_Listener { SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL" ) TLS_Client_CA = "pki/ca.pem"
${inner}
}
`

const pem = (name: string): string => path.join(folder, 'pki', name)
const CLIENT: ExplainOptions = { peer: '192.0.2.7' }

const stepOf = ({ steps }: Explanation, name: StepName) => steps.find(({ step }) => step === name)
const detail = (told: Explanation, step: StepName, name: string) =>
  stepOf(told, step)?.details.find((each) => each.name === name)
const place = (line: number): string => `${path.join(folder, 'gate.conf')}:${line}`

suite('the way in', () => {
  test('each stanza that matches is told with its place, and the line that decides the mode', async () => {
    const file = write(
      listener(`Listen ":2525" {
  TLS_Verify_Mode = "none"
  Peer "192.0.2.0/24" { Pathway = "strict" }
  Peer "192.0.2.7" { TLS_Client_EKU = "any" }
}`) + 'Pathway "strict" {\n  TLS_Verify_Mode = "require"\n}\n',
    )
    const told = await explain(file, { peer: '::ffff:192.0.2.7' })
    const scope = stepOf(told, 'scope')
    assert.equal(scope?.from, place(14))
    const spoken = scope?.details
      .filter(({ name }) => name.startsWith('scope '))
      .map(({ name, from }) => [name, from])
    assert.deepEqual(spoken, [
      ['scope Peer "192.0.2.7/32"', place(10)],
      ['scope Peer "192.0.2.0/24"', place(9)],
      ['scope Pathway "strict"', place(13)],
      ['scope Listen ":2525"', place(7)],
      ['scope ESMTP_Listener', undefined],
    ])
    assert.equal(detail(told, 'scope', 'TLS_Client_EKU')?.from, place(10))
    assert.equal(told.client.address, '192.0.2.7')
  })

  test('without the certificate that the scope requires the handshake fails, with the alert of each version', async () => {
    const told = await explain(write(listener('Listen ":2525" { TLS_Verify_Mode = "require" }')), CLIENT)
    assert.equal(told.conclusion.outcome, 'handshake-failed')
    assert.equal(told.conclusion.cause, 'peer did not return a certificate')
    assert.equal(detail(told, 'handshake', 'TLSv1.3 alert')?.value, 'certificate_required (fatal)')
    assert.equal(detail(told, 'handshake', 'TLSv1.2 alert')?.value, 'handshake_failure (fatal)')
  })

  test('TLS before the banner, and a client on a UNIX socket', async () => {
    const file = write(
      listener(`Listen "/run/gate.sock" { Use_SSL = true Peer "127.0.0.1" { TLS_Verify_Mode = "none" } }`),
    )
    const told = await explain(file, { cert: pem('client-valid.pem') })
    assert.deepEqual(
      told.steps.map(({ step }) => step),
      ['listen', 'admission', 'scope', 'connect', 'handshake', 'context', 'hello'],
    )
    assert.equal(told.conclusion.text, 'let in inside TLS, without a certificate')
    assert.match(detail(told, 'handshake', 'certificate')?.value ?? '', /^not asked for/)
  })

  test('a client that insists on TLS goes away where there is none; another one is asked for it at MAIL', async () => {
    const file = write('ESMTP_Listener { Require_TLS = true Listen ":2525" { } }\n')
    const insists = await explain(file, { ...CLIENT, tls: true })
    assert.equal(insists.conclusion.outcome, 'no-tls')
    const other = await explain(file, CLIENT)
    assert.match(other.conclusion.text, /^refused at MAIL FROM with 530 5\.7\.0 /)
    assert.equal(detail(other, 'starttls', 'why')?.value, 'SMTP_Extensions does not list STARTTLS')
  })

  test('a Listen that is not enabled serves nobody', async () => {
    const told = await explain(write(listener('Listen ":2525" { Enable = false }')), CLIENT)
    assert.equal(told.conclusion.outcome, 'not-served')
  })

  test('the shadow mode’s verdict is told', async () => {
    const file = write(listener('Listen ":2525" { TLS_Verify_Mode_Shadow = "require" }'))
    const told = await explain(file, CLIENT)
    const shadow = detail(told, 'handshake', 'TLS_Verify_Mode_Shadow')
    assert.equal(shadow?.value, '"require" would refuse the handshake (no-certificate)')
    assert.equal(shadow.from, place(7))
  })

  test('the shadow of Require_TLS is told of a client in clear text, and of no other', async () => {
    const file = write(listener('Listen ":2525" { Require_TLS_Shadow = true }'))
    const clear = await explain(file, { ...CLIENT, tls: false, from: 'a@b.example' })
    const shadow = detail(clear, 'starttls', 'Require_TLS_Shadow')
    assert.deepEqual([shadow?.value, shadow?.from], ['would refuse MAIL (no-tls)', place(7)])
    assert.equal(clear.conclusion.outcome, 'let-in')
    const secure = await explain(file, { ...CLIENT, from: 'a@b.example' })
    assert.equal(detail(secure, 'starttls', 'Require_TLS_Shadow'), undefined)
  })

  test('a partner is told with the place of its stanza, and what it may send from', async () => {
    const file = write(
      `${listener('Listen ":2525" { }')}Partner "acme" { SAN_DNS = ( "client-valid.example" ) Sender_Domains = ( "acme.example" ) Relay = true }\n`,
    )
    const options = { ...CLIENT, cert: pem('client-valid.pem'), to: ['x@elsewhere.example'] }
    const told = await explain(file, { ...options, from: 'a@acme.example' })
    assert.equal(detail(told, 'context', 'tls_partner')?.value, 'acme')
    const partner = told.steps.flatMap(({ details }) => details).find(({ name }) => name === 'partner')
    assert.deepEqual([partner?.value, partner?.from], ['acme', place(9)])
    assert.match(detail(told, 'rcpt', 'relay')?.value ?? '', /acme/)
    const foreign = await explain(file, { ...options, from: 'a@other.example' })
    assert.match(foreign.conclusion.text, /^refused at MAIL FROM with 550 .* by partner$/)
  })

  test('OCSP is not asked: it is named, and what follows is conditional', async () => {
    const file = write(
      `${listener('Listen ":2525" { TLS_Client_OCSP = true }')}TLS_OCSP "o" { CA = "pki/ca.pem" Responder = "http://127.0.0.1:9/" }\n`,
    )
    const told = await explain(file, { ...CLIENT, cert: pem('client-valid.pem') })
    assert.deepEqual(
      told.withheld.map(({ effect, arguments: about }) => [effect, about]),
      [['OCSP', ['TLS_OCSP "o" http://127.0.0.1:9/']]],
    )
    assert.equal(told.conclusion.conditional, true)
    assert.equal(told.conclusion.peer, 'verified')
    const asked = detail(told, 'handshake', 'OCSP')?.value
    assert.equal(asked, 'TLS_OCSP "o" about depth 0, CN=client-valid.example: not asked here')
  })

  test('a certificate of a CA for which no TLS_OCSP speaks does not verify, whoever might be asked', async () => {
    const file = write(
      `${listener('Listen ":2525" { TLS_Client_OCSP = true }')}TLS_OCSP "o" { CA = "pki/server.pem" Responder = "http://127.0.0.1:9/" }\n`,
    )
    const told = await explain(file, { ...CLIENT, cert: pem('client-valid.pem') })
    assert.equal(told.conclusion.peer, 'unverified')
    const asked = detail(told, 'handshake', 'OCSP')?.value ?? ''
    assert.match(asked, /^nobody about depth 0, .*: unavailable: no TLS_OCSP speaks for its issuer$/)
  })
})

suite('policy, login and mail', () => {
  test('who refuses is told: the script, its function, and the line', async () => {
    const script = `local m = {}
function m:validate_mailfrom(str, ac, vctx)
  vctx:set_code(550, "5.7.1 not \\27[31m you")
  return msys.core.VALIDATE_DONE
end
msys.registerModule("judge", m)
`
    const told = await explain(write(listener('Listen ":2525" { }'), script), {
      ...CLIENT,
      from: 'a@b.example',
    })
    assert.equal(
      told.conclusion.text,
      'refused at MAIL FROM with 550 5.7.1 not [31m you by script "judge" (validate_mailfrom, ./judge.lua:4)',
    )
  })

  test('nobody waits in a tarpit, and a discarded message is called that', async () => {
    const script = `require("msys.extended.message")
local m = {}
function m:validate_connect(ac, vctx) vctx:tarpit(3000) return msys.core.VALIDATE_CONT end
function m:validate_rcptto(msg, str, ac, vctx) msg:discard("550 5.7.1 away") return msys.core.VALIDATE_DONE end
msys.registerModule("judge", m)
`
    const began = performance.now()
    const told = await explain(write(listener('Listen ":2525" { }'), script), {
      ...CLIENT,
      from: 'a@b.example',
      to: ['bob@gate.example'],
    })
    assert.ok(performance.now() - began < 60_000)
    assert.equal(stepOf(told, 'connect')?.policy[0]?.tarpit, 3000)
    assert.match(told.conclusion.text, /; policy accepts the message and throws it away$/)
  })

  test('a login by certificate is decided; one by password is assumed to be right where the user exists', async () => {
    const parameters = `AuthPLAINParameters = [ uri = "file://${folder}/users" ] AuthCRAMMD5Parameters = [ uri = "file://${folder}/users" ]
AuthEXTERNALParameters = [ identity = "san_email" ]`
    const file = write(listener(`${parameters}\nListen ":2525" { }`))
    const conclude = async (options: ExplainOptions) =>
      (await explain(file, { ...CLIENT, ...options })).conclusion.text
    const cert = pem('client-valid.pem')
    assert.match(await conclude({ auth: 'valid@example.com', cert }), /; logged in as valid@example\.com$/)
    assert.match(await conclude({ auth: 'other@example.com', cert }), /; the login fails with 535$/)
    assert.match(await conclude({ auth: 'joe' }), /; logged in as joe$/)
    assert.match(await conclude({ auth: 'ann' }), /; logged in as ann$/)
    assert.match(await conclude({ auth: 'nobody' }), /; the login fails with 535$/)
    assert.match(await conclude({ auth: 'joe', tls: false }), /; the login fails with 538$/)
  })

  test('each recipient is told with the grant and the route', async () => {
    const file = write(
      `${listener('Listen ":2525" {\n  Relay_Hosts = ( "192.0.2.0/24" )\n}')}Domain "far.example" { Gateway = "192.0.2.99:2526" }\n`,
    )
    const to = ['bob@gate.example', 'x@far.example', 'y@elsewhere.example', '/../x@gate.example']
    const told = await explain(file, { ...CLIENT, from: '', to })
    const rows = told.steps
      .filter(({ step }) => step === 'rcpt')
      .map(({ details }) => details.map(({ value, from }) => [value, from]))
    assert.deepEqual(rows, [
      [
        ['not needed: the mailbox is here', undefined],
        ['maildir "m", mailbox bob', place(5)],
      ],
      [
        ['granted by Relay_Hosts', place(8)],
        ['192.0.2.99, port 2526', place(11)],
      ],
      [
        ['granted by Relay_Hosts', place(8)],
        ['the MX hosts of elsewhere.example (looked up at delivery), port 25', 'the domain itself'],
      ],
      [],
    ])
    assert.match(told.conclusion.text, /; 1 of 4 recipients refused at RCPT TO/)
  })
})

suite('mistakes', () => {
  const cases: readonly (readonly [string, ExplainOptions, RegExp])[] = [
    [
      'no such Listen',
      { ...CLIENT, listen: ':2552' },
      /no Listen ":2552"; did you mean ":2525"\?; there are ":2525"/,
    ],
    [
      'an address that another Listen takes',
      { ...CLIENT, listen: '10.0.0.1:2525' },
      /is accepted by Listen ":2525"/,
    ],
    ['no address of the client', {}, /say with --peer/],
    ['a name for an address', { peer: 'client.example' }, /"client.example" is not an IP address/],
    [
      'no such file',
      { ...CLIENT, cert: 'PKI/client-vald.pem' },
      /no such file; did you mean "client-valid.pem"\?/,
    ],
    [
      'a key',
      { ...CLIENT, cert: 'PKI/client-valid.key' },
      /private key and no certificate.*did you mean ".*client-valid.pem"\?/,
    ],
    ['DER', { ...CLIENT, cert: 'PKI/client.der' }, /DER, not PEM; try: openssl x509 -inform DER -in/],
    ['a CRL', { ...CLIENT, cert: 'PKI/crl.pem' }, /no certificate, only a "X509 CRL"/],
    ['a folder', { ...CLIENT, cert: 'PKI' }, /is a directory/],
    ['a recipient without a sender', { ...CLIENT, to: ['a@b.example'] }, /--to goes with --from/],
    ['a chain without a certificate', { ...CLIENT, chain: 'PKI/ca.pem' }, /--chain goes with --cert/],
    ['an address that ends a command', { ...CLIENT, from: 'a@b.example\r\nQUIT' }, /is no mail address/],
    ['an SNI that is an address', { ...CLIENT, sni: '192.0.2.1' }, /--sni is a name/],
  ]

  for (const [what, options, message] of cases) {
    test(`${what} gets an error that helps`, async () => {
      const { clients } = await testPki()
      writeFileSync(pem('client.der'), clients.valid.der)
      const file = write(listener('Listen ":2525" { }'))
      const given = Object.fromEntries(
        Object.entries(options).map(([name, value]) => [
          name,
          typeof value === 'string' ? value.replace('PKI', path.join(folder, 'pki')) : value,
        ]),
      )
      await assert.rejects(
        explain(file, given),
        (error) => error instanceof UsageError && message.test(error.message),
      )
    })
  }

  test('policies in TypeScript are not run by a process that could act', async () => {
    const file = write(
      `${listener('Listen ":2525" { }')}scriptlet "scriptlet" { script "x" { source = "./x.ts" } }\n`,
    )
    writeFileSync(path.join(folder, 'x.ts'), 'throw new Error("it ran")\n')
    await assert.rejects(
      explain(file, CLIENT),
      (error) => error instanceof ConfigError && /confined/.test(error.message),
    )
  })
})

test('names that would harm a terminal or a line are harmless in text and in JSON', async () => {
  const file = write(listener('Listen ":2525" { }'))
  for (const [what, name] of hostileNames) {
    const { cert } = await issueClient({ subject: [name], altNames: [] })
    writeFileSync(pem('hostile.pem'), cert)
    const told = await explain(file, { ...CLIENT, cert: pem('hostile.pem') })
    for (const text of [renderExplanation(told, (_style, each) => each), JSON.stringify(told)]) {
      assert.doesNotMatch(text, /[^\P{C}\n]|[\u2028\u2029]/u, what)
    }
    assert.notEqual(told.conclusion.outcome, 'refused', `${what}: ${told.conclusion.text}`)
  }
})
