/** What was looked up and is kept: DNS and MTA-STS (momentum: console-commands/dns-cache, dig, mta-sts). */

import { type Answer, ConsoleError } from '../answer.ts'
import { type ConsoleCommand, takeCount, takeOptions } from '../command.ts'
import { fromBytes } from '../render.ts'
import type { ConsoleServices } from '../services.ts'
import { dateTime } from '../times.ts'
import { askInside, sumOf, together } from './ask.ts'
import type { DnsAnswerRow, DnsCacheReport, DnsOrder, DnsReport, StsPolicyRow } from './questions.ts'

const DEFAULT_ANSWERS = 100

export const lookupCommands: readonly ConsoleCommand[] = [
  {
    name: 'dns_cache stats',
    arguments: '',
    help: 'questions to the DNS, and how many of them were answered from what is kept, in each cache',
    run: async (_args, services) => {
      const { reports, missing } = await askInside(services, 'dns', { act: 'list', most: 0 })
      return together(dnsStats(reports.flatMap(({ caches }) => caches)), missing)
    },
  },
  {
    name: 'dns_cache list',
    arguments: '[-l N]',
    help: 'answers that are kept, what was used last first; 100 of each process, or N',
    run: async (args, services) => {
      const most = takeCount(takeOptions(args, ['-l']).get('-l')?.at(-1) ?? String(DEFAULT_ANSWERS))
      return await dnsAnswers(services, { act: 'list', most }, 'Nothing is kept.')
    },
  },
  {
    name: 'dns_cache lookup',
    arguments: 'NAME TYPE',
    help: 'what is kept about a name; nobody is asked',
    run: async (args, services) =>
      await dnsAnswers(
        services,
        { act: 'lookup', ...question(args) },
        'Cached result not found, try a submit.',
      ),
  },
  {
    name: 'dns_cache submit',
    arguments: 'NAME TYPE',
    help: 'asks for it, in every process, and shows the answer, which is kept',
    run: async (args, services) =>
      await dnsAnswers(services, { act: 'ask', ...question(args) }, 'The answer may not be kept.'),
  },
  {
    name: 'dns_cache flush',
    arguments: '[NAME]',
    help: 'forgets every answer, or those about one name: the next one who needs them asks anew',
    run: async (args, services) => {
      const name = atMostOne(args)
      const { reports, missing } = await askInside(services, 'dns', { act: 'flush', name })
      return done(`${sumOf(reports, ({ flushed }) => flushed)} answers flushed.`, missing)
    },
  },
  {
    name: 'dig',
    arguments: 'DOMAIN',
    help: 'asks for the MX records of a domain and shows them',
    run: async (args, services) =>
      await dnsAnswers(
        services,
        { act: 'ask', name: onlyOne(args, 'a domain'), type: 'MX' },
        'The answer may not be kept.',
      ),
  },
  {
    name: 'mta_sts list all',
    arguments: '',
    help: 'the domains of which an MTA-STS policy is known',
    run: async (_args, services) => {
      const { reports, missing } = await askInside(services, 'sts', { act: 'list' })
      return together(stsTable(reports.flatMap(({ policies }) => policies)), missing)
    },
  },
  {
    name: 'mta_sts show domain',
    arguments: 'DOMAIN',
    help: 'the MTA-STS policy of a domain as it is known; nobody is asked',
    run: async (args, services) => await stsPolicy(args, services, 'show'),
  },
  {
    name: 'mta_sts refresh policy',
    arguments: 'DOMAIN',
    help: 'fetches the policy of a domain anew; one that cannot be had leaves the one before in force',
    run: async (args, services) => await stsPolicy(args, services, 'refresh'),
  },
  {
    name: 'mta_sts flush',
    arguments: '[DOMAIN]',
    help: 'forgets the policy of a domain, or all: until it is fetched again mail leaves as if there were none',
    run: async (args, services) => {
      const domain = atMostOne(args)?.toLowerCase()
      const { reports, missing } = await askInside(services, 'sts', { act: 'flush', domain })
      // the folder is one for all processes
      return done(`${Math.max(0, ...reports.map(({ flushed }) => flushed))} policies flushed.`, missing)
    },
  },
]

function question(args: readonly string[]): { readonly name: string; readonly type: string } {
  const [name, type, ...rest] = args
  if (name === undefined || type === undefined || rest.length > 0)
    throw new ConsoleError('say which name and which type: mail.example A')
  return { name, type }
}

function atMostOne(args: readonly string[]): string | undefined {
  if (args.length > 1) throw new ConsoleError('at most one name may follow')
  return args[0]
}

function onlyOne(args: readonly string[], what: string): string {
  const [first, ...rest] = args
  if (first === undefined || rest.length > 0) throw new ConsoleError(`say which: ${what}`)
  return first
}

