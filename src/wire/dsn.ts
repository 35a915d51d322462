/**
 * The parameters of RFC 3461 and RFC 6533 in MAIL and RCPT: RET, ENVID, NOTIFY, ORCPT, read and written. undefined is a
 * value that the grammar does not allow; nothing is repaired.
 */

import type { DsnRequest, NotifyWhen } from '../mail/envelope.ts'
import { decodeUtf8Address, encodeUtf8Address, isNonAscii } from '../mail/utf8.ts'
import { decodeXtext, encodeXtext } from './xtext.ts'

/** RFC 3461 §4.4 and §4.2: characters as written */
const MAX_ENVID = 100
const MAX_ORCPT = 500

export type OriginalRecipient = NonNullable<DsnRequest['originalRecipient']>

export function parseRet(value: string | undefined): DsnRequest['ret'] {
  const how = value?.toUpperCase()
  return how === 'FULL' || how === 'HDRS' ? how : undefined
}

export function parseEnvid(value: string | undefined): string | undefined {
  if (value === undefined || value.length > MAX_ENVID) return undefined
  const envid = decodeXtext(value)
  return envid !== undefined && /^[ -~]+$/.test(envid) ? envid : undefined
}

/** NEVER stands alone; the other words may come once each, in any order. */
export function parseNotify(value: string | undefined): DsnRequest['notify'] {
  if (value === undefined) return undefined
  const words = value.toUpperCase().split(',')
  if (words.length === 1 && words[0] === 'NEVER') return 'NEVER'
  const known = NOTIFY_WORDS.filter((word) => words.includes(word))
  return known.length === words.length ? known : undefined
}

/** @param utf8 whether the value may hold UTF-8 as it is: in a transaction with SMTPUTF8 */
export function parseOrcpt(value: string | undefined, utf8: boolean): OriginalRecipient | undefined {
  if (value === undefined || value.length > MAX_ORCPT || (!utf8 && isNonAscii(value))) return undefined
  const [, word, written] = /^([A-Za-z0-9-]{1,64});([^]+)$/.exec(value) ?? []
  if (word === undefined || written === undefined) return undefined
  const type = word.toLowerCase()
  const address = type === 'utf-8' ? decodeUtf8Address(written) : decodeXtext(written)
  if (address === undefined || address === '') return undefined
  return type === 'utf-8' || /^[ -~]+$/.test(address) ? { type, address } : undefined
}

/** What MAIL says to a host that offers DSN, with the blank before it; '' when nothing was asked. */
export function formatMailDsn({ ret, envid }: DsnRequest): string {
  return `${ret === undefined ? '' : ` RET=${ret}`}${envid === undefined ? '' : ` ENVID=${encodeXtext(envid)}`}`
}

/** The same for RCPT. It is ASCII, whatever the address is. */
export function formatRcptDsn({ notify, originalRecipient }: DsnRequest): string {
  const words =
    notify === undefined ? '' : ` NOTIFY=${typeof notify === 'string' ? notify : notify.join(',')}`
  if (originalRecipient === undefined) return words
  const { type, address } = originalRecipient
  const written = type === 'utf-8' ? encodeUtf8Address(address) : encodeXtext(address)
  return `${words} ORCPT=${type};${written}`
}

const NOTIFY_WORDS: readonly NotifyWhen[] = ['SUCCESS', 'FAILURE', 'DELAY']
