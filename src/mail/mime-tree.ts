/**
 * The parts of a message as a tree that can be changed (RFC 2046 §5.1).
 *
 * What nobody edits stays as it was, octet for octet: a part that was not touched is copied from the text it was read
 * from, and so are preamble and epilogue. Bounded in depth and parts, as `mime.ts` is. Refused with a RangeError: what
 * would make the tree something else when it is read again.
 */

import type { HeaderBlock } from './headers.ts'
import { type MimePart, parseMime, parseParameters } from './mime.ts'

const maxDepth = 20
const maxParts = 1000

/** Where a parsed part came from. */
interface Source {
  readonly text: string
  readonly part: MimePart
}

/** What stands around the parts of a container. */
interface Frame {
  readonly boundary: string
  /** preamble and first boundary line */
  readonly lead: string
  /** between the parts as they were read */
  readonly gaps: readonly string[]
  /** last boundary line and epilogue; '' where the message was cut */
  readonly tail: string
}

export class MimeNode {
  readonly headers: HeaderBlock
  readonly #source: Source | undefined
  #parent: MimeNode | undefined
  #frame: Frame | undefined
  #children: MimeNode[] = []
  /** what stands for the content that was read, or for the parts */
  #content: string | undefined
  #reshaped = false
  /** of the message itself: its header is not in the text that was read */
  #message: HeaderBlock | undefined

  private constructor(headers: HeaderBlock, source: Source | undefined) {
    this.headers = headers
    this.#source = source
  }

  static parse(headers: HeaderBlock, text: string): MimeNode {
    const top = MimeNode.#read(text, parseMime(headers, text))
    top.#message = headers
    return top
  }

  /** A part that belongs nowhere yet. @param content encoded as its header says */
  static leaf(headers: HeaderBlock, content: string): MimeNode {
    const node = new MimeNode(headers, undefined)
    node.#content = content
    return node
  }

  /** A container that belongs nowhere yet. @param headers without Content-Type @throws RangeError */
  static container(headers: HeaderBlock, type: string, boundary: string): MimeNode {
    if (!/^multipart\/[!-.0-:<-~]+(?:;|$)/i.test(type) || /[\r\n]/.test(type))
      throw new RangeError('the type of a container is multipart/…')
    if (!/^[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]$/.test(boundary))
      throw new RangeError('not a MIME boundary')
    if (parseParameters(type).parameters.has('boundary'))
      throw new RangeError('the type has a boundary already')
    headers.append('Content-Type', `${type}; boundary="${boundary}"`)
    const node = new MimeNode(headers, undefined)
    node.#frame = { boundary, lead: `--${boundary}\r\n`, gaps: [], tail: `\r\n--${boundary}--\r\n` }
    node.#reshaped = true
    return node
  }

