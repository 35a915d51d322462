/**
 * A DNS server that knows what a test told it, on one loopback port for UDP and TCP.
 *
 * A name that it was told nothing about does not exist. What a question gets can be replaced as a whole: with another
 * rcode, with other octets, or with silence.
 */

import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { type Answer, decode, encode, type Packet, type StringAnswer } from 'dns-packet'

export type Asked = { readonly name: string; readonly type: string; readonly over: 'udp' | 'tcp' }

/** Instead of what the zone says. `bytes` may be anything at all. */
export type Odd =
  | { readonly rcode: number }
  | { readonly silent: true }
  | { readonly truncated: true }
  | { readonly packet: (answer: Packet) => Packet }
  | { readonly bytes: (answer: Buffer) => readonly Buffer[] }

export interface Zone {
  /** `MX example.com` → the data of its records, as dns-packet writes them */
  readonly [question: string]: readonly unknown[]
}

export const TTL = 300
export const NEGATIVE_TTL = 60

export class TestDnsServer {
  zone: Zone
  /** what is odd about the answer to a question */
  odd: (asked: Asked) => Odd | undefined = () => undefined
  /** AD in every answer */
  authentic = false
  readonly asked: Asked[] = []
  readonly packets: ReturnType<typeof decode>[] = []
  readonly #udp: UdpSocket
  readonly #tcp: Server

  private constructor(zone: Zone, udp: UdpSocket, tcp: Server) {
    this.zone = zone
    this.#udp = udp
    this.#tcp = tcp
    udp.on('message', (bytes, from) => {
      for (const answer of this.#answer(bytes, 'udp')) udp.send(answer, from.port, from.address)
    })
    tcp.on('connection', (socket) => {
      let received = Buffer.alloc(0)
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk])
        if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
        for (const answer of this.#answer(received.subarray(2), 'tcp')) {
          const length = Buffer.alloc(2)
          length.writeUInt16BE(answer.length)
          socket.write(Buffer.concat([length, answer]))
        }
      })
    })
  }

  static async start(zone: Zone = {}): Promise<TestDnsServer> {
    for (;;) {
      const udp = createSocket('udp4')
      await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve))
      const tcp = createServer()
      const bound = await new Promise<boolean>((resolve) => {
        tcp.once('error', () => resolve(false))
        tcp.listen(udp.address().port, '127.0.0.1', () => resolve(true))
      })
      if (bound) return new TestDnsServer(zone, udp, tcp)
      udp.close()
    }
  }

  get port(): number {
    return (this.#tcp.address() as AddressInfo).port
  }

  get address(): { readonly address: string; readonly port: number } {
    return { address: '127.0.0.1', port: this.port }
  }

  /** How often a question was asked: `MX example.com`. */
  count(question: string): number {
    return this.asked.filter(({ name, type }) => `${type} ${name}` === question).length
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#udp.close(resolve))
    await new Promise((resolve) => this.#tcp.close(resolve))
  }

  #answer(bytes: Buffer, over: 'udp' | 'tcp'): readonly Buffer[] {
    const query = decode(bytes)
    const [question] = query.questions ?? []
    if (question === undefined) return []
    const asked = { name: question.name.toLowerCase(), type: question.type, over }
    this.asked.push(asked)
    this.packets.push(query)
    const answer: Packet = {
      type: 'response',
      id: query.id ?? 0,
      flags: (1 << 8) | (1 << 7) | (this.authentic ? 1 << 5 : 0),
      questions: [question],
      ...this.#lookUp(asked, question.name),
    }
    const odd = this.odd(asked)
    if (odd === undefined) return [encode(answer)]
    if ('silent' in odd) return []
    if ('rcode' in odd) return [encode({ ...answer, flags: odd.rcode, answers: [] })]
    if ('truncated' in odd)
      return [encode(over === 'tcp' ? answer : { ...answer, flags: 1 << 9, answers: [] })]
    if ('packet' in odd) return [encode(odd.packet(answer))]
    return odd.bytes(encode(answer))
  }

  #lookUp({ name, type }: Asked, asWritten: string): Pick<Packet, 'answers' | 'authorities' | 'flags'> {
    const flags = (1 << 8) | (1 << 7) | (this.authentic ? 1 << 5 : 0)
    const answers: Answer[] = []
    let owner = name
    for (let alias = this.zone[`CNAME ${owner}`]; alias !== undefined; alias = this.zone[`CNAME ${owner}`]) {
      answers.push({
        name: answers.length === 0 ? asWritten : owner,
        type: 'CNAME',
        ttl: TTL,
        data: String(alias[0]),
      })
      owner = String(alias[0])
    }
    const data = this.zone[`${type} ${owner}`]
    if (data !== undefined) {
      // the data are of the type that the question asks for: the test wrote them beside it
      answers.push(...data.map((each) => ({ name: owner, type, ttl: TTL, data: each }) as StringAnswer))
      return { answers, flags }
    }
    const exists = Object.keys(this.zone).some((key) => key.endsWith(` ${owner}`))
    const soa = { mname: 'ns.test', rname: 'root.test', minimum: NEGATIVE_TTL }
    return {
      answers,
      authorities: [{ name: 'test', type: 'SOA', ttl: TTL, data: soa }],
      flags: flags | (exists ? 0 : 3),
    }
  }
}
