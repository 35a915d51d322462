/** What MAIL and RCPT have in common: how wire's findings about addresses and parameters are answered. */

import { isAddressLiteral } from '../mail/address.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { CommandOptions, SyntaxProblem } from '../wire/command.ts'
import { refuse } from './reject.ts'
import type { Session } from './session-state.ts'

type Verb = 'MAIL FROM' | 'RCPT TO'

/** How leniently a path is read in this scope. */
export function pathOptions(
  session: Session,
  allowUnqualified: boolean,
  utf8: CommandOptions['utf8'],
): CommandOptions {
  const { options } = session.transaction?.scope ?? session.scope
  return { allowTrailingWhitespace: options.allow_trailing_whitespace_in_commands, allowUnqualified, utf8 }
}

/** The refusal that answers a line which could not be read. */
export function problemWith(verb: Verb, { problem, parameter }: SyntaxProblem): Error {
  switch (problem) {
    case 'non-ascii':
      // RFC 6531 §3.5: an address that needs SMTPUTF8, which is not offered or was not asked for
      return refuse(553, '5.6.7 non-ASCII addresses are not supported')
    case 'too-long':
      return refuse(501, `5.1.${verb === 'MAIL FROM' ? 7 : 3} address is too long`)
    case 'parameter':
      return unknownParameter(parameter ?? '')
    default:
      return refuse(501, `5.5.2 ${verb} syntax error`)
  }
}

/** A value that a known parameter cannot have. */
export function badValue(parameter: string): Error {
  return refuse(501, `5.5.4 invalid ${parameter}`)
}

/** RFC 5321 §4.1.1.11. */
export function unknownParameter(parameter: string): Error {
  return refuse(555, `5.5.4 parameter not recognized: ${parameter}`)
}

/** The mailbox with the domain that the scope lends to unqualified ones, if it does. */
export function qualify(mailbox: Mailbox, domain: string | undefined): Mailbox {
  return mailbox.domain === '' && domain !== undefined
    ? { ...mailbox, domain: domain.toLowerCase() }
    : mailbox
}

export function checkLiteral(session: Session, mailbox: Mailbox, verb: Verb): void {
  const { options } = session.transaction?.scope ?? session.scope
  if (options.allow_ip_literal || !isAddressLiteral(mailbox.domain)) return
  throw refuse(501, `5.1.${verb === 'MAIL FROM' ? 7 : 3} address literals are not accepted`)
}
