import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { PassThrough } from 'node:stream'
import { after, describe, test } from 'node:test'
import { type BenchOptions, runBench } from './command.ts'
import type { LoadSummary } from './generator.ts'
import { LatencyHistogram } from './latency.ts'

const options: BenchOptions = {
  messages: 7,
  connections: 2,
  perConnection: 3,
  size: 4096,
  processes: 1,
  from: 'a@b.example',
  to: 'c@d.example',
  quitWait: true,
}

/** Says 250 to everything but what is given here. */
interface Script {
  /** the reply to the n-th message, from 1 */
  readonly verdict: (message: number) => string
}

interface Seen {
  connections: number
  messages: string[]
}

async function run(address: string, more: Partial<BenchOptions> = {}) {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const code = await runBench(address, { ...options, ...more }, { stdout, stderr, terminal: false })
  const text = String((stdout.read() as Buffer | null) ?? '')
  return { code, text, complaint: String((stderr.read() as Buffer | null) ?? '') }
}

describe('postern bench', () => {
  const servers: Server[] = []
  after(() => {
    for (const server of servers) server.close()
  })

  async function start({ verdict }: Script): Promise<{ readonly address: string; readonly seen: Seen }> {
    const seen: Seen = { connections: 0, messages: [] }
    const server = createServer((socket) => {
      seen.connections += 1
      let data: string | undefined
      socket.write('220 here\r\n')
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        if (data !== undefined) {
          data += chunk.toString('latin1')
          if (!data.endsWith('\r\n.\r\n')) return
          seen.messages.push(data)
          data = undefined
          socket.write(verdict(seen.messages.length))
          return
        }
        const line = chunk.toString('latin1')
        if (line.startsWith('EHLO')) socket.write('250-here\r\n250 SIZE\r\n')
        else if (line.startsWith('DATA')) {
          data = ''
          socket.write('354 go on\r\n')
        } else if (line.startsWith('QUIT')) socket.end('221 bye\r\n')
        else socket.write('250 ok\r\n')
      })
    })
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
  }

  test('sends what it was asked for, and tells how fast that went', async () => {
    const { address, seen } = await start({ verdict: () => '250 taken\r\n' })
    const { code, text } = await run(address, { json: true })
    const summary = JSON.parse(text) as LoadSummary
    assert.equal(code, 0)
    assert.equal(summary.accepted, 7)
    assert.deepEqual(summary.errors, {})
    assert.deepEqual(
      seen.messages.map((message) => message.length),
      Array.from({ length: 7 }, () => options.size + '.\r\n'.length),
    )
    assert.equal(seen.connections, 3)
    assert.ok(summary.transaction !== undefined && summary.transaction.p50 <= summary.transaction.p99)
  })

  test('a message that is not taken counts as an error, in the server’s words, and never as a message', async () => {
    const { address } = await start({ verdict: (n) => (n === 3 ? '452 full\u001b[2J\r\n' : '250 taken\r\n') })
    const { code, text } = await run(address, { size: 100 })
    assert.equal(code, 1)
    assert.match(text, /^accepted {5}6 messages/)
    assert.match(text, /error {8}1 × message: 452 full\?\[2J/)
  })

  test('with a rate it takes its time', async () => {
    const { address } = await start({ verdict: () => '250 taken\r\n' })
    const { code, text } = await run(address, { rate: 20, perConnection: 0, json: true })
    const summary = JSON.parse(text) as LoadSummary
    assert.equal(code, 0)
    assert.ok(summary.seconds >= 0.3, `${summary.seconds} s`)
    assert.ok(summary.fromDue !== undefined)
    assert.ok(summary.late !== undefined)
  })

  test('says what is wrong with an address', async () => {
    for (const address of ['localhost', '127.0.0.1:0', '::1:25', '127.0.0.1:70000']) {
      const { code, complaint } = await run(address)
      assert.equal(code, 1)
      assert.equal(complaint, `postern bench: "${address}" is not host:port\n`)
    }
  })

  test('a certificate without TLS is a contradiction', async () => {
    const { code, complaint } = await run('127.0.0.1:25', { cert: 'x.pem' })
    assert.equal(code, 1)
    assert.match(complaint, /need --starttls/)
  })
})

test('quantiles are right to one per cent', () => {
  const histogram = new LatencyHistogram()
  for (let n = 1; n <= 1000; n += 1) histogram.add(n)
  const p99 = histogram.quantile(0.99) ?? 0
  assert.ok(Math.abs(p99 - 990) < 10, `${p99}`)
  assert.equal(new LatencyHistogram().quantile(0.5), undefined)
})
