/** `msys.httpsrv` (momentum: lua/ref-msys-httpsrv-register, ref-session-*): the host's side of the session object. */

import { answerOf } from '../endpoints.ts'
import { Arguments } from './arguments.ts'
import type { Boxes } from './boxes.ts'
import type { Family, LibraryHost } from './family.ts'

const className = 'ec_httpsrv_session'
const maxAttributes = 100

export function httpsrvFamily({ state, offers }: LibraryHost, boxes: Boxes): Family {
  const { lua } = state
  const { endpoints } = offers
  endpoints.sessionsBy((L) => boxes.push(L, className))
  return {
    constants: { 'msys.httpsrv.DONE': 1 },
    functions: {
      'msys.httpsrv.register': (L) => {
        const args = new Arguments(state, L, 'msys.httpsrv.register')
        endpoints.add(args.optionalString(1), args.string(2), args.function(3))
        return 0
      },
    },
    helpers: {
      // httpsrv_url(session): a table with url and, where there are any, attrs
      httpsrv_url: (L) => {
        const { url } = endpoints.exchange(boxes.idAt(L, 1, className)).request
        const attributes = attributesOf(url)
        lua.lua_createtable(L, 0, 2)
        state.setField(L, -1, 'url', () => state.push(L, url))
        if (attributes.size === 0) return 1
        state.setField(L, -1, 'attrs', () => {
          lua.lua_createtable(L, 0, attributes.size)
          for (const [name, value] of attributes) state.setField(L, -1, name, () => state.push(L, value))
        })
        return 1
      },
      // httpsrv_answer(code, text, type, session)
      httpsrv_answer: (L) => {
        const exchange = endpoints.exchange(boxes.idAt(L, 4, className))
        const args = new Arguments(state, L, 'session:response_status_set_std')
        exchange.answer = answerOf(args.number(1, 200, 599), args.string(2), args.optionalString(3))
        return 0
      },
    },
  }
}

/** Of `?name=value&…`: byte strings, the last one of a name counts; what is no escape stays as it is. */
function attributesOf(url: string): ReadonlyMap<string, string> {
  const at = url.indexOf('?')
  const parts = at < 0 ? [] : url.slice(at + 1).split('&', maxAttributes)
  return new Map(
    parts
      .filter((part) => part !== '')
      .map((part) => {
        const [name = '', ...value] = part.split('=')
        return [unescaped(name), unescaped(value.join('='))] as const
      }),
  )
}

function unescaped(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
