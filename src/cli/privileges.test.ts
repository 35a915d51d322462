import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { ConfigError } from '../config/diagnostic.ts'
import type { SecuritySettings, Settings } from '../config/settings.ts'
import { createFolders, foldersOf } from './folders.ts'
import { auditSecurity, dropPrivileges, type PrivilegeSystem } from './privileges.ts'

const asRoot = process.getuid?.() === 0
const skip = asRoot ? false : 'needs root'
const NOBODY = 65_534

/** A place where only root can write, all the way up; the usual temporary folder is not one. */
const rootFolder = asRoot ? mkdtempSync('/run/postern-privileges-') : ''
const folder = mkdtempSync(path.join(tmpdir(), 'postern-privileges-'))
for (const each of [folder, rootFolder]) if (each !== '') chmodSync(each, 0o755)
after(() => {
  rmSync(folder, { recursive: true, force: true })
  if (rootFolder !== '') rmSync(rootFolder, { recursive: true, force: true })
})

const at = { file: 'gate.conf', line: 7, column: 1, length: 8 }

function settingsOf(
  security: Partial<SecuritySettings> | undefined,
  spool = path.join(folder, 'spool'),
): Settings {
  return {
    global: { spoolbase: { path: spool, text: spool } },
    maildirs: [],
    pipes: [],
    loggers: [],
    bounceLoggers: [],
    customLoggers: [],
    listens: [],
    controlListens: [],
    httpListens: [],
    tlsLogs: [],
    security: security && { user: undefined, group: undefined, ...security, at },
  } as unknown as Settings
}

const root: PrivilegeSystem = {
  uid: 0,
  pid: 4711,
  env: {},
  execve: () => {
    throw new Error('must not get this far')
  },
}

const messageOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    const [{ message, at: place } = { message: '' }] = error.diagnostics
    assert.deepEqual(place, at)
    return message
  }
  return assert.fail('no error')
}

const errorFor = (security: Partial<SecuritySettings>): string =>
  messageOf(() => dropPrivileges(settingsOf(security), ['node'], root))

