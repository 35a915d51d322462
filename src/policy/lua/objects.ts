/**
 * The objects that a callout gets: `ac`, `vctx`, `msg` and `mc`.
 *
 * In Lua each is userdata of 16 octets: the number of its callout and its kind. The number is never used twice, and it
 * is forgotten when the callout ends, so an object that a script kept raises an error and never reaches another
 * session.
 */

import { acceptMethods } from './ac-methods.ts'
import type { Callout, MethodTable, ObjectHost } from './callout.ts'
import { unbuiltFields } from './catalogue.ts'
import { contentMethods } from './content-methods.ts'
import { messageMethods } from './message-methods.ts'
import { kindNumber, kinds, type ObjectKind } from './object-kinds.ts'
import { readResponse, responseMethods } from './response-methods.ts'
import { writePriority } from './routing-methods.ts'
import { objectSize } from './spares.ts'
import { type LuaState, REGISTRY, ScriptError, TYPE } from './state.ts'
import { readParameter, writeParameter } from './tls-methods.ts'
import { contextMethods, formatEndpoint, readContextField, writeContextField } from './vctx-methods.ts'

export class HostObjects {
  readonly #host: ObjectHost
  readonly #state: LuaState
  /** those that are open, except the newest */
  readonly #callouts = new Map<number, Callout>()
  /** their addresses, by the number of a kind */
  readonly #metatables: number[] = kinds.map(() => 0)
  readonly #methods: Readonly<Record<ObjectKind, MethodTable>>
  readonly #content: MethodTable
  #last = 0
  /** the callout that was opened last, which is mostly the one that runs; undefined when it has ended */
  #newest: Callout | undefined

