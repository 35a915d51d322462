/** DKIM by scripts on a running gate: what they find out about signatures, and those that they ask for. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { authenticate } from 'mailauth'
import { BODY, KEY_RECORD, sign } from '../../src/authenticity/origin.fixture.ts'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ED25519 = generateKeyPairSync('ed25519')
const KEYBUF = ED25519.privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64')

const SCRIPT = `
local core = require("msys.core") require("msys.extended.message") require("msys.extended.vctx")
require("msys.validate.opendkim") require("opendkim.dkim")
local mod, dkim = {}, msys.validate.opendkim
function mod:validate_data(msg, ac, vctx)
  local found, status = dkim.verify(msg)
  for i = 0, dkim.get_num_sigs(found) - 1 do
    local signature = dkim.get_sig(found, i)
    print("signed", status == opendkim.dkim.DKIM_STAT_OK, (dkim.get_sig_domain(signature)),
      (dkim.get_sig_hdrsigned(signature, "Subject")), (dkim.get_sig_keysize(signature)))
  end
  return core.VALIDATE_CONT
end
local function options(what)
  return { base_domain = "gate.example", selector = what, keyfile = "FOLDER/%{s}.key", headerlist = "From:Subject" }
end
function mod:core_final_validation(msg, ac, vctx)
  local what = msg:header("Subject")[1]
  if what == "rsa" then
    local wish = options("rsa")
    wish.identity, wish.digest = "news@gate.example", "rsa-sha256"
    dkim.sign(msg, vctx, wish)
    dkim.sign(msg, vctx, wish)
    dkim.sign(msg, vctx, { signing_domain = "gate.example", selector = "ed", keybuf = "${KEYBUF}", body_canon = "simple" })
  elseif what == "many" then
    for i = 1, 11 do local wish = options("rsa") wish.identity = i .. "@gate.example" dkim.sign(msg, vctx, wish) end
  elseif what ~= "none" then
    local wish = options("rsa")
    local key, value = what:match("^([a-z_]+)=(.*)$")
    wish[key] = value
    dkim.sign(msg, vctx, wish)
  end
end
function mod:core_post_final_validation(msg, ac, vctx)
  msg:header("X-Late", "edited", "append")
  msg:header("Subject", "late")
end
msys.registerModule("gate", mod)`

interface Lab {
  readonly gate: TestGate
  /** Sends a message with this subject; returns the reply, and the message as it lies in the mailbox. */
  deliver(subject: string, user: string, message?: string): Promise<{ reply: string; mail: string }>
  stop(): Promise<void>
}

