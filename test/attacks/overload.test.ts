/** Clients that ask for too much: the memory of a gate in a process of its own stays flat, and the next one is served. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { writePki } from '../../src/tls/pki.ts'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'
import type { Address } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { assertServes } from './attack-gate.ts'
import { flat, greeted, inData, lines, MIB, pour } from './flood.ts'
import { RawClient, secure } from './raw-client.ts'

const SESSIONS = 300

const conf = `
Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
Reception_Memory = 8M
Max_Sessions = ${SESSIONS}
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  Listen "127.0.0.1:0" { Max_Message_Size = 10M }
  Listen "127.0.0.2:0" { }
  Listen "127.0.0.3:0" { Use_SSL = true TLS_Max_Handshakes_Per_Address = 0 }
}
maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
ec_logger "l" { mainlog = "main.ec" rejectlog = "reject.ec" }
`

let folder: string
let gate: GateProcess
let limited: Address
let unlimited: Address
let secured: Address

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-overload-'))
  await writePki(path.join(folder, 'pki'), await testPki())
  const file = path.join(folder, 'gate.conf')
  writeFileSync(file, conf)
  gate = await startGateProcess(file)
  ;[limited, unlimited, secured] = gate.addresses as [Address, Address, Address]
  await assertServes(limited)
})
afterEach(async () => {
  await assertServes(limited)
  assert.equal(gate.child.exitCode, null)
})
after(async () => {
  assert.equal(await gate.end('SIGTERM'), 0)
  assert.doesNotMatch(gate.complaints(), /error|critical|unhandled/i)
  rmSync(folder, { recursive: true })
})

test('200 MB against a limit of 10 MB: 552 long before the end, and in short time', async () => {
  await flat(gate, async () => {
    const start = performance.now()
    const client = await inData(limited)
    client.send('Subject: big\r\n\r\n')
    const sent = await pour(client, lines, 200 * MIB)
    assert.match(await client.until(/\r\n/), /^552 5\.3\.4 [^\r\n]*\r\n$/)
    await client.closed()
    assert.ok(sent < 80 * MIB, `${sent} octets were taken`)
    assert.ok(performance.now() - start < 20_000)
  })
})

test('the same in the header, in one line, and as bare line feeds', async () => {
  await flat(gate, async () => {
    for (const chunk of [
      'X: y\r\n'.repeat(10_000),
      'x'.repeat(65_536),
      '\n'.repeat(65_536),
      '.\r'.repeat(32_768),
    ]) {
      const client = await inData(limited)
      await pour(client, Buffer.from(chunk), 200 * MIB)
      assert.match(await client.until(/\r\n/), /^55\d 5\.\d\.\d [^\r\n]*\r\n$/)
      await client.closed()
    }
  })
})

test('50 MB of one command line', async () => {
  await flat(gate, async () => {
    const client = await greeted(unlimited)
    client.received = ''
    for (let poured = 0; poured < 50 * MIB; client.received = '') {
      poured += await pour(client, Buffer.alloc(65_536, 'x'), 50 * MIB - poured)
      if (client.received !== '') assert.equal(client.received, '500 5.5.2 line too long\r\n')
    }
    assert.match(await client.command('\r\nNOOP'), /^250 /)
    client.destroy()
  })
})

test('clients that pipeline and never read are not read from any more', async () => {
  await flat(gate, async () => {
    const clients = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const client = await greeted(unlimited)
        client.socket.pause()
        return client
      }),
    )
    const batch = Buffer.from('EHLO x\r\nHELP\r\nVRFY x\r\n'.repeat(1000))
    const taken = await Promise.all(clients.map((client) => pour(client, batch, 200 * MIB, 300)))
    for (const octets of taken) assert.ok(octets < 32 * MIB, `${octets} octets were taken`)
    await assertServes(limited)
    for (const client of clients) client.destroy()
  })
})

test('more silent connections than there are sessions: the rest hears 421, and room comes back', async () => {
  await flat(gate, async () => {
    const clients = await Promise.all(Array.from({ length: 500 }, () => RawClient.connect(unlimited)))
    const banners = await Promise.all(clients.map((client) => client.until(/\r\n/)))
    assert.equal(banners.filter((banner) => banner.startsWith('220 ')).length, SESSIONS)
    const refused = banners.filter((banner) => banner.startsWith('421 4.4.5 '))
    assert.equal(refused.length, clients.length - SESSIONS)
    for (const [index, client] of clients.entries()) {
      if (index % 3 === 0) client.reset()
      else client.destroy()
    }
    await roomAgain()
  })
})

test('500 connections that say nothing where TLS comes first', async () => {
  await flat(gate, async () => {
    const clients = await Promise.all(Array.from({ length: 500 }, () => RawClient.connect(secured)))
    for (const client of clients) client.reset()
    await roomAgain()
  })
})

/** until the server has noticed that they are gone */
async function roomAgain(): Promise<void> {
  for (const until = Date.now() + 5000; Date.now() < until; await delay(20)) {
    const client = await RawClient.connect(unlimited)
    const banner = await client.until(/\r\n/)
    client.destroy()
    if (banner.startsWith('220 ')) return
  }
  assert.fail('no room came back')
}

