/** A gate with a console on a UNIX socket, sessions that it can tell of, and a console whose answers are long. */

import { once } from 'node:events'
import type { Socket } from 'node:net'
import path from 'node:path'
import { after, before } from 'node:test'
import type { Credential } from '../../src/tls/authority.ts'
import type { Pki } from '../../src/tls/pki.ts'
import { bareConsole, openDoor } from '../support/bare-console.ts'
import { data } from '../support/console-client.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const LISTENER = `
ESMTP_Listener {
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.0.1:0" { Use_SSL = true TLS_Verify_Mode_Shadow = "require" }
}
${MAILDIR}
`
export const CONSOLE = 'Control_Listener "ops" { Listen "FOLDER/control" { File_Mode = 0600 } }\n'
const SCRIPT = `
require("msys.core")
local mod = {}
function mod:init()
  msys.registerControl("greet", function(cc) print("hello \\027[2J " .. cc.argv[1]) end)
  msys.registerControl("fail", function(cc) print("before") error("no such thing") end)
  msys.registerControl("pid", function(cc) print("mine") end)
  return true
end
msys.registerModule("mod", mod)
`
const SCRIPTLET = 'scriptlet "scriptlet" { script "mod" { source = "mod.lua" } }\n'
/** whatever a terminal could act on */
export const HARMFUL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

export let gate: TestGate
export let pki: Pki
export let control: string

before(async () => {
  pki = await testPki()
  gate = await startTestGate({ pki, conf: LISTENER + CONSOLE + SCRIPTLET, files: { 'mod.lua': SCRIPT } })
  control = path.join(gate.folder, 'control')
})
after(() => gate.stop())

/** A session inside TLS, after EHLO. */
export async function session(credential?: Credential, name = 'client.example'): Promise<SmtpClient> {
  const identity = credential === undefined ? {} : { cert: credential.cert, key: credential.key }
  const client = await SmtpClient.connectTls(gate.address(), identity)
  await client.reply()
  await client.command(`EHLO ${name}`)
  return client
}

export async function quit(client: SmtpClient): Promise<void> {
  client.send('QUIT')
  await client.closed()
  client.destroy()
}

export type Row = Readonly<Record<string, unknown>>

export const rows = async (line: string): Promise<readonly Row[]> =>
  ((await data(control, line)) as { readonly rows: readonly Row[] }).rows

/** A console whose answers are long, behind a door that lets everybody in. @returns its socket */
export async function ownConsole(
  t: { after(run: () => void): void },
  limits: object,
  timeout = 60,
): Promise<string> {
  const socket = path.join(gate.folder, `bare${Math.random()}`)
  const services = {
    settings: () => ({ global: { control_client_timeout: timeout } }),
    scripts: () => ({ commands: [], command: async () => ({ kind: 'done', output: 'x'.repeat(5_000_000) }) }),
  }
  await bareConsole(t, {
    at: { path: socket },
    limits,
    services,
    door: () => openDoor({ timeout: timeout * 1000 }),
  })
  return socket
}

/** What a socket brings until it is closed. */
export async function everythingFrom(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(socket, 'close')
  return text
}
