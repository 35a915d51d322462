/** The demonstration works on any machine: with the Node of the PATH, in a pipe, with exit code 0, leaving mail behind. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { visitors } from '../../src/cli/demo/scenario.ts'
import { bin } from '../support/gate-process.ts'

test('postern demo shows every visitor and leaves the mail that was let in', () => {
  // without the folder that `npm run` puts in front, the PATH has whatever Node the machine has
  const PATH = (process.env['PATH'] ?? '').split(':').filter((folder) => !folder.includes('node_modules'))
  const run = spawnSync(bin, ['demo'], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, PATH: PATH.join(':') },
  })
  assert.equal(run.status, 0, run.stderr)
  assert.ok(!run.stdout.includes('\u001b'), 'plain text in a pipe')
  for (const { who, from } of visitors) {
    assert.ok(run.stdout.includes(`✓  ${who}`), who)
    assert.ok(run.stdout.includes(from), from)
  }
  const mails = [...run.stdout.matchAll(/^ {2}\d+ {2}(\/.*)$/gm)].map(([, file = '']) => file)
  assert.equal(mails.length, visitors.filter(({ expect }) => expect === 'delivered').length)
  for (const file of mails) assert.match(readFileSync(file, 'latin1'), /^Sent by: /m)
  for (const cause of ['untrusted', 'expired', 'revoked'])
    assert.match(run.stdout, new RegExp(`unverified: ${cause}`))
  const folder = /^(.*)\/mail\//.exec(mails[0] ?? '')?.[1]
  assert.ok(folder !== undefined && path.basename(folder).startsWith('postern-demo-'))
  rmSync(folder, { recursive: true })
})
