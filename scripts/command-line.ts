/**
 * The manual page and the completions of shells, made from the program's own table of commands and the console's:
 * `contrib/man/postern.1` and `contrib/completions/`. `npm run docs` writes them, a test holds them to the tables.
 */

import type { Command, Option } from 'commander'
import { describeProgram } from '../src/cli/program.ts'
import { consoleCommands } from '../src/console/commands.ts'

/** path from the root of the checkout → what the file should hold */
export function commandLineFiles(): ReadonlyMap<string, string> {
  const program = describeProgram()
  return new Map([
    ['contrib/man/postern.1', manualPage(program)],
    ['contrib/completions/postern.bash', bashCompletion(program)],
    ['contrib/completions/_postern', zshCompletion(program)],
    ['contrib/completions/postern.fish', fishCompletion(program)],
  ])
}

/** Text of roff: hyphens that are typed, quotes as they are, no request at the start of a line. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/[‘’]/g, "'")
    .replaceAll('…', '...')
    .replaceAll(/^([.'])/gm, '\\&$1')

function manualPage(program: Command): string {
  const commands = program.commands.flatMap((command) => [
    `.SS "postern ${roff(`${command.name()} ${command.usage()}`)}"`,
    `${roff(capital(command.description()))}.`,
    ...visible(command).flatMap((option) => ['.TP', `.B ${roff(option.flags)}`, roff(described(option))]),
  ])
  const console = consoleCommands.flatMap((command) => [
    '.TP',
    `.B ${roff(`${command.name} ${command.arguments}`.trim())}`,
    roff(command.help),
  ])
  return `${[
    '.\\" Made by "npm run docs" from the tables of commands.',
    '.TH POSTERN 1 "" "Postern" "User Commands"',
    '.SH NAME',
    'postern \\- the guarded gate for mail',
    '.SH SYNOPSIS',
    '.B postern',
    '.I command',
    '[\\fIoption\\fR ...]',
    '.SH DESCRIPTION',
    'Postern is an SMTP server that judges the TLS certificates of its clients, lets policy scripts decide what the',
    'verdict is worth, keeps on disk what it has accepted, and delivers it.',
    '.SH COMMANDS',
    ...commands,
    '.SH CONSOLE',
    'What',
    '.B postern console',
    'may be told:',
    ...console,
    '.SH SIGNALS',
    '.TP',
    '.B SIGHUP',
    'Reads the configuration again and opens every log anew. A configuration with errors leaves the running one in force.',
    '.TP',
    '.B SIGTERM',
    'Takes no more clients, lets those under way end for at most 30 seconds, and exits with 0.',
    '.SH EXIT STATUS',
    '.TP',
    '.B 0',
    'Done; for "check": no errors.',
    '.TP',
    '.B 1',
    'An error in the configuration, or a command that failed.',
    '.TP',
    '.B 2',
    '"serve" could not bind an address.',
    '.TP',
    '.B 64',
    'Wrong usage.',
    '.SH FILES',
    '.TP',
    '.I ./postern.conf, /etc/postern/postern.conf',
    'The configuration that is read when none is named.',
    '.SH ENVIRONMENT',
    '.TP',
    '.B NOTIFY_SOCKET',
    'Set by systemd: "serve" tells it when it is ready, reloads and stops.',
    '.TP',
    '.B NODE_OPTIONS',
    'Options of Node.js; --max-semi-space-size among them stands in place of 8 MiB, --v8-pool-size in place of 1.',
    '.TP',
    '.B UV_THREADPOOL_SIZE',
    'Threads for files, names and password hashes; 16 unless it is set.',
    '.SH SEE ALSO',
    'The pages in docs/ of the package, which "npm run site" makes browsable.',
  ].join('\n')}\n`
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

const described = ({ description, argChoices }: Option): string =>
  argChoices === undefined ? description : `${description} (${argChoices.join(', ')})`

const visible = (command: Command): readonly Option[] => command.options.filter((option) => !option.hidden)

/** What is completed after an option or as an argument. */
function takes(name: string): 'file' | 'folder' | 'nothing' {
  if (/<dir>|^dir$/.test(name)) return 'folder'
  return /<(file|pem)>|^file$/.test(name) ? 'file' : 'nothing'
}

