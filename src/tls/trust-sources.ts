/** Which files the verdict of one handshake rests on, for whoever has to account for it. */

import type { DecisionCrl } from '../events/decision.ts'
import type { ClientCas } from './material.ts'
import type { TlsFacts } from './peer.ts'
import type { RevocationLists } from './revocation.ts'

/** What a handshake was judged by, or would have been. */
export interface TrustSources {
  readonly mode: TlsFacts['mode']
  /** FILE:LINE, `policy` or `default` */
  readonly modeFrom: string
  /** the digest is SHA-256 over the SHA-256 of each certificate, hex */
  readonly ca?: { readonly path: string; readonly digest: string }
  readonly crl?: Omit<DecisionCrl, 'forgiven'>
}

interface TrustFiles {
  readonly mode: TlsFacts['mode']
  readonly modeFrom: string
  readonly caPath: string | undefined
  readonly cas: ClientCas | undefined
  readonly crlPath: string | undefined
  readonly crls: RevocationLists | undefined
}

/** What was put together before: one plan serves many handshakes. */
const known = new WeakMap<TrustFiles, TrustSources>()

/** @param files an object that never changes */
export function trustSources(files: TrustFiles): TrustSources {
  const sources = known.get(files) ?? Object.freeze(sourcesOf(files))
  known.set(files, sources)
  return sources
}

function sourcesOf({ mode, modeFrom, caPath, cas, crlPath, crls }: TrustFiles): TrustSources {
  return {
    mode,
    modeFrom,
    ...(cas === undefined ? {} : { ca: { path: caPath ?? '', digest: cas.digest } }),
    ...(crls === undefined ? {} : { crl: { path: crlPath ?? '', ...ageOf(crls) } }),
  }
}

/** A chain is as good as its worst list: the oldest, and the one that ends first. */
function ageOf({ lists, digest }: RevocationLists): Omit<DecisionCrl, 'path' | 'forgiven'> {
  let thisUpdate = Number.POSITIVE_INFINITY
  let nextUpdate = Number.POSITIVE_INFINITY
  for (const list of lists) {
    thisUpdate = Math.min(thisUpdate, list.thisUpdate)
    nextUpdate = Math.min(nextUpdate, list.nextUpdate ?? Number.POSITIVE_INFINITY)
  }
  return {
    digest,
    lists: lists.length,
    thisUpdate: Number.isFinite(thisUpdate) ? thisUpdate : 0,
    ...(Number.isFinite(nextUpdate) ? { nextUpdate } : {}),
  }
}