describe('started as root', () => {
  test('without Security, the server stays root and warns', () => {
    for (const security of [undefined, {}, { user: 'root' }]) {
      const [warning] = dropPrivileges(settingsOf(security), ['node'], root)
      assert.equal(warning?.severity, 'warning')
      assert.match(warning.message, /runs as root; write Security \{ User = /)
    }
  })

  test('an unknown user or group, or a group alone, is an error at its stanza', () => {
    assert.match(errorFor({ user: 'no-such-user' }), /^there is no user "no-such-user"/)
    assert.match(errorFor({ user: '--help' }), /^there is no user "--help"/)
    assert.match(errorFor({ user: 'nobody', group: 'no-such-group' }), /^there is no group "no-such-group"/)
    assert.match(errorFor({ group: 'nogroup' }), /^a User is missing/)
  })

  test('a process that is root again after it gave up root does not try forever', () => {
    const env = { POSTERN_PRIVILEGES_DROPPED: '4711' }
    const message = messageOf(() =>
      dropPrivileges(settingsOf({ user: 'nobody' }), ['node'], { ...root, env }),
    )
    assert.match(message, /still root/)
  })

  test('a folder that the user cannot write to is an error before anything happens', { skip }, () => {
    const spool = path.join(folder, 'of-root')
    mkdirSync(spool, { mode: 0o755 })
    const message = messageOf(() => dropPrivileges(settingsOf({ user: 'nobody' }, spool), ['node'], root))
    assert.match(message, /^user "nobody" cannot use the folder .*of-root; give it to that user/)
  })

  test('a program or a configuration that the user cannot read is an error before anything happens', {
    skip,
  }, () => {
    const place = path.join(folder, 'program-of-root')
    mkdirSync(place, { mode: 0o700 })
    const program = path.join(place, 'main.ts')
    writeFileSync(program, '')
    const spool = path.join(folder, 'spool-of-nobody')
    mkdirSync(spool)
    chownSync(spool, NOBODY, NOBODY)
    const settings = settingsOf({ user: 'nobody' }, spool)
    const message = messageOf(() => dropPrivileges(settings, ['/bin/sh', program, 'serve'], root))
    assert.match(message, /^user "nobody" cannot read .*program-of-root\/main\.ts/)
  })

  test('a folder where the user may make it is made by the user', { skip }, () => {
    const place = path.join(folder, 'of-nobody')
    mkdirSync(place)
    chownSync(place, NOBODY, NOBODY)
    const spool = path.join(place, 'deep', 'spool')
    const stop = new Error('this far')
    const execve = () => {
      throw stop
    }
    assert.throws(
      () => dropPrivileges(settingsOf({ user: 'nobody' }, spool), ['node'], { ...root, execve }),
      stop,
    )
    assert.equal(statSync(spool).uid, NOBODY)
  })

  test('the server is run again as the user, with the same process id and the one capability', {
    skip,
  }, () => {
    const spool = path.join(rootFolder, 'spool', 'postern')
    const report = runDropped(settingsOf({ user: 'nobody', group: String(NOBODY) }, spool))
    assert.equal(report['starts'], 2, 'root once, the user once')
    assert.equal(report['pid'], report['spawned'])
    assert.deepEqual(report['ids'], { Uid: NOBODY, Gid: NOBODY })
    const onlyNetBind = (1n << 10n).toString(16).padStart(16, '0')
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.equal(report[set], onlyNetBind, set)
    assert.equal(report['NoNewPrivs'], '1')
    assert.equal(report['lowPort'], 'bound')
    assert.match(String(report['readShadow']), /EACCES/)
    assert.equal(statSync(spool).uid, NOBODY)
  })
})

/** Runs a program that gives up root and then tells what it is. */
function runDropped(settings: Settings): Record<string, unknown> {
  const program = path.join(folder, 'dropped.mjs')
  const { node, module } = forAnybody()
  writeFileSync(
    program,
    `import { readFileSync, readdirSync } from 'node:fs'
     import net from 'node:net'
     import { dropPrivileges } from ${JSON.stringify(module)}
     const starts = Number(process.env.STARTS ?? 0) + 1
     process.env.STARTS = String(starts)
     dropPrivileges(${JSON.stringify(settings)}, [process.execPath, ...process.execArgv, ...process.argv.slice(1)])
     const status = Object.fromEntries(readFileSync('/proc/self/status', 'latin1').split('\\n').map((l) => l.split(/:\\s*/)))
     const ids = { Uid: Number(status.Uid.split('\\t')[0]), Gid: Number(status.Gid.split('\\t')[0]) }
     const attempt = (run) => { try { return run() } catch (error) { return error.code } }
     const readShadow = attempt(() => readFileSync('/etc/shadow', 'latin1').length)
     const server = net.createServer().on('error', (error) => tell(error.code)).listen(${lowPort()}, '127.0.0.1', () => tell('bound'))
     function tell(lowPort) {
       server.close()
       console.log(JSON.stringify({ ...status, ids, starts, pid: process.pid, lowPort, readShadow }))
     }`,
  )
  const run = spawnSync(node, [program], { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr)
  assert.equal(run.stderr, '')
  return { ...(JSON.parse(run.stdout) as Record<string, unknown>), spawned: run.pid }
}

/** Node and the source where any user can read them: a copy, when the checkout lies in somebody's private folder. */
function forAnybody(): { node: string; module: string } {
  const checkout = path.join(import.meta.dirname, '..', '..')
  const source = path.join('src', 'cli', 'privileges.ts')
  const files = [process.execPath, path.join(checkout, source)]
  const unreadable = files.some((name) => {
    const test = ['--reuid', String(NOBODY), '--clear-groups', '--regid', String(NOBODY), 'test', '-r', name]
    return spawnSync('setpriv', test).status !== 0
  })
  if (!unreadable) return { node: process.execPath, module: path.join(checkout, source) }
  const copy = path.join(folder, 'copy')
  cpSync(path.join(checkout, 'src'), path.join(copy, 'src'), { recursive: true })
  for (const name of ['package.json', 'node']) {
    copyFileSync(name === 'node' ? process.execPath : path.join(checkout, name), path.join(copy, name))
  }
  return { node: path.join(copy, 'node'), module: path.join(copy, source) }
}

/** Below 1024, and unlikely to be in use. */
function lowPort(): number {
  return 600 + (process.pid % 400)
}

function findings(security: Partial<SecuritySettings> | undefined, uid: number): string[] {
  return auditSecurity(settingsOf(security), uid).map(({ severity, message }) => `${severity}: ${message}`)
}

describe('check', () => {
  test('says what a start as root would say, and warns anybody else of it', () => {
    assert.deepEqual(findings({ user: 'nobody' }, 0), [])
    assert.match(String(findings({ user: 'no-such-user' }, 0)), /^error: there is no user "no-such-user"/)
    assert.match(String(findings({ user: 'no-such-user' }, 1)), /^warning: there is no user/)
    assert.match(String(findings({ group: 'nogroup' }, 0)), /^error: a User is missing/)
    for (const nobody of [undefined, {}]) {
      assert.match(String(findings(nobody, 0)), /^warning: the server runs as root/)
      assert.deepEqual(findings(nobody, 1), [])
    }
  })
})

describe('not started as root', () => {
  const user: PrivilegeSystem = { ...root, uid: NOBODY }

  test('the server stays who it is, and warns only when Security names somebody else', () => {
    assert.deepEqual(dropPrivileges(settingsOf(undefined), ['node'], user), [])
    assert.deepEqual(dropPrivileges(settingsOf({ user: 'nobody' }), ['node'], user), [])
    for (const name of ['daemon', 'no-such-user']) {
      const [warning] = dropPrivileges(settingsOf({ user: name }), ['node'], user)
      assert.match(warning?.message ?? '', /was started as uid 65534 and not as root/)
      assert.deepEqual(warning?.at, at)
    }
  })
})

const need = (where: string) => ({ path: where, mode: 0o750, vital: true })

describe('folders made by root for the user', { skip }, () => {
  const owner = { uid: NOBODY, gid: NOBODY }

  test('are made with all that is missing above them, and belong to the user', () => {
    const deep = path.join(rootFolder, 'var', 'spool', 'mail')
    createFolders([need(deep)], owner)
    for (const made of [deep, path.dirname(deep)]) assert.equal(statSync(made).uid, NOBODY)
    assert.deepEqual(
      [deep, path.dirname(deep)].map((made) => statSync(made).mode & 0o777),
      [0o750, 0o755],
    )
    assert.equal(statSync(rootFolder).uid, 0)
  })

  test('are all made when one lies beside or below another', () => {
    const [spool, log, below] = ['a/spool', 'a/log', 'a/spool/deep'].map((name) =>
      path.join(rootFolder, name),
    )
    createFolders([need(spool!), need(log!), need(below!)], owner)
    for (const made of [spool!, log!, below!]) assert.equal(statSync(made).uid, NOBODY)
  })

  test('that exist are left as they are', () => {
    const existing = path.join(rootFolder, 'existing')
    mkdirSync(existing, { mode: 0o700 })
    createFolders([need(existing)], owner)
    assert.deepEqual([statSync(existing).uid, statSync(existing).mode & 0o777], [0, 0o700])
  })

  test('are not made where somebody else could have put a link', () => {
    const shared = path.join(rootFolder, 'shared')
    mkdirSync(shared)
    chownSync(shared, NOBODY, NOBODY)
    const target = path.join(rootFolder, 'target')
    mkdirSync(target)
    symlinkSync(target, path.join(shared, 'link'))
    createFolders([need(path.join(shared, 'spool'))], owner)
    assert.equal(existsSync(path.join(shared, 'spool')), false)
    createFolders([need(path.join(folder, 'in', 'tmp'))], owner)
    assert.equal(existsSync(path.join(folder, 'in')), false)
  })
})

const file = (name: string) => ({ path: name, text: name })

test('the folders are those of spool, mailboxes, UNIX sockets and logs, each once', () => {
  const settings = {
    global: { spoolbase: file('/s/spool') },
    maildirs: [{ basedir: file('/s/mail') }],
    pipes: [{ output_file: file('/s/pipe/out'), error_file: undefined }],
    loggers: [{ mainlog: file('/s/log/mainlog'), paniclog: undefined, acctlog: file('/s/acct/acctlog') }],
    customLoggers: [],
    bounceLoggers: [{ bouncelog: file('/s/bounces/bouncelog') }],
    tlsLogs: [],
    httpListens: [],
    controlListens: [
      { address: { kind: 'unix', path: '/s/console/control' }, scope: { options: { enable: true } } },
    ],
    listens: [
      { address: { kind: 'unix', path: '/s/run/gate.sock' }, scope: { options: { enable: true } } },
      { address: { kind: 'unix', path: '/s/off/gate.sock' }, scope: { options: { enable: false } } },
      {
        address: { kind: 'tcp', host: undefined, port: 25, family: 4 },
        scope: { options: { enable: true } },
      },
    ],
  } as unknown as Settings
  assert.deepEqual(
    foldersOf(settings).map(({ path: where, vital }) => [where, vital]),
    [
      ['/s/spool', true],
      ['/s/mail', true],
      ['/s/run', true],
      ['/s/console', true],
      ['/s/log', false],
      ['/s/acct', false],
      ['/s/bounces', false],
      ['/s/pipe', false],
    ],
  )
})
