/**
 * Authentication with clients that others wrote: swaks, Python's smtplib and curl, each mechanism that they know, each
 * kind of store, and each failure reply.
 */

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { makeHash } from '../../src/smtp/auth/password-hash.ts'
import { userDigest } from '../../src/smtp/auth/user-digest.ts'
import { makePki } from '../../src/tls/pki.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const PASSWORD = 'correct horse'
let gate: TestGate

/** Where a client comes from says what it meets. */
const HASHED = '127.0.71.1'
const BROKEN = '127.0.71.2'
const LIMITED = '127.0.71.3'
const MAPPED = '127.0.71.4'
const HTDIGEST = '127.0.71.5'
const CLEARTEXT = '127.0.71.6'

before(async () => {
  const files = {
    clear: `ann:${PASSWORD}\n`,
    hashed: `ann:${await makeHash('argon2id', PASSWORD)}\n`,
    htdigest: `ann:gate.example:${userDigest('ann', 'gate.example', PASSWORD)}\n`,
    partners: 'partner:valid@example.com\n',
  }
  gate = await startTestGate({
    pki: await makePki(),
    files,
    conf: `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "ENHANCEDSTATUSCODES" "AUTH PLAIN" "AUTH LOGIN" "AUTH CRAM-MD5" "AUTH DIGEST-MD5" "AUTH EXTERNAL" )
  AuthPlainParameters = [ uri = "file://FOLDER/clear" log_authentication = true ]
  AuthLoginParameters = [ uri = "file://FOLDER/clear" ]
  AuthCramMD5Parameters = [ uri = "file://FOLDER/clear" ]
  AuthDigestMD5Parameters = [ uri = "file://FOLDER/clear" stored_cleartext = true ]
  AuthExternalParameters = [ identity = "san_email" ]
  Authentication_Results = "full"
  Auth_Failure_Delay = 0
  Auth_Failure_Limit = 0
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  Listen "127.0.0.1:0" {
    Peer "${HASHED}" {
      SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN" "AUTH LOGIN" )
      AuthPlainParameters = [ uri = "file://FOLDER/hashed" ]
      AuthLoginParameters = [ uri = "file://FOLDER/hashed" ]
    }
    Peer "${BROKEN}" {
      AuthPlainParameters = [ uri = "file://FOLDER/missing" ]
      AuthLoginParameters = [ uri = "file://FOLDER/missing" ]
      AuthCramMD5Parameters = [ uri = "file://FOLDER/missing" ]
      AuthDigestMD5Parameters = [ uri = "digest://FOLDER/missing" ]
      AuthExternalParameters = [ identity = "san_email" uri = "file://FOLDER/missing" ]
    }
    Peer "${LIMITED}" { Auth_Failure_Limit = 2 }
    Peer "${MAPPED}" { AuthExternalParameters = [ identity = "san_email" uri = "file://FOLDER/partners" ] }
    Peer "${HTDIGEST}" { AuthDigestMD5Parameters = [ uri = "digest://FOLDER/htdigest" ] }
    Peer "${CLEARTEXT}" { Allow_Plaintext_Auth = true }
  }
}
${MAILDIR}
ec_logger "l" { acctlog = "acct.ec" rejectlog = "reject.ec" mainlog = "main.ec" paniclog = "panic.ec" }
`,
  })
})
after(() => gate.stop())

interface Ran {
  /** everything that the client said and heard, as far as it shows it */
  readonly text: string
  readonly code: number
}

/** Not spawnSync: the gate lives in this process. */
function run(program: string, args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: 20_000, cwd: gate.folder }, (error, stdout, stderr) => {
      resolve({ text: stdout + stderr, code: typeof error?.code === 'number' ? error.code : error ? -1 : 0 })
    })
    child.stdin?.end(input)
  })
}

function missing(program: string, ...probe: string[]): string | false {
  return spawnSync(program, probe).status === 0 ? false : `${program} ${probe.join(' ')} does not run`
}

/** The files of a client's certificate and key. */
function credentials(kind: 'valid' | 'expired' | 'revoked' | 'untrusted'): readonly [string, string] {
  const file = (ending: string): string => path.join(gate.folder, 'pki', `client-${kind}.${ending}`)
  return [file('pem'), file('key')]
}

