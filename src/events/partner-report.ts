/**
 * What handshakes have shown of partners' certificates: which pin is in use, which is not any more, and which
 * certificates verify as a TLS server's only. For the console and the metrics.
 *
 * Bounded: pins are those of the configuration, and of the certificates for servers only the latest are kept. What was
 * seen outlives a reload, for as long as the pin stays.
 */

import type { ServerEvent, TlsFact } from './events.ts'

/** A pin that the configuration names. */
export interface ConfiguredPin {
  readonly partner: string
  readonly option: 'SPKI_Pin' | 'Certificate_Pin'
  readonly place: 'current' | 'successor'
  /** SHA-256, hex */
  readonly digest: string
}

/** Times are in milliseconds since the epoch. */
export interface PinUse extends ConfiguredPin {
  /** handshakes whose certificate fitted it */
  readonly handshakes: number
  readonly firstSeen: number | undefined
  readonly lastSeen: number | undefined
  /** when the certificate that was seen last expires */
  readonly notAfter: number | undefined
}

/** A certificate that verifies as a server's and not as a client's. Text is escaped. */
export interface ServerOnlyCertificate {
  readonly subject: string
  readonly issuer: string
  /** SHA-256, hex */
  readonly fingerprint: string
  /** where TLS_Client_EKU = any takes it, and the configuration knows it */
  readonly partner: string | undefined
  /** the address that used it last */
  readonly address: string
  readonly handshakes: number
  readonly firstSeen: number
  readonly lastSeen: number
}

export interface PartnerReportOptions {
  /** certificates for servers only that are remembered */
  readonly maxCertificates?: number
  /** Told once for each certificate that expires soon under a pin whose successor nobody has seen. */
  readonly warn: (text: string) => void
}

type Sighting = { -readonly [K in 'handshakes' | 'firstSeen' | 'lastSeen' | 'notAfter']: PinUse[K] }

const DAY = 86_400_000

export class PartnerReport {
  readonly #options: PartnerReportOptions
  #pins: readonly ConfiguredPin[] = []
  #soon = 0
  #sightings = new Map<string, Sighting>()
  /** pin → certificate of which was warned */
  #warned = new Map<string, string>()
  /** by fingerprint, the one that was seen longest ago first */
  readonly #serverOnly = new Map<string, ServerOnlyCertificate>()

  constructor(options: PartnerReportOptions) {
    this.#options = options
  }

  /**
   * These pins are in force from now on.
   * @param soon milliseconds before the end of a certificate in which it is warned of
   */
  expect(pins: readonly ConfiguredPin[], soon: number): void {
    this.#soon = soon
    const keys = new Set(pins.map(keyOf))
    this.#pins = pins
    this.#sightings = new Map([...this.#sightings].filter(([key]) => keys.has(key)))
    this.#warned = new Map([...this.#warned].filter(([key]) => keys.has(key)))
  }

  handle(event: ServerEvent): void {
    if (event.kind !== 'tls') return
    if (event.partner !== undefined) this.#notePins(event.at, event.partner)
    if (event.serverOnly !== undefined) this.#noteServerOnly(event, event.serverOnly)
  }

  /** Every pin of the configuration, in its order. */
  pins(): readonly PinUse[] {
    return this.#pins.map((pin) => ({ ...pin, ...(this.#sightings.get(keyOf(pin)) ?? UNSEEN) }))
  }

  /** Those that were seen last come first. */
  serverOnly(): readonly ServerOnlyCertificate[] {
    return [...this.#serverOnly.values()].toReversed()
  }

  #notePins(at: number, { name, pins, fingerprint, notAfter }: NonNullable<TlsFact['partner']>): void {
    for (const pin of pins) {
      const key = keyOf({ partner: name, ...pin })
      // one of a configuration that is being replaced
      if (!this.#pins.some((each) => keyOf(each) === key)) continue
      const seen = this.#sightings.get(key) ?? { ...UNSEEN }
      seen.handshakes += 1
      seen.firstSeen ??= at
      seen.lastSeen = at
      seen.notAfter = notAfter
      this.#sightings.set(key, seen)
      const left = notAfter - at
      if (left >= this.#soon || this.#warned.get(key) === fingerprint) continue
      this.#warned.set(key, fingerprint)
      this.#warnOf({ partner: name, ...pin }, Math.max(0, Math.floor(left / DAY)))
    }
  }

  #warnOf(pin: ConfiguredPin, days: number): void {
    const end = `the certificate of partner ${pin.partner} expires in ${days === 1 ? '1 day' : `${days} days`}`
    if (pin.place === 'successor') {
      this.#options.warn(`${end}, and it is the successor: ${pin.option} needs a new one`)
      return
    }
    const successor = this.#pins.find(
      ({ partner, option, place }) =>
        partner === pin.partner && option === pin.option && place === 'successor',
    )
    if (successor === undefined) this.#options.warn(`${end}, and ${pin.option} has no successor`)
    else if (!this.#sightings.has(keyOf(successor)))
      this.#options.warn(`${end}, and the successor of ${pin.option} has not been seen yet`)
  }

  #noteServerOnly(fact: TlsFact, certificate: NonNullable<TlsFact['serverOnly']>): void {
    const { fingerprint } = certificate
    const before = this.#serverOnly.get(fingerprint)
    this.#serverOnly.delete(fingerprint)
    this.#serverOnly.set(fingerprint, {
      ...certificate,
      partner: fact.partner?.name,
      address: fact.remote.address,
      handshakes: (before?.handshakes ?? 0) + 1,
      firstSeen: before?.firstSeen ?? fact.at,
      lastSeen: fact.at,
    })
    const [oldest] = this.#serverOnly.keys()
    if (this.#serverOnly.size > (this.#options.maxCertificates ?? 1000) && oldest !== undefined)
      this.#serverOnly.delete(oldest)
  }
}

const UNSEEN = { handshakes: 0, firstSeen: undefined, lastSeen: undefined, notAfter: undefined }

/** A successor that becomes the current one is the same pin, and was seen already. */
function keyOf({ partner, option, digest }: Omit<ConfiguredPin, 'place'>): string {
  return `${partner} ${option} ${digest}`
}
