/** A node, with two workers mostly, as an operator has it: its folder, its console, its metrics, its logs. */

import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Pki, writePki } from '../../src/tls/pki.ts'
import { data } from '../support/console-client.ts'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'

export type Data = Readonly<Record<string, unknown>>
export type Rows = readonly Readonly<Record<string, string | number | undefined>>[]

/** samples of /metrics by name with labels, as they stand there */
export type Samples = ReadonlyMap<string, number>

export interface NodeOptions {
  /** `FOLDER` stands for the node's own */
  readonly conf: string
  readonly pki: Pki
  readonly files?: Readonly<Record<string, string>>
  /** 0: all in one process; 2 unless given */
  readonly workers?: number
}

const PATIENCE_MS = 120_000

export class OperatorNode {
  readonly folder: string
  readonly file: string
  readonly control: string
  readonly #workers: number
  #gate: GateProcess | undefined

  private constructor(folder: string, workers: number) {
    this.folder = folder
    this.#workers = workers
    this.file = path.join(folder, 'gate.conf')
    this.control = path.join(folder, 'control')
  }

  static async start({ conf, pki, files = {}, workers = 2 }: NodeOptions): Promise<OperatorNode> {
    const node = new OperatorNode(mkdtempSync(path.join(tmpdir(), 'postern-operator-')), workers)
    await writePki(path.join(node.folder, 'pki'), pki)
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(node.folder, name), text)
    writeFileSync(node.file, conf.replaceAll('FOLDER', node.folder))
    await node.start()
    return node
  }

  /** Starts it, again after `stop`. */
  async start(): Promise<void> {
    this.#gate = await startGateProcess(this.file, [], ['--workers', String(this.#workers)])
  }

  get gate(): GateProcess {
    if (this.#gate === undefined) throw new Error('the node was not started')
    return this.#gate
  }

  /** @returns its exit code */
  async stop(): Promise<number | string> {
    return await this.gate.end('SIGTERM')
  }

  /** Ends it whatever it does, and takes its folder away. */
  async remove(): Promise<void> {
    const { child } = this.gate
    if (child.exitCode === null && child.signalCode === null) await this.gate.end('SIGTERM')
    rmSync(this.folder, { recursive: true, force: true })
  }

  async asked(line: string): Promise<Data> {
    return (await data(this.control, line)) as Data
  }

  /** `127.0.0.1:PORT` of the first HTTP_Listener */
  get http(): string {
    const web = this.gate.addresses.find(({ host }) => host.startsWith('http='))
    return `${web?.host.slice(5)}:${web?.port}`
  }

  async samples(): Promise<Samples> {
    const text = await (await fetch(`http://${this.http}/metrics`)).text()
    const comments = text.split('\n').filter((line) => line.startsWith('# ') && !/^# (HELP|TYPE) /.test(line))
    if (comments.length > 0) throw new Error(comments.join('\n'))
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      }),
    )
  }

  /** The lines of a log, those of files that were moved away first. */
  log(name: string): readonly string[] {
    const files = readdirSync(this.folder).filter((each) => each === name || each.startsWith(`${name}.`))
    return files
      .toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1))
      .flatMap((file) => readFileSync(path.join(this.folder, file), 'latin1').split('\n').slice(0, -1))
  }

  /** Moves logs away, and has them opened anew: what logrotate does. */
  async rotate(names: readonly string[]): Promise<void> {
    const number = readdirSync(this.folder).filter((each) => each.startsWith(`${names[0]}.`)).length
    for (const name of names)
      renameSync(path.join(this.folder, name), path.join(this.folder, `${name}.${number}`))
    await this.asked('reopen logs')
  }
}

/** @param patience milliseconds. @throws Error when it does not come about in time */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patience = PATIENCE_MS,
): Promise<void> {
  for (const end = Date.now() + patience; !(await holds()); await delay(50))
    if (Date.now() > end) throw new Error(`it does not come about: ${what}`)
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
