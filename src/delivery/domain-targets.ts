/** Whose mail goes to a program or to a receiver of HTTP POST. Domains are literal; upper and lower case are the same. */

import type { Settings } from '../config/settings.ts'
import type { PipeSettings, WaysOut, WebhookSettings } from '../config/settings-delivery.ts'

/** A program. */
export interface PipeRoute {
  readonly kind: 'pipe'
  readonly pipe: PipeSettings
  readonly problem?: undefined
}

/** A receiver of HTTP POST. */
export interface WebhookRoute {
  readonly kind: 'webhook'
  readonly webhook: WebhookSettings
  readonly problem?: undefined
}

/** Where mail for some domains ends. */
export type EndSettings = Pick<Settings, 'maildirs'> & Partial<WaysOut>

export class DomainTargets {
  readonly #targets = new Map<string, PipeRoute | WebhookRoute>()

  constructor({ pipes = [], webhooks = [] }: Partial<WaysOut>) {
    // a domain that several of them name does not pass the configuration's check
    for (const pipe of pipes)
      for (const domain of pipe.domain) this.#targets.set(domain, { kind: 'pipe', pipe })
    for (const webhook of webhooks)
      for (const domain of webhook.domains) this.#targets.set(domain, { kind: 'webhook', webhook })
  }

  of(domain: string): PipeRoute | WebhookRoute | undefined {
    return this.#targets.get(domain.toLowerCase())
  }
}
