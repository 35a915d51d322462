/**
 * Who may use AUTH EXTERNAL, and as whom: the file of `AuthExternalParameters = [ … uri = "file:///path" ]`.
 *
 * One line for each: `identity`, who then is the user, or `user:identity`. `#` opens a comment line. The identity is the
 * rest of the line, so that it may hold colons (a fingerprint as `openssl x509 -fingerprint -sha256` prints it).
 */

export type IdentityKind = 'san_email' | 'san_dns' | 'cn' | 'fingerprint'

export class Identities {
  /** as written → users; normalised when asked, because the kind is the scope's */
  readonly #lines: readonly { readonly user: string; readonly identity: string }[]
  readonly #byKind = new Map<IdentityKind, ReadonlyMap<string, readonly string[]>>()

  constructor(text: string) {
    this.#lines = text.split(/\r?\n/).flatMap((line) => {
      if (line.trim() === '' || line.startsWith('#')) return []
      const colon = line.indexOf(':')
      if (colon === -1) return [{ user: '', identity: line.trim() }]
      return [{ user: line.slice(0, colon).trim(), identity: line.slice(colon + 1).trim() }]
    })
  }

  get size(): number {
    return this.#lines.length
  }

  /** as written */
  get identities(): readonly string[] {
    return this.#lines.map(({ identity }) => identity)
  }

  /** @param identity normalised */
  usersOf(kind: IdentityKind, identity: string): readonly string[] {
    let table = this.#byKind.get(kind)
    if (table === undefined) {
      table = this.#tableOf(kind)
      this.#byKind.set(kind, table)
    }
    return table.get(identity) ?? []
  }

  #tableOf(kind: IdentityKind): ReadonlyMap<string, readonly string[]> {
    const table = new Map<string, readonly string[]>()
    for (const { user, identity } of this.#lines) {
      const name = normaliseIdentity(kind, identity)
      if (name !== '') table.set(name, [...(table.get(name) ?? []), user === '' ? name : user])
    }
    return table
  }
}

/**
 * The one spelling of an identity; '' is nobody. Local parts and common names keep their case. A name that was cut for
 * its length (tls/names.ts) may be anybody's who begins like that, so it is nobody's.
 */
export function normaliseIdentity(kind: IdentityKind, text: string): string {
  if (text.endsWith('\\...')) return ''
  switch (kind) {
    case 'san_email': {
      const at = text.lastIndexOf('@')
      return at < 1 ? '' : text.slice(0, at) + text.slice(at).toLowerCase()
    }
    case 'san_dns':
      return text.toLowerCase()
    case 'cn':
      return text
    case 'fingerprint': {
      const hex = text.replaceAll(':', '').toLowerCase()
      return /^[0-9a-f]{64}$/.test(hex) ? hex : ''
    }
    default:
      return ''
  }
}
