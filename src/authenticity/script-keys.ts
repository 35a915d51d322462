/**
 * Keys with which scripts ask for DKIM signatures (momentum: lua/ref-msys-validate-opendkim-sign). Each is read once for
 * a configuration, and what could not be verified is refused as in a dkim_domain stanza: weak keys, SHA-1, a key of
 * another kind than the digest. At most `MAX_KEYS` are kept.
 */

import { createPrivateKey, type KeyObject } from 'node:crypto'
import path from 'node:path'
import { signingOptions } from '../config/options-authenticity.ts'
import { loadKey } from '../tls/material.ts'
import { PemError } from '../tls/pem.ts'
import { tellable } from './outcome.ts'
import type { Canonicalization } from './sign.ts'
import { type ConditionalKey, kindProblem } from './signing-keys.ts'

/** What a script asks for, byte strings. */
export interface KeyWish {
  readonly domain: string
  readonly selector: string
  /** a path, in which `%{d}` and `%{s}` stand for domain and selector; or the key itself, DER in base64 */
  readonly key: { readonly file: string } | { readonly base64: string }
  readonly digest: string | undefined
  readonly identity: string | undefined
  readonly headerCanon: string | undefined
  readonly bodyCanon: string | undefined
  readonly headers: readonly string[] | undefined
}

const MAX_KEYS = 100
const MAX_NAMES = 100

export class ScriptKeys {
  readonly #keys = new Map<string, Promise<ConditionalKey>>()

  /** The same object for the same wish. @throws Error which says why nothing can be signed so */
  find(wish: KeyWish): Promise<ConditionalKey> {
    const name = JSON.stringify(wish)
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    const made = keyFor(wish)
    // one that could not be had is asked for again
    made.catch(() => this.#keys.delete(name))
    this.#keys.set(name, made)
    const [oldest] = this.#keys.keys()
    if (this.#keys.size > MAX_KEYS && oldest !== undefined) this.#keys.delete(oldest)
    return made
  }
}

async function keyFor(wish: KeyWish): Promise<ConditionalKey> {
  const domain = tellable(wish.domain)
  const selector = tellable(wish.selector)
  if (domain === undefined || selector === undefined) throw new Error('no domain or selector of a signature')
  const key = 'file' in wish.key ? await keyInFile(wish.key.file, domain, selector) : keyOf(wish.key.base64)
  const problem = kindProblem(key, wish.digest)
  if (problem !== undefined) throw new Error(`the signing key ${problem}`)
  return {
    domain,
    selector,
    identity: identityIn(domain, wish.identity),
    key,
    headerCanon: canonicalization(wish.headerCanon),
    bodyCanon: canonicalization(wish.bodyCanon),
    headers: [...new Set(['from', ...(fieldNames(wish.headers) ?? signingOptions.headerlist.default)])],
    oversigned: signingOptions.oversign_headerlist.default,
    lifetime: 0,
    condition: undefined,
  }
}

/** The names have no slash, so they lead nowhere else. */
async function keyInFile(file: string, domain: string, selector: string): Promise<KeyObject> {
  const name = Buffer.from(file, 'latin1').toString().replaceAll('%{d}', domain).replaceAll('%{s}', selector)
  if (!path.isAbsolute(name) || name.includes('\0')) throw new Error('keyfile is an absolute path')
  try {
    return await loadKey(name)
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    throw new Error(`the signing key ${name}: ${error.message}`, { cause: error })
  }
}

function keyOf(base64: string): KeyObject {
  const der = Buffer.from(base64, 'base64')
  for (const type of ['pkcs8', 'pkcs1'] as const) {
    try {
      return createPrivateKey({ key: der, format: 'der', type })
    } catch {
      // the other form, or none
    }
  }
  throw new Error('keybuf is no private key in base64, without lines and without BEGIN and END')
}

/** RFC 6376 §3.5: the domain of i= is that of d= or lies in it. */
function identityIn(domain: string, identity: string | undefined): string | undefined {
  if (identity === undefined) return undefined
  const [, of] = /^[\w.+-]{0,64}@([\w.-]{1,253})$/.exec(identity) ?? []
  const lower = of?.toLowerCase() ?? ''
  if (lower !== domain && !lower.endsWith(`.${domain}`))
    throw new Error(`identity is an address in ${domain}, or @ and the domain`)
  return identity
}

function canonicalization(text = 'relaxed'): Canonicalization {
  if (text !== 'relaxed' && text !== 'simple') throw new Error('a canonicalization is relaxed or simple')
  return text
}

function fieldNames(names: readonly string[] | undefined): readonly string[] | undefined {
  if (names === undefined) return undefined
  if (names.length > MAX_NAMES || !names.every((name) => /^[!-9;-~]{1,100}$/.test(name)))
    throw new Error(`headerlist has at most ${MAX_NAMES} names of header fields, with colons between them`)
  return names.map((name) => name.toLowerCase())
}
