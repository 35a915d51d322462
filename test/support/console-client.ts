/** The console of a gate in the test's process. */

import { ConsoleConnection } from '../../src/cli/console/connection.ts'
import { credentialsFrom } from '../../src/cli/console/login.ts'
import type { Frame } from '../../src/console/protocol.ts'

/** A connection to a UNIX socket of the console. */
export async function openConsole(path: string): Promise<ConsoleConnection> {
  const nobody = { user: undefined, passwordFile: undefined, environment: undefined, prompt: undefined }
  return await ConsoleConnection.open(
    { kind: 'unix', path, shown: path, user: undefined },
    credentialsFrom(nobody),
  )
}

/** One command on a connection of its own. */
export async function ask(path: string, line: string): Promise<Frame> {
  const connection = await openConsole(path)
  try {
    return await connection.ask(line)
  } finally {
    connection.close()
  }
}

/** The text of an answer. @throws when the command failed */
export async function told(path: string, line: string): Promise<string> {
  const { status, text } = await ask(path, line)
  if (status !== 'ok') throw new Error(`${line}: ${text}`)
  return text
}

/** The data of an answer. */
export async function data(path: string, line: string): Promise<unknown> {
  return JSON.parse(await told(path, `json ${line}`))
}
