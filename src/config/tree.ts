/** What a configuration text comes to before any meaning is given to its names: statements and values, each with its place. */

import type { Position } from './diagnostic.ts'

export interface Scalar {
  readonly kind: 'scalar'
  readonly text: string
  readonly at: Position
}

export interface ArrayValue {
  readonly kind: 'array'
  readonly items: readonly Scalar[]
  readonly at: Position
}

export interface DictionaryEntry {
  readonly key: Scalar
  readonly value: Value
}

export interface DictionaryValue {
  readonly kind: 'dictionary'
  readonly entries: readonly DictionaryEntry[]
  readonly at: Position
}

export type Value = Scalar | ArrayValue | DictionaryValue

/** `Name = value` */
export interface Assignment {
  readonly kind: 'assignment'
  readonly name: Scalar
  readonly value: Value
}

/** `Name { … }` or `Name "instance" { … }` */
export interface StanzaNode {
  readonly kind: 'stanza'
  readonly name: Scalar
  readonly instance: Scalar | undefined
  readonly body: readonly Statement[]
}

/** `include "path"`, or `readonly_include "path"`: then nothing is written back into it */
export interface Include {
  readonly kind: 'include'
  readonly path: Scalar
  readonly readOnly: boolean
}

export type Statement = Assignment | StanzaNode | Include
