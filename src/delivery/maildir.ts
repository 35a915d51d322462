/**
 * Whose mail ends here, and where its mailbox is: `BASEDIR[/DOMAIN]/LOCALPART`.
 *
 * Domains are literal; upper and lower case are the same, in local parts too. A local part becomes a path element only
 * through an allow-list, whole: a subaddress (`bob+lists`) is a mailbox of its own. Everything below the basedir has
 * to be a directory, never a symbolic link. `postmaster` exists in every domain (RFC 5321 §4.5.1); without a domain it
 * is the one of the first domain of the first maildir.
 */

import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import type { MaildirSettings } from '../config/settings.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { LocalRecipients } from '../policy/relay.ts'

/** A mailbox that may or may not exist yet. */
export interface MailboxPlace {
  readonly maildir: MaildirSettings
  /** path elements below the basedir, outermost first; undefined when the address has no safe form */
  readonly elements: readonly string[] | undefined
  /** whether the mailbox is made when it is missing */
  readonly create: boolean
}

const SAFE_LOCAL_PART = /^[a-z0-9_][a-z0-9._+=-]{0,63}$/
/** names, and address literals; neither can be `.` or `..` or hold a separator */
const SAFE_DOMAIN = /^(?:[a-z0-9_][a-z0-9._-]{0,254}|\[[a-z0-9.:]{1,253}\])$/

/** Which maildir serves a domain. A domain that several of them name belongs to the first. */
export class LocalDomains {
  readonly #maildirs = new Map<string, MaildirSettings>()
  readonly #firstDomain: string | undefined

  constructor(maildirs: readonly MaildirSettings[]) {
    for (const maildir of maildirs) {
      for (const name of maildir.domains) {
        const domain = name.toLowerCase()
        if (!this.#maildirs.has(domain)) this.#maildirs.set(domain, maildir)
      }
    }
    this.#firstDomain = this.#maildirs.keys().next().value
  }

  /** undefined when the address is not ours. */
  place(recipient: Mailbox): MailboxPlace | undefined {
    const local = recipient.local.toLowerCase()
    const bare = recipient.domain === '' && local === 'postmaster'
    const domain = bare ? this.#firstDomain : recipient.domain.toLowerCase()
    const maildir = domain === undefined ? undefined : this.#maildirs.get(domain)
    if (domain === undefined || maildir === undefined) return undefined
    const safe = SAFE_LOCAL_PART.test(local) && (!maildir.domain_in_path || SAFE_DOMAIN.test(domain))
    const elements = maildir.domain_in_path ? [domain, local] : [local]
    return {
      maildir,
      elements: safe ? elements : undefined,
      create: maildir.create_users || local === 'postmaster',
    }
  }
}

/** what is remembered about the file system, at most; the oldest goes first */
const REMEMBERED_PATHS = 10_000
/** for how long, so that a mailbox made or removed by hand is noticed */
const REMEMBERED_MS = 5000

/** The recipients of all maildirs of a configuration, for RCPT. */
export class Maildirs implements LocalRecipients {
  readonly #domains: LocalDomains
  readonly #clock: () => number
  readonly #lstat: (path: string) => { isDirectory(): boolean }
  readonly #remembered = new Map<string, { readonly found: Found; readonly until: number }>()

  constructor(
    maildirs: readonly MaildirSettings[],
    options: {
      readonly clock?: () => number
      readonly lstat?: (path: string) => { isDirectory(): boolean }
    } = {},
  ) {
    this.#domains = new LocalDomains(maildirs)
    this.#clock = options.clock ?? Date.now
    this.#lstat = options.lstat ?? lstatSync
  }

  lookup(recipient: Mailbox): 'local' | 'unknown' | 'elsewhere' {
    const place = this.#domains.place(recipient)
    if (place === undefined) return 'elsewhere'
    if (place.elements === undefined) return 'unknown'
    const found = this.#find(place.maildir.basedir.path, place.elements)
    return found === 'mailbox' || (found === 'nothing' && place.create) ? 'local' : 'unknown'
  }

  #find(basedir: string, elements: readonly string[]): Found {
    const key = join(basedir, ...elements)
    const now = this.#clock()
    const known = this.#remembered.get(key)
    if (known !== undefined && now < known.until) return known.found
    const found = this.#look(basedir, elements)
    this.#remembered.delete(key)
    this.#remembered.set(key, { found, until: now + REMEMBERED_MS })
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size > REMEMBERED_PATHS && oldest !== undefined) this.#remembered.delete(oldest)
    return found
  }

  #look(basedir: string, elements: readonly string[]): Found {
    let path = basedir
    for (const element of elements) {
      path = join(path, element)
      try {
        if (!this.#lstat(path).isDirectory()) return 'something-else'
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'nothing'
        // A disk in trouble is no reason to tell a sender that a mailbox does not exist: the queue keeps the message.
        return 'mailbox'
      }
    }
    return 'mailbox'
  }
}

type Found = 'mailbox' | 'nothing' | 'something-else'
