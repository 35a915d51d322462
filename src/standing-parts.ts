/** Parts of the server that outlive every reload, made from the settings with which it begins. */

import { ConfigError } from './config/diagnostic.ts'
import { quote } from './config/render.ts'
import type { Settings } from './config/settings.ts'
import type { EventBus } from './events/events.ts'
import { PartnerReport } from './events/partner-report.ts'
import { Decisions } from './logs/decisions.ts'
import { type Logs, openLogs } from './logs/logs.ts'
import { openSpool, type SpoolOptions } from './spool/lmdb-spool.ts'
import type { Spool } from './spool/spool.ts'

/** Where facts go. */
interface StandingFacts {
  readonly logs: Logs
  /** the decision records that can be asked for */
  readonly decisions: Decisions
  readonly partnerReport: PartnerReport
}

/** TLS_Expiry_Warning's longest, in milliseconds. */
export function warningTime({ global }: Settings): number {
  return (global.tls_expiry_warning[0] ?? 0) * 86_400_000
}

/** What is told goes into the logs, and what can be asked for later stays in memory. */
export function keepFacts(settings: Settings, events: EventBus): StandingFacts {
  const logs = openLogs(settings, {
    clock: Date.now,
    onError: (message) => process.stderr.write(`postern: ${message}\n`),
  })
  const decisions = new Decisions()
  events.subscribe((event) => logs.handle(event))
  events.subscribe((event) => decisions.handle(event))
  const warn = (text: string) =>
    events.emit({ kind: 'panic', at: Date.now(), level: 'warning', module: 'partner', text })
  const partnerReport = new PartnerReport({ warn })
  events.subscribe((event) => partnerReport.handle(event))
  return { logs, decisions, partnerReport }
}

/** @throws ConfigError at Spoolbase when the system refuses the folder; otherwise what `openSpool` throws */
export async function openSpoolOf(settings: Settings, options: SpoolOptions): Promise<Spool> {
  try {
    return await openSpool(options)
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const at = settings.globalOrigin('spoolbase')
    const message = `Spoolbase ${quote(settings.global.spoolbase.text)} cannot be used: ${error.message}`
    throw new ConfigError([{ severity: 'error', message, ...(at === 'default' ? {} : { at }) }])
  }
}