const MESSAGE =
  'Subject: hello\r\nAuthentication-Results: gate.example; auth=pass smtp.auth=forged\r\n\r\ntext\r\n'

/** The header of the one message that came for a mailbox. */
async function headerFor(user: string): Promise<string> {
  const fact = await gate.event('reception', ({ envelope }) => envelope.recipient.local === user)
  const folder = path.join(gate.folder, 'mail', user, 'new')
  await gate.event('delivery', ({ envelope }) => envelope.id === fact.envelope.id)
  const [name = ''] = await readdir(folder)
  return readFile(path.join(folder, name), 'latin1')
}

async function assertDelivered(user: string, mechanism: string, name = 'ann'): Promise<void> {
  const header = await headerFor(user)
  assert.ok(header.includes(`auth=pass (${mechanism}) smtp.auth=${name}\n`), header)
  assert.match(header, /with ESMTPSA/)
  assert.ok(!header.includes('forged'))
}

describe('swaks', () => {
  const absent = missing('swaks', '--version')
  const modules: Readonly<Record<string, string>> = {
    'CRAM-MD5': 'Digest::HMAC_MD5',
    'DIGEST-MD5': 'Authen::SASL',
  }
  for (const mechanism of ['PLAIN', 'LOGIN', 'CRAM-MD5', 'DIGEST-MD5']) {
    const needed = modules[mechanism]
    const skip = absent || (needed !== undefined && missing('perl', `-M${needed}`, '-e', '1'))
    const swaks = (from: string, password: string, ...more: readonly string[]): Promise<Ran> => {
      const where = [
        '--server',
        '127.0.0.1',
        '--port',
        String(gate.address().port),
        '--local-interface',
        from,
      ]
      const login = ['-tls', '--auth', mechanism, '--auth-user', 'ann', '--auth-password', password]
      return run(
        'swaks',
        [...where, ...login, '--from', 'ann@client.example', '--data', '-', ...more],
        MESSAGE,
      )
    }

    test(`${mechanism}: a message`, { skip }, async () => {
      const user = `swaks-${mechanism.toLowerCase()}`
      const { text, code } = await swaks('127.0.0.1', PASSWORD, '--to', `${user}@gate.example`)
      assert.equal(code, 0, text)
      await assertDelivered(user, mechanism)
    })
    test(`${mechanism}: a wrong password is 535, a store that is not there 454`, { skip }, async () => {
      const wrong = await swaks('127.0.0.1', 'wrong', '--to', 'x@gate.example')
      assert.match(wrong.text, /<~\* 535 5\.7\.8 /)
      assert.notEqual(wrong.code, 0)
      assert.match((await swaks(BROKEN, PASSWORD, '--to', 'x@gate.example')).text, /<~\* 454 4\.7\.0 /)
    })
    if (mechanism === 'DIGEST-MD5') {
      test('DIGEST-MD5 from an htdigest file', { skip }, async () => {
        const { text } = await swaks(HTDIGEST, PASSWORD, '--to', 'x@gate.example', '--quit-after', 'AUTH')
        assert.match(text, /<~ {2}235 2\.7\.0 /)
        assert.match((await swaks(HTDIGEST, 'wrong', '--to', 'x@gate.example')).text, /<~\* 535 /)
      })
    }
    if (mechanism === 'PLAIN' || mechanism === 'LOGIN') {
      test(`${mechanism} against a hash`, { skip }, async () => {
        const good = await swaks(HASHED, PASSWORD, '--to', 'x@gate.example', '--quit-after', 'AUTH')
        assert.match(good.text, /<~ {2}235 2\.7\.0 /)
        assert.match((await swaks(HASHED, 'wrong', '--to', 'x@gate.example')).text, /<~\* 535 /)
      })
    }
  }
})

function curl(from: string, user: string, mechanism: string, ...more: readonly string[]): Promise<Ran> {
  const url = `smtp://127.0.0.1:${gate.address().port}`
  const login = ['--login-options', `AUTH=${mechanism}`, '-u', user, '--mail-from', 'ann@client.example']
  return run('curl', ['-sv', '-k', '--interface', from, url, ...login, '-T', '-', ...more], MESSAGE)
}

