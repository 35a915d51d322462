/**
 * The import line: each folder of src/ imports what this table allows, types included (src/README.md draws it). And the line
 * that keeps the tests the same on each run: a property has its seed and its number of runs from one place.
 */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

/** `x:type` is an import of types alone. Files directly in src/, in operator/, cli/ and workers/ build and join: they may import all. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  mail: [],
  events: ['mail'],
  config: ['mail'],
  dns: ['config'],
  wire: ['mail'],
  tls: ['config', 'events'],
  authenticity: ['mail', 'config', 'dns', 'tls'],
  listener: ['config', 'events', 'wire', 'tls'],
  policy: ['mail', 'config', 'events', 'dns', 'tls:type'],
  spool: ['mail', 'config', 'events'],
  smtp: ['mail', 'config', 'events', 'wire', 'tls', 'authenticity', 'listener:type', 'policy', 'spool'],
  delivery: ['mail', 'config', 'events', 'dns', 'wire', 'tls', 'policy', 'spool'],
  logs: ['mail', 'config', 'events'],
  console: ['config', 'events', 'spool', 'delivery', 'logs'],
  web: ['config', 'events', 'console', 'tls:type'],
}

/** Packages that belong to one folder; `workers/` builds and joins, and may have any. */
const ownedPackages: Readonly<Record<string, string>> = {
  'wasmoon-lua5.1': 'policy/lua',
  pg: 'policy/datasource',
  lmdb: 'spool',
  'prom-client': 'web',
}

/** rooms that build and join */
const joining: readonly string[] = ['.', 'operator', 'cli', 'workers']

const IMPORT =
  /^(?:import|export)\s(?<type>type\s)?[\w$*,{}\s]+?from\s*'(?<from>[^']+)'|\bimport\s*\(?\s*'(?<bare>[^']+)'/gm

for (const file of globSync('src/**/*.ts', { cwd: path.join(import.meta.dirname, '..') })) {
  if (/\.(test|fixture)\.ts$/.test(file)) continue
  const folder = path.dirname(path.relative('src', file))
  const room = folder.split(path.sep)[0] ?? ''

  test(`${file} imports only what its folder may`, () => {
    assert.ok(joining.includes(room) || room in mayImport, `src/${room}/ has no row in the table`)
    const text = readFileSync(path.join(import.meta.dirname, '..', file), 'utf8')
    for (const [name, owner] of Object.entries(ownedPackages)) {
      const used = text.includes(`'${name}'`) || text.includes(`'${name}/`)
      assert.ok(
        !used || room === 'workers' || `${folder}/`.startsWith(`${owner}/`),
        `${name} belongs to src/${owner}/`,
      )
    }
    for (const { groups } of text.matchAll(IMPORT)) {
      const specifier = groups?.['from'] ?? groups?.['bare'] ?? ''
      if (!specifier.startsWith('.') || joining.includes(room)) continue
      const target = path.relative('src', path.join(path.dirname(file), specifier)).split(path.sep)[0] ?? ''
      if (target === room) continue
      const allowed = mayImport[room] ?? []
      const asType = groups?.['type'] !== undefined && allowed.includes(`${target}:type`)
      assert.ok(asType || allowed.includes(target), `src/${room}/ may not import ${specifier}`)
    }
  })
}

test('every property is held to a seed and a number of runs, and none makes a table of all characters (test/support/properties.ts)', () => {
  const root = path.join(import.meta.dirname, '..')
  const sources = globSync('{src,test}/**/*.ts', { cwd: root })
  const own = path.join('test', 'support', 'properties.ts')
  const around = /\bfc\s*\.\s*(?:assert|check)\b|\{[^}]*\} from 'fast-check'|unit:\s+'binary'/
  const direct = sources.filter((file) => around.test(readFileSync(path.join(root, file), 'utf8')))
  assert.deepEqual(direct, [own])
})
