/** What only a message of half a gigabyte shows. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startGateProcess } from '../support/gate-process.ts'
import { flat, inData, lines, MIB, pour } from './flood.ts'

const conf = `Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
Reception_Memory = 8M
ESMTP_Listener { Listen "127.0.0.1:0" { } }
maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
ec_logger "l" { mainlog = "main.ec" }
`

test('a message of 512 MB where there is no limit streams to disk and to its mailbox', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-overload-'))
  writeFileSync(path.join(folder, 'gate.conf'), conf)
  const gate = await startGateProcess(path.join(folder, 'gate.conf'))
  const [address] = gate.addresses
  assert.ok(address)
  const delivered = (): boolean =>
    /@D@[^\n]*@5\d{8}@/.test(readFileSync(path.join(folder, 'main.ec'), 'latin1'))
  try {
    await flat(gate, async () => {
      const client = await inData(address)
      client.send('Subject: big\r\n\r\n')
      await pour(client, lines, 512 * MIB, 30_000)
      client.send('.\r\n')
      assert.match(await client.until(/\r\n/), /^250 /)
      client.destroy()
      for (const until = Date.now() + 60_000; !delivered() && Date.now() < until; ) await delay(50)
    })
    assert.ok(delivered(), 'it is in the log of deliveries')
  } finally {
    await gate.end('SIGTERM')
    rmSync(folder, { recursive: true })
  }
})
