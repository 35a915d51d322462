/** SPF, DKIM and DMARC on a running gate: what scripts see, what the header says, and what leaves signed. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { authenticate } from 'mailauth'
import { BODY, KEY_RECORD, sign } from '../../src/authenticity/origin.fixture.ts'
import { ConfigError } from '../../src/config/diagnostic.ts'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ED25519 = generateKeyPairSync('ed25519')
const PKCS8 = { format: 'pem', type: 'pkcs8' } as const

const ZONE = {
  'TXT s1._domainkey.bank.example': [KEY_RECORD],
  'TXT _dmarc.bank.example': ['v=DMARC1; p=reject'],
  'TXT bank.example': ['v=spf1 ip4:198.51.100.0/24 -all'],
  'TXT mail.friend.example': ['v=spf1 ip4:127.0.0.1 -all'],
}

const POLICY = `
local core = require("msys.core")
require("msys.extended.vctx")
require("msys.extended.message")
require("msys.validate.openarc")
local mod = {}
function mod:validate_mailfrom(str, ac, vctx)
  if vctx:get(core.VCTX_MESS, "mailfrom_localpart") == "strict" and vctx:get(core.VCTX_MESS, "spf_status") == "fail" then
    vctx:set_code(550, "5.7.23 SPF says no")
    return core.VALIDATE_DONE
  end
  return core.VALIDATE_CONT
end
function mod:validate_data(msg, ac, vctx)
  local done, problem = pcall(msys.validate.openarc.verify, msg)
  print("arc", done and msg:context_get(core.VCTX_MESS, "arc_cv") or problem)
  local status = vctx:get(core.VCTX_MESS, "dmarc_status")
  local policy = vctx:get(core.VCTX_MESS, "dmarc_policy")
  if status == "fail" and policy == "reject" or status == "permerror" then
    vctx:set_code(550, "5.7.26 DMARC policy of " .. vctx:get(core.VCTX_MESS, "dmarc_domain"))
    return core.VALIDATE_DONE
  end
  return core.VALIDATE_CONT
end
msys.registerModule("origin", mod)`

const CONF = `
ESMTP_Listener {
  Listen "127.0.0.1:0" { }
  Listen "127.0.0.2:0" { context = [ __bypass_openarc = "true" __bypass_spf_v1 = "true" __bypass_opendkim = "true" __bypass_dmarc = "true" ] }
  Listen "127.0.0.3:0" { Open_Relay = true }
}
spf_v1 { }
opendkim "rsa" {
  validate = true
  key = "%{d}.%{s}.key"
  dkim_domain "gate.example" { selector = "rsa" }
  dkim_domain "sub.gate.example" { selector = "rsa" base_domain = "gate.example" }
}
opendkim "ed" { key = "%{s}.key" dkim_domain "gate.example" { selector = "ed" } }
dmarc { }
openarc { validate = true }
scriptlet "scriptlet" { script "origin" { source = "./origin.lua" } }
Domain "unsigned.example" { opendkim_sign = false }
maildir "m" { basedir = "mail" domains = ( "gate.example" "unsigned.example" ) create_users = true }`

const FILES = {
  'origin.lua': POLICY,
  'gate.example.rsa.key': RSA.privateKey.export(PKCS8).toString(),
  'ed.key': ED25519.privateKey.export(PKCS8).toString(),
}

describe('a gate that looks where mail comes from', () => {
  let dns: TestDnsServer
  let gate: TestGate
  let box = 0

  before(async () => {
    dns = await TestDnsServer.start(ZONE)
    gate = await startTestGate({ conf: `DNS_Servers = ( "127.0.0.1:${dns.port}" )\n${CONF}`, files: FILES })
  })
  after(async () => {
    await dns.close()
    await gate.stop()
  })

  /** The answer to the message, and the message as it lies in the mailbox. */
  // oxlint-disable-next-line max-params -- where to, from whom, what, to whom
  async function deliver(
    listen: number,
    from: string,
    message: string,
    domain = 'gate.example',
  ): Promise<{ reply: string; mail: string; raw: string }> {
    box += 1
    const user = `box${box}`
    const client = await SmtpClient.connect(gate.address(listen))
    await client.reply()
    await client.ehlo('mail.friend.example')
    const reply = await client.deliver(from, `${user}@${domain}`, message.replaceAll('\r\n', '\n'))
    client.destroy()
    if (!reply.startsWith('250')) return { reply, mail: '', raw: '' }
    await gate.event('delivery', ({ envelope }) => envelope.recipient.local === user)
    const folder = path.join(gate.folder, 'mail', user, 'new')
    const [name = ''] = readdirSync(folder)
    const raw = readFileSync(path.join(folder, name), 'latin1')
    return { reply, mail: raw.replaceAll('\n\t', ' '), raw }
  }

  test('a message that its author’s domain signed is taken, and the header says why', async () => {
    const { reply, mail } = await deliver(
      0,
      'alice@mail.friend.example',
      `${await sign()}\r\n${BODY.trimEnd()}`,
    )
    assert.match(reply, /^250/)
    const [results = ''] = /^Authentication-Results: .*$/m.exec(mail) ?? []
    assert.match(
      results,
      /^Authentication-Results: gate\.example; spf=pass smtp\.mailfrom=mail\.friend\.example; spf=pass smtp\.helo=mail\.friend\.example;/,
    )
    assert.match(results, /dkim=pass header\.d=bank\.example header\.s=s1 header\.a=ed25519-sha256/)
    assert.match(results, /dmarc=pass \(p=reject\) header\.from=bank\.example/)
    await gate.event('panic', ({ text }) => text === 'arc none')
    assert.match(mail, /^Received-SPF: pass client-ip=127\.0\.0\.1; .*identity=mailfrom$/m)
  })

  test('a forged one is refused by policy, as is one with two authors', async () => {
    const forged = 'From: alice@bank.example\nSubject: x\n\nx'
    assert.match(
      (await deliver(0, 'a@mail.friend.example', forged)).reply,
      /^550 5\.7\.26 DMARC policy of bank\.example/,
    )
    const two = 'From: a@friend.example\nFrom: alice@bank.example\n\nx'
    assert.match((await deliver(0, 'a@mail.friend.example', two)).reply, /^550 5\.7\.26/)
  })

  test('the result of SPF is there when policy is asked about the sender', async () => {
    const client = await SmtpClient.connect(gate.address(0))
    await client.reply()
    await client.ehlo('mail.friend.example')
    assert.match(await client.command('MAIL FROM:<strict@bank.example>'), /^550 5\.7\.23 SPF says no/)
    assert.match(await client.command('MAIL FROM:<other@bank.example>'), /^250/)
    client.destroy()
  })

  test('a __bypass_ key switches a check off', async () => {
    const asked = dns.asked.length
    const { reply, mail } = await deliver(
      1,
      'strict@bank.example',
      'From: alice@bank.example\nSubject: x\n\nx',
    )
    assert.match(reply, /^250/)
    assert.doesNotMatch(mail, /Received-SPF|Authentication-Results/)
    assert.equal(dns.asked.length, asked)
    await gate.event('panic', ({ text }) => text.includes('needs openarc { validate = true }'))
  })

  test('mail of ours is signed twice for who may relay, and not at all for strangers', async () => {
    const message = 'From: Ann <ann@gate.example>\nSubject: Hi\n\nHello  there\n'
    const stranger = await deliver(0, 'ann@mail.friend.example', message)
    assert.doesNotMatch(stranger.mail, /^DKIM-Signature/m)
    const ours = await deliver(2, 'ann@mail.friend.example', message)
    assert.equal(ours.mail.match(/^DKIM-Signature/gm)?.length, 2)
    assert.doesNotMatch(
      (await deliver(2, 'a@b.example', 'From: a@mail.friend.example\n\nx')).mail,
      /^DKIM-Sig/m,
    )
    const parent = await deliver(2, 'a@b.example', 'From: a@sub.gate.example\n\nx')
    assert.match(parent.mail, /^DKIM-Signature: .*d=gate\.example; s=rsa;/m)
  })

  test('what leaves verifies by another’s code, and opendkim_sign keeps it from being signed', async () => {
    const message = 'From: ann@gate.example\nSubject: Hi\n\n.. Hello  there'
    const { raw } = await deliver(2, 'a@b.example', message)
    const { dkim } = await authenticate(Buffer.from(raw.replaceAll('\n', '\r\n'), 'latin1'), {
      resolver: keys,
      disableArc: true,
      disableBimi: true,
    })
    assert.deepEqual(
      dkim.results.map(({ status, selector }) => `${selector} ${status.result}`),
      ['rsa pass', 'ed pass'],
    )
    const unsigned = await deliver(2, 'a@b.example', message, 'unsigned.example')
    assert.doesNotMatch(unsigned.raw, /DKIM-Signature/)
  })
})

