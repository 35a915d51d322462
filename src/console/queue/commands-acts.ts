/**
 * What an operator does to mail that waits (momentum: console-commands/flush-domain, fail-domain, fail-all, delay,
 * reroute-queue, rebind, message-fail, message-retry).
 *
 * Each act is written down with who did it and to how many messages. A message that is being delivered is left alone, and
 * the answer says how many were.
 */

import type { Act, ActReport, Selection } from '../../delivery/operator/orders.ts'
import { type Answer, ConsoleError } from '../answer.ts'
import type { CommandContext, ConsoleCommand } from '../command.ts'
import { fromBytes } from '../render.ts'
import { withoutSecrets } from '../secrets.ts'
import type { ConsoleServices } from '../services.ts'
import { joinWords } from '../words.ts'
import {
  type Clauses,
  configuredBinding,
  FILTER_USAGE,
  nothingElse,
  oneDomain,
  takeBinding,
  takeClauses,
  takeDomain,
  toBytes,
} from './arguments.ts'
import { mergeActs } from './merge.ts'
import { dryRunLine, gaps, messageData } from './rows.ts'

type Run = ConsoleCommand['run']

/** Momentum's */
const PURGED = '554 5.7.0 [internal] Message manually purged'
const FAILED = '554 5.7.0 [internal] Message manually failed'
const MAX_NOTE = 400

const FAIL_DOMAIN = `[--dry-run] ${FILTER_USAGE} DOMAIN|all [NOTE…]`
const FAIL_ALL = '[--dry-run] --meta KEY VALUE|--header NAME LINE [NOTE…]'
const BINDING_FAIL = `[--dry-run] ${FILTER_USAGE} BINDING DOMAIN|all [NOTE…]`
const DELAY = `SECONDS [--dry-run] [--domain DOMAIN] [--binding BINDING] ${FILTER_USAGE}`
const REROUTE = `[--dry-run] ${FILTER_USAGE} DOMAIN|all DOMAIN`
const REBIND = `[--dry-run] ${FILTER_USAGE} --to BINDING BINDING|all [DOMAIN|all]`

export const actCommands: readonly ConsoleCommand[] = [
  {
    name: 'flush domain',
    arguments: `[--dry-run] ${FILTER_USAGE} DOMAIN|all`,
    help: 'delayed messages are tried now, and what holds the domain back may be tried again',
    run: flush('flush domain'),
  },
  {
    name: 'binding flush domain',
    arguments: `[--dry-run] ${FILTER_USAGE} BINDING DOMAIN|all`,
    help: 'as flush domain, in one binding',
    run: flush('binding flush domain'),
  },
  failing('fail domain', FAIL_DOMAIN, 'messages that wait fail with a note; their senders are told'),
  failing('fail domain quiet', FAIL_DOMAIN, 'as fail domain, and nobody is told'),
  failing('fail all', FAIL_ALL, 'what fits fails, in all domains; senders are told'),
  failing('fail all quiet', FAIL_ALL, 'as fail all, and nobody is told'),
  failing('binding fail domain', BINDING_FAIL, 'as fail domain, in one binding'),
  failing('binding fail domain quiet', BINDING_FAIL, 'as binding fail domain, and nobody is told'),
  {
    name: 'message fail',
    arguments: 'MESSAGE',
    help: 'one message fails; its sender is told',
    run: ofMessage('message fail', { kind: 'fail', text: FAILED, quiet: false }),
  },
  {
    name: 'message fail quiet',
    arguments: 'MESSAGE',
    help: 'one message fails, and nobody is told',
    run: ofMessage('message fail quiet', { kind: 'fail', text: FAILED, quiet: true }),
  },
  {
    name: 'message retry',
    arguments: 'MESSAGE',
    help: 'one delayed message is tried now',
    run: ofMessage('message retry', { kind: 'flush' }),
  },
  {
    name: 'delay',
    arguments: DELAY,
    help: 'messages that are ready wait so many seconds, at most until they expire',
    run: delay,
  },
  {
    name: 'reroute queue',
    arguments: REROUTE,
    help: 'messages go where mail for another domain goes; their recipients stay',
    run: reroute,
  },
  {
    name: 'rebind',
    arguments: REBIND,
    help: 'messages leave by another binding',
    run: rebind,
  },
]

interface Job {
  readonly act: Act
  readonly selection: Selection
  readonly dryRun: boolean
  /** the command as it was understood */
  readonly line: string
  /** what it is done to, for people */
  readonly target: string
  readonly says: (report: ActReport, target: string) => string
}

function flush(name: string): Run {
  return async (args, services, context) => {
    const clauses = takeClauses(args)
    const { selection, target, rest } = targetOf(name, clauses, name.startsWith('binding'))
    nothingElse(rest, name)
    return await perform(
      {
        act: { kind: 'flush' },
        selection,
        dryRun: clauses.dryRun,
        line: `${name} ${joinWords(args)}`,
        target,
        says: ({ messages }) => `${target} flushed.  ${messages} messages requeued.`,
      },
      services,
      context,
    )
  }
}

