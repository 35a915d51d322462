/**
 * Command lines → verbs, paths and parameters (RFC 5321 §4.1.1 and §4.1.2).
 *
 * What the grammar does not allow is a `SyntaxProblem`, never a guess, with two exceptions: blanks after the colon of
 * `FROM:` and `TO:`, which many devices send, and runs of blanks between parameters. Nothing here knows which parameters
 * exist or what they mean.
 */

import { endOfLocalPart, MAX_DOMAIN, MAX_LOCAL_PART, parseDomain, parseLocalPart } from '../mail/address.ts'
import type { Mailbox } from '../mail/envelope.ts'

export interface SyntaxProblem {
  readonly kind: 'problem'
  readonly problem: 'syntax' | 'non-ascii' | 'too-long' | 'parameter'
  /** the parameter's text as far as it is presentable, for `parameter` */
  readonly parameter?: string
}

/** Keyword in upper case → value; undefined where the parameter has none. */
export type Parameters = ReadonlyMap<string, string | undefined>

export interface MailCommand {
  readonly kind: 'mail'
  /** undefined is `<>` */
  readonly sender: Mailbox | undefined
  readonly parameters: Parameters
}

export interface RcptCommand {
  readonly kind: 'rcpt'
  /** the domain is '' for `<postmaster>`, and for other names only where unqualified addresses are allowed */
  readonly recipient: Mailbox
  readonly parameters: Parameters
}

export interface CommandOptions {
  /** blanks inside the angle brackets and at the end of the line (allow_trailing_whitespace_in_commands) */
  readonly allowTrailingWhitespace?: boolean
  /** `<name>` without a domain (domain_for_unqualified_…): the mailbox comes back with the domain '' */
  readonly allowUnqualified?: boolean
  /** UTF-8 in addresses and values (RFC 6531): always, or where the command itself has the parameter SMTPUTF8 */
  readonly utf8?: 'always' | 'declared' | undefined
}

/**
 * Splits a line into its verb, in upper case, and the rest without the blanks before it. The verb is '' where the line
 * does not start with a word. Blanks alone are no arguments (RFC 5321 §4.1.1: tolerate white space before CRLF).
 */
export function parseCommand(line: string): { readonly verb: string; readonly args: string } {
  const blank = line.search(/[ \t]/)
  const word = blank < 0 ? line : line.slice(0, blank)
  if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(word)) return NO_COMMAND
  return { verb: word.toUpperCase(), args: blank < 0 ? '' : trimStart(line.slice(blank + 1)) }
}

const NO_COMMAND = { verb: '', args: '' } as const

/** What follows `MAIL `. */
export function parseMailCommand(args: string, options: CommandOptions = {}): MailCommand | SyntaxProblem {
  const parts = splitPath(args, 'FROM', options)
  if ('kind' in parts) return parts
  if (parts.path === '') return { kind: 'mail', sender: undefined, parameters: parts.parameters }
  const sender = parsePath(parts.path, parts.utf8)
  if ('kind' in sender) return sender
  if (sender.domain === '' && options.allowUnqualified !== true) return SYNTAX
  return { kind: 'mail', sender, parameters: parts.parameters }
}

/** What follows `RCPT `. `<postmaster>` needs no domain (RFC 5321 §4.5.1). */
export function parseRcptCommand(args: string, options: CommandOptions = {}): RcptCommand | SyntaxProblem {
  const parts = splitPath(args, 'TO', options)
  if ('kind' in parts) return parts
  const recipient = parsePath(parts.path, parts.utf8)
  if ('kind' in recipient) return recipient
  const mayLackDomain = options.allowUnqualified === true || recipient.local.toLowerCase() === 'postmaster'
  if (recipient.domain === '' && !mayLackDomain) return SYNTAX
  return { kind: 'rcpt', recipient, parameters: parts.parameters }
}

/**
 * The name in EHLO or HELO as the client wrote it: a domain or an address literal (RFC 5321 §4.1.1.1), with underscores, a
 * final dot and untagged literals let pass, because what it says is never believed. undefined is a syntax error.
 */
export function parseHello(args: string): string | undefined {
  const name = trimEnd(args)
  if (name.length > MAX_DOMAIN) return undefined
  const domain = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-]))*\.?$/
  return domain.test(name) || /^\[[A-Za-z0-9.:%_-]+\]$/.test(name) ? name : undefined
}

