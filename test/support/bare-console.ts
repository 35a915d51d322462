/** A console without a gate: nobody asks its services, and each client comes through a door of the test's own. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ListenOptions } from 'node:net'
import type { Door } from '../../src/console/door.ts'
import { anonymousOperator } from '../../src/console/operator.ts'
import { ConsoleServer } from '../../src/console/server.ts'
import type { ConsoleServices } from '../../src/console/services.ts'

type Limits = NonNullable<ConstructorParameters<typeof ConsoleServer>[0]['limits']>

interface BareConsole {
  /** a port of 127.0.0.1 that is free unless told */
  readonly at?: ListenOptions
  readonly limits?: Limits
  readonly services?: object
  /** for the next client */
  readonly door: () => Door
}

/** It ends with the test. @returns its TCP port, where it has one */
export async function bareConsole(
  t: { after: (run: () => void) => void },
  { at = { host: '127.0.0.1', port: 0 }, limits = {}, services = {}, door }: BareConsole,
): Promise<number> {
  const console = new ConsoleServer({
    services: { version: 'test', pid: 1, hostname: () => 'x', ...services } as unknown as ConsoleServices,
    limits,
    onPanic: (_level, text) => assert.fail(text),
  })
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (peer) =>
    console.take(peer, '', door()),
  )
  server.listen(at)
  await once(server, 'listening')
  t.after(() => {
    console.destroy()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

/** Lets everybody in and do everything, unless told. */
export function openDoor(given: Partial<Door>): Door {
  return {
    listener: '',
    network: '',
    room: 'local',
    timeout: 0,
    operator: anonymousOperator,
    offer: { needed: false, mechanisms: [] },
    begin: () => Promise.resolve({ kind: 'failed', reason: 'no', close: false }),
    next: () => Promise.resolve({ kind: 'failed', reason: 'no', close: false }),
    admit: () => Promise.resolve({ kind: 'allowed' }),
    stillAllows: () => Promise.resolve(true),
    standingOf: () => Promise.resolve({ groups: [], source: undefined, roles: undefined }),
    ended: () => undefined,
    ...given,
  }
}
