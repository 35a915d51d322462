/**
 * The order of scopes, held against a second implementation on random configurations.
 *
 * The reference knows nothing of stanzas or chains: it lists everything that was written for an option, gives each a
 * rank (container, prefix, pathway inside, group behind), and the lowest rank wins.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { loadSettingsFromText } from '../../src/config/load.ts'
import type { InboundValues } from '../../src/config/settings.ts'
import { holdsAsync } from '../support/properties.ts'

type Written = Readonly<Record<string, string | undefined>>

interface Holder {
  readonly options: Written
  readonly pathway: string | undefined
}

interface World {
  readonly global: Written
  readonly listener: Holder
  readonly listenerPeers: Readonly<Record<string, Holder>>
  readonly listens: readonly (Holder & { readonly peers: Readonly<Record<string, Holder>> })[]
  readonly pathways: Readonly<Record<string, Written>>
  /** the group of these pathways */
  readonly grouped: readonly string[]
  readonly group: Written
}

interface Client {
  readonly listen: number
  /** '' is a UNIX client */
  readonly address: string
  readonly pathway: string | undefined
}

const instances = [':2525', '[::1]:2526', '/tmp/reference.sock']
const blocks = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.0/24',
  '10.1.2.3/32',
  '127.0.0.0/8',
  '::/0',
  '2001:db8::/32',
  '2001:db8:1::/48',
  '::1/128',
]
const addresses = ['10.1.2.3', '10.1.2.4', '10.1.9.9', '10.9.9.9', '192.0.2.1', '127.0.0.1', '2001:db8:1::5']
const moreAddresses = ['2001:db8:2::5', '2001:ffff::1', '::1', '']
const names = ['default', 'inner', 'outer', 'strict']

/** One option of each kind: everywhere but global, with global, only in bundles and global; a list; a dictionary. */
const values = {
  tls_verify_mode: ['require', 'none', 'optional'],
  idle_time: ['1', '2', '3'],
  max_recipients_per_connection: ['4', '5', '6'],
  relay_hosts: ['( 192.0.2.0/24 )', '( 10.0.0.0/8 ::1 )', '( )'],
  relay_domains: ['( a.example )', '( b.example c.example )'],
  context: ['[ a = one b = two ]', '[ b = three ]', '[ c = four a = five ]'],
} as const
type Name = keyof typeof values
const everyName = Object.keys(values) as Name[]

const anyOf = <T>(all: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...all)
const some = (...allowed: readonly Name[]): fc.Arbitrary<Written> =>
  fc.record(Object.fromEntries(allowed.map((name) => [name, anyOf<string>(values[name])])), {
    requiredKeys: [],
  })

const inScope = everyName.filter((name) => name !== 'relay_domains')
const holder: fc.Arbitrary<Holder> = fc.record({
  options: some(...inScope),
  pathway: fc.option(anyOf(names), { nil: undefined, freq: 2 }),
})
const peers = fc.dictionary(anyOf(blocks), holder, { maxKeys: 5 })
const world: fc.Arbitrary<World> = fc.record({
  global: some('max_recipients_per_connection', 'relay_hosts', 'relay_domains'),
  listener: holder,
  listenerPeers: peers,
  listens: fc.tuple(...instances.map(() => fc.record({ ...holderParts(), peers }))),
  pathways: fc.record(Object.fromEntries(names.map((name) => [name, some(...everyName)]))),
  grouped: fc.subarray(names.filter((name) => name !== 'default')),
  group: some(...everyName),
})
const client: fc.Arbitrary<Client> = fc.record({
  listen: fc.nat(instances.length - 1),
  address: anyOf([...addresses, ...moreAddresses]),
  pathway: fc.option(anyOf(names), { nil: undefined }),
})

function holderParts() {
  return { options: some(...inScope), pathway: fc.option(anyOf(names), { nil: undefined, freq: 2 }) }
}

