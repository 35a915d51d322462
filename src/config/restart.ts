/** What a reload cannot change (Momentum: options that are not dynamic): the new value is told of and waits for a start. */

import type { Diagnostic, Origin } from './diagnostic.ts'
import { displayName } from './known-names.ts'
import type { GlobalValues, Settings } from './settings.ts'

const onlyAtStart = [
  'spoolbase',
  'spool_mode',
  'reception_memory',
  'large_message_threshold',
] as const satisfies readonly (keyof GlobalValues)[]

/** of these a worker that starts later takes no new value either: they are the node's */
const ofTheNode: readonly OnlyAtStart[] = ['spoolbase', 'spool_mode']

type OnlyAtStart = (typeof onlyAtStart)[number]

/**
 * @param started the settings with which the process began
 * @returns a warning for each value that differs
 */
export function restartWarnings(started: Settings, now: Settings): Diagnostic[] {
  return changedAmong(onlyAtStart, started, now)
}

/** The same for a node whose workers may have begun after it. @param started the settings with which the node began */
export function nodeRestartWarnings(started: Settings, now: Settings): Diagnostic[] {
  return changedAmong(ofTheNode, started, now)
}

/** What a worker says, where `threads restart` replaces workers: of what is each worker's own that is enough. */
export function orRollingRestart(said: readonly Diagnostic[]): readonly Diagnostic[] {
  const own = onlyAtStart
    .filter((name) => !ofTheNode.includes(name))
    .map((name) => warning(displayName(name), 'default').message)
  return said.map((each) =>
    own.includes(each.message)
      ? { ...each, message: `${each.message}, or after "threads restart" at the console` }
      : each,
  )
}

function changedAmong(names: readonly OnlyAtStart[], started: Settings, now: Settings): Diagnostic[] {
  const changed = names
    .filter((name) => JSON.stringify(started.global[name]) !== JSON.stringify(now.global[name]))
    .map((name) => warning(displayName(name), now.globalOrigin(name)))
  const [before, after] = [started.security, now.security]
  if (before?.user !== after?.user || before?.group !== after?.group) {
    changed.push(warning('Security', after?.at ?? 'default'))
  }
  return changed
}

function warning(name: string, origin: Origin): Diagnostic {
  const message = `a change of ${name} is in force only after the next start`
  return { severity: 'warning', message, ...(origin === 'default' ? {} : { at: origin }) }
}
