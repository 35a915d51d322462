/** The console against those who got in, or nearly: places that others need, rules that read something else than what runs. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import path from 'node:path'
import { describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { ConsoleConnection } from '../../src/cli/console/connection.ts'
import { credentialsFrom } from '../../src/cli/console/login.ts'
import type { ControlAccess } from '../../src/config/settings-control.ts'
import type { Door } from '../../src/console/door.ts'
import type { Operator } from '../../src/console/operator.ts'
import { type Frame, FrameReader } from '../../src/console/protocol.ts'
import { formatOperator } from '../../src/logs/acctlog.ts'
import { ConsoleDoor, type Doors } from '../../src/operator/console-door.ts'
import { bareConsole, openDoor } from '../support/bare-console.ts'
import { PageClient } from '../support/page-client.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate } from '../support/test-gate.ts'

const PASSWORD = 'correct horse battery'
const DIGEST = createHash('md5').update(`mallory:console:${PASSWORD}`).digest('hex')

describe('places', () => {
  test('who logs in takes one of those that there are, and no user takes all', async (t) => {
    const come = await openPlaces(t, { clients: 3, clientsPerUser: 2, strangers: 9, strangersPerAddress: 9 })
    const statuses: (string | undefined)[] = []
    for (const name of ['mallory', 'mallory', 'mallory', 'alice', 'bob']) {
      const client = await come('192.0.2.1')
      assert.equal(client.hello?.status, 'hello')
      statuses.push((await client.say(`login PLAIN ${name}`))?.status)
    }
    assert.deepEqual(statuses, ['ok', 'ok', 'error', 'ok', 'error'])
  })

  test('strangers must log in in time, and take no places from those who have', async (t) => {
    const come = await openPlaces(t, { login: 300, strangers: 3, strangersPerAddress: 2, clients: 1 })
    const comes = async (network: string, operator?: Operator): Promise<Client> => {
      const client = await come(network, operator)
      assert.equal(client.hello?.status, 'hello')
      return client
    }
    const near = [await comes('192.0.2.1'), await comes('192.0.2.1'), await comes('192.0.2.1')]
    // the third of an address takes the place of its first
    await near[0]?.turnedAway()
    await comes('192.0.2.2')
    // whose address has none there is given the place of one whose address has several
    const third = await comes('192.0.2.3')
    await near[1]?.turnedAway()
    // and where each has one, of the one that has waited for longest
    await comes('192.0.2.4')
    await near[2]?.turnedAway()
    await comes('192.0.2.3', operatorOf('x'))
    // however busy a stranger seems, the time is up
    assert.equal(await third.say('login X', ''), undefined)
  })

  test('strangers of one IPv6 network are one address', () => {
    assert.equal(networkOf('2001:db8::1'), networkOf('2001:db8::ffff:2'))
    assert.notEqual(networkOf('2001:db8::1'), networkOf('2001:db8:0:1::1'))
    assert.notEqual(networkOf('192.0.2.1'), networkOf('192.0.2.2'))
  })
})

test('a rule reads the command that runs, accounts have it without secrets; a trace ends with the login', async () => {
  const gate = await startTestGate({
    conf: `
ESMTP_Listener { Listen "127.0.0.1:0" { } }
Control_Listener "tcp" {
  AuthDigestMD5Parameters = [ uri = "digest://FOLDER/passwd" realm = "console" ]
  Enable_Authorization = true
  Listen "127.0.0.1:0" { }
}
Authorization { Role "mallory" { allow = ( "^config set (?!.*(?i:hostname))" "^trace " ) } }`,
    files: { passwd: `mallory:console:${DIGEST}\n` },
  })
  try {
    const [host = '', port = ''] = (gate.server.serviceAddresses.console[0] ?? '').split(':')
    const connection = await ConsoleConnection.open(
      { kind: 'tcp', host, port: Number(port), shown: '', user: 'mallory', tls: undefined },
      credentialsFrom({
        user: 'mallory',
        passwordFile: undefined,
        environment: PASSWORD,
        prompt: undefined,
      }),
    )
    const line = 'config set domain token.example hostname = evil.example'
    assert.match((await connection.ask(line)).text, /Not Authorized/)
    const lines: string[] = []
    const began = Promise.withResolvers<void>()
    const onMore = (text: string): void => {
      lines.push(text)
      began.resolve()
    }
    const traced = connection.ask('trace smtp inbound *', { onMore, stop: new AbortController().signal })
    await began.promise
    writeFileSync(path.join(gate.folder, 'passwd'), '')
    const client = connect(gate.address())
    await once(client, 'data')
    client.end('QUIT\r\n')
    assert.match((await traced).text, /has ended: nothing more can be written/)
    assert.equal(lines.length, 1)
    connection.close()
    const accounts = gate.events.flatMap((event) => (event.kind === 'operator' ? formatOperator(event) : []))
    assert.match(accounts[1] ?? '', /@mallory@0@config set domain token\.example \*\*\*$/)
  } finally {
    await gate.stop()
  }
})

test('idle connections of one address leave room for others: of the console, before a handshake, and of HTTP', async () => {
  const gate = await startTestGate({
    pki: await testPki(),
    conf: `
ESMTP_Listener { Listen "127.0.0.1:0" { } }
Control_Listener "tls" {
  Use_SSL = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  AuthLoginParameters = [ uri = "file://FOLDER/users" ]
  Listen "127.0.0.1:0" { }
}
HTTP_Listener "web" {
  Use_SSL = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  Listen "127.0.0.1:0" { }
}`,
    files: { users: `bob:${PASSWORD}\n` },
  })
  const { console, http } = gate.server.serviceAddresses
  const [port = 0, web = 0] = [console[0], http[0]].map((each) => Number(each?.split(':').at(-1)))
  const idle: Socket[] = []
  try {
    idle.push(...(await crowd(port, 5)), ...(await crowd(web, 33)))
    assert.equal(idle.filter(({ destroyed }) => destroyed).length, 2)
    // nor do some addresses take all places
    for (const address of ['127.0.0.67', '127.0.0.68', '127.0.0.69'])
      idle.push(...(await crowd(port, 5, address)))
    const options = { host: '127.0.0.1', rejectUnauthorized: false }
    const operator = connectTls({ ...options, port })
    assert.match(String(await once(operator, 'data')), /^hello /)
    operator.destroy()
    // more than one address may have at once: each gives its place back
    for (let n = 0; n < 40; n++) {
      const client = connectTls({ ...options, port: web })
      client.end('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
      assert.match(String(await once(client, 'data')), /^HTTP\/1\.1 200 /)
      await once(client, 'close')
    }
  } finally {
    for (const socket of idle) socket.destroy()
    await gate.stop()
  }
})

test('a flood from some addresses keeps no operator out, and from where one is expected it displaces nobody', async () => {
  const gate = await startTestGate({
    conf: `
ESMTP_Listener { Listen "127.0.0.1:0" { } }
Control_Listener "tcp" {
  AuthDigestMD5Parameters = [ uri = "digest://FOLDER/passwd" realm = "console" ]
  Listen "127.0.0.1:0" { Peer "127.0.1.0/24" { Auth_Failure_Limit = 5 } }
}
HTTP_Listener "page" {
  Page = true
  AuthLoginParameters [ uri = "file://FOLDER/users" ]
  Listen "127.0.0.1:0" { }
}`,
    files: { passwd: `mallory:console:${DIGEST}\n`, users: `bob:${PASSWORD}\n` },
  })
  const { console, http } = gate.server.serviceAddresses
  const [port = 0, web = 0] = [console[0], http[0]].map((each) => Number(each?.split(':').at(-1)))
  const idle: Socket[] = []
  const flood = async (to: number, addresses: number, each: number): Promise<void> => {
    const from = Array.from({ length: addresses * each }, (_, n) => `127.0.2.${1 + (n % addresses)}`)
    idle.push(...(await Promise.all(from.map((localAddress) => open(to, localAddress)))))
  }
  try {
    const [expected, stranger] = [await open(port, '127.0.1.5'), await open(port, '127.0.3.5')]
    idle.push(expected, stranger)
    const turnedOut = once(stranger.resume(), 'close')
    await flood(port, 16, 4)
    const endpoint = { kind: 'tcp', host: '127.0.0.1', port, shown: '', tls: undefined } as const
    const sources = { passwordFile: undefined, environment: PASSWORD, prompt: undefined }
    const credentials = credentialsFrom({ user: 'mallory', ...sources })
    const operator = await ConsoleConnection.open({ ...endpoint, user: 'mallory' }, credentials)
    assert.equal((await operator.ask('pid')).status, 'ok')
    operator.close()
    await flood(port, 65, 1)
    await turnedOut
    const client = new Client(expected)
    await client.frame()
    assert.equal((await client.say('login DIGEST-MD5'))?.status, 'challenge')
    await flood(web, 16, 4)
    const page = new PageClient(`127.0.0.1:${web}`)
    assert.equal((await page.login('bob', PASSWORD)).status, 200)
    // what a session asks waits with nobody, and is displaced by nobody
    const act = connect({ host: '127.0.0.1', port: web })
    act.write(
      `POST /page/api/explain HTTP/1.1\r\nHost: ${page.address}\r\nOrigin: http://${page.address}\r\nCookie: ${page.cookie}\r\n` +
        `X-CSRF-Token: ${page.csrf}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
    )
    assert.match(String(await once(act, 'data')), /^HTTP\/1\.1 100 /)
    assert.equal((await page.session()).data['user'], 'bob')
    idle.push(...(await crowd(web, 33, '127.0.0.1')))
    act.write('[]')
    assert.match(String(await once(act, 'data')), /^HTTP\/1\.1 400 /)
  } finally {
    for (const socket of idle) socket.destroy()
    await gate.stop()
  }
})

async function open(port: number, localAddress: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Connections of a stranger who says nothing, one more than he may have; the first is destroyed. */
async function crowd(port: number, size: number, localAddress = '127.0.0.66'): Promise<readonly Socket[]> {
  const sockets: Socket[] = []
  for (let n = 0; n < size; n++) {
    sockets.push(await open(port, localAddress))
  }
  const [first] = sockets
  if (first !== undefined) {
    first.resume()
    await once(first, 'close')
  }
  return sockets
}

