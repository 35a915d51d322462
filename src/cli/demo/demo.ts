/**
 * `postern demo`: the main job in one command. Makes a throwaway PKI, starts a real gate on loopback as a process of
 * its own, lets visitors with different certificates hand over real messages, and shows for each which scope decided,
 * what the handshake and the policy said, and where the mail is. Exit code 0 means that all went as it should.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { describeOrigin } from '../../config/diagnostic.ts'
import { loadSettings } from '../../config/load.ts'
import type { ListenSettings, Settings } from '../../config/settings.ts'
import { makePki, type Pki, writePki } from '../../tls/pki.ts'
import { type Io, styler } from '../io.ts'
import { gateConf, gateLua, type Visitor, visitors } from './scenario.ts'
import { type Cell, layOut } from './table.ts'
import { type VisitReport, visit } from './visitor.ts'

const RECIPIENT = 'postbox@gate.example'
const READY_MS = 20_000
const DELIVERY_MS = 10_000

interface Result {
  readonly visitor: Visitor
  readonly report: VisitReport
  readonly mode: string
  readonly modeFrom: string
  readonly outcome: Visitor['expect']
  readonly mail: string | undefined
}

/** Runs the demonstration. @returns the exit code */
export async function runDemo(io: Io, program: readonly string[]): Promise<number> {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-demo-'))
  const progress = (text: string): void => {
    if (io.terminal) io.stdout.write(`\r\u001b[K${text}`)
  }
  progress('making certificates …')
  const pki = await writeScenario(folder)
  const file = path.join(folder, 'gate.conf')
  const { settings } = await loadSettings(file)
  if (settings === undefined) throw new Error('the demonstration has a faulty configuration')
  progress('starting the gate …')
  const gate = await startGate(file, program, io)
  const results: Result[] = []
  try {
    for (const [index, visitor] of visitors.entries()) {
      progress(`${visitor.who} knocks …`)
      results.push(await receive({ visitor, index, pki, gate, settings, folder }))
    }
  } finally {
    gate.process.kill('SIGTERM')
    await gate.ended
  }
  progress('')
  show(io, folder, results)
  const good =
    results.every((result) => result.outcome === result.visitor.expect) && gate.process.exitCode === 0
  if (!good) io.stderr.write('postern demo: not everything went as it should; see the rows marked ✗\n')
  return good ? 0 : 1
}

async function writeScenario(folder: string): Promise<Pki> {
  const pki = await makePki({ serverNames: ['gate.example', 'localhost'] })
  await writePki(path.join(folder, 'pki'), pki)
  writeFileSync(path.join(folder, 'gate.conf'), gateConf)
  writeFileSync(path.join(folder, 'gate.lua'), gateLua)
  return pki
}

interface Gate {
  readonly process: ChildProcess
  readonly ended: Promise<unknown>
  /** ports in the order of the Listen stanzas */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
}

async function startGate(file: string, program: readonly string[], io: Io): Promise<Gate> {
  const [command = '', ...args] = program
  const child = spawn(command, [...args, 'serve', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })
  const ready = (async (): Promise<string | undefined> => {
    for await (const line of createInterface({ input: child.stdout }))
      if (line.startsWith('postern ready')) return line
    return undefined
  })()
  const line = await Promise.race([ready, delay(READY_MS, undefined, { ref: false })])
  if (line === undefined) {
    child.kill('SIGKILL')
    io.stderr.write(complaints)
    throw new Error('the gate did not start')
  }
  const addresses = [...line.matchAll(/(\d+\.\d+\.\d+\.\d+):(\d+)/g)].map(([, host = '', port]) => ({
    host,
    port: Number(port),
  }))
  return { process: child, ended, addresses }
}

