/**
 * A throwaway public-key infrastructure for trying things out: what `postern pki DIR` writes and what the demo uses.
 *
 * One CA, a server, clients that are valid, untrusted, expired, revoked, not yet valid and of the wrong usage, and the
 * CA's revocation list. Keys lie in the clear; nothing here is fit for production.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { type AltName, Authority, type Credential, selfSigned } from './authority.ts'

export interface PkiOptions {
  /** DNS names and IP addresses of the server's certificate; default localhost, 127.0.0.1 and ::1 */
  readonly serverNames?: readonly string[]
  /** milliseconds since the epoch; default: now */
  readonly now?: number
  /** how long what is valid stays so; default 365 */
  readonly days?: number
}

/** The clients that are made, which are also parts of file names: `client-valid.pem`. */
export type ClientKind =
  | 'valid'
  | 'untrusted'
  | 'selfsigned'
  | 'expired'
  | 'not-yet-valid'
  | 'wrong-usage'
  | 'revoked'

export interface Pki {
  readonly authority: Authority
  readonly otherAuthority: Authority
  readonly server: Credential
  readonly clients: Readonly<Record<ClientKind, Credential>>
  /** PEM; lists the revoked client */
  readonly crl: string
  /** file name → PEM: ca.pem, ca.key, other-ca.pem, server.pem, server.key, client-KIND.pem, client-KIND.key, crl.pem */
  readonly files: ReadonlyMap<string, string>
}

const DAY = 86_400_000

/** Makes everything anew; takes some milliseconds. */
export async function makePki(options: PkiOptions = {}): Promise<Pki> {
  const now = options.now ?? Date.now()
  const notAfter = now + (options.days ?? 365) * DAY
  const authority = Authority.root({ subject: 'Postern test CA', now, notAfter })
  const otherAuthority = Authority.root({ subject: 'Some other CA', now, notAfter })
  const names = options.serverNames ?? ['localhost', '127.0.0.1', '::1']
  const server = authority.issue({
    subject: names[0] ?? 'localhost',
    usage: 'server',
    altNames: names.map(altName),
    now,
    notAfter,
  })
  const clients = makeClients(authority, otherAuthority, { now, notAfter })
  const crl = authority.crl({ revoked: [clients.revoked.serial], now, nextUpdate: notAfter })
  const files = new Map([
    ['ca.pem', authority.cert],
    ['ca.key', authority.credential.key],
    ['other-ca.pem', otherAuthority.cert],
    ['server.pem', server.cert],
    ['server.key', server.key],
    ...Object.entries(clients).flatMap(([kind, client]): [string, string][] => [
      [`client-${kind}.pem`, client.cert],
      [`client-${kind}.key`, client.key],
    ]),
    ['crl.pem', crl],
  ] satisfies [string, string][])
  return { authority, otherAuthority, server, clients, crl, files }
}

/**
 * Writes the files into a directory, which is made when missing; keys can be read by the owner only.
 * @returns the paths, in the order of `pki.files`
 */
export async function writePki(directory: string, pki: Pki): Promise<readonly string[]> {
  await mkdir(directory, { recursive: true })
  const paths: string[] = []
  for (const [name, text] of pki.files) {
    const path = join(directory, name)
    await writeFile(path, text, { mode: name.endsWith('.key') ? 0o600 : 0o644 })
    paths.push(path)
  }
  return paths
}

function makeClients(
  authority: Authority,
  other: Authority,
  { now, notAfter }: { readonly now: number; readonly notAfter: number },
): Record<ClientKind, Credential> {
  const request = (kind: ClientKind) => ({
    subject: `client-${kind}.example`,
    altNames: [
      { kind: 'dns', value: `client-${kind}.example` },
      { kind: 'email', value: `${kind}@example.com` },
    ] satisfies AltName[],
    now,
    notAfter,
  })
  return {
    valid: authority.issue(request('valid')),
    untrusted: other.issue(request('untrusted')),
    selfsigned: selfSigned(request('selfsigned')),
    expired: authority.issue({ ...request('expired'), notBefore: now - 30 * DAY, notAfter: now - DAY }),
    'not-yet-valid': authority.issue({
      ...request('not-yet-valid'),
      notBefore: now + DAY,
      notAfter: now + 30 * DAY,
    }),
    'wrong-usage': authority.issue({ ...request('wrong-usage'), usage: 'server' }),
    revoked: authority.issue(request('revoked')),
  }
}

function altName(name: string): AltName {
  return { kind: isIP(name) === 0 ? 'dns' : 'ip', value: name }
}