const access: ControlAccess = {
  mechanisms: {},
  failures: { limit: 0, window: 1, delay: 0 },
  denied: false,
  expected: false,
  loginNeeded: true,
  authorization: undefined,
  timeout: 0,
}

class Client {
  readonly #frames: AsyncGenerator<Frame, undefined>
  readonly #socket: Socket
  hello: Frame | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    this.#frames = framesOf(socket)
  }

  /** The next one; undefined when there are no more. */
  async frame(): Promise<Frame | undefined> {
    return (await this.#frames.next()).value
  }

  /** Its place has gone to somebody else. */
  async turnedAway(): Promise<void> {
    const text = 'too many clients of the console are connected\n'
    assert.deepEqual(await this.frame(), { status: 'error', text })
    assert.equal(await this.frame(), undefined)
  }

  /** @param end empty for a line that does not end yet */
  async say(line: string, end = '\n'): Promise<Frame | undefined> {
    this.#socket.write(line + end)
    return await this.frame()
  }
}

async function* framesOf(socket: Socket): AsyncGenerator<Frame, undefined> {
  const reader = new FrameReader()
  for await (const chunk of socket) yield* reader.push(chunk as Buffer)
  return undefined
}

/** A console whose users need no password; `login PLAIN NAME` is one. Who comes as an operator has logged in. */
async function openPlaces(
  t: { after: (fn: () => void) => void },
  limits: object,
): Promise<(network: string, operator?: Operator) => Promise<Client>> {
  let next: Partial<Door> = {}
  const port = await bareConsole(t, {
    limits,
    door: () =>
      openDoor({
        room: 'strangers',
        offer: { needed: true, mechanisms: ['PLAIN'] },
        begin: (_mechanism, name = '') => Promise.resolve({ kind: 'passed', operator: operatorOf(name) }),
        ...next,
      }),
  })
  return async (network, operator) => {
    next = { network, operator }
    const client = new Client(connect({ host: '127.0.0.1', port }))
    client.hello = await client.frame()
    return client
  }
}

function operatorOf(name: string): Operator {
  return { name, known: 'password', from: '' }
}

function networkOf(address: string): string {
  const arrival = { listener: 'l', address, port: 1, peer: { kind: 'plaintext' } } as const
  return new ConsoleDoor({} as Doors, arrival, access).network
}
