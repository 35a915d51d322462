import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { openSpool } from '../../src/spool/lmdb-spool.ts'
import { MemorySpool } from '../../src/spool/memory-spool.ts'
import { spoolContract } from './contract.ts'

const made: string[] = []
after(async () => await Promise.all(made.map(async (path) => await rm(path, { recursive: true }))))

spoolContract('the spool in memory', async () => {
  const storage = new Map()
  await Promise.resolve()
  let capacity = 10_000_000
  return {
    open: async () => {
      await Promise.resolve()
      return new MemorySpool({ storage, capacity: () => capacity })
    },
    fill: async () => {
      await Promise.resolve()
      capacity = 0
      return async () => {
        await Promise.resolve()
        capacity = 10_000_000
      }
    },
  }
})

spoolContract('the spool on disk', async () => {
  const path = await mkdtemp(join(tmpdir(), 'postern-spool-'))
  made.push(path)
  // the disk of this machine has room: what changes here is what the spool is told to leave free
  let minFree = 1_000_000
  return {
    open: async () =>
      await openSpool({
        path,
        mode: 0o600,
        get minFree() {
          return minFree
        },
        receptionMemory: 10_000_000,
        clock: () => Date.now(),
        events: { emit: (event) => assert.fail(JSON.stringify(event)) },
      }),
    fill: async () => {
      await Promise.resolve()
      minFree = Number.MAX_SAFE_INTEGER
      return async () => {
        await Promise.resolve()
        minFree = 1_000_000
      }
    },
  }
})
