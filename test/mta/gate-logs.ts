/** What a gate's logs say about a message, by one of its recipients. */

import { readFileSync } from 'node:fs'
import path from 'node:path'

/** One line of mainlog or bouncelog, R aside. */
export interface LogLine {
  readonly type: 'D' | 'T' | 'P' | 'B'
  /** where the attempt ended; NaN in a D line */
  readonly stage: number
  /** the answer; '' in a D line */
  readonly text: string
  readonly remote: string
}

export interface History {
  /** D, T and P lines, in order */
  readonly main: readonly LogLine[]
  /** T and B lines */
  readonly bounces: readonly LogLine[]
}

/** The configuration that writes them. */
export const LOGS = `
ec_logger "logs" { mainlog = "main.ec" rejectlog = "reject.ec" paniclog = "panic.ec" heartbeat = 0 }
bounce_logger "bounces" { bouncelog = "bounce.ec" heartbeat = 0 }
tls_log "decisions" { tlslog = "tls.jsonl" }
`

/** Reads the logs of a gate anew. @returns what became of the message for a recipient, by its local part */
export function historyOf(folder: string, local: string): History {
  const lines = read(folder, 'main.ec')
  const ids = new Set(lines.filter((line) => line[4] === 'R' && line[5] === local).map(([, id]) => id ?? ''))
  const own = (line: readonly string[]): boolean => ids.has(line[1] ?? '')
  return {
    main: lines.filter((line) => own(line) && line[4] !== 'R').map(mainLine),
    bounces: read(folder, 'bounce.ec').filter(own).map(bounceLine),
  }
}

/** Lines of a log file as fields. */
function read(folder: string, file: string): readonly (readonly string[])[] {
  return readLog(folder, file).map((line) =>
    [...line.matchAll(/(?:^|@)((?:\\.|[^\\@])*)/g)].map(([, field = '']) => field.replace(/\\(.)/g, '$1')),
  )
}

/** Lines of a log file that are complete. */
export function readLog(folder: string, file: string): readonly string[] {
  try {
    return readFileSync(path.join(folder, file), 'latin1').split('\n').slice(0, -1)
  } catch {
    return []
  }
}

function mainLine(fields: readonly string[]): LogLine {
  const type = fields[4] as LogLine['type']
  if (type === 'D') return { type, stage: Number.NaN, text: '', remote: fields[11] ?? '' }
  return { type, stage: Number(fields[9]), remote: fields[12] ?? '', text: fields[13] ?? '' }
}

function bounceLine(fields: readonly string[]): LogLine {
  return {
    type: fields[4] as LogLine['type'],
    stage: Number(fields[11]),
    remote: fields[14] ?? '',
    text: fields[15] ?? '',
  }
}
