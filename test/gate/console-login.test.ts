/** Who may use the console: logins, certificates, roles, networks and accounts, and what strangers cannot do. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  appendFileSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { userInfo } from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { credentialsFrom, logIn } from '../../src/cli/console/login.ts'
import { ConfigError } from '../../src/config/diagnostic.ts'
import type { Frame } from '../../src/console/protocol.ts'
import { openConsole } from '../support/console-client.ts'
import { startTestGate } from '../support/test-gate.ts'
import {
  account,
  ask,
  base64,
  DIGEST,
  endpoint,
  gate,
  guess,
  open,
  PASSWORD,
  pki,
  Raw,
  tcp,
} from './console-login.fixture.ts'

describe('a login on TCP', () => {
  test('somebody must be able to log in', async () => {
    await assert.rejects(
      startTestGate({ conf: 'Control_Listener { Listen "127.0.0.1:0" { } }\n' }),
      (error) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.message, /nobody can log in to the console on "127.0.0.1:0"/)
        return true
      },
    )
  })

  test('by challenge and response; the accounts say who, from where, what, allowed by which role, and how it ended', async () => {
    const connection = await open(tcp(0), 'alice', PASSWORD)
    assert.match((await connection.ask('summary')).text, /Inbound Concurrency/)
    assert.equal((await connection.ask('mailq -l x')).status, 'error')
    assert.equal((await connection.ask('authz id')).status, 'ok')
    connection.close()
    const lines = account()
      .split('\n')
      .filter((line) => line.includes('@alice@'))
    const told = lines.map((line) => line.replace(/^\d+(?:\.\d+)?@(\w)@(\S+?)@127\.0\.0\.1:\d+@/, '$1 $2 '))
    assert.deepEqual(told.slice(0, 5), [
      'N 127.0.0.1:0 alice@1',
      'Z 127.0.0.1:0 alice@1@summary@admin',
      'E 127.0.0.1:0 alice@1@summary',
      'Z 127.0.0.1:0 alice@1@mailq -l x@admin',
      'E 127.0.0.1:0 alice@0@mailq -l x',
    ])
  })

  test('a wrong password and an unknown user are answered alike', async () => {
    const wrong = open(tcp(0), 'alice', 'guess')
    await assert.rejects(wrong, /127\.0\.0\.1:\d+: Authentication failed$/)
    await assert.rejects(open(tcp(0), 'nobody', PASSWORD), /127\.0\.0\.1:\d+: Authentication failed$/)
    assert.match(account(), /@N@127\.0\.0\.1:0@127\.0\.0\.1:\d+@nobody@0$/m)
  })

  test('no command before it, in whatever form, and after three the connection is closed', async () => {
    const raw = Raw.to(tcp(0))
    const hello = await raw.frame()
    assert.deepEqual((JSON.parse(hello?.text ?? '') as { login: unknown }).login, {
      needed: true,
      mechanisms: ['DIGEST-MD5'],
    })
    assert.deepEqual(await raw.say('summary'), {
      status: 'error',
      text: 'Authentication required: log in first\n',
    })
    assert.equal((await raw.say('json help'))?.status, 'error')
    assert.equal((await raw.say('reload'))?.status, 'error')
    assert.equal(await raw.frame(), undefined)
  })

  test('mechanisms that are not offered do not work, nor do broken exchanges', async () => {
    for (const lines of [
      ['login PLAIN ' + base64(`\0alice\0${PASSWORD}`)],
      ['login SYSTEM-USER'],
      ['login EXTERNAL ='],
      ['login LOGIN'],
      ['login'],
      ['login DIGEST-MD5 ' + base64('x')],
      ['login DIGEST-MD5', '*'],
      ['login DIGEST-MD5', 'not base64!'],
      ['login DIGEST-MD5', base64('username="alice",realm="console"')],
      ['login DIGEST-MD5', 'summary'],
      ['login DIGEST-MD5', '='],
    ]) {
      const raw = Raw.to(tcp(0))
      await raw.frame()
      let last: Frame | undefined
      for (const line of lines) last = await raw.say(line)
      assert.equal(last?.status, 'error', lines.join(' / '))
      assert.notEqual((await raw.say('summary'))?.status, 'ok', lines.join(' / '))
      raw.socket.destroy()
    }
  })

  test('an exchange that was recorded opens nothing', async () => {
    const recorded: string[] = []
    const endpoint = tcp(0)
    assert.equal(endpoint.kind, 'tcp')
    const proxy = createServer((client) => {
      const there = connect({ host: '127.0.0.1', port: endpoint.port })
      client.on('data', (chunk: Buffer) => recorded.push(chunk.toString('latin1')))
      for (const each of [client, there]) each.on('error', () => undefined)
      client.pipe(there).pipe(client)
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const { port } = proxy.address() as { readonly port: number }
    const good = await open({ ...endpoint, port }, 'alice', PASSWORD)
    assert.equal((await good.ask('summary')).status, 'ok')
    good.close()
    proxy.close()
    const said = recorded.join('').split('\n')
    const raw = Raw.to(endpoint)
    await raw.frame()
    assert.equal((await raw.say(said[0] ?? ''))?.status, 'challenge')
    assert.deepEqual(await raw.say(said[1] ?? ''), { status: 'error', text: 'Authentication failed\n' })
    raw.socket.destroy()
  })

  test('failures of an address are limited', async () => {
    assert.equal(await guess(), 'Authentication failed\n')
    assert.equal(await guess(), 'Authentication failed\n')
    assert.equal(await guess(), 'too many failed logins from this address\n')
  })

  test('a network that is denied is turned away before anything is said', async () => {
    const raw = Raw.to(tcp(1), '127.0.0.3')
    assert.deepEqual(await raw.frame(), { status: 'error', text: 'nobody may use the console here\n' })
    assert.equal(await raw.frame(), undefined)
  })
})

describe('inside TLS', () => {
  test('a password may be sent, and a certificate is a login by itself', async () => {
    assert.equal((await ask(tcp(2, true), 'pid', 'bob')).status, 'ok')
    await assert.rejects(open(tcp(2, true), 'bob', 'guess'), /Authentication failed/)
    const connection = await open(tcp(2, true, pki.clients.valid))
    const told = JSON.parse((await connection.ask('json authz id')).text) as { readonly from: string }
    assert.match(told.from, /^127\.0\.0\.1:\d+$/)
    assert.deepEqual(told, {
      user: 'carol',
      known: 'certificate',
      from: told.from,
      groups: [],
      source: null,
      roles: null,
    })
    connection.close()
    assert.match(account(), /@Z@127\.0\.0\.4:0@127\.0\.0\.1:\d+@bob@-1@pid$/m)
  })

  test('a certificate that does not verify is none, and without TLS nobody gets anywhere', async () => {
    for (const kind of ['untrusted', 'expired'] as const)
      await assert.rejects(open(tcp(2, true, pki.clients[kind])), /asks for a password/)
    const raw = Raw.to(tcp(2))
    raw.socket.write('login PLAIN x\nsummary\n')
    await once(raw.socket, 'close')
  })
})

describe('on a UNIX socket', () => {
  test('whose process it is shows itself, and is who is meant in accounts and roles', async () => {
    const me = userInfo().username
    const connection = await openConsole(path.join(gate.folder, 'open'))
    const told = JSON.parse((await connection.ask('json authz id')).text) as { readonly user: string }
    assert.equal(told.user, me)
    assert.equal((await connection.ask('pid')).status, 'ok')
    connection.close()
    assert.ok(account().includes(`@${gate.folder}/open@@${me}@-1@pid`))
  })

  test('who does not show it is nobody, for whom there is no role', async () => {
    const raw = new Raw(connect({ path: path.join(gate.folder, 'team') }))
    const hello = JSON.parse((await raw.frame())?.text ?? '') as { login: { folder: string } }
    assert.deepEqual(await raw.say('summary'), { status: 'error', text: 'Not Authorized for this command\n' })
    // a folder that others could have moved there, and none at all
    mkdirSync(hello.login.folder, { mode: 0o755 })
    assert.equal((await raw.say('login SYSTEM-USER'))?.status, 'error')
    rmdirSync(hello.login.folder)
    assert.equal((await raw.say('login SYSTEM-USER'))?.status, 'error')
    raw.socket.destroy()
    assert.ok(account().includes(`@Z@${gate.folder}/team@@console@0@summary\n`))
  })

  test('whoever passes on what the gate asks has no name from those who talk to him', async () => {
    const gates = new Raw(connect({ path: path.join(gate.folder, 'team') }))
    const { text = '' } = (await gates.frame()) ?? {}
    const heard: string[] = []
    const between = createServer((victim) => {
      victim.on('error', () => undefined)
      victim.write(`hello ${Buffer.byteLength(text)}\n${text}`)
      victim.on('data', (chunk: Buffer) => {
        heard.push(chunk.toString())
        victim.write('ok 0\n')
      })
    })
    between.listen(path.join(gate.folder, 'between'))
    await once(between, 'listening')
    const victim = await open(endpoint('between'))
    await victim.ask('summary')
    victim.close()
    between.close()
    gates.socket.destroy()
    assert.deepEqual(heard, ['summary\n'])
  })

  test('a link to the socket is as good as the socket', async () => {
    symlinkSync(path.join(gate.folder, 'open'), path.join(gate.folder, 'link'))
    const { text } = await ask(endpoint('link'), 'json authz id')
    assert.equal((JSON.parse(text) as { known: string }).known, 'system-user')
  })

  test('whoever guesses there shuts the door for his own user of the system and for those who show none', async () => {
    const shown = path.join(gate.folder, 'counted')
    const raw = async (): Promise<Raw> => {
      const stranger = new Raw(connect({ path: shown }))
      await stranger.frame()
      return stranger
    }
    const wrong = `login PLAIN ${base64('\0bob\0guess')}`
    const [first, second] = [await raw(), await raw()]
    for (const each of [first, second]) assert.equal((await each.say(wrong))?.text, 'Authentication failed\n')
    assert.match((await second.say(wrong))?.text ?? '', /too many failed logins/)
    // whose process this is has not guessed
    const connection = await open(endpoint('counted'), 'bob', PASSWORD)
    assert.equal((await connection.ask('pid')).status, 'ok')
    connection.close()
    const third = open(endpoint('counted'), 'bob', 'guess')
    await assert.rejects(third, /Authentication failed/)
    await assert.rejects(open(endpoint('counted'), 'bob', 'guess'), /Authentication failed/)
    await assert.rejects(open(endpoint('counted'), 'bob', PASSWORD), /too many failed logins from this user/)
  })

  test('whoever connects there and shows nothing keeps nobody else from logging in', async () => {
    const idle = Array.from({ length: 20 }, () => new Raw(connect({ path: path.join(gate.folder, 'login') })))
    await Promise.all(idle.map((each) => each.frame()))
    assert.equal((await ask(endpoint('login'), 'pid', 'bob')).status, 'ok')
    for (const { socket } of idle) socket.destroy()
  })

  test('to show whose process it is is no login where one is asked for', async () => {
    const raw = new Raw(connect({ path: path.join(gate.folder, 'login') }))
    const hello = JSON.parse((await raw.frame())?.text ?? '') as { login: { folder: string } }
    mkdirSync(hello.login.folder, { mode: 0o700 })
    assert.deepEqual(await raw.say('login SYSTEM-USER'), { status: 'ok', text: '' })
    rmdirSync(hello.login.folder)
    assert.match((await raw.say('pid'))?.text ?? '', /Authentication required/)
    raw.socket.destroy()
  })

  test('a login may be asked for there too, and a socket may be shut', async () => {
    assert.equal((await ask(endpoint('login'), 'pid', 'bob')).status, 'ok')
    await assert.rejects(open(endpoint('login')), /asks for a password/)
    await assert.rejects(open(endpoint('shut')), /nobody may use the console here/)
  })
})

describe('roles', () => {
  test('allow what a pattern allows and nothing else, in whatever spelling', async () => {
    const connection = await open(tcp(0), 'alice', PASSWORD)
    const allowed = [
      'summary',
      'SUMMARY',
      ' summary ',
      'json summary',
      '"summary"',
      'config eval hostname',
      'mailq',
    ]
    for (const line of allowed) assert.equal((await connection.ask(line)).status, 'ok', line)
    const denied = [
      'summary reset',
      'Summary  Reset',
      '"summary reset"',
      'reload',
      'config reload',
      'json reload',
      'pid',
      'greet summary',
    ]
    for (const line of denied)
      assert.match((await connection.ask(line)).text, /Not Authorized for this command/, line)
    connection.close()
    assert.match(account(), /@alice@0@summary reset$/m)
  })

  test('a change of the roles file and of the configuration acts on who is already there', async () => {
    const connection = await open(tcp(0), 'alice', PASSWORD)
    assert.equal((await connection.ask('pid')).status, 'error')
    appendFileSync(path.join(gate.folder, 'roles'), 'root:alice\n')
    assert.equal((await connection.ask('pid')).status, 'ok')
    const unix = await openConsole(path.join(gate.folder, 'open'))
    const file = path.join(gate.folder, 'gate.conf')
    const before = readFileSync(file, 'utf8')
    writeFileSync(file, before.replace(/(Listen "\S+\/open" \{)/, '$1 Always_Deny = true'))
    await gate.server.reload()
    assert.match((await unix.ask('pid')).text, /connect again/)
    writeFileSync(file, before)
    await gate.server.reload()
    assert.equal((await connection.ask('pid')).status, 'ok')
    connection.close()
  })
})

test('who is taken out of the users, or gets another password, is out with his next command; so is a certificate', async () => {
  const [alice, carol] = [await open(tcp(0), 'alice', PASSWORD), await open(tcp(2, true, pki.clients.valid))]
  for (const connection of [alice, carol]) assert.equal((await connection.ask('authz id')).status, 'ok')
  const files = ['passwd', 'operators'].map((name) => path.join(gate.folder, name))
  const before = files.map((file) => readFileSync(file, 'utf8'))
  writeFileSync(files[0] ?? '', `alice:console:${'0'.repeat(32)}\n`)
  writeFileSync(files[1] ?? '', '# nobody\n')
  for (const connection of [alice, carol]) {
    assert.match((await connection.ask('summary')).text, /no longer good/)
    await assert.rejects(connection.ask('summary'), /closed the connection/)
  }
  assert.match(account(), /@carol@0@summary$/m)
  for (const [index, file] of files.entries()) writeFileSync(file, before[index] ?? '')
})

test('a password that is changed while somebody logs in with it does not keep him in', async () => {
  const users = path.join(gate.folder, 'passwd')
  const raw = Raw.to(tcp(0))
  await raw.frame()
  const ask = async (line: string): Promise<Frame> => {
    // what was sent before it proved the password; this only ends the exchange
    if (line === '=') writeFileSync(users, `alice:console:${'0'.repeat(32)}\n`)
    return (await raw.say(line)) ?? { status: 'error', text: 'closed' }
  }
  const sources = { user: 'alice', passwordFile: undefined, environment: PASSWORD, prompt: undefined }
  const offer = { needed: true, mechanisms: ['DIGEST-MD5'] }
  try {
    await logIn({ ask, offer, secure: false, socket: undefined, host: 'localhost' }, credentialsFrom(sources))
    assert.match((await raw.say('summary'))?.text ?? '', /this login is no longer good/)
  } finally {
    writeFileSync(users, `alice:console:${DIGEST}\n`)
    raw.socket.destroy()
  }
})

test('no password is in any log', async () => {
  await gate.server.reload()
  assert.ok(readFileSync(path.join(gate.folder, 'acct.ec'), 'latin1').includes('@alice@'))
  for (const file of globSync('*.ec', { cwd: gate.folder })) {
    const text = readFileSync(path.join(gate.folder, file), 'latin1')
    for (const secret of [PASSWORD, base64(PASSWORD), base64(`\0bob\0${PASSWORD}`), DIGEST, 'guess'])
      assert.ok(!text.includes(secret), file)
  }
})

test('strangers that send a line without end are cut off', async () => {
  const raw = Raw.to(tcp(0))
  await raw.frame()
  raw.socket.write('login DIGEST-MD5\n')
  assert.equal((await raw.frame())?.status, 'challenge')
  raw.socket.write('A'.repeat(5000))
  assert.deepEqual(await raw.frame(), { status: 'error', text: 'this line is too long\n' })
  assert.equal(await raw.frame(), undefined)
})