const phases: readonly (readonly [string, readonly string[]])[] = [
  ['before the banner', []],
  ['after the banner', ['']],
  ['after half a command', ['', 'EHL']],
  ['after EHLO', ['', 'EHLO x\r\n']],
  ['after MAIL', ['', 'EHLO x\r\n', 'MAIL FROM:<a@b.example>\r\n']],
  ['after RCPT', ['', 'EHLO x\r\n', 'MAIL FROM:<a@b.example>\r\n', 'RCPT TO:<gone@gate.example>\r\n']],
  [
    'in DATA',
    ['', 'MAIL FROM:<a@b.example>\r\n', 'RCPT TO:<gone@gate.example>\r\n', 'DATA\r\n', 'A: b\r\n\r\n'],
  ],
  ['after STARTTLS', ['', 'EHLO x\r\n', 'STARTTLS\r\n']],
  ['in mid-handshake', ['', 'EHLO x\r\n', 'STARTTLS\r\n', '\x16\x03\x01\x02\x00']],
]

for (const leave of ['reset', 'end'] as const) {
  test(`clients that ${leave === 'reset' ? 'reset the connection' : 'close their side'} at each phase`, async () => {
    await flat(gate, async () => {
      await Promise.all(phases.flatMap((phase) => Array.from({ length: 10 }, () => leaveAt(phase[1], leave))))
      await roomAgain()
    })
    const kept = readFileSync(path.join(folder, 'main.ec'), 'latin1')
    assert.doesNotMatch(kept, /@R@gone@/)
  })
}

async function leaveAt(steps: readonly string[], leave: 'reset' | 'end'): Promise<void> {
  const client = await RawClient.connect(unlimited)
  for (const bytes of steps) {
    client.received = ''
    if (bytes !== '') client.send(bytes)
    // the banner, and whatever answers a whole command
    if (bytes === '' || /^[A-Z]+\b.*\r\n$/.test(bytes)) await client.until(/^\d{3} .*\r\n/m)
  }
  if (leave === 'reset') client.reset()
  else {
    client.socket.end()
    await client.closed()
  }
}

test('TLS clients that leave with RST right after their handshake, or while a message is on its way', async () => {
  await flat(gate, async () => {
    await Promise.all(
      Array.from({ length: 60 }, async (_, n) => {
        const client = await RawClient.connect(secured)
        const tls = await secure(client, {})
        tls.on('error', () => undefined)
        if (n % 2 === 0) {
          tls.write('MAIL FROM:<a@b.example>\r\nRCPT TO:<gone@gate.example>\r\nDATA\r\nA: b\r\n\r\n')
          tls.write('x'.repeat(100_000))
        }
        await delay(n)
        client.reset()
      }),
    )
    await roomAgain()
  })
})
