/**
 * Questions to the DNS as octets, and what a reply to one of them says (RFC 1035, RFC 6891, RFC 2308, RFC 6840 §5.7).
 *
 * A reply counts only when its id, opcode, class and question are those that were sent; anything else is told as
 * `not-ours` and decides nothing. What does not parse is treated the same. The mixed case of the question (0x20) has to
 * come back as it went. Records of other names, classes and types are not looked at; CNAMEs are followed inside the
 * reply. Nothing here is trusted with more than it holds: names are checked before they are used as names.
 */

import type { Answer, Question as PacketQuestion } from 'dns-packet'
import { AUTHENTIC_DATA, decode, encode, RECURSION_DESIRED } from 'dns-packet'

export interface MxData {
  readonly preference: number
  /** lower case, without the final dot; '' is the root of a null MX (RFC 7505) */
  readonly exchange: string
}

export interface TlsaData {
  readonly usage: number
  readonly selector: number
  readonly matchingType: number
  readonly data: Uint8Array
}

/** What a record of each type holds. Names are in lower case, TXT is a byte string of all its parts. */
export interface RecordData {
  readonly A: string
  readonly AAAA: string
  readonly MX: MxData
  readonly TXT: string
  readonly PTR: string
  readonly NS: string
  readonly TLSA: TlsaData
  readonly CNAME: string
}

export type QueryType = keyof RecordData

const QUERY_TYPES: readonly string[] = [
  'A',
  'AAAA',
  'MX',
  'TXT',
  'PTR',
  'NS',
  'TLSA',
  'CNAME',
] satisfies readonly QueryType[]

export function isQueryType(text: string): text is QueryType {
  return QUERY_TYPES.includes(text)
}

export interface Question {
  /** `isDnsName` */
  readonly name: string
  readonly type: QueryType
}

/** A question as it was put: the reply has to repeat it. */
export interface Query {
  readonly id: number
  readonly type: QueryType
  /** in mixed case */
  readonly name: string
  readonly edns: boolean
}

export interface DnsAnswer<T extends QueryType> {
  /** `no-data`: the name exists, without records of this type; `no-name`: NXDOMAIN */
  readonly kind: 'found' | 'no-data' | 'no-name'
  /** at least one when found, in the server's order */
  readonly records: readonly RecordData[T][]
  /** whose records they are: what was asked for, or where its aliases lead; in lower case */
  readonly owner: string
  /** aliases that lead from what was asked for to `owner`; absent: none */
  readonly aliases?: number
  /** the server says that it has validated the answer (AD); worth what the way to the server is worth */
  readonly authentic: boolean
  /** seconds for which the answer may be kept; 0 = not at all */
  readonly ttl: number
}

export type Reply =
  | { readonly kind: 'answer'; readonly answer: DnsAnswer<QueryType> }
  /** not an answer to this question: wait for the right one */
  | { readonly kind: 'not-ours' }
  /** the same question has to be put over TCP */
  | { readonly kind: 'use-tcp' }
  /** the server does not know EDNS */
  | { readonly kind: 'no-edns' }
  /** this server does not answer the question */
  | { readonly kind: 'failed'; readonly reason: string }

/** what a datagram may hold without being fragmented anywhere (DNS flag day 2020) */
const UDP_PAYLOAD = 1232
const MAX_RECORDS = 200
const MAX_CNAMES = 16
const MAX_POSITIVE_TTL = 86_400
/** RFC 2308 §5 */
const MAX_NEGATIVE_TTL = 10_800

/** Whether a text can be asked for: labels of 1 to 63 octets, 253 in all, letters, digits, `-` and `_`. */
export function isDnsName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/i.test(text)
}

/** @param random octets that decide the case of each letter, one for each character */
export function mixCase(name: string, random: Uint8Array): string {
  return Array.from(name.toLowerCase())
    .map((char, index) => ((random[index] ?? 0) % 2 === 1 ? char.toUpperCase() : char))
    .join('')
}

export function encodeQuery(query: Query): Buffer {
  return encode({
    type: 'query',
    id: query.id,
    // AD in a question asks for AD in the answer (RFC 6840 §5.7), without the signatures that DO would bring
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ type: query.type, name: query.name, class: 'IN' }],
    additionals: query.edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: UDP_PAYLOAD,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  })
}

/**
 * What the octets that came from a server mean for this question. Never throws.
 * @param over tcp: nobody else can have answered, so the case of the name does not matter
 */
