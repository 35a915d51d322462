/** The files of a custom_logger: each stage that has a format goes to its own, or to the stanza's mainlog. */

import { loggedStages } from '../config/custom-loggers.ts'
import type { LogStage } from '../config/log-format.ts'
import type { FilePath } from '../config/settings.ts'
import type { CustomLoggerSettings } from '../config/settings-custom-logger.ts'
import type { ServerEvent } from '../events/events.ts'
import { compileFormat } from './custom-log.ts'
import type { LoggedEvent } from './log-macros.ts'
import { formatPaniclog } from './paniclog.ts'
import type { LogWriter } from './writer.ts'

export interface OpenCustomLogger {
  readonly stages: ReadonlyMap<LoggedEvent['kind'], OpenStage>
  readonly paniclog: LogWriter | undefined
}

interface OpenStage {
  readonly line: (event: LoggedEvent) => string
  readonly file: LogWriter | undefined
}

export interface CustomLogParts {
  readonly writer: (file: FilePath | undefined, mode: number) => LogWriter | undefined
  readonly pathwayGroup: (pathway: string) => string
}

export function openCustomLogger(
  settings: CustomLoggerSettings,
  { writer, pathwayGroup }: CustomLogParts,
): OpenCustomLogger {
  const stages = loggedStages(settings).map(({ stage, format, file, mode }) => {
    const line = compileFormat(format, settings.sanitize, pathwayGroup)
    return [kinds[stage], { line, file: writer(file, mode) }] as const
  })
  const paniclog = settings.log_errors ? writer(settings.paniclog, settings.paniclog_mode) : undefined
  return { stages: new Map(stages), paniclog }
}

export function writeCustomLog({ stages, paniclog }: OpenCustomLogger, event: ServerEvent): void {
  if (event.kind === 'panic') paniclog?.write(formatPaniclog(event))
  if (!isLogged(event)) return
  const stage = stages.get(event.kind)
  stage?.file?.write(stage.line(event))
}

/** for who closes what nobody needs any more */
export function filesOf({ stages, paniclog }: OpenCustomLogger): readonly (LogWriter | undefined)[] {
  return [...Array.from(stages.values(), ({ file }) => file), paniclog]
}

function isLogged(event: ServerEvent): event is LoggedEvent {
  return Object.values<string>(kinds).includes(event.kind)
}

const kinds: Readonly<Record<LogStage, LoggedEvent['kind']>> = {
  reception: 'reception',
  delivery: 'delivery',
  transient_failure: 'transient-failure',
  permanent_failure: 'permanent-failure',
  rejection: 'rejection',
}
