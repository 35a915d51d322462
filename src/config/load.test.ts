import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { ConfigError, describeOrigin } from './diagnostic.ts'
import { loadSettings, loadSettingsFromText } from './load.ts'
import type { Settings } from './settings.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-config-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function settingsOf(text: string): Promise<Settings> {
  const { settings, diagnostics } = await loadSettingsFromText(text)
  if (settings === undefined) throw new ConfigError(diagnostics)
  return settings
}

const write = (name: string, text: string): string => {
  const file = path.join(folder, name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}

const script = (name: string, source: string) => `script "${name}" { source = "${source}" }\n`

describe('settings', () => {
  test('the same Listen, Peer blocks and pathway give the same frozen scope', async () => {
    const settings = await settingsOf(`
      ESMTP_Listener {
        Listen ":25" { Peer "10.0.0.0/8" { Idle_Time = 1 } }
        Peer "11.0.0.0/8" { context = [ a = b ] }
      }
      Pathway "p" { Idle_Time = 2 }`)
    const [listen] = settings.listens
    assert.ok(listen)
    const scope = settings.resolveInbound(listen, '10.0.0.1')
    assert.equal(settings.resolveInbound(listen, '10.9.9.9'), scope)
    assert.equal(settings.resolveInbound(listen, '10.0.0.1'), scope)
    assert.equal(settings.resolveInbound(listen, '192.0.2.1'), listen.scope)
    assert.notEqual(settings.resolveInbound(listen, '10.0.0.1', 'p'), scope)
    assert.equal(settings.resolveInbound(listen, '10.0.0.1', 'p').options.idle_time, 2)
    // a name from a script that no stanza has
    assert.equal(settings.resolveInbound(listen, '10.0.0.1', 'nowhere'), scope)
    assert.ok(Object.isFrozen(scope.options) && Object.isFrozen(scope.options.relay_hosts))
    assert.ok(Object.isFrozen(settings.resolveInbound(listen, '11.0.0.1').options.context))
  })

  test('ids name stanzas, so that they survive a reload', async () => {
    const text =
      'ESMTP_Listener { Listen ":25" { Peer "10.0.0.0/8" { Idle_Time = 1 } Peer "10.1.0.0/16" { } } }'
    const ids = await Promise.all(
      [text, `# moved\n${text}`].map(async (each) => {
        const settings = await settingsOf(each)
        const [listen] = settings.listens
        assert.ok(listen)
        return settings.resolveInbound(listen, '10.1.0.1').id
      }),
    )
    assert.equal(ids[0], ids[1])
    assert.equal(ids[0], 'listen ":25" peer 10.1.0.0/16,10.0.0.0/8')
  })

  test('an address that cannot be read, or a Listen of another configuration, is refused', async () => {
    const settings = await settingsOf('ESMTP_Listener { Listen ":25" { } }')
    const [listen] = settings.listens
    assert.ok(listen)
    assert.throws(() => settings.resolveInbound(listen, 'localhost'), TypeError)
    assert.throws(() => settings.resolveInbound({ ...listen, instance: ':26' }, '10.0.0.1'), TypeError)
  })

  test('every scope that a client could meet is listed once', async () => {
    const settings = await settingsOf(`
      ESMTP_Listener {
        Listen ":25" { Peer "10.0.0.0/8" { } Peer "10.1.0.0/16" { } }
        Listen ":26" { }
        Peer "10.0.0.0/8" { }
        Peer "192.0.2.0/24" { }
      }
      Pathway "p" { }`)
    assert.deepEqual([...settings.inboundScopes()].map(({ scope }) => scope.id).toSorted(), [
      'listen ":25"',
      'listen ":25" listener-peer 192.0.2.0/24',
      'listen ":25" peer 10.0.0.0/8 listener-peer 10.0.0.0/8',
      'listen ":25" peer 10.1.0.0/16,10.0.0.0/8 listener-peer 10.0.0.0/8',
      'listen ":26"',
      'listen ":26" listener-peer 10.0.0.0/8',
      'listen ":26" listener-peer 192.0.2.0/24',
    ])
  })

  test('the clients of a UNIX socket are among them, in all blocks that hold a loopback address', async () => {
    const settings = await settingsOf(`
      ESMTP_Listener { Listen "/tmp/a" { Peer "127.0.0.0/8" { } Peer "::1" { } } }`)
    const [listen] = settings.listens
    assert.ok(listen)
    const ids = [...settings.inboundScopes()].map(({ scope }) => scope.id)
    assert.ok(ids.includes(settings.resolveInbound(listen, '').id), ids.join('\n'))
  })

  test('a client in no Peer block can be asked for, with a pathway too', async () => {
    const settings = await settingsOf(`
      ESMTP_Listener { Listen ":25" { Idle_Time = 1 Peer "0.0.0.0/0" { Idle_Time = 2 } } }
      Pathway "p" { Idle_Time = 3 }`)
    const [listen] = settings.listens
    assert.ok(listen)
    assert.equal(settings.resolveInbound(listen, '10.0.0.1').options.idle_time, 2)
    assert.equal(settings.resolveInbound(listen, undefined).options.idle_time, 1)
    assert.equal(settings.resolveInbound(listen, undefined, 'p').options.idle_time, 3)
  })

  test('two scopes never share an id, whatever paths and names hold', async () => {
    const settings = await settingsOf(`
      ESMTP_Listener {
        Listen "/tmp/a" { Peer "127.0.0.0/8" { TLS_Verify_Mode = require } }
        Listen "/tmp/a peer 127.0.0.0/8" { TLS_Verify_Mode = none }
      }`)
    const modes = settings.listens.map(
      (listen) => settings.resolveInbound(listen, '').options.tls_verify_mode,
    )
    assert.deepEqual(modes, ['require', 'none'])
  })

  test('scopes stay right when more clients come than are remembered', async () => {
    const settings = await settingsOf(`
      ESMTP_Listener { Listen ":25" { Idle_Time = 1 Peer "10.0.0.0/9" { Idle_Time = 2 } } }`)
    const [listen] = settings.listens
    assert.ok(listen)
    for (let n = 0; n < 50_000; n += 1) {
      const address = `10.${(n & 1) * 128}.${n >> 8}.${n & 255}`
      assert.equal(settings.resolveInbound(listen, address).options.idle_time, 2 - (n & 1))
    }
    assert.equal(settings.resolveInbound(listen, '10.0.0.0').options.idle_time, 2)
  })

  test('with scripts, each pathway on each Listen is among them', async () => {
    const settings = await settingsOf(`
      ESMTP_Listener { Listen ":25" { } }
      Pathway "p" { }
      scriptlet "scriptlet" { script "x" { source = "x" } }`)
    assert.deepEqual(
      [...settings.inboundScopes()].map(({ scope }) => scope.id),
      ['listen ":25"', 'listen ":25" pathway "p"'],
    )
  })

  test('every error is reported and no settings are made', async () => {
    const { settings, diagnostics } = await loadSettingsFromText(
      'Spool_Mode = 9\nHostnme = x\nRelay_Hosts = ( a b )',
    )
    assert.equal(settings, undefined)
    assert.deepEqual(
      diagnostics.map((each) => each.at?.line),
      [1, 2, 3, 3],
    )
    assert.equal(new ConfigError(diagnostics).message, diagnostics[0]?.message)
  })

  test('origins of globals and destinations name the line of the value itself', async () => {
    const settings = await settingsOf(
      'Hostname =\n  "x.example"\nDomain "a.example" {\n Gateway\n =\n b.example }',
    )
    assert.equal(describeOrigin(settings.globalOrigin('hostname')), 'postern.conf:2')
    assert.equal(describeOrigin(settings.globalOrigin('spoolbase')), 'default')
    assert.equal(describeOrigin(settings.resolveOutbound('a.example').origin('gateway')), 'postern.conf:6')
  })
})

describe('files', () => {
  test('a file without an end is refused', async () => {
    const { settings, diagnostics } = await loadSettings('/dev/zero')
    assert.equal(settings, undefined)
    assert.deepEqual(diagnostics, [
      { severity: 'error', message: 'cannot read "/dev/zero": it is larger than 64 MiB' },
    ])
  })

  test('a missing main file is one error without a place', async () => {
    const { settings, diagnostics } = await loadSettings(path.join(folder, 'none.conf'))
    assert.equal(settings, undefined)
    assert.deepEqual(diagnostics, [
      { severity: 'error', message: `cannot read "${path.join(folder, 'none.conf')}": no such file` },
    ])
  })

  test('a cycle through a symbolic link is still a cycle', async () => {
    const file = write('cycle/gate.conf', 'include "other.conf"\n')
    symlinkSync(file, path.join(folder, 'cycle', 'other.conf'))
    const { diagnostics } = await loadSettings(file)
    assert.equal(diagnostics.length, 1)
    assert.match(diagnostics[0]?.message ?? '', /comes back to itself: .*gate\.conf → .*other\.conf$/)
  })

  test('a file that is included twice is wrong once, and its options are not called set twice', async () => {
    write('twice/both.conf', 'Idle_Time = 5\nNonsense = 1\n')
    const file = write('twice/gate.conf', 'ESMTP_Listener { include both.conf include both.conf }')
    const { diagnostics } = await loadSettings(file)
    assert.deepEqual(
      diagnostics.map((each) => each.message),
      ['unknown option "Nonsense" in ESMTP_Listener'],
    )
  })

  test('includes that multiply are stopped', async () => {
    const names = Array.from({ length: 30 }, (_, n) => `${n}.conf`)
    const files = Object.fromEntries(names.map((name, n) => [name, `include "${n + 1}.conf"\n`.repeat(2)]))
    const { diagnostics } = await loadSettingsFromText('include "0.conf"', 'gate.conf', {
      ...files,
      '30.conf': '',
    })
    assert.deepEqual(
      diagnostics.map((each) => each.message),
      ['more than 10000 includes'],
    )
  })

  test('what is neither file nor directory is not read', async () => {
    const file = write('device/gate.conf', 'include "/dev/zero"\n')
    const { diagnostics } = await loadSettings(file)
    assert.deepEqual(
      diagnostics.map((each) => each.message),
      ['cannot include "/dev/zero": it is neither a file nor a directory'],
    )
  })

  test('the text of every file can be read back for excerpts', async () => {
    const file = write('read/gate.conf', 'include "more.conf"\n')
    write('read/more.conf', 'Hostname = x.example\n')
    const { settings, readSource } = await loadSettings(file)
    assert.deepEqual(settings?.files, [file, path.join(path.dirname(file), 'more.conf')])
    assert.equal(readSource(path.join(path.dirname(file), 'more.conf')), 'Hostname = x.example\n')
    assert.equal(readSource('/etc/passwd'), undefined)
  })

  test('a script is a path or a module beside the configuration, also under scripts/', async () => {
    for (const name of ['a/b.lua', 'scripts/c/d.lua', 'scripts/e.ts']) write(`modules/${name}`, '')
    const file = write(
      'modules/gate.conf',
      `scriptlet "scriptlet" { ${script('1', 'a.b')}${script('2', 'c/d')}${script('3', 'e')}${script('4', 'msys.boot')}${script('5', 'x.lua')}${script('6', '../up')} }`,
    )
    const { settings } = await loadSettings(file)
    const beside = path.dirname(file)
    assert.deepEqual(
      settings?.scripts.map((each) => each.path && path.relative(beside, each.path)),
      ['a/b.lua', 'scripts/c/d.lua', 'scripts/e.ts', undefined, 'x.lua', '../up'],
    )
  })

  test('a changes file that is not there yet, or is included as well', async () => {
    const file = write('changes/gate.conf', 'Local_Changes_File = "made-later.conf"\n')
    assert.deepEqual((await loadSettings(file)).diagnostics, [])
    write('changes/made-later.conf', 'Hostname = x.example\n')
    write('changes/gate.conf', 'include "made-later.conf"\nLocal_Changes_File = "made-later.conf"\n')
    const { diagnostics } = await loadSettings(file)
    assert.deepEqual(
      diagnostics.map((each) => each.message),
      ['Local_Changes_File must not be included as well'],
    )
  })
})
