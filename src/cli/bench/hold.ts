/** Connections that are made and kept open without a word more, so that what an idle one costs the server can be read. */

import { LoadClient } from './client.ts'
import { planOf } from './load.ts'
import type { HoldOrder } from './order.ts'

export interface Held {
  readonly connections: number
  /** Closes them. @returns how many the server had closed before */
  release(): number
}

const DEADLINE_MS = 120_000

/** @throws Error when one cannot be made, or when it takes longer than two minutes */
export async function hold(order: HoldOrder): Promise<Held> {
  const plan = planOf(order)
  const clients = new Set<LoadClient>()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let begun = 0
  let ready = 0
  let lost = 0
  const next = (): void => {
    if (begun === order.connections) return
    begun += 1
    const client: LoadClient = new LoadClient(plan, {
      onSecure: () => {
        if (plan.security === 'bare') settled()
      },
      onReady: () => settled(),
      onAccepted: () => undefined,
      onEnd: (problem) => {
        lost += 1
        clients.delete(client)
        reject(new Error(`an idle connection ended: ${problem ?? 'closed'}`))
      },
    })
    clients.add(client)
  }
  const settled = (): void => {
    ready += 1
    if (ready === order.connections) resolve()
    else next()
  }
  const deadline = setTimeout(() => reject(new Error(`only ${ready} connections could be made`)), DEADLINE_MS)
  if (order.connections === 0) resolve()
  for (let n = 0; n < order.atOnce; n += 1) next()
  const release = (): number => {
    for (const client of clients) client.destroy()
    return lost
  }
  try {
    await promise
  } catch (error) {
    release()
    throw error
  } finally {
    clearTimeout(deadline)
  }
  return { connections: ready, release }
}