export function readReply(bytes: Buffer, query: Query, over: 'udp' | 'tcp'): Reply {
  let packet: ReturnType<typeof decode>
  try {
    packet = decode(bytes)
  } catch {
    return over === 'udp' ? readHeaderOnly(bytes, query) : { kind: 'failed', reason: 'MALFORMED' }
  }
  if (packet.type !== 'response' || packet.id !== query.id) return NOT_OURS
  const flags = packet.flags ?? 0
  if (((flags >> 11) & 15) !== 0) return NOT_OURS
  const rcode = rcodes[flags & 15] ?? `RCODE ${flags & 15}`
  const { questions = [] } = packet
  // a server that does not understand EDNS may answer without repeating the question
  const bare = questions.length === 0
  if (bare && query.edns && (rcode === 'FORMERR' || rcode === 'NOTIMP')) return { kind: 'no-edns' }
  if (!isQuestion(questions, query)) return NOT_OURS
  if (over === 'tcp' && packet.flag_tc) return { kind: 'failed', reason: 'TRUNCATED' }
  if (over === 'udp' && (packet.flag_tc || questions[0]?.name !== query.name)) return { kind: 'use-tcp' }
  if (query.edns && (rcode === 'FORMERR' || rcode === 'NOTIMP')) return { kind: 'no-edns' }
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') return { kind: 'failed', reason: rcode }
  return {
    kind: 'answer',
    answer: {
      authentic: packet.flag_ad,
      ...readAnswer(query, packet.answers ?? [], packet.authorities ?? [], rcode),
    },
  }
}

/** A truncated datagram may end inside a record. Only its header and question are read then. */
function readHeaderOnly(bytes: Buffer, query: Query): Reply {
  if (bytes.length < 12 || bytes.readUInt16BE(0) !== query.id) return NOT_OURS
  const flags = bytes.readUInt16BE(2)
  const truncatedReply = (flags & 0xfa00) === 0x8200
  return truncatedReply && bytes.readUInt16BE(4) === 1 ? { kind: 'use-tcp' } : NOT_OURS
}

/** RFC 1035 §4.1.1 */
const rcodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED']

const NOT_OURS = { kind: 'not-ours' } as const

function isQuestion(questions: readonly PacketQuestion[], query: Query): boolean {
  const [question, ...more] = questions
  return (
    question !== undefined &&
    more.length === 0 &&
    question.type === query.type &&
    question.class === 'IN' &&
    sameName(question.name, query.name)
  )
}

function readAnswer(
  query: Query,
  answers: readonly Answer[],
  authorities: readonly Answer[],
  rcode: string,
): Omit<DnsAnswer<QueryType>, 'authentic'> {
  let name = query.name
  let ttl = MAX_POSITIVE_TTL
  for (let aliases = 0; aliases < MAX_CNAMES; aliases++) {
    const owned = answers.filter((answer) => isRecord(answer) && sameName(answer.name, name))
    const records = owned.filter(({ type }) => type === query.type)
    if (records.length > 0 && rcode === 'NOERROR') {
      const data = records.slice(0, MAX_RECORDS).flatMap((record) => dataOf(record))
      ttl = Math.min(ttl, ...records.map(ttlOf))
      return data.length > 0
        ? { kind: 'found', records: data, owner: plainName(name), aliases, ttl }
        : { kind: 'no-data', records: [], owner: plainName(name), ttl: 0 }
    }
    const alias = owned.find(({ type }) => type === 'CNAME')
    if (alias?.type !== 'CNAME') break
    ttl = Math.min(ttl, ttlOf(alias))
    name = alias.data
  }
  const kind = rcode === 'NXDOMAIN' ? 'no-name' : 'no-data'
  return { kind, records: [], owner: plainName(name), ttl: Math.min(ttl, negativeTtl(authorities)) }
}

/** The lesser of the SOA's own TTL and its MINIMUM; without an SOA nothing is kept (RFC 2308 §5). */
function negativeTtl(authorities: readonly Answer[]): number {
  const soa = authorities.find((record) => record.type === 'SOA')
  if (soa?.type !== 'SOA') return 0
  return Math.min(ttlOf(soa), soa.data.minimum ?? 0, MAX_NEGATIVE_TTL)
}

function isRecord(answer: Answer): boolean {
  return answer.type !== 'OPT' && 'class' in answer && answer.class === 'IN'
}

/** RFC 2181 §8: a TTL with its highest bit set is 0 */
function ttlOf(answer: Answer): number {
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0
  return ttl >= 2 ** 31 ? 0 : ttl
}

/** Nothing for a record whose content cannot be used. */
function dataOf(record: Answer): RecordData[QueryType][] {
  switch (record.type) {
    case 'A':
    case 'AAAA':
      return [record.data]
    case 'PTR':
    case 'NS':
    case 'CNAME':
      return [plainName(record.data)]
    case 'MX': {
      const exchange = plainName(record.data.exchange)
      const usable = exchange === '' || isDnsName(exchange)
      return usable ? [{ preference: record.data.preference ?? 0, exchange }] : []
    }
    case 'TXT': {
      const parts = Array.isArray(record.data) ? record.data : [record.data]
      return [parts.map((part) => (typeof part === 'string' ? part : part.toString('latin1'))).join('')]
    }
    case 'TLSA': {
      const { usage, selector, matchingType, certificate } = record.data
      return [{ usage, selector, matchingType, data: certificate }]
    }
    default:
      return []
  }
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

function sameName(a: string, b: string): boolean {
  return plainName(a) === plainName(b)
}
