/**
 * What a start finds: every kept message comes back, strays of a crash go, damage is told and kept.
 *
 * Records are indexed without parsing envelopes and without reading bodies. A record that cannot be read is moved to
 * the table `damaged`, byte for byte. A message whose header or body is missing stays, as failed. As long as there are
 * damaged records no content without a record is removed, since one of them may refer to it.
 */

import type { BodyFiles } from './body-files.ts'
import type { ContentPlace, RecordIndex } from './record.ts'
import { DamagedRecordError, decodeRecord, indexRecord, withState } from './record.ts'
import type { DeliveryState } from './spool.ts'
import type { Store, Write } from './store.ts'

/** A kept message: its number in the store and where its content is. */
export interface Entry extends ContentPlace {
  readonly key: number
}

export interface Recovered {
  readonly entries: Map<string, Entry>
  /** larger than every number in use */
  readonly nextKey: number
}

export interface RecoveryParts {
  readonly store: Store
  readonly files: BodyFiles
  /** makes changes durable */
  readonly repair: (writes: readonly Write[]) => Promise<void>
  /** tells the operator what is wrong */
  readonly panic: (text: string) => void
}

export async function recover(parts: RecoveryParts): Promise<Recovered> {
  const { store, files, panic } = parts
  const listing = await files.list()
  const { entries, repairs } = indexMessages(parts, listing.bodies)
  if (repairs.length > 0) await parts.repair(repairs)
  for (const name of listing.strays) await files.remove(name)
  const nextKey = Math.max(store.lastKey(), ...listing.bodies.keys()) + 1
  const setAside = store.count('damaged')
  if (setAside === 0) await removeOrphans(parts, entries, listing.bodies.keys())
  else panic(`${setAside} damaged records are set aside; content that no message refers to is kept`)
  return { entries, nextKey }
}

function indexMessages(
  { store, panic }: RecoveryParts,
  bodies: ReadonlyMap<number, number>,
): { readonly entries: Map<string, Entry>; readonly repairs: readonly Write[] } {
  const entries = new Map<string, Entry>()
  const repairs: Write[] = []
  for (const { key, value } of store.entries('messages')) {
    const index = readIndex(value)
    if (index instanceof DamagedRecordError || entries.has(index.id)) {
      const reason = index instanceof DamagedRecordError ? index.message : 'its id is taken'
      panic(`record ${key} is damaged (${reason}); it is set aside`)
      repairs.push({ table: 'damaged', key, value: Buffer.from(value) })
      repairs.push({ table: 'messages', key, value: undefined })
      continue
    }
    const entry = placeOf(index, key)
    entries.set(index.id, entry)
    const loss = missingContent(store, bodies, entry)
    if (loss === undefined) continue
    panic(`message ${index.id}: ${loss}; it is kept as failed`)
    repairs.push({ table: 'messages', key, value: withState(value, failedBy(value, loss)) })
  }
  return { entries, repairs }
}

/** Content that no message refers to: what a crash left between two steps. */
async function removeOrphans(
  { store, files, repair }: RecoveryParts,
  entries: ReadonlyMap<string, Entry>,
  bodyFiles: Iterable<number>,
): Promise<void> {
  const headers = new Set<number>()
  const bodies = new Set<number>()
  for (const entry of entries.values()) {
    headers.add(entry.key)
    bodies.add(entry.bodyKey)
  }
  const orphans: Write[] = []
  for (const key of store.keys('headers')) {
    if (!headers.has(key)) orphans.push({ table: 'headers', key, value: undefined })
  }
  for (const key of store.keys('bodies')) {
    if (!bodies.has(key)) orphans.push({ table: 'bodies', key, value: undefined })
  }
  if (orphans.length > 0) await repair(orphans)
  for (const key of bodyFiles) if (!bodies.has(key)) await files.remove(String(key))
}

function readIndex(value: Buffer): RecordIndex | DamagedRecordError {
  try {
    return indexRecord(value)
  } catch (error) {
    if (error instanceof DamagedRecordError) return error
    throw error
  }
}

function placeOf(index: RecordIndex, key: number): Entry {
  const { bodyKey, bodySize, inFile, headerSize, alikeBack } = index
  return { key, bodyKey, bodySize, inFile, headerSize, alikeBack }
}

function missingContent(store: Store, files: ReadonlyMap<number, number>, entry: Entry): string | undefined {
  if (!store.has('headers', entry.key)) return 'its header is missing'
  if (entry.inFile) {
    const size = files.get(entry.bodyKey)
    if (size === undefined) return 'its body file is missing'
    return size === entry.bodySize
      ? undefined
      : `its body file has ${size} octets instead of ${entry.bodySize}`
  }
  return entry.bodySize === 0 || store.has('bodies', entry.bodyKey) ? undefined : 'its body is missing'
}

function failedBy(record: Buffer, loss: string): DeliveryState {
  return { ...decodeRecord(record).state, failed: true, lastText: `554 5.3.0 [internal] ${loss}` }
}
