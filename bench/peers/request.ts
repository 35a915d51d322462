/** What the other mail servers are made from. */

import type { Pki } from '../../src/tls/pki.ts'
import type { Cleanup } from '../support/cleanup.ts'

export interface PeersRequest {
  readonly cleanup: Cleanup
  readonly pki: Pki
  /** where `writePki` wrote it */
  readonly folder: string
  /** names, or their beginnings; undefined: all */
  readonly only: readonly string[] | undefined
  readonly tell: (line: string) => void
}

/** What is known when a group of peers is to be started. */
export interface PeerRequest extends PeersRequest {
  /** npm packages; rejects where they cannot be had */
  readonly packages: () => Promise<string>
}
