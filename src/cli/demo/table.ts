/** Lays out rows of text in columns; a cell's lines are separated by "\n". */

import type { Style } from '../io.ts'

export interface Cell {
  readonly text: string
  readonly style?: Style
}

/** Returns the table's lines. Widths follow the content; colour codes do not count. */
export function layOut(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  paint: (style: Style, text: string) => string,
): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.flatMap((row) => linesOf(row[column]).map((line) => line.length))),
  )
  const rule = widths.map((width) => '─'.repeat(width)).join('──')
  const title = head.map((text, column) => paint('bold', text.padEnd(widths[column] ?? 0))).join('  ')
  const lines = [title.trimEnd(), paint('dim', rule)]
  for (const row of rows) {
    const height = Math.max(...row.map((cell) => linesOf(cell).length))
    for (let i = 0; i < height; i += 1) {
      const parts = row.map((cell, column) => {
        const text = (linesOf(cell)[i] ?? '').padEnd(widths[column] ?? 0)
        if (i > 0) return paint('dim', text)
        return cell.style === undefined ? text : paint(cell.style, text)
      })
      lines.push(parts.join('  ').trimEnd())
    }
    lines.push(paint('dim', rule))
  }
  return lines
}

function linesOf(cell: Cell | undefined): string[] {
  return cell?.text.split('\n') ?? []
}
