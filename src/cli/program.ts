/**
 * The command line: one table of commands. Each command's module is loaded only when it runs, so that `check` does
 * not pay for the server.
 *
 * Exit codes: 0 done, 1 a configuration error or an ordinary failure, 2 could not bind (`serve`), 64 wrong usage.
 */

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { ConfigError } from '../config/diagnostic.ts'
import type { BenchOptions } from './bench/command.ts'
import type { ConsoleOptions } from './console/console.ts'
import type { ExplainOptions } from './explain/client.ts'
import { type Io, say } from './io.ts'
import type { PasswdOptions } from './passwd.ts'
import { readVersion } from './version.ts'

const USAGE_ERROR = 64

interface Configured {
  readonly config?: string
}

/** Runs one command line (without the program's own name). @returns the exit code */
export async function runProgram(args: readonly string[], io: Io): Promise<number> {
  const result = { code: 0 }
  const program = buildProgram(io, (code) => {
    result.code = code
  })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return result.code
  } catch (error) {
    return explainFailure(error, io)
  }
}

function explainFailure(error: unknown, io: Io): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_ERROR
  if (error instanceof ConfigError) {
    say(io, error.diagnostics)
    return 1
  }
  // A user's mistake never gets here; what does is a fault of the program or of the machine, told in one line.
  io.stderr.write(`postern: ${error instanceof Error ? error.message : String(error)}\n`)
  if (process.env['POSTERN_TRACE'] !== undefined && error instanceof Error)
    io.stderr.write(`${error.stack ?? ''}\n`)
  return 1
}

/** The table of commands itself, which runs nothing: for the manual page and the completions of shells. */
export function describeProgram(): Command {
  return buildProgram({ stdout: process.stdout, stderr: process.stderr, terminal: false }, () => undefined)
}

function buildProgram(io: Io, done: (code: number) => void): Command {
  const program = new Command('postern')
    .description(
      'The guarded gate for mail: an SMTP server that knows who is on the other end of every connection.',
    )
    .version(readVersion())
    .showHelpAfterError('(postern --help lists the commands)')
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
  addServe(program, io, done)
  addInspection(program, io, done)
  addExplain(program, io, done)
  addPin(program, io, done)
  addConsole(program, io, done)
  addTrials(program, io, done)
  addPasswd(program, io, done)
  addBench(program, io, done)
  return program
}

const configOption = (): Option =>
  new Option(
    '-c, --config <file>',
    'configuration file (default: ./postern.conf, then /etc/postern/postern.conf)',
  )

/** The file, whichever way it was named. */
function oneFile(command: Command, file: string | undefined, { config }: Configured): string | undefined {
  if (file !== undefined && config !== undefined) command.error('error: two configuration files are named')
  return config ?? file
}

function addServe(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('serve')
    .description('run in the foreground; SIGTERM drains and ends, SIGHUP reloads')
    .argument('[file]', 'configuration file')
    .addOption(configOption())
    .option(
      '--workers <n>',
      'worker processes under this one, such as one for each core; 0, the default: one process for everything',
      parseCount,
    )
    .action(
      async (
        file: string | undefined,
        options: Configured & { readonly workers?: number },
        command: Command,
      ) => {
        const config = oneFile(command, file, options)
        const { runServe } = await import('./serve.ts')
        done(await runServe({ ...options, ...(config === undefined ? {} : { config }) }, io))
      },
    )
}

function addInspection(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('check')
    .description('read a configuration with its certificates and scripts, and say what is wrong with it')
    .argument('[file]', 'configuration file')
    .addOption(configOption())
    .action(async (file: string | undefined, options: Configured, command: Command) => {
      const config = oneFile(command, file, options)
      const { runCheck } = await import('./check.ts')
      done(await runCheck(config, io))
    })
  program
    .command('eval')
    .description('print the effective value of an option, and where it came from')
    .addOption(configOption())
    .option('--listen <address>', 'the Listen that the client connects to, as written in the configuration')
    .option('--peer <ip>', 'the client’s address')
    .option('--pathway <name>', 'a pathway that a script has set')
    .option('--domain <domain>', 'the destination, for options of delivery')
    .option('--binding <name>', 'the Binding, or Binding_Group/Binding, for options of delivery')
    .option('--host <host>', 'a next hop’s name or address, for what Host stanzas say')
    .argument('<option>', 'the option’s name, in any case')
    .action(async (name: string, options: Readonly<Record<string, string>>) => {
      const { runEval } = await import('./eval.ts')
      done(await runEval(name, options, io))
    })
}

function addExplain(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('explain')
    .description('what a client would meet, step by step, without a connection')
    .addOption(configOption())
    .option('--listen <address>', 'the Listen that the client connects to, as written in the configuration')
    .option('--peer <ip>', 'the client’s address')
    .option(
      '--cert <pem>',
      'the certificate that the client shows, and what it sends along; no key is needed',
    )
    .option('--chain <pem>', 'further certificates that it sends along')
    .option('--sni <name>', 'the name that the client asks for in TLS')
    .option('--tls', 'the client insists on TLS (default: it uses TLS where it is offered)')
    .option('--no-tls', 'the client does without TLS')
    .option('--helo <name>', 'what the client says in EHLO (default: client.example)')
    .option('--auth <user>', 'the user that logs in; a password is assumed to be right')
    .option('--from <address>', 'the sender; "" is the null sender')
    .option('--to <address...>', 'recipients')
    .option('--dns', 'ask the DNS for what scripts look up; withheld otherwise')
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXPLAIN_HELP)
    .action(async (options: ExplainOptions) => {
      const { runExplain } = await import('./explain/command.ts')
      done(await runExplain(options, io))
    })
}

