/** HTTP from whoever reaches the port: one request per connection, whatever comes behind it. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { WebServer } from '../../src/web/server.ts'

const GET = 'GET /metrics HTTP/1.1\r\nHost: gate.example\r\n\r\n'

test('a hundred requests in one segment are answered once, and cost as much as one', async () => {
  let asked = 0
  const answer = Promise.withResolvers<{ contentType: string; text: string }>()
  const page = () => {
    asked += 1
    return answer.promise
  }
  const pages = new Map([['/metrics', page]])
  const web = new WebServer({ pages, onError: (text) => assert.fail(text) })
  const visitor = { kind: 'anybody' } as const
  const place = { visitor, byCertificate: false, scripts: false, names: 'any', place: 'test' } as const
  const server = createServer({ pauseOnConnect: true }, (socket) => web.take(socket, place))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  let received = ''
  client.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
  })
  const halves = [GET.repeat(50), GET.repeat(50)]
  for (const half of halves) await new Promise((resolve) => client.write(half, resolve))
  setTimeout(() => answer.resolve({ contentType: 'text/plain', text: 'figures' }), 50)
  await once(client, 'close')
  server.close()
  assert.equal(received.match(/HTTP\/1\.1 200 OK/g)?.length, 1)
  assert.equal(asked, 1)
})
