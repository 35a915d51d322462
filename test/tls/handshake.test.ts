/** Handshakes that go wrong, and the way in from STARTTLS. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { after, before, beforeEach, suite, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { InboundScope } from '../../src/config/settings.ts'
import { TlsHandshakeError } from '../../src/tls/gate.ts'
import { type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import {
  factsOf,
  failureOf,
  file,
  type Gate,
  load,
  openGate,
  scopeOf,
  type TlsOptions,
  visit,
} from './gate-harness.ts'

let directory: PkiDirectory
let gate: Gate

before(async () => {
  directory = await pkiDirectory()
  const scope = scopeFor()
  gate = await openGate(await load([scope]), scope)
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

beforeEach(() => use())

function scopeFor(more: TlsOptions = {}): InboundScope {
  return scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    ...more,
  })
}

async function use(more: TlsOptions = {}): Promise<void> {
  const scope = scopeFor(more)
  gate.use(await load([scope]), scope)
}

async function raw(): Promise<Socket> {
  const socket = connect(gate.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** The bytes of a real ClientHello. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connectTls({ host: '127.0.0.1', port: (server.address() as { port: number }).port })
  client.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  server.close()
  return hello
}

async function received(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = []
  socket.on('data', (data: Buffer) => parts.push(data))
  await once(socket, 'close')
  return Buffer.concat(parts)
}

suite('failures', () => {
  test('garbage instead of a ClientHello is answered by a close, and by an alert where it looks like TLS', async () => {
    const cases: readonly [string, RegExp, string][] = [
      ['EHLO client.example\r\n', /wrong version number/, ''],
      ['GET / HTTP/1.1\r\n\r\n', /http request/, ''],
      // a record that holds no ClientHello: unexpected_message
      ['\x16\x03\x01\x00\x05hello', /unexpected message/, '1503030002020a'],
    ]
    for (const [bytes, reason, answer] of cases) {
      const socket = await raw()
      const all = received(socket)
      socket.write(Buffer.from(bytes, 'latin1'))
      assert.match(await failureOf(gate), reason)
      assert.equal((await all).toString('hex'), answer)
    }
  })

  test('a ClientHello in single bytes is understood', async () => {
    const { promise: ready, resolve } = Promise.withResolvers<number>()
    const relay = createServer((from) => {
      const to = connect(gate.port, '127.0.0.1')
      to.setNoDelay(true)
      to.pipe(from)
      from.on('data', (data: Buffer) => {
        for (const octet of data) to.write(Buffer.of(octet))
      })
      from.on('end', () => to.end())
      from.on('error', () => to.destroy())
      to.on('error', () => from.destroy())
    })
    relay.listen(0, '127.0.0.1', () => resolve((relay.address() as { port: number }).port))
    const seen = await visit(await ready, { credential: directory.pki.clients.valid })
    relay.close()
    assert.equal(seen.greeting, 'hello\r\n')
    assert.equal((await factsOf(gate)).peer.kind, 'verified')
  })

  test('a client that leaves in the middle is told as that, where half-open connections are allowed too', async () => {
    const hello = await clientHello()
    const socket = await raw()
    socket.write(hello.subarray(0, 100))
    socket.end()
    assert.match(await failureOf(gate), /connection closed during the handshake|unexpected eof/)
    const second = await raw()
    second.write(hello)
    await once(second, 'data')
    second.resetAndDestroy()
    assert.match(await failureOf(gate), /connection reset by the client/)
    const silent = await raw()
    silent.end()
    assert.match(await failureOf(gate), /connection closed during the handshake/)
  })

  test('a handshake that stalls ends at its deadline', async () => {
    await use({ tls_handshake_timeout: 0.1 })
    const socket = await raw()
    socket.write((await clientHello()).subarray(0, 100))
    const closed = once(socket, 'close')
    socket.resume()
    assert.match(await failureOf(gate), /handshake timeout/)
    await closed
  })

  test('an address has only so many handshakes under way, and they are given back', async () => {
    await use({ tls_max_handshakes_per_address: 2, tls_handshake_timeout: 5 })
    const stalled = [await raw(), await raw()]
    const third = await raw()
    third.resume()
    const arrival = await gate.arrival()
    assert.ok('error' in arrival && arrival.error instanceof TlsHandshakeError)
    assert.match(arrival.error.message, /too many handshakes/)
    // the decision record says what it would have been judged by
    assert.ok(arrival.error.sources?.ca !== undefined)
    for (const socket of stalled) socket.destroy()
    await failureOf(gate)
    await failureOf(gate)
    assert.equal((await visit(gate.port)).greeting, 'hello\r\n')
    await factsOf(gate)
  })

  test('a refused client reads its alert although it has already sent a lot, and meets no reset', async () => {
    await use({ tls_verify_mode: 'require' })
    const resets: Error[] = []
    const relay = createServer((from) => {
      const to = connect(gate.port, '127.0.0.1')
      to.on('error', (error) => resets.push(error))
      from.on('error', () => to.destroy())
      from.pipe(to).pipe(from)
    }).listen(0, '127.0.0.1')
    await once(relay, 'listening')
    const { port } = relay.address() as { port: number }
    for (let i = 0; i < 5; i += 1) {
      const seen = await visit(port, { version: 'TLSv1.3', eager: Buffer.alloc(2_000_000) })
      assert.equal(seen.error, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')
      assert.match(await failureOf(gate), /peer did not return a certificate/)
    }
    relay.close()
    assert.deepEqual(resets, [])
  })

  test('suites without certificates do not get around require', async () => {
    await use({ tls_verify_mode: 'require', tls_ciphers: 'aNULL@SECLEVEL=0' })
    const more = { ciphers: 'aNULL@SECLEVEL=0' }
    const seen = await visit(gate.port, { version: 'TLSv1.2', more })
    // OpenSSL asks for a certificate all the same, which such a suite forbids (RFC 5246 §7.4.4)
    assert.deepEqual([seen.greeting, seen.error], ['', 'ERR_SSL_UNEXPECTED_MESSAGE'])
    assert.match(await failureOf(gate), /alert unexpected message/)
  })

  test('the socket is destroyed when the error comes out', async () => {
    const contexts = await load([scopeFor({ tls_verify_mode: 'require' })])
    const scope = scopeFor({ tls_verify_mode: 'require' })
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = visit((server.address() as { port: number }).port, { version: 'TLSv1.2' })
    const [socket] = (await once(server, 'connection')) as [Socket]
    await assert.rejects(contexts.accept(socket, scope, '192.0.2.1'), TlsHandshakeError)
    assert.equal(socket.destroyed, true)
    assert.equal((await client).error, 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE')
    server.close()
  })

  test('a socket that is closed already is refused at once', async () => {
    const socket = await raw()
    socket.destroy()
    const scope = scopeFor()
    await assert.rejects((await load([scope])).accept(socket, scope, ''), /closed before the handshake/)
    await failureOf(gate)
  })

  test('a scope without a certificate offers no TLS', async () => {
    const scope = scopeOf({})
    const contexts = await load([scope])
    assert.equal(contexts.offers(scope), false)
    const socket = await raw()
    await assert.rejects(contexts.accept(socket, scope, ''), /not available/)
    assert.equal(socket.destroyed, true)
    await failureOf(gate)
  })
})

suite('after the handshake', () => {
  test('renegotiation is refused', async () => {
    const client = connectTls({
      host: '127.0.0.1',
      port: gate.port,
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.2',
    })
    await once(client, 'secureConnect')
    const failed = once(client, 'error')
    client.renegotiate({}, () => {})
    const [error] = (await failed) as [NodeJS.ErrnoException]
    assert.match(String(error.code), /NO_RENEGOTIATION/)
    client.destroy()
    await factsOf(gate)
  })

  test('bytes that are no TLS destroy the socket and raise nothing', async () => {
    const socket = await raw()
    const client = connectTls({ socket, rejectUnauthorized: false })
    client.on('error', () => {})
    await once(client, 'data')
    const arrival = await gate.arrival()
    assert.ok('socket' in arrival)
    const closed = new Promise((resolve) => arrival.socket.once('close', resolve))
    // beneath the client's TLS, on the wire
    socket.write(Buffer.from('this is no TLS record at all\r\n'.repeat(4)))
    await closed
    client.destroy()
  })
})

suite('STARTTLS', () => {
  test('the pending reply goes out in clear text, then the handshake runs on the same socket', async () => {
    const server = await starttls('')
    const over = await plainPart(server.port)
    const seen = await visit(0, { over, credential: directory.pki.clients.valid })
    assert.equal(seen.greeting, 'hello\r\n')
    assert.equal((await factsOf(server.gate)).peer.kind, 'verified')
    await server.done()
  })

  test('bytes that were smuggled in before the handshake end it and are never seen inside TLS', async () => {
    const server = await starttls('MAIL FROM:<evil@example.com>\r\n')
    const over = await plainPart(server.port)
    const seen = await visit(0, { over })
    assert.notEqual(seen.error, undefined)
    assert.equal(seen.greeting, '')
    assert.match(await failureOf(server.gate), /TLS handshake failed/)
    await server.done()
  })
})

async function starttls(
  injected: string,
): Promise<{ port: number; done: () => PromiseLike<void>; gate: Gate }> {
  const scope = scopeFor()
  const inner = await openGate(await load([scope]), scope, async (socket) => {
    const [line] = (await once(socket, 'data')) as [Buffer]
    assert.match(line.toString('latin1'), /^STARTTLS\r\n/)
    socket.removeAllListeners('data')
    socket.pause()
    // what came in one segment with STARTTLS and was not dealt with
    if (injected !== '') socket.unshift(Buffer.from(injected, 'latin1'))
    socket.write('220 go ahead\r\n')
  })
  return { port: inner.port, gate: inner, done: () => inner[Symbol.asyncDispose]() }
}

async function plainPart(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write('STARTTLS\r\n')
  const [reply] = (await once(socket, 'data')) as [Buffer]
  assert.equal(reply.toString('latin1'), '220 go ahead\r\n')
  return socket
}
