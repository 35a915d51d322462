/**
 * From a `uri` to the store that it names. `file://` and `digest://` are built in; whoever has further schemes (scripts,
 * databases) gives them at construction, and everything else here, `check` included, knows them then.
 *
 * A scheme that nobody has is AuthUnavailableError, "recognised, not implemented": Momentum lets configurations name
 * schemes of their own.
 */

import { CachedFile } from './cached-file.ts'
import { FileStore } from './file-store.ts'
import { HashQueue } from './hash-queue.ts'
import { HtdigestStore } from './htdigest-store.ts'
import { Identities } from './identities.ts'
import { AuthUnavailableError, type CredentialStore } from './store.ts'

/** Makes the store of a URI. @throws AuthUnavailableError */
export type SchemeOpener = (uri: string) => CredentialStore

/** What sessions need of it. */
export interface StoreDirectory {
  /** The store of a mechanism's `uri`. @throws AuthUnavailableError */
  open(uri: string): CredentialStore
  /** The list of who may use EXTERNAL. @throws AuthUnavailableError */
  identities(uri: string): Promise<Identities>
}

export interface CredentialStoresOptions {
  /** shared by all generations of the configuration, so that a reload does not multiply what is computed at once */
  readonly queue?: HashQueue
  /** by scheme in lower case, without `://` */
  readonly schemes?: ReadonlyMap<string, SchemeOpener>
}

/** One for each generation of the configuration; only URIs of the configuration get here. */
export class CredentialStores implements StoreDirectory {
  readonly #schemes: ReadonlyMap<string, SchemeOpener>
  readonly #stores = new Map<string, CredentialStore>()
  readonly #identities = new Map<string, CachedFile<Identities>>()

  constructor({ queue = new HashQueue(), schemes = new Map() }: CredentialStoresOptions = {}) {
    this.#schemes = new Map<string, SchemeOpener>([
      ...schemes,
      ['file', (uri) => new FileStore(filePath(uri), queue)],
      ['digest', (uri) => new HtdigestStore(filePath(uri))],
    ])
  }

  open(uri: string): CredentialStore {
    const known = this.#stores.get(uri)
    if (known !== undefined) return known
    const scheme = schemeOf(uri)
    const opener = this.#schemes.get(scheme)
    if (opener === undefined) {
      throw new AuthUnavailableError(`${scheme}:// is recognised, not implemented: nobody can log in with it`)
    }
    const store = opener(uri)
    this.#stores.set(uri, store)
    return store
  }

  identities(uri: string): Promise<Identities> {
    let file = this.#identities.get(uri)
    if (file === undefined) {
      file = new CachedFile(filePath(uri), (text) => new Identities(text))
      this.#identities.set(uri, file)
    }
    return file.read()
  }
}

/** in lower case; '' when it is no uri */
export function schemeOf(uri: string): string {
  return /^([a-z][a-z0-9_+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase() ?? ''
}

/** The path is absolute and taken literally. @throws AuthUnavailableError */
export function filePath(uri: string): string {
  const path = /^[a-z]+:\/\/(\/.+)$/i.exec(uri)?.[1]
  if (path !== undefined) return path
  throw new AuthUnavailableError(`"${uri}" must be ${schemeOf(uri) || 'file'}:///absolute/path`)
}
