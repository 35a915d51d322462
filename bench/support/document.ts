/** docs/benchmarks.md from the results that are kept in bench/results. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Claim, type Figures, met } from '../rows/row.ts'
import { show } from './figures.ts'
import { growthTable, type KeptGrowth } from './growth-table.ts'
import { markdown, table } from './table.ts'

/** One row as it is kept. */
export interface KeptRow {
  readonly id: string
  readonly work: string
  readonly target: string
  readonly claims: readonly Claim[]
  readonly figures: readonly Figures[]
  readonly notes: readonly string[]
  /** why it could not be measured */
  readonly failure?: string
  /** when it was measured, if that was in another run than the rest */
  readonly repeated?: string
}

/** A run as it is kept. */
export interface Kept {
  readonly machine: readonly string[]
  readonly began: string
  readonly seconds: number
  readonly quick: boolean
  readonly rounds: number
  /** other servers that took part, with their versions */
  readonly servers: readonly string[]
  /** servers that could not be measured, with the reason */
  readonly missing: readonly string[]
  readonly rows: readonly KeptRow[]
}

const BENCH = path.join(import.meta.dirname, '..')
const PAGE = path.join(BENCH, '..', 'docs', 'benchmarks.md')
const HEAD = path.join(BENCH, 'benchmarks.head.md')
const QUICK = '**A quick run that tried the suite: its figures are worth nothing.**'

/** Keeps a run of all rows; a run of some rows replaces those in what is kept, and they say so. */
export function keepTargets(run: Kept, all: boolean): void {
  const before = all ? undefined : (read('targets.json') as Kept | undefined)
  const rows = before?.rows.map((row) => {
    const again = run.rows.find(({ id }) => id === row.id)
    return again === undefined ? row : { ...again, repeated: run.began }
  })
  keep('targets.json', before === undefined || rows === undefined ? run : { ...before, rows })
}

/** Writes a file in bench/results, numbers to four digits. */
export function keep(name: string, value: unknown): void {
  const folder = path.join(BENCH, 'results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, name), `${JSON.stringify(value, rounded, 1)}\n`)
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
}

export function writeBenchmarks(): void {
  writeFileSync(PAGE, benchmarksPage())
}

/** The text of docs/benchmarks.md. */
export function benchmarksPage(): string {
  const head = readFileSync(HEAD, 'utf8')
  const targets = read('targets.json') as Kept | undefined
  const growth = read('growth.json') as KeptGrowth | undefined
  const chapters = [
    ...(targets === undefined ? [] : [chapter(targets)]),
    ...(growth === undefined ? [] : [growthChapter(growth)]),
  ]
  return [head, ...chapters].join('\n')
}

function read(name: string): unknown {
  try {
    return JSON.parse(readFileSync(path.join(BENCH, 'results', name), 'utf8'))
  } catch {
    return undefined
  }
}

function chapter(kept: Kept): string {
  const { machine, began, seconds, rounds, quick, servers, missing, rows } = kept
  const parts = [
    '## Targets and what was measured',
    `Run of ${began.slice(0, 16).replace('T', ' ')} UTC, ${rounds} rounds, ${Math.round(seconds / 60)} minutes:`,
    [
      ...machine,
      ...(servers.length === 0 ? [] : [servers.join(', ')]),
      ...missing.map((line) => `not measured: ${line}`),
    ]
      .map((line) => `- ${line}`)
      .join('\n'),
    ...(quick ? [QUICK] : []),
    markdown([['work', 'target', 'measured: median (lowest–highest of the rounds)'], ...rows.map(targetRow)]),
    '## In full',
    'Lowest / median / highest of the rounds; the other columns are medians.',
    ...rows.filter(({ figures, notes }) => figures.length + notes.length > 0).map(section),
  ]
  return `${parts.join('\n\n')}\n`
}

function growthChapter({ machine, began, rounds, quick, kinds }: KeptGrowth): string {
  const parts = [
    '## How the cost grows',
    `Run of ${began.slice(0, 16).replace('T', ' ')} UTC, ${rounds} rounds:`,
    machine.map((line) => `- ${line}`).join('\n'),
    ...(quick ? [QUICK] : []),
    ...kinds.map((kind) => `### ${kind.name}\n\nSent: ${kind.load}.\n\n${growthTable(kind)}`),
  ]
  return `${parts.join('\n\n')}\n`
}

function targetRow({ work, target, claims, failure }: KeptRow): readonly string[] {
  const measured = claims.map(
    (claim) =>
      `${claim.what}: **${show(claim.measured.median)}${claim.unit}** (${show(claim.measured.min)}–${show(claim.measured.max)}), ${met(claim) ? 'met' : 'not met'}${claim.orientation === undefined || met(claim) ? '' : `; ${claim.orientation}`}`,
  )
  return [work, target, failure === undefined ? measured.join('<br>') : `could not be measured: ${failure}`]
}

function section({ id, work, figures, notes, repeated }: KeptRow): string {
  return [
    `### ${id}: ${work}`,
    ...(repeated === undefined
      ? []
      : [`In a run of its own, ${repeated.slice(0, 16).replace('T', ' ')} UTC.`]),
    ...(figures.length === 0 ? [] : [table(figures)]),
    ...(notes.length === 0 ? [] : [notes.map((note) => `- ${note}`).join('\n')]),
  ].join('\n\n')
}
