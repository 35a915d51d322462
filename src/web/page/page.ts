/**
 * The operators' page: its files, logging in and out, views, acts. Everything under `/page/`.
 *
 * Nobody sees anything of this server without a session, and a session comes from a password of the configured users or, where
 * the Listen answers verified certificates alone and has no users, from the certificate. It is a cookie and a token that only
 * the page's own script can read: cookies know no ports, so that whatever else listens on the same host is sent the cookie, and
 * may set one. An act needs an Origin of our own, and leaves an audit line; and a name among Page_Operators, or, where roles are
 * asked for, a role for it, as every view then does. Whatever fails refuses.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Operator } from '../../console/operator.ts'
import { dataOf, fromBytes } from '../../console/render.ts'
import { joinWords } from '../../console/words.ts'
import type { Visitor } from '../visitor.ts'
import { Accounts, type AccountsHost, type PageVisit } from './accounts.ts'
import { actOrder } from './acts.ts'
import { Asking, type Gather } from './ask.ts'
import { readAssets } from './assets.ts'
import {
  answerWith,
  cookieLine,
  cookieOf,
  json,
  type PageAnswer,
  PageError,
  readObject,
  textField,
} from './http.ts'
import { type PageSession, PageSessions, type SessionPlace, sameSecret } from './sessions.ts'
import { views } from './views.ts'

/** A login with a password. Byte strings. */
export interface LoginAttempt {
  readonly uri: string
  readonly user: string
  readonly password: string
  /** the client's address, '' on a UNIX socket */
  readonly client: string
}

export type LoginOutcome =
  /** `stamp`: of this very password, taken before it was looked at */
  | { readonly kind: 'right'; readonly stamp: string }
  | { readonly kind: 'wrong' }
  /** too many wait, or nobody can tell at the moment */
  | { readonly kind: 'busy' }

/** What an explanation is asked about. Text as it was typed. */
export interface ExplainQuestion {
  readonly listen: string
  readonly peer: string
  /** PEM; '' = no certificate */
  readonly certificate: string
}

export interface PageHost extends AccountsHost {
  readonly gather: Gather
  /** takes its time where it fails */
  readonly login: (attempt: LoginAttempt) => Promise<LoginOutcome>
  /** what changes when a user's password does; undefined: there is no such user, or nobody can tell */
  readonly stamp: (login: Pick<LoginAttempt, 'uri' | 'user'>) => Promise<string | undefined>
  /** `postern explain` for the configuration on disk. @throws PageError with what it would say */
  readonly explain: (question: ExplainQuestion) => Promise<unknown>
  /** what the page shows beside the commands' answers */
  readonly about: () => {
    readonly hostname: string
    readonly version: string
    readonly listens: readonly string[]
  }
}

interface Request {
  readonly request: IncomingMessage
  readonly visit: PageVisit
  readonly query: URLSearchParams
}

interface Entered extends Request {
  readonly session: PageSession
  readonly operator: Operator
}

const PREFIX = '/page/'

export class OperatorPage {
  readonly #host: PageHost
  readonly #assets = readAssets()
  readonly #sessions: PageSessions
  readonly #asking: Asking
  readonly #accounts: Accounts

  constructor(host: PageHost) {
    this.#host = host
    this.#sessions = new PageSessions(host.clock)
    this.#asking = new Asking(host.gather, host.clock)
    this.#accounts = new Accounts(host)
  }

  /** Whether this path is the page's. */
  owns(path: string): boolean {
    return path === '/' || path === '/page' || path.startsWith(PREFIX)
  }

  /** A Listen has changed, or nobody listens there any more: who was let in there logs in anew. */
  endSessions(place?: string): void {
    this.#sessions.endAll(place)
  }

