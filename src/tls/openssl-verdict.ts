/** What OpenSSL found when it verified the chain of the other end. The only place that asks for it. */

import type { TLSSocket } from 'node:tls'
import type { VerifyFailure } from './peer.ts'

/** The part of Node's TLSWrap that is used: a socket of its own never sets `authorized`. */
interface Handle {
  verifyError(): (Error & { readonly code?: string }) | null
}

export function openSslVerdict(socket: TLSSocket): VerifyFailure | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle: Handle | null }
  // the socket closed meanwhile: nothing is known, so nothing is verified
  if (handle === null) return { code: 'CLOSED', message: 'the connection is closed' }
  const error = handle.verifyError()
  if (error === null || error === undefined) return undefined
  return { code: error.code ?? 'UNSPECIFIED', message: error.message }
}
