/**
 * The sockets through which an operator looks and acts: the console and HTTP. They outlive every reload and follow the
 * configuration: they change together with the sockets of mail, or not at all.
 */

import type { Socket } from 'node:net'
import { normaliseAddress } from '../config/address.ts'
import type { HttpListenSettings, InboundScope, Settings } from '../config/settings.ts'
import type { ConsoleServerOptions } from '../console/server.ts'
import { WaitingRooms } from '../console/waiting-room.ts'
import type { EventBus, Panic } from '../events/events.ts'
import { hostnameOf } from '../hostname.ts'
import { type PreparedSockets, ServiceSockets } from '../listener/service-sockets.ts'
import { addressKey } from '../smtp/auth/failures.ts'
import { type SecureConnection, TlsHandshakeError } from '../tls/gate.ts'
import type { AnsweredNames } from '../web/host-names.ts'
import type { OperatorPage } from '../web/page/page.ts'
import type { Page, WebServer, WebServerOptions } from '../web/server.ts'
import { isAuthorized, type Visitor } from '../web/visitor.ts'
import { Acquaintances } from './acquaintances.ts'
import { ConsoleEntrance } from './console-entrance.ts'

export interface OperationsHost extends Pick<ConsoleServerOptions, 'services' | 'servicesFor'> {
  readonly events: EventBus
  /** what `/metrics` answers */
  readonly metrics: () => Promise<Page>
  /** asks an endpoint of a script */
  readonly endpoint: NonNullable<WebServerOptions['endpoint']>
  /** whether mail is served; @throws where it is not */
  readonly health: () => void
  /** the server's side of a handshake, by the configuration in force */
  readonly accept: (socket: Socket, scope: InboundScope, address: string) => Promise<SecureConnection>
}

/** connections of HTTP whose client has not shown that he is logged in, in each room */
const MAX_WAITING = 64
/** those of one address, of IPv6 of one /64; a browser opens six */
const MAX_NEAR = 32
/** connections of those who have; one more is among the others */
const MAX_INSIDE = 64

/** What a Listen of HTTP lets somebody do, as text to compare. */
interface Terms {
  /** what its page lets somebody in with */
  readonly login: string
  readonly all: string
}

export class Operations {
  readonly #host: OperationsHost
  readonly #console: ConsoleEntrance
  readonly #webSockets: ServiceSockets<HttpListenSettings>
  /** made when the first HTTP_Listener comes into force */
  #web: WebServer | undefined
  /** made when the first Page comes into force */
  #page: OperatorPage | undefined
  #hostname = ''
  /** by Listen */
  #terms: ReadonlyMap<string, Terms> = new Map()
  readonly #rooms = new WaitingRooms(MAX_WAITING, MAX_NEAR)
  readonly #inside = new Set<Socket>()
  readonly #acquaintances = new Acquaintances(Date.now)

