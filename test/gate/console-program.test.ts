/** `postern console` as a program, against gates that are programs. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ConsoleConnection } from '../../src/cli/console/connection.ts'
import { runConsole } from '../../src/cli/console/console.ts'
import { isJson } from '../../src/cli/console/json-text.ts'
import { commandsIn } from '../../src/cli/console/prompt.ts'
import { runProgram } from '../../src/cli/program.ts'
import { FrameReader } from '../../src/console/protocol.ts'
import { bin, type GateProcess, startGateProcess } from '../support/gate-process.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-console-'))
const conf = path.join(folder, 'gate.conf')
const socket = path.join(folder, 'control')
let gate: GateProcess

before(async () => {
  writeFileSync(
    conf,
    `Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\nControl_Listener "ops" { Listen "${socket}" { } }\n`,
  )
  writeFileSync(path.join(folder, 'password'), 'secret\n')
  gate = await startGateProcess(conf)
})
after(async () => {
  await gate.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program in this process. */
async function runHere(args: readonly string[]): Promise<Ran> {
  const [stdout, stderr] = [new PassThrough({ encoding: 'utf8' }), new PassThrough({ encoding: 'utf8' })]
  const code = await runProgram(args, { stdout, stderr, terminal: false })
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') }
}

/** Runs `postern console …` with a pipe as its input. */
function run(args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(bin, ['console', ...args], { cwd: folder, stdio: 'pipe' })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    child.stdin.end(input)
  })
}

test('a command on the command line, lines from a pipe, JSON for programs', async () => {
  const pid = `${gate.child.pid}\n`
  const [one, socketNamed, piped, json, wrong] = await Promise.all([
    run(['-c', conf, 'pid']),
    run(['-c', socket, 'config eval hostname']),
    run(['-c', conf], '# first\npid\nnonsense\n\npid\nquit\nversion\n'),
    run(['-c', conf, '--json', 'mailq', '-l', '5']),
    run(['-c', conf, '--json', 'nonsense']),
  ])
  // bin/postern becomes the server
  assert.deepEqual(one, { code: 0, stdout: pid, stderr: '' })
  assert.match(socketNamed.stdout, /^Hostname = "gate\.example"\n/)
  assert.equal(piped.code, 1)
  assert.equal(piped.stdout, pid + pid)
  assert.match(piped.stderr, /^there is no command "nonsense"/)
  assert.deepEqual(JSON.parse(json.stdout), { rows: [], leftOut: 0 })
  assert.equal(wrong.code, 1)
  assert.match(String((JSON.parse(wrong.stdout) as { error: unknown }).error), /there is no command/)
})

