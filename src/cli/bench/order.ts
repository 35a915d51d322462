/** What a process of the load generator is told, and what it answers: plain data, because it crosses a process boundary. */

export interface LoadOrder {
  readonly host: string
  readonly port: number
  /**
   * `plain`: SMTP in the clear; `starttls`: RFC 3207; `bare`: TLS from the first octet, one line is read and the connection
   * closed: for a server that does nothing but handshakes
   */
  readonly security: 'plain' | 'starttls' | 'bare'
  /** each connection after the first few resumes a TLS session */
  readonly resume: boolean
  /** PEM; the certificate that is shown to the server */
  readonly credential?: { readonly cert: string; readonly key: string } | undefined
  /** connections at once */
  readonly connections: number
  /** messages over one connection; 0: as many as there are */
  readonly perConnection: number
  /** messages in all; a bare connection counts as one */
  readonly messages: number
  /** octets of one message, header included */
  readonly size: number
  /** messages per second, begun on time whether or not the server keeps up; undefined: as fast as the server answers */
  readonly rate?: number | undefined
  readonly sender: string
  readonly recipient: string
  /** whether a connection waits for the reply to QUIT */
  readonly awaitQuit: boolean
}

/** Connections that are made, taken as far as EHLO (`bare`: the handshake) and kept open. */
export type HoldOrder = Pick<LoadOrder, 'host' | 'port' | 'security' | 'credential'> & {
  /** as many as are made at once while they are built up */
  readonly atOnce: number
  readonly connections: number
}

export interface LoadResult {
  /** messages that were answered with 250 after their last octet */
  readonly accepted: number
  /** milliseconds since the epoch: when the first connection was begun, when the last one was over */
  readonly began: number
  readonly ended: number
  /** complete handshakes, resumed ones included */
  readonly handshakes: number
  readonly resumed: number
  /** what went wrong → how often; empty when all went well */
  readonly errors: Readonly<Record<string, number>>
  /** seconds of user and system time that the generator itself took */
  readonly cpuSeconds: number
  /** milliseconds from MAIL to the reply to the message: counts of a `LatencyHistogram` */
  readonly transactions: LatencyCounts
  /** the same from the moment at which the message was due, waiting for a connection included; only with a rate */
  readonly fromDue: LatencyCounts
  /** milliseconds by which the generator's own clock rang too late, each time; only with a rate */
  readonly late: LatencyCounts
}

/** bucket → how many; see `LatencyHistogram` */
export type LatencyCounts = readonly (readonly [bucket: number, count: number])[]

export type GeneratorTask =
  | { readonly kind: 'load'; readonly order: LoadOrder }
  | { readonly kind: 'hold'; readonly order: HoldOrder }
  | { readonly kind: 'release' }

export type GeneratorAnswer =
  | { readonly kind: 'result'; readonly result: LoadResult }
  | { readonly kind: 'held'; readonly connections: number }
  | { readonly kind: 'released'; readonly lost: number }
  | { readonly kind: 'failed'; readonly reason: string }
