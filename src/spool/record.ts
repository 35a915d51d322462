/**
 * The bytes of one message's record in the store: where it stands, where its content is, and its envelope.
 *
 * The fixed part in front lets a start index a hundred thousand messages without parsing an envelope; updating the
 * state copies the envelope's bytes as they are. A CRC over the whole record tells a damaged one. Layout, little
 * endian:
 *
 *     0 u8  format (1)          22 f64 nextAttempt       42 u16 id length
 *     1 u8  flags, see below    30 u32 attempts          44 u32 envelope length
 *     2 u32 CRC-32 of the rest  34 u32 header size       48     id, envelope (JSON), lastText; all UTF-8
 *     6 f64 body key            38 u32 keys back to the first record with the same content
 *    14 f64 body size
 */

import { crc32 } from 'node:zlib'
import type { Envelope } from '../mail/envelope.ts'
import { type DeliveryState, MAX_DELAY_NOTICES, type StoredMessage } from './spool.ts'

/** Where a message's header and body are. */
export interface ContentPlace {
  /** key of the body in the store, or name of its file; shared by the messages of a batch */
  readonly bodyKey: number
  readonly bodySize: number
  readonly inFile: boolean
  readonly headerSize: number
  /** how many keys before its own that of the first message is which has the same header and body; 0 = its own */
  readonly alikeBack: number
}

/** What a start needs to know of a message. */
export interface RecordIndex extends ContentPlace {
  readonly id: string
}

/** A record that this program did not write, or that storage did not keep. */
export class DamagedRecordError extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'DamagedRecordError'
  }
}

const FORMAT = 1
const FIXED = 48
/** flags; a record of an earlier version has none but the first two. The upper four bits count delay notices */
const FAILED = 1
const IN_FILE = 2
const DELIVERED = 4
const RELAYED = 8
const NOTICES_SHIFT = 4
/** the CRC covers what follows it, and the two bytes before it */
const AFTER_CRC = 6

/** The state of a message that was never tried. */
export const freshState: DeliveryState = { attempts: 0, nextAttempt: 0, failed: false, lastText: '' }

/** @throws RangeError for an id longer than 65535 octets */
export function encodeRecord(envelope: Envelope, place: ContentPlace, state: DeliveryState): Buffer {
  const json = JSON.stringify(envelope)
  const idLength = Buffer.byteLength(envelope.id)
  if (idLength > 0xffff) throw new RangeError('the message id is too long')
  const jsonLength = Buffer.byteLength(json)
  const end = FIXED + idLength + jsonLength
  // every octet of it is written below; small ones share memory
  const bytes = Buffer.allocUnsafe(end + Buffer.byteLength(state.lastText))
  bytes[0] = FORMAT
  bytes[1] = place.inFile ? IN_FILE : 0
  bytes.writeDoubleLE(place.bodyKey, 6)
  bytes.writeDoubleLE(place.bodySize, 14)
  bytes.writeUInt32LE(place.headerSize, 34)
  bytes.writeUInt32LE(place.alikeBack, 38)
  bytes.writeUInt16LE(idLength, 42)
  bytes.writeUInt32LE(jsonLength, 44)
  bytes.write(envelope.id, FIXED)
  // as many octets as characters: it is ASCII, which is copied as it is
  bytes.write(json, FIXED + idLength, jsonLength === json.length ? 'latin1' : 'utf8')
  if (state.lastText !== '') bytes.write(state.lastText, end)
  return stamp(bytes, state)
}

/** The same record in another state. */
export function withState(record: Buffer, state: DeliveryState): Buffer {
  const end = FIXED + record.readUInt16LE(42) + record.readUInt32LE(44)
  return stamp(Buffer.concat([record.subarray(0, end), Buffer.from(state.lastText)]), state)
}

/** Writes the state into the fixed part of a record that ends with its text, and what it all sums up to. */
function stamp(bytes: Buffer, state: DeliveryState): Buffer {
  bytes[1] = (bytes.readUInt8(1) & IN_FILE) | flagsOf(state)
  bytes.writeDoubleLE(state.nextAttempt, 22)
  bytes.writeUInt32LE(state.attempts, 30)
  bytes.writeUInt32LE(checksum(bytes), 2)
  return bytes
}

/** Checks a record and reads its fixed part. @throws DamagedRecordError */
export function indexRecord(record: Buffer): RecordIndex {
  if (record.length < FIXED) throw new DamagedRecordError(`${record.length} octets are too few`)
  if (record[0] !== FORMAT) throw new DamagedRecordError(`unknown format ${record[0]}`)
  if (record.readUInt32LE(2) !== checksum(record)) throw new DamagedRecordError('the checksum does not match')
  const idEnd = FIXED + record.readUInt16LE(42)
  if (idEnd + record.readUInt32LE(44) > record.length) throw new DamagedRecordError('it is cut short')
  return {
    id: record.toString('utf8', FIXED, idEnd),
    bodyKey: record.readDoubleLE(6),
    bodySize: record.readDoubleLE(14),
    inFile: (record.readUInt8(1) & IN_FILE) !== 0,
    headerSize: record.readUInt32LE(34),
    alikeBack: record.readUInt32LE(38),
  }
}

/** The message of a record that `indexRecord` accepted. */
export function decodeRecord(record: Buffer): StoredMessage {
  const start = FIXED + record.readUInt16LE(42)
  const end = start + record.readUInt32LE(44)
  const envelope = JSON.parse(record.toString('utf8', start, end)) as Envelope
  return {
    // JSON has no undefined: the null reverse path must come back as a property all the same
    envelope: { ...envelope, sender: envelope.sender },
    state: {
      attempts: record.readUInt32LE(30),
      nextAttempt: record.readDoubleLE(22),
      failed: (record.readUInt8(1) & FAILED) !== 0,
      lastText: record.toString('utf8', end),
      ...readNotices(record.readUInt8(1)),
    },
  }
}

function flagsOf({ failed, success, delayNotices = 0 }: DeliveryState): number {
  const outcome = success === undefined ? 0 : success === 'relayed' ? RELAYED : DELIVERED
  return (failed ? FAILED : 0) | outcome | (Math.min(delayNotices, MAX_DELAY_NOTICES) << NOTICES_SHIFT)
}

function readNotices(flags: number): Pick<DeliveryState, 'success' | 'delayNotices'> {
  const delayNotices = flags >> NOTICES_SHIFT
  const success = (flags & RELAYED) !== 0 ? 'relayed' : (flags & DELIVERED) !== 0 ? 'delivered' : undefined
  return { ...(success === undefined ? {} : { success }), ...(delayNotices === 0 ? {} : { delayNotices }) }
}

/** Of a record whose format is ours. */
function checksum(record: Buffer): number {
  return crc32(record.subarray(AFTER_CRC), CRC_OF_HEAD[record.readUInt8(1)])
}

/** CRC of the two octets before the CRC, by flags */
const CRC_OF_HEAD = Array.from({ length: 256 }, (_, flags) => crc32(Uint8Array.of(FORMAT, flags)))
