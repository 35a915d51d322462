/** What a handshake in one scope is made of. */

import type { InboundScope } from '../config/settings.ts'
import type { ProtocolRange } from './cipher-options.ts'
import type { ClientCas, ServerCertificate } from './material.ts'
import type { TlsFacts } from './peer.ts'
import type { RevocationLists } from './revocation.ts'

export interface Plan {
  readonly scope: InboundScope
  readonly mode: TlsFacts['mode']
  readonly modeFrom: string
  readonly server: ServerCertificate
  /** other certificates, by the exact name that a client must ask for */
  readonly sni: ReadonlyMap<string, ServerCertificate>
  readonly cas: ClientCas | undefined
  /** the file that they come from */
  readonly caPath: string | undefined
  readonly crls: RevocationLists | undefined
  readonly crlPath: string | undefined
  readonly range: ProtocolRange
  readonly ciphers: string
  readonly tickets: boolean
  /** when a CA or CRL begins or ceases to be valid, milliseconds */
  readonly turningPoints: readonly number[]
}

export function turningPointsOf(cas: ClientCas | undefined, crls?: RevocationLists): number[] {
  return [
    ...(cas?.facts ?? []).flatMap(({ notBefore, notAfter }) => [notBefore, notAfter]),
    ...(crls?.lists ?? []).flatMap(({ thisUpdate, nextUpdate }) => [thisUpdate, nextUpdate ?? Infinity]),
  ]
}