function failing(name: string, usage: string, help: string): ConsoleCommand {
  const run: Run = async (args, services, context) => {
    const clauses = takeClauses(args)
    const isAll = name.startsWith('fail all')
    if (isAll && clauses.filter === undefined)
      throw new ConsoleError(`fail all needs --meta or --header: ${name} ${usage}`)
    const { selection, target, rest } = isAll
      ? { selection: filtered({}, clauses), target: 'all domains', rest: clauses.rest }
      : targetOf(name, clauses, name.startsWith('binding'))
    const isEverything = Object.keys(selection).length === 0
    if (isEverything)
      throw new ConsoleError('everything at once needs --meta or --header, or a binding or domain')
    return await perform(
      {
        act: { kind: 'fail', text: noteOf(rest), quiet: name.endsWith('quiet') },
        selection,
        dryRun: clauses.dryRun,
        line: `${name} ${joinWords(args)}`,
        target,
        says: ({ messages }) => `${capital(target)} purged. ${messages} messages failed.`,
      },
      services,
      context,
    )
  }
  return { name, arguments: usage, help, run }
}

function ofMessage(name: string, act: Act): Run {
  return async ([id, ...rest], services, context) => {
    nothingElse(rest, `${name} MESSAGE`)
    if (id === undefined) throw new ConsoleError(`say which message: ${name} MESSAGE`)
    const says = ({ messages, underWay }: ActReport): string => {
      if (messages > 0) return act.kind === 'flush' ? 'Message requeued for delivery' : 'Message failed.'
      return underWay > 0
        ? 'The message is being delivered; nothing was done to it.'
        : 'The message stands where nothing can be done to it.'
    }
    const line = `${name} ${joinWords([id])}`
    return await perform({ act, selection: { id }, dryRun: false, line, target: id, says }, services, context)
  }
}

async function delay(
  args: readonly string[],
  services: ConsoleServices,
  context: CommandContext,
): Promise<Answer> {
  const [text = '', ...words] = args
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new ConsoleError(`say how many seconds: delay ${DELAY}`)
  const clauses = takeClauses(words, ['--domain', '--binding'])
  nothingElse(clauses.rest, `delay ${DELAY}`)
  const [domainWord, bindingWord] = [clauses.values.get('--domain'), clauses.values.get('--binding')]
  const domain = domainWord === undefined ? undefined : oneDomain(domainWord)
  const binding = bindingWord === undefined ? {} : takeBinding(bindingWord, `delay ${DELAY}`)
  const selection = filtered({ ...binding, ...(domain === undefined ? {} : { domain }) }, clauses)
  if (Object.keys(selection).length === 0)
    throw new ConsoleError(`say which messages: --domain, --binding, --meta or --header`)
  const target = domain === undefined ? (bindingWord ?? 'these') : fromBytes(domain)
  return await perform(
    {
      act: { kind: 'delay', seconds: Number(text) },
      selection,
      dryRun: clauses.dryRun,
      line: joinWords(['delay', ...args]),
      target,
      says: ({ messages, underWay }) =>
        messages === 0 && underWay === 0 && domain !== undefined
          ? `No messages for ${target} found.`
          : `Delayed ${messages} messages.`,
    },
    services,
    context,
  )
}

async function reroute(
  args: readonly string[],
  services: ConsoleServices,
  context: CommandContext,
): Promise<Answer> {
  const usage = `reroute queue ${REROUTE}`
  const clauses = takeClauses(args)
  const [first, second, ...rest] = clauses.rest
  const from = takeDomain(first, usage)
  if (second === undefined || second === '') throw new ConsoleError(`say where to: ${usage}`)
  const to = oneDomain(second)
  nothingElse(rest, usage)
  if (from === to) throw new ConsoleError('these are the same domain')
  const names = [from === undefined ? 'all' : fromBytes(from), fromBytes(to)] as const
  return await perform(
    {
      act: { kind: 'reroute', domain: to },
      selection: filtered(from === undefined ? {} : { domain: from }, clauses),
      dryRun: clauses.dryRun,
      line: `reroute queue ${joinWords(args)}`,
      target: `${names[0]} -> ${names[1]}`,
      says: ({ messages }) => `Moved ${messages} messages from '${names[0]}' to '${names[1]}'`,
    },
    services,
    context,
  )
}

