/**
 * Transcripts of SMTP sessions (momentum: console-commands/trace-smtp, which knows outbound ones into a file): sessions
 * that begin from now on, to a new file or to the console as it happens. Secrets of AUTH and contents of messages are
 * never in them (`events/transcripts.ts`). Each ends by itself.
 */

import { constants } from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { parseCidr } from '../../config/address.ts'
import { type Answer, ConsoleError } from '../answer.ts'
import {
  type CommandContext,
  type ConsoleCommand,
  type Followed,
  takeCount,
  takeOptions,
} from '../command.ts'
import type { ConsoleServices } from '../services.ts'
import type { TraceFilter, TraceLimits, TraceOutput, TraceView } from './traces.ts'

const DEFAULT_LINES = 10_000
const DEFAULT_SECONDS = 600

export const traceCommands: readonly ConsoleCommand[] = [
  {
    name: 'trace smtp inbound',
    arguments: '[-l LINES] [-t SECONDS] ADDRESS|NETWORK|* [FILE]',
    help: 'what sessions of clients say, to a new file, or here until you send a further line (^C)',
    run: (args, services, context) => {
      const { rest, limits } = optionsOf(args, [])
      const [client = '', file] = atMost(rest, 2)
      const network = networkOf(client)
      if (network === undefined)
        throw new ConsoleError(`${JSON.stringify(client)} is no address, no network and not *`)
      const filter = {
        direction: 'inbound',
        network: network.cidr,
        domain: undefined,
        binding: undefined,
      } as const
      return run({ filter, limits, file }, services, context)
    },
  },
  {
    name: 'trace smtp outbound',
    arguments: '[-l LINES] [-t SECONDS] [-b BINDING] DOMAIN|ADDRESS|NETWORK|* [FILE]',
    help: 'what sessions with next hops say, to a new file, or here until you send a further line (^C)',
    run: (args, services, context) => {
      const { rest, limits, options } = optionsOf(args, ['-b'])
      const [where = '', file] = atMost(rest, 2)
      const binding = options.get('-b')?.at(-1)
      return run({ filter: outboundFilter(where, binding), limits, file }, services, context)
    },
  },
  {
    name: 'trace smtp add',
    arguments: 'BINDING|* DOMAIN|* FILE',
    help: 'what sessions with next hops say, into a new file',
    run: (args, services, context) => {
      const [binding, domain, file, ...more] = args
      if (binding === undefined || domain === undefined || file === undefined || more.length > 0)
        throw new ConsoleError('write: trace smtp add BINDING|* DOMAIN|* FILE')
      const limits = { lines: DEFAULT_LINES, seconds: DEFAULT_SECONDS }
      const filter = outboundFilter(domain, binding === '*' ? undefined : binding)
      return run({ filter, limits, file }, services, context)
    },
  },
  {
    name: 'trace smtp list',
    arguments: '',
    help: 'the traces, and how many lines each has told',
    run: (_args, services) => table(viewOf(services)),
  },
  {
    name: 'trace smtp remove',
    arguments: 'NUMBER',
    help: 'ends a trace',
    run: async (args, services) => {
      const id = takeCount(atMost(args, 1)[0] ?? '')
      if (!(await viewOf(services).end(id, 'it was removed')))
        throw new ConsoleError(`there is no smtp tracer #${id}; trace smtp list has them`)
      return { kind: 'value', key: 'done', value: `Removed smtp tracer #${id}` }
    },
  },
  {
    name: 'trace smtp off',
    arguments: '',
    help: 'ends every trace',
    run: async (_args, services) => {
      const view = viewOf(services)
      const all = view.list()
      for (const { id } of all) await view.end(id, 'all were removed')
      return { kind: 'value', key: 'done', value: `Removed ${all.length} smtp tracers` }
    },
  },
]

interface Asked {
  readonly filter: TraceFilter
  readonly limits: TraceLimits
  readonly file: string | undefined
}

async function run(
  { filter, limits, file }: Asked,
  services: ConsoleServices,
  context: CommandContext,
): Promise<Answer> {
  const view = viewOf(services)
  if (file !== undefined) {
    const output = await fileOutput(file, services.settings().global.trace_smtp_mode)
    try {
      const id = await begin(view, { filter, limits, file }, output)
      return { kind: 'value', key: 'done', value: `Registered smtp tracer #${id}` }
    } catch (error) {
      // neither the file nor its descriptor stays
      output.ended('it did not begin')
      await unlink(file).catch(() => undefined)
      throw error
    }
  }
  if (context.follow === undefined)
    throw new ConsoleError('name a file: nothing can be told here as it happens')
  return await follow(view, { filter, limits, file }, context.follow())
}

