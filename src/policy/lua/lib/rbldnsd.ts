/**
 * Files of rbldnsd's ip4set and ip6trie kinds as Momentum reads them (lua/ref-msys-cidr-define): one address, block or
 * IPv4 range on a line, then `:A:TXT`. Before the colon of an IPv6 entry there is a blank.
 */

import { parseAddress, parseCidr } from '../../../config/address.ts'
import { CidrTrie } from '../../../config/cidr-trie.ts'
import type { Cidr } from '../../../config/settings.ts'

export interface BlockEntry {
  readonly a: string
  readonly txt: string
  /** `!` entries take an address out of a wider block */
  readonly excluded: boolean
}

export interface BlockList {
  readonly trie: CidrTrie<BlockEntry>
  readonly entries: number
  /** numbers of lines that could not be read */
  readonly bad: readonly number[]
}

const maxEntries = 2_000_000
const maxBadShown = 10
const usualA = '127.0.0.2'

export function parseBlockList(text: string): BlockList {
  const trie = new CidrTrie<BlockEntry>()
  const bad: number[] = []
  let entries = 0
  let otherwise = { a: usualA, txt: '' }
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    // $SOA, $NS and so on are for a name server; `$0 …` defines a text that nobody here asks for
    if (line === '' || line.startsWith('#') || line.startsWith(';') || line.startsWith('$')) continue
    if (line.startsWith(':')) {
      otherwise = readValue(line, otherwise)
      continue
    }
    const blocks = readBlocks(line)
    if (blocks === undefined || entries + blocks.cidrs.length > maxEntries) {
      if (bad.length < maxBadShown) bad.push(index + 1)
      continue
    }
    const entry = { ...readValue(blocks.rest, otherwise), excluded: blocks.excluded }
    for (const cidr of blocks.cidrs) trie.add(cidr, entry)
    entries += blocks.cidrs.length
  }
  return { trie, entries, bad }
}

type Value = Pick<BlockEntry, 'a' | 'txt'>

/** `:A:TXT`, `:A`, or a text alone. An A of one number stands for its last octet. */
function readValue(text: string, otherwise: Value): Value {
  if (text === '') return otherwise
  if (!text.startsWith(':')) return { a: otherwise.a, txt: text }
  const colon = text.indexOf(':', 1)
  const a = (colon < 0 ? text.slice(1) : text.slice(1, colon)).trim()
  const txt = colon < 0 ? otherwise.txt : text.slice(colon + 1).trim()
  return { a: a === '' ? otherwise.a : /^\d{1,3}$/.test(a) ? `127.0.0.${a}` : a, txt }
}

interface Blocks {
  readonly cidrs: readonly Cidr[]
  readonly excluded: boolean
  readonly rest: string
}

function readBlocks(line: string): Blocks | undefined {
  const excluded = line.startsWith('!')
  const body = excluded ? line.slice(1).trimStart() : line
  const v4 =
    /^(?<first>\d{1,3}(?:\.\d{1,3}){0,3})(?:\/(?<prefix>\d{1,2})|-(?<last>\d{1,3}(?:\.\d{1,3}){0,3}))?(?=[\s:]|$)/.exec(
      body,
    )
  if (v4 !== null && !isIpv6(body)) {
    const cidrs = blocksOfIpv4(v4.groups ?? {})
    return cidrs && { cidrs, excluded, rest: body.slice(v4[0].length).trim() }
  }
  const word = body.split(/\s/, 1)[0] ?? ''
  const cidr = word.includes(':') ? parseCidr(word) : undefined
  return cidr && { cidrs: [cidr], excluded, rest: body.slice(word.length).trim() }
}

/** `1111::0 :2:text` also begins like an IPv4 entry. */
function isIpv6(body: string): boolean {
  const word = body.split(/\s/, 1)[0] ?? ''
  return parseCidr(word)?.family === 6
}

function blocksOfIpv4(groups: Readonly<Record<string, string | undefined>>): readonly Cidr[] | undefined {
  const { first = '', prefix, last } = groups
  const octets = first.split('.')
  const padded = [...octets, '0', '0', '0'].slice(0, 4).join('.')
  if (last !== undefined) return range(padded, lastOf(octets, last))
  const cidr = parseCidr(`${padded}/${prefix ?? octets.length * 8}`)
  return cidr && [cidr]
}

/** `10.0.0.1-9` and `10.0.0.1-10.0.0.9`: a short end replaces the last octets of the start. */
function lastOf(first: readonly string[], last: string): string {
  const octets = last.split('.')
  const whole =
    octets.length < first.length ? [...first.slice(0, first.length - octets.length), ...octets] : octets
  return [...whole, '255', '255', '255'].slice(0, 4).join('.')
}

/** The fewest blocks from one IPv4 address to another. */
function range(first: string, last: string): readonly Cidr[] | undefined {
  const start = toNumber(first)
  const to = toNumber(last)
  if (start === undefined || to === undefined || start > to) return undefined
  let from = start
  const cidrs: Cidr[] = []
  while (from <= to) {
    let size = 1
    let prefix = 32
    while (prefix > 0 && from % (size * 2) === 0 && from + size * 2 - 1 <= to) {
      size *= 2
      prefix--
    }
    const text = [24, 16, 8, 0].map((shift) => Math.floor(from / 2 ** shift) % 256).join('.')
    const cidr = parseCidr(`${text}/${prefix}`)
    if (cidr === undefined) return undefined
    cidrs.push(cidr)
    from += size
  }
  return cidrs
}

function toNumber(text: string): number | undefined {
  const address = parseAddress(text)
  if (address?.family !== 4) return undefined
  return address.bytes.reduce((sum, octet) => sum * 256 + octet, 0)
}