const argumentTakes = (command: Command): 'file' | 'folder' | 'nothing' => {
  const [first] = command.registeredArguments
  return first === undefined ? 'nothing' : takes(first.name())
}

const flagsOf = (command: Command): readonly string[] =>
  visible(command).flatMap((option) => [option.short, option.long].filter((flag) => flag !== undefined))

/** The words that a console command may begin with. */
const consoleWords = (): readonly string[] => [
  ...new Set(consoleCommands.map(({ name }) => name.split(' ')[0] ?? '')),
]

function bashCompletion(program: Command): string {
  const names = program.commands.map((command) => command.name())
  const withFile = new Set(
    program.commands
      .flatMap(visible)
      .flatMap((option) => (takes(option.flags) === 'file' ? flagsFor(option) : [])),
  )
  const cases = program.commands.map((command) => {
    const words = [...flagsOf(command), ...(command.name() === 'console' ? consoleWords() : [])].join(' ')
    const more = { file: ' -f', folder: ' -d', nothing: '' }[argumentTakes(command)]
    return `    ${command.name()}) COMPREPLY=($(compgen${more} -W "${words}" -- "$word")) ;;`
  })
  return `# Completion of postern for bash. Made by "npm run docs".
_postern() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names.join(' ')} --help --version" -- "$word"))
    return
  fi
  case $before in
    ${[...withFile].join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac
}
complete -o filenames -F _postern postern
`
}

const flagsFor = (option: Option): readonly string[] =>
  [option.short, option.long].filter((flag) => flag !== undefined)

/** In single quotes, and without what zsh's specifications give a meaning to. */
const zshText = (text: string): string => text.replaceAll("'", '’').replaceAll(/[[\]:]/g, ' ')

function zshCompletion(program: Command): string {
  const names = program.commands.map((command) => `    '${command.name()}:${zshText(command.description())}'`)
  const cases = program.commands.map((command) => {
    const options = visible(command).flatMap((option) => {
      const value = { file: ':file:_files', folder: ':folder:_files -/', nothing: '' }[takes(option.flags)]
      const other = value === '' && option.flags.includes('<') ? ':value: ' : value
      return flagsFor(option).map((flag) => `'${flag}[${zshText(option.description)}]${other}'`)
    })
    const rest =
      command.name() === 'console'
        ? [`'*:command:(${consoleWords().join(' ')})'`]
        : { file: ["'1:file:_files'"], folder: ["'1:folder:_files -/'"], nothing: [] }[argumentTakes(command)]
    const specs = [...options, ...rest].map((spec) => ` \\\n        ${spec}`).join('')
    return specs === '' ? `    ${command.name()}) ;;` : `    ${command.name()})\n      _arguments${specs} ;;`
  })
  return `#compdef postern
# Completion of postern for zsh. Made by "npm run docs".
_postern() {
  local -a commands
  commands=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${cases.join('\n')}
  esac
}
_postern "$@"
`
}

const fishText = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

function fishCompletion(program: Command): string {
  const lines = program.commands.flatMap((command) => {
    const here = `-n '__fish_seen_subcommand_from ${command.name()}'`
    return [
      `complete -c postern -n __fish_use_subcommand -f -a ${command.name()} -d ${fishText(command.description())}`,
      ...visible(command).map((option) => {
        const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`
        const long = option.long === undefined ? '' : ` -l ${option.long.slice(2)}`
        const value = { file: ' -r -F', folder: ' -r -F', nothing: option.flags.includes('<') ? ' -x' : '' }
        return `complete -c postern ${here}${short}${long}${value[takes(option.flags)]} -d ${fishText(option.description)}`
      }),
      ...(command.name() === 'console'
        ? [`complete -c postern ${here} -f -a ${fishText(consoleWords().join(' '))}`]
        : []),
    ]
  })
  return `# Completion of postern for fish. Made by "npm run docs".\n${lines.join('\n')}\n`
}
