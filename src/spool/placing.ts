/**
 * What a commit writes: every message under a number of its own, each body once, and where all of it will be found again.
 */

import { firstAlike } from './alike.ts'
import type { ReceivedBody } from './reception.ts'
import { encodeRecord, freshState } from './record.ts'
import type { Entry } from './recover.ts'
import type { NewMessage } from './spool.ts'
import type { Write } from './store.ts'

/** What the bodies of a commit come from. */
interface Bodies {
  readonly received: ReceivedBody
  /** keys of the files that bodies of policy's own have got; absent: none has */
  readonly files: ReadonlyMap<Uint8Array, number> | undefined
  readonly newKey: () => number
}

/** Where a body is kept. */
type BodyPlace = Pick<Entry, 'bodyKey' | 'bodySize' | 'inFile'>

/** @returns what is to be written, and an entry for each message */
export function place(
  messages: readonly NewMessage[],
  bodies: Bodies,
): { readonly writes: readonly Write[]; readonly entries: readonly Entry[] } {
  const writes: Write[] = []
  const entries: Entry[] = []
  const alike = firstAlike(messages)
  const known = messages.length === 1 ? undefined : new Map<Uint8Array | undefined, BodyPlace>()
  for (const [index, { envelope, header, body: own }] of messages.entries()) {
    const place = known?.get(own) ?? placeBody(own, bodies, writes)
    known?.set(own, place)
    const { bodyKey, bodySize, inFile } = place
    const key = bodies.newKey()
    // undefined for the first of its kind
    const first = entries[alike[index] ?? index]
    const alikeBack = first === undefined ? 0 : key - first.key
    const entry: Entry = { key, bodyKey, bodySize, inFile, headerSize: header.length, alikeBack }
    entries.push(entry)
    writes.push({ table: 'messages', key, value: encodeRecord(envelope, entry, freshState) })
    writes.push({ table: 'headers', key, value: header })
  }
  return { writes, entries }
}

function placeBody(
  own: Uint8Array | undefined,
  { received, files, newKey }: Bodies,
  writes: Write[],
): BodyPlace {
  if (own === undefined && received.kind === 'file')
    return { bodyKey: received.key, bodySize: received.size, inFile: true }
  const bytes = own ?? (received.kind === 'memory' ? received.bytes : new Uint8Array())
  const file = files?.get(bytes)
  if (file !== undefined) return { bodyKey: file, bodySize: bytes.length, inFile: true }
  const bodyKey = newKey()
  if (bytes.length > 0) writes.push({ table: 'bodies', key: bodyKey, value: bytes })
  return { bodyKey, bodySize: bytes.length, inFile: false }
}
