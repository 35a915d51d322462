/** `vctx:add_recipient`, `remove_recipient`, `recipient_list` (momentum: lua/ref-vctx-*-recipient*). */

import { formatMailbox } from '../../mail/address.ts'
import type { Mailbox } from '../../mail/envelope.ts'
import type { RecipientList } from '../phases.ts'
import type { Callout, CalloutSubject, MethodTable, ObjectHost } from './callout.ts'
import { readMailbox } from './mailbox.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'

export function recipientMethods({ state }: ObjectHost): MethodTable {
  return {
    add_recipient: (L, callout) => {
      const list = listOf(callout, 'add_recipient')
      set(list, [...list.mailboxes, ...readAddresses(state, L)])
      return 0
    },
    remove_recipient: (L, callout) => {
      const list = listOf(callout, 'remove_recipient')
      const gone = new Set(readAddresses(state, L).map(identity))
      set(
        list,
        list.mailboxes.filter((mailbox) => !gone.has(identity(mailbox))),
      )
      return 0
    },
    recipient_list: (L, callout) => {
      const list = listOf(callout, 'recipient_list')
      if (state.lua.lua_type(L, 2) > TYPE.nil) set(list, readAddresses(state, L))
      pushRecipients(state, L, callout.subject)
      return 1
    },
  }
}

function listOf({ subject }: Callout, name: string): RecipientList {
  const list = subject.message?.recipients
  if (list !== undefined) return list
  throw new ScriptError(`vctx:${name} works from validate_data to validate_rcptto_list_final`)
}

function set(list: RecipientList, mailboxes: readonly Mailbox[]): void {
  try {
    list.replace(mailboxes)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ScriptError(error.message)
  }
}

/** The second argument: an address, or a table of addresses that begins at 0 or at 1. */
function readAddresses(state: LuaState, L: number): Mailbox[] {
  const { lua } = state
  if (lua.lua_type(L, 2) !== TYPE.table) return [address(state.checkString(L, 2))]
  const found: Mailbox[] = []
  for (let index = 0; ; index++) {
    lua.lua_rawgeti(L, 2, index)
    const type = lua.lua_type(L, -1)
    const text = type === TYPE.string ? state.read(L, -1) : undefined
    lua.lua_settop(L, -2)
    if (text !== undefined) found.push(address(text))
    else if (type > TYPE.nil) throw new ScriptError('a table of addresses holds strings')
    else if (index > 0) return found
  }
}

function address(text: string): Mailbox {
  const mailbox = readMailbox(text)
  if (mailbox === undefined) throw new ScriptError('a recipient cannot be empty')
  return mailbox
}

/** Local parts are compared as they are written (RFC 5321 §2.4); domains are in lower case already. */
function identity(mailbox: Mailbox): string {
  return formatMailbox(mailbox)
}

/** A table of addresses that begins at 0, as lists from C do in Momentum. */
export function pushRecipients(state: LuaState, L: number, subject: CalloutSubject): void {
  const { lua } = state
  const recipients = subject.message?.recipients?.mailboxes ?? []
  lua.lua_createtable(L, recipients.length, 1)
  for (const [index, mailbox] of recipients.entries()) {
    state.push(L, formatMailbox(mailbox))
    lua.lua_rawseti(L, -2, index)
  }
}
