/** What is wrong with a configuration, as the answer to a command: in the words of `postern check`. */

import { readFileSync } from 'node:fs'
import type { Diagnostic } from '../config/diagnostic.ts'
import { RefusedChange } from '../config/live/view.ts'
import { renderDiagnostics } from '../config/render.ts'
import { ConsoleError } from './answer.ts'

/** @param verdict said where there is more than a sentence to tell. @throws ConsoleError */
export async function withDiagnostics<T>(work: () => Promise<T>, verdict: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const found = diagnosticsOf(error)
    if (found === undefined) {
      if (error instanceof Error && error.name === 'NotKeptError')
        throw new ConsoleError(`${error.message}; ${lower(verdict)}`, { cause: error })
      throw error
    }
    const [only, second] = found
    if (only !== undefined && second === undefined && only.at === undefined)
      throw new ConsoleError(only.message, { cause: error })
    const source = error instanceof RefusedChange ? error.readSource : readFile
    throw new ConsoleError(`${explained(found, source)}${verdict}`, { cause: error })
  }
}

/** Only the first sentence. @throws ConsoleError */
export function orConsoleError<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const [first] = diagnosticsOf(error) ?? []
    if (first === undefined) throw error
    throw new ConsoleError(first.message, { cause: error })
  }
}

export function explained(
  diagnostics: readonly Diagnostic[],
  readSource: (file: string) => string | undefined = readFile,
): string {
  return renderDiagnostics(diagnostics, readSource)
}

/** Of a ConfigError or a ListenError. */
function diagnosticsOf(error: unknown): readonly Diagnostic[] | undefined {
  if (!(error instanceof Error && 'diagnostics' in error && Array.isArray(error.diagnostics)))
    return undefined
  return error.diagnostics as readonly Diagnostic[]
}

function readFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function lower(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1)
}
