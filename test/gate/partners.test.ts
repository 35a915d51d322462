/** Partners, end to end: what a verified certificate is worth by the configuration, and who merely resembles a partner. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import type { Credential } from '../../src/tls/authority.ts'
import { readCertificate } from '../../src/tls/certificate.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate } from '../support/test-gate.ts'
import {
  acmePartner,
  clear,
  clients,
  conf,
  connected,
  gate,
  key,
  mail,
  named,
  PROXY,
  pki,
  REFUSED,
  relays,
  starttls,
} from './partners.fixture.ts'

describe('a partner', () => {
  test('has a name, a pathway, the right to relay, and policy knows', async () => {
    const client = await connected(clients.acme)
    assert.equal(await key(client, 'tls_partner'), 'acme')
    assert.equal(await key(client, 'pathway'), 'partners')
    assert.equal(await key(client, 'tier'), 'gold')
    assert.equal(await key(client, 'lua_saw'), 'acme/partners')
    assert.equal(await key(client, 'ts_saw'), 'acme/current')
    assert.match((await client.ehlo()).join(' '), /SIZE 4242/)
    assert.equal(await relays(client), true)
    client.destroy()
  })
  test('stays one when its session is resumed, for TLS 1.2 and 1.3', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = await connected(clients.acme, { minVersion: version, maxVersion: version })
      await first.command('NOOP')
      const session = first.session ?? first.tls.getSession()
      first.destroy()
      const client = await connected(undefined, {
        minVersion: version,
        maxVersion: version,
        ...(session && { session }),
      })
      assert.equal(client.tls.isSessionReused(), true)
      assert.equal(await key(client, 'tls_partner'), 'acme')
      assert.equal(await relays(client), true)
      client.destroy()
    }
  })
  test('is known by its successor’s key as well, and the report says which is in use', async () => {
    const client = await connected(clients.next)
    assert.equal(await key(client, 'ts_saw'), 'acme/successor')
    client.destroy()
    const uses = gate.server.partnerReport
      .pins()
      .filter(({ partner }) => partner === 'acme')
      .map(({ place, handshakes }) => [place, handshakes > 0])
    assert.deepEqual(uses, [
      ['current', true],
      ['successor', true],
    ])
  })
  test('sends from its own domains, however they are written, and as nobody', async () => {
    const client = await connected(clients.acme)
    for (const path of [
      '<x@acme.example>',
      '<x@ACME.Example>',
      '<x@mail.acme.example>',
      '<"x@evil.example"@acme.example>',
      '<@evil.example:x@acme.example>',
      '<x@xn--bcher-kva.example>',
      '<>',
    ]) {
      assert.match(await mail(client, path), /^250 /, path)
    }
    client.destroy()
  })
  test('sends from no other domain, and the rejection names the rule', async () => {
    const client = await connected(clients.acme)
    for (const path of [
      '<x@evil.example>',
      '<x@badacme.example>',
      '<x@acme.example.evil.example>',
      '<"x@acme.example"@evil.example>',
      '<@acme.example:x@evil.example>',
      '<x@[127.0.0.1]>',
      '<x@branch.example>',
      '<x@mail.xn--bcher-kva.example>',
    ]) {
      assert.match(await mail(client, path), REFUSED, path)
    }
    // no domain at all
    for (const path of ['<x@acme.example.>', '<x>', '<x@bücher.example>'])
      assert.match(await mail(client, path), /^5/)
    client.destroy()
    const rejection = await gate.event('rejection', ({ module }) => module === 'partner')
    assert.equal(rejection.connectionContext['tls_partner'], 'acme')
  })
  test('stands in the record of its handshake', async () => {
    const { partner } = await gate.event('tls', (event) => event.partner?.name === 'acme')
    assert.deepEqual(
      partner?.pins.map(({ option, place }) => [option, place]),
      [['SPKI_Pin', 'current']],
    )
    const { partner: recorded } = await gate.event('decision', (event) => event.outcome === 'verified')
    assert.equal(recorded, 'acme')
  })
})

/** Values of `/metrics` by name and labels, as they stand there. */
async function metrics(): Promise<(line: string) => number | undefined> {
  const text = await (await fetch(`http://${gate.server.serviceAddresses.http[0]}/metrics`)).text()
  return (line) => {
    const found = text.split('\n').find((each) => each.startsWith(`${line} `))
    return found === undefined ? undefined : Number(found.slice(line.length + 1))
  }
}

const pin = (name: string, place: string): string =>
  `postern_partner_pin_${name}{partner="acme",pin="SPKI_Pin",place="${place}"}`
const counted = (name: string): string => `postern_tls_partner_handshakes_total{partner="${name}"}`