  /** @throws what is no PageError: something went wrong in here */
  async answer(request: IncomingMessage, response: ServerResponse, visit: PageVisit): Promise<void> {
    try {
      const url = new URL(request.url ?? '', 'http://page.invalid')
      answerWith(response, await this.#answer(url.pathname, { request, visit, query: url.searchParams }))
    } catch (error) {
      if (!(error instanceof PageError)) throw error
      answerWith(response, json({ error: error.message }, error.status))
    }
  }

  async #answer(path: string, asked: Request): Promise<PageAnswer> {
    if (path === '/' || `${path}/` === PREFIX) return redirect()
    if (!path.startsWith(PREFIX)) throw new PageError(404, 'There is nothing here.')
    const name = path.slice(PREFIX.length)
    const [api, kind = '', what = '', ...rest] = name.split('/')
    if (api !== 'api' || rest.length > 0) return this.#asset(name, asked.request)
    const { method } = asked.request
    if (method === 'GET' || method === 'HEAD') {
      fromOwnPage(asked.request)
      if (kind === 'session') return await this.#session(asked)
      if (kind === 'view') return await this.#view(what, this.#enter(asked, await this.#keyed(asked)))
    } else if (method === 'POST') {
      fromOwnOrigin(asked)
      if (kind === 'login') return await this.#login(asked)
      const entered = this.#enter(asked, await this.#find(asked))
      if (!hasToken(asked, entered.session)) throw new PageError(403, 'This did not come from the page.')
      asked.visit.onLogin?.()
      if (kind === 'logout') return this.#logout(entered)
      if (kind === 'explain') return await this.#explain(entered)
      if (kind === 'act') return await this.#act(what, entered)
    } else {
      throw new PageError(405, 'Not this method.')
    }
    throw new PageError(404, 'There is nothing here.')
  }

  #asset(name: string, { method, headers }: IncomingMessage): PageAnswer {
    const asset = this.#assets.get(name)
    if (asset === undefined) throw new PageError(404, 'There is nothing here.')
    if (method !== 'GET' && method !== 'HEAD') throw new PageError(405, 'Not this method.')
    const { type, body, etag } = asset
    const known = headers['if-none-match']?.split(',').some((each) => each.trim() === etag) === true
    return {
      status: known ? 304 : 200,
      type,
      body: known ? '' : body,
      headers: { ETag: etag, 'Cache-Control': 'no-cache' },
    }
  }

  /** Who is logged in; where a certificate is all that is needed, it logs in by itself. */
  async #session(asked: Request): Promise<PageAnswer> {
    const { visit } = asked
    const session = await this.#keyed(asked)
    if (session !== undefined) return json(this.#about(session, visit))
    if (visit.terms.users !== undefined) return json({ login: true })
    const subject = subjectOf(visit.visitor)
    if (subject === undefined) throw new PageError(403, 'A client certificate that verifies is needed here.')
    const begun = this.#sessions.begin({ name: subject, known: 'certificate', stamp: '' }, placeOf(visit))
    this.#accounts.tell(visit, { act: 'login', user: subject, good: true })
    return json(this.#about(begun.session, visit), 200, cookie(visit, begun.token))
  }

  async #login({ request, visit }: Request): Promise<PageAnswer> {
    const { users } = visit.terms
    if (users === undefined) throw new PageError(404, 'There are no passwords here.')
    const body = await readObject(request)
    const [user, password] = [textField(body, 'user', 256), textField(body, 'password')]
    const outcome = await this.#host.login({
      uri: usersOf(visit),
      user: toBytes(user),
      password: toBytes(password),
      client: visit.address,
    })
    if (outcome.kind === 'busy')
      throw new PageError(503, 'Nobody can be let in at the moment. Try again in a while.')
    this.#accounts.tell(visit, { act: 'login', user, good: outcome.kind === 'right' })
    if (outcome.kind === 'wrong') throw new PageError(401, 'This user and password do not go together.')
    const before = cookieOf(request, cookieName(visit))
    if (before !== undefined) this.#sessions.end(before)
    const { stamp } = outcome
    const begun = this.#sessions.begin({ name: user, known: 'password', stamp }, placeOf(visit))
    visit.onLogin?.()
    return json(this.#about(begun.session, visit), 200, cookie(visit, begun.token))
  }

  #logout({ request, visit }: Entered): PageAnswer {
    const token = cookieOf(request, cookieName(visit))
    if (token !== undefined) this.#sessions.end(token)
    return json({ login: true }, 200, cookie(visit, undefined))
  }

  async #view(name: string, entered: Entered): Promise<PageAnswer> {
    const { query, operator } = entered
    const view = views.get(name)
    if (view === undefined) throw new PageError(404, 'There is no such view.')
    const words = view.words(query)
    const order = { command: joinWords(words), look: true }
    const { answer, missing } = await this.#accounts.run(
      entered,
      order,
      async () => await this.#asking.look(words, operator),
    )
    return json({ at: this.#host.clock(), missing, ...(view.show(answer, query) as object) })
  }

  async #explain(entered: Entered): Promise<PageAnswer> {
    const body = await readObject(entered.request)
    const question = {
      listen: textField(body, 'listen', 256),
      peer: textField(body, 'peer', 64),
      certificate: textField(body, 'certificate', 60_000),
    }
    const about = [question.listen, question.peer].filter((each) => each !== '')
    const order = { command: 'explain', shown: joinWords(['explain', ...about]), look: false }
    const explanation = await this.#accounts.run(
      entered,
      order,
      async () => await this.#host.explain(question),
    )
    return json({ explanation })
  }

  async #act(name: string, entered: Entered): Promise<PageAnswer> {
    const { request, visit, session, operator } = entered
    if (!mayAct(session, visit))
      throw new PageError(403, 'You may look here and not act: Page_Operators does not name you.')
    const { words, dryRun } = actOrder(name, await readObject(request))
    const order = { command: joinWords(words), look: dryRun, by: 'Page_Operators' }
    const { answer, missing } = await this.#accounts.run(
      entered,
      order,
      async () => await this.#asking.act(words, operator),
    )
    return json({ missing, data: dataOf(answer) })
  }

  #about(session: PageSession, visit: PageVisit): object {
    const { user, csrf } = session
    return { ...this.#host.about(), user: user.name, known: user.known, csrf, mayAct: mayAct(session, visit) }
  }

  /** @throws PageError where nobody is logged in */
  #enter(asked: Request, session: PageSession | undefined): Entered {
    if (session === undefined) throw new PageError(401, 'Log in first.')
    return { ...asked, session, operator: operatorOf(session, asked.visit) }
  }

  /** A cookie alone may be anybody's. */
  async #keyed(asked: Request): Promise<PageSession | undefined> {
    const session = await this.#find(asked)
    if (session === undefined || !hasToken(asked, session)) return undefined
    asked.visit.onLogin?.()
    return session
  }

  /** Whoever was taken out of the users, or has another password now, is out. */
  async #find({ request, visit }: Request): Promise<PageSession | undefined> {
    const token = cookieOf(request, cookieName(visit))
    if (token === undefined) return undefined
    const use = request.headers['x-refresh'] === undefined
    const session = this.#sessions.find(token, placeOf(visit), use)
    if (session === undefined || session.user.known === 'certificate') return session
    const stamp = await this.#host.stamp({ uri: usersOf(visit), user: toBytes(session.user.name) })
    if (stamp === session.user.stamp) return session
    if (stamp !== undefined) this.#sessions.end(token)
    return undefined
  }
}