async function keys(name: string): Promise<string[][]> {
  await Promise.resolve()
  if (name === 'rsa._domainkey.gate.example')
    return [[`v=DKIM1; p=${RSA.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')}`]]
  if (name === 'ed._domainkey.gate.example') {
    const raw = ED25519.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
    return [[`v=DKIM1; k=ed25519; p=${raw.toString('base64')}`]]
  }
  throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
}

function confWith(selector: string): string {
  return `ESMTP_Listener { Listen "127.0.0.1:0" { Open_Relay = true } }
opendkim "o" { key = "%{s}.key" selector = "${selector}" dkim_domain "gate.example" { } }\n${MAILDIR}`
}

test('a script decides what is signed, of what it sends as well', async () => {
  const script = `
local core = require("msys.core") require("msys.extended.vctx") require("msys.extended.message")
local mod = {}
function mod:validate_data_spool(msg, ac, vctx)
  if msg:header("Subject")[1] == "sign" then vctx:set(core.VCTX_MESS, "sign_me", "true") end
  msg:inject("robot@gate.example", "copy@gate.example")
  return core.VALIDATE_CONT
end
msys.registerModule("gate", mod)`
  const gate = await startTestGate({
    conf: `ESMTP_Listener { Listen "127.0.0.1:0" { } }
opendkim "o" { key = "ed.key" selector = "s" sign_condition = sign_me dkim_domain "gate.example" { } }
scriptlet "scriptlet" { script "gate" { source = "./gate.lua" } }\n${MAILDIR}`,
    files: { ...FILES, 'gate.lua': script },
  })
  try {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.ehlo()
    const counts: number[] = []
    for (const subject of ['sign', 'leave']) {
      const text = `From: a@gate.example\nSubject: ${subject}\n\nx`
      assert.match(await client.deliver('a@b.example', `${subject}@gate.example`, text), /^250/)
      await gate.event('delivery', ({ envelope }) => envelope.recipient.local === subject)
    }
    client.destroy()
    const copies = (): number =>
      gate.events.filter((each) => each.kind === 'delivery' && each.envelope.recipient.local === 'copy')
        .length
    while (copies() < 2) await new Promise((resolve) => setImmediate(resolve))
    for (const user of ['sign', 'leave', 'copy']) {
      const folder = path.join(gate.folder, 'mail', user, 'new')
      const mails = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'latin1'))
      counts.push(mails.filter((mail) => mail.includes('DKIM-Signature:')).length)
    }
    assert.deepEqual(counts, [1, 0, 1])
  } finally {
    await gate.stop()
  }
})