async function follow(view: TraceView, asked: Asked, { more, stop }: Followed): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const output: TraceOutput = {
    name: 'console',
    write: async (text) => {
      if (stop.aborted || !(await more(text))) throw new Error('nobody reads')
    },
    ended: resolve,
  }
  const id = await begin(view, asked, output)
  const end = (): void => void view.end(id, 'you ended it')
  if (stop.aborted) end()
  else stop.addEventListener('abort', end, { once: true })
  await more(`Tracing as #${id}, at most ${asked.limits.lines} lines or ${asked.limits.seconds} seconds.\n`)
  const why = await promise
  stop.removeEventListener('abort', end)
  return { kind: 'value', key: 'ended', value: `The trace has ended: ${why}.` }
}

async function begin(view: TraceView, { filter, limits }: Asked, output: TraceOutput): Promise<number> {
  try {
    return await view.begin(filter, limits, output)
  } catch (error) {
    throw new ConsoleError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

/** Never a file that is there already: nobody overwrites anything by a trace, nor writes into what others read. */
async function fileOutput(path: string, mode: number): Promise<TraceOutput> {
  if (!isAbsolute(path)) throw new ConsoleError('the file of a trace needs a path that begins with /')
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  try {
    const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
    return {
      name: path,
      write: async (text) => void (await file.write(text)),
      ended: (why) => {
        const last = file.write(`${new Date().toISOString()} * the trace has ended: ${why}\n`)
        void last.catch(() => undefined).finally(() => void file.close().catch(() => undefined))
      },
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    const why = code === 'EEXIST' ? 'it is there already; a trace begins a new file' : code
    throw new ConsoleError(`${path}: ${why}`, { cause: error })
  }
}

function table(view: TraceView): Answer {
  return {
    kind: 'table',
    columns: [
      { key: 'id', head: 'No' },
      { key: 'direction', head: 'Direction' },
      { key: 'network', head: 'Network' },
      { key: 'binding', head: 'Binding' },
      { key: 'domain', head: 'Domain' },
      { key: 'lines', head: 'Lines' },
      { key: 'lost', head: 'Left Out' },
      { key: 'output', head: 'To' },
    ],
    rows: view.list().map(({ filter, ...row }) => ({
      ...row,
      direction: filter.direction,
      network: filter.network ?? '*',
      binding: filter.binding ?? '*',
      domain: filter.domain ?? '*',
    })),
    empty: 'Nothing is traced.',
  }
}

function viewOf({ traces }: ConsoleServices): TraceView {
  if (traces === undefined) throw new ConsoleError('nothing can be traced from here')
  return traces
}

function outboundFilter(where: string, binding: string | undefined): TraceFilter {
  const network = networkOf(where)
  const domain = network === undefined ? where.toLowerCase() : undefined
  if (domain !== undefined && !/^[^\s/]{1,253}$/.test(domain))
    throw new ConsoleError('say which: a domain, an address, a network or *')
  return { direction: 'outbound', network: network?.cidr, domain, binding }
}

/** undefined: it is none, and not `*` */
function networkOf(text: string): { readonly cidr: string | undefined } | undefined {
  if (text === '*') return { cidr: undefined }
  return /^[0-9a-f.:]+(?:\/\d{1,3})?$/i.test(text) && parseCidr(text) !== undefined
    ? { cidr: text }
    : undefined
}

function optionsOf(
  args: readonly string[],
  more: readonly string[],
): {
  readonly rest: readonly string[]
  readonly limits: TraceLimits
  readonly options: ReadonlyMap<string, readonly string[]>
} {
  const first = args.findIndex((word, index) => index % 2 === 0 && !word.startsWith('-'))
  const at = first < 0 ? args.length : first
  const options = takeOptions(args.slice(0, at), ['-l', '-t', ...more])
  const lines = takeCount(options.get('-l')?.at(-1) ?? String(DEFAULT_LINES))
  const seconds = takeCount(options.get('-t')?.at(-1) ?? String(DEFAULT_SECONDS))
  if (lines === 0 || seconds === 0) throw new ConsoleError('a trace has a limit above 0')
  return { rest: args.slice(at), limits: { lines, seconds: Math.min(seconds, 86_400) }, options }
}

function atMost(args: readonly string[], most: number): readonly string[] {
  if (args.length === 0 || args.length > most)
    throw new ConsoleError('this is not how it is used; help says how')
  return args
}
