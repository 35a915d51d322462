/**
 * What a configuration says about the origin of mail, ready to be asked: SPF for a sender, DKIM, DMARC and ARC for a
 * message, and the signatures of our own domains. Nothing here decides what becomes of a message.
 */

import type { AuthenticitySettings } from '../config/settings-authenticity.ts'
import type { DnsResolver } from '../dns/stub-resolver.ts'
import type { MessageOutcome, SpfOutcome } from './outcome.ts'
import { type KeyWish, ScriptKeys } from './script-keys.ts'
import { type BodyHashes, dkimSignature } from './sign.ts'
import type { ConditionalKey, SigningKeys } from './signing-keys.ts'
import { checkSpf, prepareSpf, type SpfQuestion } from './spf.ts'
import { type MessageQuestion, prepareVerification, verifyMessage } from './verify.ts'

/** The modules whose work a key of the context can switch off. */
export type Check = 'spf_v1' | 'opendkim' | 'dmarc' | 'openarc'

export interface AuthenticityOptions {
  readonly settings: AuthenticitySettings
  readonly keys: SigningKeys
  readonly resolver: DnsResolver
}

export class Authenticity {
  readonly settings: AuthenticitySettings
  readonly #keys: SigningKeys
  readonly #scriptKeys = new ScriptKeys()
  readonly #resolver: DnsResolver
  readonly #timeout: number
  readonly #checks: Readonly<Record<Check, boolean>>

  constructor({ settings, keys, resolver }: AuthenticityOptions) {
    this.settings = settings
    this.#keys = keys
    this.#resolver = resolver
    this.#timeout = Math.max(...settings.opendkim.map(({ timeout }) => timeout * 1000), 0) || DEFAULT_TIMEOUT
    const { spf, opendkim, openarc, dmarc } = settings
    this.#checks = {
      spf_v1: spf !== undefined,
      opendkim: opendkim.some(({ validate }) => validate),
      openarc: openarc?.validate === true,
      dmarc: dmarc?.validate === true,
    }
    if (this.#checks.spf_v1) prepareSpf()
    if (this.#checks.opendkim || this.#checks.openarc || this.#checks.dmarc) prepareVerification()
  }

  /** Whether every message is looked at in this way. */
  does(check: Check): boolean {
    return this.#checks[check]
  }

  /** @param signal aborted when nobody waits any more */
  spf(question: SpfQuestion, signal: AbortSignal): Promise<SpfOutcome> {
    const timeout = (this.settings.spf?.timeout ?? DEFAULT_TIMEOUT / 1000) * 1000
    return checkSpf(question, { resolver: this.#resolver, signal, timeout })
  }

  /** @throws what reading the body throws */
  verify(question: MessageQuestion, signal: AbortSignal): Promise<MessageOutcome> {
    return verifyMessage(question, { resolver: this.#resolver, signal, timeout: this.#timeout })
  }

  get signs(): boolean {
    return this.#keys.size > 0
  }

  /** Whether scripts may ask for signatures: where there is an opendkim stanza. */
  get signsForScripts(): boolean {
    return this.settings.opendkim.length > 0
  }

  /** The key for a signature that a script asks for. @throws Error which says why there can be none */
  keyFor(wish: KeyWish): Promise<ConditionalKey> {
    return this.#scriptKeys.find(wish)
  }

  /**
   * The keys that sign a message of this author's.
   * @param holds whether the context has a key, for their conditions
   */
  keysFor(author: string, holds: (key: string) => boolean): readonly ConditionalKey[] {
    const keys = this.#keys.get(author) ?? []
    return keys.filter(({ condition }) => condition === undefined || holds(condition))
  }

  /**
   * The fields to be put above a header, '' for none.
   * @throws what `BodyHashes.of` throws
   */
  // oxlint-disable-next-line max-params -- header, body, keys, time: what a signature is made of
  async signatures(
    header: string,
    bodies: BodyHashes,
    keys: readonly ConditionalKey[],
    now: number,
  ): Promise<string> {
    let fields = ''
    // each by itself: none covers another
    for (const key of keys) fields += (await dkimSignature(header, bodies, key, now)) ?? ''
    return fields
  }
}

/** milliseconds; RFC 7208 §4.6.4 asks for at least 20 seconds */
const DEFAULT_TIMEOUT = 20_000
