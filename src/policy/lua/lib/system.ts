/** Sleeping, waiting, types, and what scripts register: the functions directly in `msys` and `msys.core`. */

import type { ObjectKind } from '../object-kinds.ts'
import { ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Boxes } from './boxes.ts'
import type { Family, LibraryHost } from './family.ts'
import { expandMacros } from './macros.ts'

/** seconds */
const maxSleep = 300
/** closures of runInPool that have not begun */
const maxPending = 1000

export function systemFamily(host: LibraryHost, boxes: Boxes): Family {
  const { state, waits, services, offers } = host
  return {
    waiting: {
      'msys.sleep': (L) => {
        const seconds = new Arguments(state, L, 'msys.sleep').number(1, 0, maxSleep)
        return waits.begin(L, 'msys.sleep', async (signal) => {
          await services.sleep(seconds * 1000, signal)
          return () => 0
        })
      },
    },
    functions: {
      'msys.asyncOk': (L) => {
        state.lua.lua_pushboolean(L, waits.possible ? 1 : 0)
        return 1
      },
      'msys.core.get_now_ts': (L) => {
        state.lua.lua_pushnumber(L, Math.floor(services.now() / 1000))
        return 1
      },
      'msys.expandMacro': (L) => {
        const text = new Arguments(state, L, 'msys.expandMacro').string(1)
        state.push(L, expandMacros(text, host.current()?.session?.context))
        return 1
      },
      'msys.registerControl': (L) => {
        const args = new Arguments(state, L, 'msys.registerControl')
        const prefix = args.string(1)
        offers.addCommand(prefix, args.function(2))
        return 0
      },
      'msys.registerAuth': (L) => {
        const args = new Arguments(state, L, 'msys.registerAuth')
        const scheme = args.string(1)
        if (host.current() !== undefined)
          throw new ScriptError('msys.registerAuth works only in init and while a script loads')
        offers.addScheme(scheme, args.table(2))
        return 0
      },
    },
    helpers: {
      ...laterHelper(host),
      // raise(message): an error at the line of the script that called the library
      raise: (L) => {
        throw new ScriptError(state.checkString(L, 1))
      },
      // type_name(value): the class of an object of ours, or nothing
      type_name: (L) => {
        const kind = host.kindOf(L, 1)
        const name = kind === undefined ? boxes.nameAt(L, 1) : (classNames[kind] ?? kind)
        if (name === undefined) state.lua.lua_pushnil(L)
        else state.push(L, name)
        return 1
      },
    },
  }
}

/** Momentum's C structures, as its objects name them. */
const classNames: Readonly<Partial<Record<ObjectKind, string>>> = {
  ac: 'accept_construct',
  vctx: 'validate_context',
  msg: 'ec_message',
  mc: 'message_construct',
  params: 'tls_parameters',
  response: 'ec_string',
} as const

/** run_later(closure[, completion]): both run once the calling callout is over or waits, in a callout of their own. */
function laterHelper({ state, log, run, release, services }: LibraryHost): Family['helpers'] {
  const pending = { count: 0 }
  return {
    run_later: (L) => {
      const args = new Arguments(state, L, 'msys.runInPool')
      if (pending.count >= maxPending)
        throw new ScriptError(`msys.runInPool: ${maxPending} functions wait to be run`)
      const closure = args.function(1)
      const completion = args.has(2) ? args.function(2) : undefined
      pending.count++
      services.after(0, () => {
        void (async () => {
          for (const f of [closure, completion]) {
            if (f === undefined) continue
            const outcome = await run({ function: f })
            release(f)
            if (outcome.kind === 'failed') log.tell('error', `msys.runInPool error: ${outcome.message}`)
          }
          pending.count--
        })()
      })
      return 0
    },
  }
}