async function dnsAnswers(services: ConsoleServices, order: DnsOrder, empty: string): Promise<Answer> {
  const { reports, missing } = await askInside(services, 'dns', order)
  const problem = reports.find((report) => report.problem !== undefined)?.problem
  const rows = distinct(reports)
  if (problem !== undefined && rows.length === 0) throw new ConsoleError(fromBytes(problem))
  return together(
    {
      kind: 'table',
      columns: [
        { key: 'name', head: 'Name' },
        { key: 'ttl', head: 'TTL' },
        { key: 'type', head: 'Type' },
        { key: 'data', head: 'Data' },
        { key: 'cache', head: 'Cache' },
      ],
      rows: rows.map(({ data, ...row }) => ({
        ...row,
        data: data === undefined ? '(none)' : fromBytes(data),
      })),
      empty,
    },
    missing,
  )
}

/** What several processes keep is shown once, with the longest time that is left. */
function distinct(reports: readonly DnsReport[]): readonly DnsAnswerRow[] {
  const rows = new Map<string, DnsAnswerRow>()
  for (const row of reports.flatMap(({ answers }) => answers)) {
    const key = JSON.stringify([row.cache, row.name, row.type, row.data])
    const before = rows.get(key)
    if (before === undefined || before.ttl < row.ttl) rows.set(key, row)
  }
  return [...rows.values()]
}

function dnsStats(all: readonly DnsCacheReport[]): Extract<Answer, { kind: 'table' }> {
  const names = [...new Set(all.map(({ cache }) => cache))]
  return {
    kind: 'table',
    columns: [
      { key: 'cache', head: 'Cache' },
      { key: 'entries', head: 'Entries' },
      { key: 'lookups', head: 'Lookups' },
      { key: 'hitRate', head: 'Hit Rate %' },
      { key: 'asked', head: 'Asked' },
      { key: 'failed', head: 'Failed' },
    ],
    rows: names.map((cache) => {
      const mine = all.filter((each) => each.cache === cache)
      const lookups = sumOf(mine, (each) => each.lookups)
      return {
        cache,
        entries: sumOf(mine, (each) => each.entries),
        lookups,
        hitRate: percent(
          sumOf(mine, (each) => each.hits),
          lookups,
        ),
        asked: sumOf(mine, (each) => each.asked),
        failed: sumOf(mine, (each) => each.failed),
      }
    }),
    empty: 'There is no cache.',
  }
}

export function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 100
}

function stsTable(policies: readonly StsPolicyRow[]): Extract<Answer, { kind: 'table' }> {
  const byDomain = newest(policies)
  return {
    kind: 'table',
    columns: [
      { key: 'domain', head: 'Domain' },
      { key: 'mode', head: 'Mode' },
      { key: 'id', head: 'Id' },
      { key: 'maxAge', head: 'Max Age' },
      { key: 'fetched', head: 'Fetched' },
      { key: 'mx', head: 'MX' },
    ],
    rows: byDomain.map(({ fetchedAt, mx, ...policy }) => ({
      ...policy,
      fetched: dateTime(fetchedAt),
      mx: mx.join(', '),
    })),
    empty: 'Total domains: 0',
  }
}

function newest(policies: readonly StsPolicyRow[]): readonly StsPolicyRow[] {
  const found = new Map<string, StsPolicyRow>()
  for (const policy of policies.toSorted((a, b) => a.fetchedAt - b.fetchedAt))
    found.set(policy.domain, policy)
  return [...found.values()].toSorted((a, b) => (a.domain < b.domain ? -1 : 1))
}

async function stsPolicy(
  args: readonly string[],
  services: ConsoleServices,
  act: 'show' | 'refresh',
): Promise<Answer> {
  const domain = onlyOne(args, 'a domain').toLowerCase()
  const { reports, missing } = await askInside(services, 'sts', { act, domain })
  const [policy] = newest(reports.flatMap(({ policies }) => policies))
  if (policy === undefined)
    throw new ConsoleError([`no MTA-STS policy of ${domain} is known`, ...missing].join('\n'))
  const { id, mode, maxAge, fetchedAt, mx } = policy
  return {
    kind: 'facts',
    title: `Domain '${domain}' has an MTA-STS policy`,
    facts: [
      { key: 'id', label: 'id', value: id },
      { key: 'mode', label: 'mode', value: mode },
      { key: 'maxAge', label: 'max_age', value: maxAge, shown: `${maxAge} seconds` },
      { key: 'fetched', label: 'fetched', value: dateTime(fetchedAt) },
      { key: 'mx', label: 'mxlist', value: mx.join(' ') },
    ],
  }
}

export function done(text: string, missing: readonly string[]): Answer {
  if (missing.length > 0) throw new ConsoleError([text, ...missing].join('\n'))
  return { kind: 'value', key: 'done', value: text }
}
