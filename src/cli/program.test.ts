import assert from 'node:assert/strict'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { runProgram } from './program.ts'

async function run(...args: string[]): Promise<{ readonly code: number; readonly said: string }> {
  const stdout = new PassThrough()
  const code = await runProgram(args, { stdout, stderr: stdout, terminal: false })
  return { code, said: String(stdout.read() ?? '') }
}

const missing = path.join(import.meta.dirname, 'none.conf')

test('check and serve take a configuration with -c and without, and never two', async () => {
  for (const command of ['check', 'serve']) {
    for (const args of [[missing], ['-c', missing]]) {
      const { code, said } = await run(command, ...args)
      assert.equal(code, 1, command)
      assert.ok(said.includes(`cannot read "${missing}": no such file`), said)
    }
    const { code, said } = await run(command, 'a.conf', '-c', 'b.conf')
    assert.equal(code, 64)
    assert.match(said, /^error: two configuration files are named\n/)
  }
})