function redirect(): PageAnswer {
  return { status: 302, type: 'text/plain; charset=utf-8', body: '', headers: { Location: PREFIX } }
}

/** What a browser says of itself cannot be made up by a page of somebody else. @throws PageError */
function fromOwnPage({ headers }: IncomingMessage): void {
  const site = headers['sec-fetch-site'] ?? 'same-origin'
  if (site !== 'same-origin' && site !== 'none') throw new PageError(403, 'This did not come from the page.')
}

/** The Host has been found to be one of ours already. @throws PageError */
function fromOwnOrigin({ request, visit }: Request): void {
  fromOwnPage(request)
  const { origin, host } = request.headers
  // behind a proxy on a UNIX socket it is the proxy that speaks TLS
  const schemes = visit.localPort === 0 ? ['https', 'http'] : [visit.secure ? 'https' : 'http']
  if (host === undefined || !schemes.some((scheme) => origin === `${scheme}://${host}`))
    throw new PageError(403, 'This did not come from the page.')
}

function hasToken({ request }: Request, { csrf }: PageSession): boolean {
  return sameSecret(String(request.headers['x-csrf-token'] ?? ''), csrf)
}

function usersOf({ terms }: PageVisit): string {
  return terms.users?.['uri'] ?? ''
}

/** Stores of passwords take byte strings. */
function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Where roles are asked for, each act is. */
function mayAct({ user }: PageSession, { terms }: PageVisit): boolean {
  return terms.authorization !== undefined || terms.operators.includes(user.name)
}

function operatorOf({ user }: PageSession, visit: PageVisit): Operator {
  return { name: user.name, known: user.known, from: from(visit) }
}

function from({ address, port }: PageVisit): string {
  if (address === '') return 'local'
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function subjectOf(visitor: Visitor): string | undefined {
  return visitor.kind === 'certified' ? fromBytes(visitor.peer.certificate.subject) : undefined
}

function placeOf({ place, visitor }: PageVisit): SessionPlace {
  return { place, certificate: visitor.kind === 'certified' ? visitor.peer.certificate.fingerprint : '' }
}

/** One browser may be logged in to several servers of one host, and cookies know no ports. */
function cookieName({ secure, localPort }: PageVisit): string {
  return `${secure ? '__Host-' : ''}postern-${localPort}`
}

function cookie(visit: PageVisit, token: string | undefined): Readonly<Record<string, string>> {
  return { 'Set-Cookie': cookieLine(cookieName(visit), token, visit.secure) }
}
