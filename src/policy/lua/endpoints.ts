/**
 * Endpoints of HTTP that scripts register (momentum: lua/ref-msys-httpsrv-register). Each request runs in a callout of its
 * own, under the script's budget; the session object is worth something until that ends.
 *
 * The path is compared whole, but for a slash at its end. A function that fails is a line of the panic log, and the
 * client learns nothing of it.
 */

import type { EndpointAnswer, EndpointRequest } from '../offers.ts'
import type { ScriptLog } from './callout.ts'
import type { Outcome, Task } from './outcome.ts'
import { ScriptError } from './state.ts'

const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']
const maxEndpoints = 100
/** what the server answers itself */
const reserved = ['/metrics', '/healthz']
/** requests at once */
const maxUnderWay = 64
/** octets of an answer */
const maxBody = 1_048_576

/** What a script has said, `undefined` as long as it has not. */
interface Exchange {
  readonly request: EndpointRequest
  answer: Extract<EndpointAnswer, { kind: 'answered' }> | undefined
}

export class ScriptEndpoints {
  readonly #log: ScriptLog
  readonly #run: (task: Task) => Outcome | Promise<Outcome>
  /** by path, then by method, `undefined` for all: registry references */
  readonly #functions = new Map<string, Map<string | undefined, number>>()
  /** by the number of their session objects */
  readonly #exchanges = new Map<number, Exchange>()
  #underWay = 0
  #pushSession: ((L: number) => number) | undefined

  constructor(host: {
    readonly log: ScriptLog
    readonly run: (task: Task) => Outcome | Promise<Outcome>
  }) {
    this.#log = host.log
    this.#run = host.run
  }

  /** @param push pushes a new session object and returns its number */
  sessionsBy(push: (L: number) => number): void {
    this.#pushSession = push
  }

  get paths(): readonly string[] {
    return [...this.#functions.keys()]
  }

  /** @param f registry reference of the function. @throws ScriptError */
  add(method: string | undefined, endpoint: string, f: number): void {
    if (method !== undefined && !methods.includes(method))
      throw new ScriptError(`an endpoint is for ${methods.join(', ')}, or nil for all`)
    if (!/^\/[\w/.~!$&'()*+,;=:@-]{0,255}$/.test(endpoint))
      throw new ScriptError('an endpoint is a path that begins with a slash')
    const path = withoutSlash(endpoint)
    if (reserved.includes(path)) throw new ScriptError(`${path} belongs to the server itself`)
    const there = this.#functions.get(path) ?? new Map<string | undefined, number>()
    if (there.has(method))
      throw new ScriptError(`the endpoint ${method ?? 'for all methods'} ${path} is registered already`)
    if (this.#functions.size >= maxEndpoints)
      throw new ScriptError(`scripts register at most ${maxEndpoints} endpoints`)
    this.#functions.set(path, there.set(method, f))
  }

  /** @throws ScriptError when the request is over */
  exchange(id: number): Exchange {
    const found = this.#exchanges.get(id)
    if (found === undefined) throw new ScriptError('the request of this session is over')
    return found
  }

  /** Undefined when no script has the path. Never rejects. */
  async request(request: EndpointRequest, gone?: AbortSignal): Promise<EndpointAnswer | undefined> {
    const there = this.#functions.get(withoutSlash(request.path))
    if (there === undefined) return undefined
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const f = there.get(method) ?? (methods.includes(method) ? there.get(undefined) : undefined)
    if (f === undefined) return { kind: 'wrong-method', allowed: allowedIn(there) }
    if (this.#underWay >= maxUnderWay) return { kind: 'busy' }
    this.#underWay += 1
    try {
      return await this.#ask(f, request, gone)
    } finally {
      this.#underWay -= 1
    }
  }

  async #ask(f: number, request: EndpointRequest, gone: AbortSignal | undefined): Promise<EndpointAnswer> {
    const exchange: Exchange = { request, answer: undefined }
    let id: number | undefined
    const push = (L: number): number => {
      id = this.#pushSession?.(L)
      if (id !== undefined) this.#exchanges.set(id, exchange)
      return id === undefined ? 0 : 1
    }
    const outcome = await this.#run({ function: f, push, gone })
    if (id !== undefined) this.#exchanges.delete(id)
    if (outcome.kind === 'returned')
      return exchange.answer ?? { kind: 'answered', status: 200, contentType: usualType, body: '' }
    if (outcome.quiet !== true)
      this.#log.tell('error', `msys.httpsrv ${request.method} ${request.path} error: ${outcome.message}`)
    return { kind: 'failed' }
  }
}

const usualType = 'text/plain; charset=utf-8'

/** What a script answers. @throws ScriptError for what could not be sent */
export function answerOf(
  status: number,
  body: string,
  contentType: string = usualType,
): Extract<EndpointAnswer, { kind: 'answered' }> {
  if (!Number.isInteger(status)) throw new ScriptError('a status is a whole number')
  if (body.length > maxBody) throw new ScriptError(`an answer has at most ${maxBody} octets`)
  if (!/^[\w.+-]{1,64}\/[\w.+-]{1,64}(?:; ?charset=[\w-]{1,32})?$/.test(contentType))
    throw new ScriptError('a type is written as text/plain, or text/plain; charset=utf-8')
  return { kind: 'answered', status, contentType, body }
}

function allowedIn(there: ReadonlyMap<string | undefined, number>): readonly string[] {
  const named = methods.filter((method) => there.has(method) || there.has(undefined))
  return named.includes('GET') ? [...named, 'HEAD'] : named
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}
