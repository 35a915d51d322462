/**
 * Certificates for tests: the PKI of `postern pki`, made once per test process, and what goes beyond it.
 *
 * Everything is real (ECDSA P-256); only hostile names are encoded as no CA would.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {
  Authority,
  AuthorityRequest,
  CertificateRequest,
  Credential,
  NameAttribute,
} from '../../src/tls/authority.ts'
import { TAG } from '../../src/tls/der-writer.ts'
import { makePki, type Pki, writePki } from '../../src/tls/pki.ts'

const cache: { pki?: Promise<Pki> } = {}

/** The one PKI of this process: authority, otherAuthority, server, clients by kind, crl, files. */
export function testPki(): Promise<Pki> {
  cache.pki ??= makePki()
  return cache.pki
}

/** A temporary directory with the files of the PKI; `await using` removes it. */
export interface PkiDirectory extends AsyncDisposable {
  readonly pki: Pki
  readonly path: string
  /** absolute path of a file in it */
  file(name: string): string
  /** writes or replaces a file; its absolute path */
  write(name: string, text: string | Uint8Array): Promise<string>
}

export async function pkiDirectory(): Promise<PkiDirectory> {
  const pki = await testPki()
  const path = await mkdtemp(join(tmpdir(), 'postern-pki-'))
  await writePki(path, pki)
  return {
    pki,
    path,
    file: (name) => join(path, name),
    write: async (name, text) => {
      await writeFile(join(path, name), text)
      return join(path, name)
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}

/** A client of the PKI's CA with particulars of its own. */
export async function issueClient(request: Partial<CertificateRequest>): Promise<Credential> {
  const { authority } = await testPki()
  return authority.issue({ subject: 'client.example', ...request })
}

/** A client whose certificate verifies now and expires in some seconds (certificates know whole seconds). */
export function expiringClient(seconds: number): Promise<Credential> {
  return issueClient({ subject: 'client-expiring.example', notAfter: Date.now() + seconds * 1000 })
}

/** A CA between the root and its clients. */
export async function intermediateAuthority(request: Partial<AuthorityRequest> = {}): Promise<Authority> {
  const { authority } = await testPki()
  return authority.intermediate({ subject: 'Postern test intermediate', ...request })
}

/** Common names that have broken servers before, by what is bad about them. */
export const hostileNames: ReadonlyMap<string, NameAttribute> = new Map([
  ['CR LF', cn('evil\r\nX-Injected: yes')],
  ['NUL', cn('good.example\0.evil.example')],
  ['ESC', cn('\u001b[2J\u001b]0;owned\u0007')],
  ['bidi', cn('gate\u202Eelpmaxe.doog')],
  ['line separator', cn('one\u2028two\u2029three')],
  ['DN in CN', cn('x,O=Trusted/O=Trusted')],
  ['quotes', cn(`"'\`$(id)%n@{}[]<>;#\\`)],
  ['Lua', cn(']]) os.execute("id") --[[')],
  ['invalid UTF-8', cn(Buffer.from('6261c3286420ff', 'hex'))],
  ['BMPString', cn(Buffer.from('00670061000d000a202e', 'hex'), TAG.bmpString)],
  ['T61String', cn(Buffer.from('caf\xe9\n', 'latin1'), TAG.t61String)],
  ['UniversalString', cn(Buffer.from('0000006700000000', 'hex'), TAG.universalString)],
  ['no string', cn(Buffer.from('0102', 'hex'), TAG.octetString)],
  ['long', cn('x'.repeat(64 * 1024))],
])

function cn(value: string | Uint8Array, tag: number = TAG.utf8String): NameAttribute {
  return { type: '2.5.4.3', value, tag }
}
