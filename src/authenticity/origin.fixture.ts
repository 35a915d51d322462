/** A DNS server with keys in it, and messages that are signed with them: for the tests of what comes in. */

import { generateKeyPairSync } from 'node:crypto'
import { TestDnsServer, type Zone } from '../../test/support/dns-server.ts'
import { fixedServers } from '../dns/name-servers.ts'
import { StubResolver } from '../dns/stub-resolver.ts'
import { BodyHashes, dkimSignature, type SigningKey } from './sign.ts'
import type { CheckBounds } from './spf.ts'

const pair = generateKeyPairSync('ed25519')
const raw = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)

/** the record of the key that `sign` uses */
export const KEY_RECORD = `v=DKIM1; k=ed25519; p=${raw.toString('base64')}`

export const FROM = 'From: Alice <alice@bank.example>\r\nSubject: Hello\r\n'
export const BODY = 'Hello\r\n'

export async function* pieces(...texts: readonly string[]): AsyncIterable<Uint8Array> {
  for (const text of texts) {
    yield Buffer.from(text, 'latin1')
    await Promise.resolve()
  }
}

/** The header with a signature above it. */
export async function sign(
  header = FROM,
  changes: Partial<SigningKey> = {},
  body: () => AsyncIterable<Uint8Array> = () => pieces(BODY),
): Promise<string> {
  const key: SigningKey = {
    domain: 'bank.example',
    selector: 's1',
    key: pair.privateKey,
    headerCanon: 'relaxed',
    bodyCanon: 'relaxed',
    headers: ['from', 'subject'],
    oversigned: ['from', 'subject'],
    lifetime: 0,
    ...changes,
  }
  return `${(await dkimSignature(header, new BodyHashes(body), key, Date.now())) ?? ''}${header}`
}

export interface Lab {
  readonly dns: TestDnsServer
  /** with little time for all questions */
  readonly bounds: CheckBounds
  close(): Promise<void>
}

export async function startLab(zone: Zone): Promise<Lab> {
  const dns = await TestDnsServer.start(zone)
  const resolver = new StubResolver({ servers: fixedServers([dns.address]), timeout: 600, rounds: 1 })
  return {
    dns,
    bounds: { resolver, signal: new AbortController().signal, timeout: 400 },
    close: () => dns.close(),
  }
}
