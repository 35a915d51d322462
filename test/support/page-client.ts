/** What a browser does with the operators' page, without one: cookies, Origin, the CSRF token; and whatever an attacker would leave out. */

import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import type { Credential } from '../../src/tls/authority.ts'

export interface PageReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
  /** of the JSON that came */
  readonly data: Readonly<Record<string, unknown>>
}

export interface PageOptions {
  readonly tls?: boolean
  readonly credential?: Credential
}

export interface PageRequest {
  readonly method?: string
  readonly body?: string | undefined
  /** undefined leaves one out that would be there */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

export class PageClient {
  /** `127.0.0.1:8080` */
  readonly address: string
  readonly #options: PageOptions
  cookie = ''
  csrf = ''

  constructor(address: string, options: PageOptions = {}) {
    this.address = address
    this.#options = options
  }

  /** Logs in and stays so. */
  async login(user: string, password: string): Promise<PageReply> {
    const reply = await this.post('login', { user, password })
    this.#remember(reply)
    return reply
  }

  /** Who is logged in. */
  async session(): Promise<PageReply> {
    const reply = await this.ask('api/session')
    this.#remember(reply)
    return reply
  }

  view(name: string, query: Readonly<Record<string, string>> = {}): Promise<PageReply> {
    return this.ask(`api/view/${name}?${new URLSearchParams(query).toString()}`)
  }

  post(path: string, body: unknown, headers: PageRequest['headers'] = {}): Promise<PageReply> {
    const json = JSON.stringify(body)
    return this.ask(`api/${path}`, {
      method: 'POST',
      body: json,
      headers: {
        'Content-Type': 'application/json',
        Origin: `${this.#options.tls === true ? 'https' : 'http'}://${this.address}`,
        'X-CSRF-Token': this.csrf,
        ...headers,
      },
    })
  }

  ask(path: string, { method = 'GET', body, headers = {} }: PageRequest = {}): Promise<PageReply> {
    const [host, port] = [
      this.address.slice(0, this.address.lastIndexOf(':')),
      this.address.split(':').at(-1),
    ]
    const { tls = false, credential } = this.#options
    const session = this.cookie === '' ? {} : { Cookie: this.cookie, 'X-CSRF-Token': this.csrf }
    const all = { ...session, ...headers }
    const options = {
      host,
      port,
      path: path.startsWith('/') ? path : `/page/${path}`,
      method,
      headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Record<
        string,
        string
      >,
      agent: false,
      ...(tls
        ? { rejectUnauthorized: false, ...(credential && { cert: credential.cert, key: credential.key }) }
        : {}),
    }
    return new Promise((resolve, reject) => {
      const sent = (tls ? requestTls : requestPlain)(options, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (text += chunk))
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, data: dataOf(text) }),
        )
      })
      sent.once('error', reject)
      sent.end(body)
    })
  }

  #remember({ headers, data }: PageReply): void {
    const [cookie = ''] = headers['set-cookie'] ?? []
    if (cookie !== '') this.cookie = cookie.split(';')[0] ?? ''
    if (typeof data['csrf'] === 'string') this.csrf = data['csrf']
  }
}

function dataOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}
