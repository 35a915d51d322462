/**
 * A gate and its clients, to be traced: `node durability-session.ts FOLDER`. Starts the server through bin/postern with
 * everything in the folder, sends messages of every kind of storage, and ends with 0 when each was answered 250.
 *
 * Header and body of message NAME hold `X-Mark: NAME` and `body-of NAME`, and its sender is NAME@marked.example.
 */

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { startGateProcess } from '../support/gate-process.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'

const [folder = ''] = process.argv.slice(2)
const file = path.join(folder, 'gate.conf')
writeFileSync(
  file,
  `Hostname = "gate.example"
   Spoolbase = "new/spool"
   Spool_Min_Free = 1M
   ESMTP_Listener { Listen "127.0.0.1:0" { } }
   maildir "m" { basedir = "new/mail" domains = ( "gate.example" ) create_users = true }`,
)
const gate = await startGateProcess(file)
const [address] = gate.addresses
if (address === undefined) throw new Error('no address')

await send(address, ['one'], 100)
await Promise.all(Array.from({ length: 8 }, (_, n) => send(address, [`c${n}a`, `c${n}b`], 2000)))
await send(address, ['three'], 2000, 3)
await send(address, ['large1', 'large2'], 300 * 1024)
await Promise.all(['large3', 'large4'].map((name) => send(address, [name], 1024 * 1024)))
await send(address, ['last'], 10)
process.exitCode = (await gate.end('SIGTERM')) === 0 ? 0 : 1

/** One client, some messages. */
async function send(to: Address, names: readonly string[], octets: number, recipients = 1): Promise<void> {
  const client = await SmtpClient.connect(to)
  await client.reply()
  await client.ehlo()
  for (const name of names) {
    const text = `X-Mark: ${name}\r\n\r\nbody-of ${name}\r\n${`${'x'.repeat(70)}\r\n`.repeat(Math.ceil(octets / 72))}`
    await expect(client, `MAIL FROM:<${name}@marked.example>`)
    for (let n = 0; n < recipients; n += 1) await expect(client, `RCPT TO:<box${n}@gate.example>`)
    await expect(client, 'DATA')
    await expect(client, `${text}.`)
  }
  client.destroy()
}

async function expect(client: SmtpClient, line: string): Promise<void> {
  const reply = await client.command(line)
  if (!/^[23]/.test(reply)) throw new Error(reply)
}
