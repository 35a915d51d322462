/**
 * A message in the form in which a host takes it (Momentum: config/ref-send-8-bitmime, ref-transform-8-bitmime-content; RFC
 * 6152 §3, RFC 6531 §3.2).
 *
 * A host without SMTPUTF8 gets what can do without it; one without 8BITMIME gets eight-bit parts encoded, or as
 * Transform_8bitmime_content says. What fits neither way is a failure for good, before MAIL is said. A message is held in
 * memory while it is converted and sent: one of more than 16 MiB is not converted, and all of them together have a bound;
 * when that is reached the next one waits.
 */

import type { OutboundValues } from '../config/settings.ts'
import { isInternational } from '../mail/address.ts'
import type { Envelope } from '../mail/envelope.ts'
import { HeaderBlock } from '../mail/headers.ts'
import { parseMime, walkMime } from '../mail/mime.ts'
import { stripEighthBit, toSevenBit } from '../mail/seven-bit.ts'
import { isNonAscii } from '../mail/utf8.ts'
import type { StoredContent } from '../spool/spool.ts'
import type { Extensions } from './smtp-client.ts'
import { type Failure, needsSmtpUtf8, unsuitable } from './smtp-envelope.ts'

export interface OutgoingJob {
  /** of all recipients: they have sender, body type and SMTPUTF8 in common */
  readonly envelope: Envelope
  /** whether one of them can only be written with UTF-8 */
  readonly internationalRecipient: boolean
  readonly content: StoredContent
  readonly extensions: Extensions
  readonly options: Pick<OutboundValues, 'send_8bitmime' | 'transform_8bitmime_content'>
}

export interface Outgoing {
  readonly kind: 'fits'
  readonly content: StoredContent
  /** BODY=8BITMIME is to be said */
  readonly eightBit: boolean
  /** SMTPUTF8 is to be said */
  readonly utf8: boolean
  /** Lets go of the memory. */
  leave(): void
}

export type Fit = Outgoing | { readonly kind: 'unfit'; readonly failure: Failure } | { readonly kind: 'busy' }

/** octets of a message that is looked into */
const MAX_MESSAGE = 16 * 1024 * 1024
/** octets of all messages that are held for it at one time; each counts thrice */
const MAX_HELD = 128 * 1024 * 1024

/** The memory that conversions share. */
export class Conversions {
  #held = 0

  /** undefined: there is none now. One message always fits. */
  take(octets: number): (() => void) | undefined {
    if (this.#held > 0 && this.#held + octets > MAX_HELD) return undefined
    this.#held += octets
    return () => {
      this.#held -= octets
    }
  }
}

export async function fitToHost(job: OutgoingJob, conversions: Conversions): Promise<Fit> {
  const { envelope, content, extensions, options } = job
  const offersUtf8 = extensions.has('SMTPUTF8')
  const declared = envelope.smtpUtf8 === true
  const fits = { kind: 'fits', content, leave: () => undefined } as const
  const utf8 = offersUtf8 && (declared || needsUtf8Address(job))
  if (!offersUtf8 && envelope.sender !== undefined && isInternational(envelope.sender)) {
    return { kind: 'unfit', failure: needsSmtpUtf8 }
  }
  const mustBePlain = declared && !offersUtf8
  if (mustBePlain && isNonAscii(latin1(content.header))) return { kind: 'unfit', failure: utf8Header }
  if (envelope.bodyType !== '8BITMIME') return { ...fits, eightBit: false, utf8 }
  const { send_8bitmime: send, transform_8bitmime_content: how } = options
  const takesEight = extensions.has('8BITMIME')
  const converts = !takesEight && how !== 'no'
  if (!converts && !mustBePlain) return { ...fits, eightBit: takesEight && send === 'ifavailable', utf8 }
  const size = content.header.length + content.bodySize
  if (size > MAX_MESSAGE) return { kind: 'unfit', failure: converts ? needs8BitMime : utf8Header }
  const leave = conversions.take(3 * size)
  if (leave === undefined) return { kind: 'busy' }
  try {
    const made = convert(latin1(content.header), await bodyOf(content), { mustBePlain, converts, how })
    if ('kind' in made) {
      leave()
      return { kind: 'unfit', failure: made }
    }
    const eightBit = takesEight && send === 'ifavailable'
    return { kind: 'fits', content: made, eightBit, utf8, leave }
  } catch (error) {
    leave()
    throw error
  }
}

function needsUtf8Address({ envelope: { sender }, internationalRecipient }: OutgoingJob): boolean {
  return internationalRecipient || (sender !== undefined && isInternational(sender))
}

function convert(
  header: string,
  body: string,
  {
    mustBePlain,
    converts,
    how,
  }: {
    readonly mustBePlain: boolean
    readonly converts: boolean
    readonly how: OutboundValues['transform_8bitmime_content']
  },
): StoredContent | Failure {
  if (mustBePlain) {
    const parts = walkMime(parseMime(new HeaderBlock(header), body))
    for (const { headers } of parts) {
      if (isNonAscii(headers.toBytes().toString('latin1'))) return utf8Header
    }
  }
  if (!converts) return contentOf(header, body)
  if (how === 'strip') return contentOf(stripEighthBit(header), stripEighthBit(body))
  const made = toSevenBit(header, body)
  return made === undefined ? needs8BitMime : contentOf(made.header, made.body)
}

function contentOf(header: string, body: string): StoredContent {
  const bytes = Buffer.from(body, 'latin1')
  return {
    header: Buffer.from(header, 'latin1'),
    bodySize: bytes.length,
    async *body() {
      yield await Promise.resolve(bytes)
    },
  }
}

async function bodyOf(content: StoredContent): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of content.body()) chunks.push(Uint8Array.from(chunk))
  return Buffer.concat(chunks).toString('latin1')
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** Momentum: message-responses */
const needs8BitMime = unsuitable(
  '554 5.6.3 [internal] Conversion of 8BITMIME content required, but not supported',
)
const utf8Header = unsuitable(
  '554 5.6.9 [internal] The header cannot be sent without SMTPUTF8, which the remote host does not offer',
)
