/**
 * A greylist that mail servers ask: the first time a recipient is named the answer is no, then yes.
 *
 * Two protocols on one port: Postfix's policy delegation (attributes, an empty line), and one line `recipient` that is
 * answered with `yes` or `no`, for Exim's readsocket.
 */

import { type AddressInfo, createServer, type Server } from 'node:net'

export class Greylist {
  readonly #server: Server
  readonly #known = new Set<string>()

  private constructor() {
    this.#server = createServer((socket) => {
      let input = ''
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        input += chunk.toString('latin1')
        if (!input.includes('=') && input.endsWith('\n')) {
          socket.end(this.#knows(input.trim()) ? 'yes' : 'no')
        }
        for (let end = input.indexOf('\n\n'); end >= 0; end = input.indexOf('\n\n')) {
          const recipient = /^recipient=(.*)$/m.exec(input.slice(0, end))?.[1] ?? ''
          input = input.slice(end + 2)
          socket.write(`action=${this.#knows(recipient) ? 'DUNNO' : '450 4.7.1 greylisted'}\n\n`)
        }
      })
    })
    this.#server.unref()
  }

  static async start(): Promise<Greylist> {
    const greylist = new Greylist()
    await new Promise<void>((resolve) => greylist.#server.listen(0, '127.0.0.1', resolve))
    return greylist
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  close(): void {
    this.#server.close()
  }

  #knows(recipient: string): boolean {
    if (!recipient.startsWith('grey') || this.#known.has(recipient)) return true
    this.#known.add(recipient)
    return false
  }
}
