/**
 * rejectlog: one line per refused command, message or connection, with the whole context (Momentum, log-formats-rejectlog).
 *
 *     1236672125: R="10.79.25.142:42601" L="10.79.25.142:25" C="18/00-07149-D7E16B94" PATH="default"
 *       PATH_GRP="default" P="awaiting mailfrom" E=550 M=scriptlet CTXCONN=[pathway=default,…] CTXMESS=[…] relaying denied
 *
 * (on one line). Values are quoted when they hold white space or anything that has a meaning here; inside quotes `"`,
 * `\` and control characters are escaped, so that no value can end its quotes or start a line.
 */

import type { Rejection } from '../events/events.ts'
import type { ContextSnapshot, Endpoint } from '../mail/envelope.ts'
import { escapeText, quote, quoteWhenNeeded } from './escape.ts'
import { epochSeconds } from './mainlog.ts'

/** The line of a rejection, without its line ending. */
export function formatRejectlog(event: Rejection): string {
  return [
    `${epochSeconds(event.at)}:`,
    `R=${quote(formatEndpoint(event.remote))}`,
    `L=${quote(formatEndpoint(event.local))}`,
    `C=${quote(event.connectionId)}`,
    `PATH=${quote(event.pathway)}`,
    `PATH_GRP=${quote(event.pathwayGroup)}`,
    `P=${quote(event.state)}`,
    `E=${event.code}`,
    `M=${quoteWhenNeeded(event.module)}`,
    `CTXCONN=[${formatContext(event.connectionContext)}]`,
    `CTXMESS=[${formatContext(event.messageContext)}]`,
    escapeText(event.text),
  ].join(' ')
}

/** @param at milliseconds since the epoch */
export function rejectlogHeartbeat(at: number): string {
  return `${epochSeconds(at)}: Marker 1`
}

/** `10.0.0.1:25`, `[2001:db8::1]:25`; a UNIX socket is its path, its client nothing. */
export function formatEndpoint({ address, port }: Endpoint): string {
  if (address === '' || address.startsWith('/')) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function formatContext(context: ContextSnapshot): string {
  return Object.entries(context)
    .map(([key, value]) => `${quoteWhenNeeded(key)}=${quoteWhenNeeded(value)}`)
    .join(',')
}
