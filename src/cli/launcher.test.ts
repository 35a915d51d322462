import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { readVersion } from './version.ts'

const bin = path.join(import.meta.dirname, '..', '..', 'bin')
const folder = mkdtempSync(path.join(tmpdir(), 'postern launcher-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const version = (program: string): string => {
  // the PATH of a machine on which no Node.js is installed
  const run = spawnSync(program, ['--version'], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
  })
  return `${run.stdout}${run.stderr}`.trim()
}

test('bin/postern finds its own Node.js and source through links to it, to its folder, and chains of both', () => {
  const inner = path.join(folder, 'a b', 'inner')
  mkdirSync(inner, { recursive: true })
  symlinkSync(bin, path.join(folder, 'folder'))
  symlinkSync(path.join(bin, 'postern'), path.join(inner, 'direct'))
  symlinkSync('direct', path.join(inner, 'relative'))
  symlinkSync('../../folder/postern', path.join(inner, 'both'))
  const programs = ['folder/postern', 'a b/inner/direct', 'a b/inner/relative', 'a b/inner/both']
  for (const program of programs) assert.equal(version(path.join(folder, program)), readVersion(), program)
})

/** A folder like an installed one, in which this script stands for Node.js. */
function installed(script: string): {
  readonly modules: string
  readonly run: (env?: Readonly<Record<string, string>>, args?: readonly string[]) => string
} {
  const root = path.join(mkdtempSync(path.join(folder, 'root ')), 'installed')
  const modules = path.join(root, 'node_modules')
  mkdirSync(path.join(modules, '.bin'), { recursive: true })
  mkdirSync(path.join(root, 'bin'))
  copyFileSync(path.join(bin, 'postern'), path.join(root, 'bin', 'postern'))
  writeFileSync(path.join(modules, '.bin', 'node'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const program = path.join(root, 'bin', 'postern')
  const run = (env = {}, args: readonly string[] = []): string =>
    spawnSync('/bin/sh', [program, ...args], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin', ...env },
    }).stdout.trim()
  return { modules, run }
}

test('young objects and helping threads are bounded, by what NODE_OPTIONS says where it says something', () => {
  const { modules, run } = installed('printf "%s|" "$@"')
  const main = path.join(path.dirname(modules), 'dist', 'main.js')
  const flags = '--no-parallel-scavenge|--max-semi-space-size=8|--v8-pool-size=1'
  assert.equal(run({}, ['check', 'a b', '']), `${flags}|${main}|check|a b||`)
  assert.equal(run({ NODE_OPTIONS: '--no-warnings' }), `${flags}|${main}|`)
  for (const option of ['--max-semi-space-size=32', '--no-warnings --max_semi_space_size 4'])
    assert.equal(
      run({ NODE_OPTIONS: option }, ['check']),
      `--no-parallel-scavenge|--v8-pool-size=1|${main}|check|`,
    )
  assert.equal(
    run({ NODE_OPTIONS: '--v8-pool-size=4' }),
    `--no-parallel-scavenge|--max-semi-space-size=8|${main}|`,
  )
})

test('SIGHUP does not end a server before Node.js is there, and ends everything else', () => {
  const { run } = installed('grep SigIgn /proc/self/status')
  const isIgnored = (command: string): boolean =>
    (Number.parseInt(run({}, [command]).slice(-1), 16) & 1) === 1
  assert.equal(isIgnored('serve'), true)
  assert.equal(isIgnored('console'), false)
})

test('what Node keeps for the next start lies with the program, and only where the program is ours', () => {
  const { modules, run: cache } = installed('echo "$NODE_COMPILE_CACHE"')
  assert.equal(cache(), path.join(modules, '.cache', 'node'))
  assert.equal(cache({ NODE_COMPILE_CACHE: '/elsewhere' }), '/elsewhere', 'who has chosen a place keeps it')
  if (process.getuid?.() !== 0) return
  chownSync(modules, 65_534, 65_534)
  assert.equal(cache(), '', 'nothing of root is left in somebody else’s folder')
})
