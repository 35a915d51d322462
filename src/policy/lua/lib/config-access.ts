/** `msys.config`: what the configuration in force says, read only (momentum: lua/ref-msys-config). */

import { ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family, LibraryHost } from './family.ts'
import { pushValues, toBytes } from './values.ts'

const maxWords = 16

export function configFamily({ state, services }: LibraryHost): Family {
  return {
    functions: {
      'msys.config': (L) => {
        const args = new Arguments(state, L, 'msys.config')
        const action = args.string(1)
        if (action !== 'get' && action !== 'eval')
          throw args.refuse(1, '"get" or "eval": a script cannot change the configuration')
        const count = state.lua.lua_gettop(L) - 1
        if (count < 1 || count > maxWords) throw args.refuse(2, 'the name of an option expected')
        const words = Array.from({ length: count }, (_, index) => args.string(index + 2))
        if (services.config === undefined)
          throw new ScriptError('msys.config: there is no configuration to ask')
        try {
          const { value, text } = services.config(words)
          const shown = typeof value === 'string' ? toBytes(value) : value
          return pushValues(state, L, shown, toBytes(text))
        } catch (error) {
          throw new ScriptError(`msys.config: ${toBytes(error instanceof Error ? error.message : 'failed')}`)
        }
      },
    },
  }
}