test('a reload brings another key, and one that cannot be used leaves the old one in force', async () => {
  const files = { 'one.key': FILES['ed.key'], 'two.key': FILES['gate.example.rsa.key'] }
  const gate = await startTestGate({ conf: confWith('one'), files })
  try {
    const selectorOf = async (user: string): Promise<string> => {
      const client = await SmtpClient.connect(gate.address())
      await client.reply()
      await client.ehlo()
      assert.match(
        await client.deliver('a@b.example', `${user}@gate.example`, 'From: a@gate.example\n\nx'),
        /^250/,
      )
      client.destroy()
      await gate.event('delivery', ({ envelope }) => envelope.recipient.local === user)
      const folder = path.join(gate.folder, 'mail', user, 'new')
      const mail = readFileSync(path.join(folder, readdirSync(folder)[0] ?? ''), 'latin1')
      return /; s=(\w+);/.exec(mail)?.[1] ?? ''
    }
    const file = path.join(gate.folder, 'gate.conf')
    const rewrite = (from: string, to: string): void =>
      writeFileSync(file, readFileSync(file, 'utf8').replace(`"${from}"`, `"${to}"`))
    assert.equal(await selectorOf('ann'), 'one')
    rewrite('one', 'two')
    await gate.server.reload()
    assert.equal(await selectorOf('bob'), 'two')
    rewrite('two', 'three')
    await assert.rejects(gate.server.reload(), ConfigError)
    assert.equal(await selectorOf('cid'), 'two')
  } finally {
    await gate.stop()
  }
})

test('a key that cannot be used keeps the gate from starting, and says which', async () => {
  const small = generateKeyPairSync('rsa', { modulusLength: 768 }).privateKey.export(PKCS8).toString()
  for (const [file, words] of [
    ['none.key', /the signing key none\.key: no such file/],
    ['small.key', /the signing key small\.key has 768 bits: nobody accepts less than 1024/],
    ['cert.key', /the signing key cert\.key: it holds no private key/],
  ] as const) {
    const conf = `opendkim "o" { key = "${file}" selector = "s" dkim_domain "gate.example" { } }\n${MAILDIR}`
    await assert.rejects(
      startTestGate({ conf, files: { 'small.key': small, 'cert.key': 'nothing' } }),
      (error) =>
        error instanceof ConfigError &&
        words.test(error.diagnostics.map(({ message }) => message).join('\n')),
    )
  }
})

test('check looks at the keys, too', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-keys-'))
  try {
    const conf = 'opendkim "o" { key = "%{s}.key" selector = "s" dkim_domain "gate.example" { } }\n'
    writeFileSync(path.join(folder, 'gate.conf'), conf)
    const bin = path.join(import.meta.dirname, '../../bin/postern')
    const checked = promisify(execFile)(bin, ['check', 'gate.conf'], { cwd: folder })
    await assert.rejects(checked, { code: 1, stderr: /error: the signing key s\.key: no such file/ })
    writeFileSync(path.join(folder, 's.key'), FILES['ed.key'], { mode: 0o600 })
    await promisify(execFile)(bin, ['check', 'gate.conf'], { cwd: folder })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