async function start(): Promise<Lab> {
  const dns = await TestDnsServer.start({ 'TXT s1._domainkey.bank.example': [KEY_RECORD] })
  const keys = mkdtempSync(path.join(tmpdir(), 'postern-keys-'))
  writeFileSync(path.join(keys, 'rsa.key'), RSA.privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const gate = await startTestGate({
    conf: `DNS_Servers = ( "127.0.0.1:${dns.port}" )
ESMTP_Listener { Listen "127.0.0.1:0" { } }
opendkim { validate = true }
scriptlet "scriptlet" { script "gate" { source = "./gate.lua" } }
Domain "unsigned.example" { opendkim_sign = false }
maildir "m" { basedir = "mail" domains = ( "gate.example" "unsigned.example" ) create_users = true }`,
    files: { 'gate.lua': SCRIPT.replace('FOLDER', keys) },
  })
  return {
    gate,
    deliver: async (
      subject,
      user,
      message = `From: a@gate.example\nSubject: ${subject}\n\nHello  there\n`,
    ) => {
      const client = await SmtpClient.connect(gate.address())
      await client.reply()
      await client.ehlo()
      const reply = await client.deliver(
        'a@b.example',
        user.includes('@') ? user : `${user}@gate.example`,
        message,
      )
      client.destroy()
      if (!reply.startsWith('250')) return { reply, mail: '' }
      const [local] = user.split('@')
      await gate.event('delivery', ({ envelope }) => envelope.recipient.local === local)
      const folder = path.join(gate.folder, 'mail', local ?? '', 'new')
      return { reply, mail: readFileSync(path.join(folder, readdirSync(folder)[0] ?? ''), 'latin1') }
    },
    stop: async () => {
      await gate.stop()
      await dns.close()
      rmSync(keys, { recursive: true, force: true })
    },
  }
}

test('what a script signs verifies by another’s code, whatever is changed after it asked', async () => {
  const lab = await start()
  try {
    const { mail } = await lab.deliver('rsa', 'ann')
    assert.match(mail, /^Subject: late$/m)
    // what was asked for twice is there once
    assert.equal(mail.match(/^DKIM-Signature:/gm)?.length, 2)
    assert.match(
      mail.replaceAll('\n\t', ' '),
      /^DKIM-Signature: .*d=gate\.example; s=rsa; i=news@gate\.example;/m,
    )
    const { dkim } = await authenticate(Buffer.from(mail.replaceAll('\n', '\r\n'), 'latin1'), {
      resolver: published,
      disableArc: true,
      disableBimi: true,
    })
    assert.deepEqual(
      dkim.results.map(({ status, selector, format }) => `${selector} ${status.result} ${format}`),
      ['rsa pass relaxed/relaxed', 'ed pass relaxed/simple'],
    )
    // another recipient's copy, and one whose domain is to get none
    assert.match((await lab.deliver('rsa', 'bob')).mail, /^DKIM-Signature:/m)
    assert.doesNotMatch((await lab.deliver('rsa', 'cid@unsigned.example')).mail, /DKIM-Signature/)
    assert.doesNotMatch((await lab.deliver('none', 'dan')).mail, /DKIM-Signature/)
  } finally {
    await lab.stop()
  }
})

test('a signature that would be worth nothing is an error, and the message is not taken', async () => {
  const lab = await start()
  try {
    for (const [subject, words] of [
      ['keyfile=/nowhere/x.key', /the signing key \/nowhere\/x\.key: no such file/],
      ['keyfile=rsa.key', /keyfile is an absolute path/],
      ['digest=rsa-sha1', /makes rsa-sha256 signatures, not rsa-sha1/],
      ['base_domain=../..', /no domain or selector of a signature/],
      ['selector=../../etc', /no domain or selector of a signature/],
      ['identity=ceo@bank.example', /identity is an address in gate\.example/],
      ['identity=a@xgate.example', /identity is an address in gate\.example/],
      ['header_canon=nowsp', /relaxed or simple/],
      ['headerlist=From:Sub ject', /names of header fields/],
      ['body_length_limit=7', /"body_length_limit" has to be false/],
      ['many', /at most 10 signatures/],
    ] as const) {
      assert.match((await lab.deliver(subject, 'nobody')).reply, /^421/, subject)
      await lab.gate.event('panic', ({ text }) => words.test(text))
    }
    assert.equal(lab.gate.events.filter(({ kind }) => kind === 'reception').length, 0)
  } finally {
    await lab.stop()
  }
})

test('a script sees who signed a message, with how long a key, and which fields', async () => {
  const lab = await start()
  try {
    const signed = `${await sign()}\r\n${BODY.trimEnd()}`.replaceAll('\r\n', '\n')
    const told = async (user: string, message: string): Promise<string[]> => {
      // its subject asks for a signature that there cannot be
      await lab.deliver('', user, message)
      return lab.gate.events.flatMap((event) =>
        event.kind === 'panic' && event.text.startsWith('signed') ? [event.text] : [],
      )
    }
    const one = await told('eve', signed)
    assert.deepEqual(one, ['signed true bank.example true 256'])
    const two = await told('fay', signed.replace('Hello', 'Changed'))
    assert.deepEqual(two, [...one, 'signed false bank.example true 256'])
  } finally {
    await lab.stop()
  }
})

async function published(name: string): Promise<string[][]> {
  await Promise.resolve()
  if (name === 'rsa._domainkey.gate.example')
    return [[`v=DKIM1; p=${RSA.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')}`]]
  if (name === 'ed._domainkey.gate.example') {
    const raw = ED25519.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
    return [[`v=DKIM1; k=ed25519; p=${raw.toString('base64')}`]]
  }
  throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
}