describe('curl', () => {
  const skip = missing('curl', '--version')
  const tls = ['--ssl-reqd']

  for (const mechanism of ['PLAIN', 'LOGIN', 'CRAM-MD5', 'DIGEST-MD5']) {
    test(`${mechanism}: a message, and a wrong password`, { skip }, async () => {
      const user = `curl-${mechanism.toLowerCase()}`
      const good = await curl(
        '127.0.0.1',
        `ann:${PASSWORD}`,
        mechanism,
        ...tls,
        '--mail-rcpt',
        `${user}@gate.example`,
      )
      assert.equal(good.code, 0, good.text)
      await assertDelivered(user, mechanism)
      const wrong = await curl('127.0.0.1', 'ann:wrong', mechanism, ...tls, '--mail-rcpt', 'x@gate.example')
      assert.match(wrong.text, /< 535 5\.7\.8 /)
      assert.equal(wrong.code, 67)
    })
  }

  test('EXTERNAL: the user is the certificate’s, and no other', { skip }, async () => {
    const [cert, key] = credentials('valid')
    const as = (from: string, user: string, to: string): Promise<Ran> =>
      curl(
        from,
        `${user}:`,
        'EXTERNAL',
        ...tls,
        '--cert',
        cert,
        '--key',
        key,
        '--mail-rcpt',
        `${to}@gate.example`,
      )
    const own = await as('127.0.0.1', 'valid@example.com', 'curl-external')
    assert.equal(own.code, 0, own.text)
    await assertDelivered('curl-external', 'EXTERNAL', 'valid@example.com')
    assert.match((await as('127.0.0.1', 'root@example.com', 'x')).text, /< 535 5\.7\.8 /)
    assert.equal((await as(MAPPED, 'partner', 'curl-mapped')).code, 0)
    await assertDelivered('curl-mapped', 'EXTERNAL', 'partner')
    assert.match((await as(MAPPED, 'valid@example.com', 'x')).text, /< 535 5\.7\.8 /)
    assert.match((await as(BROKEN, 'valid@example.com', 'x')).text, /< 454 4\.7\.0 /)
  })

  for (const kind of ['expired', 'revoked', 'untrusted'] as const) {
    test(`EXTERNAL is not offered to a certificate that is ${kind}`, { skip }, async () => {
      const [cert, key] = credentials(kind)
      const { text, code } = await curl(
        '127.0.0.1',
        `${kind}@example.com:`,
        'EXTERNAL',
        ...tls,
        '--cert',
        cert,
        '--key',
        key,
        '--mail-rcpt',
        'x@gate.example',
      )
      assert.match(text, /< 250-AUTH PLAIN LOGIN CRAM-MD5 DIGEST-MD5\r?\n/)
      assert.notEqual(code, 0)
    })
  }

  test('in clear text nothing is offered; Allow_Plaintext_Auth offers it', { skip }, async () => {
    const to = ['--mail-rcpt', 'curl-clear@gate.example']
    assert.doesNotMatch((await curl('127.0.0.1', `ann:${PASSWORD}`, 'CRAM-MD5', ...to)).text, /250.AUTH/)
    assert.match((await curl(CLEARTEXT, `ann:${PASSWORD}`, 'CRAM-MD5', ...to)).text, /< 235 2\.7\.0 /)
  })
})

/** Runs statements with a session `s`; gives back the codes of the replies that `say` and `attempt` were given. */
async function python(statements: string, from = '127.0.0.1', tls = true): Promise<string[]> {
  const script = `
import base64, smtplib, ssl, sys
def say(reply): print(reply[0] if isinstance(reply, tuple) else reply)
def b64(text): return base64.b64encode(text.encode()).decode()
def attempt(work):
    try: say(work())
    except smtplib.SMTPAuthenticationError as error: print(error.smtp_code)
    except smtplib.SMTPResponseException as error: print(error.smtp_code)
    except smtplib.SMTPServerDisconnected: print('gone')
s = smtplib.SMTP('127.0.0.1', ${gate.address().port}, source_address=('${from}', 0), timeout=15)
${tls ? 's.starttls(context=ssl._create_unverified_context())' : ''}
s.ehlo()
s.user, s.password = 'ann', ${JSON.stringify(PASSWORD)}
${statements}
s.close()
`
  const { text, code } = await run('python3', ['-c', script])
  assert.equal(code, 0, text)
  return text.trim().split('\n')
}

