/** A parsed pattern → a program for the matcher. Repetitions are loops in it, never copies, so it stays small. */

import type { ParsedPattern, PatternNode, Place } from './pcre-tree.ts'
import { fixedLength } from './pcre-tree.ts'

/** Instructions; operands follow in the code. */
export const OP = {
  MATCH: 0,
  /** octet */
  CHAR: 1,
  /** set */
  SET: 2,
  /** where to go on when the way straight ahead fails */
  SPLIT: 3,
  JUMP: 4,
  /** register: keeps the position */
  SAVE: 5,
  /** place */
  PLACE: 6,
  /** group, whether ASCII letters count in both cases */
  REFERENCE: 7,
  /** set, least, most: as many as there are, then fewer */
  MANY: 8,
  /** set, least, most: as few as will do, then more */
  FEW: 9,
  /** register, value */
  REGISTER: 10,
  /** count register, least, most, exit: another turn, or out */
  LOOP: 11,
  LOOP_LAZY: 12,
  /** count register: a turn of a loop begins */
  TURN: 13,
  /** negative, octets to go back, where to go on: what follows up to MATCH is tried by itself */
  LOOK: 14,
  /** where to go on */
  ATOMIC: 15,
  /** group, register that holds where it began: until here a reference means its last turn */
  CLOSE: 16,
} as const

export const places: readonly Place[] = [
  'start',
  'end',
  'end-or-newline',
  'line-start',
  'line-end',
  'word-edge',
  'no-word-edge',
]

export interface Program {
  readonly code: Int32Array
  /** 256 octets each, 1 for members */
  readonly sets: readonly Uint8Array[]
  /** two for each group, and what loops count with */
  readonly registers: number
  readonly groups: number
  readonly names: ReadonlyMap<number, string>
  /** can match only at the start of the text */
  readonly anchored: boolean
  /** what a match can begin with; undefined: anything, or nothing at all */
  readonly first: Uint8Array | undefined
}

export function compile(pattern: ParsedPattern): Program {
  const compiler = new Compiler(pattern.groups)
  compiler.node(pattern.root)
  compiler.emit(OP.MATCH)
  return {
    code: Int32Array.from(compiler.code),
    sets: compiler.sets,
    registers: compiler.registers,
    groups: pattern.groups,
    names: pattern.names,
    anchored: isAnchored(pattern.root),
    first: firstOf(pattern.root),
  }
}

class Compiler {
  readonly code: number[] = []
  readonly sets: Uint8Array[] = []
  registers: number
  readonly #setNumbers = new Map<string, number>()

  constructor(groups: number) {
    this.registers = 2 * (groups + 1)
  }

  emit(...words: readonly number[]): void {
    this.code.push(...words)
  }

  node(node: PatternNode): void {
    switch (node.kind) {
      case 'set': {
        const only = node.set.only()
        if (only === undefined) this.emit(OP.SET, this.#set(node.set.members))
        else this.emit(OP.CHAR, only)
        return
      }
      case 'sequence':
        for (const item of node.items) this.node(item)
        return
      case 'choice':
        return this.#choice(node.branches)
      case 'group':
        return this.#group(node.number, node.body)
      case 'repeat':
        return this.#repeat(node)
      case 'atomic':
        return this.#apart([OP.ATOMIC], node.body)
      case 'look':
        return this.#look(node)
      case 'reference':
        return this.emit(OP.REFERENCE, node.number, node.fold ? 1 : 0)
      case 'place':
        return this.emit(OP.PLACE, places.indexOf(node.place))
      case 'keep':
        return this.emit(OP.SAVE, 0)
    }
  }

  #group(number: number, body: PatternNode): void {
    const start = this.registers++
    this.emit(OP.SAVE, start)
    this.node(body)
    this.emit(OP.CLOSE, number, start)
  }

  #choice(branches: readonly PatternNode[]): void {
    const ends: number[] = []
    for (const [index, branch] of branches.entries()) {
      if (index === branches.length - 1) {
        this.node(branch)
        break
      }
      const next = this.#forward(OP.SPLIT)
      this.node(branch)
      ends.push(this.#forward(OP.JUMP))
      this.#land(next)
    }
    for (const end of ends) this.#land(end)
  }

