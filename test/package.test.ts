/**
 * The package as it is published: built, packed, installed into a project outside of the checkout, and used there from
 * JavaScript, from TypeScript and from the command line.
 */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { buildPackage } from '../scripts/build.ts'
import { blocksOf } from './hooks/pages.fixture.ts'

const root = path.join(import.meta.dirname, '..')
const work = mkdtempSync(path.join(tmpdir(), 'postern-package-'))
const project = path.join(work, 'project')
const installed = path.join(project, 'node_modules', 'postern')
after(() => rmSync(work, { recursive: true, force: true }))

interface Manifest {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly [other: string]: unknown
}

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest

before(() => {
  const folder = path.join(work, 'built')
  // `npm run types` checks the same sources
  buildPackage(folder, '--noCheck')
  const npm = spawnSync('npm', ['pack', '--silent', '--ignore-scripts', '--offline'], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.equal(npm.status, 0, npm.stderr)
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', [
    '-xzf',
    path.join(folder, npm.stdout.trim()),
    '-C',
    installed,
    '--strip-components',
    '1',
  ])
  // what the package depends on, as it lies in the checkout, and the types of Node for the compiler
  for (const name of [...Object.keys(manifestOf(installed).dependencies), '@types']) {
    symlinkSync(path.join(root, 'node_modules', name), path.join(project, 'node_modules', name))
  }
  writeFileSync(path.join(project, 'package.json'), '{ "name": "project", "type": "module" }')
})

test('its manifest has what a user needs and nothing that only a checkout needs', () => {
  const [own, published] = [manifestOf(root), manifestOf(installed)]
  assert.equal(published.version, own.version)
  assert.deepEqual(published.dependencies, own.dependencies)
  for (const name of ['private', 'scripts', 'devDependencies', 'optionalDependencies']) {
    assert.ok(!(name in published), name)
  }
})

