/** `msys.http.client` (momentum: lua/ref-client-*): the host's side of `do_request`; the object is in `library.lua`. */

import { ScriptError, TYPE } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family, LibraryHost } from './family.ts'
import type { HttpRequest, HttpResponse } from './http-request.ts'
import { pushValue, pushValues, toBytes } from './values.ts'
import type { Answer } from './waits.ts'

const methods = ['GET', 'POST', 'PUT', 'DELETE']
const maxBody = 1_048_576
const maxUrl = 8192
/** seconds */
const usualTimeout = 30
const maxTimeout = 300
/** what the client itself says */
const reserved = /^(?:connection|content-length|transfer-encoding|upgrade|te|trailer|expect)$/i

export function httpFamily(host: LibraryHost): Family {
  const { state, waits, services } = host
  return {
    helpers: {
      // http_header(text): name, value of a header field that may be sent
      http_header: (L) => {
        const text = new Arguments(state, L, 'client:set_header').string(1)
        const parts = /^([!#$%&'*+.^_`|~\w-]{1,128}):[ \t]*([\t -~\x80-\xff]{0,8192})$/.exec(text)
        const [, name = '', value = ''] = parts ?? []
        if (parts === null) throw new ScriptError('client:set_header: "Name: value" expected')
        if (reserved.test(name))
          throw new ScriptError(`client:set_header: ${name} is set by the client itself`)
        return pushValues(state, L, name, value)
      },
      // http_send(method, url, data, timeout, names, values), a starter
      http_send: (L) => {
        const request = readRequest(host, L)
        return waits.begin(L, 'client:do_request', async (signal): Promise<Answer> => {
          try {
            const response = await services.http.send(request, signal)
            return (thread) => pushResponse(host, thread, response)
          } catch (error) {
            const problem = toBytes(error instanceof Error ? error.message : 'failed')
            return (thread) => pushValues(state, thread, undefined, problem)
          }
        })
      },
    },
  }
}

function readRequest({ state }: LibraryHost, L: number): HttpRequest {
  const args = new Arguments(state, L, 'client:do_request')
  const method = args.string(1)
  if (!methods.includes(method)) throw args.refuse(1, `${methods.join(', ')} expected`)
  const url = readUrl(args)
  const body = args.optionalString(3)
  if (body !== undefined && body.length > maxBody) throw args.refuse(3, `at most ${maxBody} octets`)
  const timeout = args.optionalNumber(4, 0.001, maxTimeout) ?? usualTimeout
  const names = readList(state, L, 5)
  const values = readList(state, L, 6)
  return {
    method,
    url,
    headers: names.map((name, index) => [name, values[index] ?? ''] as const),
    body: method === 'GET' && body === undefined ? undefined : (body ?? ''),
    timeout: timeout * 1000,
  }
}

function readUrl(args: Arguments): URL {
  const text = args.string(2)
  if (text.length > maxUrl) throw args.refuse(2, `at most ${maxUrl} octets`)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw args.refuse(2, 'an http or https URL expected')
  return url
}

function readList(state: LibraryHost['state'], L: number, index: number): string[] {
  const list: string[] = []
  for (let i = 1; ; i++) {
    state.lua.lua_rawgeti(L, index, i)
    const text = state.lua.lua_type(L, -1) === TYPE.string ? state.read(L, -1) : undefined
    state.lua.lua_settop(L, -2)
    if (text === undefined) return list
    list.push(text)
  }
}

/** code, reason, header lines, body */
function pushResponse({ state }: LibraryHost, L: number, response: HttpResponse): number {
  state.lua.lua_pushnumber(L, response.code)
  state.push(L, response.reason)
  pushValue(
    state,
    L,
    response.headers.map(([name, value]) => `${name}: ${value}`),
  )
  state.pushBytes(L, response.body, response.body.length)
  return 4
}
