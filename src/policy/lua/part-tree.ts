/**
 * The tree of a message's parts while scripts work on it. A part has a number, which is never used for another one: it is
 * good until the message is changed by other means into one with other parts.
 */

import type { HeaderBlock } from '../../mail/headers.ts'
import { MimeNode } from '../../mail/mime-tree.ts'
import type { MessageContent } from '../phases.ts'
import { ScriptError } from './state.ts'

/** parts that scripts make for one message, and the octets in them */
const maxMade = 1000
const maxOctets = 16 * 1024 * 1024

export interface Source {
  readonly headers: HeaderBlock
  readonly content: MessageContent
}

export class PartTrees {
  readonly #trees = new WeakMap<MessageContent, PartTree>()

  /** The tree of a message as it stands. */
  of({ headers, content }: Source, body: string): PartTree {
    let tree = this.#trees.get(content)
    if (tree === undefined) {
      tree = new PartTree({ headers, content })
      this.#trees.set(content, tree)
    }
    tree.follow(body)
    return tree
  }
}

export class PartTree {
  readonly #of: Source
  readonly #nodes = new Map<number, MimeNode>()
  readonly #numbers = new Map<MimeNode, number>()
  #top: MimeNode | undefined
  /** what the tree was read from */
  #seen: { readonly type: string | undefined; readonly body: string } = { type: undefined, body: '' }
  #last = 0
  #made = 0
  #octets = 0

  constructor(of: Source) {
    this.#of = of
  }

  /** Reads the message again when it is another one than the last time. */
  follow(body: string): void {
    const [type] = this.#of.headers.values('content-type')
    if (this.#top !== undefined && type === this.#seen.type && body === this.#seen.body) return
    this.#seen = { type, body }
    const before = this.#top === undefined ? [] : [...this.#top.walk()]
    this.#top = MimeNode.parse(this.#of.headers, body)
    const now = [...this.#top.walk()]
    const numbers = before.map((node) => this.#numbers.get(node) ?? 0)
    for (const [index, node] of before.entries()) {
      this.#numbers.delete(node)
      this.#nodes.delete(numbers[index] ?? 0)
    }
    for (const [index, node] of now.entries()) {
      const kept = now.length === before.length ? numbers[index] : undefined
      this.#give(node, kept ?? ++this.#last)
    }
  }

  /** @throws ScriptError for a part that there is no more */
  node(number: number): MimeNode {
    const node = this.#nodes.get(number)
    if (node === undefined) throw new ScriptError('this part is gone: the message was changed')
    return node
  }

  /** Each part that there is, and its container's number, 0 where it is in none: the message's own first. */
  outline(): (readonly [number, number])[] {
    const own = this.#top === undefined ? [] : [...this.#top.walk()]
    const inside = new Set(own)
    const loose = [...this.#numbers.keys()].filter((node) => node.parent === undefined && !inside.has(node))
    return [...own, ...loose.flatMap((node) => [...node.walk()])].map((node) => [
      this.#number(node),
      node.parent === undefined ? 0 : this.#number(node.parent),
    ])
  }

  /** A part that a script has made. @throws ScriptError when there are too many */
  add(node: MimeNode, octets: number): number {
    this.#octets += octets
    if (++this.#made > maxMade || this.#octets > maxOctets)
      throw new ScriptError('too many parts were made for one message')
    return this.#number(node)
  }

  /** Makes the message what the tree is. @throws RangeError for what cannot be sent or kept: every part is gone then */
  commit(): void {
    const top = this.#top
    if (top === undefined) return
    try {
      const body = top.content
      const { content, headers } = this.#of
      if (body !== content.body) content.replace(body)
      this.#seen = { type: headers.values('content-type')[0], body: content.body ?? '' }
    } catch (error) {
      this.#nodes.clear()
      this.#numbers.clear()
      this.#top = undefined
      throw error
    }
  }

  #number(node: MimeNode): number {
    return this.#numbers.get(node) ?? this.#give(node, ++this.#last)
  }

  #give(node: MimeNode, number: number): number {
    this.#numbers.set(node, number)
    this.#nodes.set(number, node)
    return number
  }
}
