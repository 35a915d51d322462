/**
 * An application that gets its mail from Postern by HTTP POST (docs/delivery.md, "Webhooks").
 *
 *   node examples/webhook-receiver.ts app.key 8080
 *
 * It checks the signature, knows a message that it has had already, and says what it has got.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'

interface Told {
  readonly id: string
  readonly sender: string | null
  readonly recipient: string
  readonly connection: Readonly<Record<string, string>>
}

const [, , keyFile = 'app.key', port = '8080'] = process.argv
const key = readFileSync(keyFile, 'utf8').replace(/\r?\n$/, '')
/** an application would keep these in its database, in the same transaction as the message */
const seen = new Set<string>()

/** @returns the status to answer with */
async function take(request: IncomingMessage): Promise<number> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const message = Buffer.concat(chunks)
  const envelope = String(request.headers['postern-envelope'])
  const [time = '', ...signatures] = String(request.headers['postern-signature']).split(',')
  const at = Number(time.slice('t='.length))
  const mac = createHmac('sha256', key).update(`${at}.${envelope}.`).update(message).digest()
  const isSigned = signatures
    .map((each) => Buffer.from(each.slice('v1='.length), 'hex'))
    .some((each) => each.length === mac.length && timingSafeEqual(each, mac))
  // five minutes: an old request that somebody has kept is worth nothing
  if (!isSigned || !(Math.abs(Date.now() / 1000 - at) < 300)) return 401
  const told = JSON.parse(Buffer.from(envelope, 'base64url').toString()) as Told
  const { id, sender, recipient, connection } = told
  if (!seen.has(id))
    console.log(`${id} ${sender ?? '<>'} ${recipient} ${connection['tls_partner'] ?? '-'} ${message.length}`)
  seen.add(id)
  return 204
}

const server = createServer((request, response) => {
  take(request).then(
    (status) => response.writeHead(status).end(),
    () => response.destroy(),
  )
})
server.listen(Number(port), '127.0.0.1', () => console.log('ready', JSON.stringify(server.address())))