  #repeat(node: Extract<PatternNode, { kind: 'repeat' }>): void {
    const { body, least, most, mode } = node
    if (mode === 'possessive') return this.#apart([OP.ATOMIC], { ...node, mode: 'greedy' })
    if (most === 0) return
    if (body.kind === 'set') {
      this.emit(mode === 'lazy' ? OP.FEW : OP.MANY, this.#set(body.set.members), least, most)
      return
    }
    if (least === 1 && most === 1) return this.node(body)
    if (most === 1) return this.#optional(body, mode === 'lazy')
    // the count of turns, and behind it where the last one began
    const count = this.registers
    this.registers += 2
    this.emit(OP.REGISTER, count, 0, OP.REGISTER, count + 1, -1)
    const loop = this.code.length
    this.emit(mode === 'lazy' ? OP.LOOP_LAZY : OP.LOOP, count, least, most)
    const exit = this.#hole()
    this.emit(OP.TURN, count)
    this.node(body)
    this.emit(OP.JUMP, loop)
    this.#land(exit)
  }

  #optional(body: PatternNode, lazy: boolean): void {
    if (!lazy) {
      const end = this.#forward(OP.SPLIT)
      this.node(body)
      this.#land(end)
      return
    }
    const start = this.#forward(OP.SPLIT)
    const end = this.#forward(OP.JUMP)
    this.#land(start)
    this.node(body)
    this.#land(end)
  }

  /** Each branch of a look behind goes back by its own length. */
  #look({ behind, negative, body }: Extract<PatternNode, { kind: 'look' }>): void {
    const lengths = behind
      ? branchesOf(body).map((branch) => ({ branch, length: fixedLength(branch) ?? 0 }))
      : []
    if (lengths.length < 2) {
      this.#apart([OP.LOOK, negative ? 1 : 0, lengths[0]?.length ?? 0], body)
      return
    }
    if (negative) {
      // none of them
      for (const { branch, length } of lengths) this.#apart([OP.LOOK, 1, length], branch)
      return
    }
    const ends: number[] = []
    for (const [index, { branch, length }] of lengths.entries()) {
      const next = index < lengths.length - 1 ? this.#forward(OP.SPLIT) : undefined
      this.#apart([OP.LOOK, 0, length], branch)
      if (next === undefined) break
      ends.push(this.#forward(OP.JUMP))
      this.#land(next)
    }
    for (const end of ends) this.#land(end)
  }

  /** Something that is tried by itself; the last operand says where to go on behind it. */
  #apart(head: readonly number[], body: PatternNode): void {
    this.emit(...head)
    const end = this.#hole()
    this.node(body)
    this.emit(OP.MATCH)
    this.#land(end)
  }

  #forward(op: number): number {
    this.emit(op)
    return this.#hole()
  }

  #hole(): number {
    this.code.push(0)
    return this.code.length - 1
  }

  #land(hole: number): void {
    this.code[hole] = this.code.length
  }

  #set(members: Uint8Array): number {
    const key = Buffer.from(members).toString('latin1')
    const known = this.#setNumbers.get(key)
    if (known !== undefined) return known
    const number = this.sets.push(members) - 1
    this.#setNumbers.set(key, number)
    return number
  }
}

const branchesOf = (node: PatternNode): readonly PatternNode[] =>
  node.kind === 'choice' ? node.branches : [node]

function isAnchored(node: PatternNode): boolean {
  if (node.kind === 'place') return node.place === 'start'
  if (node.kind === 'group' || node.kind === 'atomic') return isAnchored(node.body)
  if (node.kind === 'choice') return node.branches.every(isAnchored)
  return node.kind === 'sequence' && node.items[0] !== undefined && isAnchored(node.items[0])
}

/** What a node's text can begin with; undefined when it can be empty or nobody can tell. */
function firstOf(node: PatternNode): Uint8Array | undefined {
  switch (node.kind) {
    case 'set':
      return node.set.members
    case 'group':
    case 'atomic':
      return firstOf(node.body)
    case 'repeat':
      return node.least > 0 ? firstOf(node.body) : undefined
    case 'choice': {
      const all = node.branches.map(firstOf)
      return all.every((set) => set !== undefined) ? union(all) : undefined
    }
    case 'sequence': {
      const start = node.items.find(({ kind }) => kind !== 'place' && kind !== 'keep')
      return start === undefined || start.kind === 'look' ? undefined : firstOf(start)
    }
    default:
      return undefined
  }
}

function union(sets: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => (sets.some((set) => set[octet] === 1) ? 1 : 0))
}
