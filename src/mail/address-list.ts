/**
 * Addresses in a header field's value (RFC 5322 §3.4 with the obsolete forms of §4.4): mailboxes and groups, comments,
 * quoted strings, routes. Not the grammar of SMTP commands; that one is in `address.ts`.
 *
 * What cannot be read is left out, the rest is kept. All text is byte strings. One pass, linear.
 */

/** One address as it is written, without display name and comments. */
export interface ListedAddress {
  /** a quoted local part keeps its quotes */
  readonly local: string
  /** '' where there is none */
  readonly domain: string
}

interface Token {
  readonly kind: 'word' | 'special'
  readonly text: string
}

const maxAddresses = 10_000
const maxDepth = 100
const SPECIALS = '<>,:;@.'

export function parseAddressList(text: string): ListedAddress[] {
  const found: ListedAddress[] = []
  let entry: Token[] = []
  let bracketed = false
  // inside `<@one,@two:user@three>` a comma ends nothing
  let route = false
  const finish = (): void => {
    const address = readEntry(entry)
    if (address !== undefined && found.length < maxAddresses) found.push(address)
    entry = []
    bracketed = false
  }
  for (const token of tokens(text)) {
    const special = token.kind === 'special' ? token.text : ''
    if (special === '<') bracketed = true
    if ((special === ',' || special === ';') && !(bracketed && route)) finish()
    // the name of a group
    else if (special === ':' && !bracketed) entry = []
    else {
      if (isSpecial(entry.at(-1), '<') || special === '<') route = special === '@'
      entry.push(token)
      if (special === '>') bracketed = false
    }
  }
  finish()
  return found
}

function isSpecial(token: Token | undefined, text: string): boolean {
  return token?.kind === 'special' && token.text === text
}

function readEntry(entry: readonly Token[]): ListedAddress | undefined {
  const open = entry.findIndex((token) => isSpecial(token, '<'))
  if (open < 0) return readAddress(entry)
  const close = entry.findIndex((token, index) => index > open && isSpecial(token, '>'))
  // readers differ about which of two addresses is the one
  if (close >= 0 && close < entry.length - 1) return undefined
  const inner = entry.slice(open + 1, close < 0 ? entry.length : close)
  const colon = isSpecial(inner[0], '@') ? inner.findIndex((token) => isSpecial(token, ':')) : -1
  return readAddress(inner.slice(colon + 1))
}

/** addr-spec: words with dots, `@`, words with dots. */
function readAddress(parts: readonly Token[]): ListedAddress | undefined {
  const at = parts.findLastIndex(({ kind, text }) => kind === 'special' && text === '@')
  const local = readDotted(at < 0 ? parts : parts.slice(0, at))
  if (local === undefined) return undefined
  if (at < 0) return { local, domain: '' }
  const domain = readDotted(parts.slice(at + 1))
  return domain === undefined ? undefined : { local, domain }
}

function readDotted(parts: readonly Token[]): string | undefined {
  if (parts.length === 0) return undefined
  const fits = parts.every(({ kind, text }, index) =>
    index % 2 === 0 ? kind === 'word' : kind === 'special' && text === '.',
  )
  return fits && parts.length % 2 === 1 ? parts.map(({ text }) => text).join('') : undefined
}

function* tokens(text: string): Iterable<Token> {
  let at = 0
  while (at < text.length) {
    const c = text[at] ?? ''
    if (/\s/.test(c)) at++
    else if (c === '(') at = endOfComment(text, at)
    else if (SPECIALS.includes(c)) {
      yield { kind: 'special', text: c }
      at++
    } else {
      const end =
        c === '"' ? endOfQuoted(text, at, '"') : c === '[' ? endOfQuoted(text, at, ']') : endOfAtom(text, at)
      yield { kind: 'word', text: text.slice(at, end) }
      at = end
    }
  }
}

function endOfAtom(text: string, from: number): number {
  let at = from + 1
  while (at < text.length && !/[\s()"[\]<>,:;@.]/.test(text[at] ?? '')) at++
  return at
}

function endOfQuoted(text: string, from: number, close: string): number {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === close) return at + 1
  }
  return text.length
}

/** Comments nest; where they nest too deeply, or never end, the rest of the text is one. */
function endOfComment(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '(' && ++depth > maxDepth) return text.length
    else if (text[at] === ')' && --depth === 0) return at + 1
  }
  return text.length
}
