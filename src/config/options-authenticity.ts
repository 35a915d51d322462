/**
 * The options of spf_v1, opendkim with its dkim_domain, openarc and dmarc (Momentum: modules/spf, modules/opendkim,
 * modules/openarc; validate, timeout and the stanza dmarc are extensions).
 */

import { bool, type Codec, count, filePath, listWhere, oneOf, scalar } from './codec.ts'
import type { OptionTable, ScopeName } from './option-row.ts'
import type { CheckSettings, OpendkimSettings, SigningValues, SpfSettings } from './settings-authenticity.ts'

const spfV1: readonly ScopeName[] = ['spf_v1']
const opendkim: readonly ScopeName[] = ['opendkim']
const signing: readonly ScopeName[] = ['opendkim', 'dkim_domain']
const domainOnly: readonly ScopeName[] = ['dkim_domain']

const timeout = count('a number of seconds', { min: 1, max: 120 })

const dnsName: Codec<string> = scalar('a domain (an international one in its xn-- form)', (text) =>
  isDnsName(text.toLowerCase()) ? text.toLowerCase() : undefined,
)

/** @param name in lower case */
export function isDnsName(name: string): boolean {
  return name.length <= 253 && /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}$/.test(name)
}

const selector: Codec<string> = scalar('a selector: letters, digits, "-", "_" and "."', (text) =>
  text.length <= 190 &&
  /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/i.test(text)
    ? text.toLowerCase()
    : undefined,
)

const contextKey: Codec<string> = scalar('the key of a context, without blanks', (text) =>
  /^[!-~]{1,100}$/.test(text) ? text : undefined,
)

const listsOfNames = listWhere<readonly string[]>((item, context) => {
  // one text may hold several names (modules/opendkim)
  const names = item.text.split(/[\s,:]+/).filter((name) => name !== '')
  return names.every((name) => /^[!-9;-~]{1,76}$/.test(name))
    ? { value: names.map((name) => name.toLowerCase()) }
    : context.error('is a list of names of header fields', item.at)
})

const headerNames: Codec<readonly string[]> = (value, context) => {
  const lists = listsOfNames(value, context)
  return lists && { value: Object.freeze(lists.value.flat()) }
}

/** RFC 8301 §3.1: SHA-1 is not to be used for signing. */
const digest: Codec<'rsa-sha256' | 'ed25519-sha256'> = (value, context) =>
  value.kind === 'scalar' && value.text.toLowerCase() === 'rsa-sha1'
    ? context.error('rsa-sha1 is refused by every verifier of today (RFC 8301): write "rsa-sha256"', value.at)
    : oneOf(['rsa-sha256', 'ed25519-sha256'])(value, context)

const never: Codec<false> = (value, context) => {
  const said = bool(value, context)
  return said?.value === true
    ? context.error('is "false": whoever gets such a message could add to its body', value.at)
    : said && { value: false }
}

const canon = oneOf(['simple', 'relaxed'])

export const spfOptions: OptionTable<Omit<SpfSettings, 'name' | 'at'>> = {
  context_variable: { codec: contextKey, default: 'spf_status', scopes: spfV1 },
  add_headers: { codec: bool, default: true, scopes: spfV1 },
  add_authentication_results: { codec: bool, default: true, scopes: spfV1 },
  timeout: { codec: timeout, default: 20, scopes: spfV1 },
}

export const opendkimOptions: OptionTable<Pick<OpendkimSettings, 'validate' | 'timeout'>> = {
  validate: { codec: bool, default: false, scopes: opendkim },
  timeout: { codec: timeout, default: 20, scopes: opendkim },
}

export const signingOptions: OptionTable<SigningValues> = {
  base_domain: { codec: dnsName, default: undefined, scopes: domainOnly },
  selector: { codec: selector, default: undefined, scopes: signing },
  key: { codec: filePath, default: undefined, scopes: signing },
  digest: { codec: digest, default: undefined, scopes: signing },
  header_canon: { codec: canon, default: 'relaxed', scopes: signing },
  body_canon: { codec: canon, default: 'relaxed', scopes: signing },
  headerlist: {
    codec: headerNames,
    default: Object.freeze(
      'from sender reply-to subject date message-id to cc mime-version content-type content-transfer-encoding in-reply-to references list-id list-unsubscribe list-unsubscribe-post'.split(
        ' ',
      ),
    ),
    scopes: opendkim,
  },
  oversign_headerlist: {
    codec: headerNames,
    default: Object.freeze(['from', 'subject', 'date', 'to', 'cc']),
    scopes: opendkim,
  },
  skip_headerlist: { codec: headerNames, default: Object.freeze([]), scopes: opendkim },
  lifetime: { codec: count('a whole number of hours', { max: 87_600 }), default: 0, scopes: opendkim },
  sign_condition: { codec: contextKey, default: 'can_relay', scopes: signing },
  body_length_limit: { codec: never, default: false, scopes: signing },
}

export const openarcOptions: OptionTable<Pick<CheckSettings, 'validate'>> = {
  validate: { codec: bool, default: false, scopes: ['openarc'] },
}

export const dmarcOptions: OptionTable<Pick<CheckSettings, 'validate'>> = {
  validate: { codec: bool, default: true, scopes: ['dmarc'] },
}
