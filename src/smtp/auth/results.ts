/**
 * Authentication-Results (RFC 8601): the field that says who logged in, what came of the certificate and of the checks of
 * the message's origin, and the removal of fields that claim to be ours.
 *
 * Whatever a user's name holds, it can neither end its value nor start a line. A field of the client's that bears our
 * name was not written by us (RFC 8601 §5), and one of which no name can be read might be taken for ours: both go.
 */

import type { HeaderBlock } from '../../mail/headers.ts'
import { certificateResult } from '../../tls/result-statement.ts'
import { originStatements } from '../origin.ts'
import type { Session, Transaction } from '../session-state.ts'

const FIELD = 'Authentication-Results'
const MAX_NAME = 200

/** Momentum's mask (changelog 4.2.38) */
const MASK = 'xxxx'

/** Takes out what a client wrote in our name. */
export function removeForgedResults(session: Session, transaction: Transaction, headers: HeaderBlock): void {
  if (headers.count(FIELD) === 0) return
  const ours = authservId(session, transaction)
  headers.deleteWhere(FIELD, (value) => {
    const claimed = readAuthservId(value)
    if (claimed === undefined) return true
    // what follows the name must not be part of a longer one
    return claimed.startsWith(ours) && !/^[a-z0-9._-]/.test(claimed.slice(ours.length))
  })
}

/** Puts our field on top, where there is something to say. */
export function addResults(session: Session, transaction: Transaction, headers: HeaderBlock): void {
  const { options } = transaction.scope
  const results = [
    loginResult(session, options.authentication_results),
    options.tls_authentication_results ? certificateResult(session.peer, session.partner) : undefined,
    ...originStatements(session),
  ].filter((each) => each !== undefined)
  if (results.length === 0) return
  headers.prepend(FIELD, [authservId(session, transaction), ...results].join(';\r\n'))
}

function loginResult({ authenticated }: Session, told: 'masked' | 'full' | 'none'): string | undefined {
  if (authenticated === undefined || told === 'none') return undefined
  const user = told === 'full' ? propertyValue(authenticated.user) : MASK
  return `auth=pass (${authenticated.mechanism}) smtp.auth=${user}`
}

/** The same name as in Received, in lower case. */
function authservId({ services }: Session, { scope }: Transaction): string {
  return (scope.options.received_hostname ?? services.hostname).replace(/[^!-~]|[;()"\\]/g, '?').toLowerCase()
}

/** RFC 8601 §2.2: `[CFWS] authserv-id`, where the id is a token or a quoted string. In lower case. */
function readAuthservId(value: string): string | undefined {
  const text = withoutComments(value)?.trimStart()
  if (text === undefined) return undefined
  const match = /^(?:"(?<quoted>(?:[^"\\]|\\[^])*)"|(?<token>[^\s;"()\\]+))\s*(?=$|[;\s\d])/.exec(
    text,
  )?.groups
  const id = match?.['quoted']?.replace(/\\([^])/g, '$1').trim() ?? match?.['token']
  return id?.toLowerCase().replace(/\.+$/, '')
}

/** Comments nest (RFC 5322 §3.2.2). undefined when one does not end. */
function withoutComments(value: string): string | undefined {
  let depth = 0
  let inQuotes = false
  let result = ''
  for (let at = 0; at < value.length; at++) {
    const char = value.charAt(at)
    if (char === '\\') {
      if (depth === 0) result += value.slice(at, at + 2)
      at++
    } else if (depth === 0 && char === '"') {
      inQuotes = !inQuotes
      result += char
    } else if (!inQuotes && char === '(') depth++
    else if (!inQuotes && char === ')' && depth > 0) depth--
    else if (depth === 0) result += char
  }
  return depth === 0 ? result : undefined
}

/** RFC 8601 §2.2 `pvalue`: a token or an address as it is, anything else quoted and free of what is not plain ASCII. */
function propertyValue(user: string): string {
  const name = user.slice(0, MAX_NAME)
  if (/^[A-Za-z0-9!#$%&'*+.^_`{|}~-]+(?:@[A-Za-z0-9.-]+)?$/.test(name)) return name
  return `"${name.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`
}
