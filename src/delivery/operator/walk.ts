/**
 * Goes over the messages of the queue in slices: between two of them everybody else has their turn, so that a million
 * messages hold up neither sessions nor deliveries. Whoever walks gets numbers of the message table and has to look
 * again at each: what they stood for may have changed.
 */

import type { MessageTable } from '../message-table.ts'

/** milliseconds that are worked through in one go */
const SLICE_MS = 4
/** numbers between two looks at the clock */
const LOOK_EVERY = 256

/** Lets others work when it is time to. */
export class Pace {
  readonly #stopped: () => boolean
  #began = performance.now()

  /** @param stopped the queue is being stopped: who walks has to come to an end */
  constructor(stopped: () => boolean) {
    this.#stopped = stopped
  }

  /** @throws StoppedError */
  async turn(): Promise<void> {
    if (performance.now() - this.#began < SLICE_MS) return
    await new Promise(setImmediate)
    if (this.#stopped()) throw new StoppedError()
    this.#began = performance.now()
  }
}

export class StoppedError extends Error {
  constructor() {
    super('the server is shutting down')
    this.name = 'StoppedError'
  }
}

/**
 * Numbers that fit, so many at a time. Messages that come while it goes on may be among them or not.
 * @throws StoppedError
 */
export async function* pieces(
  table: Pick<MessageTable, 'end'>,
  fits: (number: number) => boolean,
  { size, pace }: { readonly size: number; readonly pace: Pace },
): AsyncGenerator<readonly number[]> {
  let piece: number[] = []
  for (let number = 0; number < table.end; number++) {
    if (fits(number)) piece.push(number)
    if (piece.length === size) {
      yield piece
      piece = []
    }
    if (number % LOOK_EVERY === LOOK_EVERY - 1) await pace.turn()
  }
  if (piece.length > 0) yield piece
}