test('it holds no TypeScript but declarations, no tests, and every asset that lies between the sources', () => {
  const dist = readdirSync(path.join(installed, 'dist'), { recursive: true }).map(String)
  assert.deepEqual(
    dist.filter(
      (name) => (name.endsWith('.ts') && !name.endsWith('.d.ts')) || /\.(test|fixture)\./.test(name),
    ),
    [],
  )
  const assets = readdirSync(path.join(root, 'src'), { recursive: true }).map(String)
  for (const name of assets.filter((each) => /\.\w+$/.test(each) && !/\.(ts|md)$/.test(each))) {
    assert.ok(dist.includes(name), name)
  }
  const left = dist
    .filter((name) => name.endsWith('.js'))
    .filter((name) =>
      /(?:from|import\() ?['"]\.[^'"]*\.ts['"]/.test(
        readFileSync(path.join(installed, 'dist', name), 'utf8'),
      ),
    )
  assert.deepEqual(left, [])
})

const conf = `Hostname = "gate.example"  Spoolbase = "spool"
ESMTP_Listener { Listen "127.0.0.1:0" { } }
scriptlet "scriptlet" {
  script "lua" { source = "./lua.lua" }
  script "gate" { source = "./gate.ts" }
}
`
const lua =
  'local m = {} function m:validate_ehlo() return msys.core.VALIDATE_CONT end msys.registerModule("lua", m)\n'

const main = `import { connect } from 'node:net'
import { createServer, definePolicy, reject } from 'postern'

const own = definePolicy({ ehlo: (session, line) => line.includes('me') ? reject(550, '5.7.1 not me') : undefined })
const server = await createServer({ config: 'gate.conf', policy: own })
const [host, port] = server.addresses[0].split(':')
const said = await new Promise((resolve) => {
  let text = ''
  const socket = connect({ host, port: Number(port) })
  socket.on('data', (chunk) => { text += chunk }).on('close', () => resolve(text))
  socket.write('EHLO me\\r\\nEHLO you\\r\\nMAIL FROM:<a@b.example>\\r\\nQUIT\\r\\n')
})
console.log(said)
await server.close()
`

const policy = `import { definePolicy, type Peer, reject } from 'postern'
const kindOf = (peer: Peer): string => peer.kind
export const policy = definePolicy({ mailFrom: (session) => reject(550, '5.7.1 ' + kindOf(session.peer)) })
`

test('createServer and definePolicy work from plain JavaScript, with a policy in Lua and one in TypeScript', () => {
  const files = {
    'gate.conf': conf,
    'lua.lua': `require("msys.core")\n${lua}`,
    'gate.ts': policy,
    'main.js': main,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(project, name), text)
  const { stdout, stderr } = spawnSync(process.execPath, ['main.js'], {
    cwd: project,
    encoding: 'utf8',
    timeout: 20_000,
  })
  assert.equal(stderr, '')
  assert.match(stdout, /^220[^]*\n550 5\.7\.1 not me\r\n250[^]*\n550 5\.7\.1 plaintext\r\n221/)
})

/** policies in TypeScript that the documentation shows */
function shownPolicies(): readonly string[] {
  const pages = globSync(['docs/hooks/*.md', 'docs/policy.md'], { cwd: root })
  return pages.flatMap((page) =>
    blocksOf(readFileSync(path.join(root, page), 'utf8'))
      .filter(({ language }) => language === 'ts')
      .map(({ text }) => text),
  )
}

test('its types teach the API: what is right and what the pages show compiles, what is wrong does not', () => {
  const right = `import { createServer, definePolicy, discard, disconnect, reject, tarpit, type Peer, type VerifiedPeer } from 'postern'
const grant = (peer: VerifiedPeer): string => peer.certificate.subject
const name = (peer: Peer): string => (peer.kind === 'verified' ? grant(peer) : peer.kind)
export const policy = definePolicy({
  connect: () => tarpit(1),
  tls: ({ peer }) => (peer.kind === 'unverified' ? disconnect(421, peer.cause) : undefined),
  async mailFrom({ context }, sender, parameters) {
    await Promise.resolve()
    if (sender === undefined) return tarpit(1, reject(550, '5.7.1 no'))
    context.set('message', 'size', parameters.get('SIZE') ?? '')
  },
  data(session, message) {
    message.headers.prepend('X-Peer', name(session.peer))
    message.sender = undefined
    return discard()
  },
})
export const server = await createServer({ config: { text: '', directory: '.' }, policy, onEvent: ({ kind }) => console.log(kind) })
await server.close()
`
  const wrong = `import { accept, definePolicy, discard, reject, tarpit, type VerifiedPeer } from 'postern'
export const forged: VerifiedPeer = { kind: 'verified', certificate: {} as never }
export const a = definePolicy({ mailfrom: () => undefined })
export const b = definePolicy({ ehlo: () => discard() })
export const c = definePolicy({ tls: () => reject(550, 'x') })
export const d = definePolicy({ setBinding: () => accept(250, 'x') })
export const e = definePolicy({ rcptTo: (_session, message) => void message.headers })
export const f = definePolicy({ tls: ({ peer }) => (peer.kind === 'plaintext' ? undefined : undefined) })
export const g = definePolicy({ connect: () => tarpit(1, discard()) })
export const h = definePolicy({ mailFrom: async () => true })
export const i = definePolicy({ mailFrom: ({ peer }) => void peer.certificate })
`
  const options = {
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    types: ['node'],
  }
  const shown = shownPolicies()
  assert.ok(shown.length > 10)
  const texts = Object.fromEntries(shown.map((text, number) => [`page-${number}.ts`, text]))
  const files = { 'right.ts': right, 'wrong.ts': wrong, ...texts }
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(project, name), text)
  const tsconfig = { compilerOptions: options, files: Object.keys(files) }
  writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify(tsconfig))
  const compiler = path.join(root, 'node_modules', '.bin', 'tsc')
  const { stdout } = spawnSync(compiler, ['-p', project, '--pretty', 'false'], { encoding: 'utf8' })
  const lines = stdout.split('\n').filter((line) => /^\S.*error TS/.test(line))
  const found = lines.map((line) => line.replace(/^.*?(\w+\.(?:d\.)?ts)\((\d+),.*$/, '$1:$2'))
  assert.deepEqual(
    [...new Set(found)],
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((line) => `wrong.ts:${line}`),
    stdout,
  )
})

test('its program runs: --version, check', () => {
  const bin = path.join(installed, 'bin', 'postern')
  const env = { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}` }
  const version = spawnSync(bin, ['--version'], { encoding: 'utf8', env })
  assert.equal(version.stdout.trim(), manifestOf(root).version, version.stderr)
  const check = spawnSync(bin, ['check', 'gate.conf'], { cwd: project, encoding: 'utf8', env })
  assert.equal(check.status, 0, check.stderr)
  assert.match(check.stdout, /^gate\.conf: usable/)
})
