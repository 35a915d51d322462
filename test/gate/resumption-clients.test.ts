/**
 * Resumption as clients of others' making see it: OpenSSL's, GnuTLS's and Postfix's. A session comes again in its own scope
 * with the verdict that it had; not in another scope, and not after the CA has changed.
 *
 * Both sides are asked: the client for what it saw, the gate for what it told of each handshake.
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import type { TlsFact } from '../../src/events/events.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.6.1:0" { Use_SSL = true }
  Listen "127.0.6.2:0" { }
  Listen "127.0.6.3:0" { TLS_Verify_Mode = "require" }
  Listen "127.0.6.4:0" { TLS_Verify_Depth = 3 }
}
`
const IMPLICIT = 0
const STARTTLS = 1
const REQUIRE = 2
const WITHOUT_TICKETS = 3

const DEADLINE = 30_000
const DIALOGUE = 'EHLO client.example\r\nXDUMPCONTEXT\r\nQUIT\r\n'
const versions = ['1.2', '1.3'] as const
type Version = (typeof versions)[number]

/** not everybody has the administrator's programs on the path */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin`

/** Why to skip what needs a program; where all of them have to be there (`.ci/run`), nothing is skipped. */
function missing(program: string): string | false {
  if (process.env['POSTERN_CLIENTS'] === 'required') return false
  const { status } = spawnSync('sh', ['-c', `command -v ${program}`], { env: { PATH } })
  return status !== 0 && `${program} is not installed`
}

/** A gate of its own: `tls` has what was told of the handshakes since the last call. */
interface Stage {
  readonly gate: TestGate
  readonly certificate: string
  readonly key: string
  readonly file: (name: string) => string
  /** the next `count` handshakes: how each ended, and whether it resumed a session */
  readonly tls: (count: number) => Promise<string[]>
}

async function onStage(use: (stage: Stage) => Promise<void>): Promise<void> {
  const gate = await startTestGate({ conf, pki: await testPki() })
  const told: TlsFact[] = []
  const file = (name: string): string => path.join(gate.folder, name)
  try {
    await use({
      gate,
      certificate: file('pki/client-valid.pem'),
      key: file('pki/client-valid.key'),
      file,
      tls: async (count) => {
        const facts: TlsFact[] = []
        while (facts.length < count) {
          const fact = await gate.event('tls', (event) => !told.includes(event))
          told.push(fact)
          facts.push(fact)
        }
        assert.equal(gate.events.filter(({ kind }) => kind === 'tls').length, told.length)
        return facts.map(({ outcome, resumed }) => `${outcome}${resumed ? ', resumed' : ''}`)
      },
    })
  } finally {
    await gate.stop()
  }
}

interface Output {
  readonly text: string
  readonly code: number | null
}

async function run(
  program: string,
  args: readonly (readonly string[])[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Output> {
  const env = { ...process.env, PATH, LC_ALL: 'C', ...environment }
  const child = spawn(program, args.flat(), { stdio: ['pipe', 'pipe', 'pipe'], timeout: DEADLINE, env })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
  }
  child.stdin.on('error', () => undefined)
  child.stdin.end(DIALOGUE)
  const [code] = (await once(child, 'close')) as [number | null]
  return { text, code }
}

async function changeCa({ gate, file }: Stage): Promise<void> {
  writeFileSync(file('pki/ca.pem'), (await testPki()).otherAuthority.cert)
  await gate.server.reload()
}

describe('openssl s_client', { skip: missing('openssl'), concurrency: true }, () => {
  interface Visit {
    readonly stage: Stage
    readonly index: number
    readonly version: Version
    /** `-sess_out` or `-sess_in`, and the file */
    readonly session: readonly [string, string]
  }

  /** @returns `New` or `Reused`, as it says, and what the gate's context says of the client */
  async function visit({ stage, index, version, session }: Visit): Promise<string[]> {
    const { host, port } = stage.gate.address(index)
    const { text } = await run('openssl', [
      ['s_client', '-connect', `${host}:${port}`, `-tls${version.replace('.', '_')}`],
      index === IMPLICIT ? [] : ['-starttls', 'smtp'],
      ['-cert', stage.certificate, '-key', stage.key, '-nocommands', '-ign_eof', ...session],
    ])
    const [, began = text] = /^(New|Reused), TLSv/m.exec(text) ?? []
    const [, verified = 'no'] = /tls_client_verified (yes)/.exec(text) ?? []
    return [began, verified]
  }

  for (const version of versions) {
    test(`TLS ${version}: resumed in its own scope, verified as before, and in no other scope`, () =>
      onStage(async (stage) => {
        const out = ['-sess_out', stage.file('session')] as const
        const come = ['-sess_in', stage.file('session')] as const
        for (const own of [IMPLICIT, STARTTLS, REQUIRE]) {
          assert.deepEqual(await visit({ stage, index: own, version, session: out }), ['New', 'yes'])
          assert.deepEqual(await visit({ stage, index: own, version, session: come }), ['Reused', 'yes'])
          assert.deepEqual(await stage.tls(2), ['verified', 'verified, resumed'])
          for (const other of [IMPLICIT, STARTTLS, REQUIRE, WITHOUT_TICKETS].filter((each) => each !== own)) {
            assert.deepEqual(await visit({ stage, index: other, version, session: come }), ['New', 'yes'])
            assert.deepEqual(await stage.tls(1), ['verified'])
          }
        }
      }))

    test(`TLS ${version}: not resumed after the CA has changed, and verified no more`, () =>
      onStage(async (stage) => {
        const file = stage.file('session')
        const at = { stage, index: IMPLICIT, version }
        assert.deepEqual(await visit({ ...at, session: ['-sess_out', file] }), ['New', 'yes'])
        await changeCa(stage)
        assert.deepEqual(await visit({ ...at, session: ['-sess_in', file] }), ['New', 'no'])
        assert.deepEqual(await stage.tls(2), ['verified', 'unverified'])
      }))
  }
})

async function twice(stage: Stage, index: number, version: Version): Promise<string> {
  const { host, port } = stage.gate.address(index)
  const { text } = await run('gnutls-cli', [
    ['--resume', '--insecure', '--priority', `NORMAL:-VERS-ALL:+VERS-TLS${version}`],
    // where tickets come after the handshake; it would wait for one in vain where there is none
    version === '1.3' && index === STARTTLS ? ['--waitresumption'] : [],
    ['--starttls-proto=smtp'],
    ['--x509certfile', stage.certificate, '--x509keyfile', stage.key, '-p', String(port), host],
  ])
  return text
}

describe('gnutls-cli --resume', { skip: missing('gnutls-cli'), concurrency: true }, () => {
  for (const version of versions) {
    test(`TLS ${version}: comes again as who it was`, () =>
      onStage(async (stage) => {
        assert.match(await twice(stage, STARTTLS, version), /This is a resumed session/)
        assert.deepEqual(await stage.tls(2), ['verified', 'verified, resumed'])
      }))

    test(`TLS ${version}: where there are no tickets it shows its certificate anew`, () =>
      onStage(async (stage) => {
        const text = await twice(stage, WITHOUT_TICKETS, version)
        assert.doesNotMatch(text, /This is a resumed session/)
        assert.deepEqual(await stage.tls(2), ['verified', 'verified'])
      }))
  }
})

/** Connects, and again a second later, as Postfix would. */
async function reconnect(stage: Stage, index: number, version: Version): Promise<string> {
  const { host, port } = stage.gate.address(index)
  writeFileSync(stage.file('main.cf'), 'compatibility_level = 3.6\nmail_owner = postfix\n')
  const both = stage.file('client.pem')
  writeFileSync(both, [stage.certificate, stage.key].map((name) => readFileSync(name, 'utf8')).join(''))
  const protocols = version === '1.2' ? '!TLSv1.3' : '!SSLv2,!SSLv3,!TLSv1,!TLSv1.1,!TLSv1.2'
  const { text } = await run(
    'posttls-finger',
    [
      ['-c', '-l', 'encrypt', '-L', 'summary,cache', '-p', protocols, '-k', both, '-K', both],
      ['-r', '1', '-m', '1', `[${host}]:${port}`],
    ],
    { MAIL_CONFIG: stage.gate.folder },
  )
  return text
}

describe('posttls-finger -r', { skip: missing('posttls-finger'), concurrency: true }, () => {
  for (const version of versions) {
    test(`TLS ${version}: reuses its session, verified as before`, () =>
      onStage(async (stage) => {
        const text = await reconnect(stage, STARTTLS, version)
        assert.match(text, /Reusing old session/)
        assert.equal(text.match(/TLS connection established.* TLSv1\.\d/g)?.length, 2, text)
        assert.ok(text.includes(`: TLSv${version} with cipher`), text)
        assert.deepEqual(await stage.tls(2), ['verified', 'verified, resumed'])
      }))

    test(`TLS ${version}: the CA changes while it is away, and it comes as somebody unknown`, () =>
      onStage(async (stage) => {
        const visits = reconnect(stage, STARTTLS, version)
        assert.deepEqual(await stage.tls(1), ['verified'])
        await changeCa(stage)
        const text = await visits
        assert.doesNotMatch(text, /Reusing old session/)
        assert.deepEqual(await stage.tls(1), ['unverified'], text)
      }))
  }
})