test('metrics tell whose certificates came, which pins are in use, and when their certificates end', async () => {
  const before = await metrics()
  for (const credential of [clients.next, pki.clients.valid, clients.fake]) {
    const client = await connected(credential)
    client.destroy()
  }
  const after = await metrics()
  assert.equal((after(counted('acme')) ?? 0) - (before(counted('acme')) ?? 0), 1)
  // verified and nobody's; what does not verify is not counted here at all
  assert.equal((after(counted('')) ?? 0) - (before(counted('')) ?? 0), 1)
  assert.equal(after(pin('handshakes', 'successor')), (before(pin('handshakes', 'successor')) ?? 0) + 1)
  assert.equal(after(pin('handshakes', 'current')), before(pin('handshakes', 'current')))
  const seen = after(pin('last_seen_timestamp_seconds', 'successor')) ?? 0
  assert.ok(Math.abs(seen - Date.now() / 1000) < 60, String(seen))
  assert.ok((after(pin('days_left', 'successor')) ?? 0) > 0)
  // a pin that nobody has shown is there all the same
  const unseen = '{partner="stranger",pin="Certificate_Pin",place="current"}'
  assert.equal(after(`postern_partner_pin_handshakes${unseen}`), 0)
  assert.equal(after(`postern_partner_pin_days_left${unseen}`), undefined)
})

describe('whoever is no partner', () => {
  const nobodies: readonly (readonly [string, () => Credential | undefined])[] = [
    ['nobody that shows a certificate', () => undefined],
    ['a certificate with the same names of a CA of the same name', () => clients.fake],
    ['a verified certificate that is unknown', () => pki.clients.valid],
    ['a verified certificate of a partner whose time is over', () => clients.other],
    ['an expired certificate of a partner', () => pki.clients.expired],
    ['a certificate that is pinned, of a CA that nobody trusts', () => pki.clients.untrusted],
    ['a certificate that fits two partners', () => clients.both],
  ]
  for (const [name, credential] of nobodies) {
    test(`${name}: no name, no relay, no domain that is a partner’s alone`, async () => {
      const client = await connected(credential())
      assert.equal(await key(client, 'tls_partner'), undefined)
      assert.equal(await key(client, 'ts_saw'), 'nobody')
      assert.equal(await key(client, 'pathway'), 'default')
      assert.match(await mail(client, '<x@acme.example>'), REFUSED)
      assert.match(await mail(client, '<x@Sub.ACME.example>'), REFUSED)
      assert.match(await mail(client, '<x@branch.example>'), /^250 /)
      assert.equal(await relays(client, '<x@free.example>'), false)
      client.destroy()
    })
  }
  test('what fits two partners raises an alarm', async () => {
    const { text } = await gate.event('panic', ({ module }) => module === 'partner')
    assert.match(text, /fits the partners branch and device, so it is none of them$/)
  })
  test('clear text and a login do not open a domain that is a partner’s alone', async () => {
    const client = await clear()
    assert.match(await mail(client, '<x@acme.example>'), REFUSED)
    const login = Buffer.from('\0ann\0secret').toString('base64')
    assert.match(await client.command(`AUTH PLAIN ${login}`), /^235 /)
    assert.match(await mail(client, '<x@acme.example>'), REFUSED)
    client.destroy()
  })
  test('another partner is as good as nobody for it', async () => {
    const client = await connected(clients.branch)
    assert.equal(await key(client, 'tls_partner'), 'branch')
    assert.match(await mail(client, '<x@acme.example>'), REFUSED)
    assert.match(await mail(client, '<x@branch.example>'), /^250 /)
    assert.equal(await relays(client, '<x@branch.example>'), false)
    client.destroy()
  })
  test('a key of the context makes nobody a partner', async () => {
    const client = await connected(pki.clients.valid)
    await client.ehlo('forge.example')
    assert.equal(await key(client, 'tls_partner'), 'acme')
    assert.match(await mail(client, '<x@acme.example>'), REFUSED)
    assert.equal(await relays(client, '<x@free.example>'), false)
    client.destroy()
    const proxy = await clear(PROXY)
    assert.match(await proxy.command('XSETCONTEXT tls_partner=acme'), /^501 /)
    proxy.destroy()
  })
})

