/**
 * `bit`: the operators on bits that Momentum's dialect has and Lua 5.1 has not, as functions under the names of the
 * usual BitOp library. Operands lose their fractions; 64 bits, signed.
 */

import { Arguments } from './arguments.ts'
import type { Family, HostFunction, LibraryHost } from './family.ts'

const largest = 2 ** 63
const maxShift = 63

export function bitFamily({ state }: LibraryHost): Family {
  const push = (L: number, value: bigint): number => {
    state.lua.lua_pushnumber(L, Number(BigInt.asIntN(64, value)))
    return 1
  }
  /** Two operands or more. */
  const joining =
    (name: string, join: (a: bigint, b: bigint) => bigint): HostFunction =>
    (L) => {
      const args = new Arguments(state, L, name)
      const count = state.lua.lua_gettop(L)
      if (count < 2) throw args.bad(Math.max(1, count + 1), 'number')
      let value = integer(args, 1)
      for (let index = 2; index <= count; index++) value = join(value, integer(args, index))
      return push(L, value)
    }
  const shifting =
    (name: string, shift: (a: bigint, by: bigint) => bigint): HostFunction =>
    (L) => {
      const args = new Arguments(state, L, name)
      return push(L, shift(integer(args, 1), BigInt(Math.trunc(args.number(2, 0, maxShift)))))
    }
  return {
    functions: {
      'bit.band': joining('bit.band', (a, b) => a & b),
      'bit.bor': joining('bit.bor', (a, b) => a | b),
      'bit.bxor': joining('bit.bxor', (a, b) => a ^ b),
      'bit.lshift': shifting('bit.lshift', (a, by) => a << by),
      'bit.rshift': shifting('bit.rshift', (a, by) => a >> by),
      'bit.bnot': (L) => push(L, ~integer(new Arguments(state, L, 'bit.bnot'), 1)),
    },
  }
}

function integer(args: Arguments, index: number): bigint {
  return BigInt(Math.trunc(args.number(index, -largest, largest - 1)))
}
