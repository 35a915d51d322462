/**
 * How the fields of an event become keys of a line of JSON. Every field of the event's type must say which keys it
 * becomes, if any: the compiler holds a table to the declarations in src/events.
 */

import type { Endpoint } from '../../mail/envelope.ts'
import { type JsonValue, MAX_TEXT, nameText, text, time, unicode } from './text.ts'

export type JsonType = 'text' | 'number' | 'integer' | 'boolean' | 'time' | 'object'

export interface JsonKey<E> {
  /** snake_case, the same for the same thing in all lines */
  readonly key: string
  readonly type: JsonType
  /** may be absent */
  readonly optional: boolean
  /** Markdown; undefined: what the declaration of the field says */
  readonly meaning: string | undefined
  /** undefined: the key is absent */
  readonly value: (event: E) => JsonValue | undefined
}

/** For each declared field the keys that are made of it. */
export type KeysOf<E> = { readonly [Field in keyof E]-?: readonly JsonKey<E>[] }

interface Details<E> {
  readonly type?: JsonType
  /** the key is absent where there is no value; otherwise a text is empty */
  readonly optional?: boolean
  readonly meaning?: string
  readonly value: (event: E) => JsonValue | undefined
}

export function key<E>(
  name: string,
  { type = 'text', optional = false, meaning, value }: Details<E>,
): JsonKey<E> {
  return { key: name, type, optional, meaning, value }
}

/** A byte string that always has something to say, or is shown empty. */
export function bytes<E>(name: string, value: (event: E) => string, meaning?: string): JsonKey<E> {
  return { key: name, type: 'text', optional: false, meaning, value: (event) => text(value(event)) }
}

/** A name of the configuration, which always says something. */
export function configured<E>(name: string, value: (event: E) => string, meaning?: string): JsonKey<E> {
  return { key: name, type: 'text', optional: false, meaning, value: (event) => nameText(value(event)) }
}

/** A byte string that is absent when it is empty. @param most octets of the line */
// oxlint-disable-next-line max-params -- the parts of a row
export function someBytes<E>(
  name: string,
  value: (event: E) => string | undefined,
  meaning?: string,
  most = MAX_TEXT,
): JsonKey<E> {
  const shown = (event: E): string | undefined => {
    const found = value(event)
    return found === undefined || found === '' ? undefined : text(found, most)
  }
  return { key: name, type: 'text', optional: true, meaning, value: shown }
}

/** Unicode text that is absent when it is empty. @param most octets of the line */
// oxlint-disable-next-line max-params -- the parts of a row
export function someUnicode<E>(
  name: string,
  value: (event: E) => string,
  meaning?: string,
  most = MAX_TEXT,
): JsonKey<E> {
  const shown = (event: E): string | undefined => {
    const found = value(event)
    return found === '' ? undefined : unicode(found, most)
  }
  return { key: name, type: 'text', optional: true, meaning, value: shown }
}

/** A whole number; one that is none, because somebody has set it so, is absent. */
export function integer<E>(name: string, value: (event: E) => number, meaning?: string): JsonKey<E> {
  const shown = (event: E): number | undefined => {
    const found = value(event)
    return Number.isSafeInteger(found) ? found : undefined
  }
  return { key: name, type: 'integer', optional: false, meaning, value: shown }
}

export function timeOf<E>(name: string, value: (event: E) => number, meaning?: string): JsonKey<E> {
  return { key: name, type: 'time', optional: false, meaning, value: (event) => time(value(event)) }
}

/** An address and its port. */
export function endpoint<E>(
  name: string,
  value: (event: E) => Endpoint,
  meaning: { readonly address: string; readonly port: string },
): readonly JsonKey<E>[] {
  return [
    bytes(name, (event) => value(event).address, meaning.address),
    integer(`${name}_port`, (event) => value(event).port, meaning.port),
  ]
}
