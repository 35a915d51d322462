/** The console of a running gate: what each command says, to whom, and what nobody can do to it. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, lstatSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import path from 'node:path'
import { describe, test } from 'node:test'
import { ConsoleUnreachable } from '../../src/cli/console/connection.ts'
import { completions } from '../../src/cli/console/prompt.ts'
import { consoleCommands } from '../../src/console/commands.ts'
import { ListenError } from '../../src/listener/listener.ts'
import { ask, data, openConsole, told } from '../support/console-client.ts'
import type { SmtpClient } from '../support/smtp-client.ts'
import { hostileNames } from '../support/test-ca.ts'
import { startTestGate } from '../support/test-gate.ts'
import {
  CONSOLE,
  control,
  everythingFrom,
  gate,
  HARMFUL,
  ownConsole,
  pki,
  quit,
  type Row,
  rows,
  session,
} from './console.fixture.ts'

describe('commands', () => {
  test('help knows every command, those of scripts too, and each one’s usage', async () => {
    const text = await told(control, 'help')
    for (const { name, help } of consoleCommands)
      assert.ok(text.includes(`${name} `) && text.includes(help), name)
    assert.match(text, /^greet +a command of a script$/m)
    assert.match(await told(control, 'HELP Tls Why'), /^tls why CONNECTION-OR-ADDRESS\n/)
    assert.match((await ask(control, 'help nonsense')).text, /there is no command "nonsense"/)
  })

  test('version, pid and sysinfo', async () => {
    assert.equal(await told(control, 'version'), 'Postern test\n')
    assert.equal(await told(control, 'pid'), `${process.pid}\n`)
    assert.deepEqual(await data(control, 'pid'), { pid: process.pid })
    assert.match(await told(control, 'sysinfo'), /^ {8}hostname: gate\.example$/m)
  })

  test('an unknown command is an error that says what was meant', async () => {
    const { status, text } = await ask(control, 'tls sesions')
    assert.equal(status, 'error')
    assert.match(text, /did you mean "tls sessions"\?/)
    assert.match((await ask(control, 'pid 5')).text, /nothing may follow "pid"/)
    assert.match((await ask(control, 'mailq -x 5')).text, /"-x" is no option here/)
    assert.match((await ask(control, 'json mailq -l many')).text, /^\{"error":"\\"many\\" is not/)
  })

  test('config eval says what postern eval says', async () => {
    assert.match(
      await told(control, 'config eval hostname'),
      /^Hostname = "gate\.example"\n {2}from .*gate\.conf:1\n$/,
    )
    const place = 'esmtp_listener listen 127.0.0.1:0 peer 10.0.0.1'
    assert.match(await told(control, `config eval ${place} tls_verify_mode_shadow`), /= "require"/)
    assert.equal((await ask(control, 'config eval no_such_option')).status, 'error')
    assert.equal((await ask(control, 'config eval peer 300.1.1.1 tls_verify_mode')).status, 'error')
  })

  test('summary counts what happened, in Momentum’s order, and can be reset', async () => {
    await told(control, 'summary reset')
    const client = await session(pki.clients.valid)
    assert.match(await client.deliver('a@b.example', 'x@gate.example', 'Subject: x\n\nhi\n'), /^250/)
    assert.match(await client.command('RCPT TO:<x@gate.example>'), /^503/)
    await gate.event('delivery')
    const summary = (await data(control, 'summary')) as Record<string, number>
    assert.equal(summary['inboundConcurrency'], 1)
    assert.equal(summary['receivedMessages'], 1)
    assert.equal(summary['successfullyDeliveredMessages'], 1)
    assert.equal(summary['rejectedMessages'], 1)
    const lines = (await told(control, 'summary')).split('\n')
    assert.equal(lines[0], 'Summary Statistics')
    assert.match(lines[2] ?? '', /^ {8}Inbound Concurrency: 1$/)
    await told(control, 'summary reset')
    assert.equal(((await data(control, 'summary')) as Record<string, number>)['receivedMessages'], 0)
    await quit(client)
  })

  test('show inbound has the sessions with state, identity and verdict', async () => {
    const client = await session(pki.clients.expired, 'mx.client.example')
    await client.command('MAIL FROM:<a@b.example>')
    const [row] = (await rows('show inbound')).filter(({ tls }) => tls === 'unverified')
    assert.ok(row)
    assert.equal(row['state'], 'awaiting rcptto')
    assert.equal(row['hello'], 'mx.client.example')
    assert.match(String(row['subject']), /^CN=client-expired/)
    assert.match(String(row['client']), /^127\.0\.0\.1:\d+$/)
    await quit(client)
    await gate.event('disconnected')
  })

  test('mailq adds up what waits, by domain', async () => {
    assert.equal(await told(control, 'mailq'), 'The queue is empty.\n')
    assert.deepEqual(await data(control, 'mailq -d example.com -l 3'), { rows: [], leftOut: 0 })
  })

  test('paniclog has the last ten entries of each level, the worst first', async () => {
    for (let i = 0; i < 15; i++) gate.server.tellPanic('notice', 'test', `number ${i}`)
    gate.server.tellPanic('critical', 'test', 'fire \u001b[31m')
    const entries = (await data(control, 'paniclog')) as readonly { level: string; text: string }[]
    const ours = entries.filter(({ text }) => text.startsWith('number'))
    assert.deepEqual(
      ours.map(({ text }) => text),
      Array.from({ length: 10 }, (_, i) => `number ${i + 5}`),
    )
    assert.equal(entries[0]?.level, 'critical')
    assert.match(await told(control, 'paniclog'), /\[critical\] test: fire \\x1b\[31m\n/)
  })

  test('scripts’ commands run, and cannot take the place of a command', async () => {
    assert.equal(await told(control, 'greet "two words"'), 'hello \\x1b[2J two words\n')
    assert.deepEqual(await data(control, 'greet x'), { output: 'hello \u001b[2J x\n' })
    const failed = await ask(control, 'fail')
    assert.equal(failed.status, 'error')
    assert.match(failed.text, /^before\n.*no such thing/)
    assert.equal(await told(control, 'pid'), `${process.pid}\n`)
  })

  test('completion offers what can come next', () => {
    const names = [
      { command: 'tls why', arguments: 'CONNECTION-OR-ADDRESS' },
      { command: 'tls sessions', arguments: '[-o OUTCOME] [-l N]' },
      { command: 'summary', arguments: '' },
      { command: 'config eval', arguments: '[listen ADDR] [peer IP] OPTION' },
    ]
    assert.deepEqual(completions('tls', names), [['tls why ', 'tls sessions '], 'tls'])
    assert.deepEqual(completions('help su', names), [['help summary '], 'help su'])
    assert.deepEqual(completions('tls sessions -', names)[0], ['tls sessions -o ', 'tls sessions -l '])
    assert.deepEqual(completions('config eval peer 10.0.0.1 li', names)[0], [
      'config eval peer 10.0.0.1 listen ',
    ])
  })
})

describe('the tls commands', () => {
  test('tls sessions and tls why follow a connection from its handshake to its end', async () => {
    const client = await session(pki.clients.untrusted)
    const [live] = await rows('tls sessions -l 1')
    assert.equal(live?.['outcome'], 'unverified')
    assert.equal(live?.['cause'], 'untrusted')
    assert.equal(live?.['end'], 'under way')
    const id = String(live?.['connection'])
    await client.command('RCPT TO:<x@gate.example>')
    await quit(client)
    await gate.event('decision', (event) => event.connectionId === id)
    const why = await told(control, `tls why ${id}`)
    assert.match(why, /verdict: +unverified: untrusted \(OpenSSL: /)
    assert.match(why, /claims to be: +CN=client-untrusted/)
    assert.match(why, /TLS_Verify_Mode: +unset, from default/)
    assert.match(why, /answer: .*refuse "503 /)
    assert.match(why, /end: .*quit; 0 accepted, 1 refused/)
    const record = (await data(control, `tls why ${id}`)) as { connectionId: string }
    assert.equal(record.connectionId, id)
    const last = (await data(control, `tls why ${String(live?.['client']).replace(/:\d+$/, '')}`)) as {
      connectionId: string
    }
    assert.equal(last.connectionId, id, 'the last one of an address')
    assert.equal((await ask(control, 'tls why nobody')).status, 'error')
    assert.match((await ask(control, 'tls why 192.0.2.99')).text, /no TLS connection of "192\.0\.2\.99"/)
    assert.ok((await rows('tls sessions -o unverified')).every(({ outcome }) => outcome === 'unverified'))
    assert.equal((await ask(control, 'tls sessions -o good')).status, 'error')
  })

  test('tls shadow names whom a stricter mode would refuse', async () => {
    const before = gate.events.filter(({ kind }) => kind === 'decision').length
    await quit(await session())
    await gate.event(
      'decision',
      (event) => gate.events.indexOf(event) >= before && event.outcome === 'anonymous',
    )
    const [row] = (await rows('tls shadow')).filter(({ reason }) => reason === 'no-certificate')
    assert.equal(row?.['network'], '127.0.0.0/24')
    assert.equal(row?.['verdict'], 'would-refuse')
  })

  test('tls show cache counts the sessions of a context; tls flush cache reads the files anew', async () => {
    const client = await session(pki.clients.valid)
    const [context] = (await data(control, 'tls show cache')) as readonly Row[]
    assert.equal(context?.['sessions'], 1)
    assert.match(String(context?.['certificate']), /^CN=localhost/)
    assert.match(String(context?.['clientCa']), /ca\.pem$/)

    const file = path.join(gate.folder, 'pki', 'server.pem')
    writeFileSync(file, 'nothing')
    const failed = await ask(control, 'tls flush cache')
    assert.equal(failed.status, 'error')
    assert.match(failed.text, /server\.pem.*\n[^]*Nothing was flushed/)
    await quit(await session(pki.clients.valid))

    const { cert, key } = pki.authority.issue({
      subject: [{ type: '2.5.4.3', value: 'rotated' }],
      usage: 'server',
    })
    writeFileSync(file, cert)
    writeFileSync(path.join(gate.folder, 'pki', 'server.key'), key)
    await told(control, 'tls flush cache')
    assert.deepEqual(await data(control, 'tls show cache'), [])
    const next = await session(pki.clients.valid)
    assert.equal(next.tls.getPeerCertificate().subject.CN, 'rotated')
    assert.match(await client.command('NOOP'), /^250/)
    await quit(next)
    await quit(client)
  })

  test('tls expiring and tls pins have their tables', async () => {
    const kinds = (await rows('tls expiring')).map(({ what }) => what)
    assert.ok(kinds.includes('server') && kinds.includes('client-ca') && kinds.includes('client'))
    assert.deepEqual(await rows('tls expiring 0'), [])
    assert.equal(await told(control, 'tls pins'), 'No Partner has a pin.\n')
    assert.equal(await told(control, 'tls server-only'), 'No such certificate was seen.\n')
  })

  test('nothing hostile in a certificate or a greeting reaches the terminal of any command', async () => {
    const harmless = ['invalid UTF-8', 'no string', 'long']
    const clients: SmtpClient[] = []
    for (const [what, name] of hostileNames) {
      if (harmless.includes(what)) continue
      const credential = pki.authority.issue({
        subject: [name],
        altNames: [{ kind: 'dns', value: 'a\r\n\u001b[2J' }],
      })
      clients.push(await session(credential, 'evil\u001b[31m\u009b2J\u00ff'))
    }
    const sessions = await rows('tls sessions')
    const lines = [
      'show inbound',
      'tls sessions',
      'tls shadow',
      'tls expiring',
      'paniclog',
      'tls show cache',
      'tls pins',
    ]
    for (const line of [...lines, ...sessions.map(({ connection }) => `tls why ${String(connection)}`)]) {
      for (const form of ['', 'json ']) {
        const { status, text } = await ask(control, form + line)
        assert.equal(status, 'ok', line)
        assert.doesNotMatch(text.replaceAll('\n', ''), HARMFUL, form + line)
        if (form === '') assert.doesNotMatch(text, /^X-Injected/m, line)
      }
    }
    assert.equal((await rows('show inbound')).length, clients.length)
    await Promise.all(clients.map(quit))
  })
})

describe('the socket', () => {
  test('has its mode, answers several commands per connection, and goes at the stop', async () => {
    const other = await startTestGate({ conf: CONSOLE })
    const socket = path.join(other.folder, 'control')
    assert.equal(lstatSync(socket).mode & 0o777, 0o600)
    const connection = await openConsole(socket)
    assert.equal((await connection.ask('pid')).text, (await connection.ask('pid')).text)
    // two gates side by side have a console each
    assert.notDeepEqual(other.server.serviceAddresses.console, gate.server.serviceAddresses.console)
    assert.equal(await told(control, 'version'), 'Postern test\n')
    await other.server.stop()
    assert.equal(existsSync(socket), false)
    await assert.rejects(connection.ask('pid'), ConsoleUnreachable)
    await assert.rejects(openConsole(socket), ConsoleUnreachable)
    await other.stop()
  })

  test('a second gate does not take it, and says so', async () => {
    await assert.rejects(startTestGate({ conf: CONSOLE.replace('FOLDER', gate.folder) }), (error) => {
      assert.ok(error instanceof ListenError)
      assert.match(error.message, /control: another program listens there/)
      return true
    })
    assert.equal(await told(control, 'version'), 'Postern test\n')
  })

  test('follows a reload: added, changed, removed, or nothing at all', async () => {
    const other = await startTestGate({ conf: '' })
    const file = path.join(other.folder, 'gate.conf')
    const base = `Spoolbase = "spool"\nSpool_Min_Free = 1M\n`
    const write = (text: string): void => writeFileSync(file, base + text)
    const [first, second] = [path.join(other.folder, 'one'), path.join(other.folder, 'two')]
    assert.deepEqual(other.server.serviceAddresses.console, [])

    write(`Control_Listener { Listen "${first}" { } }\n`)
    await other.server.reload()
    assert.equal(lstatSync(first).mode & 0o777, 0o660)

    const connection = await openConsole(first)
    write(`Control_Listener { Listen "${first}" { File_Mode = 0600 } Listen "${second}" { } }\n`)
    assert.match((await connection.ask('reload')).text, /was reloaded/)
    assert.equal(lstatSync(first).mode & 0o777, 0o600)
    assert.equal((await ask(second, 'pid')).status, 'ok')

    write(`Control_Listener { Listen "${first}" { } Listen "${other.folder}/none/x" { } }\nNonsense = 1\n`)
    const wrong = await connection.ask('config reload')
    assert.match(wrong.text, /gate\.conf:4:1: error: unknown option "Nonsense"[^]*Reconfigure failed/)
    write(`Control_Listener { Listen "${first}" { File_Mode = 0666 } Listen "${other.folder}/none/x" { } }\n`)
    const unbound = await connection.ask('config reload')
    assert.equal(unbound.status, 'error')
    assert.match(unbound.text, /its folder does not exist/)
    assert.equal(lstatSync(first).mode & 0o777, 0o600)
    assert.equal((await ask(second, 'pid')).status, 'ok')

    // also when it is a socket of mail that cannot be bound
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    write(
      `ESMTP_Listener { Listen "127.0.0.1:${port}" { } }\nControl_Listener { Listen "${other.folder}/three" { } }\n`,
    )
    await assert.rejects(other.server.reload(), ListenError)
    assert.equal(existsSync(path.join(other.folder, 'three')), false)
    assert.equal((await ask(second, 'pid')).status, 'ok')
    taken.close()

    write(`Control_Listener { Listen "${second}" { } }\n`)
    assert.match((await connection.ask('reload')).text, /was reloaded/)
    assert.equal(existsSync(first), false)
    await assert.rejects(connection.ask('pid'), ConsoleUnreachable)
    await other.stop()
  })

  test('a file that is no socket is never removed', async () => {
    const other = await startTestGate({ conf: '' })
    const file = path.join(other.folder, 'gate.conf')
    const socket = path.join(other.folder, 'control')
    writeFileSync(socket, 'precious')
    writeFileSync(file, `Spoolbase = "spool"\nControl_Listener { Listen "${socket}" { } }\n`)
    await assert.rejects(other.server.reload(), /a file that is not a socket is there/)
    await other.stop()
  })
})

describe('limits', () => {
  test('a line that is too long ends the connection, whole or not', async () => {
    for (const end of ['\n', '']) {
      const socket = connect(control)
      socket.write(`${'x'.repeat(5000)}${end}`)
      const text = await everythingFrom(socket)
      assert.match(text, /error \d+\nthis line is too long\n$/)
    }
  })

  test('control characters in a command are refused', async () => {
    for (const line of ['pid\u001b[2J', 'a\u0000b', 'x\u202Ey'])
      assert.match((await ask(control, line)).text, /control characters do not belong here/)
  })

  test('commands that come together are answered in order, and half-closed clients too', async () => {
    const socket = connect(control)
    socket.end('pid\r\nversion\nnonsense\n')
    const text = await everythingFrom(socket)
    assert.match(text, new RegExp(`ok \\d+\n${process.pid}\nok 13\nPostern test\nerror \\d+\nthere is no`))
  })

  test('more clients than there may be are turned away', async (t) => {
    const socket = await ownConsole(t, { clients: 2 })
    const two = [await openConsole(socket), await openConsole(socket)]
    await assert.rejects(openConsole(socket), /too many clients/)
    for (const each of two) each.close()
  })

  test('a client that is silent is cut off', async (t) => {
    const socket = await ownConsole(t, {}, 0.05)
    const client = connect(socket)
    client.resume()
    await once(client, 'close')
  })

  test('a client that does not read its answer is cut off', async (t) => {
    const socket = await ownConsole(t, { stall: 100 })
    const client = connect({ path: socket })
    client.pause()
    client.write('anything\n')
    client.on('error', () => undefined)
    await new Promise((resolve) => setTimeout(resolve, 300))
    client.resume()
    let octets = 0
    client.on('data', (chunk: Buffer) => (octets += chunk.length))
    await once(client, 'close')
    assert.ok(octets < 5_000_000, `${octets}`)
  })

  test('an answer that is too long is cut, and in JSON refused', async (t) => {
    const socket = await ownConsole(t, { answer: 1000 })
    assert.match((await ask(socket, 'anything')).text, /^x{1000}\n… the rest is not shown/)
    assert.equal((await ask(socket, 'json anything')).status, 'error')
  })
})
