/** A short run of `bench/handshakes.ts`: clients of all kinds leave nothing behind in the gate's memory. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'

const bench = path.join(import.meta.dirname, '..', '..', 'bench', 'handshakes.ts')
const HANDSHAKES = 2000
/** MiB over the last seven tenths: about 3 KiB for each handshake; a session or a certificate that stays takes more */
const ROOM = 4

test('two thousand handshakes, good, hostile, resumed and cut off, leave memory as it was', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--expose-gc', bench, String(HANDSHAKES)], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  assert.equal(status, 0, stderr)
  const heaps = [...stdout.matchAll(/^\d+: .*heap and external ([\d.]+) MiB/gm)].map(([, heap]) =>
    Number(heap),
  )
  assert.equal(heaps.length, 10, stdout)
  const early = Math.min(...heaps.slice(2, 5))
  const late = Math.min(...heaps.slice(-3))
  assert.ok(late - early < ROOM, `${early} MiB became ${late}:\n${stdout}`)
  for (const outcome of ['verified', 'verified (resumed)', 'unverified', 'anonymous', 'failed']) {
    assert.match(stdout, new RegExp(`^  '?${outcome.replace(/[()]/g, '\\$&')}'?: \\d+`, 'm'), outcome)
  }
  assert.doesNotMatch(stdout, /panic/)
})
