/**
 * What scripts offer to the rest of the server besides answers: console commands (`msys.registerControl`),
 * authentication schemes (`msys.registerAuth`) and endpoints of HTTP. Each runs in a callout of its own.
 */

import type {
  AuthAnswer,
  AuthAttempt,
  CommandAnswer,
  EndpointAnswer,
  EndpointRequest,
  PolicyOffers,
} from '../offers.ts'
import type { ScriptLog } from './callout.ts'
import { constants } from './catalogue.ts'
import { ScriptEndpoints } from './endpoints.ts'
import type { Outcome, Task } from './outcome.ts'
import { type LuaState, REGISTRY, ScriptError, TYPE } from './state.ts'

const maxOffers = 100
/** octets that one console command may print */
const maxOutput = 1_048_576

type RunTask = (task: Task) => Outcome | Promise<Outcome>

export class ScriptOffers implements PolicyOffers {
  readonly #state: LuaState
  readonly #run: RunTask
  readonly #log: ScriptLog
  /** registry references: functions by prefix, tables by scheme */
  readonly #commands = new Map<string, number>()
  readonly #schemes = new Map<string, number>()
  readonly endpoints: ScriptEndpoints

  readonly #functions: () => PolicyOffers['functions']

  constructor(host: {
    readonly state: LuaState
    readonly log: ScriptLog
    readonly run: RunTask
    readonly functions: () => PolicyOffers['functions']
  }) {
    this.#functions = host.functions
    this.#log = host.log
    this.#state = host.state
    this.#run = host.run
    this.endpoints = new ScriptEndpoints(host)
  }

  /** First words of the console commands that scripts registered. */
  get commands(): readonly string[] {
    return [...this.#commands.keys()]
  }

  get functions(): PolicyOffers['functions'] {
    return this.#functions()
  }

  /** URI schemes that scripts authenticate. */
  get schemes(): readonly string[] {
    return [...this.#schemes.keys()]
  }

  /** @param f registry reference of the function */
  addCommand(prefix: string, f: number): void {
    add(this.#commands, prefix, f, 'console command')
  }

  /** @param table registry reference of the scheme's table */
  addScheme(scheme: string, table: number): void {
    add(this.#schemes, scheme, table, 'authentication scheme')
  }

  async command(words: readonly string[]): Promise<CommandAnswer | undefined> {
    const f = this.#commands.get(words[0] ?? '')
    if (f === undefined) return undefined
    const lines: string[] = []
    let left = maxOutput
    const print = (text: string): void => {
      left -= text.length + 1
      if (left < 0) throw new ScriptError(`a console command prints at most ${maxOutput} octets`)
      lines.push(`${text}\n`)
    }
    const outcome = await this.#run({ function: f, print, push: (L) => this.#pushCommand(L, words) })
    const output = lines.join('')
    return outcome.kind === 'returned'
      ? { kind: 'done', output }
      : { kind: 'failed', output, message: outcome.message }
  }

  /** Paths of the endpoints that scripts registered. */
  get endpointPaths(): readonly string[] {
    return this.endpoints.paths
  }

  request(request: EndpointRequest, gone?: AbortSignal): Promise<EndpointAnswer | undefined> {
    return this.endpoints.request(request, gone)
  }

  async authenticate(scheme: string, attempt: AuthAttempt): Promise<AuthAnswer | undefined> {
    const table = this.#schemes.get(scheme)
    if (table === undefined) return undefined
    if (this.#state.broken !== undefined) return 'error'
    const f = this.#functionIn(table, 'authenticate')
    if (f === undefined) {
      this.#log.tell('error', `the authentication scheme ${scheme} has no function "authenticate"`)
      return 'error'
    }
    const outcome = await this.#run({ function: f, push: (L) => this.#pushAttempt(L, table, attempt) })
    if (this.#state.broken === undefined) this.#state.release(f)
    return this.#judge(scheme, outcome)
  }

  /** A registry reference of its own; undefined when the table has no such function. */
  #functionIn(table: number, name: string): number | undefined {
    const { lua, main } = this.#state
    lua.lua_rawgeti(main, REGISTRY, table)
    this.#state.push(main, name)
    lua.lua_rawget(main, -2)
    const f = lua.lua_type(main, -1) === TYPE.function ? lua.luaL_ref(main, REGISTRY) : undefined
    lua.lua_settop(main, 0)
    return f
  }

  #judge(scheme: string, outcome: Outcome): AuthAnswer {
    if (outcome.kind === 'failed') {
      this.#log.tell('error', `${scheme} authenticate error: ${outcome.message}`)
      return 'error'
    }
    if (outcome.value === constants.EC_AUTH_OK) return 'ok'
    if (outcome.value === constants.EC_AUTH_FAIL) return 'fail'
    if (outcome.value !== constants.EC_AUTH_ERROR) {
      this.#log.tell(
        'error',
        `${scheme} authenticate error: returned ${outcome.shown ?? outcome.value}, which is none of the answers that it may give`,
      )
    }
    return 'error'
  }

  #pushCommand(L: number, words: readonly string[]): number {
    const { lua } = this.#state
    lua.lua_createtable(L, 0, 2)
    this.#state.setField(L, -1, 'argc', () => lua.lua_pushnumber(L, words.length))
    this.#state.setField(L, -1, 'argv', () => {
      lua.lua_createtable(L, words.length, 1)
      for (const [index, word] of words.entries()) {
        this.#state.push(L, word)
        // Momentum counts lists from C from 0
        lua.lua_rawseti(L, -2, index)
      }
    })
    return 1
  }

  #pushAttempt(L: number, table: number, { path, parameters, user, password }: AuthAttempt): number {
    const { lua } = this.#state
    lua.lua_rawgeti(L, REGISTRY, table)
    this.#state.push(L, path)
    lua.lua_createtable(L, 0, 4)
    for (const [key, value] of Object.entries(parameters))
      this.#state.setField(L, -1, key, () => this.#state.push(L, value))
    this.#state.push(L, user)
    this.#state.push(L, password)
    return 5
  }
}

function add(offers: Map<string, number>, name: string, reference: number, what: string): void {
  if (!/^[\w.-]{1,64}$/.test(name))
    throw new ScriptError(`a ${what} is named with letters, digits and _ . - only`)
  if (offers.has(name)) throw new ScriptError(`the ${what} "${name}" is registered already`)
  if (offers.size >= maxOffers) throw new ScriptError(`scripts register at most ${maxOffers} of each kind`)
  offers.set(name, reference)
}
