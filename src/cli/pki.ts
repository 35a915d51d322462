/**
 * `postern pki DIR`: a throwaway CA with a server, clients of every kind and a revocation list, for trying things out.
 *
 * Writes only into a folder that is new, empty, or was written by this command before; in that case everything is made
 * anew. Keys can be read by their owner only.
 */

import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type ClientKind, makePki, writePki } from '../tls/pki.ts'
import { type Io, styler } from './io.ts'

/** By this file a folder is known as one of ours. */
const MARKER = '.postern-pki'
const MARKER_TEXT = 'Throwaway certificates made by "postern pki". Not for production.\n'

/** @param argv the folder. @returns the exit code: 0, or 1 with a message on stderr */
export async function runPki(argv: readonly string[], io: Io): Promise<number> {
  const [folder, ...rest] = argv
  if (folder === undefined || folder === '' || rest.length > 0) {
    io.stderr.write('postern pki: name one folder to write to\n')
    return 1
  }
  try {
    const refusal = reasonToRefuse(folder)
    if (refusal !== undefined) {
      io.stderr.write(`postern pki: ${refusal}\n`)
      return 1
    }
    const pki = await makePki()
    mkdirSync(folder, { recursive: true, mode: 0o755 })
    writeFileSync(path.join(folder, MARKER), MARKER_TEXT)
    // What was there keeps neither its mode nor, if it is a link, its target.
    for (const name of pki.files.keys()) rmSync(path.join(folder, name), { force: true })
    await writePki(folder, pki)
    io.stdout.write(describe(folder, [...pki.files.keys()], io))
    return 0
  } catch (error) {
    io.stderr.write(`postern pki: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

function reasonToRefuse(folder: string): string | undefined {
  const found = statSync(folder, { throwIfNoEntry: false })
  if (found === undefined) return undefined
  if (!found.isDirectory()) return `${folder} is not a folder`
  if (existsSync(path.join(folder, MARKER)) || readdirSync(folder).length === 0) return undefined
  return `${folder} is not empty and was not made by this command; name a new folder`
}

function describe(folder: string, names: readonly string[], io: Io): string {
  const style = styler(io)
  const width = Math.max(...names.map((name) => name.length))
  const listed = names.filter((name) => !name.endsWith('.key'))
  const lines = listed.map((name) => `  ${name.padEnd(width)}  ${style('dim', meaningOf(name))}`)
  const at = (name: string): string => shellQuote(path.join(folder, name))
  const command = [
    'openssl s_client -connect localhost:25 -starttls smtp -crlf -quiet',
    `-CAfile ${at('ca.pem')} -verify_return_error`,
    `-cert ${at('client-valid.pem')} -key ${at('client-valid.key')}`,
  ]
  const options = [
    ['TLS_Certificate', 'server.pem'],
    ['TLS_Key', 'server.key'],
    ['TLS_Client_CA', 'ca.pem'],
    ['TLS_Client_CRL', 'crl.pem'],
  ] as const
  return [
    `${style('bold', `Certificates for trying things out, in ${folder}`)} (each with its .key beside it; not for production):`,
    ...lines,
    '',
    'In a configuration:',
    ...options.map(([option, name]) => `  ${option} = "${path.resolve(folder, name)}"`),
    '',
    'As a client with the valid certificate (replace "valid" by another kind):',
    `  ${command.join(' \\\n    ')}`,
    '',
  ].join('\n')
}

function meaningOf(name: string): string {
  const kind = /^client-(.*)\.pem$/.exec(name)?.[1]
  if (kind !== undefined) return clientMeanings[kind as ClientKind]
  return fileMeanings.get(name) ?? ''
}

const clientMeanings: Readonly<Record<ClientKind, string>> = {
  valid: 'a client that verifies',
  untrusted: 'a client whose issuer is other-ca.pem, which nobody trusts',
  selfsigned: 'a client that issued its own certificate',
  expired: 'a client whose certificate ended yesterday',
  'not-yet-valid': 'a client whose certificate begins tomorrow',
  'wrong-usage': 'a certificate for servers only, used as a client',
  revoked: 'a client that crl.pem lists',
}

const fileMeanings: ReadonlyMap<string, string> = new Map([
  ['ca.pem', 'the CA: TLS_Client_CA, and what clients trust'],
  ['other-ca.pem', 'another CA, which issued client-untrusted.pem'],
  ['server.pem', 'the server, for localhost, 127.0.0.1 and ::1'],
  ['crl.pem', 'the CA’s revocation list'],
])

/** For a POSIX shell. */
function shellQuote(text: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
