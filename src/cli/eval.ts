/**
 * `postern eval`: the effective value of one option and the place it came from.
 *
 * The first line is `Name = value` in the configuration's own language, or `Name is not set`; the second says where the
 * value is written.
 */

import { ConfigError, describeOrigin } from '../config/diagnostic.ts'
import { type EvaluationPlace, evaluate } from '../config/evaluate.ts'
import { loadSettings } from '../config/load.ts'
import type { Io } from './io.ts'
import { locateConfig } from './locate.ts'

export interface EvalOptions extends EvaluationPlace {
  readonly config?: string
}

/** @returns 0 when there is an answer, else 1 */
export async function runEval(name: string, options: EvalOptions, io: Io): Promise<number> {
  const { settings, diagnostics } = await loadSettings(locateConfig(options.config))
  if (settings === undefined) throw new ConfigError(diagnostics)
  const { name: shown, text, origin } = evaluate(settings, name, options)
  io.stdout.write(text === undefined ? `${shown} is not set\n` : `${shown} = ${text}\n`)
  io.stdout.write(`  from ${describeOrigin(origin)}\n`)
  return 0
}