  constructor(host: ObjectHost) {
    this.#host = host
    this.#state = host.state
    this.#content = contentMethods(host)
    this.#methods = {
      ac: acceptMethods(host),
      vctx: contextMethods(host),
      msg: messageMethods(host),
      mc: {},
      params: {},
      response: responseMethods(host),
    }
  }

  /** Opens a callout; the number names it until `close`. */
  open(callout: Callout): number {
    if (this.#newest !== undefined) this.#callouts.set(this.#last, this.#newest)
    this.#newest = callout
    return ++this.#last
  }

  close(id: number): void {
    if (id === this.#last) this.#newest = undefined
    else this.#callouts.delete(id)
  }

  /** Pushes an object of a callout. */
  push(L: number, kind: ObjectKind, id: number): void {
    const { lua, machine, frame } = this.#state
    let address = this.#host.spares.userdata()
    if (address !== 0) frame.pushObject(L, address, TYPE.userdata)
    else {
      lua.lua_newuserdata(L, objectSize)
      address = frame.address(L, frame.top(L))
    }
    const at = frame.octetsOf(address)
    const number = kindNumber(kind)
    machine.doubles[at >> 3] = id
    machine.words[(at + 8) >> 2] = number
    frame.adorn(address, this.#metatables[number] ?? 0)
  }

  /** Methods that may wait: `prelude.lua` wraps them. */
  waitingFunctions(kind: ObjectKind): Readonly<Record<string, (L: number) => number>> {
    return this.#bind(kind, kind === 'msg' ? this.#content : {})
  }

  /** The tables that `prelude.lua` makes its classes of. */
  methodFunctions(kind: ObjectKind): Readonly<Record<string, (L: number) => number>> {
    return this.#bind(kind, this.#methods[kind])
  }

  #bind(kind: ObjectKind, methods: MethodTable): Readonly<Record<string, (L: number) => number>> {
    return Object.fromEntries(
      Object.entries(methods).map(([name, method]) => [
        name,
        (L: number) => method(L, this.#calloutOf(L, kind)),
      ]),
    )
  }

  readField(kind: ObjectKind): (L: number) => number {
    return (L) => {
      const callout = this.#calloutOf(L, kind)
      this.#pushField(L, kind, callout)
      return 1
    }
  }

  writeField(kind: ObjectKind): (L: number) => number {
    return (L) => {
      const callout = this.#calloutOf(L, kind)
      const name = this.#state.checkString(L, 2)
      if (kind === 'params') {
        writeParameter(this.#state, L, callout, name)
        return 0
      }
      if (kind === 'msg' && name === 'priority') {
        writePriority(this.#state, L, callout)
        return 0
      }
      refuseUnbuilt(kind, name)
      if (kind !== 'vctx') throw new ScriptError(`${kind}.${name} cannot be set`, 2)
      writeContextField(this.#state, L, callout, name)
      return 0
    }
  }

  /** msys.core.accept_construct_get_message_construct(ac) */
  messageConstruct(L: number): number {
    this.#calloutOf(L, 'ac')
    this.push(L, 'mc', this.#idAt(L, 1))
    return 1
  }

  /** msys.core.ec_message_new(): good until the callout ends */
  newMessage(L: number): number {
    const maker = this.#host.current()
    if (maker === undefined) throw new ScriptError('msys.core.ec_message_new works only in a callout')
    const id = this.open(maker.forNewMessage())
    maker.whenEnded(() => this.close(id))
    this.push(L, 'msg', id)
    return 1
  }

  /** msys.tls_params.set(params, name, value) */
  setParameter(L: number): number {
    writeParameter(this.#state, L, this.#calloutOf(L, 'params'), this.#state.checkString(L, 2))
    return 0
  }

  /** Which of the objects a value is; undefined for anything else. */
  kindAt(L: number, index: number): ObjectKind | undefined {
    const { lua, machine } = this.#state
    if (lua.lua_type(L, index) !== TYPE.userdata) return undefined
    return kinds[machine.words[(lua.lua_touserdata(L, index) + 8) >> 2] ?? -1]
  }

  /** Keeps the metatable on top of the stack for a kind. */
  adopt(L: number, kind: ObjectKind): void {
    const { lua, frame } = this.#state
    // a reference keeps it alive, and Lua never moves what it has made
    this.#metatables[kindNumber(kind)] = frame.address(L, lua.lua_gettop(L))
    lua.luaL_ref(L, REGISTRY)
  }

  #idAt(L: number, index: number): number {
    const at = this.#state.lua.lua_touserdata(L, index)
    return this.#state.machine.doubles[at >> 3] ?? 0
  }

  #calloutOf(L: number, kind: ObjectKind): Callout {
    const { frame, machine } = this.#state
    // all userdata of a state are ours: scripts cannot make any
    const at = frame.type(L, 1) === TYPE.userdata ? frame.userdataAt(L, 1) : 0
    if (at === 0 || machine.words[(at + 8) >> 2] !== kindNumber(kind)) {
      throw new ScriptError(
        `calling a ${kind} method on something else; use ':' and the ${kind} of this callout`,
      )
    }
    const id = machine.doubles[at >> 3] ?? 0
    const callout = id === this.#last ? this.#newest : this.#callouts.get(id)
    if (callout === undefined) throw new ScriptError(`this ${kind} belongs to a callout that has ended`)
    return callout
  }

  #pushField(L: number, kind: ObjectKind, callout: Callout): void {
    const state = this.#state
    const name = state.frame.type(L, 2) === TYPE.string ? this.#host.known.check(L, 2) : ''
    const { session } = callout.subject
    if (kind === 'params') return readParameter(state, L, callout, name)
    if (kind === 'response') return readResponse(state, L, callout, name)
    const text = (value: string): void => state.push(L, value)
    switch (`${kind}.${name}`) {
      case 'ac.remote_addr':
        return text(formatEndpoint(session.remote))
      case 'ac.listener_addr':
      case 'ac.local_addr':
        return text(formatEndpoint(session.local))
      case 'ac.protocol':
        return state.lua.lua_pushnumber(L, 1)
      case 'mc.ctx':
        return this.push(L, 'vctx', this.#idAt(L, 1))
      case 'msg.batch_id':
        return text(callout.message.batchId ?? callout.message.id)
      case 'msg.id':
        return text(callout.message.id)
      case 'msg.conn_id':
        return text(session.connectionId)
      case 'msg.priority':
        return state.lua.lua_pushnumber(L, callout.message.priority ?? 0)
      default:
        if (kind === 'vctx' && readContextField(state, L, callout, name)) return
        refuseUnbuilt(kind, name)
        return state.lua.lua_pushnil(L)
    }
  }
}

function refuseUnbuilt(kind: ObjectKind, name: string): void {
  if (!unbuiltFields.includes(`${kind}.${name}`)) return
  throw new ScriptError(`${kind}.${name} is recognised but not implemented`, 2)
}
