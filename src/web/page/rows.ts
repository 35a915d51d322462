/** Of a table with any number of rows, the few that are shown: found, sorted and cut here, so that no browser gets them all. */

import type { Cell, Column, TableAnswer } from '../../console/answer.ts'

export interface RowsQuery {
  /** text that some cell of a row holds, in any case; '' = all */
  readonly find: string
  /** what a cell has to be, whole; undefined = anything */
  readonly only: { readonly key: string; readonly value: string } | undefined
  /** a column's key; '' = as the command has it */
  readonly sort: string
  readonly descending: boolean
  /** from 0 */
  readonly page: number
  readonly size: number
}

export interface RowsPage {
  readonly columns: readonly Column[]
  readonly rows: readonly Readonly<Record<string, Cell>>[]
  /** rows that there are, and those in which the text was found */
  readonly total: number
  readonly found: number
  readonly page: number
  readonly pages: number
  /** said in place of an empty table */
  readonly empty: string
}

const MAX_SIZE = 200

export function rowsQuery(parameters: URLSearchParams): RowsQuery {
  const number = (name: string, unset: number): number => {
    const text = parameters.get(name) ?? ''
    return /^\d{1,7}$/.test(text) ? Number(text) : unset
  }
  const [, key, value = ''] = /^(\w{1,40}):(.{0,200})$/u.exec(parameters.get('only') ?? '') ?? []
  return {
    only: key === undefined ? undefined : { key, value },
    find: (parameters.get('find') ?? '').slice(0, 200),
    sort: parameters.get('sort') ?? '',
    descending: parameters.get('order') === 'down',
    page: number('page', 0),
    size: Math.min(Math.max(number('size', 50), 1), MAX_SIZE),
  }
}

export function rowsPage(table: TableAnswer, query: RowsQuery): RowsPage {
  const { columns, empty } = table
  const { find, only } = query
  const chosen =
    only === undefined ? table.rows : table.rows.filter((row) => String(row[only.key]) === only.value)
  const found = find === '' ? chosen : chosen.filter((row) => holds(row, columns, find))
  const sorted = columns.some(({ key }) => key === query.sort) ? sortedBy(found, query) : found
  const pages = Math.max(1, Math.ceil(sorted.length / query.size))
  const page = Math.min(query.page, pages - 1)
  return {
    columns,
    rows: sorted.slice(page * query.size, (page + 1) * query.size),
    total: table.rows.length + (table.leftOut ?? 0),
    found: found.length,
    page,
    pages,
    empty: table.rows.length === 0 ? empty : 'There is nothing like this.',
  }
}

type Row = TableAnswer['rows'][number]

function holds(row: Row, columns: readonly Column[], text: string): boolean {
  const wanted = text.toLowerCase()
  return columns.some(({ key }) =>
    String(row[key] ?? '')
      .toLowerCase()
      .includes(wanted),
  )
}

/** Rows that say nothing in this column come last, whichever way it is sorted. */
function sortedBy(rows: readonly Row[], { sort, descending }: RowsQuery): readonly Row[] {
  const said = rows.filter((row) => isSaid(row[sort]))
  const silent = rows.filter((row) => !isSaid(row[sort]))
  const sign = descending ? -1 : 1
  return [...said.toSorted((a, b) => sign * compare(a[sort], b[sort])), ...silent]
}

function isSaid(cell: Cell): boolean {
  return cell !== undefined && cell !== ''
}

function compare(a: Cell, b: Cell): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [String(a), String(b)]
  return left < right ? -1 : left > right ? 1 : 0
}