async function rebind(
  args: readonly string[],
  services: ConsoleServices,
  context: CommandContext,
): Promise<Answer> {
  const usage = `rebind ${REBIND}`
  const clauses = takeClauses(args, ['--to'])
  const to = clauses.values.get('--to')
  if (to === undefined) throw new ConsoleError(`say to which binding: ${usage}`)
  const egress = configuredBinding(to, services)
  const [bindingWord, domainWord = 'all', ...rest] = clauses.rest
  const binding = takeBinding(bindingWord, usage)
  const domain = takeDomain(domainWord, usage)
  nothingElse(rest, usage)
  return await perform(
    {
      act: { kind: 'rebind', egress },
      selection: filtered({ ...binding, ...(domain === undefined ? {} : { domain }) }, clauses),
      dryRun: clauses.dryRun,
      line: joinWords(['rebind', ...args]),
      target: `${bindingWord} -> ${egress.bindingGroup}/${egress.binding}`,
      says: ({ messages }) => `Rebound ${messages} messages.`,
    },
    services,
    context,
  )
}

/** `[BINDING] DOMAIN|all`, and what follows. */
function targetOf(
  name: string,
  clauses: Clauses,
  withBinding: boolean,
): { readonly selection: Selection; readonly target: string; readonly rest: readonly string[] } {
  const words = [...clauses.rest]
  const usage = `${name} ${withBinding ? 'BINDING ' : ''}DOMAIN|all`
  const binding = withBinding ? takeBinding(words.shift(), usage) : {}
  const domain = takeDomain(words.shift(), usage)
  const selection = filtered({ ...binding, ...(domain === undefined ? {} : { domain }) }, clauses)
  return { selection, target: domain === undefined ? 'all domains' : fromBytes(domain), rest: words }
}

function filtered(selection: Selection, { filter }: Clauses): Selection {
  return filter === undefined ? selection : { ...selection, filter }
}

/**
 * The answer with which messages fail: `554 …` in front of a note that has no code of its own.
 * @throws ConsoleError
 */
function noteOf(words: readonly string[]): string {
  if (words.length === 0) return PURGED
  const [first = ''] = words
  if (words.some((word) => word.startsWith('--')))
    throw new ConsoleError('options stand before the domain; a note has none')
  const note = words.join(' ')
  if (note.length > MAX_NOTE) throw new ConsoleError(`a note has at most ${MAX_NOTE} characters`)
  if (/^\d{3}$/.test(first) && !/^5\d\d$/.test(first))
    throw new ConsoleError('a note that begins with a code begins with one that is final: 5xx')
  return toBytes(/^5\d\d$/.test(first) ? note : `554 5.7.0 ${note}`)
}

// oxlint-disable-next-line max-params -- a command's three, and what it is
async function perform(
  { act, selection, dryRun, line, target, says }: Job,
  { queue, account, clock }: ConsoleServices,
  { operator }: CommandContext,
): Promise<Answer> {
  const tell = (messages: number, underWay: number, broken: string): void => {
    if (dryRun) return
    const { name, from } = operator
    account({
      kind: 'operator-act',
      at: clock(),
      operator: name,
      from,
      act: withoutSecrets(line),
      messages,
      underWay,
      broken,
    })
  }
  const { reports, missing } = await queue.ask('act', { act, selection, dryRun }).catch((error: unknown) => {
    // nobody knows how far it came
    tell(0, 0, String(error))
    throw error
  })
  const report = mergeActs(reports)
  const { messages, underWay, rows, broken, incomplete } = report
  tell(messages, underWay, [...(broken === undefined ? [] : [broken]), ...missing].join('; '))
  if (selection.id !== undefined && messages + underWay === 0 && broken === undefined)
    throw new ConsoleError(
      [`no message ${JSON.stringify(selection.id)} waits so that this could be done to it`, ...missing].join(
        '\n',
      ),
    )
  const data = {
    act: act.kind,
    target,
    dryRun,
    messages,
    underWay,
    listed: rows.map(messageData),
    notListed: dryRun ? messages - rows.length : 0,
    broken: broken ?? null,
    incomplete,
    missing,
  }
  const untouched =
    underWay === 0 || selection.id !== undefined
      ? []
      : [`${underWay} ${underWay === 1 ? 'message was' : 'messages were'} under way and left alone.`]
  return {
    kind: 'document',
    data,
    lines: [
      ...(dryRun ? dryRunLines(data.target, act, report) : [says(report, target)]),
      ...untouched,
      ...(broken === undefined ? [] : [`Not everything could be done: ${broken}. What was counted is done.`]),
      ...gaps(incomplete, missing),
    ],
  }
}

const would: Readonly<Record<Act['kind'], string>> = {
  flush: 'requeued',
  fail: 'failed',
  delay: 'delayed',
  reroute: 'moved',
  rebind: 'rebound',
}

function dryRunLines(target: string, act: Act, { messages, rows }: ActReport): readonly string[] {
  const rest = messages - rows.length
  const tail = rest === 0 ? '' : ` (Showing first ${rows.length}; ${rest} more not listed.)`
  return [
    ...rows.map(dryRunLine),
    `[dry-run] ${target}: ${messages} messages would be ${would[act.kind]}.${tail}`,
  ]
}

function capital(text: string): string {
  return text === 'all domains' ? 'All domains' : text
}