const EXPLAIN_HELP = `
Nothing is listened on and nothing is written. Scripts are asked as ever, but what would act outward (HTTP, databases,
counters, timers, DNS without --dns) is withheld and named; from there on the explanation is conditional.

Exit code: 0 when it could be explained, whatever the verdict; 1 for a configuration error; 64 for wrong usage.

  postern explain -c gate.conf --listen :25 --peer 192.0.2.7 --cert client.pem --from a@example.com --to b@example.net`

function addPin(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('pin')
    .description('print what a Partner says of the certificates in a file: pins, subject, issuer, names')
    .argument('<file>', 'certificates, PEM or DER')
    .action(async (file: string) => {
      const { runPin } = await import('./pin.ts')
      done(await runPin(file, io))
    })
}

function addConsole(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('console')
    .description(
      'ask the running gate, and tell it what to do; without a command: a prompt, or lines from a pipe',
    )
    .option(
      '-c, --config <file>',
      'configuration file that names the console’s socket, the socket itself, or [user@]host:port',
    )
    .option('--json', 'answers for programs')
    .option('--user <name>', 'as whom to log in')
    .option(
      '--password-file <file>',
      'the password in its first line; else POSTERN_CONSOLE_PASSWORD, or a prompt',
    )
    .option('--ca <file>', 'the CAs of the gate’s certificate, for host:port')
    .option('--cert <file>', 'your certificate, for host:port')
    .option('--key <file>', 'its key, where it is not in the same file')
    .argument('[command...]', 'such as: summary; help lists them')
    // those of the command itself
    .allowUnknownOption()
    .action(async (words: readonly string[], options: ConsoleOptions) => {
      const { runConsole } = await import('./console/console.ts')
      done(await runConsole(words, options, io))
    })
}

function addTrials(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('pki')
    .description(
      'write a throwaway CA with server, valid, untrusted, expired and revoked client certificates',
    )
    .argument('<dir>', 'folder to write to')
    .action(async (folder: string) => {
      const { runPki } = await import('./pki.ts')
      done(await runPki([folder], io))
    })
  program
    .command('demo')
    .description('start a gate, send real mail with different certificates, show each decision')
    .action(async () => {
      const { runDemo } = await import('./demo/demo.ts')
      done(await runDemo(io, [process.execPath, ...process.execArgv, process.argv[1] ?? '']))
    })
}

function addPasswd(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('passwd')
    .description(
      'make the line of a user for a file of passwords; asks for the password, or reads it from a pipe',
    )
    .option(
      '-f, --file <file>',
      'the file to add the line to, or to change it in; without it the line is printed',
    )
    .addOption(
      new Option('--hash <kind>', 'how the password is kept; "none" is clear text, which CRAM-MD5 needs')
        .choices(['argon2id', 'scrypt', 'none'])
        .default('argon2id'),
    )
    .addOption(
      new Option('--realm <realm>', 'make a line for digest:// (DIGEST-MD5), in this realm').conflicts(
        'hash',
      ),
    )
    .argument('<user>', 'the user’s name')
    .action(async (user: string, options: PasswdOptions) => {
      const { runPasswd } = await import('./passwd.ts')
      done(await runPasswd(user, options, io))
    })
}

function addBench(program: Command, io: Io, done: (code: number) => void): void {
  program
    .command('bench')
    .description('send mail to an SMTP server as fast as it takes it, and say how fast that was')
    .argument('<address>', 'host:port; the mail is real')
    .option('--messages <n>', 'messages in all', parseAmount, 1000)
    .option('--connections <n>', 'connections at once', parseAmount, 50)
    .option('--per-connection <n>', 'messages over one connection; 0: no limit', parseAmountOrNone, 1)
    .option('--size <octets>', 'of one message', parseAmount, 4096)
    .option(
      '--rate <n>',
      'messages per second, begun on time (default: as fast as the server answers)',
      parseAmount,
    )
    .option('--processes <n>', 'processes that share the load', parseAmount, 1)
    .option('--starttls', 'switch to TLS first')
    .option('--resume', 'resume one TLS session')
    .option('--cert <pem>', 'the certificate to show')
    .option('--key <pem>', 'its key, if it is not in the same file')
    .option('--from <address>', 'the sender', 'bench@client.example')
    .option('--to <address>', 'the recipient', 'bench@gate.example')
    .option('--no-quit-wait', 'close without waiting for the reply to QUIT')
    .option('--json', 'print one JSON document')
    .action(async (address: string, options: BenchOptions) => {
      const { runBench } = await import('./bench/command.ts')
      done(await runBench(address, options, io))
    })
}

function parseAmount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is a whole number from 1 on.')
  return Number(text)
}

function parseAmountOrNone(text: string): number {
  return text === '0' ? 0 : parseAmount(text)
}

function parseCount(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw new InvalidArgumentError('It is a number of processes from 0 to 999.')
  return Number(text)
}
