/** A gate whose console asks who comes: on TCP, inside TLS and on UNIX sockets, and operators of every kind. */

import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { chmodSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { userInfo } from 'node:os'
import path from 'node:path'
import { after, before } from 'node:test'
import { ConsoleConnection } from '../../src/cli/console/connection.ts'
import type { ConsoleEndpoint } from '../../src/cli/console/endpoint.ts'
import { credentialsFrom } from '../../src/cli/console/login.ts'
import { type Frame, FrameReader } from '../../src/console/protocol.ts'
import { formatOperator } from '../../src/logs/acctlog.ts'
import type { Credential } from '../../src/tls/authority.ts'
import type { Pki } from '../../src/tls/pki.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

export const PASSWORD = 'correct horse battery'
export const DIGEST = createHash('md5').update(`alice:console:${PASSWORD}`).digest('hex')

const CONF = `
ESMTP_Listener { Listen "127.0.0.1:0" { } }
ec_logger "l" { acctlog = "acct.ec" paniclog = "panic.ec" mainlog = "main.ec" rejectlog = "reject.ec" }
Auth_Failure_Delay = 0
Control_Listener "tcp" {
  AuthDigestMD5Parameters = [ uri = "digest://FOLDER/passwd" realm = "console" ]
  AuthorizationParameters = [ uri = "groups://FOLDER/roles" ]
  Listen "127.0.0.1:0" { Timeout = 20 }
}
Control_Listener "limited" {
  AuthDigestMD5Parameters = [ uri = "digest://FOLDER/passwd" realm = "console" ]
  Auth_Failure_Limit = 2
  Listen "127.0.0.2:0" { Peer "127.0.0.3" { Always_Deny = true } }
}
Control_Listener "tls" {
  Use_SSL = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  AuthLoginParameters = [ uri = "file://FOLDER/users" ]
  AuthExternalParameters = [ identity = "cn" uri = "file://FOLDER/operators" ]
  Listen "127.0.0.4:0" { }
}
Control_Listener "unix" {
  Listen "FOLDER/open" { }
  Listen "FOLDER/team" { AuthorizationParameters = [ uri = "groups://FOLDER/roles" ] }
  Listen "FOLDER/login" { AuthPlainParameters = [ uri = "file://FOLDER/users" ] }
  Listen "FOLDER/counted" { AuthPlainParameters = [ uri = "file://FOLDER/users" ] Auth_Failure_Limit = 2 }
  Listen "FOLDER/shut" { Always_Deny = true }
}
Authorization {
  Role "admin" { allow = ( "^summary$" "^config eval " "^mailq" ) }
  Role "root" { allow = ( ".*" ) }
}
`

export let gate: TestGate
export let pki: Pki

before(async () => {
  pki = await testPki()
  gate = await startTestGate({
    pki,
    conf: CONF,
    files: {
      passwd: `alice:console:${DIGEST}\n`,
      users: `bob:${PASSWORD}\n`,
      operators: `carol:${commonName(pki.clients.valid)}\n`,
      roles: `# who is what\nadmin:alice,bob\nstaff:x:${userInfo().username}\n`,
    },
  })
  for (const name of ['passwd', 'users', 'operators', 'roles']) chmodSync(path.join(gate.folder, name), 0o600)
})
after(() => gate.stop())

function commonName({ cert }: Credential): string {
  return /CN=([^\n,]+)/.exec(new X509Certificate(cert).subject)?.[1] ?? ''
}

/** @param index of the TCP Listens, in order */
export function tcp(index: number, tls = false, credential?: Credential): ConsoleEndpoint {
  const text = gate.server.serviceAddresses.console.filter((each) => /:\d+$/.test(each))[index] ?? ''
  const [host = '', port = ''] = text.split(':')
  const own = credential === undefined ? {} : { cert: credential.cert, key: credential.key }
  const encrypted = { ca: pki.authority.cert, servername: 'localhost', ...own }
  return {
    kind: 'tcp',
    host,
    port: Number(port),
    shown: text,
    user: undefined,
    tls: tls ? encrypted : undefined,
  }
}

export async function open(
  endpoint: ConsoleEndpoint,
  user?: string,
  password?: string,
): Promise<ConsoleConnection> {
  const sources = { user, passwordFile: undefined, environment: password, prompt: undefined }
  return await ConsoleConnection.open(endpoint, credentialsFrom(sources))
}

/** One command of somebody who logs in. */
export async function ask(endpoint: ConsoleEndpoint, line: string, user?: string): Promise<Frame> {
  const connection = await open(endpoint, user, PASSWORD)
  try {
    return await connection.ask(line)
  } finally {
    connection.close()
  }
}

/** A client that says what it likes. */
export class Raw {
  readonly socket: Socket
  readonly #frames: Frame[] = []
  readonly #reader = new FrameReader()
  #wake: () => void = () => undefined
  #closed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      this.#frames.push(...this.#reader.push(chunk))
      this.#wake()
    })
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  static to(endpoint: ConsoleEndpoint, localAddress?: string): Raw {
    assert.equal(endpoint.kind, 'tcp')
    const { host, port } = endpoint
    return new Raw(connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) }))
  }

  /** undefined: the connection is closed */
  async frame(): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.#closed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    return this.#frames.shift()
  }

  async say(line: string): Promise<Frame | undefined> {
    this.socket.write(`${line}\n`)
    return await this.frame()
  }
}

export const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64')
/** Lines of the acctlog as they are or will be. */
export const account = (): string =>
  gate.events.map((event) => (event.kind === 'operator' ? `${formatOperator(event)}\n` : '')).join('')

export function endpoint(name: string): ConsoleEndpoint {
  const file = path.join(gate.folder, name)
  return { kind: 'unix', path: file, shown: file, user: undefined }
}

/** A wrong password, from an address of its own. */
export async function guess(): Promise<string | undefined> {
  const raw = Raw.to(tcp(1), '127.0.0.9')
  await raw.frame()
  const challenge = await raw.say('login DIGEST-MD5')
  const nonce = /nonce="([^"]+)"/.exec(Buffer.from(challenge?.text ?? '', 'base64').toString())?.[1]
  const hash = '0'.repeat(32)
  const answer = `username="alice",realm="console",nonce="${nonce}",nc=00000001,cnonce="c",digest-uri="postern/x",response=${hash}`
  const end = challenge?.status === 'challenge' ? await raw.say(base64(answer)) : challenge
  raw.socket.destroy()
  return end?.text
}
