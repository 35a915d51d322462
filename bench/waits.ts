/**
 * What a session costs whose script waits in a DNS look-up: time to begin and to end the wait, and memory meanwhile.
 *
 *     node --expose-gc bench/waits.ts [SESSIONS]
 */

import { HeaderBlock } from '../src/mail/headers.ts'
import { ValidationContext } from '../src/policy/context.ts'
import { createPolicy } from '../src/policy/run.ts'

const sessions = Number(process.argv[2] ?? 2000)
const held: (() => void)[] = []
const { policy } = await createPolicy({
  scripts: [
    {
      name: 'gate',
      source: 'gate.lua',
      path: '/gate.lua',
      at: { file: 'bench', line: 1, column: 1, length: 1 },
    },
  ],
  hostname: 'mx.example',
  events: { emit: (event) => process.stderr.write(`${JSON.stringify(event)}\n`) },
  readFile: async () =>
    Buffer.from(`local core, mod = require("msys.core"), {}
function mod:validate_data(msg, ac, vctx)
  local found = msys.dnsLookup("one.example")
  return found[1] == "192.0.2.1" and core.VALIDATE_DONE or core.VALIDATE_CONT
end
msys.registerModule("gate", mod)`),
  library: {
    records: {
      lookup: () =>
        new Promise((resolve) => held.push(() => resolve([{ value: '192.0.2.1', preference: undefined }]))),
    },
  },
})

const mebibytes = (octets: number): string => (octets / 1_048_576).toFixed(1)
function inUse(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function facts(number: number) {
  const session = {
    connectionId: `00/00-00001-${number.toString(16).padStart(8, '0')}`,
    remote: { address: '192.0.2.7', port: 40_000 },
    local: { address: '127.0.0.1', port: 25 },
    peer: { kind: 'plaintext' as const },
    context: new ValidationContext(),
  }
  const headers = new HeaderBlock('Subject: one\r\n\r\n')
  const message = {
    id: session.connectionId,
    batchId: session.connectionId,
    sender: undefined,
    recipient: { local: 'bob', domain: 'here.example' },
    recipients: undefined,
    headers,
    context: session.context,
    size: 100,
  }
  return { session, message }
}

for (let round = 0; round < 6; round++) {
  const all = Array.from({ length: sessions }, (_, number) => facts(number))
  const before = inUse()
  const began = performance.now()
  const answers = all.map((each) => policy.ask('data', each as never))
  const waiting = performance.now()
  const during = inUse()
  const released = performance.now()
  for (const release of held.splice(0)) release()
  for (const answer of answers) await answer
  const ended = performance.now()
  const each = (milliseconds: number): string => ((milliseconds / sessions) * 1000).toFixed(1)
  process.stdout.write(
    `${sessions} sessions: ${each(waiting - began)} µs to begin, ${each(ended - released)} µs to end; ` +
      `${mebibytes(during - before)} MiB while they wait (${((during - before) / sessions).toFixed(0)} octets each), ` +
      `resident ${mebibytes(process.memoryUsage().rss)} MiB\n`,
  )
}
