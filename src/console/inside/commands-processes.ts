/** The processes, what is loaded into them, and their end (momentum: console-commands/threads, module, shutdown). */

import { type Answer, ConsoleError } from '../answer.ts'
import type { ConsoleCommand } from '../command.ts'
import { fromBytes } from '../render.ts'
import type { ConsoleServices } from '../services.ts'
import { duration } from '../times.ts'
import { askInside, together } from './ask.ts'

export const processCommands: readonly ConsoleCommand[] = [
  {
    name: 'threads',
    arguments: '',
    help: 'the processes: pid, time since the start, processor time, memory, sessions, messages, restarts',
    run: (_args, services) => processes(services),
  },
  {
    name: 'threads stats',
    arguments: '',
    help: 'the same',
    run: (_args, services) => processes(services),
  },
  {
    name: 'threads restart',
    arguments: '',
    help: 'each worker drains for at most 30 seconds and is replaced, one after the other, while the others take mail',
    run: async (_args, { restartWorkers }) => {
      if (restartWorkers === undefined)
        throw new ConsoleError('there is one process, and no worker: serve --workers 2 or more has some')
      return { kind: 'value', key: 'done', value: `${await restartWorkers()} workers were restarted.` }
    },
  },
  {
    name: 'module list',
    arguments: '',
    help: 'the modules that the configuration in force has, and where it has them',
    run: (_args, services) => modules(services),
  },
  {
    name: 'scriptlet functions',
    arguments: '',
    help: 'the callouts that scripts registered, and where each function begins',
    run: (_args, services) => functions(services),
  },
  {
    name: 'shutdown',
    arguments: '',
    help: 'takes no more sessions, lets those under way end for at most 30 seconds, and ends, as SIGTERM does',
    run: (_args, { shutdown }) => {
      if (shutdown === undefined)
        throw new ConsoleError('this server is part of another program, which decides when it ends')
      // after the answer
      setImmediate(shutdown)
      return { kind: 'value', key: 'done', value: 'Shutting down.' }
    },
  },
]

async function processes(services: ConsoleServices): Promise<Answer> {
  const { reports, missing } = await askInside(services, 'process', undefined)
  return together(
    {
      kind: 'table',
      columns: [
        { key: 'process', head: 'Process' },
        { key: 'pid', head: 'Pid' },
        { key: 'uptime', head: 'Uptime' },
        { key: 'user', head: 'User s' },
        { key: 'system', head: 'System s' },
        { key: 'memory', head: 'MiB' },
        { key: 'sessions', head: 'Sessions' },
        { key: 'received', head: 'Received' },
        { key: 'delivered', head: 'Delivered' },
        { key: 'restarts', head: 'Restarts' },
      ],
      rows: reports.map(({ role, uptime, user, system, memory, ...report }) => ({
        ...report,
        process: role,
        uptime: duration(uptime),
        user: Math.round(user / 10) / 100,
        system: Math.round(system / 10) / 100,
        memory: Math.round(memory / 2 ** 20),
      })),
      empty: 'No process answers.',
    },
    missing,
  )
}

interface Named {
  readonly name: string
  readonly at?: { readonly file: string; readonly line: number } | undefined
}

function modules({ settings }: ConsoleServices): Answer {
  const {
    loggers,
    bounceLoggers,
    customLoggers,
    tlsLogs,
    maildirs,
    pipes,
    webhooks,
    scripts,
    datasources,
    schemes,
    ocsp,
  } = settings()
  const all: readonly (readonly [string, readonly Named[], string])[] = [
    ['ec_logger', loggers, 'mainlog, rejectlog, paniclog, acctlog'],
    ['bounce_logger', bounceLoggers, 'bouncelog'],
    ['custom_logger', customLoggers, 'logs in a format of their own'],
    ['tls_log', tlsLogs, 'decision records'],
    ['maildir', maildirs, 'delivery into folders'],
    ['pipe_transport', pipes, 'delivery to a program'],
    ['webhook', webhooks, 'delivery to a web server'],
    ['scriptlet', scripts, 'policy script'],
    ['ds_core', datasources, 'datasource'],
    ['auth_ds', schemes, 'passwords in a datasource'],
    ['tls_ocsp', ocsp, 'responder about client certificates'],
  ]
  return {
    kind: 'table',
    columns: [
      { key: 'module', head: 'Module' },
      { key: 'description', head: 'Description' },
      { key: 'place', head: 'Place' },
    ],
    rows: all.flatMap(([scope, instances, description]) =>
      instances.map(({ name, at }) => ({
        module: `${scope}:${name}`,
        description,
        place: at === undefined ? undefined : `${at.file}:${at.line}`,
      })),
    ),
    empty: 'The configuration has no modules.',
  }
}

/** All processes have loaded the same: the first that answers tells. */
async function functions(services: ConsoleServices): Promise<Answer> {
  const { reports, missing } = await askInside(services, 'functions', undefined)
  return together(
    {
      kind: 'table',
      columns: [
        { key: 'script', head: 'Script' },
        { key: 'callout', head: 'Callout' },
        { key: 'at', head: 'Function' },
      ],
      rows: (reports[0] ?? []).map(({ script, callout, at }) => ({
        script: fromBytes(script),
        callout: fromBytes(callout),
        at: fromBytes(at),
      })),
      empty: 'No script has registered a callout.',
    },
    reports.length > 0 ? [] : missing,
  )
}