  constructor(host: OperationsHost) {
    this.#host = host
    const panic = (level: Panic['level'], module: string, text: string): void =>
      host.events.emit({ kind: 'panic', at: Date.now(), level, module, text })
    this.#console = new ConsoleEntrance({ ...host, acquaintances: this.#acquaintances })
    this.#webSockets = new ServiceSockets({
      onSocket: (socket, listen) => void this.#receive(socket, listen),
      onClosed: ({ instance }) => this.#web?.end(instance),
      onError: (text) => panic('error', 'web', text),
    })
  }

  /** What is bound. */
  addresses(): { readonly console: readonly string[]; readonly http: readonly string[] } {
    return { console: this.#console.addresses(), http: this.#webSockets.addresses() }
  }

  /** Binds what a configuration asks for, beside what is open. @throws ListenError; then everything is as it was */
  async prepare(settings: Settings): Promise<PreparedSockets> {
    if (settings.httpListens.some(({ scope }) => scope.options.enable)) await this.#openWeb()
    if (settings.httpListens.some(({ page }) => page !== undefined)) await this.#openPage()
    const console = await this.#console.prepare(settings)
    try {
      const web = await this.#webSockets.prepare(settings.httpListens)
      return {
        commit: () => {
          this.#hostname = hostnameOf(settings)
          this.#keepTerms(settings.httpListens)
          web.commit()
          console.commit()
        },
        rollback: async () => {
          await web.rollback()
          await console.rollback()
        },
      }
    } catch (error) {
      await console.rollback()
      throw error
    }
  }

  /** Accepts nobody any more, and lets clients of the console go after the command that they wait for. */
  close(): void {
    this.#webSockets.close()
    this.#console.close()
  }

  /** Cuts off who is still there. */
  end(): void {
    this.#console.end()
    this.#web?.end()
  }

  /** What HTTP needs is loaded where it is asked for. */
  async #openWeb(): Promise<void> {
    if (this.#web !== undefined) return
    const { WebServer } = await import('../web/server.ts')
    const { events, metrics, health, endpoint } = this.#host
    this.#web = new WebServer({
      endpoint,
      page: () => this.#page,
      pages: new Map<string, () => Page | Promise<Page>>([
        ['/metrics', metrics],
        [
          '/healthz',
          () => {
            health()
            return { contentType: 'text/plain; charset=utf-8', text: 'ok\n' }
          },
        ],
      ]),
      onError: (text) => events.emit({ kind: 'panic', at: Date.now(), level: 'error', module: 'web', text }),
    })
  }

  async #openPage(): Promise<void> {
    if (this.#page !== undefined) return
    const [{ OperatorPage }, { pageHost }] = await Promise.all([
      import('../web/page/page.ts'),
      import('./page-host.ts'),
    ])
    const material = () => this.#console.material
    this.#page ??= new OperatorPage(pageHost({ ...this.#host, material }))
  }

  /**
   * Who was let in by a Listen that is gone, or that lets in others now, logs in anew; and nobody asks on a connection from
   * before what nobody may ask any more.
   */
  #keepTerms(listens: readonly HttpListenSettings[]): void {
    const terms = new Map(listens.map((listen) => [listen.instance, termsOf(listen)]))
    for (const [place, before] of this.#terms) {
      const now = terms.get(place)
      if (now?.login !== before.login) this.#page?.endSessions(place)
      if (now?.all !== before.all) this.#web?.end(place)
    }
    this.#terms = terms
  }

  /** A client of HTTP: through its handshake, where there is one. Never rejects. */
  async #receive(socket: Socket, listen: HttpListenSettings): Promise<void> {
    const web = this.#web
    socket.on('error', () => undefined)
    const address = normaliseAddress(socket.remoteAddress ?? '') ?? ''
    // who is gone already has no address
    if (web === undefined || !web.hasRoom || (address === '' && listen.address.kind === 'tcp')) {
      socket.destroy()
      return
    }
    const about = {
      onLogin: this.#wait(socket, address),
      byCertificate: listen.authorizedByCertificate,
      names: this.#namesOf(listen),
      scripts: listen.scriptEndpoints,
      page: listen.page,
      remote: { address, port: socket.remotePort ?? 0 },
      secure: listen.scope.options.use_ssl,
      localPort: listen.address.kind === 'tcp' ? (socket.localPort ?? 0) : 0,
      place: listen.instance,
    }
    if (!listen.scope.options.use_ssl) {
      web.take(socket, { ...about, visitor: { kind: 'anybody' } })
      return
    }
    try {
      const secure = await this.#shake(socket, listen)
      // the configuration may have changed meanwhile
      if (this.#terms.get(listen.instance)?.all !== termsOf(listen).all) {
        socket.destroy()
        return
      }
      if (about.byCertificate && isAuthorized(secure.visitor, true)) about.onLogin()
      web.take(secure.socket, { ...about, visitor: secure.visitor })
    } catch (error) {
      socket.destroy()
      if (error instanceof TlsHandshakeError) return
      const text = `${listen.instance}: ${String(error)}`
      this.#host.events.emit({ kind: 'panic', at: Date.now(), level: 'error', module: 'web', text })
    }
  }

  /** @returns what ends the wait of somebody who is logged in */
  #wait(socket: Socket, address: string): () => void {
    const room = address === '' ? 'local' : this.#acquaintances.has(address) ? 'expected' : 'strangers'
    const network = addressKey(address)
    const leave = this.#rooms.enter(room, { network, turnOut: () => socket.destroy() })
    socket.once('close', () => {
      leave()
      this.#inside.delete(socket)
    })
    return () => {
      this.#acquaintances.welcome(address)
      if (this.#inside.size >= MAX_INSIDE) return
      leave()
      this.#inside.add(socket)
    }
  }

  #namesOf({ address, hostNames }: HttpListenSettings): AnsweredNames {
    if (address.kind === 'unix') return 'any'
    return new Set([...hostNames, this.#hostname.toLowerCase(), 'localhost'])
  }

  async #shake(
    raw: Socket,
    { scope }: HttpListenSettings,
  ): Promise<{ readonly socket: Socket; readonly visitor: Visitor }> {
    const address = normaliseAddress(raw.remoteAddress ?? '') ?? ''
    const { socket, facts } = await this.#host.accept(raw, scope, address)
    const { peer } = facts
    return { socket, visitor: peer.kind === 'verified' ? { kind: 'certified', peer } : { kind: 'anybody' } }
  }
}

function termsOf({ page, authorizedByCertificate, scriptEndpoints }: HttpListenSettings): Terms {
  return {
    login: JSON.stringify([page?.users, authorizedByCertificate, page === undefined]),
    all: JSON.stringify([page, authorizedByCertificate, scriptEndpoints]),
  }
}
