import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { PemError, readBounded } from './pem.ts'

test('a named pipe in the place of a file is refused at once, whether or not anybody writes to it', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-pem-'))
  try {
    const pipe = path.join(folder, 'ca.pem')
    execFileSync('mkfifo', [pipe])
    await assert.rejects(readBounded(pipe, 1000), new PemError('is not a regular file'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
