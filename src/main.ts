/** The program's entry: arguments in, exit code out; nothing else. */

import { runProgram } from './cli/program.ts'

process.exitCode = await runProgram(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  terminal: process.stdout.isTTY,
})