async function receive(step: {
  readonly visitor: Visitor
  readonly index: number
  readonly pki: Pki
  readonly gate: Gate
  readonly settings: Settings
  readonly folder: string
}): Promise<Result> {
  const { visitor, settings, folder, pki } = step
  const which = visitor.gate === 'front' ? 0 : 1
  const target = step.gate.addresses[which]
  const listen: ListenSettings | undefined = settings.listens[which]
  if (target === undefined || listen === undefined)
    throw new Error('the gate does not listen where it should')
  const scope = settings.resolveInbound(listen, visitor.from)
  const subject = `message ${step.index + 1}`
  const report = await visit({
    ...target,
    from: visitor.from,
    serverCa: pki.files.get('ca.pem') ?? '',
    serverName: 'gate.example',
    sender: 'visitor@client.example',
    recipient: RECIPIENT,
    subject,
    text: `Sent by: ${visitor.who}, from ${visitor.from}.`,
    ...(visitor.certificate === undefined
      ? {}
      : {
          certificate: {
            cert: pki.files.get(`${visitor.certificate}.pem`) ?? '',
            key: pki.files.get(`${visitor.certificate}.key`) ?? '',
          },
        }),
  })
  const mail = report.accepted
    ? await findMail(path.join(folder, 'mail', 'postbox', 'new'), subject)
    : undefined
  return {
    visitor,
    report,
    mode: scope.options.tls_verify_mode ?? 'unset',
    modeFrom: describeOrigin(scope.origin('tls_verify_mode')),
    outcome: report.handshakeFailed
      ? 'refused in the handshake'
      : mail === undefined
        ? 'refused by policy'
        : 'delivered',
    mail,
  }
}

async function findMail(folder: string, subject: string): Promise<string | undefined> {
  const until = Date.now() + DELIVERY_MS
  while (Date.now() < until) {
    for (const name of listFolder(folder)) {
      const file = path.join(folder, name)
      if (readFileSync(file, 'latin1').includes(`\nSubject: ${subject}\n`)) return file
    }
    await delay(20)
  }
  return undefined
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function show(io: Io, folder: string, results: readonly Result[]): void {
  const paint = styler(io)
  const kept = results.flatMap(({ mail }) => (mail === undefined ? [] : [mail]))
  const rows = results.map((result) => rowOf(result, folder, kept))
  const head = ['', 'who came', 'TLS_Verify_Mode, decided by', 'handshake', 'policy and mail']
  const text = [
    '',
    paint('bold', 'Postern: who knocked, and what became of it'),
    '',
    ...layOut(head, rows, paint),
    '',
    'The mail that was let in:',
    ...kept.map((file, index) => `  ${index + 1}  ${file}`),
    '',
    `The configuration and the policy that decided: ${path.join(folder, 'gate.conf')}, gate.lua`,
    `The same story in Momentum’s log formats:       ${path.join(folder, 'logs')}`,
    '',
  ]
  io.stdout.write(`${text.join('\n')}\n`)
}

function rowOf(result: Result, folder: string, kept: readonly string[]): Cell[] {
  const { visitor, report } = result
  const good = result.outcome === visitor.expect
  const verdict = report.handshakeFailed
    ? ''
    : report.context.get('tls_client_verified') === 'yes'
      ? '\nverified'
      : report.context.has('tls_client_verify_error')
        ? `\nunverified: ${report.context.get('tls_client_verify_error') ?? ''}`
        : '\nanonymous'
  return [
    { text: good ? '✓' : '✗', style: good ? 'green' : 'red' },
    { text: `${visitor.who}\n${visitor.from}, ${visitor.gate} gate` },
    { text: `${result.mode}\n${whichScope(result.modeFrom, folder)}` },
    { text: `${report.handshake}${verdict}` },
    report.handshakeFailed
      ? { text: 'never asked' }
      : { text: policyCell(result, kept), style: report.accepted ? 'green' : 'yellow' },
  ]
}

function policyCell({ report, mail }: Result, kept: readonly string[]): string {
  if (mail !== undefined) return `let in\n→ mail ${kept.indexOf(mail) + 1}`
  return wrap(report.reply, 28)
}

/** `Pathway "partners", gate.conf:38` for a FILE:LINE of the demonstration's own, evenly indented file. */
function whichScope(from: string, folder: string): string {
  const match = /^(.*):(\d+)$/.exec(from)
  if (match === null) return 'nothing sets it: the default'
  const lines = readFileSync(path.join(folder, 'gate.conf'), 'utf8').split('\n')
  const at = Number(match[2]) - 1
  const own = indent(lines[at] ?? '')
  const head = lines.slice(0, at).findLast((line) => line.includes('{') && indent(line) < own) ?? ''
  return `${head.slice(0, head.indexOf('{')).trim()}, gate.conf:${at + 1}`
}

function wrap(text: string, width: number): string {
  return text.replace(new RegExp(`(.{1,${width}})(?: |$)`, 'g'), '$1\n').trimEnd()
}

function indent(line: string): number {
  return line.length - line.trimStart().length
}
