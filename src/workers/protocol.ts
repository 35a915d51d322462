/**
 * What the supervisor and a worker say to each other over node's channel (structured clones). The supervisor asks and the
 * worker answers; besides, each tells a few things that need no answer. A worker never asks.
 */

import { ConfigError, type Diagnostic } from '../config/diagnostic.ts'
import type { RecordedFiles } from '../config/recorded-files.ts'
import type { InsideQuestions, InsideTopic } from '../console/inside/questions.ts'
import type { TracedLines } from '../console/inside/traces.ts'
import type { ScriptAnswer } from '../console/services.ts'
import type { QueueQuestions, QueueTopic } from '../delivery/operator/orders.ts'
import { ListenError } from '../listener/listener.ts'
import type { NodeRole } from '../node-role.ts'
import type { AuthFailure, AuthFailureEntries } from '../smtp/auth/failures.ts'
import type { TicketSecretState } from '../tls/ticket-secret.ts'
import type { ScriptAnswer as EndpointAnswer, ScriptRequest } from '../web/server.ts'
import type { Snapshot, SnapshotPart } from './snapshot.ts'

/** What a worker begins with. */
export interface StartOptions {
  readonly file: string
  /** the configuration in force, which may not be what the disk has by now */
  readonly files: RecordedFiles
  readonly version: string
  readonly index: number
  readonly workers: number
  readonly partitions: readonly number[]
  readonly spool: NodeRole['spool']
  readonly ticketSecret: TicketSecretState
  /** of the shared counters */
  readonly tableFolder: string
  readonly failures: AuthFailureEntries
  /** of the process */
  readonly umask: number
}

export interface Started {
  readonly addresses: readonly string[]
  readonly warnings: readonly Diagnostic[]
}

/** What can be asked: question and answer. */
export interface Questions {
  readonly start: { readonly ask: StartOptions; readonly answer: Started }
  /** the first half of a reload; the second is `commit` or `rollback` */
  readonly prepare: { readonly ask: { readonly files: RecordedFiles }; readonly answer: void }
  readonly commit: { readonly ask: undefined; readonly answer: { readonly warnings: readonly Diagnostic[] } }
  readonly rollback: { readonly ask: undefined; readonly answer: void }
  readonly adopt: { readonly ask: { readonly partition: number }; readonly answer: void }
  readonly view: {
    readonly ask: { readonly parts: readonly SnapshotPart[] }
    readonly answer: Partial<Snapshot>
  }
  /** what the queue of a worker answers an operator: a report of the topic */
  readonly queue: {
    readonly ask: { readonly [T in QueueTopic]: QueueQuestion<T> }[QueueTopic]
    readonly answer: QueueQuestions[QueueTopic]['report']
  }
  /** what a worker knows of its insides: a report of the topic */
  readonly inside: {
    readonly ask: { readonly [T in InsideTopic]: InsideQuestion<T> }[InsideTopic]
    readonly answer: InsideQuestions[InsideTopic]['report']
  }
  /** prom-client's JSON */
  readonly metrics: { readonly ask: undefined; readonly answer: readonly object[] }
  readonly resetCounters: { readonly ask: undefined; readonly answer: void }
  readonly reopenLogs: { readonly ask: undefined; readonly answer: void }
  readonly flushTls: { readonly ask: undefined; readonly answer: void }
  readonly command: {
    readonly ask: { readonly words: readonly string[] }
    readonly answer: ScriptAnswer | undefined
  }
  readonly endpoint: { readonly ask: ScriptRequest; readonly answer: EndpointAnswer | undefined }
}

export interface InsideQuestion<T extends InsideTopic> {
  readonly topic: T
  readonly order: InsideQuestions[T]['order']
}

export interface QueueQuestion<T extends QueueTopic> {
  readonly topic: T
  readonly order: QueueQuestions[T]['order']
}

export type Topic = keyof Questions

export interface Question<T extends Topic = Topic> {
  readonly kind: 'ask'
  readonly id: number
  readonly topic: T
  readonly ask: Questions[T]['ask']
}

/** To a worker. */
export type ToWorker =
  | Question
  /** nobody waits for the answer to this question any more */
  | { readonly kind: 'forget'; readonly id: number }
  /** drain and end */
  | { readonly kind: 'stop' }
  /** a login has failed in another worker */
  | { readonly kind: 'failure'; readonly failure: AuthFailure }

/** From a worker. */
export type FromWorker =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: Failure }
  | { readonly kind: 'failure'; readonly failure: AuthFailure }
  /** what sessions say that an operator asks for */
  | { readonly kind: 'traced'; readonly traced: TracedLines }
  /** what it has counted, now and then */
  | { readonly kind: 'counted'; readonly counts: Snapshot['counters']['counts'] }
  /** what it has counted when it ends: prom-client's JSON */
  | { readonly kind: 'metrics'; readonly metrics: readonly object[] }
  /** nothing new: its event loop turns */
  | { readonly kind: 'alive' }

/** An error on its way. */
export interface Failure {
  readonly name: string
  readonly message: string
  readonly diagnostics: readonly Diagnostic[] | undefined
}

export function toFailure(error: unknown): Failure {
  const known = error instanceof ConfigError || error instanceof ListenError
  return {
    name: error instanceof Error ? error.name : 'Error',
    message: error instanceof Error ? error.message : String(error),
    diagnostics: known ? error.diagnostics : undefined,
  }
}

export function toError({ name, message, diagnostics }: Failure): Error {
  if (diagnostics === undefined) return new Error(message)
  return name === 'ListenError' ? new ListenError(diagnostics) : new ConfigError(diagnostics)
}
