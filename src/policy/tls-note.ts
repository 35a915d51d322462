/** The answer of core_inbound_smtp_tls_post_accept (momentum: hooks/inbound-smtp-tls-post-accept). */

import type { Decision } from './decision.ts'

/**
 * The session is refused when the code is not 220 and `disconnect` is 1; the text is `_tls_note` or the standard one.
 * `disconnect` without a code refuses as well. Returns what the log should say of an answer that has no effect.
 * @param note the connection's `_tls_note`, '' when not set; may start with a code of its own
 */
export function answerAfterHandshake(decision: Decision, note: string): string | undefined {
  const { code } = decision
  if (!decision.close || code === 220) {
    decision.code = undefined
    decision.close = false
    return code === undefined || code === 220
      ? undefined
      : `core_inbound_smtp_tls_post_accept set code ${code} without disconnect = 1: nothing is refused`
  }
  const [, ownCode, ownText] = /^([45]\d\d)[ -]?(.*)$/s.exec(note) ?? []
  if (ownCode !== undefined) decision.reply(Number(ownCode), ownText ?? '')
  else if (note !== '') decision.reply(code !== undefined && code >= 400 ? code : 421, note)
  else if (decision.text === '') decision.reply(421, '4.7.0 TLS Negotiation failed.')
  return undefined
}