test('every option has the value, and the line, of the narrowest scope that sets it', async () => {
  await holdsAsync(
    fc.asyncProperty(world, fc.array(client, { minLength: 1, maxLength: 8 }), async (given, clients) => {
      const { text, lineOf } = write(given)
      const { settings, diagnostics } = await loadSettingsFromText(text, 'gate.conf')
      const errors = diagnostics.filter(({ severity }) => severity === 'error')
      assert.deepEqual(errors, [])
      assert.ok(settings)
      for (const each of clients) {
        const listen = settings.listens[each.listen]
        assert.ok(listen)
        const scope = settings.resolveInbound(listen, each.address, each.pathway)
        for (const name of everyName) {
          const expected = reference(given, each, name)
          const place = expected === undefined ? 'default' : lineOf.get(expected.key)
          const origin = scope.origin(name)
          assert.equal(
            origin === 'default' ? origin : origin.line,
            place,
            `${name} for ${JSON.stringify(each)}\n${text}`,
          )
          assert.deepEqual(shown(scope.options, name), expected?.value ?? unset[name], `${name}\n${text}`)
        }
        assert.equal(scope.pathway, pathwayOf(given, each))
      }
    }),
    { numRuns: 200 },
  )
})

interface Candidate {
  readonly rank: readonly number[]
  /** where it is written: found again in the text */
  readonly key: string
  readonly text: string
}

function reference(
  given: World,
  who: Client,
  name: Name,
): { readonly key: string; readonly value: unknown } | undefined {
  const found = candidates(given, who, name).toSorted(byRank)
  const [first] = found
  if (first === undefined) return undefined
  if (name !== 'context') return { key: first.key, value: parsed(first.text) }
  const merged: Record<string, unknown> = {}
  for (const { text } of found) {
    for (const [key, value] of Object.entries(parsed(text) as object)) merged[key] ??= value
  }
  return { key: first.key, value: merged }
}

function candidates(given: World, who: Client, name: Name): Candidate[] {
  const all: Candidate[] = []
  const add = (options: Written, key: string, ...rank: readonly number[]): void => {
    const text = options[name]
    if (text !== undefined) all.push({ rank, key: `${key} ${name}`, text })
  }
  const bundle = (pathway: string | undefined, ...rank: readonly number[]): void => {
    if (pathway === undefined) return
    add(given.pathways[pathway] ?? {}, `pathway ${pathway}`, ...rank, 1)
    if (given.grouped.includes(pathway)) add(given.group, 'group', ...rank, 2)
  }
  const held = (one: Holder, key: string, ...rank: readonly number[]): void => {
    add(one.options, key, ...rank, 0)
    bundle(one.pathway, ...rank)
  }
  bundle(who.pathway, 1, 0)
  for (const { block, peer } of matching(listenOf(given, who).peers, who)) {
    held(peer, `listen ${who.listen} peer ${block}`, 2, -specificity(block))
  }
  for (const { block, peer } of matching(given.listenerPeers, who)) {
    held(peer, `listener peer ${block}`, 3, -specificity(block))
  }
  held(listenOf(given, who), `listen ${who.listen}`, 4, 0)
  held(given.listener, 'listener', 5, 0)
  if (pathwayOf(given, who) === 'default') bundle('default', 6, 0)
  add(given.global, 'global', 7, 0, 0)
  return all
}

function pathwayOf(given: World, who: Client): string {
  const longestFirst = (peers: Readonly<Record<string, Holder>>) =>
    matching(peers, who).toSorted((a, b) => specificity(b.block) - specificity(a.block))
  const inOrder = [
    who.pathway,
    ...longestFirst(listenOf(given, who).peers).map(({ peer }) => peer.pathway),
    ...longestFirst(given.listenerPeers).map(({ peer }) => peer.pathway),
    listenOf(given, who).pathway,
    given.listener.pathway,
  ]
  return inOrder.find((each) => each !== undefined) ?? 'default'
}

function listenOf(given: World, who: Client): World['listens'][number] {
  const listen = given.listens[who.listen]
  assert.ok(listen)
  return listen
}

function matching(peers: Readonly<Record<string, Holder>>, { address }: Client) {
  const own = address === '' ? ['127.0.0.1', '::1'] : [address]
  return Object.entries(peers)
    .filter(([block]) => own.some((each) => holds(block, each)))
    .map(([block, peer]) => ({ block, peer }))
}

