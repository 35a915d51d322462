/** The program's entry: arguments in, exit code out; nothing else. */

// SIGHUP may come while the server starts, as from a rotation of logs, and would end it: this comes before everything else,
// which is why the program is not imported above.
if (process.argv[2] === 'serve') process.on('SIGHUP', () => undefined)

// Who has had enough of an answer, as `head` has after some lines, made no mistake. A server goes on.
if (process.argv[2] !== 'serve')
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.stderr.write(`postern: standard output: ${error.message}\n`)
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })

const { runProgram } = await import('./cli/program.ts')

process.exitCode = await runProgram(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  terminal: process.stdout.isTTY,
})