  static #read(text: string, part: MimePart): MimeNode {
    const node = new MimeNode(part.headers, { text, part })
    const { parts } = part
    const [first] = parts
    const last = parts.at(-1)
    const { boundary } = part
    if (first === undefined || last === undefined || boundary === undefined) return node
    node.#children = parts.map((child) => MimeNode.#read(text, child))
    for (const child of node.#children) child.#parent = node
    node.#frame = {
      boundary,
      lead: text.slice(part.start, first.headerStart),
      gaps: parts.slice(1).map((child, index) => text.slice(parts[index]?.end, child.headerStart)),
      tail: text.slice(last.end, part.end),
    }
    return node
  }

  get parent(): MimeNode | undefined {
    return this.#parent
  }

  get children(): readonly MimeNode[] {
    return this.#children
  }

  /** whether parts can be put into it */
  get isContainer(): boolean {
    return this.#frame !== undefined
  }

  /** The content as it stands, encoded. @throws RangeError when a part holds a boundary line of its container */
  get content(): string {
    if (this.#content !== undefined) return this.#content
    const frame = this.#frame
    if (frame === undefined || !this.#changedWithin()) {
      const { text = '', part } = this.#source ?? {}
      return text.slice(part?.start, part?.end)
    }
    const { gaps, tail, boundary } = frame
    // where the message was cut, its last boundary line may have half an end
    const lead = this.#reshaped && frame.lead.endsWith('\r') ? `${frame.lead}\n` : frame.lead
    const between = this.#children
      .slice(1)
      .map((_, index) => (this.#reshaped ? `\r\n--${boundary}\r\n` : (gaps[index] ?? '')))
    const end = tail === '' && this.#reshaped ? `\r\n--${boundary}--\r\n` : tail
    if (this.#children.length === 0) return lead + end
    const lines = [lead, ...between, end]
    const pieces = this.#children.flatMap((child, index) => {
      const [before = '', behind = ''] = lines.slice(index, index + 2)
      return [before, fitted(this.#checked(child, boundary), before, behind)]
    })
    return pieces.join('') + end
  }

  /** Header and content. */
  get raw(): string {
    const { text = '', part } = this.#source ?? {}
    const head =
      part === undefined || this.headers.edited || part.headers === this.#message
        ? this.headers.toBytes().toString('latin1')
        : text.slice(part.headerStart, part.start)
    const { content } = this
    // an empty part may have no empty line, because the boundary line took it
    const ended = content === '' || /(?:^|\n)\r?\n$/.test(head)
    return `${head}${ended ? '' : head === '' || head.endsWith('\n') ? '\r\n' : '\r\n\r\n'}${content}`
  }

  /** Takes the place of the content that was read; parts that were in it belong nowhere from then on. */
  set content(content: string) {
    for (const child of this.#children) child.#parent = undefined
    this.#children = []
    this.#frame = undefined
    this.#content = content
  }

  /** Puts a part that belongs nowhere at a place among this container's. @throws RangeError */
  insert(node: MimeNode, index: number): void {
    const frame = this.#regularFrame()
    if (node.#parent !== undefined) throw new RangeError('this part is in a message already: unlink it first')
    const top = this.#top()
    if (top === node) throw new RangeError('a part cannot be put into itself')
    if (this.#above() + node.#depth() > maxDepth) throw new RangeError('parts are nested too deeply')
    if (top.count() + node.count() > maxParts) throw new RangeError(`a message has at most ${maxParts} parts`)
    this.#checked(node, frame.boundary)
    this.#children.splice(index, 0, node)
    this.#reshaped = true
    node.#parent = this
  }

  /** Takes the part, with all that is in it, out of its container. @throws RangeError for one that is in none */
  unlink(): void {
    const parent = this.#parent
    if (parent === undefined) throw new RangeError('this part is in no container')
    parent.#regularFrame()
    parent.#children = parent.#children.filter((child) => child !== this)
    parent.#reshaped = true
    this.#parent = undefined
  }

  /** How many parts there are, this one included. */
  count(): number {
    return this.#children.reduce((sum, child) => sum + child.count(), 1)
  }

  /** All parts, a container before its parts. */
  *walk(): Iterable<MimeNode> {
    yield this
    for (const child of this.#children) yield* child.walk()
  }

  #changedWithin(): boolean {
    return this.#reshaped || this.#children.some((child) => child.#changed())
  }

  #changed(): boolean {
    return (
      this.#source === undefined ||
      this.headers.edited ||
      this.#content !== undefined ||
      this.#changedWithin()
    )
  }

  /** A part as it stands. @throws RangeError when it would end its container */
  #checked(child: MimeNode, boundary: string): string {
    const { raw } = child
    const edited = this.#reshaped || child.#changed()
    if (edited && `\n${raw}`.includes(`\n--${boundary}`))
      throw new RangeError('a part has a line that begins like a boundary of its container')
    return raw
  }

  /** @throws RangeError where there is something between the parts that is none of them, and would be lost */
  #regularFrame(): Frame {
    const frame = this.#frame
    if (frame === undefined) throw new RangeError('this part is no container')
    const { boundary, lead, gaps, tail } = frame
    const line = `--${boundary}`
    const isLine = (gap: string): boolean => gap.trim() === line
    const isEnd = tail === '' || tail.trimStart().startsWith(`${line}--`)
    if (!this.#reshaped && (lead.split(line).length !== 2 || !gaps.every(isLine) || !isEnd))
      throw new RangeError('this container holds what cannot be read, and cannot be changed')
    return frame
  }

  #top(): MimeNode {
    return this.#parent === undefined ? this : this.#parent.#top()
  }

  /** containers around a part that is in this one */
  #above(): number {
    return this.#parent === undefined ? 1 : this.#parent.#above() + 1
  }

  #depth(): number {
    return this.#children.reduce((most, child) => Math.max(most, child.#depth() + 1), 0)
  }
}

/** A part between two boundary lines, each on a line of its own: where an empty part stood they may lack its ends. */
function fitted(raw: string, before: string, behind: string): string {
  if (raw === '') return ''
  const ended = before.endsWith('\n') ? '' : before.endsWith('\r') ? '\n' : '\r\n'
  // a CR that ends the content is no part of the line end behind it
  const end = behind === '' || /^\r?\n/.test(behind) ? '' : '\r\n'
  return `${ended}${raw}${raw.endsWith('\r') && behind.startsWith('\n') ? '\r' : end}`
}
