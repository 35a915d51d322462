/** Figures as a table in Markdown. */

import type { Figures } from '../rows/row.ts'
import { show, showSpread } from './figures.ts'

const HEAD = [
  'server',
  'messages/s',
  'CPU s per 1,000',
  'generator’s CPU',
  'p50 ms',
  'p99 ms',
  'processes',
  'RSS MiB',
  'others’ cores',
  'errors',
]

/** min / median / max over the rounds */
export function table(figures: readonly Figures[]): string {
  const rows = figures.map((each) => [
    each.name,
    showSpread(each.perSecond),
    showSpread(each.cpuPerThousand),
    show(each.generatorCpuPerThousand.median),
    show(each.p50.median),
    show(each.p99.median),
    show(each.processes),
    show(each.residentMebibytes),
    each.others.median.toFixed(2),
    Object.entries(each.errors)
      .map(([what, count]) => `${count} × ${what.replace(/[^\x20-\x7e]|\|/g, '?')}`)
      .join('; '),
  ])
  return markdown([HEAD, ...rows])
}

/** @param rows the head first */
export function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
