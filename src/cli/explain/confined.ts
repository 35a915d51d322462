/** The confined process of `postern explain`: one request as its argument, the explanation on stdout. */

import { Writable } from 'node:stream'
import { ConfigError } from '../../config/diagnostic.ts'
import { type Io, say, styler } from '../io.ts'
import { UsageError } from './client.ts'
import type { ExplainRequest } from './command.ts'
import { Confinement } from './confinement.ts'
import { explain } from './explain.ts'
import { renderExplanation } from './render.ts'

const USAGE_ERROR = 64

/** What a policy prints is not part of the explanation. */
function ownStdout(): Io['stdout'] {
  const own = new WriteStream(process.stdout)
  process.stdout.write = process.stderr.write.bind(process.stderr)
  return own
}

/** Standard output as it was, for whoever holds it. */
class WriteStream extends Writable {
  readonly #write: typeof process.stdout.write

  constructor(stdout: typeof process.stdout) {
    super()
    this.#write = stdout.write.bind(stdout)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#write(chunk, done)
  }
}

async function run({ file, options, terminal }: ExplainRequest, confinement: Confinement): Promise<number> {
  const io: Io = { stdout: ownStdout(), stderr: process.stderr, terminal }
  try {
    const explanation = await explain(file, options, confinement)
    const text =
      options.json === true
        ? `${JSON.stringify(explanation, undefined, 2)}\n`
        : renderExplanation(explanation, styler(io))
    await new Promise((resolve) => io.stdout.write(text, resolve))
    return 0
  } catch (error) {
    if (error instanceof ConfigError) {
      say(io, error.diagnostics)
      return 1
    }
    const usage = error instanceof UsageError
    const message = error instanceof Error ? error.message : String(error)
    io.stderr.write(`${usage ? 'error' : 'postern'}: ${message}\n`)
    return usage ? USAGE_ERROR : 1
  }
}

const confinement = Confinement.close()
const code = await run(JSON.parse(process.argv[2] ?? '{}') as ExplainRequest, confinement)
// a policy may have timers that never end, and by now nobody else can end the process
process.stderr.write('', () => void confinement.allowed(async () => process.exit(code)))
