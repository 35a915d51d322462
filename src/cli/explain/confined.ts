/** The confined process of `postern explain`: one request as its argument, the explanation on stdout. */

import { ConfigError } from '../../config/diagnostic.ts'
import { type Io, say, styler } from '../io.ts'
import { UsageError } from './client.ts'
import type { ExplainRequest } from './command.ts'
import { Confinement } from './confinement.ts'
import { explain } from './explain.ts'
import { renderExplanation } from './render.ts'

const USAGE_ERROR = 64

async function run({ file, options, terminal }: ExplainRequest): Promise<number> {
  const io: Io = { stdout: process.stdout, stderr: process.stderr, terminal }
  const confinement = Confinement.close()
  try {
    const explanation = await explain(file, options, confinement)
    const text =
      options.json === true
        ? `${JSON.stringify(explanation, undefined, 2)}\n`
        : renderExplanation(explanation, styler(io))
    io.stdout.write(text)
    return 0
  } catch (error) {
    if (error instanceof ConfigError) {
      say(io, error.diagnostics)
      return 1
    }
    const usage = error instanceof UsageError
    io.stderr.write(
      `${usage ? 'error' : 'postern'}: ${error instanceof Error ? error.message : String(error)}\n`,
    )
    return usage ? USAGE_ERROR : 1
  }
}

process.exitCode = await run(JSON.parse(process.argv[2] ?? '{}') as ExplainRequest)
