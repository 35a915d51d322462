/**
 * The control channel, version 1: lines in, frames out. Momentum's own protocol is not public.
 *
 * A client sends a command per line, UTF-8, ended by LF; `json ` before a command asks for JSON. Each command gets one
 * frame, in order: a head `STATUS OCTETS` and LF, then that many octets of UTF-8. STATUS is `ok` or `error`. On
 * connecting the server sends a frame `hello` first, whose octets are a JSON object; a connection that is turned away
 * gets `error` in its place. `quit` closes. A login is `login MECHANISM [BASE64]`, whose frame may be a `challenge` that
 * the next line answers (SASL, RFC 4422). A command that goes on tells in frames `more` what happens, and ends as others do
 * when it has ended or the client sends a further line.
 */

import type { LoginOffer } from './door.ts'

export const PROTOCOL_VERSION = 1

/** octets of a line without its end */
export const MAX_LINE = 4096

export type FrameStatus = 'hello' | 'ok' | 'error' | 'challenge' | 'more'

export interface Frame {
  readonly status: FrameStatus
  readonly text: string
}

/** What the `hello` frame holds. */
export interface Hello {
  readonly protocol: number
  readonly version: string
  readonly hostname: string
  readonly pid: number
  readonly login: LoginOffer
}

export function encodeFrame({ status, text }: Frame): Buffer {
  const octets = Buffer.from(text, 'utf8')
  return Buffer.concat([Buffer.from(`${status} ${octets.length}\n`, 'latin1'), octets])
}

/** octets of an answer; more than the server ever sends */
const MAX_FRAME = 64 * 1024 * 1024

/** Takes octets as they come and gives the frames that are complete. */
export class FrameReader {
  #buffer = Buffer.alloc(0)

  /** @throws Error when this is not the protocol */
  push(chunk: Uint8Array): Frame[] {
    this.#buffer = Buffer.concat([this.#buffer, chunk])
    const frames: Frame[] = []
    for (;;) {
      const end = this.#buffer.indexOf(10)
      if (end < 0 && this.#buffer.length < 64) return frames
      const head = /^(?<status>hello|ok|error|challenge|more) (?<octets>\d{1,9})$/.exec(
        this.#buffer.toString('latin1', 0, Math.max(end, 0)),
      )
      const octets = Number(head?.groups?.['octets'] ?? Number.NaN)
      if (head?.groups === undefined || octets > MAX_FRAME)
        throw new Error('this is not the console of postern')
      if (this.#buffer.length < end + 1 + octets) return frames
      frames.push({
        status: head.groups['status'] as FrameStatus,
        text: this.#buffer.toString('utf8', end + 1, end + 1 + octets),
      })
      this.#buffer = this.#buffer.subarray(end + 1 + octets)
    }
  }
}
