/**
 * From a `uri` to the store that it names. `file://` and `digest://` are built in; further schemes (scripts, databases)
 * are given at construction, see `schemes.ts`, and everything else here, `check` included, knows them then.
 *
 * A scheme that nobody has is AuthUnavailableError, "recognised, not implemented": Momentum lets configurations name
 * schemes of their own.
 */

import { suggestion } from '../../config/edit-distance.ts'
import type { Dictionary } from '../../config/settings.ts'
import { CachedFile } from './cached-file.ts'
import { FileStore } from './file-store.ts'
import { HashQueue } from './hash-queue.ts'
import { HtdigestStore } from './htdigest-store.ts'
import { Identities } from './identities.ts'
import { AuthUnavailableError, type CredentialStore } from './store.ts'

/** Makes the store of a URI. @throws AuthUnavailableError */
export type SchemeOpener = (uri: string, parameters: Dictionary) => CredentialStore

/** What sessions need of it. */
export interface StoreDirectory {
  /** The store of a mechanism's `uri`; its parameters are for schemes that want them. @throws AuthUnavailableError */
  open(uri: string, parameters?: Dictionary): CredentialStore
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

  open(uri: string, parameters: Dictionary = {}): CredentialStore {
    const key = JSON.stringify([uri, parameters])
    const known = this.#stores.get(key)
    if (known !== undefined) return known
    const scheme = schemeOf(uri)
    const opener = this.#schemes.get(scheme)
    if (opener === undefined && scheme === 'ac_auth') {
      throw new AuthUnavailableError(
        'ac_auth:// asks a script, and none has ac_auth_perform_auth: nobody can log in with it',
      )
    }
    if (opener === undefined) {
      const near = suggestion(scheme, this.#schemes.keys())
      throw new AuthUnavailableError(
        `${scheme}:// is recognised, not implemented: nobody can log in with it${near}`,
      )
    }
    const store = opener(uri, parameters)
    this.#stores.set(key, store)
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

/** whose names nobody else can have */
export const builtInSchemes: readonly string[] = ['file', 'digest', 'ac_auth']

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