const SYNTAX: SyntaxProblem = { kind: 'problem', problem: 'syntax' }

/** `FROM:<path> parameters` → its two parts. */
function splitPath(
  args: string,
  keyword: 'FROM' | 'TO',
  options: CommandOptions,
): { readonly path: string; readonly parameters: Parameters; readonly utf8: boolean } | SyntaxProblem {
  const colon = keyword.length
  if (args.slice(0, colon).toUpperCase() !== keyword || args[colon] !== ':') return SYNTAX
  const text = trimStart(args.slice(colon + 1))
  const end = text.startsWith('<') ? endOfPath(text) : -1
  if (end < 0) return SYNTAX
  const tolerant = options.allowTrailingWhitespace === true
  const path = text.slice(1, end)
  const rest = text.slice(end + 1)
  const parameters = parseParameters(tolerant ? trimEnd(rest) : rest, options.utf8 !== undefined)
  const declared = !('kind' in parameters) && parameters.has('SMTPUTF8')
  const utf8 = options.utf8 === 'always' || (options.utf8 === 'declared' && declared)
  // of two problems, the address's is the one to name
  if (!utf8 && !isAscii(path)) return { kind: 'problem', problem: 'non-ascii' }
  if ('kind' in parameters) return parameters
  return { path: tolerant ? trimEnd(trimStart(path)) : path, parameters, utf8 }
}

/** The index of the `>` that closes a path; one inside a quoted string does not. */
function endOfPath(text: string): number {
  let quoted = false
  for (let i = 1; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted
    else if (quoted && text[i] === '\\') i++
    else if (!quoted && text[i] === '>') return i
  }
  return -1
}

/** The mailbox in a path without its angle brackets; its domain is '' where there is none. */
function parsePath(path: string, utf8: boolean): Mailbox | SyntaxProblem {
  const address = withoutRoute(path, utf8)
  if (address === undefined) return SYNTAX
  const at = endOfLocalPart(address)
  const domainText = address.slice(at + 1)
  if (at > MAX_LOCAL_PART || domainText.length > MAX_DOMAIN) return { kind: 'problem', problem: 'too-long' }
  const local = parseLocalPart(address.slice(0, at), { utf8 })
  if (local === undefined) return SYNTAX
  if (at === address.length) return { local, domain: '' }
  const domain = address[at] === '@' ? parseDomain(domainText, { utf8 }) : undefined
  return domain === undefined ? SYNTAX : { local, domain }
}

/** Takes a source route `@a,@b:` off: it is accepted and ignored (RFC 5321 §4.1.1.3 and appendix C). */
function withoutRoute(path: string, utf8: boolean): string | undefined {
  if (!path.startsWith('@')) return path
  const colon = path.indexOf(':')
  if (colon < 0) return undefined
  const hops = path.slice(0, colon).split(',')
  const valid = hops.every((hop) => hop.startsWith('@') && parseDomain(hop.slice(1), { utf8 }) !== undefined)
  return valid ? path.slice(colon + 1) : undefined
}

const NO_PARAMETERS: Parameters = new Map()
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?$/
/** RFC 6531 §3.3 */
const UTF8_PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\xff]+))?$/

/** RFC 5321 §4.1.2: keyword and value; a keyword that comes twice is refused. */
function parseParameters(text: string, utf8: boolean): Parameters | SyntaxProblem {
  if (text === '') return NO_PARAMETERS
  if (!text.startsWith(' ')) return SYNTAX
  const parameters = new Map<string, string | undefined>()
  for (const parameter of text.replace(/^ +/, '').split(/ +/)) {
    const [, keyword, value] = (utf8 ? UTF8_PARAMETER : PARAMETER).exec(parameter) ?? []
    if (keyword === undefined) {
      return parameter === ''
        ? SYNTAX
        : { kind: 'problem', problem: 'parameter', parameter: presentable(parameter) }
    }
    const key = keyword.toUpperCase()
    if (parameters.has(key)) return { kind: 'problem', problem: 'parameter', parameter: key }
    parameters.set(key, value)
  }
  return parameters
}

function presentable(parameter: string): string {
  return parameter.slice(0, 64).replace(/[^!-~]/g, '?')
}

function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text)
}

/** Of blanks alone: no other white space is any here. */
function trimStart(text: string): string {
  return text.replace(/^[ \t]+/, '')
}

function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\t')) end--
  return text.slice(0, end)
}
