/**
 * The rows of the target table: Postern alone, or beside other mail servers, under one load generator.
 *
 *   node bench/suite.ts [--rows ID,ID…] [--rounds N] [--quick] [--peers [--only NAME,NAME…]] [--under FOLDER] [--write]
 *
 * `--quick` tries the suite itself: its figures are worth nothing. `--write` keeps the results in bench/results and
 * writes docs/benchmarks.md from them; with --rows it replaces those rows in what is kept. Ctrl-C ends everything and
 * leaves nothing behind. Exit code: 1 when a row could not be measured; a target that is not met is a result, not a
 * failure.
 */

import { parseArgs } from 'node:util'
import { Generator } from '../src/cli/bench/generator.ts'
import { makePki, writePki } from '../src/tls/pki.ts'
import { startPeers } from './peers/peers.ts'
import { idle } from './rows/idle.ts'
import { large } from './rows/large.ts'
import { latency } from './rows/latency.ts'
import type { Row, RowContext } from './rows/row.ts'
import { showClaim } from './rows/row.ts'
import { plainOne, plainTwenty, plainTwentyPolicy, resumed, starttls } from './rows/throughput.ts'
import { workers } from './rows/workers.ts'
import { Cleanup } from './support/cleanup.ts'
import { type Kept, type KeptRow, keepTargets, writeBenchmarks } from './support/document.ts'
import { describeMachine } from './support/machine.ts'
import { table } from './support/table.ts'

const ROWS: readonly Row[] = [
  starttls,
  plainOne,
  plainTwenty,
  resumed,
  plainTwentyPolicy,
  idle,
  workers,
  large,
  latency,
]

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    only: { type: 'string' },
    under: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const chosen = chooseRows(values.rows)
const cleanup = new Cleanup()
const tell = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
process.exitCode = await main()

async function main(): Promise<number> {
  const pki = cleanup.folder('pki', values.under)
  const made = await makePki()
  await writePki(pki, made)
  const generator = new Generator()
  const machine = describeMachine(pki)
  for (const line of machine) tell(line)
  const { peers, missing } = values.peers
    ? await startPeers({ cleanup, pki: made, folder: pki, only: values.only?.split(','), tell })
    : { peers: [], missing: [] }
  const context: RowContext = {
    cleanup,
    generator,
    rounds: values.quick ? 2 : Number(values.rounds),
    share: values.quick ? 0.1 : 1,
    pki,
    credential: { cert: made.clients.valid.cert, key: made.clients.valid.key },
    peers,
    under: values.under,
    tell,
  }
  const began = Date.now()
  const rows: KeptRow[] = []
  for (const row of chosen) rows.push(await runRow(row, context))
  await generator.end()
  for (const { subject } of peers) await subject.stop()
  const kept: Kept = {
    machine,
    began: new Date(began).toISOString(),
    seconds: Math.round((Date.now() - began) / 1000),
    quick: values.quick,
    rounds: context.rounds,
    servers: peers.map(({ subject, version }) => `${subject.name} ${version}`),
    missing,
    rows,
  }
  summarize(kept)
  if (values.write) {
    keepTargets(kept, chosen === ROWS)
    writeBenchmarks()
    tell('written: bench/results/targets.json, docs/benchmarks.md')
  }
  return rows.some(({ failure }) => failure !== undefined) ? 1 : 0
}

async function runRow({ id, work, target, run }: Row, context: RowContext): Promise<KeptRow> {
  tell(`\n== ${id}: ${work}`)
  const began = Date.now()
  try {
    const outcome = await run(context)
    tell(`   (${((Date.now() - began) / 1000).toFixed(0)} s)`)
    return { id, work, target, ...outcome }
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error)
    tell(`   could not be measured: ${failure}`)
    return { id, work, target, claims: [], figures: [], notes: [], failure }
  }
}

function summarize({ rows, missing, quick }: Kept): void {
  for (const row of rows) {
    tell(`\n${row.id}: ${row.work}\n  target: ${row.target}`)
    for (const claim of row.claims) tell(`  ${showClaim(claim)}`)
    for (const note of row.notes) tell(`  ${note}`)
    if (row.failure !== undefined) tell(`  could not be measured: ${row.failure}`)
    if (row.figures.length > 0) tell(table(row.figures))
  }
  for (const line of missing) tell(`not measured: ${line}`)
  if (quick) tell('\nA quick run tries the suite; its figures are worth nothing.')
}

/** @throws Error for a name that no row has */
function chooseRows(ids: string | undefined): readonly Row[] {
  if (ids === undefined) return ROWS
  return ids.split(',').map((id) => {
    const row = ROWS.find((each) => each.id === id)
    if (row === undefined) {
      process.stderr.write(`no row is called "${id}"; there are ${ROWS.map((each) => each.id).join(', ')}\n`)
      process.exit(64)
    }
    return row
  })
}