describe('what was granted goes', () => {
  test('when a proxy names another client, and stays gone', async () => {
    for (const naming of ['XCLIENT ADDR=192.0.2.7', 'XREMOTEIP 192.0.2.7']) {
      const client = await clear(PROXY)
      await starttls(client, clients.acme)
      assert.equal(await relays(client), true)
      assert.match(await client.command(naming), /^2/)
      await client.ehlo()
      assert.equal(await key(client, 'tls_partner'), undefined)
      assert.equal(await key(client, 'pathway'), 'default')
      assert.match(await mail(client, '<x@acme.example>'), REFUSED)
      assert.equal(await relays(client, '<x@free.example>'), false)
      client.destroy()
    }
  })
  test('a handshake after that is the proxy’s, and makes the client no partner', async () => {
    const conf = `XCLIENT ADDR=${PROXY}`
    const client = await clear(PROXY)
    assert.match(await client.command(conf), /^220 /)
    await client.ehlo()
    await starttls(client, clients.acme)
    assert.equal(await key(client, 'tls_partner'), undefined)
    assert.match(await mail(client, '<x@acme.example>'), REFUSED)
    client.destroy()
  })
  test('a script may choose another pathway; the partner stays one', async () => {
    const client = await connected(clients.acme)
    assert.match((await client.ehlo('to-lifted.example')).join(' '), /SIZE 77/)
    assert.equal(await key(client, 'tls_partner'), 'acme')
    assert.equal(await relays(client), true)
    client.destroy()
  })
  test('a pathway that judges certificates otherwise ends it', async () => {
    const client = await connected(clients.acme)
    await client.ehlo('to-foreign.example')
    assert.equal(await key(client, 'tls_partner'), undefined)
    assert.match(await mail(client, '<x@acme.example>'), REFUSED)
    assert.equal(await relays(client, '<x@free.example>'), false)
    client.destroy()
    const told = await gate.event('decision', ({ changes }) =>
      changes.some(({ scope }) => /foreign/.test(scope)),
    )
    // the partner's own pathway came first, and the certificate still counted there
    assert.deepEqual(
      told.changes.map(({ by, peer }) => `${by} ${peer}`),
      ['pathway verified', 'pathway anonymous'],
    )
  })
  test('what was said before STARTTLS is forgotten, a partner is known after it', async () => {
    const client = await clear()
    const login = Buffer.from('\0ann\0secret').toString('base64')
    assert.match(await client.command(`AUTH PLAIN ${login}`), /^235 /)
    await starttls(client, clients.branch)
    assert.equal(await relays(client, '<x@branch.example>'), false)
    client.destroy()
  })
  test('a reload that removes the partner: its tickets, its certificate and its old session are nobody’s', async () => {
    const old = await connected(clients.acme)
    assert.equal(await relays(old), true)
    const { session } = old
    const file = path.join(gate.folder, 'gate.conf')
    const head =
      'Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\nDNS_Servers = ( "127.0.0.1:9" )\n'
    const write = (text: string): void => writeFileSync(file, head + text.replaceAll('FOLDER', gate.folder))
    write(conf(''))
    await gate.server.reload()
    assert.match(await old.command('MAIL FROM:<x@acme.example>'), /^421 /)
    for (const more of [{}, session === undefined ? {} : { session }]) {
      const client = await connected(clients.acme, more)
      assert.equal(client.tls.isSessionReused(), 'session' in more)
      assert.equal(await key(client, 'tls_partner'), undefined)
      assert.equal(await relays(client), false)
      client.destroy()
    }
    assert.equal(
      gate.server.partnerReport.pins().some(({ partner }) => partner === 'acme'),
      false,
    )
    // a configuration that cannot be used leaves this one in force
    write(conf('Partner "broken" { SPKI_Pin = "file:nowhere.pem" }'))
    await assert.rejects(gate.server.reload(), { message: /nowhere\.pem": no such file/ })
    write(conf(acmePartner(clients)))
    await gate.server.reload()
    const again = await connected(clients.acme)
    assert.equal(await key(again, 'tls_partner'), 'acme')
    again.destroy()
  })
})

test('a certificate that policy does not accept makes nobody a partner', async () => {
  const strict = await startTestGate({
    pki,
    conf: `
Partner "acme" { SAN_DNS = "mx.acme.example" Relay = true }
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" { script "gate" { source = "gate.lua" } }
${MAILDIR}`,
    files: {
      'gate.lua': `
require("msys.core")
local mod = {}
function mod:core_inbound_smtp_tls_verify_callback() return 0 end
msys.registerModule("gate", mod)`,
    },
  })
  try {
    const client = await SmtpClient.connect(strict.address())
    await client.reply()
    await client.ehlo()
    await starttls(client, clients.acme)
    assert.equal(await key(client, 'tls_client_verify_error'), 'policy')
    assert.equal(await key(client, 'tls_partner'), undefined)
    assert.equal(await relays(client), false)
    client.destroy()
  } finally {
    await strict.stop()
  }
})

test('a certificate for servers only is a partner’s where it verifies, and is listed either way', async () => {
  const device = pki.authority.issue({ ...named('device.example'), usage: 'server' })
  const lenient = await startTestGate({
    pki,
    conf: `
Partner "device" { SAN_DNS = "device.example" }
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.0.1:0" { TLS_Client_EKU = any }
  Listen "127.0.0.2:0" { TLS_Client_EKU = report }
}
${MAILDIR}`,
  })
  try {
    for (const [listen, partner] of ['device', undefined].entries()) {
      const client = await SmtpClient.connect(lenient.address(listen))
      await client.reply()
      await client.ehlo()
      await starttls(client, device)
      assert.equal(await key(client, 'tls_partner'), partner)
      client.destroy()
      const [listed] = lenient.server.partnerReport.serverOnly()
      assert.equal(listed?.fingerprint, readCertificate(device.der).fingerprint)
      assert.deepEqual([listed.partner, listed.handshakes], [partner, listen + 1])
    }
  } finally {
    await lenient.stop()
  }
})
