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
const MAX_FRAME = 32 * 1024 * 1024
/** the same before anybody has logged in: JSON takes fifty times its length in memory */
const MAX_GREETING = 64 * 1024
/** octets of `STATUS OCTETS`, and more */
const MAX_HEAD = 64

const NO_PROTOCOL = 'this is not the console of postern'

/** Takes octets as they come and gives the frames that are complete. Whoever sends them may mean harm. */
export class FrameReader {
  #chunks: Uint8Array[] = []
  #length = 0
  /** the head of a frame that has not come as a whole */
  #head: { readonly status: FrameStatus; readonly start: number; readonly end: number } | undefined

  /** @throws Error when this is not the protocol */
  push(chunk: Uint8Array): Frame[] {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    const frames: Frame[] = []
    // what waits for more is not copied with every chunk
    while (this.#length >= (this.#head?.end ?? 1)) {
      const buffer = this.#joined()
      this.#head ??= headOf(buffer)
      if (this.#head === undefined || buffer.length < this.#head.end) return frames
      const { status, start, end } = this.#head
      frames.push({ status, text: textOf(buffer.subarray(start, end)) })
      this.#head = undefined
      this.#chunks = [buffer.subarray(end)]
      this.#length = buffer.length - end
    }
    return frames
  }

  #joined(): Buffer {
    const [only] = this.#chunks
    const buffer =
      this.#chunks.length === 1 && Buffer.isBuffer(only) ? only : Buffer.concat(this.#chunks, this.#length)
    this.#chunks = [buffer]
    return buffer
  }
}

/** undefined: it has not come as a whole. @throws Error */
function headOf(
  buffer: Buffer,
): { readonly status: FrameStatus; readonly start: number; readonly end: number } | undefined {
  const line = buffer.subarray(0, MAX_HEAD).indexOf(10)
  if (line < 0 && buffer.length < MAX_HEAD) return undefined
  const head = /^(hello|ok|error|challenge|more) (\d{1,9})$/.exec(
    buffer.toString('latin1', 0, Math.max(line, 0)),
  )
  const octets = Number(head?.[2] ?? Number.NaN)
  const isGreeting = head?.[1] === 'hello' || head?.[1] === 'challenge'
  if (head === null || octets > (isGreeting ? MAX_GREETING : MAX_FRAME)) throw new Error(NO_PROTOCOL)
  return { status: head[1] as FrameStatus, start: line + 1, end: line + 1 + octets }
}

/** @throws Error */
function textOf(octets: Uint8Array): string {
  try {
    return utf8.decode(octets)
  } catch {
    throw new Error(`${NO_PROTOCOL}: it sends what is no UTF-8`)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
