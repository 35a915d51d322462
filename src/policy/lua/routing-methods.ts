/** `msg` as scripts see it: who it is from and to, and where it goes (momentum: lua/ref-msg-*). */

import { defaultEgress, type Egress } from '../../config/settings-queue.ts'
import { formatMailbox } from '../../mail/address.ts'
import { isReplyCode } from '../decision.ts'
import type { AnyPhase, MessageFacts } from '../phases.ts'
import type { Callout, MethodTable } from './callout.ts'
import { constants } from './catalogue.ts'
import { pushValue } from './lib/values.ts'
import { addressesOf } from './part-methods.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'

/** Those in which a message is one recipient's. */
export const copyPhases: readonly AnyPhase[] = [
  'data_spool_each_rcpt',
  'each_rcpt_after',
  'set_binding',
  'final_validation2',
  'final_validation',
  'post_final_validation',
]

export function replyMethods(state: LuaState): MethodTable {
  const { lua } = state
  return {
    /** every field of a name is read for addresses; the component is one of msys.parseRFC2822Addresses */
    address_header: (L, callout) => {
      const { headers } = callout.message
      if (headers === undefined) throw new ScriptError('msg:address_header works from validate_data on')
      const component = lua.lua_type(L, 3) <= TYPE.nil ? 'all' : state.checkString(L, 3)
      pushValue(state, L, addressesOf(headers.values(state.checkString(L, 2)), component))
      return 1
    },
    /** msg:code([number, text]): the reply; with number 0 the text begins with it */
    code: (L, callout) => {
      const { decision, phase } = callout.subject
      if (callout.ownMessage)
        throw new ScriptError('msg:code: nobody is answered about a message that a script made')
      if (lua.lua_type(L, 2) > TYPE.nil) {
        if (phase === 'set_binding') throw new ScriptError('msg:code cannot be set in validate_set_binding')
        const text = lua.lua_type(L, 3) <= TYPE.nil ? '' : state.checkString(L, 3)
        const number = Number(state.checkString(L, 2))
        const [, own = '', rest = ''] = /^(\d{3})[ -]?([^]*)$/.exec(text) ?? []
        const code = number === 0 ? Number(own) : number
        if (!isReplyCode(code)) throw new ScriptError('a reply code is 2xx, 4xx or 5xx')
        decision.reply(code, number === 0 ? rest : text, state.place(L))
      }
      state.push(L, `${decision.code ?? 250} ${decision.text}`.trimEnd())
      return 1
    },
  }
}

/** msg:binding([name]), msg:binding_group([name]): what it is or has become; nil for a name that no binding or group has. */
function binding(state: LuaState, L: number, callout: Callout, name: 'binding' | 'binding_group'): number {
  const { lua } = state
  const { message, subject } = callout
  const part = name === 'binding' ? 'binding' : 'bindingGroup'
  if (lua.lua_type(L, 2) > TYPE.nil) {
    if (subject.phase !== 'set_binding')
      throw new ScriptError(`msg:${name} can be set in validate_set_binding only`)
    refuseOwn(callout, name)
    const wanted = state.checkString(L, 2)
    const chosen = name === 'binding' ? bindingNamed(message, wanted) : bindingOf(message, wanted)
    if (chosen === undefined) {
      lua.lua_pushnil(L)
      return 1
    }
    message.egress = chosen
  }
  state.push(L, (message.egress ?? defaultEgress)[part])
  return 1
}

type Bound = Pick<MessageFacts, 'egress' | 'bindings'>

function bindingNamed({ egress, bindings }: Bound, name: string): Egress | undefined {
  if (bindings === undefined) return name === defaultEgress.binding ? defaultEgress : undefined
  return bindings.findBinding(name, egress?.bindingGroup)
}

/** One of the group's: the one that the message has, if it is of the group, else any. */
function bindingOf({ egress, bindings }: Bound, group: string): Egress | undefined {
  if (egress?.bindingGroup === group) return egress
  if (bindings === undefined || group === defaultEgress.bindingGroup)
    return group === defaultEgress.bindingGroup ? defaultEgress : undefined
  const inside = bindings.bindingsOf(group) ?? []
  const chosen = inside[Math.floor(Math.random() * inside.length)]
  return chosen === undefined ? undefined : { bindingGroup: group, binding: chosen }
}

/** msg:inject sends it like any other. */
function refuseOwn(callout: Callout, name: string): void {
  if (callout.ownMessage) throw new ScriptError(`msg: a message that a script made has no ${name} to set`)
}

/** msg.priority = 0 or 1 (momentum: 4-implementing-policy-scriptlets) */
export function writePriority(state: LuaState, L: number, callout: Callout): void {
  const { message } = callout
  refuseOwn(callout, 'priority')
  const priority = state.lua.luaL_checknumber(L, 3)
  if (priority !== 0 && priority !== 1) throw new ScriptError('msg.priority is 0 or 1')
  if (message.content === undefined) throw new ScriptError('msg.priority can be set from validate_data on')
  message.priority = priority
}

export function routingMethods(state: LuaState): MethodTable {
  const { lua } = state
  return {
    binding: (L, callout) => binding(state, L, callout, 'binding'),
    binding_group: (L, callout) => binding(state, L, callout, 'binding_group'),
    routing_domain: (L, callout) => {
      const { message, subject } = callout
      if (lua.lua_type(L, 2) > TYPE.nil) {
        if (!copyPhases.includes(subject.phase))
          throw new ScriptError('msg:routing_domain can be set from validate_data_spool_each_rcpt on')
        refuseOwn(callout, 'routing_domain')
        const domain = state.checkString(L, 2).toLowerCase()
        if (!/^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/.test(domain))
          throw new ScriptError('msg:routing_domain: not a domain')
        message.routingDomain = domain
      }
      state.push(L, message.routingDomain ?? message.recipient?.domain ?? '')
      return 1
    },
    get_delivery_method: (L) => {
      state.push(L, 'smtp')
      return 1
    },
    is_mcmt: (L) => {
      lua.lua_pushboolean(L, 0)
      return 1
    },
    /** returns local part and domain; prelude.lua puts them into the strings of get_envelope2(flags, local, domain) */
    get_envelope2: (L, callout) => {
      const flags = lua.luaL_checknumber(L, 2)
      const whole = flags >= constants.EC_MSG_ENV_COMPLETE
      const which = whole ? flags - constants.EC_MSG_ENV_COMPLETE : flags
      if (which !== constants.EC_MSG_ENV_FROM && which !== constants.EC_MSG_ENV_TO)
        throw new ScriptError(
          'EC_MSG_ENV_FROM or EC_MSG_ENV_TO expected, and EC_MSG_ENV_COMPLETE added to one of them',
        )
      const mailbox = which === constants.EC_MSG_ENV_FROM ? callout.message.sender : callout.message.recipient
      if (whole) {
        state.push(L, mailbox === undefined ? '' : formatMailbox(mailbox))
        return 1
      }
      state.push(L, mailbox?.local ?? '')
      state.push(L, mailbox?.domain ?? '')
      return 2
    },
  }
}
