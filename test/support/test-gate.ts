/** A whole gate inside the test's process: a configuration text in, a running server with its certificates out. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { ServerEvent } from '../../src/events/events.ts'
import { Server } from '../../src/server.ts'
import { type Pki, writePki } from '../../src/tls/pki.ts'
import type { Address } from './smtp-client.ts'

/** An event by its kind, also where one interface has several kinds. */
type EventOf<K extends ServerEvent['kind']> = ServerEvent & { readonly kind: K }

export interface TestGate {
  /** where the files are: gate.conf, pki/, spool/, mail/, scripts given */
  readonly folder: string
  readonly server: Server
  readonly events: readonly ServerEvent[]
  /** the address of the n-th Listen */
  address(index?: number): Address
  /** The first event, past or future, that fits. */
  event<K extends ServerEvent['kind']>(kind: K, fits?: (event: EventOf<K>) => boolean): Promise<EventOf<K>>
  stop(): Promise<void>
}

export interface TestGateOptions {
  /** text of gate.conf; `pki/…` paths work, `spool` and `mail` lie beside it; FOLDER stands for its folder */
  readonly conf: string
  readonly pki?: Pki
  /** further files by name, such as policy scripts */
  readonly files?: Readonly<Record<string, string>>
}

const EVENT_MS = 30_000
/** a configuration that names servers of its own; otherwise nobody answers, so that no test asks the world */
const OWN_DNS = /dns_servers/i

/** Starts a gate; `stop` removes its folder, and so does a start that fails. */
export async function startTestGate(options: TestGateOptions): Promise<TestGate> {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-test-'))
  try {
    return await startIn(folder, options)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

async function startIn(folder: string, options: TestGateOptions): Promise<TestGate> {
  if (options.pki !== undefined) await writePki(path.join(folder, 'pki'), options.pki)
  for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(path.join(folder, name), text)
  const file = path.join(folder, 'gate.conf')
  writeFileSync(
    file,
    `Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\n${OWN_DNS.test(options.conf) ? '' : 'DNS_Servers = ( "127.0.0.1:9" )\n'}${options.conf.replaceAll('FOLDER', folder)}`,
  )
  const log = new EventLog()
  const server = await Server.start({ file, version: 'test', onEvent: (event) => log.add(event) })
  return {
    folder,
    server,
    events: log.events,
    address: (index = 0) => parseAddress(server.addresses[index] ?? ''),
    event: (kind, fits = () => true) => log.find(kind, fits),
    stop: async () => {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** a maildir for gate.example in which every user exists */
export const MAILDIR = 'maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }\n'

function parseAddress(text: string): Address {
  const match = /^\[?(.*?)\]?:(\d+)$/.exec(text)
  if (match === null) throw new Error(`not a TCP address: ${text}`)
  return { host: match[1] ?? '', port: Number(match[2]) }
}

class EventLog {
  readonly events: ServerEvent[] = []
  #wake: (() => void)[] = []

  add(event: ServerEvent): void {
    this.events.push(event)
    for (const wake of this.#wake.splice(0)) wake()
  }

  async find<K extends ServerEvent['kind']>(
    kind: K,
    fits: (event: EventOf<K>) => boolean,
  ): Promise<EventOf<K>> {
    const until = Date.now() + EVENT_MS
    for (;;) {
      const found = this.events.find(
        (event): event is EventOf<K> => event.kind === kind && fits(event as EventOf<K>),
      )
      if (found !== undefined) return found
      if (Date.now() > until)
        throw new Error(`no ${kind} event; seen: ${this.events.map((e) => e.kind).join(' ')}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000)
        this.#wake.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }
}
