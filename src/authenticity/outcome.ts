/**
 * What the checks of a message's origin came to, and how that is said in Authentication-Results (RFC 8601).
 *
 * Names of domains and selectors come from the client. One that is not made of the characters of a host name is left
 * out wherever a result is told: no octet of a client's stands in a header, a log or a context unless it is one of these.
 */

/** RFC 8601 §2.7.2 */
export type SpfResult = 'pass' | 'fail' | 'softfail' | 'neutral' | 'none' | 'temperror' | 'permerror'

export interface SpfOutcome {
  /** RFC 7208 §2.4; of the HELO identity where the sender is `<>` */
  readonly result: SpfResult
  readonly identity: 'mailfrom' | 'helo'
  /** the domain of that identity; undefined for one that cannot be told */
  readonly domain: string | undefined
  /** of the name in HELO or EHLO (RFC 7208 §2.3) */
  readonly helo: { readonly result: SpfResult; readonly domain: string | undefined }
}

/** RFC 8601 §2.7.1 */
export type DkimResult = 'pass' | 'fail' | 'policy' | 'neutral' | 'temperror' | 'permerror'

/** One signature. */
export interface DkimSignature {
  readonly result: DkimResult
  /** one of a few words of ours, where there is something to say */
  readonly reason: string | undefined
  /** d=, s=, a=, the start of b=; undefined for what cannot be told */
  readonly domain: string | undefined
  readonly selector: string | undefined
  readonly algorithm: string | undefined
  readonly start: string | undefined
  /** of the key, where it was found */
  readonly keyBits: number | undefined
  /** i= */
  readonly identity: string | undefined
  readonly canonicalization: string | undefined
  /** the fields that it covers, in lower case; undefined for what cannot be told */
  readonly headers: readonly string[] | undefined
}

export interface DkimOutcome {
  /** the best of all: one that passes is enough (RFC 6376 §6.1) */
  readonly result: DkimResult | 'none'
  readonly signatures: readonly DkimSignature[]
}

export type DmarcPolicy = 'none' | 'quarantine' | 'reject'

export interface DmarcOutcome {
  /** permerror: the From field does not name one author's domain */
  readonly result: 'pass' | 'fail' | 'none' | 'temperror' | 'permerror'
  /** what the domain asks for when a message does not pass; undefined where it publishes nothing */
  readonly policy: DmarcPolicy | undefined
  /** of the author */
  readonly domain: string | undefined
}

export interface ArcOutcome {
  readonly result: 'none' | 'pass' | 'fail'
  /** of the newest set */
  readonly instance: number | undefined
}

export interface MessageOutcome {
  readonly dkim?: DkimOutcome
  readonly dmarc?: DmarcOutcome
  readonly arc?: ArcOutcome
}

/** What was found out about the message under way. */
export interface Origin {
  readonly spf?: SpfOutcome
  readonly message?: MessageOutcome
}

/** A name that can be told anywhere: a domain, a selector, in lower case. */
export function tellable(name: unknown): string | undefined {
  if (typeof name !== 'string' || name.length > 253) return undefined
  return /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?$/i.test(name) ? name.toLowerCase() : undefined
}

export function spfStatement({ result, identity, domain, helo }: SpfOutcome): string[] {
  const own = said(result, identity, domain)
  return identity === 'helo' ? [own] : [own, said(helo.result, 'helo', helo.domain)]
}

function said(what: SpfResult, property: string, name: string | undefined): string {
  return name === undefined ? `spf=${what}` : `spf=${what} smtp.${property}=${name}`
}

export function dkimStatements({ signatures }: DkimOutcome): string[] {
  if (signatures.length === 0) return ['dkim=none']
  return signatures.map(({ result, reason, domain, selector, algorithm, start }) =>
    [
      `dkim=${result}`,
      ...(reason === undefined ? [] : [`reason="${reason}"`]),
      ...(domain === undefined ? [] : [`header.d=${domain}`]),
      ...(selector === undefined ? [] : [`header.s=${selector}`]),
      ...(algorithm === undefined ? [] : [`header.a=${algorithm}`]),
      ...(start === undefined ? [] : [`header.b="${start}"`]),
    ].join(' '),
  )
}

export function dmarcStatement({ result, policy, domain }: DmarcOutcome): string {
  const asked = policy === undefined ? '' : ` (p=${policy})`
  return `dmarc=${result}${asked}${domain === undefined ? '' : ` header.from=${domain}`}`
}

export function arcStatement({ result, instance }: ArcOutcome): string {
  return `arc=${result}${instance === undefined ? '' : ` (i=${instance})`}`
}

/** The value of Received-SPF (RFC 7208 §9.1). */
export function receivedSpf(
  { result, identity, domain, helo }: SpfOutcome,
  about: { readonly address: string; readonly hostname: string; readonly local: string | undefined },
): string {
  const { address, hostname, local } = about
  const plain = local !== undefined && /^[\w+=-]+(?:\.[\w+=-]+)*$/.test(local) && local.length <= 64
  const pairs = [
    ...(/^[0-9a-f:.]+$/i.test(address)
      ? [`client-ip=${address.includes(':') ? `"${address}"` : address}`]
      : []),
    ...(identity === 'mailfrom' && plain && domain !== undefined
      ? [`envelope-from="${local}@${domain}"`]
      : []),
    ...(helo.domain === undefined ? [] : [`helo=${helo.domain}`]),
    ...(tellable(hostname) === undefined ? [] : [`receiver=${hostname}`]),
    `identity=${identity}`,
  ]
  return `${result} ${pairs.join(';\r\n')}`
}