test('what is missing is named, with what to write', async () => {
  const bare = path.join(folder, 'bare.conf')
  const dead = path.join(folder, 'dead.conf')
  const broken = path.join(folder, 'broken.conf')
  writeFileSync(bare, 'Hostname = "x.example"\n')
  writeFileSync(dead, `Control_Listener { Listen "${folder}/nobody" { } }\n`)
  writeFileSync(broken, 'Nonsense = 1\n')
  const [none, nobody, unreadable] = [
    await runHere(['console', '-c', bare, 'pid']),
    await runHere(['console', '-c', dead, 'pid']),
    await runHere(['console', '-c', broken, 'pid']),
  ]
  assert.equal(none.code, 1)
  assert.match(
    none.stderr,
    /bare\.conf has no console; write for example: Control_Listener "console" \{ Listen/,
  )
  assert.equal(nobody.code, 1)
  assert.match(nobody.stderr, /nobody: nobody listens there: the gate is not running/)
  assert.equal(unreadable.code, 1)
  assert.match(unreadable.stderr, /unknown option "Nonsense"[^]*name the socket of the running gate/)
  assert.doesNotMatch(none.stderr + nobody.stderr + unreadable.stderr, /\n\s+at /)
})

test('a socket that a killed gate left behind is replaced by the next one', async () => {
  const other = mkdtempSync(path.join(tmpdir(), 'postern-console-'))
  const file = path.join(other, 'gate.conf')
  const path2 = path.join(other, 'control')
  writeFileSync(
    file,
    `Spoolbase = "spool"\nSpool_Min_Free = 1M\nControl_Listener { Listen "${path2}" { } }\n`,
  )
  const killed = await startGateProcess(file)
  await killed.end('SIGKILL')
  assert.ok(lstatSync(path2).isSocket())
  const next = await startGateProcess(file)
  const { stdout } = await run(['-c', path2, 'pid'])
  assert.equal(stdout, `${next.child.pid}\n`)
  await next.end('SIGTERM')
  rmSync(other, { recursive: true, force: true })
})

/** Whatever sits on that socket says `words` to whoever comes, and after each line one of `answers`. */
async function impostor(words: string | Buffer, answers: readonly (string | Buffer)[] = []): Promise<Server> {
  const server = createServer((client) => {
    const left = [...answers]
    client.on('error', () => undefined)
    client.write(words)
    client.on('data', () => {
      const next = left.shift()
      if (left.length === 0) client.end(next ?? '')
      else client.write(next ?? '')
    })
  })
  rmSync(fake, { force: true })
  server.listen(fake)
  await once(server, 'listening')
  return server
}

const fake = path.join(folder, 'fake')
const framed = (status: string, text: string): string => `${status} ${Buffer.byteLength(text)}\n${text}`
const hello = framed('hello', '{"protocol":1,"login":{"needed":false}}')
const asks = (mechanism: string): string =>
  framed('hello', `{"protocol":1,"login":{"needed":true,"mechanisms":["${mechanism}"]}}`)

describe('a server that means harm, or is broken, costs one line', () => {
  const cases: Readonly<Record<string, readonly [words: string | Buffer, ...(string | Buffer)[]]>> = {
    'no protocol at all': ['SSH-2.0-OpenSSH_9.2\r\n'],
    'a head without an end': ['x'.repeat(100)],
    'a frame larger than any': ['hello 999999999\n'],
    'a welcome that takes much': [
      framed('hello', `{"protocol":1,"x":"${'x'.repeat(70_000)}"}`),
      framed('ok', 'x\n'),
    ],
    'a challenge that takes much': [
      asks('CRAM-MD5'),
      framed('challenge', 'A'.repeat(70_000)),
      framed('ok', ''),
      framed('ok', 'x\n'),
    ],
    'a welcome that is no JSON': [framed('hello', '{"protocol":')],
    'a welcome that is null': [framed('hello', 'null')],
    'a welcome of another version': [framed('hello', '{"protocol":2}')],
    'no UTF-8': [Buffer.concat([Buffer.from('hello 2\n'), Buffer.from([0xc3, 0x28])])],
    'a login that is no object': [framed('hello', '{"protocol":1,"login":[[{}]]}')],
    'a challenge for a command': [hello, framed('challenge', 'AAAA')],
    'a welcome for an answer': [hello, hello],
    'an error of many lines and sequences': [
      framed('error', `\u001b]0;owned\u0007\n${'x\n'.repeat(99_999)}`),
    ],
    'a challenge that is none': [
      asks('DIGEST-MD5'),
      framed('challenge', '\u0000%%%'),
      framed('challenge', '='),
    ],
    'a login that is good before anybody proved anything': [
      asks('DIGEST-MD5'),
      framed('ok', ''),
      framed('ok', 'x\n'),
    ],
    'a login that is good without the proof that it knows the password': [
      asks('DIGEST-MD5'),
      framed('challenge', Buffer.from('realm="r",nonce="n"').toString('base64')),
      framed('ok', ''),
      framed('ok', 'x\n'),
    ],
    'mechanisms that are no text': [
      framed('hello', '{"protocol":1,"login":{"needed":true,"mechanisms":[{},null]}}'),
    ],
    'silence after a challenge': [asks('CRAM-MD5'), framed('challenge', 'AAAA')],
    'an ok that tells more': [asks('PLAIN'), framed('more', 'x')],
    'an end in the middle': [hello, 'ok 5\nab'],
  }
  for (const [what, [words, ...answers]] of Object.entries(cases))
    test(what, async () => {
      const server = await impostor(words, answers)
      const told = await inProcess(['pid'])
      server.close()
      assert.equal(told.code, 1)
      assert.equal(told.stdout, '')
      assert.match(told.stderr, /^postern: [^\n]{10,700}\n$/)
      assert.ok(!told.stderr.includes('\u001b'))
      assert.doesNotMatch(told.stderr, /SyntaxError|TypeError|\bat /)
    })

  test('what it sends reaches the terminal without its power, and as JSON only where it is some', async () => {
    const answer = framed('ok', '\u001b[2J\u009b1mx\u202ey\u0007\n')
    const json = framed('ok', '{"a":"\u202e"}\n\n')
    let server = await impostor(hello, [answer])
    assert.equal((await inProcess(['pid'])).stdout, '\\x1b[2J\\x9b1mx\\u{202e}y\\x07\n')
    server.close()
    server = await impostor(hello, [json])
    assert.equal((await inProcess(['pid'], true)).stdout, '{"a":"\\u202e"}\n')
    server.close()
    server = await impostor(hello, [answer])
    assert.deepEqual(await inProcess(['pid'], true), {
      code: 1,
      stdout: '',
      stderr: 'postern: this is not the console of postern: its answer is no JSON\n',
    })
    server.close()
    assert.deepEqual(commandsIn('{'), [])
    assert.deepEqual(commandsIn('[null,1,{"command":2},{"command":"\\u001bx"},{"command":"pid"}]'), [
      { command: 'pid', arguments: '' },
    ])
  })

  test('an answer takes little more memory than its length, whatever it would be made of', async (t) => {
    const text = `[${'{},'.repeat(3_000_000)}{}]`
    const server = await impostor(hello, [framed('ok', text)])
    t.after(() => server.close())
    // what that is made of takes four times as much
    const few = { ...process.env, NODE_OPTIONS: '--max-old-space-size=48' }
    const program = spawn(bin, ['console', '-c', fake, '--json', 'pid'], { env: few })
    let length = 0
    program.stdout.on('data', (chunk: Buffer) => (length += chunk.length))
    assert.deepEqual(await once(program, 'close'), [0, null])
    assert.equal(length, text.length + 1)
  })

  test('what is JSON is, and nothing else', () => {
    const texts = [
      [
        '0',
        '-1.5e+3',
        '01',
        '1.',
        '.5',
        '-',
        '1e',
        'tru',
        'true',
        'nul',
        '""',
        '"\\u12g4"',
        '"\\1',
        '"a\nb"',
      ],
      [
        '[]',
        '[',
        ']',
        '[1,]',
        '[,1]',
        '[1 2]',
        '[1]]',
        '{}',
        '{"a":1}',
        '{"a":}',
        '{"a"}',
        '{a:1}',
        '{"a":1,}',
      ],
      [
        '',
        ' ',
        ' [ ] ',
        '[{"a":[{}, {"b" : null}]},\r\n\t2]',
        '{"a":1]',
        '[1}',
        '1 1',
        '"a""b"',
        '[]{}',
        '\u00a01',
      ],
    ].flat()
    for (const text of texts) {
      const json = (): boolean => JSON.parse(text) !== undefined
      if (isJson(text)) assert.ok(json(), text)
      else assert.throws(json, SyntaxError, text)
    }
    assert.ok(!isJson('['.repeat(1000) + ']'.repeat(1000)))
  })

  test('a gate that does not wait until a password is typed is talked to once more, and not for ever', async () => {
    const gone: Promise<unknown>[] = []
    const server = createServer((client) => {
      gone.push(once(client, 'close'))
      client.on('error', () => undefined)
      client.write(asks('PLAIN'))
      if (gone.length % 2 === 1) client.end()
      else client.on('data', () => client.write(framed('ok', '')))
    })
    rmSync(fake, { force: true })
    server.listen(fake)
    await once(server, 'listening')
    const endpoint = { kind: 'unix', path: fake, shown: fake, user: undefined } as const
    const password = async (): Promise<string> => {
      await gone[0]
      return 'secret'
    }
    const credentials = { user: () => Promise.resolve('alice'), password }
    const connection = await ConsoleConnection.open(endpoint, credentials)
    assert.equal((await connection.ask('pid')).status, 'ok')
    connection.close()
    await assert.rejects(ConsoleConnection.open(endpoint, credentials, false), /closed the connection/)
    assert.equal(gone.length, 3)
    server.close()
  })

  test('what nobody reads is not taken, and who has read enough may leave', async (t) => {
    const piece = framed('more', `${'x'.repeat(100_000)}\n`)
    let sent = 0
    const server = createServer((client) => {
      client.on('error', () => undefined)
      client.write(hello)
      const go = (): void => {
        while (sent < 1000) {
          sent += 1
          if (!client.write(piece)) return void client.once('drain', go)
        }
        client.end(framed('ok', ''))
      }
      client.once('data', go)
    })
    rmSync(fake, { force: true })
    server.listen(fake)
    await once(server, 'listening')
    const program = spawn(bin, ['console', '-c', fake, 'trace smtp inbound'])
    t.after(() => {
      program.kill('SIGKILL')
      server.close()
    })
    let told = ''
    program.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()))
    await once(program.stdout, 'readable')
    // nothing moves any more
    for (let before = 0; before < sent; await delay(200)) before = sent
    assert.ok(sent < 100, `${sent} pieces were taken`)
    program.stdout.destroy()
    assert.deepEqual(await once(program, 'exit'), [0, null])
    assert.equal(told, '')
  })

  test('an answer in a million pieces is not copied a million times', () => {
    const reader = new FrameReader()
    const size = 8 * 1024 * 1024
    reader.push(Buffer.from(`ok ${size}\n`))
    const began = process.cpuUsage()
    const piece = Buffer.alloc(64, 'x')
    let frames: readonly unknown[] = []
    for (let sent = 0; sent < size; sent += piece.length) frames = reader.push(piece)
    const { user, system } = process.cpuUsage(began)
    assert.equal(frames.length, 1)
    assert.ok(user + system < 2_000_000, `${user + system} µs`)
  })
})

/** The program in this process, with a password at hand. */
async function inProcess(words: readonly string[], json = false): Promise<Ran> {
  let [stdout, stderr] = ['', '']
  const io = {
    stdout: { write: (text: string) => (stdout += text).length > 0 },
    stderr: { write: (text: string) => (stderr += text).length > 0 },
    terminal: false,
  } as unknown as Parameters<typeof runConsole>[2]
  const code = await runConsole(
    words,
    { config: fake, json, passwordFile: path.join(folder, 'password') },
    io,
  )
  return { code, stdout, stderr }
}