describe('Python smtplib', () => {
  const skip = missing('python3', '-c', 'import smtplib, ssl')

  for (const [mechanism, method] of [
    ['PLAIN', 'auth_plain'],
    ['LOGIN', 'auth_login'],
    ['CRAM-MD5', 'auth_cram_md5'],
  ] as const) {
    test(`${mechanism}: a message, 535 and 454`, { skip }, async () => {
      const user = `python-${mechanism.toLowerCase()}`
      const said = await python(`
s.password = 'wrong'
attempt(lambda: s.auth('${mechanism}', s.${method}))
s.password = ${JSON.stringify(PASSWORD)}
attempt(lambda: s.auth('${mechanism}', s.${method}))
attempt(lambda: s.auth('${mechanism}', s.${method}))
s.sendmail('ann@client.example', ['${user}@gate.example'], ${JSON.stringify(MESSAGE)})`)
      assert.deepEqual(said, ['535', '235', '503'])
      await assertDelivered(user, mechanism)
      assert.deepEqual(await python(`attempt(lambda: s.auth('${mechanism}', s.${method}))`, BROKEN), ['454'])
    })
  }

  test('every other reply: 334, 500, 501, 503, 504 inside TLS', { skip }, async () => {
    const said = await python(`
say(s.docmd('AUTH'))
say(s.docmd('AUTH', 'GSSAPI'))
say(s.docmd('AUTH', 'EXTERNAL ='))
say(s.docmd('AUTH', 'PLAIN'))
say(s.docmd('*'))
say(s.docmd('AUTH', 'PLAIN !!'))
say(s.docmd('AUTH', 'PLAIN ' + b64('ann')))
say(s.docmd('AUTH', 'CRAM-MD5 ' + b64('ann')))
say(s.docmd('AUTH', 'LOGIN'))
say(s.docmd('x' * 20000))
say(s.docmd('MAIL', 'FROM:<>'))
say(s.docmd('AUTH', 'PLAIN'))`)
    assert.deepEqual(said, '501 504 504 334 501 501 501 501 334 500 250 503'.split(' '))
  })

  test('in clear text AUTH is 538', { skip }, async () => {
    assert.deepEqual(await python(`say(s.docmd('AUTH', 'CRAM-MD5'))`, '127.0.0.1', false), ['538'])
  })

  test('an address that failed too often is turned away, over connections, with a right password too', {
    skip,
  }, async () => {
    const fail = `s.password = 'wrong'\nattempt(lambda: s.auth('PLAIN', s.auth_plain))`
    assert.deepEqual(await python(fail, LIMITED), ['535'])
    assert.deepEqual(await python(fail, LIMITED), ['535'])
    const said = await python(
      `attempt(lambda: s.auth('PLAIN', s.auth_plain))\nattempt(lambda: s.noop())`,
      LIMITED,
    )
    assert.deepEqual(said, ['421', 'gone'])
  })
})

test('acctlog tells who and whether; no file and no fact holds a password', async () => {
  let acct = ''
  for (let waited = 0; !acct.includes('@ann@1\n') && waited < 5000; waited += 20) {
    await delay(20)
    acct = readFileSync(path.join(gate.folder, 'acct.ec'), 'latin1')
  }
  assert.match(acct, /^\d+@N@127\.0\.0\.1:0@127\.0\.0\.1:\d+@ann@1$/m)
  assert.match(acct, /^\d+@N@127\.0\.0\.1:0@127\.0\.0\.1:\d+@ann@0$/m)
  const plain = Buffer.from(`\0ann\0${PASSWORD}`).toString('base64')
  const everything = ['acct.ec', 'reject.ec', 'main.ec', 'panic.ec']
    .map((name) => readFileSync(path.join(gate.folder, name), 'latin1'))
    .join('')
    .concat(JSON.stringify(gate.events))
  for (const secret of [PASSWORD, plain, Buffer.from(PASSWORD).toString('base64'), 'wrong']) {
    assert.ok(!everything.includes(secret), secret)
  }
})