/** Prefixes of both families on one scale: IPv4 is 96 bits into IPv6. */
function specificity(block: string): number {
  const prefix = Number(block.slice(block.indexOf('/') + 1))
  return block.includes(':') ? prefix : prefix + 96
}

function holds(block: string, address: string): boolean {
  const [base = '', prefix] = block.split('/')
  if (base.includes(':') !== address.includes(':')) return false
  return bits(base).slice(0, Number(prefix)) === bits(address).slice(0, Number(prefix))
}

function bits(address: string): string {
  if (!address.includes(':'))
    return address
      .split('.')
      .map((each) => binary(Number(each), 8))
      .join('')
  const [head = '', tail = ''] = address.split('::')
  const zeros = Array.from({ length: 8 - groups(head).length - groups(tail).length }, () => '0')
  return [...groups(head), ...zeros, ...groups(tail)]
    .map((each) => binary(Number.parseInt(each, 16), 16))
    .join('')
}

function groups(text: string): readonly string[] {
  return text === '' ? [] : text.split(':')
}

function binary(value: number, width: number): string {
  return value.toString(2).padStart(width, '0')
}

function byRank(a: Candidate, b: Candidate): number {
  for (let at = 0; at < 3; at += 1) {
    const difference = (a.rank[at] ?? 0) - (b.rank[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** A configuration's text, one option to a line. */
function write(given: World): { readonly text: string; readonly lineOf: ReadonlyMap<string, number> } {
  const lines: string[] = []
  const lineOf = new Map<string, number>()
  const options = (written: Written, key: string): void => {
    for (const [name, value] of Object.entries(written)) {
      if (value === undefined) continue
      lines.push(`${name} = ${value}`)
      lineOf.set(`${key} ${name}`, lines.length)
    }
  }
  const inside = (one: Holder, key: string): void => {
    options(one.options, key)
    if (one.pathway !== undefined) lines.push(`Pathway = "${one.pathway}"`)
  }
  const peerStanzas = (peers: Readonly<Record<string, Holder>>, key: string): void => {
    for (const [block, peer] of Object.entries(peers)) {
      lines.push(`Peer "${block}" {`)
      inside(peer, `${key} peer ${block}`)
      lines.push('}')
    }
  }
  const pathwayStanzas = (chosen: readonly string[]): void => {
    for (const name of chosen) {
      lines.push(`Pathway "${name}" {`)
      options(given.pathways[name] ?? {}, `pathway ${name}`)
      lines.push('}')
    }
  }
  options(given.global, 'global')
  pathwayStanzas(names.filter((name) => !given.grouped.includes(name)))
  lines.push('Pathway_Group "g" {')
  options(given.group, 'group')
  pathwayStanzas(given.grouped)
  lines.push('}', 'ESMTP_Listener {')
  inside(given.listener, 'listener')
  peerStanzas(given.listenerPeers, 'listener')
  given.listens.forEach((listen, index) => {
    lines.push(`Listen "${instances[index] ?? ''}" {`)
    inside(listen, `listen ${index}`)
    peerStanzas(listen.peers, `listen ${index}`)
    lines.push('}')
  })
  lines.push('}')
  return { text: lines.join('\n'), lineOf }
}

function parsed(text: string): unknown {
  const words = text
    .replace(/^[[(]|[\])]$/g, '')
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '')
  if (text.startsWith('(')) return words
  if (text.startsWith('['))
    return Object.fromEntries([...text.matchAll(/(\w+) = (\w+)/g)].map(([, k, v]) => [k, v]))
  return text
}

/** An effective value in the words of the configuration. */
function shown(options: InboundValues, name: Name): unknown {
  if (name === 'tls_verify_mode') return options.tls_verify_mode ?? 'optional'
  if (name === 'relay_hosts') return options.relay_hosts.map(({ text }) => text)
  const value = options[name]
  return typeof value === 'number' ? String(value) : value
}

const unset: Readonly<Record<Name, unknown>> = {
  tls_verify_mode: 'optional',
  idle_time: '300',
  max_recipients_per_connection: '0',
  relay_hosts: [],
  relay_domains: [],
  context: {},
}
