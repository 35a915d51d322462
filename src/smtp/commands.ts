/**
 * The one table of commands. A verb is looked up here and nowhere else; there is no second switch. How a row is run:
 * `command.ts`. What each verb may do is in the file that it comes from.
 */

import { auth } from './auth/auth.ts'
import { bdat } from './bdat.ts'
import type { Command } from './command.ts'
import { data } from './data.ts'
import { ehlo, helo } from './hello.ts'
import { mailFrom } from './mail-from.ts'
import { rcptTo } from './rcpt-to.ts'
import { makeHelp, noop, quit, rset, vrfy } from './simple.ts'
import { starttls } from './starttls.ts'
import { xclient } from './xclient.ts'
import { xdumpcontext } from './xdumpcontext.ts'
import { xremoteip } from './xremoteip.ts'
import { xsetcontext } from './xsetcontext.ts'

/** what HELP names: verbs that every client may use */
const PUBLIC: readonly Command[] = [
  ehlo,
  helo,
  starttls,
  auth,
  mailFrom,
  rcptTo,
  data,
  rset,
  noop,
  vrfy,
  quit,
]

const help = makeHelp(() => [...PUBLIC.map(({ verb }) => verb), 'HELP'])

export const commands: ReadonlyMap<string, Command> = new Map(
  [...PUBLIC, help, bdat, xdumpcontext, xclient, xremoteip, xsetcontext].map((row) => [row.verb, row]),
)
