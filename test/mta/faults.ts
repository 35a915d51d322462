/** Where the line to the mail server breaks, and what the gate's logs have to say about it. */

import { createHash } from 'node:crypto'
import type { BadLine, Break, Fault } from '../support/cutting-proxy.ts'

export interface FaultCase extends BadLine {
  readonly name: string
  /** stage and answer of the attempt that failed */
  readonly stage: number | readonly number[]
  readonly text: RegExp
  /**
   * The message may have been taken over without the gate ever hearing of it: RFC 5321 §4.5.3.2.6 leaves open that it
   * arrives twice, and losing it is the only other way.
   */
  readonly twice?: boolean
}

const CLOSED = /^451 4\.4\.2 \[internal\] Connection closed by the remote host/
const RESET = /^451 4\.4\.2 \[internal\] Connection reset by the remote host/
const TIMED_OUT = /^451 4\.4\.2 \[internal\] Timed out /
const TLS_FAILED = { stage: 17, text: /^451 4\.7\.5 \[internal\] TLS negotiation failed/ }

function named(name: string, fault: Fault, said: Pick<FaultCase, 'stage' | 'text' | 'twice'>): FaultCase {
  return { name, meets: (connection) => (connection === 0 ? fault : undefined), ...said }
}

/** With DATA: servers that know BDAT are kept from saying so. */
const inData: readonly FaultCase[] = (['close', 'reset', 'silence'] as const).flatMap((how) => {
  const text = { close: CLOSED, reset: RESET, silence: TIMED_OUT }[how]
  const name = { close: 'closed', reset: 'reset', silence: 'silent' }[how]
  const cut = (where: string, fault: Break, stage: FaultCase['stage'], twice = false): FaultCase => ({
    ...named(`${name} ${where}`, { ...fault, how }, { stage, text, twice }),
    hides: 'CHUNKING',
  })
  return [
    cut('before the banner', { at: 'reply', verb: 'CONNECT' }, 12),
    cut('at EHLO', { at: 'command', verb: 'EHLO' }, 11),
    cut('before the answer to EHLO', { at: 'reply', verb: 'EHLO' }, 11),
    cut('at MAIL', { at: 'command', verb: 'MAIL' }, 3),
    cut('before the answer to MAIL', { at: 'reply', verb: 'MAIL' }, 3),
    cut('before the answer to RCPT', { at: 'reply', verb: 'RCPT' }, 5),
    cut('at DATA', { at: 'command', verb: 'DATA' }, [3, 5, 7]),
    cut('before the answer to DATA', { at: 'reply', verb: 'DATA' }, 7),
    cut('within the message', { at: 'content', after: 40 }, [8, 9]),
    cut('at the final dot', { at: 'command', verb: '.' }, 9),
    cut('before the answer to the final dot', { at: 'reply', verb: '.' }, 9, true),
  ]
})

/** With BDAT where the server knows it, when the message may be gone before anything has been answered. */
const inChunks: readonly FaultCase[] = (['close', 'silence'] as const).flatMap((how) => {
  const said = { stage: [3, 5, 7, 8, 9], text: how === 'close' ? CLOSED : TIMED_OUT }
  const name = how === 'close' ? 'closed' : 'silent'
  return [
    named(`${name} at its message`, { at: 'content', after: 40, how }, said),
    named(`${name} at its end`, { at: 'command', verb: '.', how }, said),
    named(`${name} before any answer`, { at: 'reply', verb: 'MAIL', how }, { ...said, twice: true }),
    named(`${name} before its answer`, { at: 'reply', verb: '.', how }, { ...said, twice: true }),
  ]
})

/** Domains with `tls` in their name ask for TLS; those with `silent` or `slow` have short deadlines. */
export const FAULTS: readonly FaultCase[] = [
  ...inData,
  ...inChunks,
  named(
    'closed before the answer to STARTTLS, tls',
    { at: 'reply', verb: 'STARTTLS', how: 'close' },
    { stage: 16, text: CLOSED },
  ),
  named(
    'silent before the answer to STARTTLS, tls',
    { at: 'reply', verb: 'STARTTLS', how: 'silence' },
    { stage: 16, text: TIMED_OUT },
  ),
  named('closed behind STARTTLS, tls', { at: 'handshake', after: 0, how: 'close' }, TLS_FAILED),
  named('reset within the handshake, tls', { at: 'handshake', after: 100, how: 'reset' }, TLS_FAILED),
  named('silent within the handshake, tls', { at: 'handshake', after: 100, how: 'silence' }, TLS_FAILED),
  named('slow, an octet at a time', { at: 'everywhere', msPerOctet: 400 }, { stage: 12, text: TIMED_OUT }),
  named(
    'closed within the message, tls',
    { at: 'handshake', after: 3000, how: 'close' },
    { stage: [3, 5, 7, 8, 9], text: CLOSED },
  ),
]

/** octets of a message on that line, with what is said around it: less than there are */
const ANY_OCTETS = 2300

/**
 * A line on which every second connection breaks, after some octets or other: every fourth within its first message,
 * the others there or in the next one, if there is one.
 * @param seed the same one breaks the same connections at the same octets
 */
export function anyFault(seed: number): BadLine {
  return {
    hides: 'CHUNKING',
    meets: (connection) => {
      if (connection % 2 === 1) return undefined
      const hash = createHash('sha256').update(`${seed} ${connection}`).digest()
      return {
        at: 'octet',
        after: hash.readUInt16BE(1) % (connection % 4 === 0 ? ANY_OCTETS : 2 * ANY_OCTETS),
        how: hash.readUInt8(3) < 128 ? 'close' : 'reset',
      }
    },
  }
}

/** A domain of its own for each, whose next hop is a bad line of its own. */
export function faultDomain({ name }: FaultCase): string {
  return `${localOf(name)}.test`
}

/** A recipient for it. */
export function localOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]+/g, '-')
}
