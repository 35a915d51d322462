/**
 * DKIM signatures (RFC 6376, RFC 8463) for mail of domains whose keys we have.
 *
 * mailauth puts the body into its canonical form; the header and the signature are made here, because its signer reads
 * the key anew for each message and cannot sign the absence of a field. Every occurrence of a field that is named is
 * signed, and those that are oversigned once more: another one that somebody adds breaks the signature. There is never
 * an `l=`. A message with anything but one author's address is not signed.
 */

import { createHash, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { dkimBody } from 'mailauth/lib/dkim/body/index.js'
import { parseDomain } from '../mail/address.ts'
import { parseAddressList } from '../mail/address-list.ts'
import { isNonAscii } from '../mail/utf8.ts'
import { boundedLines } from './lines.ts'

export type Canonicalization = 'simple' | 'relaxed'

export interface SigningKey {
  /** d= and s= */
  readonly domain: string
  readonly selector: string
  /** i=, which lies in the domain; absent: none is said */
  readonly identity?: string | undefined
  readonly key: KeyObject
  readonly headerCanon: Canonicalization
  readonly bodyCanon: Canonicalization
  /** names of fields that are signed, in lower case */
  readonly headers: readonly string[]
  /** those that are signed once more than they are there */
  readonly oversigned: readonly string[]
  /** seconds; 0 = for ever */
  readonly lifetime: number
}

/** A body's hash in each canonical form that somebody asked for, computed once. */
export class BodyHashes {
  readonly #body: () => AsyncIterable<Uint8Array>
  readonly #found = new Map<Canonicalization, Promise<string>>()

  constructor(body: () => AsyncIterable<Uint8Array>) {
    this.#body = body
  }

  /** @throws LongLineError, and what reading the body throws */
  of(form: Canonicalization): Promise<string> {
    const found = this.#found.get(form) ?? this.#compute(form)
    this.#found.set(form, found)
    return found
  }

  async #compute(form: Canonicalization): Promise<string> {
    const hash = dkimBody(form, 'sha256')
    for await (const chunk of boundedLines(this.#body())) {
      hash.update(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    }
    return hash.digest('base64')
  }
}

interface Field {
  /** lower case */
  readonly name: string
  readonly raw: string
}

/** more occurrences of fields than this, and the header is not one that is worth a signature */
const MAX_SIGNED = 200

/** The domain of the one address in the one From field, in lower case and ASCII; undefined where there is not just one. */
export function authorDomain(header: string): string | undefined {
  const [from, ...others] = splitFields(header).filter(({ name }) => name === 'from')
  if (from === undefined || others.length > 0) return undefined
  const [author, ...more] = parseAddressList(from.raw.slice(from.raw.indexOf(':') + 1))
  if (author === undefined || more.length > 0 || author.domain === '') return undefined
  const { domain } = author
  return isNonAscii(domain) ? parseDomain(domain, { utf8: true }) : domain.toLowerCase()
}

/**
 * The DKIM-Signature field for a header, with its line end.
 * @param header a byte string, with or without the empty line
 * @param now milliseconds since the epoch
 * @returns undefined for a header with too many of the fields that are to be signed
 * @throws what `BodyHashes.of` throws
 */
// oxlint-disable-next-line max-params -- header, body, key, time: what a signature is made of
export async function dkimSignature(
  header: string,
  bodies: BodyHashes,
  signing: SigningKey,
  now: number,
): Promise<string | undefined> {
  const { domain, selector, identity, key, headerCanon, bodyCanon, lifetime } = signing
  const chosen = chooseFields(splitFields(header), signing)
  if (chosen.names.length > MAX_SIGNED) return undefined
  const time = Math.floor(now / 1000)
  const algorithm = key.asymmetricKeyType === 'ed25519' ? 'ed25519-sha256' : 'rsa-sha256'
  const lines = [
    `v=1; a=${algorithm}; c=${headerCanon}/${bodyCanon};`,
    `d=${domain}; s=${selector};`,
    ...(identity === undefined ? [] : [`i=${identity};`]),
    `t=${time};${lifetime > 0 ? ` x=${time + lifetime};` : ''}`,
    ...foldNames(chosen.names),
    `bh=${await bodies.of(bodyCanon)};`,
    'b=',
  ]
  const unsigned = `DKIM-Signature: ${lines.join('\r\n\t')}`
  const signed = [...chosen.fields.map(({ raw }) => raw), unsigned]
  // RFC 6376 §3.7: the field itself comes last, without its line end
  const text = signed.map((raw) => canonical(raw, headerCanon)).join('\r\n')
  const bytes = await signatureOf(Buffer.from(text, 'latin1'), key)
  const folded = bytes.toString('base64').match(/.{1,72}/g) ?? []
  return `${unsigned}${folded.join('\r\n\t')}\r\n`
}

const signBytes = promisify<string | null, Uint8Array, KeyObject, Buffer>(sign)

/** RFC 8463 §3: Ed25519 signs the hash. In libuv's pool of threads: RSA takes a quarter of a millisecond. */
function signatureOf(bytes: Buffer, key: KeyObject): Promise<Buffer> {
  if (key.asymmetricKeyType === 'ed25519')
    return signBytes(null, createHash('sha256').update(bytes).digest(), key)
  return signBytes('sha256', bytes, key)
}

/** From the bottom up, as verifiers take them (RFC 6376 §5.4.2). */
function chooseFields(
  fields: readonly Field[],
  { headers, oversigned }: SigningKey,
): { readonly names: readonly string[]; readonly fields: readonly Field[] } {
  const names: string[] = []
  const chosen: Field[] = []
  for (const wanted of new Set([...headers, ...oversigned])) {
    for (const field of fields.toReversed()) {
      if (field.name !== wanted) continue
      names.push(wanted)
      chosen.push(field)
    }
    if (oversigned.includes(wanted)) names.push(wanted)
  }
  return { names, fields: chosen }
}

function foldNames(names: readonly string[]): string[] {
  const lines = ['h=']
  for (const [index, name] of names.entries()) {
    const last = lines.at(-1) ?? ''
    const piece = index === names.length - 1 ? `${name};` : `${name}:`
    if (last.length + piece.length > 74) lines.push(piece)
    else lines[lines.length - 1] = last + piece
  }
  return lines
}

/** RFC 6376 §3.4.1 and §3.4.2, without the line end. */
function canonical(raw: string, form: Canonicalization): string {
  const field = raw.replace(/\r?\n$/, '')
  if (form === 'simple') return field
  const colon = field.indexOf(':')
  const name = field
    .slice(0, colon)
    .replace(/[ \t]+$/, '')
    .toLowerCase()
  const value = field
    .slice(colon + 1)
    .replaceAll(/\r?\n/g, '')
    .replaceAll(/[ \t]+/g, ' ')
  return `${name}:${value.replace(/^ /, '').replace(/ $/, '')}`
}

/** A line that is no field belongs to the one above it, as it does for verifiers that read strictly or not at all. */
function splitFields(header: string): Field[] {
  const fields: { name: string; raw: string }[] = []
  for (const [line] of header.matchAll(/[^\n]*\n|[^\n]+$/g)) {
    if (line === '\r\n' || line === '\n') break
    const name = /^([!-9;-~]+)[ \t]*:/.exec(line)?.[1]
    const last = fields.at(-1)
    if (name !== undefined) fields.push({ name: name.toLowerCase(), raw: line })
    else if (last !== undefined) last.raw += line
  }
  return fields
}
